"""Writing weight files, in the format of safetensors."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import disk
from ..circuit.weights import TO_FILE, WEIGHT_LIMIT, Cell
from ..dataset.scaling import Scaling
from ..errors import InputError
from ..tensor_file import ALIGNED, METADATA


def as_torch(values: npt.NDArray[Cell]) -> npt.NDArray[Cell]:
    """A parameter of the internal layout in that of torch, a view."""
    return values.transpose(TO_FILE[values.ndim])


def write_weights(
    path: str | os.PathLike[str],
    weights: Mapping[str, npt.NDArray[np.int64]],
    weight_bits: int,
    metadata: Mapping[str, str],
) -> None:
    """Write the float64 safetensors file of ``weights``; the file appears complete or not at all.

    Raises ``InputError`` when a value is not below ``2^52`` or the folder cannot be written.
    """
    tensors = {}
    for name, values in weights.items():
        if values.size and max(-int(values.min()), int(values.max())) >= WEIGHT_LIMIT:
            raise InputError(f"{name}: a weight is not below 2^52 and has no exact float64 form")
        tensors[name] = np.ldexp(as_torch(values).astype(np.float64), -weight_bits)
    disk.write(path, encoded(tensors, metadata))


def scaling_metadata(scaling: Scaling) -> dict[str, str]:
    """What a weight file says of the inputs that it was trained on."""
    return {"input_low": repr(scaling.low), "input_high": repr(scaling.high)}


def encoded(tensors: Mapping[str, npt.NDArray[np.float64]], metadata: Mapping[str, str]) -> bytes:
    """The one file of these tensors and texts: names and keys sorted, header padded to 8 bytes."""
    header: dict[str, Any] = {}
    if metadata:
        header[METADATA] = dict(sorted(metadata.items()))
    cells, at = [], 0
    for name in sorted(tensors):
        data = np.ascontiguousarray(tensors[name], dtype="<f8").tobytes()
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F64", "shape": shape, "data_offsets": [at, at + len(data)]}
        cells.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNED)
    return b"".join([struct.pack("<Q", len(text)), text, *cells])
