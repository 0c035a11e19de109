"""Inputs that one comparison alone refuses: readers, limits, and expectations of whoever verifies.

Every test names its comparison. It is refused there, and accepted, or judged by something else,
where only that comparison is gone.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import evaluation_harness as e
import harness as h
import hiding_harness as hh
import numpy as np
import pytest
from check_sites import find, find_all, refused_by, removed, watched

from zktrain import files, judging, tensor_file
from zktrain.arguments.claims import Ledger
from zktrain.circuit import canonical
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.order import batch_indices
from zktrain.circuit.weights import digest
from zktrain.commitment.hiding import HidingVerifier
from zktrain.dataset import commitment
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.public_file import GivenDataset
from zktrain.dataset.scaling import Scaling
from zktrain.errors import (
    HiddenMismatch,
    InputError,
    MalformedProof,
    StatementMismatch,
    SumcheckMismatch,
    ZktrainError,
)
from zktrain.field.extension import ZERO, Ext
from zktrain.layers import AveragePool, Flatten, Unflatten
from zktrain.layers.network import MAX_LAYERS
from zktrain.optimizers import schedule as schedules
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import statement, tasks
from zktrain.protocol.statement import Statement
from zktrain.prover.dataset.public_file import write_public
from zktrain.training.weight_file import write_weights
from zktrain.transcript.challenger import Challenger

Attack = Callable[[], object]


def refused_at(site: str, attack: Attack, error: type[ZktrainError], message: str = "") -> None:
    """Refused at this site; without it something else fails, or does too late what is asked."""
    with watched(find(site)) as fired, pytest.raises(error, match=message or None) as seen:
        attack()
    assert fired and type(seen.value) is error


def text(fields: dict[str, Any]) -> bytes:
    """Canonical JSON."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def judged(problem: str | None) -> None:
    """Raise for a sentence."""
    if problem is not None:
        raise MalformedProof(problem)


def not_parsed(attack: Attack) -> Attack:
    """``attack``, where reading any JSON is an error of this test."""

    def guarded() -> None:
        with mock.patch.object(json, "loads", side_effect=AssertionError("it was parsed")):
            attack()

    return guarded


# Claims, and messages in clear


def test_two_claims_at_one_point() -> None:
    """The second one says something else of the same value."""
    place = (Ext(3), Ext(4))

    def attack() -> None:
        ledger = Ledger()
        ledger.add("z", place, Ext(5))
        ledger.add("z", place, Ext(5))
        ledger.add("z", place, Ext(6))

    refused_by("arguments.claims.Ledger.add: self._check", attack, SumcheckMismatch)
    refused_by("arguments.claims.judge: any(", attack, SumcheckMismatch)


def test_public_difference_in_a_channel_that_hides() -> None:
    """Nothing hidden is in it, so it is judged at once and not by the sum at the end."""
    layout = hh.Toy().layout

    def attack() -> None:
        channel = HidingVerifier(Challenger("public"), bytes(32), layout, hh.BITS)
        channel.check(lambda: ZERO, hh.SUM)
        channel.check(lambda: [ZERO, Ext(0, 1)], hh.SUM)

    refused_by("commitment.hiding.hidden_part: found", attack, SumcheckMismatch)


HIDDEN_PRODUCT = {
    "first - value": ((Ext(5), Ext(7), Ext(35), Ext(245)), (Ext(36), Ext(36).inverse())),
    "second - ONE": ((Ext(0), Ext(12), Ext(0), Ext(0)), (ZERO, Ext(9))),
}


@pytest.mark.parametrize("part", HIDDEN_PRODUCT)
def test_hidden_product_that_is_claimed_not_to_be_zero(part: str) -> None:
    """The product is another one, or the inverse is none. Proofs are made for the same checks."""
    site = find(
        f"commitment.hiding.HidingVerifier.check_nonzero: call self.check(lambda: {part}, error)"
    )
    values, nonzero = HIDDEN_PRODUCT[part]
    toy = hh.Toy()
    toy.refuse(toy.prove(values, nonzero), HiddenMismatch, h.SLOT_SUM.message)
    with removed(site):
        toy.verify(toy.prove(values, nonzero))


# Circuits


def circuit(**changes: Any) -> Circuit:
    return replace(h.circuit("mse"), **changes)


def dense(*widths: int) -> tuple[Any, ...]:
    layer = h.circuit("mse").layers[0]
    return tuple(
        replace(layer, name=f"n{i}", inputs=a, outputs=b, weight=f"n{i}.w", bias=f"n{i}.b",
                relu=i < len(widths) - 2)
        for i, (a, b) in enumerate(pairwise(widths))
    )  # fmt: skip


CIRCUITS: dict[str, Callable[[], Circuit]] = {
    "layers.network.violation: not len(layers) <= MAX_LAYERS": lambda: circuit(
        layers=dense(*[2] * 66)
    ),
    "optimizers.schedule.violation: not len(schedule) <= MAX_SCHEDULE": lambda: circuit(
        steps=5000, optimizer=Sgd(tuple((t, 1) for t in range(4097)))
    ),
}


@pytest.mark.parametrize("site", CIRCUITS)
def test_limit_of_circuits(site: str) -> None:
    """One limit is broken, and no other."""
    forged = CIRCUITS[site]()
    check = canonical._network_violation if "network" in site else canonical._training_violation
    refused_by(site, lambda: judged(check(forged)), MalformedProof)


def test_network_that_ends_in_no_dense_layer() -> None:
    forged = circuit(layers=(Unflatten("image", 2, 2, 2), Flatten("flat")))
    site = "layers.network.violation: not isinstance(layers[-1], Layer)"
    refused_at(site, lambda: judged(canonical.violation(forged)), MalformedProof, "last layer")


def test_text_of_a_circuit_is_measured_before_it_is_read() -> None:
    attack = not_parsed(lambda: Circuit.from_json(bytes(canonical.MAX_BYTES + 1)))
    refused_at("strict_json.parse: len(data) > MAX_BYTES", attack, MalformedProof)


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "bytes", "deep"])
def test_text_that_is_no_json_is_called_that(data: bytes) -> None:
    site = "strict_json.parse: raise MalformedProof"
    refused_at(site, lambda: Circuit.from_json(data), MalformedProof, "the text is")


# Statements


def _read(run: h.Run, changes: dict[str, Any]) -> Attack:
    """A statement with other fields is read."""

    def read() -> None:
        honest = run.statement
        fields = {**json.loads(honest.to_json()), **changes}
        Statement.from_json(text(fields), honest.circuit, honest.dataset)

    return read


def training(**changes: Any) -> Attack:
    return _read(h.honest("mse"), changes)


def evaluating(**changes: Any) -> Attack:
    return _read(e.statement(), changes)


STATEMENT, DIGEST = "statement.Statement.from_json", "tasks._read_digest"
TEXTS: list[tuple[str, Callable[..., Attack], dict[str, Any]]] = [
    (f"{STATEMENT}: type(statement.security_bits)", training, {"security_bits": 100.0}),
    (f"{STATEMENT}: type(statement.zero_knowledge)", training, {"zero_knowledge": 0}),
    (f"{DIGEST}: bytes.fromhex(text).hex() != text", training, {"initial": "AB" * 32}),
    (f"{DIGEST}: len(text) != 64", training, {"final": "ab" * 31}),
    (f"{DIGEST}: bytes.fromhex(text).hex() != text", evaluating, {"weights": "AB" * 32}),
    (f"{DIGEST}: len(text) != 64", evaluating, {"weights": "ab" * 31}),
]


@pytest.mark.parametrize(("site", "make", "change"), TEXTS)
def test_statement_with_one_wrong_field(
    site: str, make: Callable[..., Attack], change: dict[str, Any]
) -> None:
    """Canonical JSON in which one value has another type or form."""
    make()()
    refused_by(f"protocol.{site}", make(**change), MalformedProof)


def test_weights_digest_that_is_no_text() -> None:
    refused_at("protocol.tasks._read_digest: not isinstance(text, str)", training(initial=7),
               MalformedProof)  # fmt: skip


def test_count_that_is_no_integer() -> None:
    matrix = [[float(count) for count in row] for row in e.statement().statement.task.confusion]
    site = "protocol.tasks.Evaluation.read: any("
    refused_by(site, evaluating(confusion=matrix), MalformedProof)


@pytest.mark.parametrize("make", [training, evaluating])
def test_statement_in_another_writing(make: Callable[..., Attack]) -> None:
    """The same value with one field more."""
    refused_by(f"protocol.{STATEMENT}: not canonical", make(more=1), MalformedProof)


def test_statement_is_measured_before_it_is_read() -> None:
    honest = h.honest("mse").statement
    data = bytes(statement.MAX_STATEMENT_BYTES + 1)
    site = find(f"protocol.{STATEMENT}: len(data) >")
    attack = lambda: Statement.from_json(data, honest.circuit, honest.dataset)  # noqa: E731
    refused_at(site.name, not_parsed(attack), MalformedProof)


def _problem(honest: Statement, changes: dict[str, Any]) -> Attack:
    """The problem of a statement is asked for; changes are of itself, its task or its circuit."""
    task = honest.task
    mine = {k: changes.pop(k) for k in list(changes) if k in ("confusion",)}
    own = {k: changes.pop(k) for k in list(changes) if hasattr(honest, k) and k != "circuit"}
    circuit_ = replace(changes.pop("circuit", honest.circuit), **changes)
    found = replace(honest, task=replace(task, circuit=circuit_, **mine), **own)
    return lambda: judged(found.problem())


def stated(**changes: Any) -> Attack:
    return _problem(h.honest("mse").statement, changes)


def counted(**changes: Any) -> Attack:
    return _problem(e.statement().statement, changes)


def header(**changes: Any) -> DatasetHeader:
    return replace(h.dataset().header, **changes)


MISFIT, TRAINED, COUNTED = (
    f"protocol.{owner}.misfit"
    for owner in ("statement.Statement", "tasks.Training", "tasks.Evaluation")
)
MANY = 1 << 24
PROBLEMS: list[tuple[str, Callable[..., Attack], dict[str, Any]]] = [
    (f"{TRAINED}: drawn > min(MAX_PERMUTED", stated,
     {"dataset": header(records=1 << 23), "steps": 1 << 21, "batch_size": 1 << 14}),
    (f"{MISFIT}: samples > MAX_SAMPLES", stated,
     {"dataset": header(records=1 << 20), "steps": 1 << 20, "batch_size": 129}),
    (f"{MISFIT}: total_log(self.tensors) > MAX_CELLS_LOG", stated,
     {"dataset": header(records=1 << 20), "steps": 1 << 20, "batch_size": 128,
      "circuit": circuit(layers=dense(6, 1 << 7, 3))}),
    (f"{COUNTED}: classes ** 2 > MAX_COUNTS", counted,
     {"dataset": header(records=1 << 16, classes=1 << 11),
      "circuit": circuit(layers=dense(6, 1 << 11))}),
    (f"{MISFIT}: dataset.features != ", stated, {"dataset": header(features=7)}),
    (f"{MISFIT}: dataset.classes != ", stated, {"dataset": header(classes=2)}),
    (f"{MISFIT}: self.zero_knowledge and", stated, {"zero_knowledge": True}),
    (f"{MISFIT}: problem := self.task.misfit", stated, {"drop_last": True, "batch_size": 12}),
    (f"{TRAINED}: circuit.drop_last and", stated, {"drop_last": True, "batch_size": 12}),
    (f"{MISFIT}: not MIN_SECURITY_BITS <= self", stated, {"security_bits": 79}),
    (f"{MISFIT}: not self.security_bits <=", stated, {"security_bits": 121}),
]  # fmt: skip


@pytest.mark.parametrize(("site", "make", "change"), PROBLEMS)
def test_problem_of_a_statement(
    site: str, make: Callable[..., Attack], change: dict[str, Any]
) -> None:
    """Sizes that do not fit each other, or limits."""
    refused_at(site, make(**change), MalformedProof)


def test_more_records_than_an_evaluation_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No dataset has as many; the limit is lowered."""
    monkeypatch.setattr(tasks, "MAX_SAMPLES", 8)
    refused_at(f"{COUNTED}: records > MAX_SAMPLES", counted(), MalformedProof)


def recounted(change: Callable[[list[list[int]]], object]) -> Attack:
    """Other counts than the honest ones."""
    matrix = [list(row) for row in e.statement().statement.task.confusion]
    change(matrix)
    return counted(confusion=tuple(map(tuple, matrix)))


def moved(by: int) -> Callable[[list[list[int]]], None]:
    def change(matrix: list[list[int]]) -> None:
        matrix[0][0] += by
        matrix[0][1] -= by

    return change


def longer_row(matrix: list[list[int]]) -> None:
    matrix[1].append(0)


COUNTS: list[tuple[str, Attack]] = [
    ("len(matrix) != classes", recounted(lambda matrix: matrix.append([0, 0, 0]))),
    ("any((len(row) != classes", recounted(longer_row)),
    ("not 0 <= count", recounted(moved(-9))),
    ("sum(map(sum, matrix)) != records", recounted(lambda m: m[0].__setitem__(0, m[0][0] + 1))),
]


@pytest.mark.parametrize(("part", "attack"), COUNTS)
def test_counts_that_cannot_be(part: str, attack: Attack) -> None:
    """The matrix is as large as the classes, and its counts are the records."""
    refused_at(f"{COUNTED}: {part}", attack, MalformedProof)


def test_count_larger_than_the_dataset() -> None:
    """With a negative one beside it: two limits are broken, and the sum is right."""
    both = [find(f"{COUNTED}: not 0 <= count"), find(f"{COUNTED}: not count <= records")]
    attack = recounted(moved(20))
    with removed(both[0]):
        refused_by(both[1].name, attack, MalformedProof)


@pytest.mark.parametrize("make", [training, evaluating])
def test_statement_with_a_problem_is_not_read(make: Callable[..., Attack]) -> None:
    refused_by(f"protocol.{STATEMENT}: problem :=", make(security_bits=79), MalformedProof)


@pytest.mark.parametrize("make", [training, evaluating])
def test_statement_that_is_no_object(make: Callable[..., Attack]) -> None:
    """Whatever Python raises for it, the proof is malformed."""
    refused_at(f"protocol.{STATEMENT}: except", make(zero_knowledge=None), MalformedProof)
    for change in ({"security_bits": [1]}, {"task": "another"}, {"task": None}):
        with pytest.raises(MalformedProof):
            make(**change)()


@pytest.mark.parametrize("make", [stated, counted])
def test_fewer_bits_than_stated(make: Callable[..., Attack]) -> None:
    site = "protocol.statement.Statement.weakness: self.union_bits"
    refused_by(site, make(security_bits=120), MalformedProof)


# Headers


def of_dataset(hiding: bool = False, **changes: Any) -> Attack:
    honest = h.dataset(hiding=hiding).header
    return lambda: DatasetHeader.from_json(text({**json.loads(honest.to_json()), **changes}))


HEADERS: list[tuple[str, bool, dict[str, Any]]] = [
    ("type(n) is not int", False, {"records": True}),
    ("type(openings) is not int", True, {"openings": True}),
    ("not 1 <= openings", True, {"openings": 0}),
    ("not openings <= MAX_OPENINGS", True, {"openings": commitment.MAX_OPENINGS + 1}),
    ("not 1 <= n", False, {"records": 0}),
    ("not n <= top", False, {"classes": commitment.MAX_CLASSES + 1}),
    ("len(header.merkle_root) != 32", False, {"merkle_root": "ab" * 31}),
    ("header.to_json() != data", False, {"more": 1}),
    ("MAX_CELLS_LOG", False, {"records": commitment.MAX_RECORDS, "features": 1 << 16}),
]


@pytest.mark.parametrize(("part", "hiding", "change"), HEADERS)
def test_dataset_header_with_one_wrong_field(
    part: str, hiding: bool, change: dict[str, Any]
) -> None:
    of_dataset(hiding)()
    site = f"dataset.commitment.DatasetHeader.from_json: {part}"
    refused_at(site, of_dataset(hiding, **change), MalformedProof)


def test_dataset_header_is_measured_before_it_is_read() -> None:
    attack = not_parsed(lambda: DatasetHeader.from_json(bytes(1 << 16)))
    refused_at("dataset.commitment.DatasetHeader.from_json: len(data)", attack, MalformedProof)


SCALINGS: list[tuple[str, Any, Any]] = [
    ("__post_init__: not self.low < self.high", 5.0, 5.0),
    ("__post_init__: not math.isfinite", -1e308, 1e308),
]


@pytest.mark.parametrize(("part", "low", "high"), SCALINGS)
def test_range_that_is_none(part: str, low: float, high: float) -> None:
    with watched(find(f"dataset.scaling.Scaling.{part}")) as fired, pytest.raises(ValueError):  # noqa: PT011
        Scaling(low, high)
    assert fired
    with removed(find(f"dataset.scaling.Scaling.{part}")):
        Scaling(low, high)


def encoded(**changes: Any) -> Attack:
    texts = {**Scaling(0.0, 255.0).to_json(), **changes}

    def read() -> None:
        try:
            Scaling.from_json(texts["low"], texts["high"])
        except ValueError as error:
            raise MalformedProof(str(error)) from None

    return read


def test_range_in_another_writing() -> None:
    """Capital digits, and minus zero."""
    site = "dataset.scaling.Scaling.from_json: found.to_json()"
    for low in ("8" + "0" * 15,):
        refused_by(site, encoded(low=low), MalformedProof)
    refused_by(site, encoded(high="406FE00000000000"), MalformedProof)


@pytest.mark.parametrize(
    ("part", "low"), [("type(text) is not str", 5), ("len(encoded) != 8", "00 00 00 00 00 ")]
)
def test_range_that_is_no_number(part: str, low: Any) -> None:
    """Whatever Python raises for it, it is a ``ValueError``."""
    refused_at(f"dataset.scaling.Scaling.from_json: {part}", encoded(low=low), MalformedProof)


@pytest.mark.parametrize("digest", [None, 5, [], "0g" * 32])
def test_digest_that_is_no_text(digest: Any) -> None:
    """Nothing but digits becomes bytes."""
    for attack in (training(initial=digest), evaluating(weights=digest),
                   of_dataset(merkle_root=digest)):  # fmt: skip
        with pytest.raises(MalformedProof):
            attack()


# Expectations of whoever verifies


def test_first_weights_that_are_not_those_of_the_circuit(tmp_path: Path) -> None:
    """A file of other weights with the right names and shapes."""
    weights = {name: values.copy() for name, values in h.initial_weights().items()}
    weights["fc1.bias"][1] += 1
    assert digest(weights) != circuit().initialisation.value
    write_weights(tmp_path / "w.safetensors", weights, 32, {})
    site = "judging.initial_weights: digest(weights) != circuit.initialisation.value"
    attack = lambda: judging.initial_weights(circuit(), tmp_path / "w.safetensors")  # noqa: E731
    refused_by(site, attack, StatementMismatch)


def test_first_weights_that_are_not_those_of_the_seed(tmp_path: Path) -> None:
    seeded = circuit(initialisation=Initialisation("seed", "s"))
    weights = seeded_weights(seeded)
    weights["fc2.weight"][0, 0] += 1
    write_weights(tmp_path / "w.safetensors", weights, 32, {})
    site = (
        "judging.initial_weights: path is not None and digest(read_of(circuit, path)) != "
        "digest(seeded)"
    )
    attack = lambda: judging.initial_weights(seeded, tmp_path / "w.safetensors")  # noqa: E731
    refused_by(site, attack, StatementMismatch)


def test_no_file_of_first_weights() -> None:
    attack = lambda: judging.initial_weights(circuit(), None)  # noqa: E731
    refused_at("judging.initial_weights: path is None", attack, InputError, "--initial")


def test_seed_of_a_run_that_starts_from_a_file() -> None:
    site = "circuit.initial.seeded_weights: circuit.initialisation.kind != 'seed'"
    refused_by(site, lambda: seeded_weights(circuit()), InputError)


def test_weight_file_of_other_weights(tmp_path: Path) -> None:
    """Names and shapes are right, one unit of one weight is not."""
    write_weights(tmp_path / "w.safetensors", h.initial_weights(), 32, {})
    refused_by(
        "judging.weights_of: found != wanted",
        lambda: judging.weights_of(circuit(), tmp_path / "w.safetensors", "00" * 32, "proven"),
        StatementMismatch,
    )


@pytest.mark.parametrize(("least", "part"), [(-1, "not 0 <= least"), (999, "not least <=")])
def test_bits_that_no_proof_has(least: int, part: str) -> None:
    found = replace(h.honest("mse").statement, security_bits=10**6)
    attack = lambda: judging.check_bits(found, least)  # noqa: E731
    refused_by(f"judging.check_bits: {part}", attack, InputError)


def test_fewer_bits_than_asked_for() -> None:
    found = h.honest("mse").statement
    site = "judging.check_bits: statement.security_bits < least"
    refused_by(site, lambda: judging.check_bits(found, 101), StatementMismatch)


def test_dataset_of_another_root() -> None:
    given = h.dataset().header
    refused_by(
        "judging.check_dataset: header.root != given.root",
        lambda: judging.check_dataset(given, "ab" * 32),
        StatementMismatch,
    )


def test_certificate_beside_another_root(tmp_path: Path) -> None:
    path = tmp_path / "a.zkd"
    write_public(path, h.dataset().header, b"certificate")
    given = GivenDataset(bytes(32))
    refused_by(
        "judging.certificate_of: beside.root != given.root",
        lambda: judging.certificate_of(given, path),
        StatementMismatch,
    )
    attack = lambda: judging.certificate_of(given, None)  # noqa: E731
    refused_by("judging.certificate_of: given.certificate is None", attack, InputError)


def test_data_of_another_scaling(tmp_path: Path) -> None:
    path = tmp_path / "a.zkd"
    write_public(path, h.dataset().header, b"certificate")
    other = header(scaling=Scaling(0.0, 1.0))
    judging.check_scaling(h.dataset().header, path)
    site = "judging.check_scaling: header.scaling != wanted"
    refused_by(site, lambda: judging.check_scaling(other, path), StatementMismatch)


def test_another_circuit_pinned(tmp_path: Path) -> None:
    """The field that differs is named; what differs in no field is refused too."""
    path = tmp_path / "c.json"
    path.write_bytes(circuit(steps=12).canonical_json())
    theirs = circuit().canonical_json()
    attack = lambda: judging.check_circuit(theirs, path)  # noqa: E731
    refused_at("judging.check_circuit: check_fields", attack, StatementMismatch, "steps differs")
    compare = lambda: judging.check_fields(circuit(), circuit(steps=9), ("steps",), "x")  # noqa: E731
    refused_by("judging.check_fields: getattr", compare, StatementMismatch)
    with removed(find("judging.check_fields: getattr")):
        refused_by("judging.check_circuit: raise StatementMismatch", attack, StatementMismatch)


def test_own_circuit_that_is_damaged_is_no_verdict() -> None:
    attack = lambda: judging.own_circuit("c.json", b"{}")  # noqa: E731
    refused_at("judging.own_circuit: except MalformedProof", attack, InputError)


# Orders and files

ORDERS: list[tuple[str, dict[str, Any]]] = [
    ("records < 1", {"records": 0}),
    ("batch_size < 1", {"batch_size": 0}),
    ("first_step < 0", {"first_step": -1}),
    ("steps < 0", {"steps": -1}),
    ("not used", {"batch_size": 8, "drop_last": True}),
]


@pytest.mark.parametrize(("part", "change"), ORDERS)
def test_order_of_nothing(part: str, change: dict[str, Any]) -> None:
    given = {"records": 5, "batch_size": 2, "first_step": 0, "steps": 3, **change}
    attack = lambda: batch_indices("o", **given)  # noqa: E731
    refused_at(f"circuit.order.batches: {part}", attack, InputError)


def written(path: Path, size: int = 4) -> Path:
    path.write_bytes(bytes(size))
    return path


def test_file_larger_than_any(tmp_path: Path) -> None:
    path = written(tmp_path / "f")

    def open_it() -> None:
        with files.opened(path, "file", 3):
            pass

    class Unread(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("it was read")

    refused_by("files.opened: limit is not None", open_it, InputError)
    with mock.patch.object(files.io, "FileIO", Unread):
        attack = lambda: files.read_bytes(path, "file", 3)  # noqa: E731
        refused_at("files.read_bytes: size > limit", attack, InputError)


def test_file_that_grows_meanwhile(tmp_path: Path) -> None:
    path, true = written(tmp_path / "f", 8), files._open
    with mock.patch.object(files, "_open", lambda *a: (true(*a)[0], 2)):
        attack = lambda: files.read_bytes(path, "file", 3)  # noqa: E731
        refused_by("files.read_bytes: len(data) > limit", attack, InputError)


READS = [("not 0 <= offset", -1, 2), ("not offset <= offset + count", 1, -1),
         ("not offset + count <= self.size", 3, 2)]  # fmt: skip


@pytest.mark.parametrize(("part", "offset", "count"), READS)
def test_read_outside_of_a_file(tmp_path: Path, part: str, offset: int, count: int) -> None:
    with files.opened(written(tmp_path / "f"), "file") as found:
        attack = lambda: found.read(offset, count)  # noqa: E731
        with mock.patch.object(files.Opened, "read_into", side_effect=AssertionError):
            refused_at(f"files.Opened.read: {part}", attack, InputError)


def test_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    path = written(tmp_path / "f", 8)
    calls: list[int] = []

    def once(*_: Any) -> int:
        assert not calls, "it reads on after the end"
        calls.append(1)
        return 0

    with files.opened(path, "file") as found, mock.patch.object(files, "_read_at", once):
        refused_at("files.Opened.read_into: not got", lambda: found.read(0, 8), InputError)


def test_pipe_is_no_file(tmp_path: Path) -> None:
    """Before it is opened by its name, and after, should another have taken its place."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    attack = lambda: files._open(str(path), "file")  # noqa: E731
    refused_at("files._require_regular: not stat", attack, InputError, "a pipe")
    before, after = find_all("files._open: call _require_regular")
    with mock.patch.object(os, "open", side_effect=AssertionError("it was opened")):
        refused_at(before.name, attack, InputError, "a pipe")
    regular = os.stat(written(tmp_path / "f"))
    with mock.patch.object(os, "stat", return_value=regular):
        refused_by(after.name, attack, InputError, "a pipe")


# Weight files


def weight_file(path: Path, header: Any, cells: int = 8, *, length: int | None = None) -> Attack:
    """A file with this header (bytes, or JSON) and so many bytes of cells is opened."""
    data = header if isinstance(header, bytes) else text(header)
    size = len(data) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + data + bytes(cells))

    def open_it() -> None:
        with tensor_file.opened(path):
            pass

    return open_it


def tensor(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8], **changes}}


def test_weight_file_with_one_fault(tmp_path: Path) -> None:
    """Each is accepted, or ends in no sentence, where one comparison is gone."""
    path = tmp_path / "w.safetensors"
    weight_file(path, tensor())()
    long = text(tensor()) + b" " * tensor_file.MAX_HEADER_BYTES
    for site, attack in (
        ("opened: length > MAX", lambda: weight_file(path, long)()),
        ("opened: call _check_layout", lambda: weight_file(path, tensor(), 9)()),
        ("_entry: place[1] - place[0]",
         lambda: weight_file(path, tensor(data_offsets=[0, 9]))()),
    ):  # fmt: skip
        refused_by(f"tensor_file.{site}", attack, InputError)
    for site, attack, message in (
        ("opened: length > file.size", lambda: weight_file(path, tensor(), length=999)(),
         "ends inside its header"),
        ("_entry: not isinstance(value, dict)",
         lambda: weight_file(path, {"w": ["dtype", "shape", "data_offsets"]})(), "not exactly"),
        ("_entry: not _numbers(place)",
         lambda: weight_file(path, tensor(data_offsets=["0", "8"]))(), "no valid shape or place"),
    ):  # fmt: skip
        refused_at(f"tensor_file.{site}", attack, InputError, message)


def test_mean_over_so_many_values_that_it_is_none() -> None:
    layer = AveragePool("p", (200, 200), (1, 1))
    attack = lambda: judged(layer.violation(1))  # noqa: E731
    refused_by("layers.limits.mean_problem: not off", attack, MalformedProof)


def test_limits_are_what_the_tests_above_take_them_for() -> None:
    assert np.uint64(schedules.MAX_SCHEDULE) == 4096 and MAX_LAYERS == 64
