"""Sumchecks over pairs of factors: ``sum_x sum_g sum_k w_k(x) a_g(x) e_g(x)`` with weights that are
never laid out, since they are products of their variables or depend on the step alone.

A cell ``x`` has ``inner`` variables within its step, which are bound first, and those of the step.
The factors come in blocks, built when they are asked for. A pass builds one block after the other,
binds it by the challenges so far, and takes of it two messages at once (``kernels.grids``); as soon
as all bound factors fit in memory they are kept. Messages do not depend on that. What is left after
the inner variables is a ``sumcheck.ProductMachine`` over the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...field import extension as ext
from ...field import multilinear as ml
from ...field.extension import ONE, ZERO, Ext, ExtVec, Point
from ..kernels import field as kf
from ..kernels import integer_products
from ..kernels.grids import Weight as Factors
from ..kernels.grids import fold_quads, grid
from .sumcheck import ProductMachine, interpolate

LOW = 10
"""Variables of the lower part of a weight."""
KEPT = 32
"""Bytes of both factors, per bound cell."""

Factor = ExtVec | NDArray[Any] | int
"""An E vector ``(2, n)``, integers ``(n,)``, or one integer everywhere (of a first factor)."""
Pair = tuple[Factor, Factor]


class Weight(Protocol):
    """Of one term."""

    factor: Ext
    """The whole weight is multiplied by it."""

    def line(self, variable: int, x: Ext) -> Ext:
        """The factor that belongs to one of the inner variables, where it is ``x``."""
        ...

    def rest(self, bound: int, inner: int, first: int, cells: int) -> Factors:
        """The weight of the variables after ``bound``, for ``cells`` cells from ``first`` on, the
        factor apart: its lower and its higher part."""
        ...

    def steps(self, inner: int) -> ExtVec:
        """Of all steps, the inner variables and the factor apart."""
        ...


class EqWeight:
    """``factor eq(point, x)``."""

    def __init__(self, point: Point, factor: Ext) -> None:
        self._point = point
        self.factor = factor

    def line(self, variable: int, x: Ext) -> Ext:
        """See ``Weight``."""
        return ml.eq([self._point[variable]], [x])

    def rest(self, bound: int, inner: int, first: int, cells: int) -> Factors:
        """See ``Weight``."""
        middle = bound + min(LOW, _twos(first, cells), inner - bound)
        size = 1 << (middle - bound)
        low, high = self._point[bound:middle], self._point[middle:]
        return kf.eq_table(low), _eq_range(high, first // size, cells // size)

    def steps(self, inner: int) -> ExtVec:
        """See ``Weight``."""
        return kf.eq_table(self._point[inner:])


class StepWeight:
    """``values`` of the steps, ``(2, 2^log_steps)``."""

    def __init__(self, values: ExtVec) -> None:
        self._values = values
        self.factor = ONE

    def line(self, variable: int, x: Ext) -> Ext:
        """See ``Weight``."""
        return ONE

    def rest(self, bound: int, inner: int, first: int, cells: int) -> Factors:
        """See ``Weight``."""
        left = inner - bound
        size = 1 << min(LOW, _twos(first, cells), left)
        steps = np.arange(first, first + cells, size) >> left
        return None, np.ascontiguousarray(self._values[:, steps])

    def steps(self, inner: int) -> ExtVec:
        """See ``Weight``."""
        return self._values


def _twos(first: int, cells: int) -> int:
    """How often 2 divides both."""
    both = first | cells
    return (both & -both).bit_length() - 1


def _eq_range(point: Point, first: int, count: int) -> ExtVec:
    """``eq(point, x)`` for ``first <= x < first + count``."""
    low = min(len(point), (count - 1).bit_length())
    table = kf.eq_table(point[:low])
    out = np.zeros((2, count), dtype=np.uint64)
    size, done = 1 << low, 0
    while done < count:
        at = first + done
        start = at % size
        take = min(count - done, size - start)
        factor = ml.eq_index(point[low:], at >> low)
        kf.add_scaled(out[:, done : done + take], factor, table[:, start : start + take])
        done += take
    return out


@dataclass(frozen=True, slots=True)
class Block:
    """``cells`` cells from ``first`` on; ``build`` gives the pair of every group, one after the
    other. Integers are small (``integer_products.fit``)."""

    first: int
    cells: int
    build: Callable[[], Iterable[Pair]]


def kept_from(
    groups: int, cells: int, shared: int, memory: int | None, *, integers: bool = False
) -> int:
    """How many variables are bound before all pairs are kept: until they fit, or blocks of
    ``2^shared`` cells cannot be bound further; ``integers``, which grow when they are kept, at
    least two. There is a pass for every two of them, and one."""
    bound = 2 if integers and shared >= 2 else 0
    while memory is not None and KEPT * groups * (cells >> bound) > memory and shared - bound >= 2:
        bound += 2
    return bound


class PairMachine:
    """See above. ``groups`` are the weights of every pair, and ``tails`` what the second factors
    are in the steps after the last block, ``(2, 2^inner)``; first factors are 0 there.
    ``integers``: so are the factors, as a rule."""

    degree = 3

    def __init__(
        self,
        groups: Sequence[Sequence[Weight]],
        blocks: Sequence[Block],
        inner: int,
        log_steps: int,
        memory: int | None = None,
        tails: Sequence[ExtVec] = (),
        *,
        integers: bool = False,
    ) -> None:
        self.rounds = inner + log_steps
        self.passes = 0
        self._groups = groups
        self._blocks = list(blocks)
        self._inner = inner
        self._log_steps = log_steps
        self._tails = list(tails)
        last = max((block.first + block.cells for block in blocks), default=0)
        self._live = -(-last >> inner) << inner
        shared = min((_twos(b.first, b.cells) for b in blocks), default=inner)
        self._kept_from = kept_from(
            len(groups),
            self._live,
            min(inner, shared),
            memory,
            integers=integers and len(self._blocks) > 1,
        )
        self._known: list[Ext] = []
        self._prefixes = [[weight.factor for weight in group] for group in groups]
        self._grids: list[list[list[Ext]]] = []
        """Of every weight, the sums at ``X_1 + 3 X_2``; after a challenge, at ``X_2``."""
        self._kept: list[Pair] | None = None
        self._bound = 0
        """Challenges that what is kept is bound by."""
        self._product: ProductMachine | None = None

    def message(self) -> list[Ext]:
        if self._product is None and len(self._known) == self._inner:
            self._finish()
        if self._product is not None:
            return self._product.message()
        if not self._grids:
            self._pass()
        variable = len(self._known)
        out = [ZERO] * 3
        for group, prefixes, grids in zip(self._groups, self._prefixes, self._grids, strict=True):
            for weight, prefix, values in zip(group, prefixes, grids, strict=True):
                at = values
                if len(values) == 9:
                    sides = [weight.line(variable + 1, Ext(x)) for x in (0, 1)]
                    at = [sides[0] * values[x] + sides[1] * values[3 + x] for x in range(3)]
                at = [at[0], at[2], interpolate(at, Ext(3))]
                for place, x in enumerate((0, 2, 3)):
                    out[place] += prefix * weight.line(variable, Ext(x)) * at[place]
        return out

    def bind(self, challenge: Ext) -> None:
        if self._product is not None:
            self._product.bind(challenge)
            return
        variable = len(self._known)
        self._known.append(challenge)
        for group, prefixes in zip(self._groups, self._prefixes, strict=True):
            for place, weight in enumerate(group):
                prefixes[place] = prefixes[place] * weight.line(variable, challenge)
        left = [
            [_bound_grid(values, challenge) for values in grids if len(values) == 9]
            for grids in self._grids
        ]
        self._grids = left if any(left) else []

    def finals(self) -> list[tuple[Ext, ...]]:
        """After the last round: of every group the weights together, and both factors."""
        if self._product is None:
            self._finish()
        if self._product is None:
            raise RuntimeError("the inner variables are not bound")
        return self._product.finals()

    def _pass(self) -> None:
        bound = len(self._known)
        if self._kept is None and bound >= self._kept_from:
            self._keep()
        variables = min(2, self._inner - bound)
        if self._kept is not None:
            self._bind_kept()
            self._grids = self._sums(0, self._live >> bound, self._kept, variables)
            return
        self.passes += 1
        total: list[list[list[Ext]]] = []
        for block in self._blocks:
            pairs = (self._folded(pair, bound) for pair in block.build())
            found = self._sums(block.first >> bound, block.cells >> bound, pairs, variables)
            total = _added(total, found) if total else found
        self._grids = total

    def _sums(
        self, first: int, cells: int, pairs: Iterable[Pair], variables: int
    ) -> list[list[list[Ext]]]:
        bound, out = len(self._known) + variables, []
        for group, (a, e) in zip(self._groups, pairs, strict=True):
            factors = [
                weight.rest(bound, self._inner, first >> variables, cells >> variables)
                for weight in group
            ]
            out.append(grid(a, e, variables, factors))
        return out

    def _folded(self, pair: Pair, bound: int) -> Pair:
        a, e = (_bind(factor, self._known[:bound]) for factor in pair)
        return a, e

    def _keep(self) -> None:
        """Take all factors, bound as they are now; integers of one block stay what they are."""
        self.passes += 1
        bound = self._bound = len(self._known)
        if len(self._blocks) == 1 and self._blocks[0].first == 0:
            self._kept = [self._folded(pair, bound) for pair in self._blocks[0].build()]
            self._blocks = []
            return
        kept: list[Pair] = []
        for block in self._blocks:
            at = slice(block.first >> bound, (block.first + block.cells) >> bound)
            for number, pair in enumerate(block.build()):
                folded = self._folded(pair, bound)
                if number == len(kept):
                    a, e = (_empty(factor, self._live >> bound) for factor in folded)
                    kept.append((a, e))
                for factor, whole in zip(folded, kept[number], strict=True):
                    if not isinstance(whole, int):
                        whole[:, at] = _vector(factor)
        self._kept, self._blocks = kept, []

    def _bind_kept(self) -> None:
        news = self._known[self._bound :]
        if self._kept is not None and news:
            for place, (a, e) in enumerate(self._kept):
                self._kept[place] = (_bind(a, news), _bind(e, news))
        self._bound = len(self._known)

    def _finish(self) -> None:
        """Every step is one cell; the rest is over steps."""
        if self._kept is None:
            self._keep()
        self._bind_kept()
        size = 1 << self._log_steps
        terms = []
        for number, (a, e) in enumerate(self._kept or []):
            weight = np.zeros((2, size), dtype=np.uint64)
            for term, prefix in zip(self._groups[number], self._prefixes[number], strict=True):
                kf.add_scaled(weight, prefix, term.steps(self._inner))
            tail = None
            if self._tails:
                tail = ext.scalar(_bound_vector(self._tails[number], self._known), (0,))
            terms.append((weight, _padded(a, size, None), _padded(e, size, tail)))
        self._kept = None
        self._product = ProductMachine(terms)


def _bound_grid(values: list[Ext], challenge: Ext) -> list[Ext]:
    return [interpolate(values[3 * x : 3 * x + 3], challenge) for x in range(3)]


def _added(first: list[list[list[Ext]]], second: list[list[list[Ext]]]) -> list[list[list[Ext]]]:
    return [
        [[x + y for x, y in zip(a, b, strict=True)] for a, b in zip(one, other, strict=True)]
        for one, other in zip(first, second, strict=True)
    ]


def _bind(factor: Factor, challenges: Sequence[Ext]) -> Factor:
    """The lowest variables bound."""
    if isinstance(factor, int) or not challenges:
        return factor
    if factor.ndim == 2:
        return _bound_vector(factor, challenges)
    if len(challenges) == 1:
        return integer_products.fold(factor, challenges[0])
    return _bound_vector(fold_quads(factor, kf.eq_table(tuple(challenges[:2]))), challenges[2:])


def _bound_vector(vector: ExtVec, challenges: Sequence[Ext]) -> ExtVec:
    for challenge in challenges:
        vector = kf.fold(vector, challenge)
    return vector


def _empty(like: Factor, cells: int) -> Factor:
    """Zeros, as dead cells are."""
    return like if isinstance(like, int) else np.zeros((2, cells), dtype=np.uint64)


def _vector(factor: Factor) -> ExtVec:
    if isinstance(factor, int):
        raise TypeError("one integer is no vector")
    return factor if factor.ndim == 2 else ext.from_base(kf.to_field(factor))


def _padded(factor: Factor, cells: int, tail: Ext | None) -> ExtVec:
    """As a table of all steps."""
    out = np.zeros((2, cells), dtype=np.uint64)
    if isinstance(factor, int):
        out[0] = factor
        return out
    if tail is not None:
        out[0], out[1] = tail.a, tail.b
    vector = _vector(factor)
    out[:, : vector.shape[1]] = vector
    return out
