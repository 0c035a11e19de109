"""Strings of powers for tests, with a tau that everybody knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ... import disk
from ...errors import InputError
from ...extras import require
from ...progress import Progress, silent
from .checking import examine
from .curve import Multiples, R, geometric, inverses, omega
from .format import HEADER_BYTES, MAX_LOGROWS, encoded
from .insecure import S_H, TAU
from .record import CheckedSrs, checked, write_record

_STAGE = "make SRS"
_BLOCK = 1 << 12


def generate(logrows: int, path: str | Path, *, progress: Progress = silent) -> CheckedSrs:
    """Write the string of ``2^logrows`` powers of the public tau, for tests only.

    The file is the same on every machine, appears complete or not at all, and is checked before it
    does; its record says that it is insecure. The same file that is there already is kept.

    Raises
    ------
    InputError
        ``logrows`` is out of range, there is such a file already, or it cannot be written.
    """
    require("ezkl", "making an SRS", "py_ecc")
    from .pairing import generator

    path = Path(path)
    if not 1 <= logrows <= MAX_LOGROWS:
        raise InputError(f"logrows is {logrows}; it must be from 1 to {MAX_LOGROWS}")
    if path.is_file() and (known := checked(path)) and known.insecure and known.logrows == logrows:
        return known  # the very same file, and whole
    if path.exists():
        raise InputError(f"{path} exists; remove it, or choose another name for an insecure SRS")
    with disk.writing(path) as part:
        part.write(logrows.to_bytes(HEADER_BYTES, "little"))
        for data in _points(logrows, progress):
            part.write(data)
        part.write(encoded((*generator(), *S_H)))
        found = examine(Path(part.path), progress=progress)
        made = CheckedSrs(path, found.logrows, found.digest, found.insecure)
        write_record(made)
    return made


def _points(logrows: int, progress: Progress) -> Iterator[bytes]:
    """The powers and the Lagrange points, ``tau^i G`` and ``L_j(tau) G``, encoded.

    L_j(tau) = omega^j (tau^n - 1) / (n (tau - omega^j)),   n = 2^logrows
    """
    count = 1 << logrows
    progress(_STAGE, 0, 2 * count)
    multiples = Multiples(logrows)
    root = omega(logrows)
    scale = (pow(TAU, count, R) - 1) * pow(count, -1, R) % R
    for part, ratio in enumerate((TAU, root)):
        for start in range(0, count, _BLOCK):
            scalars = geometric(pow(ratio, start, R), ratio, min(_BLOCK, count - start))
            if ratio == root:
                distances = inverses([TAU - s for s in scalars], R)
                scalars = [s * scale * d % R for s, d in zip(scalars, distances, strict=True)]
            yield encoded(c for point in multiples.of(scalars) for c in point or (0, 0))
            progress(_STAGE, part * count + start + len(scalars), 2 * count)
