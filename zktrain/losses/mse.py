"""Half the squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..operations.build import Build
from ..operations.extent import Extent

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class SquaredError:
    """``(z - y)^2 / 2``, summed over the outputs."""

    name: ClassVar[str] = "mse"
    words: ClassVar[str] = "squared error"
    bounds_logits: ClassVar[bool] = False

    def violation(self, layer: str, classes: int) -> str | None:
        """Any network can be trained with it."""
        return None

    def error(self, build: Build, logits: str, labels: str, error: str, classes: Extent) -> str:
        """``E = z - y`` brought to the errors' scale."""
        bits = build.fixed_point.error_bits
        up = bits - build.fixed_point.activation_bits
        terms = ((1 << up, logits), (-(1 << bits), labels))
        return build.linear(error, classes, terms, fraction=bits)

    def per_record(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """In floating point, from logits and one-hot labels ``(B, classes)``."""
        return (logits - wanted).square().sum(dim=-1) / 2
