"""An activation that is looked up with its slope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..arguments.hints import Column
from ..operations import Lookup
from ..operations.build import Build
from ..operations.extent import Extent
from ..tables.curves import CURVES, SLOPE_BITS, VALUE_BITS, curve
from . import limits
from .place import Parameter, Place, Torch

_TORCH = {"sigmoid": "Sigmoid", "tanh": "Tanh", "gelu": "GELU"}


@dataclass(frozen=True, slots=True)
class Activation:
    """``function`` of every value: ``sigmoid``, ``tanh`` or ``gelu`` (see ``curves``). ReLU is no
    layer of its own."""

    name: str
    function: str

    relu: ClassVar[bool] = False
    activates: ClassVar[bool] = True
    takes: ClassVar[int | None] = None
    stem: ClassVar[str] = "activation{}"
    reads: ClassVar[tuple[str | None, ...]] = (None,)
    operators: ClassVar[tuple[str, ...]] = ("Sigmoid", "Tanh", "Gelu")

    @classmethod
    def imported(cls, operator: str, attributes: Mapping[str, Any]) -> Activation:
        """The layer that a node of an ONNX graph is, without its name."""
        return cls("", operator.lower())

    def violation(self, position: int) -> str | None:
        """The first limit that it breaks."""
        return limits.names_problem(position, self.name) or self._function_problem()

    def _function_problem(self) -> str | None:
        if self.function not in CURVES:
            return f"the function of layer {self.name!r} must be one of {', '.join(CURVES)}"
        return None

    def output(self, inputs: list[Extent]) -> Extent:
        """That of its input."""
        return inputs[0]

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def forward(self, build: Build, place: Place) -> str:
        """``a = f + f(0) I`` and ``slope = df + f'(0) I``, where ``(z, f, df)`` is a row of the
        table."""
        index, extent, source = place.index, place.output, place.sources[0]
        known, table, slope = curve(self.function), f"curve.{self.function}", f"slope{index}"
        values, slopes = (
            build.committed(
                f"{letter}{index}",
                extent,
                (int(column.min()), int(column.max())),
                hint,
                fraction=bits,
            )
            for letter, column, bits, hint in (
                ("f", known.values, VALUE_BITS, Column(table, source, 1, slope=slope)),
                ("df", known.slopes, SLOPE_BITS, Column(table, source, 2)),
            )
        )
        build.error_names[values] = f"steep{index}"
        build.operations.append(Lookup(table, (source, values, slopes)))
        value = build.linear(
            f"a{index}", extent, ((1, values),), known.value_at_0, fraction=VALUE_BITS
        )
        build.linear(slope, extent, ((1, slopes),), known.slope_at_0, fraction=SLOPE_BITS)
        return value

    @property
    def word(self) -> str:
        """What it is in a line that names the network."""
        return self.function

    @property
    def torch(self) -> Torch:
        """The same in floating point."""
        return Torch(_TORCH[self.function])
