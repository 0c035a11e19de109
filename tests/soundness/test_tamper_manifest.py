"""Every field of the wire format, found by reading honest files, is changed and must be refused as
``tamper_manifest`` says; a field without an entry there fails, as does an entry without a field.

A changed message is judged twice. With challenges *drawn again* from the changed bytes, as a
verifier does; and with the challenges of the honest proof *kept*, as if the change had left them
alone, which shows the check that binds the message itself.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tamper_manifest as manifest
from tamper_manifest import Errors
from tiny_run import TinyBundle, write_data, write_recipe

import zktrain
from zktrain.circuit import canonical
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import read_weights
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.public_file import read_public
from zktrain.dataset.scaling import Scaling
from zktrain.errors import InputError, MalformedProof, ZktrainError
from zktrain.field.goldilocks import P
from zktrain.protocol import proof as proofs
from zktrain.protocol.bundle import Bundle, parse, parse_statement
from zktrain.protocol.certificate import verify_certificate
from zktrain.protocol.proof import trained_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover.dataset import secret_file
from zktrain.prover.dataset.public_file import write_public
from zktrain.spans import Bytes
from zktrain.training.run import Run
from zktrain.transcript.challenger import Challenger, work_done
from zktrain.transcript.channel import VerifierChannel
from zktrain.wire import Reader

pytestmark = pytest.mark.full_work

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Message:
    """``size`` bytes at ``offset`` of a proof; ``kind`` is how they are read."""

    label: str
    kind: str
    offset: int
    size: int


@dataclass(frozen=True)
class Stream:
    """One proof of a bundle with its messages and challenges."""

    proof: bytes
    judge: Callable[[bytes], object]
    messages: list[Message]
    challenges: list[tuple[str, object]]


@dataclass(frozen=True)
class Proven:
    """A proved run, and its streams by kind: the certificate, and the proof of the run."""

    files: TinyBundle
    bundle: Bundle
    statement: Statement
    streams: dict[str, Stream]

    def judge(self, data: bytes, folder: Path, **changes: Any) -> None:
        """Verify other bytes against this run's weights and dataset."""
        path = folder / "judged.zkt"
        path.write_bytes(data)
        asked = {"weights": self.files.weights, "dataset": self.files.dataset, **changes}
        zktrain.verify(asked.pop("weights"), proof=path, **asked)


KINDS = {
    "receive_clear": "elements",
    "receive_cells": "cells",
    "receive_digest": "hash",
    "receive_digests": "hash",
    "receive_work": "nonce",
}
"""Every way a message is read."""


@contextmanager
def _messages(into: list[Message]) -> Iterator[None]:
    """Note whatever is read, and how."""
    take, kind = VerifierChannel.take, ["unknown"]

    def note(self: VerifierChannel, label: str, size: int, count: int = 1) -> bytes:
        for number in range(count):
            into.append(Message(label, kind[0], self._at + number * size, size))
        return take(self, label, size, count)

    def reading(name: str) -> Callable[..., Any]:
        honest = getattr(VerifierChannel, name)

        def read(self: VerifierChannel, *arguments: Any) -> Any:
            kind[0] = KINDS[name]
            try:
                return honest(self, *arguments)
            finally:
                kind[0] = "unknown"

        return read

    readers = {name: reading(name) for name in KINDS}
    with mock.patch.multiple(VerifierChannel, take=note, **readers):
        yield


@contextmanager
def _challenges(into: list[tuple[str, object]], *, kept: bool) -> Iterator[None]:
    """Note all challenges, or give those that were noted."""
    known = iter(list(into))

    def drawing(name: str) -> Callable[..., Any]:
        honest = getattr(Challenger, name)

        def draw(self: Challenger, label: str, *arguments: Any) -> Any:
            if kept:
                wanted, value = next(known)
                assert wanted == label
                return value
            value = honest(self, label, *arguments)
            into.append((label, value))
            return value

        return draw

    names = ("elements", "distinct_indices", "work_seed")
    with mock.patch.multiple(Challenger, **{name: drawing(name) for name in names}):
        yield


def _stream(proof: bytes, judge: Callable[[bytes], object]) -> Stream:
    """``judge`` is run before, so that everything that it derives once is derived."""
    judge(proof)
    stream = Stream(proof, judge, [], [])
    with _messages(stream.messages), _challenges(stream.challenges, kept=False):
        judge(proof)
    assert sum(message.size for message in stream.messages) == len(proof)
    return stream


def _proven(files: TinyBundle) -> Proven:
    bundle = parse(files.proof.read_bytes())
    statement = parse_statement(bundle)
    circuit = statement.circuit
    bits = circuit.fixed_point.weight_bits
    last = read_weights(files.weights, circuit.parameter_shapes(), bits)
    public = trained_weights(circuit, seeded_weights(circuit), last)
    certificate = read_public(files.dataset)[1]
    streams = {
        "certificate": _stream(
            certificate, lambda proof: verify_certificate(statement.dataset, proof)
        ),
        "run": _stream(bytes(bundle.proof), lambda proof: proofs.verify(statement, proof, public)),
    }
    return Proven(files, bundle, statement, streams)


@pytest.fixture(scope="module")
def hiding(tiny_bundle: TinyBundle) -> Proven:
    """The default: dataset and proof hide."""
    return _proven(tiny_bundle)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Neither dataset nor proof hides; the run has checkpoints."""
    folder = tmp_path_factory.mktemp("clear")
    recipe, data = write_recipe(folder), write_data(folder / "data.npz")
    text = recipe.read_text().replace("order_seed", "checkpoints = [2, 4]\norder_seed")
    recipe.write_text(text + "zero_knowledge = false\n")
    circuit, dataset, run = folder / "tiny.circuit.json", folder / "data.zkd", folder / "run"
    root = zktrain.commit(data, out=dataset, public=True).root
    zktrain.compile(recipe, out=circuit)
    weights = zktrain.train(recipe, data=data, out=run, dataset=dataset).weights
    proof = zktrain.prove(run).path
    return _proven(TinyBundle(folder, recipe, circuit, data, dataset, root, run, weights, proof))


@pytest.fixture
def proven(request: pytest.FixtureRequest, mode: str) -> Proven:
    """``hiding`` or ``clear``."""
    found: Proven = request.getfixturevalue(mode)
    return found


def _refused(errors: Errors, judge: Callable[[], object]) -> None:
    """Exactly one of ``errors`` is raised; subclasses are others."""
    found: ZktrainError | None = None
    try:
        judge()
    except ZktrainError as error:
        found = error
    wanted = errors if isinstance(errors, tuple) else (errors,)
    assert type(found) in wanted, f"{found!r} instead of {wanted}"


def _compare(listed: Any, found: set[Any], what: str) -> None:
    """The manifest has the fields that there are."""
    assert found - set(listed) == set(), f"fields of the {what} without an entry in the manifest"
    assert set(listed) - found == set(), f"entries of the manifest that the {what} does not have"


# Messages


def _normal(label: str) -> str:
    """Names of tensors and sources do not matter."""
    return re.sub(r"^(affine|transposed|weights|product|linear|batch)/[^/]+", r"\1/*", label)


def _ends(proven: Proven, part: str, label: str) -> list[tuple[Stream, Message, int]]:
    """First element of the first message of this label and last element of the last one: stream,
    message, offset in the stream."""
    stream = proven.streams[part]
    found = [message for message in stream.messages if _normal(message.label) == label]
    start, end = found[0], found[-1]
    width = 1 if start.kind == "hash" else 8
    return [(stream, start, start.offset), (stream, end, end.offset + end.size - width)]


def _flipped(stream: Stream, message: Message, at: int) -> bytes:
    """One bit of one element, so that it stays canonical; a nonce that proves no work."""
    data = bytearray(stream.proof)
    if message.kind == "hash":
        data[at] ^= 1
        return bytes(data)
    (value,) = struct.unpack_from("<Q", data, at)
    if message.kind == "nonce":
        alike = [other for other in stream.messages if other.label == message.label]
        seeds = [value for label, value in stream.challenges if label == message.label]
        seed = seeds[alike.index(message)]
        other = next(n for n in range(1 << 20) if not work_done(seed, n, 1))  # type: ignore[arg-type]
    else:
        other = next(value ^ bit for bit in (1, 2) if value ^ bit < P)
    struct.pack_into("<Q", data, at, other)
    return bytes(data)


@pytest.mark.parametrize("mode", manifest.MESSAGES)
def test_every_message_is_in_the_manifest(proven: Proven, mode: str) -> None:
    """Labels and kinds, in each proof."""
    for part, stream in proven.streams.items():
        found = {(_normal(message.label), message.kind) for message in stream.messages}
        listed = {(label, entry.kind) for label, entry in manifest.MESSAGES[mode][part].items()}
        _compare(listed, found, f"{mode} {part}")


MESSAGES = [
    (mode, part, label)
    for mode, parts in manifest.MESSAGES.items()
    for part, labels in parts.items()
    for label in labels
]
ELEMENTS = [
    (mode, part, label)
    for mode, part, label in MESSAGES
    if manifest.MESSAGES[mode][part][label].kind in ("elements", "cells")
]


@pytest.mark.parametrize(("mode", "part", "label"), MESSAGES)
def test_message_changed(proven: Proven, mode: str, part: str, label: str) -> None:
    """Its first and its last element, with the challenges kept; the last one with challenges drawn
    again."""
    entry = manifest.MESSAGES[mode][part][label]
    for stream, message, at in _ends(proven, part, label):
        forged = _flipped(stream, message, at)
        with _challenges(stream.challenges, kept=True):
            _refused(entry.kept, lambda s=stream, f=forged: s.judge(f))  # type: ignore[misc]
    _refused(entry.drawn, lambda: stream.judge(forged))


@pytest.mark.parametrize(("mode", "part", "label"), ELEMENTS)
def test_element_not_below_p(proven: Proven, mode: str, part: str, label: str) -> None:
    """``v + p`` or ``2^64 - 1`` instead of the first and the last element ``v``; salts too."""
    for stream, _, at in _ends(proven, part, label):
        data = bytearray(stream.proof)
        (value,) = struct.unpack_from("<Q", data, at)
        struct.pack_into("<Q", data, at, min(value + P, (1 << 64) - 1))
        _refused(MalformedProof, lambda s=stream, d=data: s.judge(bytes(d)))  # type: ignore[misc]


@pytest.mark.parametrize("mode", ["hiding", "clear"])
def test_proofs_end_where_they_end(proven: Proven, mode: str) -> None:
    """No proof may lack its last byte or have one more."""
    for stream in proven.streams.values():
        _refused(MalformedProof, lambda s=stream: s.judge(s.proof[:-1]))  # type: ignore[misc]
        _refused(MalformedProof, lambda s=stream: s.judge(s.proof + b"\0"))  # type: ignore[misc]


# Framing


@dataclass(frozen=True)
class Field:
    """``size`` bytes at ``offset`` of a file."""

    name: str
    offset: int
    size: int


def _fields(read: Callable[[], object]) -> list[Field]:
    """Whatever ``read`` takes from a file; the last byte of the magic is the version."""
    out: list[Field] = []
    cut = Reader._cut

    def note(self: Reader, size: int, name: str) -> Bytes:
        out.append(Field(re.sub(r"\d+", "*", name), self._at, size))
        return cut(self, size, name)

    with mock.patch.object(Reader, "_cut", note):
        read()
    magic = out.pop(0)
    size = magic.size - 1
    return [Field("magic", 0, size), Field("version", size, 1), *out]


def _changed(data: bytes, field: Field) -> list[bytes]:
    """A number one larger, one smaller, and the largest there is; else one bit of the first and of
    the last byte, of a proof (whose first message may be a nonce that proves work by chance) of
    the last one."""
    end, bits = field.offset + field.size, 8 * field.size
    if field.name.endswith("length") or field.name.startswith("number"):
        value = int.from_bytes(data[field.offset : end], "little")
        others = [value + 1, (value - 1) % (1 << bits), (1 << bits) - 1]
    else:
        value = int.from_bytes(data[field.offset : end], "little")
        others = [value ^ 1 << (bits - 1)]
        if not re.search("proof|certificate", field.name):
            others.append(value ^ 1)
    return [
        data[: field.offset] + other.to_bytes(field.size, "little") + data[end:] for other in others
    ]


def _cases(data: bytes, found: list[Field]) -> Iterator[tuple[str, bytes]]:
    """Changes of every field, of those with the same name the first and the last one."""
    for name in dict.fromkeys(field.name for field in found):
        alike = [field for field in found if field.name == name]
        for field in {alike[0], alike[-1]}:
            for changed in _changed(data, field):
                yield name, changed


@pytest.mark.parametrize("mode", ["hiding", "clear"])
def test_framing_of_the_bundle(proven: Proven, mode: str, tmp_path: Path) -> None:
    """By the complete verifier."""
    data = proven.files.proof.read_bytes()
    found = [field for field in _fields(lambda: parse(data)) if field.size]  # no certificate
    listed = manifest.BUNDLE
    _compare(listed, {field.name for field in found}, "bundle")
    assert sum(field.size for field in found) == len(data)
    for name, changed in _cases(data, found):
        _refused(listed[name], lambda c=changed: proven.judge(c, tmp_path))  # type: ignore[misc]


@pytest.mark.parametrize("mode", ["hiding", "clear"])
def test_framing_of_the_dataset_file(proven: Proven, mode: str, tmp_path: Path) -> None:
    """By whoever checks its certificate; and no verifier takes a root from a damaged one."""
    data = proven.files.dataset.read_bytes()
    found = _fields(lambda: read_public(proven.files.dataset))
    _compare(manifest.DATASET_FILE, {field.name for field in found}, "dataset file")
    path = tmp_path / "changed.zkd"
    for name, changed in _cases(data, found):
        path.write_bytes(changed)
        _refused(manifest.DATASET_FILE[name], lambda: verify_certificate(*read_public(path)))
        bundle = proven.files.proof.read_bytes()
        if name != "certificate":
            _refused(InputError, lambda b=bundle: proven.judge(b, tmp_path, dataset=path))  # type: ignore[misc]
        else:
            errors = manifest.DATASET_FILE[name]
            _refused(errors, lambda b=bundle: proven.judge(b, tmp_path, dataset=path))  # type: ignore[misc]


# JSON texts


def _paths(value: Any, path: str = "") -> Iterator[tuple[str, Callable[[Any], tuple[Any, Any]]]]:
    """Every key of a JSON value, with a function from a copy of the value to the container and the
    key; entries of a list are alike, operations those of one kind."""
    if isinstance(value, dict):
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            yield below, lambda top, key=key: (top, key)
            for name, find in _paths(inner, below):
                yield name, lambda top, key=key, find=find: find(top[key])
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            kind = inner.get("kind", "") if isinstance(inner, dict) else ""
            below = f"{path}[{kind}]"
            yield below, lambda top, index=index: (top, index)
            for name, find in _paths(inner, below):
                yield name, lambda top, index=index, find=find: find(top[index])


def _other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str() if re.fullmatch("[0-9a-f]{16}|[0-9a-f]{64}", value):
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case str():
            return value + "x"
        case list():
            return value[:-1] if value else [1]
        case dict():
            return {**value, "more": 1}
        case _:
            return 0


def _text(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _edited(text: bytes, find: Callable[[Any], tuple[Any, Any]], edit: str) -> bytes:
    document = json.loads(text)
    container, key = find(document)
    if edit == "removed":
        del container[key]
    elif edit == "other value":
        container[key] = _other(container[key])
    else:
        container[key] = {} if isinstance(container[key], int) else 1
    return _text(document)


def _keys(text: bytes) -> dict[str, list[Callable[[Any], tuple[Any, Any]]]]:
    """All occurrences by path."""
    out: dict[str, list[Callable[[Any], tuple[Any, Any]]]] = {}
    for path, find in _paths(json.loads(text)):
        out.setdefault(path, []).append(find)
    return out


SECTIONS = {"statement": "statement_json", "circuit": "circuit_json", "dataset": "dataset_json"}


@pytest.mark.parametrize("mode", ["hiding", "clear"])
@pytest.mark.parametrize("section", SECTIONS)
def test_json_keys(proven: Proven, mode: str, section: str, tmp_path: Path) -> None:
    """Another value, another type, and the key left out, of the first and the last occurrence."""
    text = getattr(proven.bundle, SECTIONS[section])
    listed = dict(manifest.JSON[section])
    if mode == "clear":
        listed |= manifest.JSON_CLEAR.get(section, {})
        listed.pop("openings", None)
    found = _keys(text)
    _compare(listed, set(found), f"{section} text")
    for path, places in found.items():
        for find in {places[0], places[-1]}:
            for edit in ("other value", "other type", "removed"):
                changed = _edited(text, find, edit)
                assert changed != text
                data = replace(proven.bundle, **{SECTIONS[section]: changed}).to_bytes()
                errors = listed[path] if edit == "other value" else MalformedProof
                if edit == "removed":
                    errors = manifest.OPTIONAL.get(path, errors)
                _refused(errors, lambda d=data: proven.judge(d, tmp_path))  # type: ignore[misc]


def test_circuit_keys_are_those_of_the_encoder(hiding: Proven) -> None:
    """The stated ones have a change that everything else is made to fit, or can have no other
    value."""
    top = {path.split(".")[0].split("[")[0] for path in manifest.JSON["circuit"]}
    assert top == set(canonical._STATED + canonical._DERIVED)
    stated = {
        path
        for path in manifest.JSON["circuit"]
        if path.split(".")[0].split("[")[0] in canonical._STATED
    }
    circuit = json.loads(hiding.bundle.circuit_json)
    leaves = {
        path
        for path, places in _keys(_text(circuit)).items()
        if path in stated and not isinstance((at := places[0](circuit))[0][at[1]], (dict, list))
    }
    assert set(manifest.FITTED["circuit"]) | manifest.FIXED == leaves
    assert set(manifest.FITTED["statement"]) <= set(manifest.JSON["statement"])
    assert set(manifest.FITTED["dataset"]) == set(manifest.JSON["dataset"])


FITTED = [
    pytest.param(section, path, id=f"{section}-{path}")
    for section, paths in manifest.FITTED.items()
    for path in paths
]


@pytest.mark.parametrize(("section", "path"), FITTED)
def test_json_value_with_everything_made_to_fit(
    hiding: Proven, section: str, path: str, tmp_path: Path
) -> None:
    """Derived parts, digests, and the dataset that is asked for, follow the change; the proofs do
    not."""
    change, errors = manifest.FITTED[section][path]
    texts = {name: json.loads(getattr(hiding.bundle, SECTIONS[name])) for name in SECTIONS}
    change(texts[section])
    circuit = Circuit(**canonical.decode(_text(texts["circuit"])))
    sizes = texts["dataset"]
    header = DatasetHeader(
        sizes["records"],
        sizes["features"],
        sizes["classes"],
        bytes.fromhex(sizes["merkle_root"]),
        sizes.get("openings", 0),
        Scaling.from_json(sizes["low"], sizes["high"]),
    )
    stated = texts["statement"]
    task = Training(circuit, stated["initial"], stated["final"])
    statement = Statement(task, header, stated["security_bits"], stated["zero_knowledge"])
    bundle = replace(
        hiding.bundle,
        statement_json=statement.to_json(),
        circuit_json=circuit.canonical_json(),
        dataset_json=header.to_json(),
    )
    assert bundle != hiding.bundle
    public = tmp_path / "fitted.zkd"
    write_public(public, header, read_public(hiding.files.dataset)[1])
    _refused(errors, lambda: hiding.judge(bundle.to_bytes(), tmp_path, dataset=public))


# The weight file


def _weight_keys(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file and the bytes after it."""
    size = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:size])
    return header, data[size:]


def _weight_file(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def test_weight_file_fields_are_in_the_manifest(hiding: Proven) -> None:
    """Per tensor its name and keys, and the metadata."""
    header, body = _weight_keys(hiding.files.weights.read_bytes())
    metadata = header.pop("__metadata__")
    found = {"header length", "header", "cells", "name"} | {f"metadata.{key}" for key in metadata}
    found |= {f"tensor.{key}" for entry in header.values() for key in entry}
    _compare({field for field, _ in manifest.WEIGHT_FILE}, found, "weight file")
    assert len(body) == 8 * hiding.statement.circuit.parameters
    assert set(header) == set(hiding.statement.circuit.parameter_shapes())


@pytest.mark.parametrize(
    ("field", "how"), manifest.WEIGHT_FILE, ids=[" ".join(key) for key in manifest.WEIGHT_FILE]
)
def test_weight_file(hiding: Proven, field: str, how: str, tmp_path: Path) -> None:
    """Each tensor in turn; metadata are for readers, nothing is verified against them."""
    change, errors = manifest.WEIGHT_FILE[field, how]
    data = hiding.files.weights.read_bytes()
    path = tmp_path / "changed.safetensors"
    names = list(hiding.statement.circuit.parameter_shapes())
    for name in names if field in ("name", "cells") or field.startswith("tensor") else names[:1]:
        header, body = _weight_keys(data)
        cells = bytearray(body)
        raw = change(header, cells, name)
        path.write_bytes(raw if raw is not None else _weight_file(header, bytes(cells)))
        proof = hiding.files.proof.read_bytes()
        if errors is None:
            hiding.judge(proof, tmp_path, weights=path)
        else:
            _refused(errors, lambda p=proof: hiding.judge(p, tmp_path, weights=path))  # type: ignore[misc]


# The secret file


def _secret(hiding: Proven) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(secret_file.secret_path(hiding.files.dataset).read_bytes())
    return found


def test_secret_file_keys_are_in_the_manifest(hiding: Proven) -> None:
    """They are those of its schema."""
    _compare(manifest.SECRET_FILE, set(_secret(hiding)), "secret file")
    assert set(_secret(hiding)) == {"format"} | {f.name for f in fields(secret_file.Secret)}


@pytest.mark.parametrize("key", manifest.SECRET_FILE)
def test_secret_file(hiding: Proven, key: str, tmp_path: Path) -> None:
    """Left out, of another type, and with other values: the prover says that it cannot be used."""
    shutil.copytree(hiding.files.run, tmp_path / "run", ignore=shutil.ignore_patterns("*.zkt"))
    description = tmp_path / "run" / "run.json"
    path = tmp_path / "changed.secret"
    run = json.loads(description.read_bytes())
    assert Path(run["dataset"]["secret"]) == secret_file.secret_path(hiding.files.dataset)
    run["dataset"]["secret"] = str(path)
    description.write_text(json.dumps(run))
    assert Run.open(tmp_path / "run").dataset_secret == path
    honest = _secret(hiding)
    missing = {name: value for name, value in honest.items() if name != key}
    others = [{**honest, key: value} for value in manifest.SECRET_FILE[key]]
    for changed in (missing, {**honest, key: None}, {**honest, key: [1]}, *others):
        path.write_text(json.dumps(changed))
        _refused(InputError, lambda: zktrain.prove(tmp_path / "run"))
    for damaged in (b"", b"[]", b"{", b'{"format":"zktrain-secret-4"}', b"\xff"):
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            secret_file.read(path)


@pytest.mark.parametrize("change", ["positions", "root"])
def test_secret_file_that_is_read_but_is_none(hiding: Proven, change: str, tmp_path: Path) -> None:
    """Without a counter nobody knows what was opened; another root is another dataset's."""
    fields = _secret(hiding)
    value = fields.pop(change)
    if change == "root":
        fields["root"] = _other(value)
    shutil.copy(hiding.files.dataset, tmp_path / "data.zkd")
    (tmp_path / "data.zkd.secret").write_text(json.dumps(fields))
    _refused(InputError, lambda: secret_file.owned(tmp_path / "data.zkd"))
