"""The losses, one file each: what a circuit can say is this list and no more.

A loss states what it demands of a network (``violation``, and ``bounds_logits`` where its own table
keeps the logits in 16 bits), its ``error`` as operations on the logits, the same loss
``per_record`` in floating point, and ``words`` for people.
"""

from .binary_cross_entropy import BinaryCrossEntropy
from .cross_entropy import CrossEntropy
from .l1 import AbsoluteError
from .mse import SquaredError

Loss = CrossEntropy | SquaredError | BinaryCrossEntropy | AbsoluteError
LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (CrossEntropy(), SquaredError(), BinaryCrossEntropy(), AbsoluteError())
}

__all__ = ["LOSSES", "AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Loss", "SquaredError"]
