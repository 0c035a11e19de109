"""True tensors, false messages: a prover who departs from the protocol while he talks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from unittest import mock

import harness as h
import numpy as np
import pytest
from harness import Check, find, in_cell

from zktrain.arguments import lookup
from zktrain.errors import (
    LookupMismatch,
    MalformedProof,
    OpeningMismatch,
    Rejected,
    SumcheckMismatch,
    ZktrainError,
)
from zktrain.field import extension as ext
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, Point
from zktrain.prover.arguments import lookup as prover_lookup
from zktrain.prover.arguments import sumcheck
from zktrain.prover.commitment import opening
from zktrain.prover.kernels import integer_products
from zktrain.prover.operations import product
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.tables import TABLES
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

SUMCHECKS: dict[str, tuple[type[ZktrainError], Check]] = {
    "lookup/layer": (SumcheckMismatch, h.LAYER),
    **{f"affine/acc{i}": (SumcheckMismatch, h.AFFINE) for i in (1, 2, 3)},
    **{f"transposed/bac{i}": (SumcheckMismatch, h.TRANSPOSED) for i in (1, 2)},
    **{f"weights/fc{i}.weight": (SumcheckMismatch, h.WEIGHTS) for i in (1, 2, 3)},
    **{f"product/{name}": (SumcheckMismatch, h.PRODUCT) for name in ("a1", "a2", "e1", "e2")},
    **{f"batch/{name}": (SumcheckMismatch, h.BATCHES) for name in ("inputs", "labels")},
    "opening/batch": (OpeningMismatch, h.OPENING),
    "opening/fold": (OpeningMismatch, h.CLEAR_CLAIM),
}
"""Every sumcheck of a proof, with the check that its end is compared in."""


class _Liar:
    """A sumcheck prover whose first round polynomial is off by one at 0; all else is honest.

    The value at 1 is never sent but follows from the claim, so that each round is consistent with
    the one before and the lie shows in the final evaluation only.
    """

    def __init__(self, machine: sumcheck.Machine) -> None:
        self.machine, self.rounds, self.degree = machine, machine.rounds, machine.degree
        self.lied = False

    def message(self) -> list[Ext]:
        values = self.machine.message()
        if not self.lied:
            values = [values[0] + 1, *values[1:]]
        self.lied = True
        return values

    def bind(self, challenge: Ext) -> None:
        self.machine.bind(challenge)


@contextmanager
def _lying_sumcheck(wanted: str) -> Iterator[None]:
    honest = sumcheck.prove

    def prove(channel: ProverChannel, label: str, machine: sumcheck.Machine, **more: Any) -> Point:
        liar = _Liar(machine) if label == wanted else machine
        return honest(channel, label, liar, **more)

    with mock.patch.object(sumcheck, "prove", prove):
        yield


@cache
def _transcript(loss: str) -> dict[str, list[int]]:
    """Labels of all messages of a proof, each with the sizes of its messages."""
    run = h.honest(loss)
    out: dict[str, list[int]] = {}
    take = VerifierChannel.take

    def record(channel: VerifierChannel, label: str, size: int, count: int = 1) -> bytes:
        if count:
            out.setdefault(label, []).extend([size] * count)
        return take(channel, label, size, count)

    with mock.patch.object(VerifierChannel, "take", record):
        h.accept(run, h.prove(run))
    return out


def test_no_sumcheck_is_forgotten() -> None:
    """The table above names all sumchecks of a proof."""
    labels = {
        label.removesuffix("/round")
        for label in _transcript("cross_entropy")
        if label.endswith("/round")
    }
    assert labels == set(SUMCHECKS)


@pytest.mark.parametrize("label", SUMCHECKS)
def test_sumcheck_liar_consistent_until_the_final_evaluation(label: str) -> None:
    """Only the comparison of the final evaluation stands between the lie and acceptance."""
    assert h.honest_is_accepted("cross_entropy")
    run = h.honest("cross_entropy")
    with _lying_sumcheck(label):
        proof = h.prove(run)
    error, check = SUMCHECKS[label]
    h.refuse_by_one_check(run, proof, error, check)


KINDS = (
    "commitment",
    "lookup",
    "affine",
    "transposed",
    "weights",
    "product",
    "batch",
    "linear",
    "opening",
)


@contextmanager
def _false_message(wanted: str, occurrence: int) -> Iterator[None]:
    """Adds 1 to the first scalar, cell or byte of one message; the prover goes on as if true."""
    seen: Counter[str] = Counter()
    append = ProverChannel._append

    def lie(channel: ProverChannel, label: str, data: bytes) -> None:
        if label == wanted and seen[label] == occurrence:
            first = int.from_bytes(data[:8], "little")
            data = ((first + 1) % (1 << 64)).to_bytes(8, "little") + data[8:]
        seen[label] += 1
        append(channel, label, data)

    with mock.patch.object(ProverChannel, "_append", lie):
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_one_false_message(kind: str) -> None:
    """Every message by label, its first and its last occurrence, absorbed as sent."""
    assert h.honest_is_accepted("cross_entropy")
    run, transcript = h.honest("cross_entropy"), _transcript("cross_entropy")
    assert {label.split("/")[0] for label in transcript} <= {*KINDS, "work"}
    for label in [label for label in transcript if label.split("/")[0] == kind]:
        for occurrence in {0, len(transcript[label]) - 1}:
            with _false_message(label, occurrence):
                proof = h.prove(run)
            with pytest.raises((Rejected, MalformedProof)):
                h.accept(run, proof)
                pytest.fail(f"false message {occurrence} of {label} is accepted")


@contextmanager
def _root(change: Callable[[list[Ext]], list[Ext]]) -> Iterator[None]:
    send = ProverChannel.send

    def lie(channel: ProverChannel, label: str, values: list[Ext]) -> None:
        send(channel, label, change(values) if label == "lookup/root" else values)

    with mock.patch.object(ProverChannel, "send", lie):
        yield


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: [ZERO, ZERO, ZERO, ZERO], h.ROOT_KEY.message),
        (lambda root: [root[0], root[1], ZERO, ZERO], h.ROOT_KEY.message),
        (lambda root: [ZERO, ONE, ZERO, ONE], h.ROOT_KEY.message),
        (lambda root: [root[0], root[1], ZERO, root[3]], h.ROOT_SUM.message),
        (lambda root: [root[0], root[1], root[2], root[3] + 1], h.ROOT_SUM.message),
    ],
    ids=["all zero", "denominators zero", "0/0 + 1/1", "q zero and p not", "p not zero"],
)
def test_root_of_the_fraction_tree(change: Callable[[list[Ext]], list[Ext]], message: str) -> None:
    """A root without a value, or with another value than 0."""
    assert h.honest_is_accepted("mse")
    run = h.honest("mse")
    with _root(change):
        proof = h.prove(run)
    h.refuse(run, proof, LookupMismatch, message)


def test_root_that_claims_to_be_zero() -> None:
    """Wrong ReLU bit; a root is sent that has ``p = 0`` but is not that of the tree below."""
    assert h.honest_is_accepted("mse")
    step, cell = find("mse", "z1", lambda z: z > 0)
    run = h.train("mse", {"s1": in_cell(step, cell, lambda s: 1 - s)})
    with _root(lambda root: [root[0], -root[0] * root[3] * root[2].inverse(), root[2], root[3]]):
        proof = h.prove(run)
    h.refuse(run, proof, SumcheckMismatch, h.LAYER.message)


@contextmanager
def _key_of(row: tuple[int, ...], table: str) -> Iterator[None]:
    """Rig the challenge so that the key of this row is zero."""
    elements = Challenger.elements

    def rigged(challenger: Challenger, label: str, count: int) -> list[Ext]:
        drawn = elements(challenger, label, count)
        if label == "lookup/keys":
            powers = ext.powers(drawn[1], lookup.MAX_COLUMNS + 1)
            key = ext.inner(powers[: len(row)], [Ext(value) for value in row])
            drawn = [key + powers[lookup.MAX_COLUMNS] * TABLES[table].number, drawn[1]]
        return drawn

    with mock.patch.object(Challenger, "elements", rigged):
        yield


def _wrong_bits(count: int) -> tuple[h.Run, tuple[int, int]]:
    """ReLU bits 1 in cells of the dead unit, whose ``z`` is 0, at the first step."""
    cells = [(sample, 0) for sample in range(count)]
    run = h.train("mse", {"s1": lambda t, s: _set(s, cells) if t == 0 else s})
    assert not run.tensors["z1"][0, :, 0].any()
    return run, (0, 1)


def _set(array: Any, cells: list[tuple[int, int]]) -> Any:
    out = array.copy()
    for cell in cells:
        out[cell] = 1
    return out


@pytest.mark.parametrize(("count", "check"), [(1, h.ROOT_SUM), (2, h.ROOT_KEY)], ids=["one", "two"])
def test_key_of_a_false_lookup_is_zero(count: int, check: Check) -> None:
    """With one zero key ``q = 0`` and ``p`` is not; with two the root is 0/0 and balances."""
    assert h.honest_is_accepted("mse")
    run, row = _wrong_bits(count)
    with _key_of(row, "relu"):
        proof = h.prove(run)
        h.refuse(run, proof, LookupMismatch, check.message)
        both = (h.ROOT_KEY,) if count == 2 else (h.ROOT_KEY, h.ROOT_SUM)
        with h.without(*both):
            h.accept(run, proof)


@contextmanager
def _shifted_columns(run: h.Run) -> Iterator[None]:
    """Evaluations of ``p`` and ``p.before``, columns 1 and 2, off so that the key stays."""
    entries = run.statement.entries
    names = [name for name, _ in lookup.columns_of(entries, lookup.tables_of(entries), (ONE,) * 64)]
    asked = iter(names)
    keys: list[Ext] = []
    elements, evaluate = Challenger.elements, prover_lookup._evaluate

    def watch(challenger: Challenger, label: str, count: int) -> list[Ext]:
        values = elements(challenger, label, count)
        if label == "lookup/keys":
            keys[:] = values
        return values

    def lie(column: Any, point: Point) -> Ext:
        shift = {"p": keys[1] * 7, "p.before": Ext(-7)}
        return evaluate(column, point) + shift.get(next(asked), ZERO)

    with (
        mock.patch.object(Challenger, "elements", watch),
        mock.patch.object(prover_lookup, "_evaluate", lie),
    ):
        yield


def test_columns_that_cancel_in_the_key() -> None:
    """``p + 7 beta`` and ``p.before - 7`` have the same key; the opening knows them apart."""
    assert h.honest_is_accepted("cross_entropy")
    run = h.honest("cross_entropy")
    with _shifted_columns(run):
        proof = h.prove(run)
    h.refuse_by_one_check(run, proof, OpeningMismatch, h.OPENING)


def test_columns_that_do_not_give_the_leaves() -> None:
    """An evaluation of a column that changes a key."""
    assert h.honest_is_accepted("mse")
    run = h.honest("mse")
    with _false_message("lookup/columns", 0):
        proof = h.prove(run)
    h.refuse(run, proof, LookupMismatch, h.LEAVES.message)


def test_tree_of_other_values_than_the_committed_ones() -> None:
    """The tree looks up true ReLU bits, the commitment holds a wrong one."""
    assert h.honest_is_accepted("mse")
    step, cell = find("mse", "z1", lambda z: z > 0)
    run = h.train("mse", {"s1": in_cell(step, cell, lambda s: 1 - s)})
    look, evaluate = prover_proof._lookup_values, prover_lookup._evaluate
    entries = run.statement.entries
    names = [name for name, _ in lookup.columns_of(entries, lookup.tables_of(entries), (ONE,) * 64)]
    asked = iter(names)

    def true_bits(witness: Any, entry: lookup.Entry) -> prover_lookup.Values:
        values = look(witness, entry)
        if entry.columns != ("z1", "s1"):
            return values
        z, s = values.columns
        return prover_lookup.Values((z, (z > 0).astype(s.dtype)))

    def committed(column: Any, point: Point) -> Ext:
        wrong = run.tensors["s1"].reshape(-1)
        return evaluate(wrong if next(asked) == "s1" else column, point)

    with (
        mock.patch.object(prover_proof, "_lookup_values", true_bits),
        mock.patch.object(prover_lookup, "_evaluate", committed),
    ):
        proof = h.prove(run)
    h.refuse_by_one_check(run, proof, LookupMismatch, h.LEAVES)


class _Carrier:
    """Carries one false claim through all later checks, as far as that is possible.

    ``offset`` is what the verifier's running claim has too much; an honest round polynomial
    multiplies it by the Lagrange polynomial of the point 1. At the end of a sumcheck the offset is
    moved on to a value that the prover is free to choose.
    """

    def __init__(self) -> None:
        self.offset = ZERO
        self.gammas: dict[str, Ext] = {}
        self.finals: tuple[Ext, ...] = ()
        self.weights: Any = None
        self.true: list[Ext] = []

    def _through(self, machine: sumcheck.Machine, point: Point) -> None:
        for challenge in point:
            at_one = [ONE if i == 1 else ZERO for i in range(machine.degree + 1)]
            self.offset = self.offset * sumcheck.interpolate(at_one, challenge)

    @contextmanager
    def carrying(self, place: str) -> Iterator[None]:
        prove, element, send, cells, opens, products = (
            sumcheck.prove, Challenger.element, ProverChannel.send, ProverChannel.send_cells,
            opening.prove, product.prove,
        )  # fmt: skip

        def watch(challenger: Challenger, label: str) -> Ext:
            self.gammas[label] = element(challenger, label)
            return self.gammas[label]

        def prove_product(op: Any, channel: Any, context: Any, given: Any) -> None:
            self.claims = context.ledger.of(op.output)
            left, right = (given.witness.tensor(name) for name in (op.left, op.right))
            true = left.astype(np.int64).reshape(-1) * right.astype(np.int64).reshape(-1)
            self.true = [ml.evaluate_integers(true, at) for at, _ in self.claims]
            products(op, channel, context, given)

        def run(channel: ProverChannel, label: str, machine: Any, **more: Any) -> Point:
            if label == f"product/{place}":
                powers = ext.powers(self.gammas[f"{label}/gamma"], len(self.claims))
                target = ext.inner(powers, [value for _, value in self.claims])
                self.offset = target - ext.inner(powers, self.true)
                assert self.offset
            point = prove(channel, label, machine, **more)
            if label == f"product/{place}":
                self._through(machine, point)
                [(weight_, left_, right_)] = machine.finals()
                lie = self.offset * (weight_ * left_).inverse()
                machine.finals = lambda: [(weight_, left_, right_ + lie)]
                self.false_claim, self.false_by = (point, right_ + lie), lie
            if label == "opening/batch":
                self._through(machine, point)
                self.finals = machine.finals()[0]
            if label == "opening/fold":
                self._through(machine, point)
                self.weights = machine.terms[0][1]
            return point

        def open_all(
            channel: Any, label: str, committed: Any, claims: Any, *rest: Any, **more: Any
        ) -> None:
            places = [(claim.terms[0].point, claim.value) for claim in claims]
            self.index = places.index(self.false_claim)
            opens(channel, label, committed, claims, *rest, **more)

        def speak(channel: ProverChannel, label: str, values: list[Ext]) -> None:
            if label == "opening/value":
                self.offset = self.offset * self.finals[1].inverse()
                values = [values[0] + self.offset]
            if label == "opening/batch/round" and not self.opening_began:
                self.opening_began = True
                self.offset = ext.powers(self.gammas["opening/gamma"], self.index + 1)[-1]
                self.offset = self.offset * self.false_by
            send(channel, label, values)

        def clear(channel: ProverChannel, label: str, values: Any) -> None:
            if label == "opening/clear":
                first = ext.scalar(self.weights, (0,))
                lie = self.offset * first.inverse()
                forged = values.copy()
                start = Ext(int(values[0, 0]), int(values[0, 1])) + lie
                forged[0] = (start.a, start.b)
                values = forged
            cells(channel, label, values)

        self.opening_began = False
        with (
            mock.patch.object(sumcheck, "prove", run),
            mock.patch.object(Challenger, "element", watch),
            mock.patch.object(ProverChannel, "send", speak),
            mock.patch.object(ProverChannel, "send_cells", clear),
            mock.patch.object(opening, "prove", open_all),
            mock.patch.object(product, "prove", prove_product),
            mock.patch.object(integer_products, "fit", return_value=False),
        ):
            yield


def test_lie_carried_to_the_last_message() -> None:
    """A false activation, covered at every check before, fails at the last commitment."""
    assert h.honest_is_accepted("mse")
    step, cell = find("mse", "z1", lambda z: z > 0)
    run = h.train("mse", {"a1": in_cell(step, cell, lambda a: a + 100)})
    h.refuse(run, h.prove(run), SumcheckMismatch, h.PRODUCT.message)
    with _Carrier().carrying("a1"):
        proof = h.prove(run)
    h.refuse_by_one_check(run, proof, OpeningMismatch, h.CLEAR_FOLD)


def test_proof_of_another_statement() -> None:
    """The proof of one statement under another, which differs in one digest or number."""
    run = h.honest("cross_entropy")
    assert h.honest_is_accepted("cross_entropy")
    proof = h.prove(run)
    true = run.statement
    for change in (
        {"task": replace(true.task, initial="00" * 32)},
        {"task": replace(true.task, final="00" * 32)},
        {"security_bits": true.security_bits - 1},
    ):
        with pytest.raises(Rejected):
            h.accept(replace(run, statement=replace(true, **change)), proof)
