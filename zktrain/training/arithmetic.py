"""Exact integer arithmetic on float64 tensors, the same bits on every device.

A float64 holds every integer up to ``2^53``. A matrix product of integers is therefore exact, in
any order of summation and with or without fused multiply-add, as long as
``max_row sum_i |a_i| * max |b| <= 2^53``; beyond that ``b`` is cut in limbs.
"""

from __future__ import annotations

import torch

from ..circuit.exp_table import EXP_ROWS, exp_table

EXACT_FLOAT = 1 << 53
ACCUMULATOR_LIMIT = 1 << 62
ONE = 1 << 14
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
    return int(values.abs().max().item()) if values.numel() else 0


def exact_matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a @ b`` as int64, for float64 tensors of integers below ``2^53`` each.

    With ``L`` the largest row sum of ``|a|``: one product when ``L max|b| <= 2^53``; otherwise
    ``b = sum_i 2^(w i) b_i`` with ``w`` the largest multiple of 16 for which ``L 2^w <= 2^53``
    and ``0 <= b_i < 2^w`` but for the signed top limb, and one product per limb.
    Raises ``AccumulatorOverflow`` when ``L max|b| >= 2^62`` or ``L > 2^37``.
    """
    row_sum = int(a.abs().sum(dim=1).max().item()) if a.numel() else 0
    bound = row_sum * largest(b)
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


def rescale(accumulator: torch.Tensor, shift: int) -> torch.Tensor:
    """``floor((acc + 2^(shift-1)) / 2^shift)`` of int64 values, rounding half up."""
    return (accumulator + (1 << (shift - 1))) >> shift


class Softmax:
    """The softmax whose normaliser is a unique integer.

    For logits ``z`` (8 fractional bits) ``c`` is the smallest integer with
    ``sum_j T(c - z_j) <= 2^14``, where ``T(d)`` counts as larger than ``2^14`` for ``d < -1``, and
    the probabilities are ``T(c - z_j)`` (14 fractional bits). The sum does not increase with ``c``,
    so ``c`` is unique whatever finds it.

    Logits and results are float64 tensors of integers; ``T`` is ``circuit.exp_table``.
    """

    def __init__(self, classes: int, device: torch.device | str) -> None:
        at, before = (torch.from_numpy(column.copy()) for column in exp_table())
        # Row i is T(i - 2): row 0 is "too large", then T(-1), T(0), ...
        self._table = torch.cat([torch.tensor([_TOO_LARGE]), before[:1], at]).to(
            dtype=torch.float64, device=device
        )
        self._certain = torch.ones((), dtype=torch.bool, device=device)
        # Rounding moves the sum by at most classes / 2, hence c by about classes / 128.
        reach = 1 + -(-classes // 128)
        self._offsets = torch.arange(-reach, reach + 1, dtype=torch.float64, device=device)
        self._estimates = classes <= _MOST_ESTIMATED_CLASSES

    def _values(self, distances: torch.Tensor) -> torch.Tensor:
        rows = (distances + 2.0).clamp_(0.0, float(EXP_ROWS + 1)).to(torch.int64)
        return self._table[rows]

    def normaliser(
        self, logits: torch.Tensor, log_sum: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``(c, certain)``, ``c`` from a few candidates around ``256 log_sum``.

        ``log_sum`` is a floating-point ``log sum_j exp(z_j / 256)`` per sample. ``certain`` (on the
        device) says that the first candidate was too small and the last one large enough for
        every sample, so that ``c`` is the normaliser; where it is false use ``search``.
        """
        if not self._estimates:
            return self.search(logits), self._certain
        candidates = torch.ceil(log_sum * LOGIT_SCALE)[:, None] + self._offsets
        above = self._values(candidates[:, :, None] - logits[:, None, :]).sum(dim=2) > ONE
        certain = (above[:, 0] > above[:, -1]).all()
        return candidates[:, 0] + above.sum(dim=1), certain

    def search(self, logits: torch.Tensor) -> torch.Tensor:
        """``c`` by bisection, exact for all logits in ``[-2^31, 2^31)``."""
        low = logits.amax(dim=1) - 1.0
        high = low + float(_ZERO_DISTANCE + 1)
        for _ in range(_ZERO_DISTANCE.bit_length()):
            middle = torch.floor((low + high) / 2.0)
            above = self._values(middle[:, None] - logits).sum(dim=1) > ONE
            low = torch.where(above, middle, low)
            high = torch.where(above, high, middle)
        return high

    def probabilities(
        self, c: torch.Tensor, logits: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``(T(c - z), T(c - 1 - z))`` for every logit; ``0 <= c - z <= 2^16 - 2``."""
        rows = (c[:, None] - logits + 2.0).clamp_(1.0, float(EXP_ROWS + 1)).to(torch.int64)
        return self._table[rows], self._table[rows - 1]
