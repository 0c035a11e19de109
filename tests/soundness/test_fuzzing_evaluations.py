"""Proofs of evaluations, arbitrary and nearly right: nothing but a ``ZktrainError`` comes out,
soon, and without taking much more memory than the file is long."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_fuzzing import (
    MAX_CLASSES,
    MAX_OPENINGS,
    MAX_RECORDS,
    MAX_WIDTH,
    _bounded,
    _circuit,
    fuzzed,
    mutations,
    sizes,
    values,
)
from test_fuzzing import _put as put
from tiny_run import TinyBundle

import zktrain
from zktrain._inspect import inspect
from zktrain.dataset.commitment import DatasetHeader
from zktrain.protocol.bundle import MAGIC, Bundle, parse, parse_statement
from zktrain.protocol.statement import MAX_STATEMENT_BYTES, Statement
from zktrain.protocol.tasks import MAX_COUNTS, Counts, Evaluation


@dataclass(frozen=True, repr=False)
class Seeds:
    """An honest proof, and a place for files."""

    tiny: TinyBundle
    bundle: Bundle
    folder: Path

    def written(self, data: bytes) -> Path:
        path = self.folder / "input"
        path.write_bytes(data)
        return path

    def verify(self, data: bytes) -> None:
        """The root that a proof itself names is asked for, so that more of it is read."""
        path, root = self.written(data), self.tiny.root
        with suppress(zktrain.ZktrainError):
            root = DatasetHeader.from_json(parse(data).dataset_json).root.hex()
        zktrain.verify_eval(self.tiny.weights, proof=path, dataset=root, min_security_bits=80)

    def inspect(self, data: bytes) -> None:
        found = inspect(self.written(data))
        assert found.statement.soundness_terms

    def read_statement(self, data: bytes) -> None:
        honest = parse_statement(self.bundle)
        Statement.from_json(data, honest.circuit, honest.dataset)


@pytest.fixture(scope="module")
def seeds(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    """What is derived once and kept is derived before memory is measured."""
    folder = tmp_path_factory.mktemp("fuzzing")
    out = folder / "eval.zkt"
    zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        dataset=tiny_bundle.dataset,
        out=out,
    )
    found = Seeds(tiny_bundle, parse(out.read_bytes()), folder)
    found.verify(found.bundle.to_bytes())
    return found


@fuzzed(60)
@given(data=st.binary(max_size=400), magic=st.sampled_from([b"", b"ZKTRAIN\x01", MAGIC]))
def test_arbitrary_bytes(seeds: Seeds, data: bytes, magic: bytes) -> None:
    """With and without the magic."""
    for call in (seeds.verify, seeds.inspect):
        _bounded(call, magic + data)


@fuzzed(60)
@given(change=mutations())
def test_changed_files(seeds: Seeds, change: Callable[[bytes], bytes]) -> None:
    """Anywhere in the file."""
    data = change(seeds.bundle.to_bytes())
    _bounded(seeds.verify, data, traced=False)
    _bounded(seeds.inspect, data, traced=False)


@fuzzed(30)
@given(change=mutations(), part=st.sampled_from(["certificate", "proof"]))
def test_changed_proofs(seeds: Seeds, change: Callable[[bytes], bytes], part: str) -> None:
    """Bytes of one proof, the rest is honest."""
    forged = replace(seeds.bundle, **{part: change(bytes(getattr(seeds.bundle, part)))})
    _bounded(seeds.verify, forged.to_bytes(), traced=False)


@fuzzed(60)
@given(path=st.lists(st.integers(0, 63), min_size=1, max_size=5), other=values)
@example(path=[1, 0, 0, 0], other=10**4000)
@example(path=[1], other=[[[]]] * 1000)
def test_one_value_of_the_statement_replaced(seeds: Seeds, path: list[int], other: Any) -> None:
    """Anywhere in it, in canonical writing."""
    document = put(json.loads(seeds.bundle.statement_json), path, other)
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    _bounded(seeds.read_statement, text)
    _bounded(seeds.inspect, replace(seeds.bundle, statement_json=text).to_bytes())


@pytest.mark.parametrize(
    "text",
    [b"[" * MAX_STATEMENT_BYTES, b"[" + b"[]," * (MAX_STATEMENT_BYTES // 3 - 2) + b"[]]"],
    ids=["nested", "many"],
)
def test_texts_that_are_as_long_as_they_may_be(seeds: Seeds, text: bytes) -> None:
    """Of brackets; a text that is longer is not read."""
    _bounded(seeds.read_statement, text, traced=False)
    _bounded(seeds.read_statement, text + b" " * MAX_STATEMENT_BYTES)


@pytest.mark.slow("fuzzing for half a minute")
@fuzzed(20)
@given(
    layers=st.integers(1, 4),
    width=sizes(MAX_WIDTH),
    classes=sizes(MAX_CLASSES),
    records=sizes(MAX_RECORDS),
    openings=st.sampled_from([1, MAX_OPENINGS]),
    bits=st.sampled_from([80, 100, 120]),
    zero_knowledge=st.booleans(),
)
@example(1, 1, 2, MAX_RECORDS, 1, 80, True)
@example(1, 1, 8, MAX_RECORDS, 1, 80, False)
@example(2, MAX_WIDTH, 1, MAX_RECORDS, 1, 80, False)
@example(1, 1, 1024, 1, 1, 80, True)
def test_statements_of_every_size(
    seeds: Seeds,
    layers: int,
    width: int,
    classes: int,
    records: int,
    openings: int,
    bits: int,
    zero_knowledge: bool,
) -> None:
    """A proof of such a size, whose counts add up, read, inspected and judged."""
    circuit = _circuit([*[width] * layers, classes], 1, 1, "mse")
    header = DatasetHeader(records, width, classes, bytes(32), openings)
    matrix: Counts = ()
    if classes**2 <= MAX_COUNTS:
        nothing = (0,) * classes
        matrix = ((records, *nothing[1:]), *(nothing,) * (classes - 1))
    task = Evaluation(circuit, "00" * 32, matrix)
    text = Statement(task, header, bits, zero_knowledge).to_json()
    bundle = Bundle(text, circuit.canonical_json(), header.to_json(), b"", b"")
    _bounded(seeds.inspect, bundle.to_bytes())
    _bounded(seeds.verify, bundle.to_bytes(), traced=False)
    assert len(text) <= MAX_STATEMENT_BYTES
