"""Bundles that are not what is asked about: other statements, damaged bytes."""

from __future__ import annotations

import json
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import harness as h
import numpy as np
import pytest

from zktrain._prove import prove
from zktrain._verify import Verdict, verify
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.public_file import read_public
from zktrain.dataset.readers import Records
from zktrain.errors import (
    InputError,
    MalformedProof,
    Rejected,
    StatementMismatch,
    ZktrainError,
)
from zktrain.field.goldilocks import P
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.bundle import MAGIC, Bundle, parse
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import MAX_EPOCHS, Training
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.dataset.public_file import write_public
from zktrain.prover.protocol.certificate import certify
from zktrain.training.run import Run
from zktrain.training.trainer import train
from zktrain.training.weight_file import write_weights
from zktrain.transcript.channel import VerifierChannel

STEPS = 7


def _circuit(**changes: object) -> Circuit:
    layers = (
        Layer("fc1", 6, 5, "fc1.weight", "fc1.bias", True),
        Layer("fc2", 5, 3, "fc2.weight", "fc2.bias", False),
    )
    circuit = Circuit(
        layers, "mse", FixedPoint(), 3, STEPS, Sgd(((0, 3),)), "order", Initialisation("seed", "w")
    )
    return replace(circuit, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Proven:
    """A proved run: its files and its bundle."""

    folder: Path
    weights: Path
    dataset: Path
    root: str
    data: bytes
    bundle: Bundle

    def judge(self, data: bytes, **changes: object) -> Verdict:
        """Verify other bytes against this run's weights and dataset."""
        path = self.folder / "judged.zkt"
        path.write_bytes(data)
        asked = {"weights": self.weights, "dataset": self.dataset, "min_security_bits": 80}
        arguments = {**asked, **changes}
        return verify(arguments.pop("weights"), proof=path, **arguments)  # type: ignore[arg-type]


def _prove(folder: Path, circuit: Circuit, records: Records) -> Proven:
    header = commit_records(records).header
    root = header.root.hex()
    boundaries = [0, STEPS]
    options = {"security_bits": 80, "zero_knowledge": False}
    run = Run.create(folder, circuit, records, header=header, proof=options, boundaries=boundaries)
    trained = train(
        circuit,
        records,
        seeded_weights(circuit),
        boundaries=boundaries,
        on_boundary=run.write_boundary,
    )
    run.finish(trained.weights, {}, {})
    data = prove(folder).path.read_bytes()
    return Proven(folder, run.weights_path, run.public_dataset, root, data, parse(data))


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Seven steps."""
    made = _prove(tmp_path_factory.mktemp("a") / "run", _circuit(), h.records())
    made.judge(made.data)
    return made


@pytest.fixture(scope="module")
def reordered(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """The same dataset and shapes in another order."""
    circuit = _circuit(order_seed="another order")
    made = _prove(tmp_path_factory.mktemp("b") / "run", circuit, h.records())
    made.judge(made.data)
    return made


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """The same circuit on a dataset whose inputs are all zero."""
    records = replace(h.records(), inputs=np.zeros_like(h.records().inputs))
    made = _prove(tmp_path_factory.mktemp("c") / "run", _circuit(), records)
    made.judge(made.data)
    return made


def _refuse(
    proven: Proven,
    data: bytes,
    error: type[ZktrainError] | tuple[type[ZktrainError], ...] = (MalformedProof, Rejected),
    **changes: object,
) -> ZktrainError:
    """Assert that nothing but this error is raised."""
    with pytest.raises(error) as caught:
        proven.judge(data, **changes)
    return caught.value


# Another statement


@pytest.mark.parametrize("parameter", ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"])
def test_one_weight_changed_by_one_unit(proven: Proven, parameter: str) -> None:
    """``2^-32`` more in one weight of the file."""
    weights = Run.open(proven.folder).boundary(STEPS)
    weights[parameter] = weights[parameter].copy()
    weights[parameter].reshape(-1)[-1] += 1
    path = proven.folder / "forged.safetensors"
    write_weights(path, weights, 32, {})
    error = _refuse(proven, proven.data, StatementMismatch, weights=path)
    assert "weight file" in str(error)


def test_final_digest_replaced_with_that_of_changed_weights(proven: Proven) -> None:
    """The statement is changed to fit the forged file; the proof no longer fits the statement."""
    weights = Run.open(proven.folder).boundary(STEPS)
    weights["fc1.bias"] = weights["fc1.bias"] + 1
    path = proven.folder / "forged.safetensors"
    write_weights(path, weights, 32, {})
    fields = json.loads(proven.bundle.statement_json)
    fields["final"] = digest(weights)
    bundle = replace(proven.bundle, statement_json=_json(fields))
    _refuse(proven, bundle.to_bytes(), Rejected, weights=path)


def test_another_dataset_root(proven: Proven, blank: Proven) -> None:
    """As hex, with one digit changed, and as a public file."""
    flipped = proven.root[:-1] + ("0" if proven.root[-1] != "0" else "1")
    for other in (blank.root, flipped):
        _refuse(proven, proven.data, StatementMismatch, dataset=other)
    path = proven.folder / "other.zkd"
    other_header = commit_records(replace(h.records(), inputs=h.records().inputs // 2)).header
    write_public(path, other_header, b"")
    _refuse(proven, proven.data, StatementMismatch, dataset=path)
    with pytest.raises(InputError):
        proven.judge(proven.data, dataset="no such file")


def test_fewer_bits_than_asked_for(proven: Proven) -> None:
    """A proof for 80 bits is no proof for more."""
    for bits in (81, 100):
        _refuse(proven, proven.data, StatementMismatch, min_security_bits=bits)


OTHER_CIRCUITS: dict[str, dict[str, object]] = {
    "rate": {"optimizer": Sgd(((0, 4),))},
    "later rate": {"optimizer": Sgd(((0, 3), (6, 2)))},
    "first weights": {"initialisation": Initialisation("seed", "v")},
    "batch size": {"batch_size": 4},
    "steps": {"steps": STEPS + 1},
    "order": {"order_seed": "Order"},
    "loss": {"loss": "cross_entropy"},
    "width": {
        "layers": (
            Layer("fc1", 6, 4, "fc1.weight", "fc1.bias", True),
            Layer("fc2", 4, 3, "fc2.weight", "fc2.bias", False),
        )
    },
}


@pytest.mark.parametrize("what", OTHER_CIRCUITS)
def test_another_circuit_pinned(proven: Proven, what: str) -> None:
    """A circuit that differs in one thing."""
    path = proven.folder / "pinned.json"
    path.write_bytes(_circuit().canonical_json())
    proven.judge(proven.data, circuit=path)
    path.write_bytes(_circuit(**OTHER_CIRCUITS[what]).canonical_json())
    error = _refuse(proven, proven.data, StatementMismatch, circuit=path)
    assert error.stage == "circuit"


@pytest.mark.parametrize("what", OTHER_CIRCUITS)
def test_circuit_of_the_bundle_replaced(proven: Proven, what: str) -> None:
    """Another circuit beside the proof, with and without a statement that names it."""
    circuit = _circuit(**OTHER_CIRCUITS[what])
    bundle = replace(proven.bundle, circuit_json=circuit.canonical_json())
    _refuse(proven, bundle.to_bytes(), MalformedProof)
    fields = {**json.loads(bundle.statement_json), "circuit": circuit.id}
    _refuse(proven, replace(bundle, statement_json=_json(fields)).to_bytes(), Rejected)


def test_bundle_of_another_run(proven: Proven, reordered: Proven, blank: Proven) -> None:
    """Weights of one run with the proof of another."""
    _refuse(proven, reordered.data, StatementMismatch)
    _refuse(proven, blank.data, StatementMismatch)
    _refuse(proven, blank.data, StatementMismatch, dataset=blank.dataset)
    _refuse(proven, proven.data, StatementMismatch, weights=reordered.weights)


def test_parts_of_another_bundle(proven: Proven, blank: Proven, reordered: Proven) -> None:
    """Proof, certificate and dataset header taken from elsewhere."""
    mine = proven.bundle
    for bundle in (
        replace(mine, proof=blank.bundle.proof),
        replace(mine, proof=reordered.bundle.proof),
        replace(mine, dataset_json=blank.bundle.dataset_json),
        replace(mine, certificate=read_public(blank.dataset)[1]),
        replace(mine, certificate=mine.proof),
    ):
        _refuse(proven, bundle.to_bytes())


def test_certificate_in_the_bundle(proven: Proven) -> None:
    """It may be there; then the root is enough."""
    certificate = read_public(proven.dataset)[1]
    bundle = replace(proven.bundle, certificate=certificate)
    proven.judge(bundle.to_bytes(), dataset=proven.root)


# The version


def test_version_byte_alone_changed(proven: Proven) -> None:
    """Those of versions before, and of none."""
    for version in {0, 2, 3, 4, 255}:
        data = proven.data[:7] + bytes([version]) + proven.data[8:]
        _refuse(proven, data, MalformedProof)
        with pytest.raises(MalformedProof, match=f"of version {version} of the format.*make it"):
            parse(data)


def test_format_of_the_statement_that_is_none(proven: Proven) -> None:
    """In a frame of this version."""
    for text in ("zktrain-statement-0", "zktrain-statement-4", "zktrain-statement-"):
        fields = {**json.loads(proven.bundle.statement_json), "format": text}
        _refuse(
            proven, replace(proven.bundle, statement_json=_json(fields)).to_bytes(), MalformedProof
        )


# The certificate beside the bundle


def test_root_alone_is_not_enough(proven: Proven) -> None:
    """No verdict, and a message that says what to give."""
    error = _refuse(proven, proven.data, InputError, dataset=proven.root)
    assert ".zkd" in str(error) and "certificate" in str(error)
    error = _refuse(proven, proven.data, InputError, dataset=proven.root, certificate=proven.root)
    assert ".zkd" in str(error)


def test_root_and_certificate(proven: Proven) -> None:
    """The root is what is asked about; the file beside it may have any name."""
    path = proven.folder / "elsewhere.bin"
    path.write_bytes(proven.dataset.read_bytes())
    for dataset in (proven.root, proven.root.upper(), proven.dataset):
        verdict = proven.judge(proven.data, dataset=dataset, certificate=path)
        assert verdict.dataset_root == proven.root


def test_certificate_of_another_dataset(proven: Proven, blank: Proven) -> None:
    """Whole, beside the right root and beside the right file."""
    for dataset in (proven.root, proven.dataset):
        error = _refuse(
            proven, proven.data, StatementMismatch, dataset=dataset, certificate=blank.dataset
        )
        assert error.stage == "dataset certificate"


def _with_certificate(proven: Proven, certificate: bytes) -> Path:
    """A public file with the right header."""
    path = proven.folder / "other.zkd"
    write_public(path, read_public(proven.dataset)[0], certificate)
    return path


def _refuse_file(
    proven: Proven,
    path: Path,
    error: type[ZktrainError] | tuple[type[ZktrainError], ...],
) -> None:
    """As the dataset, and as the certificate beside the root."""
    for changes in ({"dataset": path}, {"dataset": proven.root, "certificate": path}):
        found = _refuse(proven, proven.data, error, **changes)
        assert (found.stage or "").startswith("dataset certificate")


def test_right_header_with_the_certificate_of_another_dataset(
    proven: Proven, blank: Proven
) -> None:
    """The file names the right root."""
    path = _with_certificate(proven, read_public(blank.dataset)[1])
    _refuse_file(proven, path, (Rejected, MalformedProof))


def test_proof_as_the_certificate(proven: Proven) -> None:
    """It opens the same commitment."""
    path = _with_certificate(proven, bytes(proven.bundle.proof))
    _refuse_file(proven, path, (Rejected, MalformedProof))


def test_damaged_certificate(proven: Proven) -> None:
    """One byte flipped, at places all over it."""
    chance, honest = random.Random(5), read_public(proven.dataset)[1]
    for place in chance.sample(range(len(honest)), 40):
        certificate = _flipped(honest, place, 1 << chance.randrange(8))
        _refuse_file(proven, _with_certificate(proven, certificate), (Rejected, MalformedProof))


def test_truncated_certificate(proven: Proven) -> None:
    """Canonical files that hold less than the whole one, or more."""
    honest = read_public(proven.dataset)[1]
    for certificate in (b"", honest[:8], honest[:-32], honest[:-1], honest + bytes(32)):
        _refuse_file(proven, _with_certificate(proven, certificate), MalformedProof)


def test_truncated_public_file(proven: Proven) -> None:
    """No file of a dataset: there is nothing to judge with."""
    path, whole = proven.folder / "cut.zkd", proven.dataset.read_bytes()
    for cut in (0, 8, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        _refuse(proven, proven.data, InputError, dataset=path)
        _refuse(proven, proven.data, InputError, dataset=proven.root, certificate=path)


# The bytes


@dataclass(frozen=True)
class Field:
    """A part of the wire format: ``size`` bytes at ``offset``."""

    name: str
    offset: int
    size: int


SECTIONS = ("statement_json", "circuit_json", "dataset_json", "certificate", "proof")


def _fields(bundle: Bundle) -> Iterator[Field]:
    """Every field of the wire format, in order."""
    at = 0

    def field(name: str, size: int) -> Field:
        nonlocal at
        at += size
        return Field(name, at - size, size)

    yield field("magic", 7)
    yield field("version", 1)
    for name in SECTIONS:
        yield field(f"{name} length", 8)
        yield field(name, len(getattr(bundle, name)))


def _places(proven: Proven) -> dict[str, Field]:
    return {field.name: field for field in _fields(proven.bundle)}


def test_the_fields_are_the_whole_format(proven: Proven) -> None:
    """They cover the file without gap or overlap."""
    fields = list(_fields(proven.bundle))
    assert sum(field.size for field in fields) == len(proven.data)
    assert proven.data.startswith(MAGIC)


def _messages(proven: Proven) -> list[Field]:
    """The first and the last message of every label of the proof; a certificate beside it is none
    of them."""
    streams: list[dict[str, list[Field]]] = []
    last: list[VerifierChannel] = []
    take = VerifierChannel.take

    def record(channel: VerifierChannel, label: str, size: int, count: int = 1) -> bytes:
        if not last or last[-1] is not channel:
            last.append(channel)
            streams.append({})
        for number in range(count):
            found = Field(label, channel._at + number * size, size)
            streams[-1].setdefault(label, []).append(found)
        return take(channel, label, size, count)

    with mock.patch.object(VerifierChannel, "take", record):
        proven.judge(proven.data)
    _, stream = streams
    base = _places(proven)["proof"].offset
    return [
        Field(label, base + message.offset, message.size)
        for label, found in stream.items()
        for message in {found[0], found[-1]}
    ]


def _flipped(data: bytes, place: int, mask: int) -> bytes:
    out = bytearray(data)
    out[place] ^= mask
    return bytes(out)


def test_one_byte_of_every_header_field_flipped(proven: Proven) -> None:
    """First, last and a middle byte of everything that is no proof; every byte of short fields."""
    chance = random.Random(1)
    for field in _fields(proven.bundle):
        if field.name in ("certificate", "proof"):
            continue
        inside = range(field.offset, field.offset + field.size)
        places = inside if field.size <= 32 else [inside[0], inside[-1], *chance.sample(inside, 20)]
        for place in places:
            _refuse(proven, _flipped(proven.data, place, 1 << chance.randrange(8)))


def test_one_byte_of_every_message_flipped(proven: Proven) -> None:
    """Every labelled message of the proof."""
    chance = random.Random(2)
    messages = _messages(proven)
    assert len(messages) > 50
    for message in messages:
        place = message.offset + chance.randrange(message.size)
        _refuse(proven, _flipped(proven.data, place, 1 << chance.randrange(8)))


@pytest.mark.slow("150 verifications")
def test_one_byte_anywhere_flipped(proven: Proven) -> None:
    """A hundred and fifty random positions of each file."""
    chance = random.Random(3)
    for place in chance.sample(range(len(proven.data)), 150):
        _refuse(proven, _flipped(proven.data, place, chance.randrange(1, 256)))


def test_truncated(proven: Proven) -> None:
    """At the start and the end of every field, one byte before, and at random places."""
    chance = random.Random(4)
    cuts = {0, 1, len(proven.data) - 1, *chance.sample(range(len(proven.data)), 50)}
    for field in _fields(proven.bundle):
        cuts |= {field.offset, field.offset + field.size - 1}
    for cut in sorted(cuts - {len(proven.data)}):
        _refuse(proven, proven.data[:cut], MalformedProof)


def test_padded(proven: Proven) -> None:
    """Bytes after the file, and after each part with its length adjusted. What stands last in a
    proof that hides is read first, so its work may fail before its length does."""
    for tail in (b"\0", b"\n", bytes(16), proven.data):
        _refuse(proven, proven.data + tail, MalformedProof)
    bundle = proven.bundle
    for name in SECTIONS:
        read_first = (Rejected,) if name in ("certificate", "proof") else ()
        for tail in (b" ", b"\0", bytes(16)):
            longer = replace(bundle, **{name: getattr(bundle, name) + tail})
            _refuse(proven, longer.to_bytes(), (MalformedProof, *read_first))


def test_proof_stream_cut(proven: Proven) -> None:
    """Without its last byte or its last hash, or empty, with its length adjusted."""
    proof = bytes(proven.bundle.proof)
    for cut in (proof[:-1], proof[:-32], b""):
        _refuse(proven, replace(proven.bundle, proof=cut).to_bytes(), MalformedProof)


def test_huge_lengths_and_counts(proven: Proven) -> None:
    """Refused before anything of that size is allocated, and quickly."""
    cases = []
    for field in _fields(proven.bundle):
        if field.name.endswith("length"):
            for size in ((1 << 64) - 1, 1 << 63, 1 << 40, 1 << 31):
                data = bytearray(proven.data)
                struct.pack_into("<Q", data, field.offset, size)
                cases.append(bytes(data))
    cases.append(MAGIC + b"\xff" * 64)
    assert len(cases) > 20
    started = time.perf_counter()
    tracemalloc.start()
    try:
        for data in cases:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            _refuse(proven, data, MalformedProof)
            peak = tracemalloc.get_traced_memory()[1] - before
            assert peak < 3 * len(proven.data) + (1 << 20)
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 10


def test_field_element_not_reduced(blank: Proven) -> None:
    """``0`` proven as ``p``: the same element, another encoding."""
    zeros = [
        message
        for message in _messages(blank)
        if "/records" in message.name and not any(blank.data[message.offset :][: message.size])
    ]
    assert zeros
    for message in zeros:
        data = bytearray(blank.data)
        data[message.offset : message.offset + 8] = P.to_bytes(8, "little")
        error = _refuse(blank, bytes(data), MalformedProof)
        assert "not below p" in str(error)


def test_largest_words_as_field_elements(proven: Proven) -> None:
    """``2^64 - 1`` in every message of scalars or cells."""
    count = 0
    for message in _messages(proven):
        if message.name.endswith(("/path", "/root", "commitment", "work")) and message.size < 64:
            continue
        data = bytearray(proven.data)
        data[message.offset : message.offset + 8] = b"\xff" * 8
        _refuse(proven, bytes(data), MalformedProof)
        count += 1
    assert count > 40


# The texts


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _retyped(text: bytes) -> list[bytes]:
    """The same JSON value in other writings, and texts that are none."""
    fields = json.loads(text)
    first = next(iter(fields))
    doubled = b"{" + _json({first: fields[first]})[1:-1] + b"," + text[1:]
    return [
        json.dumps(fields, sort_keys=True).encode(),
        json.dumps(dict(reversed(fields.items())), separators=(",", ":")).encode(),
        text.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + text,
        b"\n" + text,
        doubled,
        text.replace(b'"format"', b'"\\u0066ormat"'),
        _json({**fields, "more": 1}),
        _json({key: value for key, value in fields.items() if key != first}),
        _json({**fields, "format": "zktrain-other-1"}),
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 4000,
        b'{"a":' * 600,
        text[:-1],
        b"NaN",
        b"1" + b"0" * 4000,
    ]


@pytest.mark.parametrize("name", ["statement_json", "circuit_json", "dataset_json"])
def test_json_not_canonical(proven: Proven, name: str) -> None:
    """Another text of the same value is refused, as is everything that is no text at all."""
    text = getattr(proven.bundle, name)
    wanted = (MalformedProof, StatementMismatch) if name == "dataset_json" else MalformedProof
    for other in _retyped(text):
        assert other != text
        _refuse(proven, replace(proven.bundle, **{name: other}).to_bytes(), wanted)


@pytest.mark.parametrize("name", ["statement_json", "circuit_json", "dataset_json"])
def test_json_values_of_other_types(proven: Proven, name: str) -> None:
    """Each value replaced by values of every type, and by extreme numbers."""
    fields = json.loads(getattr(proven.bundle, name))
    others = [None, True, 1.0, -1, 0, 1 << 70, "", "\u00e9", "x" * 5000, [], {}, [[]]]
    for key, value in fields.items():
        for other in others:
            if type(other) is type(value) and other == value:
                continue
            text = _json({**fields, key: other})
            _refuse(proven, replace(proven.bundle, **{name: text}).to_bytes())


DERIVED: dict[str, Callable[[dict[str, object]], object]] = {
    "cells_per_step": lambda c: c["cells_per_step"] + 1,  # type: ignore[operator]
    "lookups_per_step": lambda c: 0,
    "no_wrap_bound_bits": lambda c: 1,
    "parameters": lambda c: c["parameters"] - 1,  # type: ignore[operator]
    "operations": lambda c: c["operations"][:-1],  # type: ignore[index]
    "tensors": lambda c: list(reversed(c["tensors"])),  # type: ignore[call-overload]
    "shifts": lambda c: {"forward": 16, "backward": 16},
}


@pytest.mark.parametrize("name", DERIVED)
def test_circuit_with_a_changed_derived_part(proven: Proven, name: str) -> None:
    """Operations, sizes and bounds follow from the layers, whatever the text says."""
    fields = json.loads(proven.bundle.circuit_json)
    text = _json({**fields, name: DERIVED[name](fields)})
    _refuse(proven, replace(proven.bundle, circuit_json=text).to_bytes(), MalformedProof)


OTHER_STATEMENTS: list[dict[str, object]] = [
    {"task": "evaluation"},
    {"task": "other"},
    {"security_bits": 79},
    {"security_bits": 81},
    {"zero_knowledge": True},
    {"initial": "00" * 32},
    {"final": "AB" * 32},
]


@pytest.mark.parametrize(
    "change", OTHER_STATEMENTS, ids=[_json(c).decode() for c in OTHER_STATEMENTS]
)
def test_statement_field_changed(proven: Proven, change: dict[str, object]) -> None:
    """Canonical statements that are not the one that was proven."""
    text = _json({**json.loads(proven.bundle.statement_json), **change})
    _refuse(proven, replace(proven.bundle, statement_json=text).to_bytes())


@pytest.mark.parametrize("name", ["w" * 300, "p\u00e9rceptron"], ids=["long", "not ASCII"])
def test_parameter_names_that_do_not_fit_a_label(tmp_path: Path, name: str) -> None:
    """A circuit that is valid apart from unusual names makes nothing but a verdict."""
    layers = (Layer("fc1", 6, 3, name, None, False),)
    circuit = _circuit(layers=layers)
    header = commit_records(h.records()).header
    weights = seeded_weights(circuit)
    write_weights(tmp_path / "w.safetensors", weights, 32, {})
    found = digest(weights)
    statement = Statement(Training(circuit, found, found), header, 80)
    public = tmp_path / "data.zkd"
    write_public(public, header, certify(h.dataset()))
    texts = (statement.to_json(), circuit.canonical_json(), header.to_json())
    bundle = Bundle(*texts, b"", bytes(1 << 18))
    (tmp_path / "proof.zkt").write_bytes(bundle.to_bytes())
    with pytest.raises(ZktrainError):
        verify(
            tmp_path / "w.safetensors",
            proof=tmp_path / "proof.zkt",
            dataset=public,
            min_security_bits=80,
        )


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "no-such-file"])
def test_names_that_no_file_can_have_are_not_judged(proven: Proven, name: str) -> None:
    """Neither a verdict nor an error of the operating system."""
    with pytest.raises(InputError):
        proven.judge(proven.data, dataset=name)
    with pytest.raises(InputError):
        proven.judge(proven.data, circuit=name)
    with pytest.raises(InputError):
        proven.judge(proven.data, weights=name)


@pytest.mark.parametrize(("records", "steps"), [(1, MAX_EPOCHS), (3, 3 * MAX_EPOCHS)])
def test_a_run_has_only_so_many_epochs(records: int, steps: int) -> None:
    """However small the dataset."""
    layer = Layer("l", 1, 1, "w", None, False)
    start = Initialisation("seed", "s")
    circuit = Circuit((layer,), "mse", FixedPoint(), 1, steps, Sgd(((0, 1),)), "o", start)
    header = DatasetHeader(records, 1, 1, bytes(32), 0)
    fitting = Statement(Training(circuit, "00" * 32, "00" * 32), header, 80)
    assert "epochs" not in (fitting.problem() or "")
    longer = replace(fitting, task=replace(fitting.task, circuit=replace(circuit, steps=steps + 1)))
    assert "epochs" in (longer.problem() or "")
