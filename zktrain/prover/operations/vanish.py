"""Prover of ``operations.vanish``."""

from __future__ import annotations

from ...operations import Vanish
from ...operations.base import Context
from ..transcript.channel import ProverChannel
from .base import Given, no_work


def prove(op: Vanish, channel: ProverChannel, context: Context, given: Given) -> None:
    op.claim_zero(channel.challenger, context)


work = no_work
