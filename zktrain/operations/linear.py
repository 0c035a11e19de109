"""Linear combinations: a claim on the output is a claim on the inputs, at the matching points.

``out(r) = sum_i c_i T_i(r_i) + c I(r)``. A per-sample input is broadcast over the real units:
factor ``LT_width(r_j)``; a per-unit input is summed over its units: ``2^n T(1/2, ..., 1/2, r)``.
Taps alike.
Values that are claimed already are reused, one unknown follows from the equation, others are
sent. Exact; no error term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from ..arguments.claims import Check, judge
from ..arguments.tensors import Shape, Tensor, coordinates, log_width, real
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import HALF, Ext, Point
from ..field.forms import Scalar
from ..transcript.channel import VerifierChannel
from .base import Context, StepGraph
from .reach import Bounds, Reach, Reaches, added, whole

if TYPE_CHECKING:
    from .reverse import Error, Reverse

Exchange = Callable[[str, Sequence[tuple[str, Point]]], Sequence[Scalar]]
"""Values of tensors at points: the prover evaluates and sends them, the verifier receives them."""


@dataclass(frozen=True, slots=True)
class Linear:
    """``output = sum_i coefficient_i * tensor_i + constant * I``, ``I`` the indicator of real
    cells.

    A tensor without units (without taps) in an output that has them is broadcast over the real
    ones; one with them in an output that has none is summed over its own. All else is taken cell
    by cell.
    """

    output: str
    terms: tuple[tuple[int, str], ...]
    constant: int = 0

    def inputs(self) -> tuple[str, ...]:
        return tuple(name for _, name in self.terms)

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """Intervals add up; a term with units (taps) that the output has not is summed over
        them."""
        output = bounds.tensors[self.output]
        width, every = max(1, output.width), prod(output.taps)
        low = high = self.constant
        units, taps = (width, every) if self.constant else (0, 0)
        for coefficient, name in self.terms:
            term, reach = bounds.tensors[name], bounds.known[name]
            if term.width and not output.width:
                reach = replace(added(reach, reach.units, term.width), units=1)
            elif output.width and not term.width:
                reach = replace(reach, units=width)
            if term.taps and not output.taps:
                reach = replace(added(reach, reach.taps, prod(term.taps)), taps=1)
            elif output.taps and not term.taps:
                reach = replace(reach, taps=every)
            ends = (coefficient * reach.low, coefficient * reach.high)
            low, high = low + min(ends), high + max(ends)
            units, taps = units + reach.units, taps + reach.taps
        return {self.output: Reach(low, high, min(units, width), min(taps, every))}

    def chosen(self, bounds: Bounds) -> Reaches:
        """If the output is 0 everywhere: bits whose sum is 1 on real cells are one-hot."""
        match self.terms, self.constant:
            case ((1, name),), -1 if name in bounds.known:
                bits, own = bounds.known[name], bounds.tensors[name]
            case _:
                return {}
        total = bounds.tensors[self.output]
        if (bits.low, bits.high) == (0, 1):
            if own.taps and not total.taps and bool(own.width) == bool(total.width):
                return {name: replace(bits, taps=1)}
            if own.width and not total.width and not own.taps:
                return {name: replace(bits, units=1)}
        return {}

    def solved(self, name: str, bounds: Bounds) -> Reach | None:
        """Of a term, where all else is known: ``c = d + z``."""
        tensors, known, own = bounds.tensors, bounds.known, bounds.tensors[name]
        rest = [(c, other) for c, other in self.terms if other != name]
        if self.constant or (1, name) not in self.terms or self.output not in known:
            return None
        if tensors[self.output].axes[: len(own.axes)] != own.axes:
            return None
        if not all(other in known for _, other in rest):
            return None
        low, high = known[self.output].low, known[self.output].high
        for coefficient, other in rest:
            ends = (coefficient * known[other].low, coefficient * known[other].high)
            low, high = low - max(ends), high - min(ends)
        return whole(own, low, high)

    def reverse(self, back: Reverse, error: Error) -> None:
        """Every term times its coefficient; sums are broadcast and broadcasts summed."""
        output = back.build.tensors[self.output]
        for coefficient, name in self.terms:
            if name not in back.needed:
                continue
            term, given = back.build.tensors[name], error
            if term.axes != output.axes:
                result = back.like(term, back.name(term, error), error)
                back.build.define(Linear(result, ((1, error.name),)))
                given = replace(error, name=result)
            back.give(name, given.scaled(coefficient, output.fraction - term.fraction))

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        def receive(label: str, wanted: Sequence[tuple[str, Point]]) -> Sequence[Scalar]:
            return channel.receive(label, len(wanted)) if wanted else []  # P -> V

        self.reduce(context, receive, channel.check)

    def reduce(self, context: Context, exchange: Exchange, check: Check = judge) -> None:
        """Prover and verifier differ in ``exchange`` and ``check`` only."""
        graph, shape, ledger = context.graph, context.shape, context.ledger
        output = graph.tensor(self.output)
        for point, value in ledger.of(self.output):
            rest = value - shape.indicator(output, point) * self.constant
            unknown: list[tuple[Ext, str, Point, bool]] = []
            for coefficient, name in self.terms:
                factor, at, solvable = _map(shape, output, graph.tensor(name), coefficient, point)
                known = ledger.find(name, at)
                if known is None:
                    unknown.append((factor, name, at, solvable))
                else:
                    rest = rest - factor * known
            solved = _choose(unknown, graph)
            asked = [item for item in unknown if item is not solved]
            values = exchange(f"linear/{self.output}", [(name, at) for _, name, at, _ in asked])
            for (factor, name, at, _), sent in zip(asked, values, strict=True):
                ledger.add(name, at, sent)
                rest = rest - factor * sent
            if solved is not None:
                factor, name, at, _ = solved
                ledger.add(name, at, rest * factor.inverse())
            else:
                check(
                    lambda: rest,  # noqa: B023
                    SumcheckMismatch(
                        f"the linear relation of '{self.output}' does not hold", stage="linear"
                    ),
                )


def _map(
    shape: Shape, output: Tensor, term: Tensor, coefficient: int, point: Point
) -> tuple[Ext, Point, bool]:
    """Factor and point of one term, and whether the factor is a nonzero constant."""
    if term.axes == output.axes:
        return Ext(coefficient), point, True
    cell, b, t = shape.split(point)
    places = coordinates(output, cell)
    factor, solvable = Ext(coefficient), True
    unit, taps = places.unit, places.taps
    if not term.width and output.width:
        factor, unit, solvable = factor * ml.less_than(unit, output.width), (), False
    elif term.width and not output.width:
        unit = (HALF,) * log_width(term.width)
        factor = factor * (1 << len(unit))
    if output.taps and not term.taps:
        factor, taps, solvable = factor * real(taps, output.taps), (), False
    elif term.taps and not output.taps:
        taps = tuple((HALF,) * log_width(size) for size in term.taps)
        factor = factor * (1 << sum(map(len, taps)))
    at = unit
    for axis in (*reversed(taps), *reversed(places.grid)):
        at = at + axis
    return factor, at + b + t, solvable


def _choose(
    unknown: list[tuple[Ext, str, Point, bool]], graph: StepGraph
) -> tuple[Ext, str, Point, bool] | None:
    """A virtual tensor can only be solved for; else the last one that can be."""
    virtual = [item for item in unknown if not graph.tensor(item[1]).committed]
    if virtual:
        return virtual[-1]
    solvable = [item for item in unknown if item[3]]
    return solvable[-1] if solvable else None
