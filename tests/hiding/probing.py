"""What the hiding tests share: challenges fixed in advance, randomness under control, and the
linear algebra over F_p that tells whether revealed values depend on a witness.

With challenges fixed, what a prover reveals is affine in its witness and its randomness: ``base +
A_w w + A_r r``. The columns of both matrices are found by running the prover again with one cell
changed by 1. Revealed values are independent of the witness, but for public claims ``C w``, iff
every combination ``y`` with ``y A_r = 0`` has ``y A_w`` in the row space of ``C``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zktrain.field import extension as ext
from zktrain.field import goldilocks as gl
from zktrain.field.extension import Ext, ExtVec
from zktrain.field.goldilocks import P
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.kernels.arithmetic import kernel, mul, sub
from zktrain.prover.randomness import Randomness
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.scratch import IN_MEMORY, Scratch
from zktrain.transcript.challenger import Challenger, Trace

Cells = NDArray[np.uint64]


class Frozen(Challenger):
    """A programmed random oracle: a challenge depends on its label and on how many with this label
    came before, and on nothing that was absorbed. ``fixed`` elements replace some by label; of the
    requests for positions, number ``generous`` is answered with one more than was asked for."""

    def __init__(
        self,
        seed: str,
        trace: Trace | None = None,
        fixed: dict[str, Ext] | None = None,
        generous: int | None = None,
    ) -> None:
        super().__init__(seed, trace)
        self.name = self._seed = seed
        self._positions = 0
        self._generous = generous
        self._asked: Counter[str] = Counter()
        self._fixed = fixed or {}

    def absorb(self, label: str, data: bytes) -> None:
        if self.trace is not None:
            self.trace.append(("absorb", label, len(data)))

    def elements(self, label: str, count: int) -> list[Ext]:
        if label in self._fixed:
            return [self._fixed[label]] * count
        return super().elements(label, count)

    def distinct_indices(self, label: str, count: int, bound: int) -> list[int]:
        more = self._positions == self._generous
        self._positions += 1
        return super().distinct_indices(label, count + more, bound)

    def _advance(self, label: str) -> bytes:
        self._asked[label] += 1
        return hashlib.sha256(f"{self._seed}\0{label}\0{self._asked[label]}".encode()).digest()


def uniform(seed: str, count: int) -> Cells:
    """Reproducible cells below p."""
    words = np.frombuffer(hashlib.shake_256(seed.encode()).digest(8 * count), dtype="<u8")
    return words.astype(np.uint64) % np.uint64(P)


Draw = tuple[int, int, tuple[int, ...]]
"""First cell, end, shape."""


class Tape(Randomness):
    """Hands out the cells of a tape that grows as needed, and notes each request: ``draws`` has
    first and last cell and shape. ``changes`` are added to some cells."""

    def __init__(self, changes: dict[int, int] | None = None) -> None:
        self.draws: list[Draw] = []
        self._changes = changes or {}

    @property
    def length(self) -> int:
        return self.draws[-1][1] if self.draws else 0

    def cells(self, *shape: int, scratch: Scratch = IN_MEMORY) -> Cells:
        first = self.length
        stop = first + int(np.prod(shape))
        out = uniform(f"tape {len(self.draws)}", stop - first)
        self.draws.append((first, stop, shape))
        for at, change in self._changes.items():
            if first <= at < stop:
                out[at - first] = (int(out[at - first]) + change) % P
        return out.reshape(shape)


Reveal = Callable[[NDArray[np.int64], Tape], Cells]
"""All revealed cells, flat, for a witness and randomness."""


@dataclass(frozen=True)
class Revealed:
    """The affine map: ``witness`` is ``A_w`` and ``random`` is ``A_r``, one row per revealed cell;
    ``draws`` says which columns of ``A_r`` belong to which request of the prover."""

    witness: Cells
    random: Cells
    draws: list[Draw]

    def without(self, *draws: int) -> Revealed:
        """As if these requests had been answered with constants."""
        return self.fixed(k for number in draws for k in range(*self.draws[number][:2]))

    def fixed(self, columns: Iterable[int]) -> Revealed:
        """As if these random cells had been constants."""
        return Revealed(self.witness, np.delete(self.random, list(columns), axis=1), [])

    def more(self, witness: Cells, random: Cells) -> Revealed:
        """With further revealed values."""
        return Revealed(
            np.concatenate([self.witness, witness]),
            np.concatenate([self.random, random]),
            self.draws,
        )

    def leak(self, public: Cells | None = None) -> int:
        """Dimension of what is revealed of the witness, free of randomness, beyond the functionals
        ``public (claims, cells of the witness)``."""
        rows, known = np.concatenate([self.random, self.witness], axis=1), 0
        if public is not None:
            left = np.zeros((len(public), self.random.shape[1]), dtype=np.uint64)
            rows = np.concatenate([rows, np.concatenate([left, public], axis=1)])
            known = rank(public)
        return rank(rows) - rank(self.random) - known


def reveal(
    run: Reveal, witness: NDArray[np.int64], salts: Callable[[Draw], bool] = lambda _: False
) -> Revealed:
    """The affine map of ``run``, checked to be affine at one more place. Cells of the requests that
    ``salts`` names are revealed as they are or not at all, and are found by one run together."""
    tape = Tape()
    base = run(witness, tape)
    columns = []
    for i in range(len(witness)):
        changed = witness.copy()
        changed[i] += 1
        columns.append(gl.sub(run(changed, Tape()), base))
    random = np.zeros((len(base), tape.length), dtype=np.uint64)
    salt_cells: dict[int, int] = {}
    for draw in tape.draws:
        if salts(draw):
            salt_cells |= {at: at + 1 for at in range(*draw[:2])}
            continue
        for at in range(*draw[:2]):
            random[:, at] = gl.sub(run(witness, Tape({at: 1})), base)
    changes = gl.sub(run(witness, Tape(salt_cells)), base)
    for row in np.nonzero(changes)[0]:
        random[row, int(changes[row]) - 1] = 1
    found = Revealed(np.stack(columns, axis=1), random, tape.draws)

    step = np.arange(1, len(witness) + 1, dtype=np.int64)
    at = run(witness + step, Tape({k: 2 * k + 1 for k in range(tape.length)}))
    steps = np.concatenate([step, 2 * np.arange(tape.length) + 1]).astype(np.uint64)
    both = np.concatenate([found.witness, found.random], axis=1)
    if not np.array_equal(at, gl.add(base, gl.total(gl.mul(both, steps[None, :])))):
        raise ValueError("what is revealed is not affine in witness and randomness")
    return found


@kernel
def _eliminate(row, pivot, at):  # type: ignore[no-untyped-def]
    factor = row[at]
    for k in range(at, row.shape[0]):
        if pivot[k] != 0:
            row[k] = sub(row[k], mul(factor, pivot[k]))


def rank(matrix: Cells) -> int:
    """Rank over F_p, by elimination of rows."""
    rows, found = matrix.copy(), 0
    for at in range(rows.shape[1]):
        (candidates,) = np.nonzero(rows[found:, at])
        if not len(candidates):
            continue
        weights = [int(np.count_nonzero(rows[found + k])) for k in candidates]
        chosen = found + int(candidates[int(np.argmin(weights))])
        rows[[found, chosen]] = rows[[chosen, found]]
        pivot = rows[found]
        inverse = np.uint64(pow(int(pivot[at]), -1, P))
        rows[found] = gl.mul(pivot, np.full_like(pivot, inverse))
        for k in np.nonzero(rows[found + 1 :, at])[0]:
            _eliminate(rows[found + 1 + k], rows[found], at)
        found += 1
        if found == len(rows):
            break
    return found


def functional_ext(coefficients: ExtVec) -> Cells:
    """``sum_i c_i x_i`` for elements of E given as all first, then all second coordinates."""
    a, b = coefficients
    times_x = ext.scale(coefficients, Ext(0, 1))
    return np.stack([np.concatenate([a, times_x[0]]), np.concatenate([b, times_x[1]])])


class _Keeping(ProverChannel):
    """A prover's channel that keeps the cells of every message that is no hash."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        self.cells: list[Cells] = []
        super().__init__(*args, **kwargs)

    def send_clear(self, label: str, values: list[Ext]) -> None:
        self.cells.append(ext.vector(values).T.reshape(-1))
        super().send_clear(label, values)

    def send_cells(self, label: str, cells: Cells) -> None:
        self.cells.append(np.ascontiguousarray(cells).reshape(-1))
        super().send_cells(label, cells)

    def revealed(self) -> Cells:
        return np.concatenate(self.cells)


class ClearRecorder(_Keeping):
    """Without pads."""


class Recorder(_Keeping, HidingProver):
    """With the real pads."""
