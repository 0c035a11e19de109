"""How large the output of an operation can be, from its inputs: one function for each operation.

A tensor's *reach* is an interval that holds its real cells as integers, and how many of them can
differ from 0 at once. What a lookup forces into a table has the reach of the table; everything
else follows from the operation that defines it. ``sizes`` is the composition over a step graph.
It holds for every run whose committed cells pass the lookups, honest or not, and for all datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import assert_never

from ..arguments.tensors import Tensor
from ..tables import TABLES
from . import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Fixed,
    Linear,
    Lookup,
    Product,
    Tally,
    UnitMap,
    Vanish,
)
from .base import Operation, StepGraph
from .maps import Before, Map, Reorder, Steps, Window

Range = tuple[int, int]
INPUT_MAX = 255
_BIT = (0, 1)


@dataclass(frozen=True, slots=True)
class Reach:
    """Real cells are in ``[low, high]``. Of one place of one sample, at most ``units`` units of a
    tap and ``taps`` taps of a unit are not 0."""

    low: int
    high: int
    units: int
    taps: int

    @property
    def size(self) -> int:
        """The largest magnitude."""
        return max(-self.low, self.high)

    @property
    def cells(self) -> int:
        """Most cells of one place that are not 0."""
        return self.units * self.taps


def whole(tensor: Tensor, low: int, high: int) -> Reach:
    """Any cell can be anything in the interval."""
    return Reach(low, high, max(1, tensor.width), prod(tensor.taps))


def batch(op: Batch, output: Tensor) -> Reach:
    """Bytes; labels are one-hot. The dataset's certificate proves both."""
    if op.source == "inputs":
        return whole(output, 0, INPUT_MAX)
    return Reach(0, 1, 1, 1)


def lookup(op: Lookup, tensors: Mapping[str, Tensor]) -> dict[str, Reach]:
    """Every column has the range of the table's; the offset is added to the first."""
    out = {}
    for place, (name, (low, high)) in enumerate(
        zip(op.columns, TABLES[op.table].ranges(), strict=True)
    ):
        shift = op.offset if place == 0 else 0
        out[name] = whole(tensors[name], low - shift, high - shift)
    return out


def added(reach: Reach, count: int, of: int) -> Range:
    """The sum of ``of`` cells, of which at most ``count`` are not 0."""
    if count >= of:
        return of * reach.low, of * reach.high
    return count * min(reach.low, 0), count * max(reach.high, 0)


def linear(op: Linear, output: Tensor, terms: list[tuple[int, Tensor, Reach]]) -> Reach:
    """``sum coefficient term + constant``: intervals add up; a term with units (taps) that the
    output has not is summed over them."""
    low = high = op.constant
    units, taps = (max(1, output.width), prod(output.taps)) if op.constant else (0, 0)
    for coefficient, term, reach in terms:
        if term.width and not output.width:
            reach = replace(reach, **_interval(added(reach, reach.units, term.width)), units=1)
        elif output.width and not term.width:
            reach = replace(reach, units=output.width)
        if term.taps and not output.taps:
            every = prod(term.taps)
            reach = replace(reach, **_interval(added(reach, reach.taps, every)), taps=1)
        elif output.taps and not term.taps:
            reach = replace(reach, taps=prod(output.taps))
        ends = (coefficient * reach.low, coefficient * reach.high)
        low, high = low + min(ends), high + max(ends)
        units, taps = units + reach.units, taps + reach.taps
    return Reach(low, high, min(units, max(1, output.width)), min(taps, prod(output.taps)))


def _interval(ends: Range) -> dict[str, int]:
    return {"low": ends[0], "high": ends[1]}


def product(left: Reach, right: Reach) -> Reach:
    """Cell by cell: the corners; 0 where either is."""
    corners = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    units, taps = min(left.units, right.units), min(left.taps, right.taps)
    return Reach(min(corners), max(corners), units, taps)


def affine(op: Affine, output: Tensor, source: Reach, weight: int, bias: int) -> Reach:
    """``source W + 2^f bias``: each cell that is not 0 times the largest weight."""
    most = source.cells * source.size * weight + (bias << op.bias_shift)
    return whole(output, -most, most)


def affine_transposed(output: Tensor, source: Reach, weight: int) -> Reach:
    """``source W^T``."""
    most = source.cells * source.size * weight
    return whole(output, -most, most)


def accumulate(
    op: Accumulate, samples: int, rate: int, starts: Mapping[str, int], a: Reach, e: Reach
) -> dict[str, int]:
    """``W_0`` and all updates of the run, as if each had the largest size and one sign; ``samples``
    of a batch, places of the grid included, ``rate`` the sum of what multiplies gradients."""
    travelled = rate * samples * e.size
    out = {op.weight: starts[op.weight] + travelled * a.size}
    if op.bias is not None:
        out[op.bias] = starts[op.bias] + (travelled << op.bias_shift)
    return out


def unit_map(map_: Map, source: Tensor, output: Tensor, reach: Reach) -> Reach:
    """Cells moved, or some of them added up."""
    match map_:
        case Reorder():
            cells = reach.units * prod(source.grid)
            return replace(reach, units=min(max(1, output.width), cells))
        case Before():
            here = prod(source.taps) if source.taps else max(1, source.width)
            count = min(reach.taps if source.taps else reach.units, here - 1)
            low, high = count * min(reach.low, 0), count * max(reach.high, 0)
            return whole(output, low, high)
        case Window():
            return _windows(map_, source, output, reach)
        case _:
            assert_never(map_)


def _windows(map_: Window, source: Tensor, output: Tensor, reach: Reach) -> Reach:
    """Where one of both tensors has taps cells are moved to or from them, and places outside give
    0; where cells of several taps (or windows) meet in one place they are added up."""
    counts = [_met(steps, back=map_.transposed) for steps in (map_.vertical, map_.horizontal)]
    fewest, most = prod(low for low, _ in counts), prod(high for _, high in counts)
    if output.taps:
        low, high = reach.low, reach.high
        if fewest < prod(output.taps):
            low, high = min(low, 0), max(high, 0)
        return Reach(low, high, reach.units, min(most, prod(output.taps)))
    low = min(fewest * reach.low, most * reach.low)
    high = max(fewest * reach.high, most * reach.high)
    if source.taps:  # each of the cells that meet may be 0 or not
        low, high = min(low, 0), max(high, 0)
    return Reach(low, high, reach.units, 1)


@lru_cache(maxsize=256)
def _met(steps: Steps, *, back: bool) -> Range:
    """Fewest and most places that a window sees, or windows that see a place."""
    return steps.overlaps() if back else steps.seen()


def one_hot(graph: StepGraph, known: dict[str, Reach]) -> None:
    """Bits whose sum is forced to 1 on real cells: one of them is not 0."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    zeros = {op.source for op in graph.operations if isinstance(op, Vanish)}
    for op in graph.operations:
        match op:
            case Linear(output, ((1, name),), -1) if output in zeros and name in known:
                bits, own, total = known[name], tensors[name], tensors[output]
                if (bits.low, bits.high) != _BIT:
                    continue
                if own.taps and not total.taps and bool(own.width) == bool(total.width):
                    known[name] = replace(bits, taps=1)
                elif own.width and not total.width and not own.taps:
                    known[name] = replace(bits, units=1)
            case _:
                pass


def solved(graph: StepGraph, known: dict[str, Reach]) -> None:
    """Committed tensors that are in no lookup themselves, from an equation of which all else is
    known: ``c = d + z``."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for tensor in graph.tensors:
        if not tensor.committed or tensor.name in known:
            continue
        for op in graph.operations:
            if not isinstance(op, Linear) or op.output not in known or op.constant:
                continue
            rest = [(c, name) for c, name in op.terms if name != tensor.name]
            if (1, tensor.name) in op.terms and all(name in known for _, name in rest):
                found = known[op.output]
                for coefficient, name in rest:
                    ends = (coefficient * known[name].low, coefficient * known[name].high)
                    found = replace(found, low=found.low - max(ends), high=found.high - min(ends))
                if tensors[op.output].axes[: len(tensor.axes)] != tensor.axes:
                    continue
                known[tensor.name] = whole(tensor, found.low, found.high)
                break
        else:
            raise ValueError(f"nothing bounds the committed tensor {tensor.name!r}")


def sizes(
    graph: StepGraph, batch_size: int, rate: int, starts: Mapping[str, int]
) -> dict[str, int]:
    """The largest magnitude of every tensor, as the operation that defines it gives it, before any
    lookup cuts it down, and of every parameter at any step. ``starts`` are sizes of the first
    parameters; see :func:`accumulate` for ``rate``."""
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    known: dict[str, Reach] = {}
    for op in graph.operations:
        if isinstance(op, Lookup):
            known |= lookup(op, tensors)
    one_hot(graph, known)
    solved(graph, known)
    forced = frozenset(known)
    found = {name: reach.size for name, reach in known.items() if tensors[name].committed}
    parameters: dict[str, int] = {}

    def define(name: str, reach: Callable[[], Reach], *inputs: str) -> bool:
        """Whether all inputs are known, and so the output now is."""
        if not all(name in known or name in parameters for name in inputs):
            return False
        result = reach()
        found[name] = result.size
        if name not in forced:
            known[name] = result
        return True

    def work(op: Operation) -> bool:
        match op:
            case Batch():
                return define(op.output, lambda: batch(op, tensors[op.output]))
            case Linear():
                return define(
                    op.output,
                    lambda: linear(
                        op, tensors[op.output], [(c, tensors[n], known[n]) for c, n in op.terms]
                    ),
                    *(name for _, name in op.terms),
                )
            case Product():
                factors = (op.left, op.right)
                return define(op.output, lambda: product(*(known[n] for n in factors)), *factors)
            case UnitMap():
                ends = (tensors[op.source], tensors[op.output])
                return define(
                    op.output, lambda: unit_map(op.map, *ends, known[op.source]), op.source
                )
            case Affine():
                more = () if op.bias is None else (op.bias,)
                return define(
                    op.output,
                    lambda: affine(
                        op, tensors[op.output], known[op.source], parameters[op.weight],
                        sum(parameters[name] for name in more),
                    ),
                    op.source, op.weight, *more,
                )  # fmt: skip
            case AffineTransposed():
                return define(
                    op.output,
                    lambda: affine_transposed(
                        tensors[op.output], known[op.source], parameters[op.weight]
                    ),
                    op.source, op.weight,
                )  # fmt: skip
            case Accumulate():
                if op.activation not in known or op.error not in known:
                    return False
                samples = batch_size * prod(tensors[op.error].grid)
                a, e = known[op.activation], known[op.error]
                parameters.update(accumulate(op, samples, rate, starts, a, e))
            case Fixed():
                names = (op.weight,) if op.bias is None else (op.weight, op.bias)
                parameters.update({name: starts[name] for name in names})
            case Lookup() | Vanish() | Tally():
                pass
            case _:
                raise TypeError(f"the reach of a {type(op).__name__} is not known")
        return True

    waiting = list(graph.operations)
    while waiting:  # weights are known after the errors, and products with them in a second round
        left = [op for op in waiting if not work(op)]
        if len(left) == len(waiting):
            raise ValueError("the sizes of some operations depend on each other")
        waiting = left
    return found | parameters
