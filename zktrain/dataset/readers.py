"""Labelled records from the files and names that users give.

DATA is a path or a built-in name, optionally followed by ``:train`` or ``:test``:

    digits           scikit-learn's handwritten digits; the first 1,500 records train, 297 test
    folder/          IDX files of the MNIST family, gzipped or not; ``train-*`` and ``t10k-*``
    file.npz         arrays ``inputs`` (N x ...), ``labels`` (N), optionally ``classes``; the range
                     of the inputs in ``low`` and ``high``, without which they are integers
                     0..255; no splits

Every input becomes a byte by its range (``scaling``), and training takes the 256th part of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..scratch import IN_MEMORY, Scratch
from .arrays import read_npz
from .idx import find_pair, read_idx
from .scaling import BYTES, Scaling

SPLITS = ("train", "test")
MAX_CLASSES = 1 << 16
_AT_ONCE = 1 << 20
"""Cells that are looked at or scaled at once."""
_DIGITS_TRAIN = 1500
_DIGITS = Scaling(0, 17)
"""Their inputs are 0..16, and become multiples of 15."""


@dataclass(frozen=True, slots=True)
class Records:
    """A labelled dataset: ``inputs`` uint8 ``(N, features)``, ``labels`` ``(N,)``, uint8 up to 256
    classes and uint16 above, each below ``classes``. Both C-contiguous, ``N >= 1``.

    ``source`` says where the records come from, ``scaling`` how numbers became bytes.
    ``warnings`` are sentences about what may not be meant.
    """

    inputs: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    classes: int
    source: str
    scaling: Scaling = BYTES
    warnings: tuple[str, ...] = ()

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


@dataclass(frozen=True, slots=True)
class Like:
    """Other data, in whose way data are read: their scaling, and their classes if known."""

    scaling: Scaling
    classes: int | None = None


def read_dataset(
    data: str, split: str = "train", like: Like | None = None, scratch: Scratch = IN_MEMORY
) -> Records:
    """Read DATA; a suffix ``:train`` or ``:test`` of it goes before ``split``.

    A ``.npz`` file is one set without splits: it is read whole for either ``split``, and refuses
    a suffix. With ``like``, inputs are scaled as those data are, which is refused where DATA state
    another scaling. Arrays are in ``scratch``. Raises ``InputError``.
    """
    records = _read(data, split, like, scratch)
    _require_like(records.source, records.scaling, like)
    return records


def _require_like(source: str, scaling: Scaling, like: Like | None) -> None:
    if like is not None and scaling != like.scaling:
        raise InputError(
            f"{source}: inputs are scaled from {scaling.span}, and those of the training data "
            f"from {like.scaling.span}, so that the network would see other numbers; give an .npz "
            f"file with low = {like.scaling.low!r} and high = {like.scaling.high!r}, in the units "
            f"of the training data"
        )


def _read(data: str, split: str, like: Like | None, scratch: Scratch) -> Records:
    source, suffix = _without_suffix(data)
    split = suffix or split
    if split not in SPLITS:
        raise InputError(f"there is no split {split!r}; use train or test")
    if source == "digits":
        return _read_digits(split)
    path = Path(source)
    if _is(path, os.path.isdir):
        return _read_folder(path, split, scratch)
    if _is(path, os.path.isfile) and path.suffix == ".npz":
        if suffix is not None:
            raise InputError(f"{source} has no splits; leave out :{suffix}")
        return _read_npz(path, like, scratch)
    exists = _is(path, os.path.exists)
    what = "is neither an .npz file nor a folder" if exists else "does not exist"
    raise InputError(
        f"{source!r:.200} {what}; give an .npz file, a folder of IDX files, or the name digits"
    )


def read_test_split(data: str, like: Like | None = None) -> Records | None:
    """The held-out split that comes with DATA, or ``None`` where it has none; ``like`` as above.

    Raises ``InputError`` when there is one and it cannot be read.
    """
    source, _ = _without_suffix(data)
    path = Path(source)
    if source == "digits":
        return read_dataset(source, "test", like)
    if _is(path, os.path.isdir):
        try:
            find_pair(path, "test")
        except InputError:
            return None
        return read_dataset(source, "test", like)
    return None


def _is(path: Path, told: Callable[[Path], bool]) -> bool:
    """What ``os.path`` tells of any name, also of one that no file can have."""
    try:
        return told(path)
    except (OSError, ValueError):
        return False


def _without_suffix(data: str) -> tuple[str, str | None]:
    for split in SPLITS:
        if data.endswith(f":{split}"):
            return data.removesuffix(f":{split}"), split
    return data, None


def _records(
    inputs: npt.NDArray[np.uint8],
    labels: npt.NDArray[Any],
    source: str,
    scaling: Scaling = BYTES,
    classes: int | None = None,
    warnings: tuple[str, ...] = (),
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
        warnings,
    )


def _read_folder(folder: Path, split: str, scratch: Scratch) -> Records:
    images, labels = find_pair(folder, split)
    inputs = read_idx(images, 3, scratch)
    return _records(inputs, read_idx(labels, 1, scratch), f"{folder} ({split})")


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
        _DIGITS.to_bytes(digits.data[part]),
        digits.target[part],
        f"digits ({split})",
        _DIGITS,
        10,
    )


def _read_npz(path: Path, like: Like | None, scratch: Scratch) -> Records:
    names = ("inputs", "labels", "classes", "low", "high")
    arrays, _ = read_npz(path, ".npz file", names, scratch)
    for name in ("inputs", "labels"):
        if name not in arrays:
            raise InputError(f"{path} has no array {name!r}; add it with numpy.savez")
    if arrays["inputs"].ndim < 1:
        raise InputError(f"{path}: inputs is a single number; give one row per record")
    classes = None if like is None else like.classes
    if "classes" in arrays:
        if arrays["classes"].size != 1 or arrays["classes"].dtype.kind not in "iu":
            raise InputError(f"{path}: classes must be one integer, the number of classes")
        classes = int(arrays["classes"].reshape(()))
    inputs = arrays["inputs"]
    if inputs.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: inputs are {inputs.dtype}; give integers or floats, for example with "
            f".astype(numpy.float32), and their range in low and high"
        )
    stated = _stated(path, arrays)
    scaling = stated or _understood(path, inputs, like)
    _require_like(str(path), scaling, like)
    if not all(scaling.holds(inputs[here]) for here in _pieces(inputs)):
        raise _outside(path, inputs, scaling, stated is not None or like is not None)
    scaled = scratch.scattered(inputs.shape, np.uint8)
    for here in _pieces(inputs):
        scaled[here] = scaling.to_bytes(inputs[here])
    if inputs.size and scaled.min() == scaled.max() and inputs.min() != inputs.max():
        raise InputError(
            f"{path}: inputs go from {inputs.min():g} to {inputs.max():g}, and with the range "
            f"{scaling.span} all of them become the byte {scaled.min()}; state the range that "
            f"they have in low and high"
        )
    warnings: tuple[str, ...] = ()
    if stated is None and scaling == BYTES and inputs.size and inputs.max() <= 1:
        warnings = (
            f"{path}: all inputs are 0 or 1, and without low and high they are bytes 0..255: the "
            f"network sees 0 and 0.004; if they are yes and no, add low=0, high=1",
        )
    return _records(scaled, arrays["labels"], str(path), scaling, classes, warnings)


def _pieces(values: npt.NDArray[Any]) -> Iterator[slice]:
    """Ranges of the first axis that have few cells."""
    rows = max(1, _AT_ONCE // max(1, prod(values.shape[1:])))
    return (slice(first, first + rows) for first in range(0, len(values), rows))


def _stated(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> Scaling | None:
    """The range that the file states; ``None`` if it states none."""
    bounds = []
    for name, other in (("low", "high"), ("high", "low")):
        if name not in arrays:
            if other in arrays:
                raise InputError(f"{path} states {other} but not {name}; give both, or neither")
            return None
        if arrays[name].size != 1 or arrays[name].dtype.kind not in "iuf":
            raise InputError(f"{path}: {name} must be one number")
        bounds.append(float(arrays[name].reshape(())))
    try:
        return Scaling(*bounds)
    except ValueError:
        raise InputError(
            f"{path}: low = {bounds[0]:g} and high = {bounds[1]:g} are not a range; both must be "
            f"finite, as their difference, and low below high"
        ) from None


def _understood(path: Path, inputs: npt.NDArray[Any], like: Like | None) -> Scaling:
    """The range of a file that states none."""
    scaling = BYTES if like is None else like.scaling
    if inputs.dtype.kind == "f" and scaling == BYTES:
        raise InputError(
            f"{path}: inputs are floats, so the file must state their range: "
            f"add the numbers low and high with numpy.savez"
        )
    return scaling


def _outside(path: Path, inputs: npt.NDArray[Any], scaling: Scaling, stated: bool) -> InputError:
    """Names the first input outside the range."""
    here = next(here for here in _pieces(inputs) if not scaling.holds(inputs[here]))
    rows = inputs[here].reshape(len(inputs[here]), -1)
    row, column = np.argwhere(~((rows >= scaling.low) & (rows <= scaling.high)))[0]
    value = rows[row, column]
    row += here.start
    what = f"{path}: input {column} of record {row} (both from 0) is {value:g}"
    if np.isnan(value):
        return InputError(f"{what}; replace what is missing by numbers")
    lowest, highest = np.fmin.reduce(inputs, axis=None), np.fmax.reduce(inputs, axis=None)
    if not stated:
        return InputError(
            f"{what}, and integers without low and high must be 0..255; state their range, for "
            f"example low={lowest:g}, high={highest:g}, with numpy.savez"
        )
    return InputError(
        f"{what}, outside low = {scaling.low:g} .. high = {scaling.high:g}; clip the inputs, or "
        f"state the range that they have ({lowest:g}..{highest:g}) in training and other data"
    )
