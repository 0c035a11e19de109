"""A tiny training run that a malicious prover may falsify at every place, and its judge.

``Training`` follows the training rule in plain numpy integers; a lie is a function put in at one
of its places, and everything after the lie is computed from it, so that nothing else is wrong.
``prove`` hands the resulting tensors to the real prover, ``verify`` is the real verifier with the
true statement (the cheater's own final weights included: they are what he publishes). ``without``
takes checks out of the verifier, to show that an attack is caught by them and by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from check_sites import Site, find_all, refused_by, removed
from numpy.typing import NDArray
from patched import everywhere

from zktrain.arguments import fraction_tree, lookup
from zktrain.arguments.tensors import Shape
from zktrain.arguments.time_filter import PlainSteps
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.order import batch_indices
from zktrain.circuit.weights import digest
from zktrain.commitment import ligerito, ligero, merkle, opening
from zktrain.commitment.packing import Block, Packing
from zktrain.dataset.readers import Records
from zktrain.errors import HiddenMismatch, ZktrainError
from zktrain.layers import Layer
from zktrain.operations import accumulate, batch, linear, matrix, product, unit_map
from zktrain.operations.base import Context
from zktrain.operations.fixed_point import FixedPoint
from zktrain.operations.selection import Selections
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import proof as proofs
from zktrain.protocol.proof import Padded, trained_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training as Task
from zktrain.prover import ranges
from zktrain.prover.commitment.commit import Committed
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records
from zktrain.prover.operations import matrix as prover_matrix
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.randomness import expand
from zktrain.prover.witness import RunWitness
from zktrain.tables import TABLES
from zktrain.tables.exp import exp_table
from zktrain.tables.sigmoid import sigmoid_table

Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.int64]]
Lie = Callable[[int, Any], Any]
"""``(step, true value) -> value that the prover uses``."""

LOSSES = ("cross_entropy", "mse", "binary_cross_entropy")
WIDTHS = (6, 5, 4, 3)
BATCH, STEPS, PADDED_STEPS, RECORDS = 3, 11, 16, 11
SHIFT, ONE = 32, 1 << 14
SECRET, OPENINGS = bytes(range(32)), 2
HIDING_BITS = 80
"""The least that a statement may ask for: fewer positions, shorter tails."""


@cache
def records() -> Records:
    """Eleven random records of six bytes and three classes."""
    random = np.random.default_rng(1)
    inputs = random.integers(0, 256, (RECORDS, WIDTHS[0]), dtype=np.uint8)
    labels = random.integers(0, WIDTHS[-1], RECORDS).astype(np.uint8)
    return Records(inputs, labels, WIDTHS[-1], "tests")


@cache
def dataset(*, hiding: bool = False) -> CommittedDataset:
    """The commitment to ``records``."""
    return commit_records(records(), SECRET, OPENINGS) if hiding else commit_records(records())


@cache
def initial_weights() -> Weights:
    """Random weights whose first hidden unit is dead: its ``z`` is 0 at every step."""
    random = np.random.default_rng(2)
    out: Weights = {}
    for index, (inputs, outputs) in enumerate(pairwise(WIDTHS), 1):
        bound = int((1 << SHIFT) / inputs**0.5)
        out[f"fc{index}.weight"] = random.integers(-bound, bound, (inputs, outputs))
        out[f"fc{index}.bias"] = random.integers(-bound, bound, outputs)
    out["fc1.weight"][:, 0] = 0
    out["fc1.bias"][0] = 0
    return out


@cache
def circuit(loss: str) -> Circuit:
    """6-5-4-3, batches of 3, 11 steps, two learning rates."""
    layers = tuple(
        Layer(f"fc{i}", inputs, outputs, f"fc{i}.weight", f"fc{i}.bias", i < len(WIDTHS) - 1)
        for i, (inputs, outputs) in enumerate(pairwise(WIDTHS), 1)
    )
    start = Initialisation("file", digest(initial_weights()))
    schedule = ((0, 3), (6, 2))
    return Circuit(layers, loss, FixedPoint(), BATCH, STEPS, Sgd(schedule), "order", start)


class Training:
    """The training rule; ``lies`` by place.

    Places: ``rows``, ``labels``, ``forward`` and ``backward`` (weights), ``multiplier`` (of all
    layers; ``multiplier/WEIGHT`` of one),
    ``bias_scale``; per layer ``z1`` and ``q1`` (triples of quotient, high and low limb), ``s1``,
    ``a1``, ``e1``; ``c``, ``d``, ``p`` (pair of values at ``d`` and before; of binary cross-entropy
    the sigmoid minus one half).
    """

    def __init__(self, loss: str, lies: Mapping[str, Lie]) -> None:
        self.circuit = circuit(loss)
        self.lies = lies
        self.weights = {name: value.copy() for name, value in initial_weights().items()}
        self.past = [self.copy()]

    def copy(self) -> Weights:
        """The weights now."""
        return {name: value.copy() for name, value in self.weights.items()}

    def _say(self, place: str, step: int, value: Any) -> Any:
        return self.lies[place](step, value) if place in self.lies else value

    def _rescale(self, place: str, step: int, accumulator: NDArray[np.int64]) -> Tensors:
        shifted = accumulator + (1 << (SHIFT - 1))
        rest = shifted & ((1 << SHIFT) - 1)
        limbs = (shifted >> SHIFT, rest >> 16, rest & 0xFFFF)
        quotient, high, low = self._say(place, step, limbs)
        return {place: quotient, f"{place}.high": high, f"{place}.low": low}

    def _multiplier(self, step: int) -> int:
        (found,) = self.circuit.optimizer.multipliers_at(self.circuit, min(step, STEPS - 1), 1)
        return found

    def step(self, step: int) -> Tensors:
        """One step: its tensors, without padding."""
        data, layers = records(), self.circuit.layers
        order = batch_indices(self.circuit.order_seed, RECORDS, BATCH, step, 1)[0]
        order = self._say("rows", step, order)
        labels = self._say("labels", step, data.labels[order].astype(np.int64))
        out: Tensors = {"x": data.inputs[order].astype(np.int64)}
        out["y"] = np.eye(WIDTHS[-1], dtype=np.int64)[labels]

        forward = self._say("forward", step, self.weights)
        activations = [out["x"]]
        for index, layer in enumerate(layers, 1):
            accumulator = activations[-1] @ forward[layer.weight] + (forward[layer.bias] << 8)
            out |= self._rescale(f"z{index}", step, accumulator)
            if layer.relu:
                z = out[f"z{index}"]
                out[f"s{index}"] = self._say(f"s{index}", step, (z > 0).astype(np.int64))
                out[f"a{index}"] = self._say(f"a{index}", step, out[f"s{index}"] * z)
                activations.append(out[f"a{index}"])
        out |= self._error(step, out[f"z{len(layers)}"], out["y"])

        errors = [out[f"e{len(layers)}"]]
        backward = self._say("backward", step, self.weights)
        for index in range(len(layers) - 1, 0, -1):
            accumulator = errors[-1] @ backward[layers[index].weight].T
            out |= self._rescale(f"q{index}", step, accumulator)
            error = out[f"s{index}"] * out[f"q{index}"]
            out[f"e{index}"] = self._say(f"e{index}", step, error)
            errors.append(out[f"e{index}"])

        multiplier = self._say("multiplier", step, self._multiplier(step))
        scale = self._say("bias_scale", step, 1 << 8)
        for layer, a, e in zip(layers, activations, reversed(errors), strict=True):
            own = self._say(f"multiplier/{layer.weight}", step, multiplier)
            self.weights[layer.weight] = self.weights[layer.weight] - own * (a.T @ e)
            self.weights[layer.bias] = self.weights[layer.bias] - own * scale * e.sum(axis=0)
        self.past.append(self.copy())
        return out

    def _error(self, step: int, logits: NDArray[np.int64], y: NDArray[np.int64]) -> Tensors:
        last = f"e{len(self.circuit.layers)}"
        if self.circuit.loss == "mse":
            return {last: self._say(last, step, (logits << 6) - ONE * y)}
        if self.circuit.loss == "binary_cross_entropy":
            rows = np.clip(logits, -(1 << 15), (1 << 15) - 1) + (1 << 15)
            chance = self._say("p", step, sigmoid_table()[rows])
            return {"p": chance, last: self._say(last, step, chance + ONE // 2 - ONE * y)}
        at, before = exp_table()
        candidates = logits.max(axis=1, keepdims=True) + np.arange(400)
        sums = at[candidates[:, :, None] - logits[:, None, :]].sum(axis=2)
        c = candidates[np.arange(len(logits)), (sums <= ONE).argmax(axis=1)]
        c = self._say("c", step, c)
        d = self._say("d", step, c[:, None] - logits)
        p, p_before = self._say("p", step, (at[d], before[d]))
        error = self._say(last, step, p - ONE * y)
        return {"c": c, "d": d, "p": p, "p.before": p_before, last: error}


_TYPES = (np.uint8, np.int16, np.uint16, np.int32, np.int64)


def _compact(values: NDArray[np.int64]) -> NDArray[Any]:
    for kind in _TYPES:
        limits = np.iinfo(kind)
        if limits.min <= values.min() and values.max() <= limits.max:
            return np.ascontiguousarray(values.astype(kind))
    raise ValueError("a value has more than 64 bits")


def _stack(steps: list[Tensors], padded_steps: int, padded_batch: int) -> Tensors:
    """Padded tensors ``(t, b, j)``."""
    out = {}
    for name, example in steps[0].items():
        units = [1 << (n - 1).bit_length() for n in example.shape[1:]]
        cells = np.zeros((padded_steps, padded_batch, *units), dtype=np.int64)
        for k, step in enumerate(steps):
            cells[(k, *(slice(n) for n in step[name].shape))] = step[name]
        out[name] = _compact(cells)
    return out


@dataclass(frozen=True)
class Run:
    """A run, honest or not, with the statement and the ``public`` weights that its author would
    publish, and the ``data`` that he has committed to; ``weights`` are the first and the last
    ones."""

    statement: Statement
    tensors: Tensors
    public: Padded
    data: CommittedDataset
    weights: tuple[Weights, ...] = ()

    def edited(self, edit: Callable[[Tensors], None]) -> Tensors:
        """A changed copy of the tensors."""
        copy = {name: tensor.astype(np.int64) for name, tensor in self.tensors.items()}
        edit(copy)
        return {name: _compact(tensor) for name, tensor in copy.items()}


def publish(loss: str, weights_: tuple[Weights, Weights], tensors: Tensors) -> Run:
    """State the first and last weights."""
    task, data = Task(circuit(loss), *map(digest, weights_)), dataset()
    public = trained_weights(task.circuit, *weights_)
    return Run(Statement(task, data.header, 100, False), tensors, public, data, weights_)


def conceal(run: Run) -> Run:
    """The run as its author would publish it with zero knowledge."""
    data = dataset(hiding=True)
    statement = Statement(run.statement.task, data.header, HIDING_BITS, True)
    return replace(run, statement=statement, data=data)


def train(
    loss: str,
    lies: Mapping[str, Lie] | None = None,
    steps_done: int = STEPS,
) -> Run:
    """Train with the given lies and publish the result; further steps go into the padding."""
    training = Training(loss, lies or {})
    steps = [training.step(t) for t in range(steps_done)]
    virtual = {f"{kind}{i}" for kind in "ae" for i in range(1, len(WIDTHS))} | {"d"}
    for tensors in steps:
        for name in virtual - set(lies or ()):
            tensors.pop(name, None)
    stacked = _stack(steps, PADDED_STEPS, 1 << (BATCH - 1).bit_length())
    return publish(loss, (training.past[0], training.past[-1]), stacked)


@cache
def honest(loss: str, *, hiding: bool = False) -> Run:
    """The honest run; no test may change it."""
    return conceal(honest(loss)) if hiding else train(loss)


def witness_of(run: Run, tensors: Tensors) -> RunWitness:
    """As the prover takes them."""
    return RunWitness(run.statement.graph, run.statement.shape, dict(tensors))


def forged_counts(run: Run, tensors: Tensors) -> dict[str, NDArray[np.int64]]:
    """Multiplicities that count every value, one outside of its table at the nearest row."""
    statement, witness = run.statement, witness_of(run, tensors)
    out = {}
    for entry in statement.entries:
        table = TABLES[entry.table]
        values = prover_proof._lookup_values(witness, entry)
        rows, shift = table.row(list(values.columns))
        place = rows.astype(np.int64) + shift + entry.offset
        name = lookup.multiplicity(entry.table)
        count = np.bincount(np.clip(place, 0, (1 << table.log_size) - 1), None, 1 << table.log_size)
        out[name] = out.get(name, 0) + count
    return {name: out[name] for name in map(lookup.multiplicity, statement.tables)}


@contextmanager
def filling_padding() -> Iterator[None]:
    """A prover who commits to padded cells, too, wherever lanes that count have them, and computes
    with the cells of padded steps."""
    honest = prover_proof.commit

    def commit(packing: Packing, *rest: Any) -> Committed:
        def whole(block: Block) -> Block:
            live = lookup.live_cells(block.log_size, block.used, packing.lane_log)
            return replace(block, used=live)

        return honest(replace(packing, blocks=tuple(map(whole, packing.blocks))), *rest)

    def all_steps(shape: Shape) -> ranges.Range:
        return ranges.Range(0, 1 << shape.log_steps, 0, 1 << shape.log_batch)

    with (
        everywhere(prover_matrix, "_rows", lambda shape: 1 << shape.log_steps),
        everywhere(prover_proof, "commit", commit),
        everywhere(ranges, "whole", all_steps),
    ):
        yield


@contextmanager
def lying(change: Callable[[Context], Context]) -> Iterator[None]:
    """Prover and verifier take something else for public."""
    true = proofs.context_of
    with everywhere(proofs, "context_of", lambda *known: change(true(*known))):
        yield


def prove(
    run: Run,
    tensors: Tensors | None = None,
    *,
    counts: dict[str, NDArray[np.int64]] | None = None,
    data: CommittedDataset | None = None,
    public: Padded | None = None,
    multipliers: Callable[[NDArray[np.uint64]], NDArray[np.uint64]] | None = None,
    layer: str | None = None,
    order: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
) -> bytes:
    """Prove the run; ``multipliers`` (of all layers, or of the one with the weight ``layer``),
    ``order``, ``public`` weights and ``data`` replace what the prover takes for public.

    A prover who hides runs the verifier on his own messages to learn the relation; what it finds
    wrong in the clear there does not stop him.
    """
    tensors = run.tensors if tensors is None else tensors
    hiding = run.statement.zero_knowledge

    def fake(context: Context) -> Context:
        if multipliers is not None:
            known, lie = context.time_filters, multipliers
            context = replace(
                context,
                time_filters=lambda weight: (
                    PlainSteps(lie(known(weight).multipliers))  # type: ignore[attr-defined]
                    if layer in (None, weight)
                    else known(weight)
                ),
            )
        if order is None:
            return context
        false = order(np.concatenate(list(context.order.pieces())))
        return replace(context, order=Selections(lambda: [false], context.shape))

    with ExitStack() as stack:
        if multipliers is not None or order is not None:
            stack.enter_context(lying(fake))
        if hiding:
            stack.enter_context(without(MERKLE, CLEAR_FOLD))
        stack.enter_context(filling_padding())
        return prover_proof.prove(
            run.statement,
            witness_of(run, tensors),
            data or run.data,
            public or run.public,
            counts=forged_counts(run, tensors) if counts is None else counts,
            random=expand(SECRET, "pads") if hiding else None,
        )


def accept(run: Run, proof: bytes) -> None:
    """The judgement: raises unless the verifier accepts."""
    proofs.verify(run.statement, proof, run.public)


@cache
def honest_is_accepted(loss: str, *, hiding: bool = False) -> bool:
    """The honest prover passes in this harness."""
    run = honest(loss, hiding=hiding)
    accept(run, prove(run))
    return True


def refuse(run: Run, proof: bytes, error: type[ZktrainError], message: str = ".") -> None:
    """Assert that the verifier rejects, with exactly this error."""
    with pytest.raises(error, match=message if message == "." else re.escape(message)) as caught:
        accept(run, proof)
    assert type(caught.value) is error


def refuse_by_one_check(run: Run, proof: bytes, error: type[ZktrainError], check: Check) -> None:
    """Assert that the verifier rejects because of this check, and would accept without it."""
    refused_by(check.sites, lambda: accept(run, proof), error, check.message)


def refuse_by_one_hidden_check(run: Run, make: Callable[[], bytes], check: Check) -> None:
    """Assert that the proof is rejected because its hidden scalars do not satisfy the checks, and
    that one made for a verifier without this check is accepted by him."""
    refuse(run, make(), HiddenMismatch, SLOT_SUM.message)
    with without(check):
        accept(run, make())


def find(
    loss: str, name: str, wanted: Callable[[NDArray[Any]], NDArray[np.bool_]]
) -> tuple[int, tuple[int, ...]]:
    """Step and cell of a real value of the honest run."""
    tensor = honest(loss).tensors[name].astype(np.int64)
    width = circuit(loss).graph().tensor(name).width
    real = tensor[:STEPS, :BATCH, :width] if width else tensor[:STEPS, :BATCH]
    places = np.argwhere(wanted(real))
    if not len(places):
        raise LookupError(f"no such value of {name} occurs")
    step, *cell = (int(i) for i in places[0])
    return step, tuple(cell)


def at_step(step: int, change: Callable[[Any], Any]) -> Lie:
    """A lie told at one step only."""
    return lambda t, value: change(value) if t == step else value


def in_cell(step: int, cell: tuple[int, ...], change: Callable[..., Any]) -> Lie:
    """A lie about one cell, of one array or of several arrays at once."""

    def lie(t: int, value: Any) -> Any:
        if t != step:
            return value
        many = isinstance(value, tuple)
        arrays = [array.copy() for array in (value if many else (value,))]
        found = change(*(int(array[cell]) for array in arrays))
        for array, new in zip(arrays, found if many else (found,), strict=True):
            array[cell] = new
        return tuple(arrays) if many else arrays[0]

    return lie


@dataclass(frozen=True)
class Check:
    """One check of the verifier, in ``module.function``: the ``if`` that raises ``message``, or the
    call of ``check`` or ``check_nonzero`` with it."""

    module: ModuleType
    function: str
    message: str

    @property
    def sites(self) -> list[Site]:
        """Where it is in the code; raises ``LookupError`` if nothing there has the message."""
        place = f"{self.module.__name__.removeprefix('zktrain.')}.{self.function}"
        found = [site for site in find_all(f"{place}: ") if self.message in site.refusal]
        if not found:
            raise LookupError(f"{place} no longer has the check {self.message!r}")
        return found


ROOT_SUM = Check(fraction_tree, "verify", "the sum over all lookups is not zero")
ROOT_KEY = Check(fraction_tree, "verify", "a lookup key is zero")
LAYER = Check(fraction_tree, "verify", "a layer of the fraction tree does not match")
LEAVES = Check(lookup, "verify", "the claimed columns do not give the leaves")
LINEAR = Check(linear, "Linear.reduce", "does not hold")
AFFINE = Check(matrix, "verify", "does not match")
TRANSPOSED = Check(matrix, "verify", "does not match")
WEIGHTS = Check(accumulate, "Accumulate.verify", "does not match")
CHECKPOINT = Check(accumulate, "Accumulate._receive_published", "does not hold the weights")
PRODUCT = Check(product, "Product.verify", "does not match")
MAP = Check(unit_map, "UnitMap.verify", "does not match")
BATCHES = Check(batch, "Batch.verify", "do not match")
OPENING = Check(opening, "verify", "do not reduce to the opened value")
CLEAR_FOLD = Check(ligerito, "verify", "is not the fold of the last commitment")
CLEAR_CLAIM = Check(ligerito, "verify", "does not satisfy the folded claim")
SLOT_SUM = Check(ligero, "verify", "do not satisfy the relations")
MERKLE = Check(merkle, "verify", "do not belong to the commitment")


@contextmanager
def without(*checks: Check) -> Iterator[None]:
    """The verifier without these checks (and, for linear relations, the prover too)."""
    with removed(*{site for check in checks for site in check.sites}):
        yield
