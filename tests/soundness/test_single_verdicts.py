"""What the verbs compare before and between the proofs, each alone; the proofs are taken for true.

Everything that judges a proof is a stand-in that accepts, so that what is refused here is refused
by the comparison that the test names.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import evaluation_harness as e
import harness as h
import pytest
from check_sites import find, refused_by, watched
from test_single_checks import circuit, header, judged, text

from zktrain.circuit import bounds
from zktrain.circuit.circuit import Circuit
from zktrain.dataset.scaling import Scaling
from zktrain.errors import ChainBroken, MalformedProof, StatementMismatch
from zktrain.progress import silent
from zktrain.prover.dataset.public_file import write_public

TRAINING = importlib.import_module("zktrain._verify")
EVALUATION = importlib.import_module("zktrain._verify_eval")


def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


@contextmanager
def proofs_hold(module: Any, bundle: Any, statement: Any, **more: Any) -> Iterator[None]:
    """Inside, ``module`` reads this bundle and statement, and all proofs are accepted."""
    stand_ins: dict[str, Any] = {
        "whole": nothing,
        "parse": lambda data: bundle,
        "parse_statement": lambda bundle: statement,
        "verify_certificate": nothing,
        "closing": SimpleNamespace(verify=nothing),
        "segment": SimpleNamespace(
            verify=nothing,
            pad_weights=h.segment.pad_weights,
            split_weights=h.segment.split_weights,
        ),
        **more,
    }
    with mock.patch.multiple(module, **stand_ins):
        yield


def training(
    *, pinned: Path | None = None, bits: int = 100, chain: Any = None, last: Any = None,
    frozen: tuple[str, ...] = (),
) -> Callable[[], object]:  # fmt: skip
    run = h.honest("mse")
    statement = replace(run.statement, circuit=replace(run.statement.circuit, frozen=frozen))
    headers = list(run.headers) if chain is None else chain(list(run.headers))
    bundle = SimpleNamespace(
        dataset_json=statement.dataset.to_json(),
        circuit_json=run.statement.circuit.canonical_json(),
        segments=[SimpleNamespace(header=x, proof=b"") for x in headers],
        closing=b"",
    )
    root = statement.dataset.root.hex()
    stand_ins: dict[str, Any] = {
        "weights_of": lambda *_: last or run.weights[0],
        "_initial_weights": lambda *_: run.weights[0],
        "certificate_of": nothing,
    }
    if chain is None:
        stand_ins["check_chain"] = nothing

    def attack() -> None:
        with proofs_hold(TRAINING, bundle, statement, **stand_ins):
            file = SimpleNamespace(size=0)
            TRAINING._verify("w", file, root, pinned, None, None, bits, silent)

    return attack


def evaluating(
    *, pinned: Path | None = None, bits: int = 100, root: str | None = None,
    like: Path | None = None,
) -> Callable[[], object]:  # fmt: skip
    statement = e.statement()
    bundle = SimpleNamespace(
        dataset_json=statement.dataset.to_json(),
        circuit_json=statement.circuit.circuit.canonical_json(),
        certificate=b"",
        segments=[b""] * len(statement.segments),
        closing=b"",
    )
    given = root or statement.dataset.root.hex()

    def attack() -> None:
        weights_of = lambda *_: e.weights()  # noqa: E731
        with proofs_hold(EVALUATION, bundle, statement, weights_of=weights_of, _said=nothing):
            file = SimpleNamespace(size=0)
            EVALUATION._verify("w", file, given, pinned, like, bits, silent)

    return attack


def file_of(path: Path, found: Circuit) -> Path:
    path.write_bytes(found.canonical_json())
    return path


def test_training_of_another_circuit(tmp_path: Path) -> None:
    training()()
    attack = training(pinned=file_of(tmp_path / "c.json", circuit(steps=12)))
    refused_by("_verify._verify: call check_circuit", attack, StatementMismatch)


def test_training_for_fewer_bits() -> None:
    refused_by("_verify._verify: call check_bits", training(bits=101), StatementMismatch)


def test_training_with_a_broken_chain() -> None:
    broken = lambda headers: [*headers[:2], replace(headers[2], previous=bytes(32))]  # noqa: E731
    attack = training(chain=broken)
    refused_by("_verify._verify: call check_chain", attack, ChainBroken)


def test_frozen_layer_that_ends_elsewhere() -> None:
    """The last weights are those of the statement; one of a frozen layer is not its first one."""
    last = {name: values.copy() for name, values in h.honest("mse").weights[0].items()}
    training(frozen=("fc1",), last=last)()
    last["fc1.weight"][1, 1] += 1
    site = "_verify._verify: not np.array_equal(values, last_fixed[name])"
    refused_by(site, training(frozen=("fc1",), last=last), StatementMismatch)


def test_evaluation_of_another_network(tmp_path: Path) -> None:
    """Of the circuit only network and format count."""
    mine = e.statement().circuit.circuit
    evaluating(pinned=file_of(tmp_path / "a.json", replace(mine, steps=mine.steps + 1)))()
    layers = (replace(mine.layers[0], name="other"), *mine.layers[1:])
    attack = evaluating(pinned=file_of(tmp_path / "b.json", replace(mine, layers=layers)))
    refused_by("_verify_eval._verify: call _check_network", attack, StatementMismatch)
    refused_by("_verify_eval._check_network: call check_fields", attack, StatementMismatch)


def test_evaluation_for_fewer_bits() -> None:
    more = e.statement().security_bits + 1
    refused_by("_verify_eval._verify: call check_bits", evaluating(bits=more), StatementMismatch)


def test_evaluation_on_another_dataset() -> None:
    attack = evaluating(root="ab" * 32)
    refused_by("_verify_eval._verify: call check_dataset", attack, StatementMismatch)


def test_evaluation_of_data_in_another_scaling(tmp_path: Path) -> None:
    write_public(tmp_path / "a.zkd", header(scaling=Scaling(0.0, 1.0)), b"certificate")
    attack = evaluating(like=tmp_path / "a.zkd")
    refused_by("_verify_eval._verify: call check_scaling", attack, StatementMismatch)


def test_runs_that_no_cut_makes_small_enough() -> None:
    """A step larger than any segment; more steps than all segments have."""
    for part, forged in (
        ("not fitting", circuit(batch_size=1 << 21)),
        ("MAX_SEGMENTS", circuit(batch_size=1 << 14, steps=1 << 24)),
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
