"""The published weight file and the digest of integer weights.

Inside zktrain a parameter is an int64 array of integers with ``weight_bits`` fractional bits,
weight matrices ``(inputs, outputs)``, those of convolutions ``(height, width, inputs, outputs)``.
In the file it is float64, exactly ``integer * 2^-weight_bits``, weight matrices ``(outputs,
inputs)`` and ``(outputs, inputs, height, width)`` as torch has them. Since
``|integer| < 2^52`` nothing is lost.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .. import tensor_file
from ..errors import StatementMismatch

Cell = TypeVar("Cell", bound=np.generic)

WEIGHT_LIMIT = 1 << 52
_DOMAIN = b"zktrain weights v1"
_STAGE = "weight file"


TO_FILE = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
_FROM_FILE = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def as_internal(values: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
    """A parameter of torch's layout in the internal one, a view."""
    return values.transpose(_FROM_FILE[values.ndim])


def digest(weights: Mapping[str, npt.NDArray[np.int64]]) -> str:
    """SHA-256, in hex, of integer weights in the internal layout and in the order of the mapping.

    Hashed are ``"zktrain weights v1"`` and for every parameter ``le8(len(name)) || name ||
    le8(ndim) || le8(size) of each axis || cells in row-major order, 8 bytes each``. Everything is
    little endian, names are UTF-8, cells are two's complement.
    """
    state = hashlib.sha256(_DOMAIN)
    for name, values in weights.items():
        encoded = name.encode()
        state.update(len(encoded).to_bytes(8, "little") + encoded)
        for number in (values.ndim, *values.shape):
            state.update(number.to_bytes(8, "little"))
        state.update(np.ascontiguousarray(values, dtype="<i8").tobytes())
    return state.hexdigest()


def read_weights(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]],
    weight_bits: int,
    names: Sequence[str] | None = None,
) -> dict[str, npt.NDArray[np.int64]]:
    """Integer weights of an untrusted file, in the internal layout and in the order of ``shapes``,
    or those with these ``names``.

    ``shapes`` are internal ones. Nothing of the size of a tensor is allocated before all names,
    types and shapes have been compared. Raises ``InputError`` when the file is not a safetensors
    file, ``StatementMismatch`` when its parameters have other names, types or shapes than
    ``shapes``, or values that are no multiples of ``2^-weight_bits`` below ``2^52`` units.
    """
    with tensor_file.opened(path) as file:
        if set(file.entries) != set(shapes):
            raise StatementMismatch(
                f"{path} is about another network: the names of its parameters differ",
                stage=_STAGE,
                expected=ascii(sorted(shapes))[:500],
                got=ascii(sorted(file.entries))[:500],
            )
        for name, shape in shapes.items():
            entry = file.entries[name]
            expected = tuple(shape[axis] for axis in TO_FILE[len(shape)])
            if (entry.dtype, entry.shape) != ("F64", expected):
                raise StatementMismatch(
                    f"{path} is about another network: parameter {name} has another type or shape",
                    stage=_STAGE,
                    expected=f"F64 {expected}",
                    got=f"{entry.dtype} {entry.shape}",
                )
        wanted = shapes if names is None else names
        return {name: _integers(path, name, file.floats(name), weight_bits) for name in wanted}


def _integers(
    path: str | os.PathLike[str], name: str, values: npt.NDArray[np.float64], weight_bits: int
) -> npt.NDArray[np.int64]:
    # The comparison is false for NaN; what passes it neither overflows nor loses bits below.
    if not bool((np.abs(values) < 2.0 ** (52 - weight_bits)).all()):
        raise StatementMismatch(
            f"{path}: parameter {name} has a value that is not finite or not below "
            f"2^{52 - weight_bits}, as no zktrain weight has",
            stage=_STAGE,
        )
    units = np.ldexp(values, weight_bits)
    integers = units.astype(np.int64)
    if not bool((integers == units).all()):
        raise StatementMismatch(
            f"{path}: parameter {name} has a value that is no multiple of 2^-{weight_bits}, as "
            f"every zktrain weight is",
            stage=_STAGE,
        )
    return np.ascontiguousarray(as_internal(integers))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a weight file; empty if it has none. Raises ``InputError``."""
    with tensor_file.opened(path) as file:
        return file.metadata
