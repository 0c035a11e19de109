"""Fisher's irises as records of four bytes, from scikit-learn's built-in copy.

    python benchmarks/iris_data.py OUT.npz

150 records in three classes; lengths in cm are divided by 8, so that all are in [0, 1).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

LOW, HIGH = 0.0, 8.0


def write_iris(path: Path) -> Path:
    """Write the records for ``zktrain commit`` and ``zktrain train``."""
    from sklearn.datasets import load_iris

    bunch = load_iris()
    np.savez(path, inputs=bunch.data, labels=bunch.target, classes=3, low=LOW, high=HIGH)
    return path


if __name__ == "__main__":
    print(write_iris(Path(sys.argv[1])))
