"""Proofs, chains and frames that one comparison alone refuses."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import evaluation_harness as e
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
    ChainBroken,
    CommitmentMismatch,
    HiddenMismatch,
    InputError,
    MalformedProof,
    Rejected,
    StatementMismatch,
    ZktrainError,
)
from zktrain.protocol import bundle, closing, evaluation_bundle
from zktrain.protocol.bundle import check_chain
from zktrain.protocol.certificate import verify_certificate
from zktrain.protocol.segment import SegmentHeader
from zktrain.prover.commitment import ligerito
from zktrain.prover.dataset import public_file as prover_public_file
from zktrain.prover.protocol import closing as prover_closing
from zktrain.prover.protocol.certificate import certify
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.training.weight_file import write_weights
from zktrain.wire import Reader

Attack = Callable[[], object]


def refused_at(site: str, attack: Attack, error: type[ZktrainError], message: str = "") -> None:
    """Refused at this site, with this message; without it something else fails."""
    with watched(find(site)) as fired, pytest.raises(error, match=message or None) as seen:
        attack()
    assert fired and type(seen.value) is error


# Chains


def chained(change: Callable[[list[SegmentHeader]], list[SegmentHeader]]) -> Attack:
    """The headers of an honest run, changed, and linked anew where that is not the attack."""
    run = h.honest("mse")
    headers = change(list(run.headers))
    return lambda: check_chain(run.statement, headers)


def linked(headers: list[SegmentHeader]) -> list[SegmentHeader]:
    out = headers[:1]
    for header in headers[1:]:
        out.append(replace(header, previous=out[-1].digest))
    return out


def field(place: int, **changes: Any) -> Callable[[list[SegmentHeader]], list[SegmentHeader]]:
    def change(headers: list[SegmentHeader]) -> list[SegmentHeader]:
        headers[place] = replace(headers[place], **changes)
        return linked(headers)

    return change


def other_previous(headers: list[SegmentHeader]) -> list[SegmentHeader]:
    return [*headers[:2], replace(headers[2], previous=bytes(32))]


CHAINS = {
    "header.index != index": field(1, index=2),
    "header.first_step != first": field(1, first_step=5),
    "header.steps != steps": field(2, steps=4),
    "header.previous != previous": other_previous,
    "header.start != start": field(1, start=bytes(32)),
    "start != bytes.fromhex(statement.final)": field(2, end=bytes(32)),
}


@pytest.mark.parametrize("part", CHAINS)
def test_chain_with_one_wrong_link(part: str) -> None:
    chained(lambda headers: headers)()
    refused_by(f"protocol.bundle.check_chain: {part}", chained(CHAINS[part]), ChainBroken)


@pytest.mark.parametrize("change", [lambda hs: hs[:2], lambda hs: [*hs, hs[2]]])
def test_chain_of_another_length(change: Any) -> None:
    site = "protocol.bundle.check_chain: len(headers)"
    refused_at(site, chained(change), ChainBroken, "number of segments")


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


def test_more_segments_than_any_run() -> None:
    attack = lambda: Reader(struct.pack("<I", 9), "bundle").count(8)  # noqa: E731
    refused_by("wire.Reader.count: count > most", attack, MalformedProof)


def frame(magic: bytes, sections: int, proofs: int = 0) -> bytes:
    """Empty sections, no segments, closing proof; ``sections`` of them before the segments."""
    lengths = struct.pack("<Q", 0) * sections
    return magic + lengths + struct.pack("<I", 0) + struct.pack("<Q", 0)


def newer(magic: bytes) -> bytes:
    return magic[:7] + b"\xfe"


FRAMES: list[tuple[str, Any, bytes, str]] = [
    ("bundle.parse: == EVALUATION_MAGIC", bundle.parse,
     frame(bundle.EVALUATION_MAGIC, 3), "use zktrain verify-eval"),
    ("bundle.parse: magic[:7] != MAGIC", bundle.parse,
     frame(b"OTHERS!" + bundle.MAGIC[7:], 3), "not a zktrain bundle"),
    ("bundle.parse: magic != MAGIC", bundle.parse, frame(newer(bundle.MAGIC), 3), "version"),
    ("bundle.parse: reader.finish", bundle.parse, frame(bundle.MAGIC, 3) + b"\0",
     "follow the end"),
    ("evaluation_bundle.parse: == MAGIC[:7]", evaluation_bundle.parse,
     frame(bundle.MAGIC, 4), "use zktrain verify"),
    ("evaluation_bundle.parse: != EVALUATION_MAGIC[:7]", evaluation_bundle.parse,
     frame(b"OTHERS!" + bundle.MAGIC[7:], 4), "not a zktrain proof of an evaluation"),
    ("evaluation_bundle.parse: magic != EVALUATION_MAGIC", evaluation_bundle.parse,
     frame(newer(bundle.EVALUATION_MAGIC), 4), "version"),
    ("evaluation_bundle.parse: reader.finish", evaluation_bundle.parse,
     frame(bundle.EVALUATION_MAGIC, 4) + b"\0", "follow the end"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "parse", "data", "message"), FRAMES, ids=[frame[0] for frame in FRAMES]
)
def test_frame_with_one_fault(part: str, parse: Any, data: bytes, message: str) -> None:
    """Everything but the magic, the version or the end is as it must be."""
    parse(frame(bundle.MAGIC, 3) if parse is bundle.parse else frame(bundle.EVALUATION_MAGIC, 4))
    refused_at(f"protocol.{part}", lambda: parse(data), MalformedProof, message)


@pytest.mark.parametrize("count", [0, 2])
def test_evaluation_with_another_number_of_segments(count: int) -> None:
    claim = e.statement()
    found = evaluation_bundle.EvaluationBundle(
        claim.to_json(), claim.circuit.circuit.canonical_json(), claim.dataset.to_json(), b"",
        (b"",) * count, b"",
    )  # fmt: skip
    evaluation_bundle.parse_statement(replace(found, segments=(b"",)))
    site = "protocol.evaluation_bundle.parse_statement: len(bundle.segments)"
    refused_by(site, lambda: evaluation_bundle.parse_statement(found), MalformedProof)


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
    verify_certificate((hh if hiding else h).dataset().header, proof)


def closed(proof: bytes, *, hiding: bool = False) -> None:
    run, claims = claims_of(hiding)
    closing.verify(run.statement, list(run.headers), claims, proof)


@cache
def claims_of(hiding: bool) -> tuple[h.Run, h.Claims]:
    run = (hh if hiding else h).honest("mse")
    return run, h.accept(run, segment_proof(hiding))


@cache
def segment_proof(hiding: bool) -> bytes:
    run = (hh if hiding else h).honest("mse")
    return h.prove(run) if hiding else h.prove(run)


def judged(proof: bytes, *, hiding: bool = False) -> None:
    h.accept((hh if hiding else h).honest("mse"), h.FIRST, proof)


@cache
def strong() -> h.Run:
    """So many bits that keys of lookups need work."""
    run = h.honest("mse")
    statement = replace(run.statement, security_bits=112)
    assert statement.work_bits(h.FIRST) > 0
    return h.chain(statement, list(run.boundaries), list(run.weights), list(run.tensors))


def strongly(proof: bytes) -> None:
    h.accept(strong(), h.FIRST, proof)


def proved(what: str, hiding: bool) -> bytes:
    if what == "strong segment":
        return h.prove(strong(), h.FIRST)
    if what == "certificate":
        return certify((hh if hiding else h).dataset(), random=hh.expand(h.SECRET, "again"))
    if what == "segment":
        run = (hh if hiding else h).honest("mse")
        return h.prove(run) if hiding else h.prove(run)
    run, claims = claims_of(hiding)
    data, random = (hh if hiding else h).dataset(), hh.expand(h.SECRET, "closing")
    return prover_closing.prove(
        run.statement, list(run.headers), claims, data.committed, random=random
    )


PROOFS: dict[str, tuple[str, Callable[..., None]]] = {
    "certificate": ("protocol.certificate.verify_certificate", certified),
    "segment": ("protocol.segment.verify", judged),
    "closing": ("protocol.closing.verify", closed),
}


@pytest.mark.parametrize("what", PROOFS)
def test_proof_with_bytes_left(what: str) -> None:
    place, judge = PROOFS[what]
    proof = proved(what, False)
    judge(proof)
    attack = lambda: judge(proof + bytes(8))  # noqa: E731
    refused_by(f"{place}: channel.finish", attack, MalformedProof)
    refused_by("transcript.channel.VerifierChannel.finish: self._at", attack, MalformedProof)


@pytest.mark.parametrize(
    ("what", "label"),
    [("certificate", "lookup/columns"), ("segment", "lookup/columns"),
     ("closing", "opening/value")],
)  # fmt: skip
def test_false_hidden_scalar(what: str, label: str) -> None:
    """Nothing but the proof about pads, at the end, sees it."""
    place, judge = PROOFS[what]
    claims_of(True)
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
    if what == "closing":
        refused_by(f"{place}: check_messages(channel, statement)", attack, CommitmentMismatch)


def spoilt(what: str) -> bytes:
    """Merkle paths are those of the neighbours of the opened rows."""
    claims_of(False)
    true = ligerito.merkle.prove

    def lie(channel: Any, label: str, tree: Any, indices: Any) -> None:
        true(channel, label, tree, [i ^ 1 for i in indices] if label == "opening" else indices)

    with h.mock.patch.object(ligerito.merkle, "prove", lie):
        return proved(what, False)


WORK = {
    "segment": "protocol.segment.check_messages: channel.receive_work",
    "certificate": "protocol.certificate.check_messages: channel.receive_work",
    "opening": "commitment.ligerito.verify: {label}/work",
    "pads": "commitment.ligero.verify: channel.receive_work",
    "folding": "arguments.sumcheck.verify: channel.receive_work",
    "mask": "commitment.ligerito.verify: epsilon/work",
}


@pytest.mark.parametrize("what", WORK)
def test_work_that_was_not_done(what: str) -> None:
    """The prover sends 0 in the place of a nonce that costs him 2^bits hashes."""
    labels = {"opening": "opening/work", "pads": "hidden/work", "folding": "opening/fold/work",
              "mask": "opening/epsilon/work"}  # fmt: skip
    label = labels.get(what, "work")
    sources = {"opening": "closing", "pads": "certificate", "segment": "strong segment",
               "folding": "strong segment", "mask": "certificate"}  # fmt: skip
    source = sources.get(what, what)
    hiding = what in ("pads", "mask")
    claims_of(False)
    true = ProverChannel.send_work
    asked: list[int] = []

    def lie(channel: Any, wanted: str, bits: int) -> None:
        if wanted != label or not bits:
            return true(channel, wanted, bits)
        asked.append(bits)
        channel.challenger.work_seed(wanted)
        return channel._append(wanted, bytes(8))

    replay = find(
        "transcript.channel.VerifierChannel.receive_work: not work_done"
    )  # the prover's own
    with h.mock.patch.object(ProverChannel, "send_work", lie), removed(replay):
        proof = proved(source, hiding)
    assert asked
    judge = strongly if source == "strong segment" else PROOFS[source][1]
    more = {"hiding": True} if hiding else {}
    refused_by(WORK[what], lambda: judge(proof, **more), Rejected)
    refused_by(
        "transcript.channel.VerifierChannel.receive_work: ", lambda: judge(proof, **more), Rejected
    )


# What the verb compares itself


def statement_with(**changes: Any) -> Any:
    return replace(h.honest("mse").statement, **changes)


def test_statement_that_starts_elsewhere_than_its_circuit(tmp_path: Path) -> None:
    """The digest of the first weights is another one; the file is that of the circuit."""
    path = tmp_path / "w.safetensors"
    write_weights(path, h.initial_weights(), 32, {})
    _initial_weights(statement_with(), path)
    site = "_verify._initial_weights: digest(weights) != statement.initial"
    forged = statement_with(initial="ab" * 32)
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
