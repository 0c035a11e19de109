"""The prover of the sumcheck protocol: machines without IO, ``message()`` then ``bind(challenge)``.

Messages of machines that hold disjoint parts of the cube add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...arguments.sumcheck import NO_WORK, Work, lagrange_polynomials, values_at
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


class ProductMachine:
    """``sum_x sum_k prod_i f_{k,i}(x)``: terms of two or of three E tables of one size."""

    def __init__(self, terms: Sequence[tuple[ExtVec, ...]]) -> None:
        self.terms = list(terms)
        self.degree = max(len(term) for term in terms)
        self.rounds = (terms[0][0].shape[1] - 1).bit_length()

    def message(self) -> list[Ext]:
        out = [ZERO] * self.degree
        for term in self.terms:
            values = round_message(term)
            if len(values) < self.degree:  # degree 2: value at 3 by extrapolation needs value at 1
                raise ValueError("terms of one machine must have the same number of factors")
            out = [a + b for a, b in zip(out, values, strict=True)]
        return out

    def bind(self, challenge: Ext) -> None:
        shared: dict[int, ExtVec] = {}
        folded = []
        for term in self.terms:
            for table in term:
                if id(table) not in shared:
                    shared[id(table)] = fold(table, challenge)
            folded.append(tuple(shared[id(table)] for table in term))
        self.terms = folded

    def finals(self) -> list[tuple[Ext, ...]]:
        """After the last round: the value of every factor."""
        return [tuple(Ext(int(t[0, 0]), int(t[1, 0])) for t in term) for term in self.terms]
