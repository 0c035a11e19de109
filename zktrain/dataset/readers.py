"""Labelled records from the files and names that users give.

DATA is a path or a built-in name, optionally followed by ``:train`` or ``:test``:

    digits           scikit-learn's handwritten digits; the first 1,500 records train, 297 test
    folder/          IDX files of the MNIST family, gzipped or not; ``train-*`` and ``t10k-*``
    file.npz         arrays ``inputs`` (N x ...), ``labels`` (N), optionally ``classes``; integer
                     inputs 0..255, or floats with their range in ``low`` and ``high``; no splits

Every input becomes an integer 0..255, of which training takes the 256th part.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .idx import find_pair, read_idx

SPLITS = ("train", "test")
MAX_CLASSES = 1 << 16
_DIGITS_TRAIN = 1500
_INTEGERS_AS_THEY_ARE = "integers 0..255, used as they are; training takes the 256th part"


@dataclass(frozen=True, slots=True)
class Records:
    """A labelled dataset: ``inputs`` uint8 ``(N, features)``, ``labels`` ``(N,)``, uint8 up to 256
    classes and uint16 above, each below ``classes``. Both C-contiguous, ``N >= 1``.

    ``source`` says where the records come from, ``scaling`` how inputs became integers.
    """

    inputs: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    classes: int
    source: str
    scaling: str

    @property
    def digest(self) -> str:
        """SHA-256 of the records as they are stored, in hexadecimal digits."""
        return digest_of(self.inputs, self.labels)


def digest_of(inputs: npt.NDArray[Any], labels: npt.NDArray[Any]) -> str:
    """The digest of :class:`Records` with these arrays."""
    state = hashlib.sha256()
    for array in (inputs, labels):
        state.update(f"{array.dtype} {array.shape}\n".encode())
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def read_dataset(data: str, split: str = "train") -> Records:
    """Read DATA; a suffix ``:train`` or ``:test`` of it goes before ``split``.

    A ``.npz`` file is one set without splits: it is read whole for either ``split``, and refuses
    a suffix. Raises ``InputError``.
    """
    source, suffix = _without_suffix(data)
    split = suffix or split
    if split not in SPLITS:
        raise InputError(f"there is no split {split!r}; use train or test")
    if source == "digits":
        return _read_digits(split)
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, split)
    if path.is_file() and path.suffix == ".npz":
        if suffix is not None:
            raise InputError(f"{source} has no splits; leave out :{suffix}")
        return _read_npz(path)
    what = "is neither an .npz file nor a folder" if path.exists() else "does not exist"
    raise InputError(
        f"{source} {what}; give an .npz file, a folder of IDX files, or the name digits"
    )


def read_test_split(data: str) -> Records | None:
    """The held-out split that comes with DATA, or ``None`` where it has none.

    Raises ``InputError`` when there is one and it cannot be read.
    """
    source, _ = _without_suffix(data)
    path = Path(source)
    if source == "digits":
        return read_dataset(source, "test")
    if path.is_dir():
        try:
            find_pair(path, "test")
        except InputError:
            return None
        return read_dataset(source, "test")
    return None


def _without_suffix(data: str) -> tuple[str, str | None]:
    for split in SPLITS:
        if data.endswith(f":{split}"):
            return data.removesuffix(f":{split}"), split
    return data, None


def _records(
    inputs: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    source: str,
    scaling: str,
    classes: int | None = None,
) -> Records:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"{source}: labels are {labels.dtype} of shape {labels.shape}; "
            f"give one integer per record, counted from 0"
        )
    if len(inputs) != len(labels):
        raise InputError(
            f"{source}: {len(inputs)} inputs and {len(labels)} labels; there must be as many"
        )
    if inputs.size == 0:
        raise InputError(f"{source}: there are no records, or records without values")
    lowest, highest = int(labels.min()), int(labels.max())
    count = highest + 1 if classes is None else classes
    if lowest < 0 or highest >= count or not count <= MAX_CLASSES:
        raise InputError(
            f"{source}: labels go from {lowest} to {highest}; they must be 0 to "
            f"{min(count, MAX_CLASSES) - 1}"
        )
    return Records(
        np.ascontiguousarray(inputs.reshape(len(inputs), -1)),
        np.ascontiguousarray(labels, dtype=np.uint8)
        if count <= 256
        else np.ascontiguousarray(labels, dtype=np.uint16),
        count,
        source,
        scaling,
    )


def _read_folder(folder: Path, split: str) -> Records:
    images, labels = find_pair(folder, split)
    return _records(
        read_idx(images, 3), read_idx(labels, 1), f"{folder} ({split})", _INTEGERS_AS_THEY_ARE
    )


def _read_digits(split: str) -> Records:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError(
            "the dataset digits comes with scikit-learn, which is not installed; "
            "run: pip install scikit-learn"
        ) from None
    digits = load_digits()
    part = slice(None, _DIGITS_TRAIN) if split == "train" else slice(_DIGITS_TRAIN, None)
    return _records(
        (digits.data[part] * 15).astype(np.uint8),
        digits.target[part],
        f"digits ({split})",
        "integers 0..16, multiplied by 15; training takes the 256th part",
        10,
    )


def _read_npz(path: Path) -> Records:
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in ("inputs", "labels", "classes", "low", "high"):
                if name in file.files:
                    arrays[name] = np.asarray(file[name])
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as an .npz file of plain arrays: {error}; "
            f"write it with numpy.savez(path, inputs=..., labels=...)"
        ) from None
    for name in ("inputs", "labels"):
        if name not in arrays:
            raise InputError(f"{path} has no array {name!r}; add it with numpy.savez")
    if arrays["inputs"].ndim < 1:
        raise InputError(f"{path}: inputs is a single number; give one row per record")
    classes = None
    if "classes" in arrays:
        if arrays["classes"].size != 1 or arrays["classes"].dtype.kind not in "iu":
            raise InputError(f"{path}: classes must be one integer, the number of classes")
        classes = int(arrays["classes"].reshape(()))
    inputs, scaling = _to_bytes(path, arrays)
    return _records(inputs, arrays["labels"], str(path), scaling, classes)


def _to_bytes(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> tuple[npt.NDArray[np.uint8], str]:
    inputs = arrays["inputs"]
    if inputs.dtype.kind in "iu":
        low, high = (int(inputs.min()), int(inputs.max())) if inputs.size else (0, 0)
        if low < 0 or high > 255:
            raise InputError(
                f"{path}: inputs go from {low} to {high}; integers must be in 0..255, "
                f"other values can be given as floats with their range in low and high"
            )
        return inputs.astype(np.uint8), _INTEGERS_AS_THEY_ARE
    if inputs.dtype.kind != "f":
        raise InputError(f"{path}: inputs are {inputs.dtype}; give integers 0..255 or floats")
    bounds = []
    for name in ("low", "high"):
        if name not in arrays or arrays[name].size != 1 or arrays[name].dtype.kind not in "iuf":
            raise InputError(
                f"{path}: inputs are floats, so the file must state their range: "
                f"add the numbers low and high with numpy.savez"
            )
        bounds.append(float(arrays[name].reshape(())))
    low_bound, high_bound = bounds
    if not (np.isfinite(bounds).all() and low_bound < high_bound):
        raise InputError(f"{path}: low = {low_bound} and high = {high_bound} are not a range")
    values = inputs.astype(np.float64)
    if not bool(((values >= low_bound) & (values <= high_bound)).all()):
        raise InputError(
            f"{path}: inputs have values outside low = {low_bound:g} .. high = {high_bound:g}, "
            f"or not numbers; state the range that they have, or clip them"
        )
    scaled = np.rint((values - low_bound) / (high_bound - low_bound) * 255)
    return scaled.astype(np.uint8), (
        f"floats {low_bound:g}..{high_bound:g}, mapped to integers 0..255 and rounded; "
        f"training takes the 256th part"
    )
