"""The run directory: everything comes back, and damage is named."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_oracle import circuit_of

from zktrain.circuit.initial import seeded_weights
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.readers import Records
from zktrain.dataset.scaling import BYTES
from zktrain.errors import InputError
from zktrain.training.run import Run

CIRCUIT = circuit_of(6, 5, 3, steps=8)
RECORDS = Records(
    np.arange(54, dtype=np.uint8).reshape(9, 6),
    np.array([0, 1, 2] * 3, dtype=np.uint8),
    3,
    "made up",
)
WEIGHTS = seeded_weights(CIRCUIT)
HEADER = DatasetHeader(9, 6, 3, bytes(range(32)), openings=5)
PROOF = {"security_bits": 100, "zero_knowledge": False}


def create(folder: Path) -> Run:
    return Run.create(folder, CIRCUIT, RECORDS, header=HEADER, proof=PROOF, boundaries=[0, 4, 8])


def finished(folder: Path) -> Run:
    run = create(folder)
    for step in run.boundaries:
        run.write_boundary(step, {name: w + step for name, w in WEIGHTS.items()})
    run.finish(WEIGHTS, {"test_accuracy": 0.5}, {"circuit": CIRCUIT.id})
    return run


def test_a_finished_run_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "run"
    assert finished(folder) == Run.open(folder)
    run = Run.open(str(folder))
    assert run.circuit == CIRCUIT and run.proof == PROOF and run.dataset_root == HEADER.root.hex()
    assert run.header() == HEADER
    assert run.results == {"test_accuracy": 0.5} and run.boundaries == (0, 4, 8)
    records = run.records()
    assert np.array_equal(records.inputs, RECORDS.inputs) and records.inputs.flags.c_contiguous
    assert np.array_equal(records.labels, RECORDS.labels)
    assert (records.classes, records.source, records.scaling) == (3, "made up", BYTES)
    for step in (0, 4, 8):
        boundary = run.boundary(step)
        assert list(boundary) == list(WEIGHTS)
        assert all(np.array_equal(boundary[name], WEIGHTS[name] + step) for name in WEIGHTS)


def test_only_new_empty_or_interrupted_directories_are_written(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(InputError, match="was not finished"):
        Run.open(tmp_path)
    finished(tmp_path)
    with pytest.raises(InputError, match="is not empty"):
        create(tmp_path)
    (tmp_path / "file").write_text("")
    for path, message in ((tmp_path / "file", "cannot be made"), (tmp_path, "is not empty")):
        with pytest.raises(InputError, match=message):
            create(path)
    with pytest.raises(InputError, match="boundaries must increase"):
        Run.create(tmp_path / "new", CIRCUIT, RECORDS, header=HEADER, proof={}, boundaries=[0, 4])


def _edit(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def _edit_dataset(**changes: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        known = json.loads((folder / "run.json").read_text())["dataset"]
        _edit(dataset={**known, **changes})(folder)

    return edit


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return write


def _array(name: str, array: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, array)


OTHER = circuit_of(6, 5, 3, steps=9).canonical_json()
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no run": (lambda folder: (folder / "run.json").unlink(), "no run directory"),
    "no json": (_write("run.json", b"{"), "is not JSON"),
    "format": (_edit(format="zktrain-run-1"), "not of the format"),
    "extra key": (_edit(more=1), "unknown"),
    "type": (_edit(boundaries=[0, "4", 8]), "wrong type"),
    "boundaries": (_edit(boundaries=[0, 4]), "boundaries"),
    "dataset": (_edit(dataset={"root": "00ff"}), "wrong type"),
    "circuit": (_write("circuit.json", b"{}"), "circuit.json is not a circuit"),
    "other circuit": (_write("circuit.json", OTHER), "not the circuit that run.json names"),
    "no boundary": (lambda folder: (folder / "boundary-00000004.npz").unlink(), "is missing"),
    "no weights": (lambda folder: (folder / "weights.safetensors").unlink(), "is missing"),
}
LATER_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "garbage boundary": (_write("boundary-00000004.npz", b"PK"), "cannot be read"),
    "no inputs": (lambda folder: (folder / "dataset-inputs.npy").unlink(), "cannot be read"),
    "inputs": (_array("dataset-inputs.npy", np.zeros((9, 6))), "not a table of bytes"),
    "width": (_array("dataset-inputs.npy", np.zeros((9, 5), np.uint8)), "columns"),
    "labels": (_array("dataset-labels.npy", np.zeros(8, np.uint8)), "not one label per record"),
    "label": (_array("dataset-labels.npy", np.full(9, 3, np.uint8)), "has a label"),
    "other inputs": (
        _array("dataset-inputs.npy", RECORDS.inputs[::-1]),
        "not those that the run was trained on",
    ),
    "other labels": (
        _array("dataset-labels.npy", RECORDS.labels[::-1]),
        "not those that the run was trained on",
    ),
    "header": (_edit_dataset(header="{}"), "no valid description"),
    "other header": (
        _edit_dataset(header=replace(HEADER, openings=6).to_json().decode()),
        "another dataset",
    ),
    "objects": (_array("dataset-labels.npy", np.array([{}] * 9)), "cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_on_opening(case: str, tmp_path: Path) -> None:
    finished(tmp_path)
    damage, message = DAMAGE[case]
    damage(tmp_path)
    with pytest.raises(InputError, match=f"{message}.*run zktrain train again"):
        Run.open(tmp_path)


LONG = {
    "lists in lists": (b"[" * 500_000, "nested"),
    "objects in objects": (b'{"a":' * 100_000, "nested"),
    "too many lists in lists": (b"[" * 10_000_000, "run.json.*is larger than any"),
    "too many lists": (b"[" + b"[]," * 3_000_000 + b"0]", "run.json.*is larger than any"),
}


@pytest.mark.parametrize("case", LONG)
def test_a_long_description_is_refused_before_it_is_parsed(case: str, tmp_path: Path) -> None:
    """Its size is limited by the steps of the circuit, and no list is parsed for nothing."""
    finished(tmp_path)
    text, message = LONG[case]
    (tmp_path / "run.json").write_bytes(text)
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"{message}.*run zktrain train again"):
            Run.open(tmp_path)
        with pytest.raises(InputError, match="is not empty"):
            create(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20 and time.process_time() - started < 2


def test_a_description_of_many_steps_is_read(tmp_path: Path) -> None:
    """With a boundary and two losses for each, as long as they are written."""
    steps = 9000
    circuit = replace(CIRCUIT, steps=steps)
    losses = [(step, 0.12345678901234567) for step in range(steps)]
    run = Run.create(
        tmp_path, circuit, RECORDS, header=HEADER, proof=PROOF, boundaries=range(steps + 1)
    )
    run.finish(WEIGHTS, {"losses": losses, "float_losses": losses}, {"circuit": circuit.id})
    assert (tmp_path / "run.json").stat().st_size > 1 << 20
    with pytest.raises(InputError, match=r"boundary-00000000.npz is missing"):
        Run.open(tmp_path)


@pytest.mark.parametrize("case", LATER_DAMAGE)
def test_damage_is_named_on_reading(case: str, tmp_path: Path) -> None:
    finished(tmp_path)
    damage, message = LATER_DAMAGE[case]
    damage(tmp_path)
    run = Run.open(tmp_path)
    with pytest.raises(InputError, match=f"{message}.*run zktrain train again"):
        run.boundary(4)
        run.records()


@pytest.mark.parametrize(
    "arrays",
    [
        [],
        [w.astype(np.int32) for w in WEIGHTS.values()],
        [w.T for w in WEIGHTS.values()],
        [*WEIGHTS.values(), np.zeros(1)],
        [np.full_like(w, -(2**63)) for w in WEIGHTS.values()],
    ],
    ids=["none", "int32", "transposed", "one more", "too large"],
)
def test_a_boundary_of_another_network_is_refused(arrays: list[Any], tmp_path: Path) -> None:
    run = finished(tmp_path)
    np.savez(tmp_path / "boundary-00000004.npz", *arrays)
    with pytest.raises(InputError, match=r"parameters of the circuit|not below"):
        run.boundary(4)
