"""Sums over axes: a claim on the output is a claim on the source, at the matching point.

An axis along which the output has one value is summed over: with ``n`` variables of the source,
``out(r) = 2^n source(r', 1/2, ..., 1/2)``, padded cells included. The transpose repeats the one
value of the source over the real places of the output's axis: ``out(r) = LT(r_axis) source(r')``;
``source(r')`` is sent. Exact; no error term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from ..arguments.tensors import Tensor, log_width
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import HALF, ONE, Ext, Point
from ..transcript.channel import VerifierChannel
from .base import Context
from .reach import Bounds, Reaches, added

if TYPE_CHECKING:
    from .reverse import Error, Reverse


@dataclass(frozen=True, slots=True)
class Sum:
    """``output`` and ``source`` have the same axes, some of them with one value on one side: along
    those it is the sum of the source's values, or the source's one value at every place."""

    output: str
    source: str

    @property
    def label(self) -> str:
        """Of its messages."""
        return f"sum/{self.output}"

    def inputs(self) -> tuple[str, ...]:
        return (self.source,)

    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    def reach(self, bounds: Bounds) -> Reaches:
        """As many cells as meet in one."""
        source, output = bounds.tensors[self.source], bounds.tensors[self.output]
        every = prod(a // b for a, b in zip(source.grid, output.grid, strict=True) if b < a)
        reach = added(bounds.known[self.source], every, every)
        if output.width < source.width:
            reach = added(reach, reach.units, source.width)
        units = output.width if source.width == 1 else min(reach.units, output.width)
        return {self.output: replace(reach, units=units)}

    def apply(self, tensors: Mapping[str, Tensor], value: Callable[[str], Any]) -> Any:
        """Axis by axis."""
        source, output, cells = tensors[self.source], tensors[self.output], value(self.source)
        first = cells.ndim - len(source.axes)
        for axis, (given, wanted) in enumerate(zip(source.axes, output.axes, strict=True), first):
            if wanted < given:
                cells = cells.sum(axis=axis, keepdims=True)
            elif given < wanted:
                cells = cells[(slice(None),) * axis + ([0] * wanted,)]
        return cells

    def reverse(self, back: Reverse, error: Error) -> None:
        """Sums are repeated, and what is repeated is summed."""
        source = back.build.tensors[self.source]
        result = back.like(source, back.name(source, error), error)
        back.build.define(Sum(result, error.name))
        back.give(self.source, replace(error, name=result))

    def moved(self, context: Context, point: Point) -> tuple[Ext, Point, bool]:
        """``out(point) = factor source(at)``, and whether the factor is a constant."""
        source, output = context.tensor(self.source), context.tensor(self.output)
        cell, b, t = context.shape.split(point)
        factor, at, constant = ONE, Point(), True
        for given, wanted in zip(reversed(source.axes), reversed(output.axes), strict=True):
            here, cell = cell[: log_width(wanted)], cell[log_width(wanted) :]
            if wanted < given:
                here = (HALF,) * log_width(given)
                factor = factor * (1 << len(here))
            elif given < wanted:
                factor, here, constant = factor * ml.less_than(here, wanted), (), False
            at = at + here
        return factor, at + b + t, constant

    def verify(self, channel: VerifierChannel, context: Context) -> None:
        for point, value in context.ledger.of(self.output):
            factor, at, constant = self.moved(context, point)
            if constant:
                context.ledger.add(self.source, at, value * factor.inverse())
                continue
            (sent,) = channel.receive(f"{self.label}/value", 1)  # P -> V
            channel.check(
                lambda: sent * factor - value,  # noqa: B023
                SumcheckMismatch(f"the sum '{self.output}' does not match", stage="sum"),
            )
            context.ledger.add(self.source, at, sent)
