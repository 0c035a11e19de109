"""What hides the weights between segments, kept while a run is proved.

A boundary is opened by the two segments that share it, and again by each of them that is proved
anew; its randomness is sized for ``BOUNDARY_OPENINGS``. Proved segments name its root, so the
secret it was drawn from has to last as long as they do. A boundary that was opened so often gets
new randomness, and its segments are proved anew.
"""

from __future__ import annotations

import json
from pathlib import Path

from .. import disk, files
from ..errors import InputError
from ..protocol.statement import BOUNDARY_OPENINGS
from .randomness import SECRET_BYTES, Randomness, expand, new_secret

_MAX_BYTES = 1 << 24


class BoundarySecrets:
    """A private file of the run: per boundary inside the run, a secret and the digests of the
    proofs that open it. One of another statement is begun anew. Whoever uses it holds the run's
    lock. Secrets are on the disk before anything is committed with them."""

    def __init__(self, path: Path, statement: str, segments: int) -> None:
        self._path = path
        self._statement = statement
        self._inner = range(1, segments)
        self._known: dict[int, tuple[str, tuple[str, ...]]] = {}
        try:
            known = json.loads(files.read_bytes(path, "secret file", _MAX_BYTES))
            if known["statement"] == statement:
                self._known = {
                    int(number): (bytes.fromhex(secret).hex(), tuple(map(str, opened)))
                    for number, (secret, opened) in known["boundaries"].items()
                    if len(bytes.fromhex(secret)) == SECRET_BYTES
                }
        except (InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._known = {}  # there is none, or it is damaged: its segments will be proved anew
        missing = [number for number in self._inner if number not in self._known]
        if missing:
            self._renew(missing)

    def random(self, boundary: int) -> Randomness:
        """The randomness of a boundary's commitment, the same until it is used up."""
        return expand(bytes.fromhex(self._known[boundary][0]), f"boundary {boundary}")

    def renew_used_up(self, opened: str, *boundaries: int) -> bool:
        """Draw new randomness for those that a proof with the digest ``opened`` (empty: one that
        is to be made) may not open any more; whether there were any.

        Proofs that name their old roots are of no use from then on.
        """
        used_up = [
            number
            for number in boundaries
            if number in self._inner
            and opened not in self._known[number][1]
            and len(self._known[number][1]) >= BOUNDARY_OPENINGS
        ]
        if used_up:
            self._renew(used_up)
        return bool(used_up)

    def spend(self, opened: str, *boundaries: int) -> None:
        """Count, durably, a proof with the digest ``opened`` that opens each of them: once; those
        at the ends of the run are public. Raises ``InputError``."""
        for boundary in boundaries:
            if boundary in self._inner and opened not in self._known[boundary][1]:
                secret, before = self._known[boundary]
                if len(before) >= BOUNDARY_OPENINGS:
                    raise InputError(
                        f"the weights between segments {boundary - 1} and {boundary} cannot be "
                        "opened once more; prove again"
                    )
                self._known[boundary] = (secret, (*before, opened))
        self._write()

    def _renew(self, boundaries: list[int]) -> None:
        self._known |= {number: (new_secret().hex(), ()) for number in boundaries}
        self._write()

    def _write(self) -> None:
        fields = {"statement": self._statement, "boundaries": self._known}
        disk.write(self._path, (json.dumps(fields, indent=2) + "\n").encode(), private=True)
