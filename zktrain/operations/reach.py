"""How large the output of an operation can be, from its inputs.

A tensor's *reach* is an interval that holds its real cells as integers, and how many of them can
differ from 0 at once. What a lookup forces into a table has the reach of the table; everything
else follows from the operation that defines it. It holds for every run whose committed cells pass
the lookups, honest or not, and for all datasets. ``circuit.bounds`` goes over a step graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

from ..arguments.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Reach:
    """Real cells are in ``[low, high]``. Of one place of one sample, at most ``units`` units of a
    tap and ``taps`` taps of a unit are not 0."""

    low: int
    high: int
    units: int = 1
    taps: int = 1

    @property
    def size(self) -> int:
        """The largest magnitude."""
        return max(-self.low, self.high)

    @property
    def cells(self) -> int:
        """Most cells of one place that are not 0."""
        return self.units * self.taps


Reaches = Mapping[str, Reach]


def whole(tensor: Tensor, low: int, high: int) -> Reach:
    """Any cell can be anything in the interval."""
    return Reach(low, high, max(1, tensor.width), prod(tensor.taps))


def added(reach: Reach, count: int, of: int) -> Reach:
    """The sum of ``of`` cells, of which at most ``count`` are not 0."""
    if count >= of:
        return replace(reach, low=of * reach.low, high=of * reach.high)
    return replace(reach, low=count * min(reach.low, 0), high=count * max(reach.high, 0))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of every run of a step graph: its ``tensors``, the samples of a batch, ``rate``
    of a weight as the sum of what multiplies its gradients, the sizes of the first parameters in
    ``starts``, and the reach of tensors and parameters in ``known``."""

    tensors: Mapping[str, Tensor]
    batch_size: int
    rate: Callable[[str], int]
    starts: Mapping[str, int]
    known: dict[str, Reach] = field(default_factory=dict)
