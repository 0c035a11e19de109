"""How the numbers of a dataset become bytes: one range for all inputs.

    byte = round((x - low) / (high - low) * 255)         ties to even, float64
    what the network sees = byte / 256

Bytes as they are have the range 0..255. The range is a part of the dataset's public header, so
that its root binds it and other data can be read in the same way.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..circuit.weights import read_metadata
from ..errors import InputError

_ROWS = 1 << 22
"""Cells that are scaled at once."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The range of a dataset's inputs, ``low < high``, both finite as is their difference.

    Raises ``ValueError`` for anything else.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        # Adding 0.0 makes one zero of both.
        object.__setattr__(self, "low", float(self.low) + 0.0)
        object.__setattr__(self, "high", float(self.high) + 0.0)
        if not (self.low < self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"low = {self.low!r} and high = {self.high!r} are not a range")

    @property
    def text(self) -> str:
        """For people."""
        if self == BYTES:
            return "bytes 0..255, used as they are; training takes the 256th part"
        return f"{self.span}, mapped to bytes 0..255 and rounded; training takes the 256th part"

    @property
    def span(self) -> str:
        """``low..high``, exactly."""
        return f"{_short(self.low)}..{_short(self.high)}"

    def to_json(self) -> dict[str, str]:
        """Both numbers as the 16 hexadecimal digits of their IEEE 754 encoding."""
        return {
            "low": struct.pack(">d", self.low).hex(),
            "high": struct.pack(">d", self.high).hex(),
        }

    @staticmethod
    def from_json(low: object, high: object) -> Scaling:
        """Strict; raises ``ValueError``."""
        numbers = []
        for text in (low, high):
            if type(text) is not str:
                raise ValueError("not 16 hexadecimal digits")
            encoded = bytes.fromhex(text)
            if len(encoded) != 8:
                raise ValueError("not 16 hexadecimal digits")
            numbers.append(struct.unpack(">d", encoded)[0])
        found = Scaling(*numbers)
        if found.to_json() != {"low": low, "high": high}:
            raise ValueError("not canonical")
        return found

    def holds(self, values: npt.NDArray[Any]) -> bool:
        """Whether all values are numbers in the range."""
        return bool(((values >= self.low) & (values <= self.high)).all())

    def to_bytes(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Values that :meth:`holds`, of any real type, as bytes of the same shape."""
        if self == BYTES and values.dtype.kind in "iu":
            return values.astype(np.uint8)
        flat = values.reshape(-1)
        out = np.empty(flat.shape, np.uint8)
        for first in range(0, flat.size, _ROWS):
            part = flat[first : first + _ROWS].astype(np.float64)
            part -= self.low
            part /= self.high - self.low
            out[first : first + _ROWS] = np.rint(part * 255)
        return out.reshape(values.shape)


BYTES = Scaling(0.0, 255.0)
"""Integers 0..255, used as they are."""


def _short(number: float) -> str:
    return repr(number).removesuffix(".0")


def stated_scaling(path: str | os.PathLike[str]) -> Scaling | None:
    """How the inputs were scaled that these weights were trained on, as the file says, which
    nothing proves; ``None`` if it does not. Raises ``InputError``."""
    found = read_metadata(path)
    if "input_low" not in found and "input_high" not in found:
        return None
    try:
        return Scaling(float(found["input_low"]), float(found["input_high"]))
    except (KeyError, ValueError):
        raise InputError(
            f"{path}: its metadata input_low and input_high are not a range; give the file as "
            f"zktrain train wrote it"
        ) from None
