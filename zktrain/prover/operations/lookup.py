"""Prover of ``operations.lookup``."""

from __future__ import annotations

from ...operations import Lookup
from ...operations.base import Context
from ..transcript.channel import ProverChannel
from .base import Given


def prove(op: Lookup, channel: ProverChannel, context: Context, given: Given) -> None:
    """All lookups are proved at once, before."""
