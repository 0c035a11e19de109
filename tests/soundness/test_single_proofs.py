"""Proofs and frames that one comparison alone refuses."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import harness as h
import hiding_harness as hh
import pytest
import test_lying_momentum as m
from check_sites import find, refused_by, removed, watched

from zktrain._verify import _initial_weights
from zktrain.circuit.initial import start_violation
from zktrain.circuit.weights import digest
from zktrain.dataset import public_file
from zktrain.errors import (
    CommitmentMismatch,
    HiddenMismatch,
    InputError,
    MalformedProof,
    Rejected,
    StatementMismatch,
    ZktrainError,
)
from zktrain.protocol import bundle
from zktrain.protocol.certificate import verify_certificate
from zktrain.prover.commitment import ligerito
from zktrain.prover.dataset import public_file as prover_public_file
from zktrain.prover.protocol.certificate import certify
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.training.weight_file import write_weights
from zktrain.transcript.challenger import work_done
from zktrain.wire import Reader

Attack = Callable[[], object]


def refused_at(site: str, attack: Attack, error: type[ZktrainError], message: str = "") -> None:
    """Refused at this site, with this message; without it something else fails."""
    with watched(find(site)) as fired, pytest.raises(error, match=message or None) as seen:
        attack()
    assert fired and type(seen.value) is error


# Frames


def reader(size: int = 4) -> Reader:
    return Reader(bytes(size), "bundle")


def test_reader_asked_for_more_than_there_is() -> None:
    refused_by("wire.Reader._cut: size >", lambda: reader().take(5, "magic"))


def test_reader_with_bytes_left() -> None:
    refused_by("wire.Reader.finish: self._at", lambda: reader().finish())


def test_section_longer_than_any() -> None:
    data = struct.pack("<Q", 9) + bytes(9)
    attack = lambda: Reader(data, "bundle").section("statement", 8)  # noqa: E731
    refused_by("wire.Reader.section: size > most", attack, MalformedProof)


def frame(magic: bytes) -> bytes:
    """Five empty sections."""
    return magic + struct.pack("<Q", 0) * 5


def newer(magic: bytes) -> bytes:
    return magic[:7] + b"\xfe"


FRAMES = [
    ("magic[:7] != MAGIC", frame(b"OTHERS!" + bundle.MAGIC[7:]), "not a zktrain proof"),
    ("magic != MAGIC", frame(newer(bundle.MAGIC)), "version"),
    ("reader.finish", frame(bundle.MAGIC) + b"\0", "follow the end"),
]


@pytest.mark.parametrize(("part", "data", "message"), FRAMES, ids=[frame[0] for frame in FRAMES])
def test_frame_with_one_fault(part: str, data: bytes, message: str) -> None:
    """Everything but the magic, the version or the end is as it must be."""
    bundle.parse(frame(bundle.MAGIC))
    refused_at(f"protocol.bundle.parse: {part}", lambda: bundle.parse(data), MalformedProof,
               message)  # fmt: skip


# Public files of datasets


@cache
def certificate() -> bytes:
    return certify(h.dataset())


def public(path: Path, change: Callable[[bytes], bytes]) -> Path:
    prover_public_file.write_public(path, h.dataset().header, certificate())
    path.write_bytes(change(path.read_bytes()))
    return path


PUBLIC: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("magic[:7] != MAGIC[:7]", lambda data: b"OTHERS!" + data[7:]),
    ("magic != MAGIC", lambda data: newer(data) + data[8:]),
    ("reader.finish", lambda data: data + b"\0"),
]


@pytest.mark.parametrize(("part", "change"), PUBLIC, ids=[case[0] for case in PUBLIC])
def test_public_file_with_one_fault(
    tmp_path: Path, part: str, change: Callable[[bytes], bytes]
) -> None:
    messages = {"magic[:7] != MAGIC[:7]": "no|not a", "magic != MAGIC": "version"}
    path = public(tmp_path / "a.zkd", change)
    attack = lambda: public_file.read_public(path)  # noqa: E731
    site = f"dataset.public_file.parse_public: {part}"
    refused_at(site, attack, MalformedProof, messages.get(part, "follow"))


def test_what_names_no_dataset_is_no_verdict(tmp_path: Path) -> None:
    """A damaged public file, or none, is the user's, not the prover's."""
    path = public(tmp_path / "a.zkd", lambda data: data[:40])
    place = "dataset.public_file.given_dataset: except"
    refused_at(f"{place} MalformedProof", lambda: public_file.given_dataset(path), InputError)
    attack = lambda: public_file.given_dataset("00")  # noqa: E731
    refused_at(f"{place} InputError", attack, InputError, "nor a dataset file")
    place = "dataset.public_file.header_of: except MalformedProof"
    refused_at(place, lambda: public_file.header_of(path, "the data"), InputError, "the data")


# Proofs: what follows the messages, what hides, work


def certified(proof: bytes, *, hiding: bool = False) -> None:
    verify_certificate(h.dataset(hiding=hiding).header, proof)


def judged(proof: bytes, *, hiding: bool = False) -> None:
    h.accept(h.honest("mse", hiding=hiding), proof)


@cache
def strong() -> h.Run:
    """So many bits that keys of lookups need work."""
    run = h.honest("mse")
    statement = replace(run.statement, security_bits=112)
    assert statement.work_bits > 0
    return replace(run, statement=statement)


def strongly(proof: bytes) -> None:
    h.accept(strong(), proof)


def proved(what: str, hiding: bool) -> bytes:
    if what == "strong run":
        return h.prove(strong())
    if what == "certificate":
        return certify(h.dataset(hiding=hiding), random=hh.expand(h.SECRET, "again"))
    return h.prove(h.honest("mse", hiding=hiding))


PROOFS: dict[str, tuple[str, Callable[..., None]]] = {
    "certificate": ("protocol.certificate.verify_certificate", certified),
    "run": ("protocol.proof.verify", judged),
}


@pytest.mark.parametrize("what", PROOFS)
def test_proof_with_bytes_left(what: str) -> None:
    place, judge = PROOFS[what]
    proof = proved(what, False)
    judge(proof)
    attack = lambda: judge(proof + bytes(8))  # noqa: E731
    refused_by(f"{place}: channel.finish", attack, MalformedProof)
    refused_by("transcript.channel.VerifierChannel._ended: self._at", attack, MalformedProof)


@pytest.mark.parametrize(
    ("what", "label"),
    [("certificate", "lookup/columns"), ("run", "lookup/columns"), ("run", "opening/value")],
)
def test_false_hidden_scalar(what: str, label: str) -> None:
    """Nothing but the proof about pads, at the end, sees it."""
    place, judge = PROOFS[what]
    with hh.message(label, lambda values: [values[0] + 1, *values[1:]]):
        proof = proved(what, True)
    attack = lambda: judge(proof, hiding=True)  # noqa: E731
    refused_by(f"{place}: channel.close", attack, HiddenMismatch)
    refused_by("commitment.hiding.HidingVerifier.close: ligero.verify", attack, HiddenMismatch)


@pytest.mark.parametrize("what", PROOFS)
def test_false_opening(what: str) -> None:
    """Other leaves are shown than the opened rows: an opening is wrong, and all else is right."""
    place, judge = PROOFS[what]
    owner = place.rpartition(".")[0]
    proof = spoilt(what)
    attack = lambda: judge(proof)  # noqa: E731
    refused_by(f"{owner}.check_messages: opening.verify", attack, CommitmentMismatch)
    if what == "certificate":
        refused_by(f"{place}: check_messages(channel, header)", attack, CommitmentMismatch)
    if what == "run":
        refused_by(f"{place}: check_messages(channel, statement", attack, CommitmentMismatch)


def spoilt(what: str) -> bytes:
    """Merkle paths are those of the neighbours of the opened rows."""
    true = ligerito.merkle.prove

    def lie(channel: Any, label: str, tree: Any, indices: Any) -> None:
        true(channel, label, tree, [i ^ 1 for i in indices] if label == "opening" else indices)

    with mock.patch.object(ligerito.merkle, "prove", lie):
        return proved(what, False)


WORK = {
    "run": "protocol.proof.check_messages: channel.receive_work",
    "certificate": "protocol.certificate.check_messages: channel.receive_work",
    "opening": "commitment.ligerito.verify: {label}/work",
    "pads": "commitment.ligero.verify: channel.receive_work",
    "folding": "arguments.sumcheck.verify: channel.receive_work",
    "mask": "commitment.ligerito.verify: epsilon/work",
}


@pytest.mark.parametrize("what", WORK)
def test_work_that_was_not_done(what: str) -> None:
    """The prover sends a number in the place of a nonce that costs him 2^bits hashes."""
    labels = {"opening": "opening/work", "pads": "hidden/work", "folding": "opening/fold/work",
              "mask": "opening/epsilon/work"}  # fmt: skip
    label = labels.get(what, "work")
    sources = {"opening": "run", "pads": "certificate", "run": "strong run",
               "folding": "strong run", "mask": "certificate"}  # fmt: skip
    source = sources.get(what, what)
    hiding = what in ("pads", "mask")
    true = ProverChannel.send_work
    asked: list[int] = []

    def lie(channel: Any, wanted: str, bits: int) -> None:
        if wanted != label or not bits:
            return true(channel, wanted, bits)
        asked.append(bits)
        seed = channel.challenger.work_seed(wanted)
        nonce = next(n for n in range(1 << 20) if not work_done(seed, n, bits))
        return channel._append(wanted, nonce.to_bytes(8, "little"))

    replay = find(
        "transcript.channel.VerifierChannel.receive_work: not work_done"
    )  # the prover's own
    with mock.patch.object(ProverChannel, "send_work", lie), removed(replay):
        proof = proved(source, hiding)
    assert asked
    judge = strongly if source == "strong run" else PROOFS[source][1]
    more = {"hiding": True} if hiding else {}
    refused_by(WORK[what], lambda: judge(proof, **more), Rejected)
    refused_by(
        "transcript.channel.VerifierChannel.receive_work: ", lambda: judge(proof, **more), Rejected
    )


# What the verb compares itself


def test_statement_that_starts_elsewhere_than_its_circuit(tmp_path: Path) -> None:
    """The digest of the first weights is another one; the file is that of the circuit."""
    path = tmp_path / "w.safetensors"
    write_weights(path, h.initial_weights(), 32, {})
    true = h.honest("mse").statement.task
    _initial_weights(true, path)
    site = "_verify._initial_weights: digest(weights) != task.initial"
    forged = replace(true, initial="ab" * 32)
    refused_by(site, lambda: _initial_weights(forged, path), StatementMismatch)


def test_first_weights_that_no_run_under_decay_has(tmp_path: Path) -> None:
    """They are not multiples of 2^12, and the statement says the same weights."""
    circuit = m.circuit(m.DECAY)
    weights = {name: values.copy() for name, values in m.initial_weights().items()}
    weights["fc1.bias"][1] += 1
    start = replace(circuit.initialisation, value=digest(weights))
    circuit = replace(circuit, initialisation=start)
    assert start_violation(circuit, weights)
    path = tmp_path / "w.safetensors"
    write_weights(path, weights, circuit.fixed_point.weight_bits, {})
    forged = SimpleNamespace(circuit=circuit, initial=digest(weights))
    site = "_verify._initial_weights: problem := start_violation"
    refused_by(site, lambda: _initial_weights(forged, path), StatementMismatch)  # type: ignore[arg-type]
