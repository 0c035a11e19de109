"""The relations of one segment: from looked-up columns back to committed tensors, over every
operation of the step graph.

What remains are claims on committed tensors (in the ledger), on committed boundary weights, and
on the dataset. ``prove`` and ``verify`` walk the operations in the same order; a dry run of
``verify`` counts claims and scalars (``dry``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import lookup
from ..arguments.claims import Ledger, WeightLedger
from ..arguments.tensors import Shape, Tensor
from ..arguments.time_filter import TimeFilter
from ..field.extension import Ext, Point
from ..field.forms import Scalar
from ..operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Fixed,
    Linear,
    Lookup,
    Product,
    Tally,
    UnitMap,
    Vanish,
    affine,
    fixed,
    linear,
    product,
    tally,
    unit_map,
    vanish,
)
from ..operations import accumulate as weights
from ..operations import batch as batches
from ..operations.base import Operation, StepGraph
from ..operations.batch import DatasetClaim, RecordAxis
from ..profile import mark
from ..transcript.channel import VerifierChannel

if TYPE_CHECKING:
    from ..prover.arguments.claims import Witness
    from ..prover.transcript.channel import ProverChannel


@dataclass(frozen=True, slots=True)
class Relations:
    """What both sides know: the graph, sizes, lookups, how updates add up over time, record
    variables, which ends (``start``, ``end``) have committed weights, and the public counts of a
    ``Tally``."""

    graph: StepGraph
    shape: Shape
    entries: Sequence[lookup.Entry]
    time_filters: Callable[[str], TimeFilter]
    records: RecordAxis
    committed: tuple[str, ...]
    counts: tally.Matrix | None = None


@dataclass(frozen=True, slots=True)
class BoundaryClaim:
    """Committed weights ``name`` at one end have ``value`` at ``point``."""

    side: str
    name: str
    point: Point
    value: Scalar


@dataclass(frozen=True, slots=True)
class OpenClaims:
    """What is left besides the ledger, and how many claims there were on the weights of the steps,
    by parameter, those at the segment's end not counted."""

    boundaries: list[BoundaryClaim]
    dataset: list[DatasetClaim]
    weights: dict[str, int]


def claim_order(graph: StepGraph) -> list[Operation]:
    """Operations so that all claims on an output exist before its operation is reached.

    Claims flow from outputs to inputs; a weight is the output of its ``Accumulate`` or ``Fixed``.
    """
    waiting = [
        (op, op.inputs(), op.outputs()) for op in graph.operations if not isinstance(op, Lookup)
    ]
    consumers = Counter(name for _, inputs, _ in waiting for name in inputs)
    done: list[Operation] = []
    while waiting:
        for place, (op, inputs, outputs) in enumerate(waiting):
            if not any(consumers[name] for name in outputs):
                done.append(op)
                consumers.subtract(inputs)
                del waiting[place]
                break
        else:
            raise ValueError("the step graph has a cycle of claims")
    return done


def _parameters(op: Operation) -> set[str]:
    """What a claim on weights is checked by: the weights and the bias of an update."""
    if isinstance(op, (Accumulate, Fixed)):
        return {op.weight} if op.bias is None else {op.weight, op.bias}
    return set()


def name_of(op: Operation) -> str:
    """What a profile calls an operation: its kind and what it defines."""
    kind = type(op).__name__.lower()
    if isinstance(op, Accumulate):
        return f"{kind} {op.weight}"
    return f"{kind} {min(op.outputs() or op.inputs(), default='')}"


def _updates(graph: StepGraph) -> dict[str, Accumulate]:
    return {op.weight: op for op in graph.operations if isinstance(op, Accumulate)}


def _ends(graph: StepGraph, op: Accumulate) -> tuple[Tensor, Tensor]:
    return graph.tensor(op.activation), graph.tensor(op.error)


def _windows(graph: StepGraph) -> dict[str, str]:
    """The tensor that each tensor of windows is made of."""
    return {op.output: op.source for op in graph.operations if isinstance(op, UnitMap)}


class _Boundaries:
    """Weights at both ends, each evaluated once: where they are public by the verifier itself,
    where they are committed by being sent."""

    def __init__(
        self, values: Callable[[str, str, Point], Scalar], committed: tuple[str, ...]
    ) -> None:
        self._values = values
        self._committed = committed
        self._known: dict[tuple[str, str, Point], Scalar] = {}

    def at(self, side: str) -> weights.Boundary:
        def evaluate(name: str, point: Point) -> Scalar:
            key = (side, name, point)
            if key not in self._known:
                self._known[key] = self._values(side, name, point)
            return self._known[key]

        return evaluate

    def claims(self) -> list[BoundaryClaim]:
        return [
            BoundaryClaim(*key, value)
            for key, value in self._known.items()
            if key[0] in self._committed
        ]


def prove(
    channel: ProverChannel,
    relations: Relations,
    ledger: Ledger,
    witness: Witness,
    ends: dict[str, dict[str, NDArray[np.int64]]],
    order: NDArray[np.int64],
    columns: dict[str, NDArray[Any]],
    blinding: dict[str, NDArray[np.int64]] | None = None,
) -> OpenClaims:
    """``ledger`` has the claims on looked-up columns, ``ends`` the padded weights by side (those
    that no step changes under ``fixed``), ``columns`` and ``blinding`` the dataset's records."""
    graph, shape = relations.graph, relations.shape
    updates, windows, weight_ledger = _updates(graph), _windows(graph), WeightLedger()
    start = {**ends["start"], **ends.get("fixed", {})}

    def boundary_value(side: str, name: str, point: Point) -> Ext:
        from ..prover.kernels import field as kf

        value = kf.evaluate(ends[side][name].reshape(-1), point)
        if side in relations.committed:
            channel.send(f"boundary/{side}", [value])  # P -> V
        return value

    def exchange(label: str, wanted: Sequence[tuple[str, Point]]) -> list[Ext]:
        sent = [witness.evaluate(name, point) for name, point in wanted]
        if sent:
            channel.send(label, sent)  # P -> V
        return sent

    boundaries = _Boundaries(boundary_value, relations.committed)
    dataset: list[DatasetClaim] = []
    for op in claim_order(graph):
        mark(name_of(op))
        match op:
            case Linear():
                linear.reduce(op, graph, shape, ledger, exchange)
            case Affine():
                bias = start[op.bias] if op.bias is not None else None
                affine.prove_affine(
                    channel, op, updates.get(op.weight), shape, relations.time_filters(op.weight),
                    start[op.weight], bias, ledger, weight_ledger, witness,
                )  # fmt: skip
            case AffineTransposed():
                update, below = updates.get(op.weight), None
                if update is not None and op.source in windows:
                    below = windows.get(update.activation)
                affine.prove_transposed(
                    channel, op, update, shape, relations.time_filters(op.weight),
                    start[op.weight], ledger, weight_ledger, witness, below,
                )  # fmt: skip
            case Accumulate():
                weights.prove(
                    channel, op, _ends(graph, op), relations.time_filters(op.weight), weight_ledger,
                    boundaries.at("start"), boundaries.at("end"), shape, ledger, witness,
                )  # fmt: skip
            case Tally():
                tally.prove(channel, op, graph, shape, ledger, witness)
            case Product():
                product.prove(channel, op, ledger, witness)
            case UnitMap():
                source, output = graph.tensor(op.source), graph.tensor(op.output)
                unit_map.prove(channel, op, source, output, shape, ledger, witness)
            case Vanish():
                vanish.claim_zero(channel.challenger, graph.tensor(op.source), shape, ledger)
            case Batch():
                blind = None if blinding is None else blinding[op.source]
                dataset += batches.prove(
                    channel, op, shape, order, columns[op.source], ledger, blind
                )
    mark(None)
    return OpenClaims(boundaries.claims(), dataset, weight_ledger.counts())


def verify(
    channel: VerifierChannel,
    relations: Relations,
    ledger: Ledger,
    public_value: Callable[[str, str, Point], Ext],
    order: NDArray[np.int64],
) -> OpenClaims:
    """``public_value(side, name, point)`` evaluates weights at a public end, or ``fixed`` ones."""
    graph, shape = relations.graph, relations.shape
    weight_ledger = WeightLedger()

    def boundary_value(side: str, name: str, point: Point) -> Scalar:
        if side in relations.committed:
            return channel.receive(f"boundary/{side}", 1)[0]  # P -> V
        return public_value(side, name, point)

    def exchange(label: str, wanted: Sequence[tuple[str, Point]]) -> list[Scalar]:
        return channel.receive(label, len(wanted)) if wanted else []  # P -> V

    boundaries = _Boundaries(boundary_value, relations.committed)
    dataset: list[DatasetClaim] = []
    for op in claim_order(graph):
        match op:
            case Linear():
                linear.reduce(op, graph, shape, ledger, exchange, channel.check)
            case Affine():
                source, output = graph.tensor(op.source), graph.tensor(op.output)
                affine.verify_affine(
                    channel,
                    op,
                    shape,
                    source,
                    relations.time_filters(op.weight),
                    ledger,
                    weight_ledger,
                    output,
                )
            case AffineTransposed():
                source = graph.tensor(op.source)
                affine.verify_transposed(
                    channel,
                    op,
                    shape,
                    source,
                    relations.time_filters(op.weight),
                    ledger,
                    weight_ledger,
                )
            case Accumulate():
                weights.verify(
                    channel, op, _ends(graph, op), relations.time_filters(op.weight), weight_ledger,
                    boundaries.at("start"), boundaries.at("end"), shape, ledger,
                )  # fmt: skip
            case Fixed():
                fixed.verify(channel, op, weight_ledger, partial(public_value, "fixed"))
            case Tally():
                tally.verify(channel, op, graph, shape, relations.counts, ledger)
            case Product():
                product.verify(channel, op, ledger)
            case UnitMap():
                source, output = graph.tensor(op.source), graph.tensor(op.output)
                unit_map.verify(channel, op, source, output, shape, ledger)
            case Vanish():
                vanish.claim_zero(channel.challenger, graph.tensor(op.source), shape, ledger)
            case Batch():
                dataset += batches.verify(
                    channel, op, shape, order, relations.records.log_records, ledger,
                    relations.records.blinding_log,
                )  # fmt: skip
    known = {name for op in graph.operations for name in _parameters(op)}
    if set(weight_ledger.claims) - known:
        raise ValueError("there are claims on weights that no operation of the graph checks")
    return OpenClaims(boundaries.claims(), dataset, weight_ledger.counts())
