"""The commands that leave files, each with what must be there when it has ended well, and what has
been opened so far."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from disk import State
from tiny_run import write_data, write_recipe

import zktrain
from zktrain.circuit.weights import digest, read_weights
from zktrain.protocol.bundle import parse
from zktrain.prover.dataset import secret_file
from zktrain.training.run import Run


def prepare(root: Path) -> None:
    """Everything that the commands start from; the smallest networks there are."""
    write_data(root / "data.npz", records=8)
    write_data(root / "test.npz", seed=9, records=5)
    recipe = write_recipe(root, steps=2, batch_size=2)
    recipe.write_text(recipe.read_text().replace("order_seed", "checkpoints = [1]\norder_seed"))
    zktrain.compile(recipe, out=root / "tiny.circuit.json")
    zktrain.commit(root / "data.npz", out=root / "data.zkd")
    zktrain.train(recipe, data=root / "data.npz", out=root / "run", dataset=root / "data.zkd")


def commit(root: Path) -> None:
    zktrain.commit(root / "data.npz", out=root / "new.zkd")


def train(root: Path) -> None:
    zktrain.train(root / "tiny.toml", data=root / "data.npz", out=root / "again")


def prove(root: Path) -> None:
    zktrain.prove(root / "run")


def prove_eval(root: Path) -> None:
    zktrain.prove_eval(
        root / "run" / "weights.safetensors",
        circuit=root / "tiny.circuit.json",
        data=root / "test.npz",
        dataset_out=root / "test.zkd",
        out=root / "eval.zkt",
    )


def _committed(root: Path) -> None:
    root_ = zktrain.commit(root / "data.npz", check=root / "new.zkd").root
    assert len(root_) == 64


def _trained(root: Path) -> None:
    run, first = Run.open(root / "again"), Run.open(root / "run")
    run.records()
    for step in run.boundaries:
        run.boundary(step)
    assert run.results is not None and first.results is not None
    assert run.results["weights_digest"] == first.results["weights_digest"]
    shapes, bits = run.circuit.parameter_shapes(), run.circuit.fixed_point.weight_bits
    assert digest(read_weights(run.weights_path, shapes, bits)) == run.results["weights_digest"]
    run.require_checkpoints()
    assert run.checkpoints == first.checkpoints and len(run.checkpoints) == 1
    assert run.checkpoint_path(1).read_bytes() != run.weights_path.read_bytes()
    secret = secret_file.read_for(run.path / "dataset.zkd.secret", run.header())
    assert secret.positions == 0


def _proved(root: Path) -> None:
    run = root / "run"
    found = zktrain.verify(
        run / "weights.safetensors",
        proof=run / "proof.zkt",
        dataset=root / "data.zkd",
        checkpoints=[run / "checkpoint-000001.safetensors"],
    )
    assert [one.checked for one in found.checkpoints] == [True]


def _evaluated(root: Path) -> None:
    zktrain.verify_eval(
        root / "run" / "weights.safetensors", proof=root / "eval.zkt", dataset=root / "test.zkd"
    )


@dataclass(frozen=True)
class Command:
    """``run`` it in a folder, then ``check`` that it has ended well."""

    run: Callable[[Path], None]
    check: Callable[[Path], None]


COMMANDS = {
    "commit": Command(commit, _committed),
    "train": Command(train, _trained),
    "prove": Command(prove, _proved),
    "prove-eval": Command(prove_eval, _evaluated),
}


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def opened(state: State) -> Iterator[tuple[str, str]]:
    """The secret file and the digest of everything visible that opens what it hides."""
    for name in ("new.zkd", "test.zkd", "data.zkd"):
        if data := state.files.get(name):
            yield f"{name}.secret", _mark(data)
    for name, secret in (("run/proof.zkt", "data.zkd"), ("eval.zkt", "test.zkd")):
        if proof := state.files.get(name):
            parse(proof)
            yield f"{secret}.secret", _mark(proof)


def counted(state: State) -> dict[str, tuple[set[str], list[int]]]:
    """By secret file: the digests that are counted, and the counters."""
    found: dict[str, tuple[set[str], list[int]]] = {}
    for name, data in state.files.items():
        if name.endswith(".zkd.secret") and data:
            fields = json.loads(data)
            found[name] = (set(fields["opened"]), [fields["positions"]])
    return found


def require_counted(visible: State, left: State) -> None:
    """Everything that was visible is counted in what is left."""
    known = counted(left)
    for secret, mark in opened(visible):
        assert mark in known.get(secret, (set(), []))[0], f"{secret} is behind what was opened"


def require_no_less(before: State, after: State) -> None:
    """No counter has decreased."""
    known = counted(after)
    for secret, (marks, counters) in counted(before).items():
        assert secret in known and marks <= known[secret][0], f"{secret} has forgotten something"
        assert all(old <= new for old, new in zip(counters, known[secret][1], strict=True))


def finished(state: State) -> set[tuple[str, str]]:
    """Files that are the outcome of work, by name and digest: none may be lost or change."""
    return {
        (name, _mark(data))
        for name, data in state.files.items()
        if data
        and (
            name.endswith((".zkd", ".zkt"))
            or (name.endswith("/weights.safetensors") and _has_results(state, name))
        )
    }


def _has_results(state: State, weights: str) -> bool:
    description = state.files.get(f"{os.path.dirname(weights)}/run.json")
    return bool(description) and json.loads(description or b"")["results"] is not None
