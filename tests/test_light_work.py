"""Proofs of work are light in tests, and not in what other processes judge."""

from __future__ import annotations

from oracle.light_work import LIGHT_BITS, full_work

from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger, work_done
from zktrain.transcript.channel import VerifierChannel

BITS = 17


def _nonce_done(bits: int) -> bool:
    """Whether the work that is sent has so many bits; the verifier here accepts it."""
    channel = ProverChannel(Challenger("work"))
    channel.send_work("nonce", BITS)
    VerifierChannel(Challenger("work"), channel.proof()).receive_work("nonce", BITS)
    seed = Challenger("work").work_seed("nonce")
    return work_done(seed, int.from_bytes(channel.proof(), "little"), bits)


def test_work_is_light() -> None:
    assert _nonce_done(LIGHT_BITS) and not _nonce_done(BITS)


def test_work_is_full_where_it_must_be() -> None:
    with full_work():
        assert _nonce_done(BITS)
