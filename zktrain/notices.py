"""Sentences that a user should read while something works, and that change no result."""

from __future__ import annotations

import warnings


class Notice(UserWarning):
    """What is going on: a cache that is not used, another process that is waited for."""


def say(sentence: str) -> None:
    """Issue a :class:`Notice`; the command line prints it on standard error."""
    warnings.warn(sentence, Notice, stacklevel=3)
