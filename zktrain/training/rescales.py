"""Rescales as operations on buffers: what is divided, its quotient, and its limbs read back."""

from __future__ import annotations

import torch

from ..arguments.hints import Floor
from ..arguments.tensors import Tensor
from ..operations import Affine, AffineTransposed
from .arithmetic import QUOTIENT_HIGH, QUOTIENT_LOW
from .figures import size
from .interpreter import Rules
from .tape import Tape

Total = tuple[str, int, int]
"""Source, factor and offset of a rescale."""


class Rescales:
    """Those of a step."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.offsets = _folded(tape.rules)
        """What is added to products before anything else, by their names."""
        self._totals: dict[Total, torch.Tensor] = {}
        self._scratch = tape.zeros(0, dtype=torch.int64)
        self._scratch_of: Total | None = None

    def total(self, hint: Floor) -> torch.Tensor:
        """``factor source + offset``."""
        key = _total_of(hint)
        if key not in self._totals:
            tape = self._tape
            self._totals[key] = source = tape.value(hint.source)
            if hint.source not in self.offsets:
                interval = tape.interval(hint.source)
                out = self._totals[key] = torch.empty_like(source)
                tape.do(torch.mul, source, hint.factor, out=out)
                tape.do(out.add_, hint.offset)
                tape.figures.exact(lambda seen: hint.factor * size(interval, seen) + hint.offset)
        return self._totals[key]

    def quotient(self, tensor: Tensor, hint: Floor) -> torch.Tensor:
        """Of 16 bits."""
        tape = self._tape
        total, out = self.total(hint), tape.buffer(tensor.name)
        tape.do(torch.mul, total, 2.0**-hint.shift, out=out)
        tape.do(out.floor_)
        tape.intervals[tensor.name] = interval = tape.measured(out)
        tape.figures.within(interval, QUOTIENT_LOW, QUOTIENT_HIGH)
        return out

    def forget(self) -> None:
        """Another step has run."""
        self._scratch_of = None

    def limb(self, hint: Floor, bits: int) -> torch.Tensor:
        """In the step that ran last; good until that of another rescale is asked for."""
        found = self._integers(_total_of(hint))
        if bits == 16 and hint.shift % 16 == 0:  # a part of the integer, little-endian
            parts = found.view(torch.uint16).view(*found.shape, 4)
            return parts.select(-1, hint.shift // 16)
        return (found >> hint.shift) & ((1 << bits) - 1)

    def _integers(self, key: Total) -> torch.Tensor:
        """What a rescale divides, as int64; good until another one is asked for."""
        total = self._totals[key]
        if self._scratch.numel() < total.numel():
            self._scratch = self._scratch.new_empty(total.numel())
        found = self._scratch.narrow(0, 0, total.numel()).view(total.shape)
        if self._scratch_of != key:
            self._scratch_of = key
            found.copy_(total)
        return found


def _total_of(hint: Floor) -> Total:
    return hint.source, hint.factor, hint.offset


def _folded(rules: Rules) -> dict[str, int]:
    """Of products that are only rescaled, what is added before that."""
    used = {name for op in rules.definitions.values() for name in op.inputs()}
    found: dict[str, set[tuple[int, int]]] = {}
    for tensor in rules.tensors.values():
        if isinstance(tensor.hint, Floor):
            source, factor, offset = _total_of(tensor.hint)
            found.setdefault(source, set()).add((factor, offset))
    return {
        name: next(iter(ways))[1]
        for name, ways in found.items()
        if isinstance(rules.definitions.get(name), (Affine, AffineTransposed))
        and name not in used
        and {factor for factor, _ in ways} == {1}
        and len(ways) == 1
    }
