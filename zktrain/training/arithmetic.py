"""Exact integer arithmetic on float64 tensors, the same bits on every device.

A float64 holds every integer up to ``2^53``. A matrix product of integers is therefore exact, in
any order of summation and with or without fused multiply-add, as long as
``max_row sum_i |a_i| * max |b| <= 2^53``; beyond that ``b`` is cut in limbs.
"""

from __future__ import annotations

import torch

from ..tables.exp import EXP_ROWS, exp_table

EXACT_FLOAT = 1 << 53
ACCUMULATOR_LIMIT = 1 << 62
ONE = 1 << 14
QUOTIENT_LOW, QUOTIENT_HIGH = -(1 << 15), (1 << 15) - 1
WEIGHT_LIMIT = 1 << 52
MAX_DISTANCE = EXP_ROWS - 2

LOGIT_SCALE = 256.0
_TOO_LARGE = 1 << 15
# T(d) is 0 from here on, so the sum is 0 at this distance from the largest logit.
_ZERO_DISTANCE = 2662
_MOST_ESTIMATED_CLASSES = 512
_LIMB_STEP = 16


class AccumulatorOverflow(ArithmeticError):
    """A matrix product may leave 62 bits; ``bound`` is the limit that its operands imply."""

    def __init__(self, bound: int) -> None:
        super().__init__(f"a matrix product may reach 2^{bound.bit_length()}")
        self.bound = bound


def largest(values: torch.Tensor) -> int:
    """``max |v|`` of a tensor of integers, as a Python integer; 0 of an empty one."""
    if not values.numel():
        return 0
    low, high = torch.aminmax(values)
    return max(-int(low.item()), int(high.item()))


def exact_matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a @ b`` as int64, for float64 tensors of integers below ``2^53`` each.

    With ``L`` the largest row sum of ``|a|``, or a quick bound of it: one product when ``L max|b|
    <= 2^53``; otherwise ``b = sum_i 2^(w i) b_i`` with ``w`` the largest multiple of 16 for which
    ``L 2^w <= 2^53`` and ``0 <= b_i < 2^w`` but for the signed top limb, and one product per limb.
    Raises ``AccumulatorOverflow`` when ``L max|b| >= 2^62`` or ``L > 2^37``.
    """
    most = largest(b)
    if a.shape[1] * largest(a) * most <= EXACT_FLOAT:
        return (a @ b).to(torch.int64)
    row_sum = int(a.abs().sum(dim=1).max().item()) if a.numel() else 0
    bound = row_sum * most
    if bound <= EXACT_FLOAT:
        return (a @ b).to(torch.int64)
    limb_bits = (53 - (row_sum - 1).bit_length()) // _LIMB_STEP * _LIMB_STEP
    if bound >= ACCUMULATOR_LIMIT or limb_bits <= 0:
        raise AccumulatorOverflow(bound)
    radix = float(1 << limb_bits)
    total = torch.zeros((a.shape[0], b.shape[1]), dtype=torch.int64, device=a.device)
    rest, position = b, 0
    while row_sum * largest(rest) > EXACT_FLOAT:
        above = torch.floor(rest / radix)
        limb = rest - above * radix
        total += (a @ limb).to(torch.int64) << position
        rest, position = above, position + limb_bits
    return total + ((a @ rest).to(torch.int64) << position)


class Softmax:
    """The softmax whose normaliser is a unique integer.

    For logits ``z`` (8 fractional bits) ``c`` is the smallest integer with
    ``sum_j T(c - z_j) <= 2^14``, where ``T(d)`` counts as larger than ``2^14`` for ``d < -1``, and
    the probabilities are ``T(c - z_j)`` (14 fractional bits). The sum does not increase with ``c``,
    so ``c`` is unique whatever finds it.

    Logits ``(B, classes)`` and results are float64 tensors of integers; ``T`` is
    ``tables.exp``. Nothing here waits for the device.
    """

    def __init__(self, classes: int, device: torch.device | str) -> None:
        at, before = (torch.from_numpy(column.copy()) for column in exp_table())
        # Row i is T(i - 2): row 0 is "too large", then T(-1), T(0), ...
        self._table = torch.cat([torch.tensor([_TOO_LARGE]), before[:1], at]).to(
            dtype=torch.float64, device=device
        )
        # Rounding moves the sum by at most classes / 2, hence c by about classes / 128.
        reach = -(-classes // 128)
        self._offsets = torch.arange(-reach, reach, dtype=torch.float64, device=device)
        self._estimates = classes <= _MOST_ESTIMATED_CLASSES

    def _rows(self, distances: torch.Tensor) -> torch.Tensor:
        return (distances + 2.0).clamp_(0.0, float(EXP_ROWS + 1)).to(torch.int64)

    def _above(self, distances: torch.Tensor) -> torch.Tensor:
        """Whether the sum over the last axis exceeds ``2^14``."""
        return torch.take(self._table, self._rows(distances)).sum(dim=-1) > ONE

    def estimate(self, logits: torch.Tensor) -> torch.Tensor:
        """``256 log sum_j exp(z_j / 256)`` per sample, in floating point."""
        top = logits.amax(dim=1, keepdim=True)
        total = (logits - top).mul_(1 / LOGIT_SCALE).exp_().sum(dim=1)
        return torch.add(top.squeeze(1), total.log_(), alpha=LOGIT_SCALE)

    def normaliser(self, logits: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
        """``c`` from a few candidates around ``estimate``, another value where that is far off."""
        if not self._estimates:
            return self.search(logits)
        candidates = torch.ceil(estimate).unsqueeze(1) + self._offsets
        above = self._above(candidates.unsqueeze(2) - logits.unsqueeze(1))
        return candidates.select(1, 0) + above.sum(dim=1)

    def search(self, logits: torch.Tensor) -> torch.Tensor:
        """``c`` by bisection, exact for all logits in ``[-2^31, 2^31)``."""
        low = logits.amax(dim=1) - 1.0
        high = low + float(_ZERO_DISTANCE + 1)
        for _ in range(_ZERO_DISTANCE.bit_length()):
            middle = torch.floor((low + high) / 2.0)
            above = self._above(middle.unsqueeze(1) - logits)
            low = torch.where(above, middle, low)
            high = torch.where(above, high, middle)
        return high
