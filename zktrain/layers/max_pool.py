"""The maximum of every window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..arguments.hints import FirstLargest
from ..operations import Lookup, Product, Vanish
from ..operations.build import Build
from ..operations.extent import Extent
from ..operations.maps import Before
from . import limits
from .place import Parameter, Place, Torch


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Maximum of every window, without padding; of equal values the first one in row-major
    order wins."""

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int]

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = False
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "maxpool{}"
    reads: ClassVar[tuple[str | None, ...]] = (None,)

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(position, self.name) or limits.windows_problem(
            self.name, *self.kernel, *self.stride
        )

    def output(self, inputs: list[Extent]) -> Extent:
        """Raises ``GeometryError``."""
        own = limits.image(self.name, inputs[0])
        return limits.places(limits.window(self.name, own, self.kernel, self.stride), own.width)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """``a = sum_k h_k w_k`` over the taps, ``h`` one-hot, and ``d_k = a - w_k - before_k``,
        where ``before_k = 1 - sum_{j <= k} h_j``, is 0 where ``h_k = 1`` and in 16 bits elsewhere.

        So the tap with ``h = 1`` holds the maximum, and every tap before it less than that.
        """
        index, extent, taps = place.index, place.output, self.kernel
        window = limits.window(self.name, place.inputs[0], self.kernel, self.stride)
        seen = build.mapped(f"w{index}", extent, place.sources[0], window, taps)
        wins = build.committed(f"h{index}", extent, (0, 1), FirstLargest(seen), taps)
        before = build.mapped(f"h{index}.before", extent, wins, Before(), taps)
        won = build.virtual(f"hw{index}", extent, taps)
        build.error_names |= {won: f"up{index}", seen: f"he{index}"}
        build.define(Product(won, wins, seen))
        value = build.linear(f"a{index}", extent, ((1, won),))
        distance = build.linear(
            f"d{index}", extent, ((1, value), (-1, seen), (1, wins), (1, before)), -1, taps
        )
        build.operations.append(Lookup("winner", (distance, wins)))
        rest = build.linear(f"h{index}.rest", extent, ((1, wins),), -1, fraction=0)
        build.operations.append(Vanish(rest))
        return value

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return f"max{self.kernel[0]}x{self.kernel[1]}"

    @property
    def torch(self) -> Torch:
        """The same in floating point."""
        return Torch("MaxPool2d", (self.kernel, self.stride))
