"""The absolute error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..operations.build import Build
from ..operations.extent import Extent

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class AbsoluteError:
    """``|z - y|``, summed over the outputs."""

    name: ClassVar[str] = "l1"
    words: ClassVar[str] = "absolute error"
    bounds_logits: ClassVar[bool] = False

    def violation(self, layer: str, classes: int) -> str | None:
        """Any network can be trained with it."""
        return None

    def error(self, build: Build, logits: str, labels: str, error: str, classes: Extent) -> str:
        """``E = 2^14 [d > 0] - 2^14 [-d > 0]``, where ``d = z - y`` has 16 bits; 0 where ``d`` is.

        ``d`` and ``-d`` have 16 bits by the table of their signs.
        """
        one = 1 << build.fixed_point.activation_bits
        distance = build.linear("d", classes, ((1, logits), (-one, labels)))
        opposite = build.linear("d.opposite", classes, ((-1, distance),))
        above = build.sign("above", distance, classes)
        below = build.sign("below", opposite, classes)
        bits = build.fixed_point.error_bits
        return build.linear(
            error, classes, ((1 << bits, above), (-(1 << bits), below)), fraction=bits
        )

    def per_record(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """In floating point, from logits and one-hot labels ``(B, classes)``."""
        return (logits - wanted).abs().sum(dim=-1)
