"""A step graph under construction: the forward pass of a network, then what follows from it."""

from __future__ import annotations

from dataclasses import replace

from ..arguments.hints import Floor, Hint, Sign
from ..arguments.tensors import Tensor
from .base import Defining, Operation, StepGraph
from .extent import Extent
from .fixed_point import FixedPoint
from .linear import Linear
from .lookup import Lookup
from .maps import Map
from .product import Product
from .unit_map import UnitMap

LIMB_BITS = 16
MEAN_BITS = 16
"""What a rescale by a factor, as that of a mean, divides by."""
INT16 = (-(1 << 15), (1 << 15) - 1)
_UINT16 = (0, (1 << 16) - 1)


class Build:
    """``layer`` is the one whose tensors are made now, ``None`` for those of data and loss.

    ``error_names`` are what the errors of tensors within a layer will be called. Every method that
    makes a tensor returns its name.
    """

    def __init__(self, fixed_point: FixedPoint) -> None:
        self.fixed_point = fixed_point
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[Operation] = []
        self.definitions: dict[str, Defining] = {}
        self.error_names: dict[str, str] = {}
        self.layer: int | None = None

    def graph(self, logits: str) -> StepGraph:
        """All of it."""
        return StepGraph(tuple(self.tensors.values()), tuple(self.operations), logits)

    def make(self, tensor: Tensor) -> str:
        """``ValueError`` if there is one of this name."""
        if tensor.name in self.tensors:
            raise ValueError(f"two tensors of the step are called {tensor.name!r}")
        self.tensors[tensor.name] = replace(tensor, layer=self.layer)
        return tensor.name

    def virtual(
        self,
        name: str,
        extent: Extent,
        taps: tuple[int, ...] = (),
        *,
        fraction: int | None = None,
        hint: Hint | None = None,
    ) -> str:
        """A tensor that is not committed."""
        bits = self.fixed_point.activation_bits if fraction is None else fraction
        return self.make(
            Tensor(name, extent.width, grid=extent.grid, taps=taps, fraction=bits, hint=hint)
        )

    def committed(
        self,
        name: str,
        extent: Extent,
        bounds: tuple[int, int],
        hint: Hint,
        taps: tuple[int, ...] = (),
        *,
        fraction: int = 0,
    ) -> str:
        """A committed tensor with values in ``bounds``."""
        return self.make(
            Tensor(
                name, extent.width, True, *bounds, extent.grid, taps, fraction=fraction, hint=hint
            )
        )

    def define(self, op: Defining) -> str:
        """The operation that gives the values of its output."""
        self.operations.append(op)
        self.definitions[op.output] = op
        return op.output

    def linear(
        self,
        name: str,
        extent: Extent,
        terms: tuple[tuple[int, str], ...],
        constant: int = 0,
        taps: tuple[int, ...] = (),
        *,
        fraction: int | None = None,
    ) -> str:
        """A virtual ``Linear``."""
        self.virtual(name, extent, taps, fraction=fraction)
        return self.define(Linear(name, terms, constant))

    def mapped(
        self, name: str, extent: Extent, source: str, map_: Map, taps: tuple[int, ...] = ()
    ) -> str:
        """A virtual ``UnitMap``."""
        self.virtual(name, extent, taps, fraction=self.tensors[source].fraction)
        return self.define(UnitMap(name, source, map_))

    def rescale(
        self,
        source: str,
        quotient: str,
        extent: Extent,
        *,
        factor: int = 1,
        shift: int | None = None,
        fraction: int | None = None,
        signed_range: bool = True,
    ) -> str:
        """``factor source + 2^{k-1} I = 2^k quotient + 2^{k-16} high + low``, limbs in 16 bits.

        With ``k = 34`` it is ``2^34 quotient + 2^18 high + 2^16 middle + low``, two bits in the
        middle, with ``k = 16`` there is no limb but the low one. The low limb is defined by the
        equation, so the range of it is the whole check. ``signed_range`` is false where another
        table already bounds the quotient.
        """
        shift = self.fixed_point.shift if shift is None else shift
        bits = self.fixed_point.activation_bits if fraction is None else fraction
        half = 1 << (shift - 1)

        def floor(down: int, limb: int | None = None) -> Floor:
            return Floor(source, factor, half, down, limb)

        self.committed(quotient, extent, INT16, floor(shift), fraction=bits)
        limbs: tuple[str, ...] = ()
        terms: tuple[tuple[int, str], ...] = ()
        if shift > LIMB_BITS:
            top = shift - LIMB_BITS
            limbs = (self.committed(f"{quotient}.high", extent, _UINT16, floor(top, LIMB_BITS)),)
            terms = ((-(1 << top), limbs[0]),)
        if shift > 2 * LIMB_BITS:
            rest = shift - 2 * LIMB_BITS
            middle = self.committed(
                f"{quotient}.middle", extent, (0, (1 << rest) - 1), floor(LIMB_BITS, rest)
            )
            limbs += (middle,)
            terms += ((-(1 << LIMB_BITS), middle),)
        low = self.virtual(f"{quotient}.low", extent, fraction=0, hint=floor(0, LIMB_BITS))
        self.operations.append(
            Linear(low, ((factor, source), (-(1 << shift), quotient), *terms), half)
        )
        if limbs:
            self.operations.append(Lookup("range16" if len(limbs) == 1 else "range18", limbs))
        self.operations.append(Lookup("range16", (low,)))
        if signed_range:
            self.operations.append(Lookup("range16", (quotient,), 1 << 15))
        return quotient

    def sign(self, name: str, source: str, extent: Extent) -> str:
        """``[source > 0]``, which also bounds ``source`` to 16 bits."""
        self.committed(name, extent, (0, 1), Sign(source))
        self.operations.append(Lookup("relu", (source, name)))
        return name

    def rectified(self, index: int, z: str, extent: Extent, *, relu: bool) -> str:
        """The output of layer ``index`` from the value in front of its ReLU, if it has one."""
        if not relu:
            return z
        sign = self.sign(f"s{index}", z, extent)
        self.error_names[z] = f"e{index}"
        self.virtual(f"a{index}", extent)
        return self.define(Product(f"a{index}", sign, z))
