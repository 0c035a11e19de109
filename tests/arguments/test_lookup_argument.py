"""Lookups: honest ones in many layouts, and every kind of value outside a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from field_oracle import extension, pair

from zktrain.arguments import lookup
from zktrain.arguments.lookup import Entry
from zktrain.errors import LookupMismatch, MalformedProof, SumcheckMismatch
from zktrain.field import multilinear as ml
from zktrain.field.extension import Ext, Point
from zktrain.prover.arguments import lookup as prover_lookup
from zktrain.prover.arguments.lookup import Values
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.tables import TABLES
from zktrain.tables.exp import exp_table
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

Counts = dict[str, np.ndarray]


def indicator(real: int) -> Callable[[Point], Ext]:
    return lambda point: ml.less_than(point, real)


def make(
    kind: str, name: str, log_size: int, seed: int, *, real: int | None = None
) -> tuple[Entry, Values]:
    """Random values inside a table; ``real`` cells, the others padding where the table has it."""
    rng = np.random.default_rng(seed)
    size = 1 << log_size
    real = size if real is None else real
    inside = (np.arange(size) < real).astype(np.uint8)
    if kind == "range16":
        cells = rng.integers(0, 1 << 16, size=size).astype(np.uint16)
        return Entry(kind, (name,), log_size), Values((cells,))
    if kind == "signed":
        cells = rng.integers(-(1 << 15), 1 << 15, size=size).astype(np.int16)
        return Entry("range16", (name,), log_size, 1 << 15), Values((cells,))
    if kind == "relu":
        z = rng.integers(-(1 << 15), 1 << 15, size=size).astype(np.int16)
        z[: size // 8] = 0
        return Entry(kind, (name, f"{name}.s"), log_size), Values((z, (z > 0).astype(np.uint8)))
    if kind == "byte":
        cells = (rng.integers(0, 256, size=size) * inside).astype(np.uint8)
        return Entry(kind, (name,), log_size, 0, indicator(real)), Values((cells, inside))
    at, before = exp_table()
    d = (rng.integers(0, (1 << 16) - 1, size=size) * inside).astype(np.int32)
    columns = (d, (at[d] * inside).astype(np.int16), (before[d] * inside).astype(np.int16), inside)
    names = (name, f"{name}.at", f"{name}.before")
    return Entry("exp", names, log_size, 0, indicator(real)), Values(columns)


Lookups = list[tuple[Entry, Values]]


def proof_of(
    lookups: Lookups, counts: Counts, memory: int | None = None
) -> tuple[bytes, list[lookup.ColumnClaim]]:
    channel = ProverChannel(Challenger("lookup"))
    entries, values = [e for e, _ in lookups], [v for _, v in lookups]
    claims = prover_lookup.prove(channel, "lookup", entries, values, counts, memory)
    return channel.proof(), claims


def check(lookups: Lookups, proof: bytes) -> list[lookup.ColumnClaim]:
    channel = VerifierChannel(Challenger("lookup"), proof)
    claims = lookup.verify(channel, "lookup", [e for e, _ in lookups])
    channel.finish()
    return claims


def honest_counts(lookups: Lookups) -> Counts:
    return prover_lookup.count_lookups([e for e, _ in lookups], [v for _, v in lookups])


def honest(lookups: Lookups) -> None:
    """Accepted, and every claim that remains is true of its column."""
    counts = honest_counts(lookups)
    proof, sent = proof_of(lookups, counts)
    claims = check(lookups, proof)
    assert claims == sent
    columns: dict[str, np.ndarray] = dict(counts)
    for entry, values in lookups:
        columns.update(zip(entry.columns, values.columns, strict=False))
    assert {name for name, _, _ in claims} == set(columns)
    for name, point, value in claims:
        cells = columns[name].tolist()
        assert len(cells) == 1 << len(point)
        if len(cells) <= 1 << 12:
            assert pair(value) == extension(cells, [pair(x) for x in point])


BYTE_LAYOUTS = [
    [0], [0, 0], [0, 0, 0], [1], [1, 0], [2, 1, 0, 0, 0], [8], [9], [9, 9], [9, 9, 0], [10],
    [10, 9, 0], [11, 0, 3], [12, 12, 1], [3, 5, 3, 9, 0, 7], [12, 11, 10], [13, 2],
]  # fmt: skip


@pytest.mark.parametrize("logs", BYTE_LAYOUTS, ids=str)
def test_bytes_in_many_layouts(logs: list[int]) -> None:
    lookups = [make("byte", f"v{i}", n, i, real=(3 << n) // 4 or 1) for i, n in enumerate(logs)]
    honest(lookups)


@pytest.mark.parametrize(
    "kinds",
    [
        [("range16", 0)],
        [("range16", 4), ("signed", 4)],
        [("relu", 3), ("range16", 3)],
        [("exp", 5)],
        [("range16", 6), ("relu", 6), ("exp", 4), ("byte", 2), ("signed", 0), ("range16", 0)],
        [("range16", 16), ("signed", 16)],
        [("range16", 17), ("relu", 16), ("byte", 10)],
    ],
    ids=str,
)
def test_all_tables_together(kinds: list[tuple[str, int]]) -> None:
    numbered = enumerate(kinds)
    honest([make(kind, f"v{i}", n, i, real=(3 << n) // 4 or 1) for i, (kind, n) in numbered])


@pytest.mark.parametrize("zero_scale", [False, True])
@pytest.mark.parametrize(
    "kinds",
    [
        [("range16", 12)],
        [("range16", 6), ("relu", 6), ("exp", 4), ("byte", 3), ("signed", 2), ("range16", 0)],
        [("relu", 13), ("range16", 13), ("signed", 12), ("byte", 3)],
        [("exp", 5), ("signed", 3)],
        [("range16", 2)],
    ],
    ids=str,
)
def test_leaves_that_are_never_stored_give_the_same_proof(
    kinds: list[tuple[str, int]], zero_scale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the unlikely case that ``lambda``, by which their tables are divided, is 0."""
    numbered = enumerate(kinds)
    lookups = [make(kind, f"v{i}", n, i, real=(3 << n) // 4 or 1) for i, (kind, n) in numbered]
    if zero_scale:
        drawn = Challenger.element

        def element(self: Challenger, label: str) -> Ext:
            value = drawn(self, label)
            return Ext(0) if label.endswith("/lambda") else value

        monkeypatch.setattr(Challenger, "element", element)
    proofs = []
    for limit in (1, 1 << 40):
        monkeypatch.setattr(prover_lookup, "UNWRITTEN_PAIRS", limit)
        proofs.append(proof_of(lookups, honest_counts(lookups)))
    assert proofs[0] == proofs[1]
    assert check(lookups, proofs[0][0]) == proofs[0][1]


def partly(kind: str, name: str, log_size: int, live: int, seed: int) -> tuple[Entry, Values]:
    """The same with ``live`` cells, all others 0."""
    entry, values = make(kind, name, log_size, seed, real=min(live, (3 << log_size) // 4 or 1))
    for column in values.columns:
        column[live:] = 0
    return replace(entry, live=live), values


def random_layout(seed: int) -> Lookups:
    """Columns of any size, of which any number of cells is looked up."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(int(rng.integers(1, 9))):
        kind = ["byte", "range16", "signed", "relu", "exp"][int(rng.integers(0, 5))]
        log = int(rng.integers(0, 14))
        live = 1 << log if rng.random() < 0.3 else int(rng.integers(1, (1 << log) + 1))
        if rng.random() < 0.3:
            live = max(1, live >> 6 << 6)
        out.append(partly(kind, f"v{i}", log, live, seed + i))
    return out


@pytest.mark.parametrize("seed", range(12))
def test_some_cells_live_in_any_memory(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = random_layout(seed)
    honest(lookups)
    counts = honest_counts(lookups)
    stored = proof_of(lookups, counts)
    monkeypatch.setattr(prover_lookup, "UNWRITTEN_PAIRS", 1)
    for memory in (None, 1 << 18, 1 << 15, 1 << 11, 0):
        assert proof_of(lookups, counts, memory) == stored
    short = [  # nothing behind the live cells
        (entry, Values(tuple(column[: entry.cells] for column in values.columns)))
        for entry, values in lookups
    ]
    assert proof_of(short, honest_counts(short)) == stored


@pytest.mark.parametrize("memory", [1 << 22, 1 << 16, 1 << 12])
def test_large_columns_with_few_live_cells(memory: int) -> None:
    """Gaps between runs that are never stored, and unit fractions in several runs."""
    lookups = [
        partly("range16", "a", 16, 3 << 14, 1),
        partly("relu", "b", 16, 1 << 15, 2),
        partly("exp", "c", 15, 5 << 10, 3),
        partly("byte", "d", 12, 3, 4),
    ]
    counts = honest_counts(lookups)
    stored = proof_of(lookups, counts)
    assert proof_of(lookups, counts, memory) == stored
    assert check(lookups, stored[0]) == stored[1]


def test_all_cells_live_is_the_same_as_none_said() -> None:
    lookups = [make("range16", "v", 9, 1), make("byte", "w", 6, 2, real=40)]
    whole = [(replace(entry, live=1 << entry.log_size), values) for entry, values in lookups]
    proof, claims = proof_of(lookups, honest_counts(lookups))
    assert proof_of(whole, honest_counts(whole)) == (proof, claims)
    assert check(whole, proof) == claims


def test_memory_maps_are_read(tmp_path: Path) -> None:
    lookups = [partly("range16", "v", 14, 9000, 1), partly("relu", "w", 13, 5000, 2)]
    counts, mapped = honest_counts(lookups), []
    for number, (entry, values) in enumerate(lookups):
        columns = []
        for k, column in enumerate(values.columns):
            path = tmp_path / f"{number}.{k}.npy"
            np.save(path, column)
            columns.append(np.load(path, mmap_mode="r"))
        mapped.append((entry, Values(tuple(columns))))
    found = honest_counts(mapped)
    assert all(np.array_equal(found[name], counts[name]) for name in counts)
    assert proof_of(mapped, found, 1 << 14) == proof_of(lookups, counts)


@pytest.mark.parametrize("kind", ["range16", "byte"])
@pytest.mark.parametrize("live", [1, 300, 511])
def test_wrong_value_in_the_last_live_cell(kind: str, live: int) -> None:
    entry, values = partly(kind, "v", 9, live, 1)
    counts = honest_counts([(entry, values)])
    columns = [column.astype(np.int32) for column in values.columns]
    columns[0][live - 1] = 1 << 16
    lookups = [(entry, Values(tuple(columns)))]
    with pytest.raises(LookupMismatch, match="not zero"):
        check(lookups, proof_of(lookups, counts)[0])


@pytest.mark.parametrize("claimed", [1, 299, 301, 320, 512])
def test_other_cells_looked_up_than_the_live_ones(claimed: int) -> None:
    """Fewer, the last live one too; and more: a leaf that is not live with numerator 1."""
    entry, values = partly("range16", "v", 9, 300, 1)
    values.columns[0][min(claimed, 300) :] = 0
    lookups = [(replace(entry, live=claimed), values)]
    proof, _ = proof_of(lookups, honest_counts(lookups))
    check(lookups, proof)
    with pytest.raises(LookupMismatch, match="leaves of the tree"):
        check([(entry, values)], proof)


def test_the_last_live_cell_left_out_because_its_value_is_wrong() -> None:
    entry, values = partly("byte", "v", 9, 300, 1)
    columns = tuple(column[:299] for column in values.columns)
    left_out = [(replace(entry, live=299), Values(columns))]
    proof, _ = proof_of(left_out, honest_counts(left_out))
    with pytest.raises(LookupMismatch, match="leaves of the tree"):
        check([(entry, values)], proof)


def test_the_prover_sees_that_cells_behind_the_live_ones_are_not_0() -> None:
    entry, values = partly("range16", "v", 9, 300, 1)
    counts = honest_counts([(entry, values)])
    values.columns[0][-1] = 1
    with pytest.raises(ValueError, match="is not looked up is not 0"):
        proof_of([(entry, values)], counts)


@pytest.mark.parametrize("live", [0, -1, 9])
def test_so_many_cells_cannot_be_live(live: int) -> None:
    with pytest.raises(ValueError, match="cannot be looked up"):
        Entry("range16", ("v",), 3, live=live)


@pytest.mark.parametrize(
    ("log_size", "used", "lane_log", "cells"),
    [(10, 700, 8, 768), (10, 768, 8, 768), (10, 769, 8, 1024), (10, 3, 12, 1024), (6, 0, 4, 16)],
)
def test_live_cells_are_whole_lanes(log_size: int, used: int, lane_log: int, cells: int) -> None:
    assert lookup.live_cells(log_size, used, lane_log) == cells


def test_one_column_looked_up_twice() -> None:
    z = np.array([-5, 0, 7, 32767], dtype=np.int16)
    signs = (z > 0).astype(np.uint8)
    honest(
        [
            (Entry("relu", ("z", "s"), 2), Values((z, signs))),
            (Entry("range16", ("z",), 2, 1 << 15), Values((z,))),
        ]
    )


def test_counts_are_those_of_the_rows() -> None:
    lookups = [make("byte", "v", 4, 1, real=11), make("relu", "z", 5, 2)]
    counts = honest_counts(lookups)
    assert set(counts) == {"multiplicity.byte", "multiplicity.relu"}
    cells = lookups[0][1].columns[0].tolist()[:11]
    expected = [cells.count(v) for v in range(256)]
    assert counts["multiplicity.byte"].tolist() == [*expected, 5, *[0] * 255]
    z = lookups[1][1].columns[0].tolist()
    found = counts["multiplicity.relu"]
    assert found.sum() == 32 and all(found[v + (1 << 15)] == z.count(v) for v in z)


def test_leaf_count_adds_the_tables() -> None:
    entries = [e for e, _ in (make("byte", "v", 4, 1), make("range16", "w", 0, 1))]
    assert lookup.leaf_count(entries) == 16 + 512 + 1 + (1 << 16)
    entries[0] = replace(entries[0], live=11)
    assert lookup.leaf_count(entries) == 16 + 512 + 1 + (1 << 16)
    assert lookup.live_count(entries) == 11 + 512 + 1 + (1 << 16)


def test_honest_counting_refuses_values_outside() -> None:
    for kind, value in (("range16", 1 << 16), ("range16", -1), ("signed", 1 << 15)):
        entry, values = make(kind, "v", 2, 1)
        cells = values.columns[0].astype(np.int32)
        cells[1] = value
        with pytest.raises(ValueError, match="outside its table"):
            honest_counts([(entry, Values((cells,)))])


def cheat(
    kind: str, at: int, cells: tuple[int, ...], *, log_size: int = 3
) -> tuple[Lookups, Counts]:
    """Real values except for one row, and the counts of the real values."""
    entry, values = make(kind, "v", log_size, 3, real=6)
    counts = honest_counts([(entry, values)])
    columns = [column.astype(np.int32) for column in values.columns]
    for column, cell in zip(columns, cells, strict=False):
        column[at] = cell
    return [(entry, Values(tuple(columns)))], counts


AT, BEFORE = exp_table()
WRONG: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "2^16 in range16": ("range16", 2, (1 << 16,)),
    "-1 in range16": ("range16", 0, (-1,)),
    "another value than counted": ("range16", 7, (12345,)),
    "2^15 as signed": ("signed", 1, (1 << 15,)),
    "-2^15-1 as signed": ("signed", 1, (-(1 << 15) - 1,)),
    "positive with bit 0": ("relu", 3, (5, 0)),
    "negative with bit 1": ("relu", 3, (-5, 1)),
    "zero with bit 1": ("relu", 3, (0, 1)),
    "bit of 2": ("relu", 3, (5, 2)),
    "bit of -1": ("relu", 3, (-5, -1)),
    "relu beyond 16 bits": ("relu", 3, (1 << 15, 1)),
    "wrong exponential": ("exp", 2, (100, int(AT[100]) + 1, int(BEFORE[100]))),
    "wrong exponential before": ("exp", 2, (100, int(AT[100]), int(BEFORE[100]) - 1)),
    "exponential of another row": ("exp", 2, (100, int(AT[101]), int(BEFORE[101]))),
    "negative distance": ("exp", 2, (-1, int(BEFORE[0]), 16448)),
    "distance 2^16 - 1": ("exp", 2, ((1 << 16) - 1, 0, 0)),
    "distance 2^16": ("exp", 2, (1 << 16, 0, 0)),
    "padding row in a real cell": ("exp", 2, (0, 0, 0)),
    "distance in a padded cell": ("exp", 7, (1, 0, 0)),
    "exponential in a padded cell": ("exp", 7, (0, int(AT[0]), int(BEFORE[0]))),
    "256 as a byte": ("byte", 2, (256,)),
    "-1 as a byte": ("byte", 2, (-1,)),
    "byte in a padded cell": ("byte", 7, (1,)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values(name: str) -> None:
    lookups, counts = cheat(*WRONG[name])
    proof, _ = proof_of(lookups, counts)
    with pytest.raises(LookupMismatch, match="not zero"):
        check(lookups, proof)


@pytest.mark.parametrize("log_size", [0, 1, 9, 10, 12])
def test_wrong_value_in_tensors_of_any_size(log_size: int) -> None:
    lookups, counts = cheat("byte", (1 << log_size) // 2, (300,), log_size=log_size)
    proof, _ = proof_of(lookups, counts)
    with pytest.raises(LookupMismatch):
        check(lookups, proof)


def test_wrong_value_counted_as_another_row() -> None:
    """No count can stand for a value that is in no row."""
    for row in (0, 255, 256, 511):
        lookups, counts = cheat("byte", 2, (256,))
        counts["multiplicity.byte"][row] += 1
        proof, _ = proof_of(lookups, counts)
        with pytest.raises(LookupMismatch):
            check(lookups, proof)


def test_value_counted_in_another_table() -> None:
    """300 is in range16 but no byte: table numbers keep the rows apart."""
    byte, values = make("byte", "v", 2, 1)
    other = make("range16", "w", 2, 1)
    counts = honest_counts([(byte, values), other])
    old = int(values.columns[0][1])
    columns = (values.columns[0].astype(np.int32), values.columns[1])
    columns[0][1] = 300
    counts["multiplicity.byte"][old] -= 1
    counts["multiplicity.range16"][300] += 1
    lookups = [(byte, Values(columns)), other]
    proof, _ = proof_of(lookups, counts)
    with pytest.raises(LookupMismatch):
        check(lookups, proof)


@pytest.mark.parametrize("change", [1, -1])
@pytest.mark.parametrize("row", [0, 100, 256, 511])
def test_wrong_multiplicities(row: int, change: int) -> None:
    lookups = [make("byte", "v", 6, 1, real=40)]
    counts = honest_counts(lookups)
    counts["multiplicity.byte"][row] += change
    proof, _ = proof_of(lookups, counts)
    with pytest.raises(LookupMismatch):
        check(lookups, proof)


@pytest.mark.parametrize("real", [0, 5, 7, 8])
def test_indicator_is_the_public_one(real: int) -> None:
    """The prover treats another number of cells as real than the statement does: 6."""
    entry, _ = make("byte", "v", 3, 4, real=6)
    cells = np.array([9, 8, 7, 6, 5, 4, 3, 2], dtype=np.uint8)
    claimed = (np.arange(8) < real).astype(np.uint8)
    lookups = [(entry, Values((cells * claimed, claimed)))]
    proof, _ = proof_of(lookups, honest_counts(lookups))
    with pytest.raises(LookupMismatch, match="leaves of the tree"):
        check(lookups, proof)


@pytest.fixture(scope="module")
def accepted() -> tuple[Lookups, bytes]:
    lookups = [make("byte", "v", 10, 1, real=700), make("byte", "w", 3, 2), make("byte", "u", 0, 3)]
    return lookups, proof_of(lookups, honest_counts(lookups))[0]


def test_root_of_zeros(accepted: tuple[Lookups, bytes]) -> None:
    lookups, proof = accepted
    with pytest.raises(LookupMismatch, match="key is zero"):
        check(lookups, bytes(64) + proof[64:])


def test_root_made_up(accepted: tuple[Lookups, bytes]) -> None:
    """Fractions 1/1 and -1/1 add up to zero, but are not the root of this tree."""
    lookups, proof = accepted
    one, minus = (1).to_bytes(16, "little"), (2**64 - 2**32).to_bytes(16, "little")
    with pytest.raises(SumcheckMismatch):
        check(lookups, one + minus + one + one + proof[64:])


def test_wrong_column_values(accepted: tuple[Lookups, bytes]) -> None:
    """The last part of the proof are the values of three columns and the multiplicities."""
    lookups, proof = accepted
    for at in range(len(proof) - 64, len(proof), 8):
        wrong = bytearray(proof)
        wrong[at] ^= 1
        with pytest.raises(LookupMismatch, match="leaves of the tree"):
            check(lookups, bytes(wrong))


def test_a_changed_bit_anywhere(accepted: tuple[Lookups, bytes]) -> None:
    lookups, proof = accepted
    for at in range(0, len(proof), 16):
        wrong = bytearray(proof)
        wrong[at] ^= 1
        with pytest.raises((LookupMismatch, SumcheckMismatch)):
            check(lookups, bytes(wrong))


def test_truncated_and_extended(accepted: tuple[Lookups, bytes]) -> None:
    lookups, proof = accepted
    for keep in (0, 63, len(proof) // 2, len(proof) - 1):
        with pytest.raises(MalformedProof):
            check(lookups, proof[:keep])
    with pytest.raises(MalformedProof):
        check(lookups, proof + bytes(16))


def test_proof_of_another_layout(accepted: tuple[Lookups, bytes]) -> None:
    lookups, proof = accepted
    for other in (lookups[:2], lookups[::-1], [make("byte", "v", 11, 1), *lookups[1:]]):
        with pytest.raises((LookupMismatch, SumcheckMismatch, MalformedProof)):
            check(other, proof)


def test_tables_are_taken_in_the_order_of_their_numbers() -> None:
    build = partial(make, log_size=1, seed=1)
    entries = [build(kind, f"v{i}")[0] for i, kind in enumerate(("byte", "exp", "relu", "range16"))]
    names = lookup.tables_of(entries)
    assert [TABLES[name].number for name in names] == [0, 1, 2, 3]
