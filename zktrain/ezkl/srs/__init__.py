"""Structured reference strings: the powers of a secret ``tau`` that KZG commitments are made with.

``generate`` makes one for tests, ``check`` finds out whether a file is one, and ``checked`` says
whether that has been found out. Whether ``tau`` is forgotten cannot be seen from the file.
"""

from .checking import check
from .generation import generate
from .record import CheckedSrs, checked

__all__ = ["CheckedSrs", "check", "checked", "generate"]
