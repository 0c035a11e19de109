"""The prover of the sumcheck protocol: machines without IO, ``message()`` then ``bind(challenge)``.

Messages of machines that hold disjoint parts of the cube add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from ...arguments.sumcheck import NO_WORK, Work, lagrange_polynomials, values_at
from ...field import extension as ext
from ...field.extension import ZERO, Ext, ExtVec, Point, inner
from ..kernels.field import fold
from ..kernels.sumcheck import round_message
from ..transcript.channel import ProverChannel


class Machine(Protocol):
    """A sumcheck prover: ``rounds`` variables left, degree ``degree``."""

    rounds: int
    degree: int

    def message(self) -> list[Ext]:
        """Round polynomial at ``0, 2, 3, ..., degree``; its value at 1 follows from the claim."""
        ...

    def bind(self, challenge: Ext) -> None:
        """Fix the lowest variable."""
        ...


def interpolate(values: list[Ext], x: Ext) -> Ext:
    """Value at ``x`` of the polynomial with ``values`` at ``0, 1, ..., d``."""
    return inner(values_at(lagrange_polynomials(len(values) - 1), x), values)


def prove(
    channel: ProverChannel,
    label: str,
    machine: Machine,
    *,
    clear: bool = False,
    work: Work = NO_WORK,
) -> Point:
    """Run the machine to its end; returns the point, lowest variable first. ``clear``: the messages
    depend on nothing that is to be hidden."""
    send = channel.send_clear if clear else channel.send
    point: list[Ext] = []
    for number in range(machine.rounds):
        send(f"{label}/round", machine.message())  # P -> V
        channel.send_work(f"{label}/work", work.before(number))  # P -> V
        challenge = channel.challenger.element(f"{label}/point")  # V -> P
        machine.bind(challenge)
        point.append(challenge)
    return tuple(point)


Terms = list[tuple[ExtVec, ...]]
"""Products to add up: of each the tables of its factors, ``(2, n)``, which terms may share."""


def _folded(terms: Terms, challenge: Ext) -> Terms:
    """The lowest variable of all tables bound, of shared ones once."""
    shared: dict[int, ExtVec] = {}
    for term in terms:
        for table in term:
            if id(table) not in shared:
                shared[id(table)] = fold(table, challenge)
    return [tuple(shared[id(table)] for table in term) for term in terms]


def _message(terms: Terms, degree: int) -> list[Ext]:
    out = [ZERO] * degree
    for term in terms:
        values = round_message(term)
        if len(values) < degree:  # degree 2: value at 3 by extrapolation needs value at 1
            raise ValueError("terms of one machine must have the same number of factors")
        out = _add(out, values)
    return out


def _add(first: list[Ext], second: list[Ext]) -> list[Ext]:
    return [a + b for a, b in zip(first, second, strict=True)]


class ProductMachine:
    """``sum_x sum_k prod_i f_{k,i}(x)``: terms of two or of three E tables of one size."""

    def __init__(self, terms: Sequence[tuple[ExtVec, ...]]) -> None:
        self.terms = list(terms)
        self.degree = max(len(term) for term in terms)
        self.rounds = (terms[0][0].shape[1] - 1).bit_length()

    def message(self) -> list[Ext]:
        return _message(self.terms, self.degree)

    def bind(self, challenge: Ext) -> None:
        self.terms = _folded(self.terms, challenge)

    def finals(self) -> list[tuple[Ext, ...]]:
        """After the last round: the value of every factor."""
        return [tuple(Ext(int(t[0, 0]), int(t[1, 0])) for t in term) for term in self.terms]


Constant = list[tuple[Ext, ...]]
"""Terms whose tables have one value everywhere."""


class Streamed:
    """The messages of a :class:`ProductMachine` whose tables are never there as a whole.

    The hypercube is cut in equal contiguous ranges, ``parts``, a power of two: number ``s`` has the
    highest variables ``s``. A part is a function that builds the range's tables, the same ones at
    every call; or it is constant. All parts have the same terms and share tables alike.

    A pass builds one part after the other, binds it by the challenges so far, and takes of it the
    next message and what gives the one after that, whatever the challenge between: two rounds per
    pass. As soon as all bound tables take at most ``memory`` bytes (None: at once), they are kept.
    Peak: ``memory``, and one part's tables one and a half times.
    """

    def __init__(
        self, parts: Sequence[Callable[[], Terms] | Constant], memory: int | None = None
    ) -> None:
        if not parts or len(parts) & (len(parts) - 1):
            raise ValueError(f"a hypercube is cut in a power of two of parts, not {len(parts)}")
        self.passes = 0
        self._parts = list(parts)
        self._memory = memory
        self._known: list[Ext] = []  # challenges
        self._next: list[list[Ext]] = []  # the message after the next at 0, 1, ..., degree
        self._kept: ProductMachine | None = None
        number, part = next((i, part) for i, part in enumerate(parts) if callable(part))
        terms = part()
        self._built = {number: terms}  # for the first pass
        self._cells = terms[0][0].shape[1]
        self._tables = len({id(table) for term in terms for table in term})
        self.degree = max(len(term) for term in terms)
        self.rounds = (self._cells * len(parts) - 1).bit_length()

    def _bound(self) -> Iterator[Terms]:
        """Every part's terms, bound by the challenges so far."""
        self.passes += 1
        for number, part in enumerate(self._parts):
            if not callable(part):
                cells = self._cells >> len(self._known)
                yield [tuple(np.repeat(ext.vector([x]), cells, axis=1) for x in t) for t in part]
                continue
            terms = self._built.pop(number, None) or part()
            for challenge in self._known:
                terms = _folded(terms, challenge)
            yield terms
            del terms

    def _keep(self) -> ProductMachine:
        """Take all bound tables into memory."""
        kept: Terms = []
        cells = self._cells >> len(self._known)
        for number, terms in enumerate(self._bound()):
            if not number:
                kept = _alike(terms, cells * len(self._parts))
            written = set()
            for term, out in zip(terms, kept, strict=True):
                for table, whole in zip(term, out, strict=True):
                    if id(whole) not in written:
                        written.add(id(whole))
                        whole[:, number * cells : (number + 1) * cells] = table
            del terms, table
        self._kept = ProductMachine(kept)
        return self._kept

    def message(self) -> list[Ext]:
        if self._next:
            return [interpolate(values, self._known[-1]) for values in self._next]
        bound = len(self._known)
        cells = self._cells >> bound
        size = 16 * self._tables * cells * len(self._parts)
        if self._kept is None and (self._memory is None or size <= self._memory or cells < 4):
            self._keep()
        if self._kept is not None:
            return self._kept.message()
        points = range(self.degree + 1)
        out, after = [ZERO] * self.degree, [[ZERO] * self.degree for _ in points]
        for terms in self._bound():
            out = _add(out, _message(terms, self.degree))
            after = [_add(after[x], _message(_folded(terms, Ext(x)), self.degree)) for x in points]
            del terms  # before the next part is built
        self._next = [list(values) for values in zip(*after, strict=True)]
        return out

    def bind(self, challenge: Ext) -> None:
        if self._kept is not None:
            self._kept.bind(challenge)
            return
        self._known.append(challenge)
        if len(self._known) % 2 == 0:
            self._next = []

    def finals(self) -> list[tuple[Ext, ...]]:
        """After the last round: the value of every factor."""
        return (self._kept or self._keep()).finals()


def _alike(terms: Terms, cells: int) -> Terms:
    """Empty tables of ``cells`` cells, shared as those of ``terms``."""
    shared: dict[int, ExtVec] = {}
    for term in terms:
        for table in term:
            shared.setdefault(id(table), np.empty((2, cells), dtype=np.uint64))
    return [tuple(shared[id(table)] for table in term) for term in terms]
