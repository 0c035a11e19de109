"""Run by ``test_cuda_twins`` and ``scripts/gpu_check.py``: every twin against Python integers and
against the CPU's kernel, on a CUDA device, in the CUDA simulator or on ``one_thread_device``.

    python cuda_twins.py [CHECK ...]

Prints what was found equal, and its seconds, or that it failed; all of it is checked."""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
import traceback
import warnings

import field_oracle as oracle
import numpy as np
from field_oracle import EDGES, WORST, P, Pair, pair, pairs, random_pairs, residues
from numba import cuda

from zktrain.field.extension import Ext
from zktrain.field.goldilocks import bit_reverse
from zktrain.prover.kernels import device, field, fractions, grids, ntt, sha256, sumcheck, unwritten
from zktrain.prover.kernels.cuda import field as field_twin
from zktrain.prover.kernels.cuda import fractions as fractions_twin
from zktrain.prover.kernels.cuda import grid, scalars
from zktrain.prover.kernels.cuda import grids as grids_twin
from zktrain.prover.kernels.cuda import ntt as ntt_twin
from zktrain.prover.kernels.cuda import sha256 as sha256_twin
from zktrain.prover.kernels.cuda import sumcheck as sumcheck_twin
from zktrain.prover.kernels.cuda import unwritten as unwritten_twin
from zktrain.prover.kernels.leaves import LeafBlock

RNG = np.random.default_rng(20)


@scalars.kernel
def _scalars(x, y, signed, out):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        out[0, i] = scalars.add(x[i], y[i])
        out[1, i] = scalars.sub(x[i], y[i])
        out[2, i] = scalars.mul(x[i], y[i])
        out[3, i] = scalars.from_signed(signed[i])


@scalars.kernel
def _products(x, out):  # type: ignore[no-untyped-def]
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        out[0, i], out[1, i] = scalars.ext_mul(x[i, 0], x[i, 1], x[i, 2], x[i, 3])


def scalar_functions() -> None:
    """On all pairs of edge values, and the extension's product on many of their quadruples."""
    x, y = zip(*itertools.product(EDGES, EDGES), strict=True)
    sizes = [v for v in (*EDGES[:12], 2**62) if v < 2**63]
    signed = [sign * v for v in sizes for sign in (1, -1)] * (1 + len(x) // len(sizes))
    signed = signed[: len(x)]
    out = grid.empty(4, len(x))
    sent = (grid.send(np.array(v, dtype=np.uint64)) for v in (x, y))
    grid.launch(_scalars, len(x), *sent, grid.send(np.array(signed, dtype=np.int64)), out)
    for total, difference, product, residue, a, b, v in zip(
        *grid.fetch(out).tolist(), x, y, signed, strict=True
    ):
        assert (total, difference, product) == ((a + b) % P, (a - b) % P, a * b % P)
        assert residue == v % P
    quadruples = RNG.choice(np.array(EDGES, dtype=np.uint64), size=(2000, 4)).tolist()
    quadruples += [[WORST] * 4, [P - 1] * 4]
    out = grid.empty(2, len(quadruples))
    sent = grid.send(np.array(quadruples, dtype=np.uint64))
    grid.launch(_products, len(quadruples), sent, out)
    for (a, b, c, d), found in zip(quadruples, pairs(grid.fetch(out)), strict=True):
        assert found == oracle.mul((a, b), (c, d))


def transforms() -> None:
    for log, lanes in ((0, 3), (1, 1), (2, 5), (3, 2), (6, 3)):
        matrix = residues(RNG, 1 << log, lanes)
        ours, theirs = matrix.copy(), matrix.copy()
        ntt_twin.transform(ours)
        ntt.transform(theirs)
        assert np.array_equal(ours, theirs)
        omega = pow(7, (P - 1) >> log, P)
        for lane, i in itertools.product(range(lanes), range(1 << log)):
            x = pow(omega, bit_reverse(i, log), P)
            value = sum(int(c) * pow(x, k, P) for k, c in enumerate(matrix[:, lane])) % P
            assert int(ours[i, lane]) == value


def folds() -> None:
    for size in (0, 2, 6, 300):
        table, challenge = residues(RNG, 2, size), (WORST, P - 1)
        ours = field_twin.fold(table, Ext(*challenge))
        assert np.array_equal(ours, field.fold(table, Ext(*challenge)))
        assert pairs(ours) == [line(pairs(table), i, challenge) for i in range(size // 2)]
    wide = residues(RNG, 2, 40)
    inner, target = wide[:, 10:30], wide[:, 30:]  # not contiguous
    expected = field.fold(inner, Ext(5, 7))
    assert field_twin.fold(inner, Ext(5, 7), target) is target
    assert np.array_equal(target, expected)
    wide.setflags(write=False)  # as arrays in files are
    assert np.array_equal(field_twin.fold(inner, Ext(5, 7)), field.fold(inner, Ext(5, 7)))
    assert np.array_equal(field_twin.fold(wide, Ext(5, 7)), field.fold(wide, Ext(5, 7)))


def line(cells: list[Pair], i: int, x: Pair) -> Pair:
    """Value at ``x`` of the line through two neighbouring cells."""
    slope = oracle.sub(cells[2 * i + 1], cells[2 * i])
    return oracle.add(cells[2 * i], oracle.mul(x, slope))


def round_messages() -> None:
    for count, size in itertools.product((2, 3), (2, 10, 260)):
        tables = tuple(residues(RNG, 2, size) for _ in range(count))
        ours = sumcheck_twin.round_message(tables)
        assert ours == sumcheck.round_message(tables)
        for x, got in zip((0, 2, 3), ours, strict=False):
            terms = []
            for i in range(size // 2):
                product = (1, 0)
                for table in tables:
                    product = oracle.mul(product, line(pairs(table), i, (x, 0)))
                terms.append(product)
            assert pair(got) == oracle.total(terms)


def as_pairs(factor: grids.Factor, cells: int) -> list[Pair]:
    if isinstance(factor, int):
        return [(factor, 0)] * cells
    return pairs(factor) if factor.ndim == 2 else [(v % P, 0) for v in factor.tolist()]


def spread(cells: list[Pair], variables: int, place: int, point: int) -> Pair:
    """The cells of a place on their lines."""
    first = place << variables
    found = cells[first : first + (1 << variables)]
    for _ in range(variables):
        found = [line(found, i, (point % 3, 0)) for i in range(len(found) // 2)]
        point //= 3
    return found[0]


def sums_at_points() -> None:
    for variables, size, chunks in ((1, 4, 2), (2, 1, 3), (2, 4, 2)):
        cells = size * chunks << variables
        small = (RNG.integers(-40, 40, cells).astype(np.int16), RNG.integers(0, 9, cells))
        small = (small[0], small[1].astype(np.uint8))
        wide = (residues(RNG, 2, cells), residues(RNG, 2, cells))
        for (a, e), weighted in itertools.product((wide, (7, wide[1]), small), (True, False)):
            if not weighted and a is small[0]:
                continue  # integers have a lower weight
            weights = [
                (residues(RNG, 2, size) if weighted else None, residues(RNG, 2, chunks))
                for _ in range(2)
            ]
            ours = grids_twin.grid(a, e, variables, weights)
            assert ours == grids.grid(a, e, variables, weights)
            left, right = as_pairs(a, cells), as_pairs(e, cells)
            for (low, high), points in zip(weights, ours, strict=True):
                for point, found in enumerate(points):
                    terms = []
                    for place in range(size * chunks):
                        term = oracle.mul(
                            spread(left, variables, place, point),
                            spread(right, variables, place, point),
                        )
                        if low is not None:
                            term = oracle.mul(term, pairs(low)[place % size])
                        terms.append(oracle.mul(term, pairs(high)[place // size]))
                    assert pair(found) == oracle.total(terms)
    for size in (0, 4, 120):
        values = RNG.integers(-(2**17), 2**17, size).astype(np.int32)
        weights_ = residues(RNG, 2, 4)
        ours_ = grids_twin.fold_quads(values, weights_)
        assert np.array_equal(ours_, grids.fold_quads(values, weights_))
        for i, found in enumerate(pairs(ours_)):
            quad = [(v % P, 0) for v in values[4 * i : 4 * i + 4].tolist()]
            assert found == oracle.total(map(oracle.mul, quad, pairs(weights_)))


def leaves_of(pairs_wanted: int) -> tuple[unwritten.Leaves, list[Pair]]:
    """Leaves in blocks of one and two columns, and their keys."""
    blocks, keys = [], []
    first = pairs_wanted // 8 * 4
    for base, size, width in ((0, first, 1), (first, pairs_wanted - first, 2)):
        if not size:
            continue
        kinds = (np.int16, np.uint8)[:width]
        columns = [
            RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, 2 * size, kind, endpoint=True)
            for kind in kinds
        ]
        constant, factor = random_pairs(RNG, 2)
        factors = [(1, 0), factor][:width]
        coefficients = [Ext(*f) for f in factors]
        blocks.append(LeafBlock(base, columns, coefficients, Ext(*constant)))
        for row in zip(*(column.tolist() for column in columns), strict=True):
            key = constant
            for value, by in zip(row, factors, strict=True):
                key = oracle.sub(key, oracle.mul(by, (value % P, 0)))
            keys.append(key)
    return unwritten.Leaves(blocks), keys


def one_plus(scale: Pair, cells: list[Pair]) -> list[Pair]:
    return [oracle.add((1, 0), oracle.mul(scale, q)) for q in cells]


def unwritten_leaves() -> None:
    for count in (4, 70):
        found, keys = leaves_of(count)
        challenge, scale = random_pairs(RNG, 2)
        ours = unwritten_twin.leaves_fold(found, [Ext(*challenge)], Ext(*scale))
        for table, own in zip(ours, (keys[0::2], keys[1::2]), strict=True):
            units = one_plus(scale, own)
            assert pairs(table) == [line(units, i, challenge) for i in range(count // 2)]
        for table, theirs in zip(ours, found.fold([Ext(*challenge)], Ext(*scale)), strict=True):
            assert np.array_equal(table, theirs)


def unwritten_parents() -> None:
    """The same as of the layer when it is stored."""
    none = np.zeros((2, 0), dtype=np.uint64)
    for count, stored in ((4, 0), (8, 3), (72, 10)):
        found, _ = leaves_of(count)
        layer = found.parents()
        even, odd = fractions.combine(none, none, none, none, found)
        challenge, scale = (Ext(*value) for value in random_pairs(RNG, 2))
        s = even[:2].copy()
        field.add_scaled(s, scale, even[2:])
        tables = (s, odd[:2], even[2:], odd[2:])

        parts = tuple(residues(RNG, 2, stored) for _ in range(4))
        ours = fractions_twin.combine(*parts, layer)
        whole = [np.concatenate(pair, axis=1) for pair in zip(
            (even[:2], odd[:2], even[2:], odd[2:]), parts, strict=True)]  # fmt: skip
        for mine, theirs, plain in zip(
            ours, fractions.combine(*parts, layer), fractions.combine(*whole), strict=True
        ):
            assert np.array_equal(mine, theirs) and np.array_equal(mine, plain)

        parts = tuple(part[:, : stored // 2 * 2] for part in parts)
        whole = tuple(np.concatenate(pair, axis=1) for pair in zip(tables, parts, strict=True))
        variables = (whole[0].shape[1] // 2 + 3).bit_length()
        weights = fractions.weight_tables(tuple(Ext(*r) for r in random_pairs(RNG, variables)))
        sums = fractions_twin.round_sums((none, none), parts, scale, weights, 4, layer)
        assert sums == fractions.round_sums((none, none), parts, scale, weights, 4, layer)
        assert sums == fractions.round_sums((none, none), whole, scale, weights, 4)

        half = layer.pairs // 2
        out = tuple(np.full((2, half + 1), 5, dtype=np.uint64) for _ in range(4))
        unwritten_twin.parents_fold(layer, [challenge], scale, out)
        for ours_, table in zip(out, tables, strict=True):
            assert np.array_equal(ours_[:, :half], field.fold(table, challenge))
            assert ours_[:, half].tolist() == [5, 5]


def layers() -> None:
    for stored, units in ((1, 0), (2, 0), (0, 2), (7, 4), (9, 8), (40, 0), (3, 70)):
        tables = tuple(residues(RNG, 2, stored) for _ in range(4))
        found, keys = leaves_of(units) if units else (None, [])
        ours = fractions_twin.combine(*tables, found)
        for mine, theirs in zip(ours, fractions.combine(*tables, found), strict=True):
            assert np.array_equal(mine, theirs)
        pe, po, qe, qo = map(pairs, tables)
        parents = []
        for p0, p1, q0, q1 in zip(
            [(1, 0)] * units + pe, [(1, 0)] * units + po, keys[0::2] + qe, keys[1::2] + qo,
            strict=True,
        ):  # fmt: skip
            top = oracle.add(oracle.mul(p0, q1), oracle.mul(p1, q0))
            parents.append((*top, *oracle.mul(q0, q1)))
        if len(parents) % 2:
            parents.append((0, 0, 1, 0))
        assert [tuple(row) for row in ours[0].T.tolist()] == parents[0::2]
        assert [tuple(row) for row in ours[1].T.tolist()] == parents[1::2]


def layer_rounds() -> None:
    scale = (WORST, P - 1)
    for units, stored, lazy in (
        (0, 2, 0),
        (2, 0, 0),
        (2, 4, 0),
        (50, 90, 0),
        (4, 2, 1),
        (70, 6, 1),
    ):
        parts = tuple(residues(RNG, 2, stored) for _ in range(4))
        found, keys = leaves_of(units) if lazy else (None, random_pairs(RNG, 2 * units))
        u, v = keys[0::2], keys[1::2]
        tables = tuple(oracle.array([] if lazy else one_plus(scale, q)) for q in (u, v))
        rest = random_pairs(RNG, ((units + stored) // 2 - 1).bit_length())
        weights = fractions.weight_tables(tuple(Ext(*r) for r in rest))
        arguments = (tables, parts, Ext(*scale), weights, 0, found)
        ours = fractions_twin.round_sums(*arguments)
        assert ours == fractions.round_sums(*arguments)
        s, p1, q0, q1 = map(pairs, parts)
        at = []
        for x in (0, 1, 2):
            terms = []
            for i in range(units // 2):
                a, b = line(u, i, (x, 0)), line(v, i, (x, 0))
                g = oracle.add(oracle.add(a, b), oracle.mul(scale, oracle.mul(a, b)))
                terms.append(oracle.mul(oracle.equality(rest, i), g))
            for i in range(stored // 2):
                a, b, c, d = (line(table, i, (x, 0)) for table in (q1, s, q0, p1))
                g = oracle.add(oracle.mul(a, b), oracle.mul(c, d))
                terms.append(oracle.mul(oracle.equality(rest, units // 2 + i), g))
            at.append(oracle.total(terms))
        at0, lead = map(pair, ours)
        second_difference = oracle.sub(oracle.add(at[2], at[0]), oracle.add(at[1], at[1]))
        assert at0 == at[0] and oracle.add(lead, lead) == second_difference


def leaf_hashes() -> None:
    prefix = bytes(range(64))
    for count, cells, salted in ((1, 1, 0), (3, 6, 0), (2, 7, 0), (5, 8, 4), (140, 2, 1)):
        rows = RNG.integers(0, 2**64, size=(count, cells), dtype=np.uint64)
        salts = RNG.integers(0, 2**64, size=(count, salted), dtype=np.uint64) if salted else None
        ours = sha256_twin.hash_rows(rows, prefix, salts)
        assert np.array_equal(ours, sha256.hash_rows(rows, prefix, salts))
        whole = rows if salts is None else np.concatenate((rows, salts), axis=1)
        for message, digest in zip(whole.astype("<u8"), ours.astype("<u8"), strict=True):
            assert hashlib.sha256(prefix + message.tobytes()).digest() == digest.tobytes()


def large_work() -> None:
    """Many blocks, and more pairs than threads; against the CPU's kernels alone."""
    size = 1 << (4 if scalars.SIMULATED else 17)
    tables = tuple(residues(RNG, 2, 2 * size + 12) for _ in range(4))
    point, scale = (Ext(*value) for value in random_pairs(RNG, 2))
    assert np.array_equal(field_twin.fold(tables[0], point), field.fold(tables[0], point))
    for count in (2, 3):
        factors = tables[:count]
        assert sumcheck_twin.round_message(factors) == sumcheck.round_message(factors)
    for log, lanes in ((size.bit_length() - 3, 9), (3, size // 8 + 1)):
        ours, theirs = (m.copy() for m in [residues(RNG, 1 << log, lanes)] * 2)
        ntt_twin.transform(ours)
        ntt.transform(theirs)
        assert np.array_equal(ours, theirs)
    rows, salts = (residues(RNG, size // 4 + 3, cells) for cells in (33, 4))
    hashed = (rows, bytes(64), salts)
    assert np.array_equal(sha256_twin.hash_rows(*hashed), sha256.hash_rows(*hashed))
    weights = [(residues(RNG, 2, size // 8), residues(RNG, 2, 8))]
    arguments = (tables[0][:, : 2 * size], tables[1][:, : 2 * size], 1, weights)
    assert grids_twin.grid(*arguments) == grids.grid(*arguments)
    found, _ = leaves_of(size)
    none = (np.zeros((2, 0), dtype=np.uint64),) * 2
    for layer in (found, found.parents()):
        for mine, theirs in zip(
            fractions_twin.combine(*tables, layer), fractions.combine(*tables, layer), strict=True
        ):
            assert np.array_equal(mine, theirs)
        variables = ((layer.pairs + tables[0].shape[1]) // 2).bit_length()
        weights = fractions.weight_tables(tuple(Ext(*r) for r in random_pairs(RNG, variables)))
        arguments = (none, tables, scale, weights, 0, layer)
        assert fractions_twin.round_sums(*arguments) == fractions.round_sums(*arguments)
    for mine, theirs in zip(
        unwritten_twin.leaves_fold(found, [point, scale], scale),
        found.fold([point, scale], scale),
        strict=True,
    ):
        assert np.array_equal(mine, theirs)


CHECKS = [scalar_functions, transforms, folds, round_messages, unwritten_leaves]
CHECKS += [sums_at_points, unwritten_parents, layers, layer_rounds, leaf_hashes, large_work]


def main(names: list[str]) -> int:
    """The exit code."""
    failed = 0
    # The last one: threads stride, and partial sums are gathered.
    grids = [(128, 1 << 15, 1 << 9), (8, 40, 16)] if device.has_cuda() else [(1, 1, 1)]
    for grid.BLOCK, grid.MOST_THREADS, grid._FEW in [(8, 40, 16)] if scalars.SIMULATED else grids:
        for check in CHECKS:
            if names and check.__name__ not in names:
                continue
            started = time.perf_counter()
            try:
                check()
            except Exception:
                failed += 1
                print(check.__name__, "failed", flush=True)
                print(f"{check.__name__} failed with blocks of {grid.BLOCK}:", file=sys.stderr)
                traceback.print_exc()
            else:
                print(check.__name__, round(time.perf_counter() - started, 2), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)  # words wrap
    sys.exit(main(sys.argv[1:]))
