"""Steps of the transform on short rows of an array, as instructions on vectors of eight words.

A loop over a row costs as much as its arithmetic where the row is short: the compiler checks
whether rows overlap, and what is left over. These functions take rows of eight words that stand so
many words apart in a flat view of an array, and write what they become into another array, or the
same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .arithmetic import build_add, build_mul, build_mul_2_48, build_sub

EIGHT = 8
"""Words of a row. Processors with narrower registers take two or four for it."""
_WORD, _LANE = ir.IntType(64), ir.IntType(32)
_ROW = ir.VectorType(_WORD, EIGHT)

Build = Callable[[Any, Sequence[Any], Sequence[Any]], Sequence[Any]]
"""Rows that come out, from a builder, rows and factors."""


def _place(b: Any, data: Any, first: Any, gap: Any, number: int) -> Any:
    """Where row ``number`` is."""
    at = b.gep(data, [b.add(first, b.mul(gap, _WORD(number)))])
    return b.bitcast(at, _ROW.as_pointer())


def _spread(b: Any, word: Any) -> Any:
    """A row of one word."""
    nothing = ir.Constant(_ROW, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(_LANE, EIGHT), [0] * EIGHT)
    return b.shuffle_vector(b.insert_element(nothing, word, _LANE(0)), nothing, zeros)


def _on_rows(name: str, rows_in: int, factors: int, build: Build) -> Any:
    """``f(source, first, gap, target, first, gap, factors..)``: ``rows_in`` rows of a
    two-dimensional array, the first at word number ``first``, become rows of ``target``."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])
        source, target = (array(context, b, args[k]).data for k in (0, 3))
        places = [_place(b, source, args[1], args[2], number) for number in range(rows_in)]
        rows = [b.load(place, align=8) for place in places]
        out = build(b, rows, [_spread(b, word) for word in args[6:]])
        for number, row in enumerate(out):
            b.store(row, _place(b, target, args[4], args[5], number), align=8)
        return context.get_dummy_value()

    array: Any = types.Array(types.uint64, 2, "C")
    index = types.intp

    def typed(typingctx, *args):  # type: ignore[no-untyped-def]
        words = [types.uint64] * factors
        return types.void(array, index, index, array, index, index, *words), codegen

    # numba counts the arguments by the signature
    names = ["typingctx", *(f"x{i}" for i in range(6 + factors))]
    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


def _four(b: Any, rows: Sequence[Any], factors: Sequence[Any]) -> Sequence[Any]:
    """Two layers of four rows; ``factors`` are ``w, w^2, w^3``, or none for 1."""
    a, x, c, y = rows
    s, t = build_add(b, a, c), build_sub(b, a, c)
    u, v = build_add(b, x, y), build_mul_2_48(b, build_sub(b, x, y))
    out = [build_add(b, s, u), build_sub(b, s, u), build_add(b, t, v), build_sub(b, t, v)]
    return _scaled(b, out, factors)


def _four_of_two(b: Any, rows: Sequence[Any], factors: Sequence[Any]) -> Sequence[Any]:
    """The same where the last two are 0."""
    s, u = rows
    v = build_mul_2_48(b, u)
    out = [build_add(b, s, u), build_sub(b, s, u), build_add(b, s, v), build_sub(b, s, v)]
    return _scaled(b, out, factors)


def _four_of_one(b: Any, rows: Sequence[Any], factors: Sequence[Any]) -> Sequence[Any]:
    """The same where all but the first are 0."""
    return _scaled(b, [rows[0]] * 4, factors)


def _two(b: Any, rows: Sequence[Any], factors: Sequence[Any]) -> Sequence[Any]:
    """One layer of two rows."""
    out = [build_add(b, *rows), build_sub(b, *rows)]
    return [out[0], build_mul(b, out[1], factors[0])]


def _scaled(b: Any, rows: Sequence[Any], factors: Sequence[Any]) -> Sequence[Any]:
    if not factors:
        return rows
    w1, w2, w3 = factors
    scaled = (build_mul(b, row, w) for row, w in zip(rows[1:], (w2, w1, w3), strict=True))
    return [rows[0], *scaled]


four = _on_rows("four", 4, 3, _four)
four_plain = _on_rows("four_plain", 4, 0, _four)
four_of_two = _on_rows("four_of_two", 2, 3, _four_of_two)
four_of_one = _on_rows("four_of_one", 1, 3, _four_of_one)
two = _on_rows("two", 2, 1, _two)
