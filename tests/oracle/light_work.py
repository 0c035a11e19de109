"""Proofs of work of a few bits: they are no part of what most tests are about, and take half of the
time of a small proof."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from zktrain.prover.kernels import work
from zktrain.transcript import channel

LIGHT_BITS = 12
"""A millisecond; a wrong nonce is still refused."""
_FIND, _DONE = work.find_work, channel.work_done


@contextmanager
def light_work(bits: int = LIGHT_BITS) -> Iterator[None]:
    """Prover and verifier of this process ask for so many bits at most. The verifier then accepts
    proofs with more work, too."""

    def find(seed: bytes, asked: int) -> int:
        return _FIND(seed, min(asked, bits))

    def done(seed: bytes, nonce: int, asked: int) -> bool:
        return _DONE(seed, nonce, min(asked, bits))

    with mock.patch.object(work, "find_work", find), mock.patch.object(channel, "work_done", done):
        yield


@contextmanager
def full_work() -> Iterator[None]:
    """All of it again, inside of ``light_work``."""
    with light_work(64):
        yield
