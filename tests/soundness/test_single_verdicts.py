"""What the verbs compare before and between the proofs, each alone; the proofs are taken for true.

Everything that judges a proof is a stand-in that accepts, so that what is refused here is refused
by the comparison that the test names.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import evaluation_harness as e
import harness as h
import pytest
from check_sites import find, refused_by, watched
from test_single_checks import circuit, dense, header, judged, text

from zktrain.circuit import bounds
from zktrain.circuit.circuit import Circuit
from zktrain.dataset.scaling import Scaling
from zktrain.errors import MalformedProof, StatementMismatch
from zktrain.prover.dataset.public_file import write_public

VERBS = importlib.import_module("zktrain._verify")


def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


@contextmanager
def proofs_hold(run: h.Run, **more: Any) -> Iterator[None]:
    """Inside, the verbs read this statement, and all proofs are accepted."""
    statement = run.statement
    bundle = SimpleNamespace(
        dataset_json=statement.dataset.to_json(),
        circuit_json=statement.circuit.canonical_json(),
        certificate=b"",
        proof=b"",
    )
    stand_ins: dict[str, Any] = {
        "opened": lambda *_: nullcontext(SimpleNamespace(size=0)),
        "whole": nothing,
        "parse": lambda data: bundle,
        "parse_statement": lambda bundle: statement,
        "certificate_of": nothing,
        "verify_certificate": nothing,
        "proofs": SimpleNamespace(verify=nothing),
        **more,
    }
    with mock.patch.multiple(VERBS, **stand_ins):
        yield


def training(
    *, pinned: Path | None = None, bits: int = 100, last: Any = None, frozen: tuple[str, ...] = ()
) -> Callable[[], object]:
    run = h.honest("mse")
    task = run.statement.task
    task = replace(task, circuit=replace(task.circuit, frozen=frozen))
    run = replace(run, statement=replace(run.statement, task=task))
    stand_ins: dict[str, Any] = {
        "weights_of": lambda *_: last or run.weights[0],
        "_initial_weights": lambda *_: run.weights[0],
    }

    def attack() -> None:
        with proofs_hold(run, **stand_ins):
            root = run.statement.dataset.root.hex()
            VERBS.verify("w", proof="p", dataset=root, circuit=pinned, min_security_bits=bits)

    return attack


def evaluating(
    *, pinned: Path | None = None, bits: int = 100, root: str | None = None,
    like: Path | None = None,
) -> Callable[[], object]:  # fmt: skip
    run = e.statement()
    given = root or run.statement.dataset.root.hex()

    def attack() -> None:
        stand_ins: dict[str, Any] = {
            "weights_of": lambda *_: e.weights(),
            "_scaled_otherwise": nothing,
        }
        with proofs_hold(run, **stand_ins):
            VERBS.verify_eval(
                "w", proof="p", dataset=given, circuit=pinned, like=like, min_security_bits=bits
            )

    return attack


def test_proof_of_the_other_kind() -> None:
    """An evaluation given to ``verify``, a training given to ``verify-eval``."""

    def attack(run: h.Run, verb: Any) -> Callable[[], object]:
        def judge() -> None:
            with proofs_hold(run):
                verb("w", proof="p", dataset=run.statement.dataset.root.hex())

        return judge

    for run, verb, command in (
        (e.statement(), VERBS.verify, r"use zktrain verify-eval\b"),
        (h.honest("mse"), VERBS.verify_eval, r"use zktrain verify(?!-)"),
    ):
        with pytest.raises(MalformedProof, match=command):
            attack(run, verb)()


def file_of(path: Path, found: Circuit) -> Path:
    path.write_bytes(found.canonical_json())
    return path


def test_training_of_another_circuit(tmp_path: Path) -> None:
    training()()
    attack = training(pinned=file_of(tmp_path / "c.json", circuit(steps=12)))
    refused_by("_verify.verify: call check_circuit", attack, StatementMismatch)


def test_training_for_fewer_bits() -> None:
    refused_by("_verify.verify: call check_bits", training(bits=101), StatementMismatch)


def test_frozen_layer_that_ends_elsewhere() -> None:
    """The last weights are those of the statement; one of a frozen layer is not its first one."""
    last = {name: values.copy() for name, values in h.honest("mse").weights[0].items()}
    training(frozen=("fc1",), last=last)()
    last["fc1.weight"][1, 1] += 1
    site = "_verify._trained: name not in moving and (not np.array_equal(values, found[name]))"
    refused_by(site, training(frozen=("fc1",), last=last), StatementMismatch)


def test_evaluation_of_another_network(tmp_path: Path) -> None:
    """Of the circuit only network and format count."""
    mine = e.statement().statement.circuit
    evaluating(pinned=file_of(tmp_path / "a.json", replace(mine, steps=mine.steps + 1)))()
    layers = (replace(mine.layers[0], name="other"), *mine.layers[1:])
    attack = evaluating(pinned=file_of(tmp_path / "b.json", replace(mine, layers=layers)))
    refused_by("_verify.verify_eval: call _check_network", attack, StatementMismatch)
    refused_by("_verify._check_network: call check_fields", attack, StatementMismatch)


def test_evaluation_for_fewer_bits() -> None:
    more = e.statement().statement.security_bits + 1
    refused_by("_verify.verify_eval: call check_bits", evaluating(bits=more), StatementMismatch)


def test_evaluation_on_another_dataset() -> None:
    attack = evaluating(root="ab" * 32)
    refused_by("judging.check_dataset: header.root", attack, StatementMismatch)


def test_evaluation_of_data_in_another_scaling(tmp_path: Path) -> None:
    write_public(tmp_path / "a.zkd", header(scaling=Scaling(0.0, 1.0)), b"certificate")
    attack = evaluating(like=tmp_path / "a.zkd")
    refused_by("_verify.verify_eval: call check_scaling", attack, StatementMismatch)


def test_runs_that_are_too_long() -> None:
    """More cells, or more samples, than one proof takes."""
    small = circuit(layers=dense(1, 1), batch_size=1 << 14, steps=1 << 14)
    for part, forged in (
        ("not cells < 1 << MAX_CELLS_LOG", circuit(batch_size=1 << 6, steps=1 << 24)),
        ("not samples <= MAX_SAMPLES", small),
    ):
        site = find(f"circuit.bounds.size_violation: {part}")
        with watched(site) as fired, pytest.raises(MalformedProof):
            judged(bounds.size_violation(forged))
        assert fired


def test_format_of_another_version() -> None:
    fields = {**json.loads(circuit().canonical_json()), "format": "zktrain-circuit-0"}
    site = find("circuit.canonical.decode: document['format']")
    with watched(site) as fired, pytest.raises(MalformedProof) as seen:
        Circuit.from_json(text(fields))
    assert fired and "format" in str(seen.value)
