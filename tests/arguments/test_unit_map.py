"""Public maps over the axes of a sample: what they do cell by cell, and the claims that remain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from relation_oracle import (
    copy,
    false_claims,
    proof_of,
    prover,
    random_point,
    truth,
    verifier,
)

from zktrain.arguments.claims import Ledger
from zktrain.arguments.tensors import Shape, Tensor
from zktrain.errors import SumcheckMismatch
from zktrain.field.extension import ONE, Ext, Point
from zktrain.operations import UnitMap, Vanish
from zktrain.operations.base import Context, StepGraph
from zktrain.operations.map_arrays import apply_map
from zktrain.operations.maps import Before, Map, Reorder, Steps, Window
from zktrain.prover.transcript.channel import ProverChannel

SHAPE = Shape(3, 3)
Cell = tuple[int, ...]


def tensor(name: str, grid: Cell, taps: Cell, width: int) -> Tensor:
    return Tensor(name, width, grid=grid, taps=taps)


CONV = (Steps(5, 3, 3, 2, 1), Steps(6, 6, 3, 1, 1))
POOL = (Steps(5, 2, 2, 2, 0), Steps(6, 3, 2, 2, 0))
OVERLAP = (Steps(5, 3, 3, 1, 0), Steps(6, 2, 3, 3, 0))
CASES: dict[str, tuple[Map, Tensor, Tensor]] = {
    "patches": (Window(*CONV), tensor("in", (5, 6), (), 3), tensor("out", (3, 6), (3, 3), 3)),
    "patches of errors": (
        Window(*CONV, True), tensor("in", (3, 6), (), 2), tensor("out", (5, 6), (3, 3), 2),
    ),
    "pooled windows": (
        Window(*POOL), tensor("in", (5, 6), (), 3), tensor("out", (2, 3), (2, 2), 3),
    ),
    "back from pooled windows": (
        Window(*POOL, True), tensor("in", (2, 3), (2, 2), 3), tensor("out", (5, 6), (), 3),
    ),
    "back from windows that overlap": (
        Window(*OVERLAP, True), tensor("in", (3, 2), (3, 3), 2), tensor("out", (5, 6), (), 2),
    ),
    "sums": (Window(*OVERLAP), tensor("in", (5, 6), (), 2), tensor("out", (3, 2), (), 2)),
    "back from sums": (
        Window(*OVERLAP, True), tensor("in", (3, 2), (), 1), tensor("out", (5, 6), (), 1),
    ),
    "to an image": (Reorder(), tensor("in", (), (), 30), tensor("out", (2, 5), (), 3)),
    "to a row": (Reorder(), tensor("in", (2, 5), (), 3), tensor("out", (), (), 30)),
    "before, of taps": (
        Before(), tensor("in", (2, 3), (2, 3), 2), tensor("out", (2, 3), (2, 3), 2),
    ),
    "before, of units": (Before(), tensor("in", (), (), 5), tensor("out", (), (), 5)),
}  # fmt: skip


def entries(case: str) -> Iterator[tuple[Cell, Cell]]:
    """All ``(output cell, source cell)`` of the matrix, straight from the definitions."""
    map_, source, output = CASES[case]
    for out, own in ((o, s) for o in np.ndindex(*output.axes) for s in np.ndindex(*source.axes)):
        match map_:
            case Reorder():
                image, row = (own, out) if source.grid else (out, own)
                height, width = (source if source.grid else output).grid
                same = row[0] == (image[2] * height + image[0]) * width + image[1]
            case Before():
                taps = slice(2, 4) if source.taps else slice(0, 1)
                rest = out[: taps.start] + out[taps.stop :]
                same = rest == own[: taps.start] + own[taps.stop :] and own[taps] < out[taps]
            case Window(vertical, horizontal, transposed):
                inner, outer = (out, own) if transposed else (own, out)
                same = inner[-1] == outer[-1]
                taps = out[2:4] if output.taps else own[2:4] if source.taps else None
                for axis, steps in enumerate((vertical, horizontal)):
                    k = inner[axis] - steps.stride * outer[axis] + steps.padding
                    wanted = range(steps.kernel) if taps is None else [taps[axis]]
                    if not (transposed and output.taps):
                        assert all(len(cell) in (3, 5) for cell in (inner, outer))
                    same = same and k in wanted
        if same:
            yield out, own


def tensors(case: str) -> dict[str, NDArray[np.int64]]:
    """A random padded source and its image, cell by cell."""
    _, source, output = CASES[case]
    rng = np.random.default_rng(len(case))
    cells = np.zeros(SHAPE.dims(source), dtype=np.int16)
    real = SHAPE.real(source)
    cells[real] = rng.integers(-(1 << 15), 1 << 15, size=cells[real].shape)
    out = np.zeros(SHAPE.dims(output), dtype=np.int64)
    for to, own in entries(case):
        out[(slice(None), slice(None), *to)] += cells[(slice(None), slice(None), *own)]
    return {"in": cells, "out": out}


@pytest.mark.parametrize("case", CASES)
def test_arrays_follow_the_definition(case: str) -> None:
    map_, source, output = CASES[case]
    cells = tensors(case)
    found = apply_map(map_, cells["in"][SHAPE.real(source)], source, output)
    assert np.array_equal(found, cells["out"][SHAPE.real(output)])
    assert np.abs(cells["out"]).sum() > 0


def claims_on(cells: dict[str, NDArray[np.int64]], count: int) -> Ledger:
    rng = np.random.default_rng(count)
    ledger = Ledger()
    for _ in range(count):
        point = random_point(rng, cells["out"])
        ledger.add("out", point, truth(cells["out"], point))
    return ledger


def given(case: str, ledger: Ledger) -> tuple[UnitMap, Context]:
    map_, source, output = CASES[case]
    tensors = tuple(replace(t, name=n) for t, n in ((source, "in"), (output, "out")))
    return UnitMap("out", "in", map_), Context(StepGraph(tensors, ()), SHAPE, ledger)


def prove(case: str, cells: dict[str, NDArray[np.int64]], ledger: Ledger) -> bytes:
    op, context = given(case, ledger)
    return proof_of(op, context, witness=cells)


def verify(case: str, proof: bytes, ledger: Ledger) -> None:
    channel = verifier(proof)
    op, context = given(case, ledger)
    op.verify(channel, context)
    channel.finish()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_true_maps(case: str, count: int) -> None:
    cells = tensors(case)
    ledger = claims_on(cells, count)
    theirs = copy(ledger, ["out"])
    verify(case, prove(case, cells, ledger), theirs)
    for side in (ledger, theirs):
        assert len(side.of("in")) == count
        assert false_claims(side, cells) == []


@pytest.mark.parametrize("case", CASES)
def test_a_false_claim_is_rejected(case: str) -> None:
    cells = tensors(case)
    ledger = claims_on(cells, 3)
    theirs = Ledger()
    for k, (point, value) in enumerate(ledger.of("out")):
        theirs.add("out", point, value + int(k == 1))
    with pytest.raises(SumcheckMismatch, match="map 'out'"):
        verify(case, prove(case, cells, ledger), theirs)


def shifted(map_: Map) -> Map:
    """The same map with its windows one place on."""
    assert isinstance(map_, Window)
    v = map_.vertical
    moved = Steps(v.inputs, v.outputs, v.kernel, v.stride, v.padding + 1)
    return Window(moved, map_.horizontal, map_.transposed)


@pytest.mark.parametrize("case", [name for name, (m, _, _) in CASES.items() if type(m) is Window])
def test_shifted_windows_are_rejected(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prover's tensors follow another window than the verifier's."""
    map_, source, output = CASES[case]
    other = shifted(map_)
    cells = tensors(case)
    image = apply_map(other, cells["in"][SHAPE.real(source)], source, output)
    cells["out"] = np.zeros_like(cells["out"])
    cells["out"][SHAPE.real(output)] = image
    ledger = claims_on(cells, 2)
    theirs = copy(ledger, ["out"])
    monkeypatch.setitem(CASES, case, (other, source, output))
    proof = prove(case, cells, ledger)
    verify(case, proof, copy(theirs, ["out"]))  # consistent with itself
    monkeypatch.undo()
    with pytest.raises(SumcheckMismatch):
        verify(case, proof, theirs)


def test_padded_cells_of_the_source_are_seen() -> None:
    """A window has no taps outside the real grid: what is there is not what the map takes."""
    cells = tensors("pooled windows")
    cells["in"][0, 0, 7, 7, 0] = 5
    ledger = claims_on(cells, 1)
    theirs = copy(ledger, ["out"])
    verify("pooled windows", prove("pooled windows", cells, ledger), theirs)
    assert false_claims(theirs, cells) == []


def zero_claim(cells: NDArray[np.int64]) -> tuple[Ext, Point]:
    """The claim of ``Vanish`` on a tensor of two units, with the tensor's value there."""
    ledger = Ledger()
    channel: ProverChannel = prover()
    context = Context(StepGraph((Tensor("out", 2),), ()), Shape(2, 2), ledger)
    Vanish("out").claim_zero(channel.challenger, context)
    ((point, value),) = ledger.of("out")
    assert value == Ext(0)
    return truth(cells, point), point


@pytest.mark.parametrize("at", [None, (0, 0, 0), (1, 1, 1), (1, 0, 1)])
def test_only_zero_vanishes(at: Cell | None) -> None:
    cells = np.zeros((2, 2, 2), dtype=np.int64)
    if at is not None:
        cells[at] = 1
    value, point = zero_claim(cells)
    assert (value == Ext(0)) == (at is None)
    assert len(set(point)) == 3 and ONE not in point
