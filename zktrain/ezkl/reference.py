"""The structured reference string as the backend uses it: which one it is, and whether it may be.

The last point of the file, ``tau H``, says which set-up it is of, whatever its size. Verifying
needs that point and the first power alone; keys and proofs need ``2^logrows`` powers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..srs.format import G1_BYTES, G2_BYTES, HEADER_BYTES, encoded, file_bytes, readable
from ..srs.insecure import S_H
from ..srs.record import checked

_DOMAIN = b"zktrain srs v1\0"


@dataclass(frozen=True, slots=True)
class Srs:
    """``setup`` is the SHA-256 of H and tau H, ``insecure`` whether everybody knows its tau, and
    ``verifying`` a file of two powers that does for verifying.

    ``identity`` tells strings apart that give different keys: by ``setup`` where they were checked,
    by all their bytes where not, since false powers with a true last point make false keys.
    """

    path: Path
    logrows: int
    setup: str
    identity: str
    insecure: bool
    is_checked: bool
    verifying: bytes

    def require_rows(self, logrows: int) -> None:
        """Raise ``InputError`` if the string is too short."""
        if self.logrows < logrows:
            raise InputError(
                f"the SRS {self.path} has 2^{self.logrows} powers and this circuit needs "
                f"2^{logrows}; get one with logrows {logrows}, exactly that being the fastest"
            )


def open_srs(path: str | Path, *, unchecked: bool) -> Srs:
    """The string in ``path``, which must have been checked unless ``unchecked``.

    Raises ``InputError``.
    """
    path = Path(path)
    found = checked(path)
    if found is None and not unchecked:
        raise InputError(
            f"the SRS {path} has not been checked, and whoever made up a false one can prove "
            f"anything with it; run: zktrain srs check {path}"
        )
    with readable(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        logrows = int.from_bytes(file.read(HEADER_BYTES), "little")
        if not 1 <= logrows <= 28 or size != file_bytes(logrows):
            raise InputError(
                f"{path} is no SRS: its size is not that of its number of powers; get it again"
            )
        powers = file.read(2 * G1_BYTES)
        file.seek(size - 2 * G2_BYTES)
        points = file.read()
        setup = hashlib.sha256(_DOMAIN + points).hexdigest()
        identity = setup
        if found is None:
            file.seek(0)
            identity = f"unchecked {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return Srs(
        path=path.resolve(),
        logrows=logrows,
        setup=setup,
        identity=identity,
        insecure=points[G2_BYTES:] == encoded(S_H),
        is_checked=found is not None,
        verifying=(1).to_bytes(HEADER_BYTES, "little") + powers + powers + points,
    )
