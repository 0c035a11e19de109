"""Records for a large logistic regression, made of an IDX folder such as Fashion-MNIST.

    python benchmarks/logistic_data.py FOLDER OUT.npz [--split train|test] [--records N]

Each grey image of 28 x 28 is put into a black square of 32 x 32 at one of 25 places, so that 60,000
images give up to 1,500,000 different records of 1,024 bytes: first every image once, each at a
place that depends on its number, then every image again at its next place. The label is 1 for what
is worn on the feet (classes 5, 7 and 9 of Fashion-MNIST), else 0. These are shifted copies, good for
measuring what size costs, not 262,144 independent observations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from zktrain.dataset.idx import find_pair, read_idx

SIDE, PLACES = 32, 5
FOOTWEAR = (5, 7, 9)
RECORDS = 262_144


def shifted(images: np.ndarray, labels: np.ndarray, records: int) -> tuple[np.ndarray, np.ndarray]:
    """``(records, 1024)`` bytes and labels 0 or 1. Raises ``ValueError`` for more records than
    there are images and places, or for images that are not 28 x 28."""
    count, *shape = images.shape
    if shape != [28, 28] or records > count * PLACES**2:
        raise ValueError(f"{count} images of {shape} do not give {records} records")
    out = np.zeros((records, SIDE, SIDE), dtype=np.uint8)
    for first in range(0, records, count):
        here = np.arange(first, min(records, first + count))
        place = (here - first + first // count) % PLACES**2
        for at in range(PLACES**2):
            chosen = here[place == at]
            top, left = divmod(at, PLACES)
            out[chosen, top : top + 28, left : left + 28] = images[chosen - first]
    wanted = np.isin(labels, FOOTWEAR).astype(np.uint8)
    return out.reshape(records, -1), wanted[np.arange(records) % count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--records", type=int, help=f"by default {RECORDS:,}, or all test images")
    options = parser.parse_args()
    pair = find_pair(options.folder, options.split)
    images, labels = (read_idx(path, axes) for path, axes in zip(pair, (3, 1), strict=True))
    records = options.records or (RECORDS if options.split == "train" else len(images))
    inputs, targets = shifted(images, labels, records)
    np.savez(options.out, inputs=inputs, labels=targets)
    print(
        f"{options.out}: {records:,} records of {inputs.shape[1]} bytes, {targets.mean():.1%} of 1"
    )


if __name__ == "__main__":
    main()
