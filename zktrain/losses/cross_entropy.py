"""Cross entropy of a softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..arguments.hints import Column, Normaliser
from ..operations import Lookup
from ..operations.build import INT16, Build
from ..operations.extent import Extent
from ..tables.exp import EXP_DISTANCES, EXP_SCALE_BITS

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """``-log softmax(z)`` at the label."""

    name: ClassVar[str] = "cross_entropy"
    words: ClassVar[str] = "softmax cross-entropy"
    bounds_logits: ClassVar[bool] = False

    def violation(self, layer: str, classes: int) -> str | None:
        """Why a network that ends in this layer cannot be trained with it."""
        if classes == 1:
            return (
                f"layer {layer!r} has one output, and a softmax over one class is constant: "
                "nothing can be trained; give the network one output for each class, or set the "
                "loss to binary_cross_entropy or mse"
            )
        return None

    def error(self, build: Build, logits: str, labels: str, error: str, classes: Extent) -> str:
        """``c`` is the smallest integer with ``sum_j T(c - z_j) <= 2^14``; ``E = T(c - z) - 2^14
        Y``.

        Both slacks (sum at ``c`` not above, sum at ``c - 1`` above) are looked up as 16-bit
        values.
        """
        one, bits, sample = 1 << EXP_SCALE_BITS, EXP_SCALE_BITS, Extent((), 0)
        c = build.committed(
            "c",
            sample,
            (INT16[0], INT16[1] + EXP_DISTANCES),
            Normaliser(logits),
            fraction=build.fixed_point.activation_bits,
        )
        at, before = (
            build.committed(
                name, classes, (0, most), Column("exp", "d", column, first=0), fraction=bits
            )
            for name, most, column in (("p", one, 1), ("p.before", one + 64, 2))
        )
        distance = build.linear("d", classes, ((1, c), (-1, logits)))
        build.operations.append(Lookup("exp", (distance, at, before)))
        slacks = (
            build.linear("slack.at", sample, ((-1, at),), one, fraction=bits),
            build.linear("slack.before", sample, ((1, before),), -(one + 1), fraction=bits),
        )
        build.operations += [Lookup("range16", (slack,)) for slack in slacks]
        return build.linear(error, classes, ((1, at), (-one, labels)), fraction=bits)

    def per_record(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """In floating point, from logits and one-hot labels ``(B, classes)``."""
        return logits.logsumexp(dim=-1) - (logits * wanted).sum(dim=-1)
