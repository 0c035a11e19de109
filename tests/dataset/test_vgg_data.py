"""The data script of VGG-11: where the values of an image end up."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from zktrain.dataset.readers import read_dataset

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "vgg_data.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vgg_data", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_records_are_channels_lines_and_columns(script: ModuleType, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 28, 28)).astype(np.uint8)
    labels = np.array([3, 0, 1, 2, 9])
    idx(tmp_path / "train-images-idx3-ubyte", images)
    idx(tmp_path / "train-labels-idx1-ubyte", labels)
    out = tmp_path / "vgg.npz"
    assert script.write_records(tmp_path, "train", out, 4) == 4
    found = read_dataset(str(out))
    assert found.inputs.shape == (4, 3 * 32 * 32) and found.classes == 10
    assert found.labels.tolist() == [3, 0, 1, 2]
    for channel in range(3):
        for y, x in ((2, 2), (29, 29), (2, 29), (17, 5)):
            cells = found.inputs[:, channel * 1024 + y * 32 + x]
            assert cells.tolist() == images[:4, y - 2, x - 2].tolist()
        for y, x in ((1, 2), (2, 1), (30, 29), (29, 30)):
            assert not found.inputs[:, channel * 1024 + y * 32 + x].any()
    assert found.inputs.astype(int).sum() == 3 * images[:4].astype(int).sum()


def test_large_images_are_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="33 x 2 are larger"):
        script.coloured(np.zeros((1, 33, 2), np.uint8))
