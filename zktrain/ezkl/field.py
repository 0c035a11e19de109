"""The scalar field of BN254, as far as integers go in and come out.

An integer ``v`` with ``|v| < r / 2`` is the element ``v mod r``. Its text is what ezkl reads and
writes: the 32 bytes, least significant first, in hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterable

from .srs.curve import R

ELEMENT_BYTES = 32


def element(value: int) -> bytes:
    """The 32 bytes of ``value mod r``, least significant first."""
    return (value % R).to_bytes(ELEMENT_BYTES, "little")


def integer(data: bytes) -> int:
    """The integer nearest to zero of an element. Raises ``ValueError`` unless it is canonical."""
    value = int.from_bytes(data, "little")
    if len(data) != ELEMENT_BYTES or value >= R:
        raise ValueError("not a canonical field element")
    return value if value <= R // 2 else value - R


def texts(values: Iterable[int]) -> list[str]:
    """Integers in ezkl's text."""
    return [element(value).hex() for value in values]
