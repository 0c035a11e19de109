"""Code words that are not kept: the same roots, rows and proofs as with all of them in memory."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from zktrain.commitment import opening
from zktrain.commitment.hiding import Layout
from zktrain.commitment.packing import Claim, claim_on, pack
from zktrain.commitment.parameters import carried_tail_for
from zktrain.errors import InputError
from zktrain.field import multilinear as ml
from zktrain.field.goldilocks import P
from zktrain.prover.commitment import code
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.commitment.hiding import prover_channel
from zktrain.prover.kernels import ntt
from zktrain.prover.randomness import expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.scratch import IN_MEMORY, Scratch
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

BITS = 60.0
SECRET = bytes(range(32))


@contextmanager
def streamed(buffer: int = 0) -> Iterator[None]:
    """Nothing is kept; the buffer has so many bytes, or room for eight lanes."""
    with (
        mock.patch.object(code, "KEPT_BYTES", 0),
        mock.patch.object(code, "BUFFER_BYTES", buffer),
    ):
        yield


SHAPES = {
    "one lane": [("a", 12, 3000)],
    "eight lanes": [("a", 15, 1 << 15)],
    "more than two batches": [("a", 16, 60000), ("b", 14, 9000), ("c", 3, 8), ("d", 10, 1000)],
    "small blocks in one lane": [("a", 10, 1000), ("b", 11, 1), ("c", 0, 1), ("d", 12, 4096)],
    "nothing used": [("a", 14, 0), ("b", 13, 5000)],
}


def _tensors(shapes: list[tuple[str, int, int]]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    kinds = [np.int8, np.uint16, np.int32, np.int64]
    out = {}
    for (name, size, used), kind in zip(shapes, kinds, strict=False):
        low, high = np.iinfo(kind).min, min(np.iinfo(kind).max, 1 << 50)
        out[name] = random.integers(max(low, -high), high, 1 << size, dtype=kind)
        out[name][used:] = 0
    return out


def _commit(name: str, tail: bool, rate_log: int = 1) -> Committed:
    length = carried_tail_for(12, BITS - 20, 1, rate_log) if tail else 0
    packing = pack(SHAPES[name], 12, length, rate_log)
    return commit(packing, _tensors(SHAPES[name]), expand(SECRET, "commitment") if tail else None)


@pytest.mark.parametrize("buffer", [0, 1 << 20, 1 << 24])
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_roots_and_rows(name: str, tail: bool, buffer: int) -> None:
    """For one and for several batches of lanes."""
    kept = _commit(name, tail, 2)
    with streamed(buffer):
        made = _commit(name, tail, 2)
        assert kept.code is not None and made.code is None
        assert made.root == kept.root
        for mine, theirs in zip(made.tree.levels, kept.tree.levels, strict=True):
            assert np.array_equal(mine, theirs)
        for indices in ([0], [5, 6, 7000], list(range(0, 1 << 14, 37)), [(1 << 14) - 1]):
            assert np.array_equal(made.word.rows(indices), kept.word.rows(indices))


@pytest.mark.parametrize("lanes", [1, 8, 13])
@pytest.mark.parametrize("code_log", [1, 2, 5, 11, 16, 17])
def test_some_rows_of_a_transform(code_log: int, lanes: int) -> None:
    """In one pass over memory and in two."""
    length, random = 1 << code_log, np.random.default_rng(code_log)
    matrix = ntt.matrix(length, lanes)
    filled = length // 2 + 1
    matrix[:] = random.integers(0, 1 << 63, matrix.shape, dtype=np.uint64)
    whole = matrix.copy()
    ntt.transform(whole, filled)
    indices = sorted({int(i) for i in random.integers(0, length, 20)} | {0, length - 1})
    assert np.array_equal(ntt.values_at(matrix, filled, indices), whole[indices])


@pytest.mark.parametrize("memory", [1, 1 << 18, 1 << 19, 1 << 20, 1 << 22])
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_pieces(name: str, tail: bool, memory: int, tmp_path: Path) -> None:
    """The code word is made in 16, 8, 4 pieces or in one, and the tree is in files or not."""
    length = carried_tail_for(12, BITS - 20, 1, 2) if tail else 0
    packing, tensors = pack(SHAPES[name], 12, length, 2), _tensors(SHAPES[name])
    pieces = 1 << packing.code_log - code.piece_log(packing.code_log, memory)
    assert packing.code_log == 14
    assert pieces == {1: 16, 1 << 18: 8, 1 << 19: 4, 1 << 20: 1, 1 << 22: 1}[memory]
    kept = _commit(name, tail, 2)
    with streamed(), mock.patch("zktrain.scratch.SMALL", 1):
        for scratch in (IN_MEMORY, Scratch(tmp_path)):
            random = expand(SECRET, "commitment") if tail else None
            made = commit(packing, tensors, random, memory, scratch)
            assert kept.code is not None and made.code is None
            assert made.root == kept.root
            assert all(level.base is not None for level in made.tree.levels) or scratch is IN_MEMORY
            indices = [0, 1, 4095, 4096, 9999, (1 << 14) - 1]
            assert np.array_equal(made.word.rows(indices), kept.word.rows(indices))
    assert not list(tmp_path.iterdir())


def _claims(committed: Committed) -> list[Claim]:
    out = []
    for block in committed.packing.blocks:
        point = tuple(Challenger(block.name).elements("point", block.log_size))
        cells = np.zeros(1 << block.log_size, dtype=np.int64)
        tensor = committed.tensors[block.name][: block.used].astype(np.int64)
        cells[: len(tensor)] = tensor
        out.append(claim_on(0, block.name, point, ml.evaluate_integers(cells, point)))
    return out


@pytest.mark.parametrize("hiding", [False, True])
def test_proofs_have_the_same_bytes(hiding: bool) -> None:
    """Level 1 is not kept either, nor made as a whole."""

    def prove(memory: int | None = None) -> bytes:
        committed = replace(_commit("more than two batches", True), memory=memory)
        layout = None
        if hiding:
            plan = opening.level_plan([committed.packing], BITS, hiding=True)
            layout = Layout(plan.scalars(True))
        random = expand(SECRET, "opening")
        channel = prover_channel(Challenger("made again"), layout, BITS, random)
        claims = _claims(committed)
        prover_opening.prove(channel, "opening", [committed], claims, BITS, random)
        return channel.proof()

    kept = prove()
    with streamed():
        assert prove() == prove(1) == kept


def test_tensors_in_files(tmp_path: Path) -> None:
    """Memory maps, of used cells only, are committed and opened where they are."""
    shapes = SHAPES["more than two batches"]
    tensors = _tensors(shapes)
    maps = {}
    for name, _, used in shapes:
        whole = used + -used % 1024
        cells = np.zeros(whole, dtype=tensors[name].dtype)
        cells[:used] = tensors[name][:used]
        cells.tofile(tmp_path / name)
        maps[name] = np.memmap(tmp_path / name, dtype=cells.dtype, mode="r")
    packing = pack(shapes, 12)
    expected = commit(packing, tensors)
    with streamed():
        committed = commit(packing, maps)
        assert committed.root == expected.root
        assert all(np.shares_memory(committed.tensors[name], maps[name]) for name in maps)
        channel = ProverChannel(Challenger("files"))
        claims = _claims(committed)
        prover_opening.prove(channel, "opening", [committed], claims, BITS)
    judge = VerifierChannel(Challenger("files"), channel.proof())
    opening.verify(judge, "opening", [expected.root], [packing], claims, BITS)
    judge.finish()


def test_large_code_words_are_not_kept() -> None:
    assert code.KEPT_BYTES == 1 << 27 and code.BUFFER_BYTES == 1 << 28


@pytest.mark.parametrize("memory", [None, 1 << 26, 1 << 22, 1])
@pytest.mark.parametrize("tail", [False, True])
def test_what_a_commitment_holds_is_what_it_says(tail: bool, memory: int | None) -> None:
    """And less memory does not change the root."""
    length = carried_tail_for(12, BITS - 20, 1, 3) if tail else 0
    packing, tensors = pack(SHAPES["more than two batches"], 12, length, 3), _many()
    random = expand(SECRET, "commitment") if tail else None
    expected = commit(packing, tensors, random)
    commit(packing, tensors, random, 1)  # all kernels are there
    lanes = len(packing.live_lanes)
    held = code.held(lanes, packing.code_log, packing.row_cells - lanes, memory)
    tracemalloc.start()
    random = expand(SECRET, "commitment") if tail else None
    made = commit(packing, tensors, random, memory)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    rows = made.word.rows([0, 77])
    opened = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.root == expected.root and np.array_equal(rows, expected.word.rows([0, 77]))
    own = 8 * lanes * packing.tail + (1 << 18)  # tails, and what is small
    assert 0.9 * held.kept < kept < held.kept + own
    assert max(peak, opened) < held.kept + held.working + own
    assert (made.code is None) is (memory is not None and memory < 1 << 26)


def _many() -> dict[str, np.ndarray]:
    return _tensors(SHAPES["more than two batches"])


@dataclass(frozen=True)
class Cut:
    """So many workers, all of them here; each gets a copy of everything."""

    count: int
    asked: list[tuple[str, int]] = field(default_factory=list)

    def share(self, value: Any) -> Cut.Copied:
        return Cut.Copied(pickle.dumps(value), self)

    @dataclass(frozen=True)
    class Copied:
        value: bytes
        workers: Cut

        def map(self, phase: str, function: Any, ranges: Sequence[tuple[Any, ...]]) -> list[Any]:
            self.workers.asked.append((phase, len(ranges)))
            copies = [pickle.loads(pickle.dumps((function, *range_))) for range_ in ranges]
            return [call(pickle.loads(self.value), *range_) for call, *range_ in copies]


@pytest.mark.parametrize("count", [2, 3, 8, 16])
@pytest.mark.parametrize("tail", [False, True])
@pytest.mark.parametrize("rate_log", [1, 3])
@pytest.mark.parametrize("memory", [None, 1])
def test_parts_that_workers_make(count: int, tail: bool, rate_log: int, memory: int | None) -> None:
    """The same tree and rows, however positions and lanes are cut."""
    kept, workers = _commit("more than two batches", tail, rate_log), Cut(count)
    random = expand(SECRET, "commitment") if tail else None
    with streamed():
        made = commit(kept.packing, _many(), random, memory, workers=workers)
    assert kept.code is not None and made.code is None and kept.root == made.root
    for mine, theirs in zip(made.tree.levels, kept.tree.levels, strict=True):
        assert np.array_equal(mine, theirs)
    for indices in ([0], [5, 6, 4000], list(range(0, 1 << 13, 37))):
        assert np.array_equal(made.word.rows(indices), kept.word.rows(indices))
    lanes = -(-len(kept.packing.live_lanes) // 8)
    assert workers.asked[0] == ("leaves", 1 << (count - 1).bit_length())
    assert [phase for phase, _ in workers.asked[1:]] == ["rows"] * 3
    assert all(1 < ranges <= min(count, lanes) for _, ranges in workers.asked[1:])


@dataclass(frozen=True)
class Given:
    """Lanes of these coefficients ``(filled, count)``; what is beyond them is not written."""

    coefficients: np.ndarray

    @property
    def count(self) -> int:
        return self.coefficients.shape[1]

    @property
    def filled(self) -> int:
        return self.coefficients.shape[0]

    def fill(self, first: int, matrix: np.ndarray, row: int = 0) -> None:
        here = self.coefficients[row : row + len(matrix), first : first + matrix.shape[1]]
        matrix[:] = 77
        matrix[: len(here), : here.shape[1]] = here


@pytest.mark.parametrize("code_log", [4, 9, 14])
def test_parts_of_a_transform(code_log: int) -> None:
    """All of them are the whole, for lanes shorter and longer than a part."""
    length, random = 1 << code_log, np.random.default_rng(code_log)
    for filled in (1, length // 4 - 1, length // 2 + 3, length):
        coefficients = random.integers(0, P, (length, 8), dtype=np.uint64)
        whole = coefficients.copy()
        ntt.transform(whole, filled)
        lanes = Given(coefficients[:filled])
        for log_parts in range(4):
            pieces = code.Pieces(lanes, code_log, code_log - log_parts, 0, 8, None)
            for part in range(1 << log_parts):
                ((first, stop, found),) = pieces.encoded(part)
                size = length >> log_parts
                assert (first, stop, len(found)) == (0, 8, size)
                assert np.array_equal(found, whole[part * size : (part + 1) * size])


def test_a_worker_that_answers_something_else() -> None:
    """Its rows are not those of the leaves."""
    packing, rows_of = _commit("more than two batches", True).packing, code.rows_of

    def wrong(*given: Any) -> np.ndarray:
        found = rows_of(*given)
        found[-1, 0] ^= np.uint64(1)
        return found

    with streamed():
        made = commit(packing, _many(), expand(SECRET, "commitment"))
        assert made.word.rows([3, 9]).shape == (2, packing.row_cells)
        with mock.patch.object(code, "rows_of", wrong), pytest.raises(InputError, match="a worker"):
            made.word.rows([3, 9])
