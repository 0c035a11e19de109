"""Every expectation that a verifier states is compared or refused, one test for each option."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import TinyBundle, make_bundle

import zktrain
from zktrain.circuit.weights import read_metadata
from zktrain.cli.entry import run
from zktrain.errors import InputError, StatementMismatch
from zktrain.training.weight_file import write_weights


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    """Another run of the same network on other records, from another seed."""
    folder = tmp_path_factory.mktemp("other")
    return make_bundle(folder, data_seed=1, init='seed = "another"', order_seed="another")


@pytest.fixture(scope="module")
def first_weights(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of the seed, in a file."""
    from zktrain.circuit.circuit import Circuit
    from zktrain.circuit.initial import seeded_weights

    circuit = Circuit.from_json(tiny_bundle.circuit.read_bytes())
    path = tmp_path_factory.mktemp("first") / "initial.safetensors"
    metadata = read_metadata(tiny_bundle.weights)
    write_weights(path, seeded_weights(circuit), circuit.fixed_point.weight_bits, metadata)
    return path


def _verify(bundle: TinyBundle, **changes: Any) -> zktrain.Verdict:
    asked: dict[str, Any] = {
        "weights": bundle.weights,
        "proof": bundle.proof,
        "dataset": bundle.root,
        "certificate": bundle.dataset,
    }
    asked |= changes
    return zktrain.verify(asked.pop("weights"), **asked)


Case = tuple[Callable[[TinyBundle, Path], Any], type[Exception]]
OTHERS: dict[str, list[Case]] = {
    "weights": [
        (lambda other, none: other.weights, StatementMismatch),
        (lambda other, none: none, InputError),
        (lambda other, none: other.proof, InputError),
    ],
    "dataset": [
        (lambda other, none: other.root, StatementMismatch),
        (lambda other, none: other.dataset, StatementMismatch),
        (lambda other, none: none, InputError),
    ],
    "circuit": [
        (lambda other, none: other.circuit, StatementMismatch),
        (lambda other, none: none, InputError),
        (lambda other, none: other.weights, InputError),
    ],
    "initial": [
        (lambda other, none: other.weights, StatementMismatch),
        (lambda other, none: none, InputError),
        (lambda other, none: other.proof, InputError),
    ],
    "certificate": [
        (lambda other, none: other.dataset, StatementMismatch),
        (lambda other, none: none, InputError),
        (lambda other, none: other.weights, InputError),
    ],
    "checkpoints": [
        (lambda other, none: [other.weights], StatementMismatch),
        (lambda other, none: [none], InputError),
        (lambda other, none: none, TypeError),
    ],
    "min_security_bits": [
        (lambda other, none: 101, StatementMismatch),
        (lambda other, none: 121, InputError),
        (lambda other, none: 1 << 64, InputError),
        (lambda other, none: -1, InputError),
        (lambda other, none: float("nan"), TypeError),
        (lambda other, none: 80.0, TypeError),
        (lambda other, none: "80", TypeError),
        (lambda other, none: True, TypeError),
        (lambda other, none: None, TypeError),
    ],
}
"""Values of each argument that are not those of the proof, and what they raise."""


def test_every_argument_is_tried() -> None:
    """But the proof itself, and what hears of progress."""
    names = set(inspect.signature(zktrain.verify).parameters)
    assert names == {*OTHERS, "proof", "progress"}
    names = set(inspect.signature(zktrain.verify_eval).parameters)
    assert names == {*OTHERS, "like", "proof", "progress"} - {"initial", "checkpoints"}


@pytest.mark.parametrize(
    ("name", "number"), [(name, k) for name, cases in OTHERS.items() for k in range(len(cases))]
)
def test_another_value_is_refused(
    tiny_bundle: TinyBundle, other: TinyBundle, tmp_path: Path, name: str, number: int
) -> None:
    """In Python, and on the command line: 1 for another thing, 2 for none."""
    value, error = OTHERS[name][number]
    wanted = value(other, tmp_path / "none")
    with pytest.raises(error):
        _verify(tiny_bundle, **{name: wanted})
    if error is TypeError:
        return
    asked = {
        "proof": tiny_bundle.proof,
        "dataset": tiny_bundle.root,
        "certificate": tiny_bundle.dataset,
        name: wanted,
    }
    weights = str(asked.pop("weights", tiny_bundle.weights))
    asked["checkpoint"] = asked.pop("checkpoints", [None])[0]
    options = [
        f"--{key.replace('_', '-')}={given}" for key, given in asked.items() if given is not None
    ]
    with pytest.raises(SystemExit) as end:
        run(["verify", weights, *options])
    assert end.value.code == (1 if error is StatementMismatch else 2)


def test_the_values_of_the_proof_are_accepted(tiny_bundle: TinyBundle, first_weights: Path) -> None:
    """All of them together, and the least demands."""
    verdict = _verify(
        tiny_bundle,
        circuit=tiny_bundle.circuit,
        initial=first_weights,
        min_security_bits=100,
    )
    assert verdict.statement.circuit.initialisation.kind == "seed"
    assert _verify(tiny_bundle, dataset=tiny_bundle.dataset, min_security_bits=0).proof_bytes


def test_the_training_data_of_an_evaluation_are_compared(
    evaluated: Path, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    """Their scaling; and a file that is none is refused."""
    inputs, labels = np.linspace(0, 3, 24 * 8).reshape(24, 8), np.arange(24) % 3
    np.savez(tmp_path / "floats.npz", inputs=inputs, labels=labels, classes=3, low=0, high=3)
    zktrain.commit(tmp_path / "floats.npz", out=tmp_path / "floats.zkd", public=True)
    asked = {"proof": evaluated, "dataset": tiny_bundle.dataset}
    zktrain.verify_eval(tiny_bundle.weights, **asked, like=tiny_bundle.dataset)
    with pytest.raises(StatementMismatch, match="scaled otherwise"):
        zktrain.verify_eval(tiny_bundle.weights, **asked, like=tmp_path / "floats.zkd")
    for none in (tmp_path / "none.zkd", tiny_bundle.weights):
        with pytest.raises(InputError):
            zktrain.verify_eval(tiny_bundle.weights, **asked, like=none)


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, k) for name, cases in OTHERS.items() for k in range(len(cases))
     if name not in ("initial", "checkpoints")],
)  # fmt: skip
def test_another_value_of_an_evaluation_is_refused(
    evaluated: Path,
    tiny_bundle: TinyBundle,
    wider: TinyBundle,
    tmp_path: Path,
    name: str,
    number: int,
) -> None:
    """A circuit pins the network alone, so that of another network is tried."""
    value, error = OTHERS[name][number]
    asked: dict[str, Any] = {"weights": tiny_bundle.weights, "dataset": tiny_bundle.dataset}
    asked[name] = value(wider, tmp_path / "none")
    with pytest.raises(error):
        zktrain.verify_eval(asked.pop("weights"), proof=evaluated, **asked)


@pytest.fixture(scope="module")
def evaluated(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated") / "eval.zkt"
    zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        dataset=tiny_bundle.dataset,
        out=out,
    )
    return out


@pytest.fixture(scope="module")
def wider(other: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    """``other`` with the circuit of another network."""
    from dataclasses import replace

    from zktrain.circuit.circuit import Circuit
    from zktrain.layers import Layer

    circuit = Circuit.from_json(other.circuit.read_bytes())
    first, last = (layer for layer in circuit.layers if isinstance(layer, Layer))
    layers = (replace(first, outputs=5), replace(last, inputs=5))
    path = tmp_path_factory.mktemp("wider") / "wider.circuit.json"
    path.write_bytes(replace(circuit, layers=layers).canonical_json())
    return replace(other, circuit=path)
