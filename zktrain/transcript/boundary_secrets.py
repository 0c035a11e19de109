"""What hides the weights between segments, kept while a run is proved.

A boundary is opened by the two segments that share it, and again by each of them that is proved
anew; its randomness is sized for ``BOUNDARY_OPENINGS``. Proved segments name its root, so the
secret it was drawn from has to last as long as they do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..randomness import SECRET_BYTES, Randomness, expand, new_secret
from ..training.weights import write_atomically
from .statement import BOUNDARY_OPENINGS


class BoundarySecrets:
    """A file of the run, mode 0600: per boundary inside the run, a secret and how often it was
    opened. One of another statement is begun anew. Whoever uses it holds the folder's lock."""

    def __init__(self, path: Path, statement: str, segments: int) -> None:
        self._path = path
        self._statement = statement
        self._inner = range(1, segments)
        self._known: dict[str, Any] = {}
        try:
            known = json.loads(path.read_bytes())
            if known["statement"] == statement:
                self._known = {
                    str(number): (bytes.fromhex(secret).hex(), int(opened))
                    for number, (secret, opened) in known["boundaries"].items()
                }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass  # there is none, or it is damaged: its segments will be proved anew

    def random(self, boundary: int) -> Randomness:
        """The randomness of a boundary's commitment, the same every time."""
        secret, opened = self._known.get(str(boundary), ("", 0))
        if len(bytes.fromhex(secret)) != SECRET_BYTES:
            secret, opened = new_secret().hex(), 0
        self._known[str(boundary)] = (secret, opened)
        return expand(bytes.fromhex(secret), f"boundary {boundary}")

    def spend(self, *boundaries: int) -> None:
        """Count an opening of each; those at the ends of the run are public. Raises
        ``InputError``."""
        for boundary in boundaries:
            if boundary in self._inner:
                secret, opened = self._known[str(boundary)]
                if opened >= BOUNDARY_OPENINGS:
                    raise InputError(
                        f"the weights between segments {boundary - 1} and {boundary} were opened "
                        f"{opened} times, as often as their randomness allows; remove "
                        f"{self._path.parent} to prove all segments anew"
                    )
                self._known[str(boundary)] = (secret, opened + 1)
        text = json.dumps({"statement": self._statement, "boundaries": self._known}, indent=2)
        write_atomically(self._path, (text + "\n").encode(), mode=0o600)
