"""The structured reference string as the backend uses it: which one it is, and whether it may be.

The last point of the file, ``tau H``, says which set-up it is of, whatever its size. Verifying
needs that point and the first power alone; keys and proofs need ``2^logrows`` powers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import opened
from .srs.format import G1_BYTES, G2_BYTES, HEADER_BYTES, encoded, file_bytes
from .srs.insecure import S_H
from .srs.record import PIECE, known, read_once

_DOMAIN = b"zktrain srs v1\0"


@dataclass(frozen=True, slots=True)
class Srs:
    """``setup`` is the SHA-256 of H and tau H, ``insecure`` whether everybody knows its tau, and
    ``verifying`` a file of two powers that does for verifying. ``digest`` is the SHA-256 of the
    file, which everything here was read from once.

    ``identity`` tells strings apart that give different keys: by ``setup`` where they were checked,
    by all their bytes where not, since false powers with a true last point make false keys.
    """

    path: Path
    logrows: int
    digest: str
    setup: str
    insecure: bool
    is_checked: bool
    verifying: bytes

    @property
    def identity(self) -> str:
        return self.setup if self.is_checked else f"unchecked {self.digest}"

    @property
    def proves_nothing(self) -> bool:
        """Whether somebody may be able to prove anything with it, as far as was looked at."""
        return self.insecure or not self.is_checked

    def require_rows(self, logrows: int) -> None:
        """Raise ``InputError`` if the string is too short."""
        if self.logrows < logrows:
            raise InputError(
                f"the SRS {self.path} has 2^{self.logrows} powers and this circuit needs "
                f"2^{logrows}; get one with logrows {logrows}, exactly that being the fastest"
            )

    def copied(self, target: Path) -> Path:
        """The file once more, at ``target``, where nobody else can change it: keys are made from
        the bytes that were looked at. Raises ``InputError`` if these are others by now."""
        state = hashlib.sha256()
        try:
            with opened(self.path, "SRS") as source, target.open("xb") as out:
                while data := source.stream.read(PIECE):
                    state.update(data)
                    out.write(data)
        except OSError as error:
            raise InputError(
                f"the SRS {self.path} cannot be copied to {target}: {error.strerror}"
            ) from None
        if state.hexdigest() != self.digest:
            raise InputError(f"the SRS {self.path} was changed while it was used; start again")
        return target


def open_srs(path: str | Path, *, unchecked: bool) -> Srs:
    """The string in ``path``, which must have been checked unless ``unchecked``.

    Raises ``InputError``.
    """
    found = read_once(path)
    is_checked = known(found) is not None
    if not is_checked and not unchecked:
        raise InputError(
            f"the SRS {path} has not been checked by this user, and whoever made up a false one "
            f"can prove anything with it; run: zktrain ezkl srs check {path}"
        )
    header, powers = found.beginning[:HEADER_BYTES], found.beginning[HEADER_BYTES:]
    logrows = int.from_bytes(header, "little")
    if not 1 <= logrows <= 28 or found.size != file_bytes(logrows):
        raise InputError(
            f"{path} is no SRS: its size is not that of its number of powers; get it again"
        )
    powers = powers[: 2 * G1_BYTES]
    return Srs(
        path=found.path.resolve(),
        logrows=logrows,
        digest=found.digest,
        setup=hashlib.sha256(_DOMAIN + found.end).hexdigest(),
        insecure=found.end[G2_BYTES:] == encoded(S_H),
        is_checked=is_checked,
        verifying=(1).to_bytes(HEADER_BYTES, "little") + powers + powers + found.end,
    )
