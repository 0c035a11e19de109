"""Networks of ONNX files as the tests of reading them look at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zktrain.circuit.onnx.importer import read_network
from zktrain.layers import AnyLayer


def import_onnx(path: str | Path) -> tuple[tuple[AnyLayer, ...], dict[str, NDArray[np.float64]]]:
    """Layers and weights."""
    found = read_network(path)
    return found.layers, found.weights
