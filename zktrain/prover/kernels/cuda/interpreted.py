"""The scalar functions of ``kernels.arithmetic`` on Python integers, from their one definition.

They are written once, as code generators over an LLVM instruction builder. numba has them build
machine code for the CPU and NVVM code for a GPU; here the builder computes instead, for the CUDA
simulator, which runs kernels as Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

_WORD = (1 << 64) - 1


def _value(operand: Any) -> int:
    return int(operand.constant if isinstance(operand, ir.Constant) else operand) & _WORD


def _signed(operand: Any) -> int:
    value = _value(operand)
    return value - (1 << 64) if value >> 63 else value


class _Computing:
    """What the generators use of an instruction builder and of a code generation context, on 64-bit
    words."""

    def add(self, x: Any, y: Any) -> int:
        return (_value(x) + _value(y)) & _WORD

    def sub(self, x: Any, y: Any) -> int:
        return (_value(x) - _value(y)) & _WORD

    def mul(self, x: Any, y: Any) -> int:
        return _value(x) * _value(y) & _WORD

    def and_(self, x: Any, y: Any) -> int:
        return _value(x) & _value(y)

    def or_(self, x: Any, y: Any) -> int:
        return _value(x) | _value(y)

    def xor(self, x: Any, y: Any) -> int:
        return _value(x) ^ _value(y)

    def shl(self, x: Any, y: Any) -> int:
        return _value(x) << _value(y) & _WORD

    def lshr(self, x: Any, y: Any) -> int:
        return _value(x) >> _value(y)

    def icmp_unsigned(self, sign: str, x: Any, y: Any) -> bool:
        return _compare(sign, _value(x), _value(y))

    def icmp_signed(self, sign: str, x: Any, y: Any) -> bool:
        return _compare(sign, _signed(x), _signed(y))

    def select(self, condition: bool, x: Any, y: Any) -> int:
        return _value(x) if condition else _value(y)

    def make_tuple(self, builder: Any, kind: Any, values: list[int]) -> tuple[int, ...]:
        return tuple(values)


def _compare(sign: str, x: int, y: int) -> bool:
    if sign not in ("<", ">="):
        raise NotImplementedError(f"the comparison {sign}")
    return x < y if sign == "<" else x >= y


def interpreted(intrinsic: Any, arguments: int) -> Callable[..., Any]:
    """A numba intrinsic of ``arguments`` words as a function of integers; returns ``uint64``, or a
    tuple of them."""
    signature, generate = intrinsic._defn(None, *[None] * arguments)
    computing = _Computing()

    def call(*values: Any) -> Any:
        out = generate(computing, computing, signature, [int(value) & _WORD for value in values])
        return tuple(map(np.uint64, out)) if isinstance(out, tuple) else np.uint64(out)

    return call
