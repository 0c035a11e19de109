"""A large binary dataset from the images of Fashion-MNIST, for logistic regression.

    python benchmarks/logistic_data.py OUT [--records 262144] [--test-records 16384]
                                           [--source /usr/share/datasets/fashion-mnist]

Writes a folder of IDX files, which ``zktrain`` reads: records of 32 x 32 bytes, labelled 1 for
footwear (sandal, sneaker, ankle boot) and 0 for everything else. They are *shifted copies*: every
28 x 28 image stands in a 32 x 32 frame at one of the 25 offsets ``(row, column)`` in ``0 .. 4``,
and copy ``k`` of image ``n`` (records ``k N + n``) has offset number ``(7 n + 6 k) mod 25``, so
that copies of one image differ. 262,144 records are four to five copies of each of 60,000 images:
real pictures, but not so many different ones. Held-out records are made of the test images alone.

Grey levels are divided by 8 (0 .. 31). A learning rate is a whole multiple of ``batch / 1024``, 4
for batches of 4,096; on inputs of an eighth it acts like 1/16 on the full ones.

The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zktrain.dataset.readers import read_dataset

FRAME, IMAGE = 32, 28
OFFSETS = FRAME - IMAGE + 1
LEVELS_DOWN = 8
FOOTWEAR = (5, 7, 9)

Bytes = NDArray[np.uint8]


def shifted(images: Bytes, labels: Bytes, first: int, count: int) -> tuple[Bytes, Bytes]:
    """Records ``first .. first + count - 1``: frames ``(count, 32, 32)`` and labels 0 or 1."""
    number = np.arange(first, first + count)
    copy, image = np.divmod(number, len(images))
    offset = (7 * image + 6 * copy) % OFFSETS**2
    frames = np.zeros((count, FRAME, FRAME), dtype=np.uint8)
    for value in range(OFFSETS**2):
        here = np.flatnonzero(offset == value)
        row, column = divmod(value, OFFSETS)
        cells = images[image[here]] // LEVELS_DOWN
        frames[here, row : row + IMAGE, column : column + IMAGE] = cells
    return frames, np.isin(labels[image], FOOTWEAR).astype(np.uint8)


def write(folder: Path, split: str, images: Bytes, labels: Bytes, records: int) -> None:
    """Both IDX files of a split, in pieces: the whole is a quarter of a gigabyte."""
    with (
        (folder / f"{split}-images-idx3-ubyte").open("wb") as pictures,
        (folder / f"{split}-labels-idx1-ubyte").open("wb") as classes,
    ):
        pictures.write(bytes([0, 0, 8, 3]) + struct.pack(">3I", records, FRAME, FRAME))
        classes.write(bytes([0, 0, 8, 1]) + struct.pack(">I", records))
        step = 1 << 14
        for first in range(0, records, step):
            frames, wanted = shifted(images, labels, first, min(step, records - first))
            pictures.write(frames.tobytes())
            classes.write(wanted.tobytes())


def make(out: Path, source: Path, records: int, test_records: int) -> None:
    """Training records from the training images, held-out records from the test images."""
    out.mkdir(parents=True, exist_ok=True)
    for split, name, count in (("train", "train", records), ("t10k", "test", test_records)):
        read = read_dataset(f"{source}:{name}")
        images = read.inputs.reshape(-1, IMAGE, IMAGE)
        write(out, split, images, read.labels.astype(np.uint8), count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--records", type=int, default=1 << 18)
    parser.add_argument("--test-records", type=int, default=1 << 14)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    options = parser.parse_args()
    make(options.out, options.source, options.records, options.test_records)


if __name__ == "__main__":
    main()
