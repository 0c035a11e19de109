"""Records of the shape that VGG-11 takes, made of an IDX folder such as Fashion-MNIST.

    python benchmarks/vgg_data.py FOLDER OUT.npz [--split train|test] [--records N]

VGG-11 is known from coloured photographs of 3 x 32 x 32. These are not: every grey image of 28 x 28
gets a black border of 2, and is repeated as red, green and blue. That is good for measuring what a
proof of such a network costs, and for nothing else.

A record is a row of channels, lines and columns, as the network's ``Unflatten`` expects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from zktrain.dataset.idx import find_pair, read_idx

SIDE, CHANNELS = 32, 3


def coloured(images: np.ndarray) -> np.ndarray:
    """Images ``(N, height, width)`` of at most 32 x 32 as records ``(N, 3072)``, in the middle of
    a black square, the same in all three channels. Raises ``ValueError`` for larger ones."""
    count, height, width = images.shape
    if max(height, width) > SIDE:
        raise ValueError(f"images of {height} x {width} are larger than {SIDE} x {SIDE}")
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square = np.zeros((count, SIDE, SIDE), np.uint8)
    square[:, top : top + height, left : left + width] = images
    return np.repeat(square[:, None], CHANNELS, axis=1).reshape(count, -1)


def write_records(folder: Path, split: str, out: Path, records: int | None = None) -> int:
    """Write the first ``records`` of the split, or all, to ``out``; how many there are."""
    images, labels = (
        read_idx(path, axes) for path, axes in zip(find_pair(folder, split), (3, 1), strict=True)
    )
    part = slice(records)
    np.savez_compressed(
        out,
        inputs=coloured(images[part]),
        labels=labels[part],
        classes=np.array(int(labels.max()) + 1),
    )
    return len(labels[part])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="IDX files of the MNIST family")
    parser.add_argument("out", type=Path, help="the .npz file to write")
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--records", type=int, help="take only the first so many")
    options = parser.parse_args()
    count = write_records(options.folder, options.split, options.out, options.records)
    print(f"{options.out}: {count:,} records of {CHANNELS} x {SIDE} x {SIDE}")


if __name__ == "__main__":
    main()
