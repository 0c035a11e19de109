"""The callback through which long work reports how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as ``progress(stage, done, total, **figures)``; must return quickly.

    ``figures`` are numbers worth showing beside the bar (loss, accuracy).
    """

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None: ...


def silent(stage: str, done: int, total: int, **figures: float) -> None:
    """The default: report nothing."""
