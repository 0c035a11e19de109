"""Files of others, arbitrary and nearly right: nothing but a ``ZktrainError`` comes out, soon, and
without taking much more memory than the file is long."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tiny_run import TinyBundle

import zktrain
from zktrain._inspect import inspect
from zktrain.circuit.canonical import MAX_BATCH, MAX_STEPS
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import read_weights
from zktrain.dataset.commitment import MAX_OPENINGS, MAX_RECORDS, DatasetHeader
from zktrain.dataset.public_file import MAGIC as PUBLIC_MAGIC
from zktrain.dataset.public_file import read_public
from zktrain.errors import MalformedProof, ZktrainError
from zktrain.layers import Layer
from zktrain.layers.limits import MAX_WIDTH
from zktrain.layers.network import MAX_CLASSES, MAX_LAYERS
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import proof as proofs
from zktrain.protocol.bundle import MAGIC, Bundle, parse, parse_statement
from zktrain.protocol.certificate import certificate_terms, verify_certificate
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover.dataset.public_file import write_public

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 5.0
"""Of the processor, for one call."""
MEMORY = 48 << 20
"""What a call may allocate beside ``PER_BYTE`` times its input."""
PER_BYTE = 8


def fuzzed(examples: int) -> settings:
    """Bytes are long, and so are judgements."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@dataclass(frozen=True, repr=False)
class Seeds:
    """An honest run, and a place for files."""

    run: TinyBundle
    bundle: Bundle
    statement: Statement
    folder: Path

    def written(self, data: bytes) -> Path:
        path = self.folder / "input"
        path.write_bytes(data)
        return path

    certificate: bytes

    def verify(self, data: bytes, certificate: bytes | None = None) -> None:
        """The dataset that a bundle itself names is asked for, so that more of it is read; with the
        honest certificate or another one."""
        header = self.statement.dataset
        with suppress(ZktrainError):
            header = DatasetHeader.from_json(parse(data).dataset_json)
        public, path = self.folder / "public.zkd", self.written(data)
        write_public(public, header, self.certificate if certificate is None else certificate)
        zktrain.verify(self.run.weights, proof=path, dataset=public, min_security_bits=80)

    def read_dataset(self, data: bytes) -> None:
        verify_certificate(*read_public(self.written(data)))

    def read_statement(self, data: bytes) -> None:
        Statement.from_json(data, self.statement.circuit, self.statement.dataset)

    def read_weights(self, data: bytes) -> None:
        circuit = self.statement.circuit
        shapes, bits = circuit.parameter_shapes(), circuit.fixed_point.weight_bits
        read_weights(self.written(data), shapes, bits)

    def inspect(self, data: bytes) -> None:
        inspect(self.written(data))


@pytest.fixture(scope="module")
def seeds(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    """What is derived once and kept is derived before memory is measured."""
    bundle = parse(tiny_bundle.proof.read_bytes())
    folder, certificate = tmp_path_factory.mktemp("fuzzing"), read_public(tiny_bundle.dataset)[1]
    found = Seeds(tiny_bundle, bundle, parse_statement(bundle), folder, certificate)
    found.verify(bundle.to_bytes())
    return found


def _bounded(call: Callable[[bytes], object], data: bytes, *, traced: bool = True) -> None:
    """``call(data)`` gives a result or a ``ZktrainError``, in time; and in memory, which takes
    another, slower call. What the tests before it have left in memory is not searched for garbage
    meanwhile, as no verifier has it."""
    gc.freeze()
    try:
        started = time.process_time()
        with suppress(ZktrainError):
            call(data)
        seconds = time.process_time() - started
    finally:
        gc.unfreeze()
    assert seconds < SECONDS
    if not traced:
        return
    tracemalloc.start()
    try:
        with suppress(ZktrainError):
            call(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY + PER_BYTE * len(data)


def test_memory_of_a_complete_verification(seeds: Seeds) -> None:
    """Of the honest bundle, and of one that is refused at its last byte."""
    data = seeds.bundle.to_bytes()
    for judged in (data, data[:-1] + bytes([data[-1] ^ 1])):
        _bounded(seeds.verify, judged)


# Bytes

WORDS = [0, 1, 7, 107, 109, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 63, (1 << 64) - 1]


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """One to three changes at places that are fractions of the length, or near the start."""
    kinds = ["word", "short word", "byte", "cut", "drop", "repeat", "insert", "swap"]
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(kinds),
                st.one_of(st.integers(0, 64).map(lambda n: (n, 0.0)), _fractions()),
                st.integers(0, 4096),
                st.one_of(st.sampled_from(WORDS), st.integers(0, (1 << 64) - 1)),
            ),
            min_size=1,
            max_size=3,
        )
    )

    def change(data: bytes) -> bytes:
        for kind, (offset, fraction), size, word in steps:
            at = min(len(data), offset + int(fraction * len(data)))
            data = _change(data, kind, at, size, word)
        return data

    return change


def _fractions() -> st.SearchStrategy[tuple[int, float]]:
    return st.floats(0, 1).map(lambda fraction: (0, fraction))


def _change(data: bytes, kind: str, at: int, size: int, word: int) -> bytes:
    before, after = data[:at], data[at:]
    match kind:
        case "word":
            return before + struct.pack("<Q", word) + after[8:]
        case "short word":
            return before + struct.pack("<I", word & 0xFFFFFFFF) + after[4:]
        case "byte":
            return before + bytes([word & 0xFF]) + after[1:]
        case "cut":
            return before
        case "drop":
            return before + after[size:]
        case "repeat":
            return before + after[:size] + after
        case "insert":
            return before + word.to_bytes(8, "little") * (size // 8) + after
        case _:
            return before + after[size : 2 * size] + after[:size] + after[2 * size :]


@fuzzed(150)
@given(
    data=st.binary(max_size=400),
    magic=st.sampled_from([b"", b"ZKTRAIN\x01", MAGIC, b"ZKTDATA\x01", PUBLIC_MAGIC]),
)
def test_arbitrary_bytes(seeds: Seeds, data: bytes, magic: bytes) -> None:
    """As every kind of file, and after its magic."""
    for call in (seeds.verify, seeds.inspect, seeds.read_dataset, seeds.read_weights):
        _bounded(call, magic + data)
    for parse_text in (Circuit.from_json, seeds.read_statement, DatasetHeader.from_json):
        _bounded(parse_text, data)


@fuzzed(40)
@given(change=mutations())
def test_changed_bundles(seeds: Seeds, change: Callable[[bytes], bytes]) -> None:
    """By the complete verifier, and inspected."""
    data = change(seeds.bundle.to_bytes())
    _bounded(seeds.verify, data, traced=False)
    _bounded(seeds.inspect, data)


@fuzzed(25)
@given(change=mutations(), part=st.sampled_from(["certificate", "beside", "proof"]))
def test_changed_proofs(seeds: Seeds, change: Callable[[bytes], bytes], part: str) -> None:
    """In a bundle whose lengths are right, and beside it."""
    bundle, certificate = seeds.bundle, seeds.certificate
    if part == "beside":
        certificate = change(certificate)
    elif part == "certificate":
        bundle = replace(bundle, certificate=change(certificate))
    else:
        bundle = replace(bundle, proof=change(bytes(bundle.proof)))
    _bounded(lambda data: seeds.verify(data, certificate), bundle.to_bytes(), traced=False)


@fuzzed(60)
@given(change=mutations())
def test_changed_dataset_files(seeds: Seeds, change: Callable[[bytes], bytes]) -> None:
    """Read, certificate checked."""
    _bounded(seeds.read_dataset, change(seeds.run.dataset.read_bytes()))


@fuzzed(200)
@given(change=mutations())
def test_changed_weight_files(seeds: Seeds, change: Callable[[bytes], bytes]) -> None:
    """The header is safetensors', its limits are ours."""
    _bounded(seeds.read_weights, change(seeds.run.weights.read_bytes()))


@fuzzed(60)
@given(
    order=st.lists(
        st.sampled_from(["statement", "circuit", "dataset", "certificate", "proof", "nothing"]),
        min_size=5,
        max_size=5,
    ),
)
def test_sections_in_each_others_places(seeds: Seeds, order: list[str]) -> None:
    """Doubled, lost and swapped, with the right lengths."""
    mine = seeds.bundle
    sections = {
        "statement": mine.statement_json,
        "circuit": mine.circuit_json,
        "dataset": mine.dataset_json,
        "certificate": seeds.certificate,
        "proof": mine.proof,
        "nothing": b"",
    }
    bundle = Bundle(*(bytes(sections[name]) for name in order))
    _bounded(seeds.verify, bundle.to_bytes())


# Texts

NUMBERS = [0, 1, -1, 2, 79, 120, 1 << 14, 1 << 16, 1 << 24, (1 << 24) + 1, 1 << 63, 1 << 64, 10**30]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", "\ud800", "\0", "0" * 64, "zz" * 32, "A" * 64, " " * 64, "x" * 2000]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)

TEXTS = [
    b"",
    b"1" + b"0" * 5000,
    b'{"records":1' + b"0" * 5000 + b"}",
    b'{"steps":1' + b"0" * 900 + b"}",
    b"-" + b"9" * 4000,
    b"1e999999",
    b"NaN",
    b"[Infinity,-Infinity]",
    b"[" * 100_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 100_000,
    b'{"format":' * 700 + b"1" + b"}" * 700,
    b'{"format":1,"format":1}',
    b'"\\ud800"',
    b'{"\\udfff":"\\ud800"}',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"order_seed":"' + b"x" * (1 << 20) + b'"}',
    b"{}" + b" " * 5000,
]


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_texts_that_break_parsers(seeds: Seeds, number: int) -> None:
    """Alone and in the place of each text of a bundle."""
    text = TEXTS[number]
    for parse_text in (Circuit.from_json, seeds.read_statement, DatasetHeader.from_json):
        with pytest.raises(MalformedProof):
            parse_text(text)
        _bounded(parse_text, text)
    for name in ("statement_json", "circuit_json", "dataset_json"):
        data = replace(seeds.bundle, **{name: text}).to_bytes()
        _bounded(seeds.verify, data)
        _bounded(seeds.inspect, data)


def _put(value: Any, path: list[int], other: Any) -> Any:
    """``other`` at the place that the numbers lead to."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return other
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    out = value.copy()
    key = keys[path[0] % len(keys)]
    out[key] = _put(value[key], path[1:], other)
    return out


@fuzzed(150)
@given(path=st.lists(st.integers(0, 63), min_size=1, max_size=4), other=values)
@example(path=[6], other=10**4000)
def test_one_value_of_a_text_replaced(seeds: Seeds, path: list[int], other: Any) -> None:
    """Anywhere in each text, in canonical writing where there is one."""
    calls: dict[str, Callable[[bytes], object]] = {
        "statement_json": seeds.read_statement,
        "circuit_json": Circuit.from_json,
        "dataset_json": DatasetHeader.from_json,
    }
    for name, call in calls.items():
        document = _put(json.loads(getattr(seeds.bundle, name)), path, other)
        text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        _bounded(call, text)
        _bounded(seeds.inspect, replace(seeds.bundle, **{name: text}).to_bytes())


@fuzzed(60)
@given(change=mutations(), name=st.sampled_from(["statement_json", "circuit_json", "dataset_json"]))
def test_changed_texts(seeds: Seeds, change: Callable[[bytes], bytes], name: str) -> None:
    """Bytes of one text, the rest is honest."""
    text = change(getattr(seeds.bundle, name))
    _bounded(seeds.verify, replace(seeds.bundle, **{name: text}).to_bytes(), traced=False)


# Sizes


def sizes(limit: int) -> st.SearchStrategy[int]:
    """Up to a limit, mostly at it or at powers of two."""
    powers = [1 << k for k in range(limit.bit_length()) if 1 << k <= limit]
    return st.one_of(st.sampled_from([1, limit, max(1, limit - 1)]), st.sampled_from(powers))


@fuzzed(100)
@given(
    records=sizes(MAX_RECORDS),
    features=sizes(MAX_WIDTH),
    classes=sizes(MAX_CLASSES),
    openings=st.one_of(st.just(0), sizes(MAX_OPENINGS)),
)
@example(records=MAX_RECORDS, features=64, classes=64, openings=MAX_OPENINGS)
@example(records=1, features=1, classes=1, openings=MAX_OPENINGS)
def test_dataset_headers_of_every_size(
    seeds: Seeds, records: int, features: int, classes: int, openings: int
) -> None:
    """Read, their soundness computed, and verified with the certificate of another one."""
    header = DatasetHeader(records, features, classes, bytes(32), openings)

    def read(text: bytes) -> None:
        found = DatasetHeader.from_json(text)
        assert found == header
        certificate_terms(found)
        verify_certificate(found, seeds.certificate)
        verify_certificate(found, bytes(1 << 16))

    _bounded(read, header.to_json())


ENDS = ("00" * 32, "00" * 32)


def _circuit(widths: list[int], batch: int, steps: int, loss: str) -> Circuit:
    last = len(widths) - 1
    layers = tuple(
        Layer(f"l{i}", widths[i - 1], widths[i], f"w{i}", f"b{i}", i < last)
        for i in range(1, last + 1)
    )
    start = Initialisation("seed", "s")
    return Circuit(layers, loss, FixedPoint(), batch, steps, Sgd(((0, 1),)), "o", start)


@pytest.mark.slow("fuzzing for half a minute")
@fuzzed(40)
@given(
    layers=st.one_of(st.integers(1, 4), st.just(MAX_LAYERS)),
    width=sizes(MAX_WIDTH),
    classes=sizes(MAX_CLASSES),
    batch=sizes(MAX_BATCH),
    steps=sizes(MAX_STEPS),
    records=sizes(MAX_RECORDS),
    openings=st.sampled_from([1, MAX_OPENINGS]),
    bits=st.sampled_from([80, 100, 120]),
    zero_knowledge=st.booleans(),
    loss=st.sampled_from(["cross_entropy", "mse", "binary_cross_entropy"]),
)
@example(1, 1, 1, 1, 1 << 14, 1, 1, 80, True, "mse")
@example(MAX_LAYERS, 1, 1, 1, 1 << 14, 1, 1, 80, True, "cross_entropy")
@example(2, MAX_WIDTH, 1, 1, 2, 1, 1, 80, False, "mse")
@example(1, 1, 1, 1, 1 << 22, 1 << 20, MAX_OPENINGS, 80, True, "cross_entropy")
def test_statements_of_every_size(
    seeds: Seeds,
    layers: int,
    width: int,
    classes: int,
    batch: int,
    steps: int,
    records: int,
    openings: int,
    bits: int,
    zero_knowledge: bool,
    loss: str,
) -> None:
    """A bundle of such a size, read and inspected: texts, sizes, soundness."""
    circuit = _circuit([*[width] * layers, classes], batch, steps, loss)
    header = DatasetHeader(records, width, classes, bytes(32), openings)
    blank = Statement(Training(circuit, *ENDS), header, bits, zero_knowledge)
    texts = blank.to_json(), circuit.canonical_json(), header.to_json()
    bundle = Bundle(*texts, b"", b"")
    _bounded(seeds.inspect, bundle.to_bytes())
    _bounded(seeds.verify, bundle.to_bytes())


@fuzzed(25)
@given(
    layers=st.integers(1, 5),
    width=sizes(16),
    batch=sizes(64),
    steps=sizes(64),
    records=sizes(1 << 14),
    zero_knowledge=st.booleans(),
    filler=st.sampled_from([b"\0", b"\1", b"\xff"]),
)
def test_proofs_of_nothing(
    seeds: Seeds,
    layers: int,
    width: int,
    batch: int,
    steps: int,
    records: int,
    zero_knowledge: bool,
    filler: bytes,
) -> None:
    """What the verifier does with a long proof of one byte repeated before it refuses it."""
    circuit = _circuit([width] * (layers + 1), batch, steps, "cross_entropy")
    header = DatasetHeader(records, width, width, bytes(32), 1)
    statement = Statement(Training(circuit, *ENDS), header, 80, zero_knowledge)
    if statement.problem() is not None:
        return
    weights = seeded_weights(circuit)
    public = proofs.trained_weights(circuit, weights, weights)

    def judge(proof: bytes) -> None:
        proofs.verify(statement, proof, public)
        raise AssertionError("accepted")

    _bounded(judge, filler * (1 << 20))


@pytest.mark.slow("fuzzing for half a minute")
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_coverage_guided(tmp_path: Path) -> None:
    """A few seconds of ``scripts/fuzz_verifier.py``."""
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts" / "fuzz_verifier.py",
            "--seconds=5",
            f"--artifacts={tmp_path}",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.iterdir())
