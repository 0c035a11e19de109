"""Binary cross entropy of a sigmoid for every class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..arguments.hints import Column
from ..operations import Lookup
from ..operations.build import Build
from ..operations.extent import Extent
from ..tables.exp import EXP_SCALE_BITS
from ..tables.sigmoid import SIGMOID_HALF

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class BinaryCrossEntropy:
    """Summed over the classes. Its table bounds the logits."""

    name: ClassVar[str] = "binary_cross_entropy"
    words: ClassVar[str] = "binary cross-entropy"
    bounds_logits: ClassVar[bool] = True

    def violation(self, layer: str, classes: int) -> str | None:
        """Any network can be trained with it."""
        return None

    def error(self, build: Build, logits: str, labels: str, error: str, classes: Extent) -> str:
        """``p = P(z) - 2^13`` from the table of the sigmoid; ``E = p + 2^13 I - 2^14 Y``.

        The table holds ``(0, 0)``, which padded cells are.
        """
        one, bits = 1 << EXP_SCALE_BITS, EXP_SCALE_BITS
        p = build.committed(
            "p",
            classes,
            (-SIGMOID_HALF, SIGMOID_HALF),
            Column("sigmoid", logits, 1),
            fraction=bits,
        )
        build.operations.append(Lookup("sigmoid", (logits, p)))
        return build.linear(error, classes, ((1, p), (-one, labels)), SIGMOID_HALF, fraction=bits)

    def per_record(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """In floating point, from logits and one-hot labels ``(B, classes)``."""
        return (logits.new_zeros(()).logaddexp(logits) - logits * wanted).sum(dim=-1)
