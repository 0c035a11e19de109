"""One segment: the proof that its steps lead from the weights at its start to those at its end.

Order of messages: header; commitment to all committed tensors and multiplicities; proof of work;
lookups; then every operation of the step graph, from the assertions back to committed tensors;
opening of the segment's and its boundaries' commitments. What remains are claims on the dataset,
which the closing proof opens.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import affine, batches, linear, lookup, product, weights
from ..arguments.batches import DatasetClaim
from ..arguments.claims import Ledger, Shape, WeightLedger, log_width
from ..challenger import Challenger, Trace
from ..channel import ProverChannel, VerifierChannel
from ..circuit.operations import (
    Accumulate,
    Affine,
    AffineTransposed,
    Batch,
    Linear,
    Lookup,
    Operation,
    Product,
    StepGraph,
)
from ..commitment import opening
from ..commitment.commit import Committed, commit
from ..commitment.packing import Claim
from ..errors import MalformedProof
from ..field import multilinear as ml
from ..field.extension import Ext, Point
from ..parameters import parameter_digest
from ..progress import Progress, silent
from ..training.order import batch_indices
from .statement import PROTOCOL, Statement, lookup_entries
from .witness import SegmentWitness

_HEADER = struct.Struct("<III32s32s32s")
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """``start`` and ``end`` are Merkle roots of committed boundary weights; the run's first and
    last ones are the digests of the public weights. ``previous`` is the digest of the header
    before, first of all the statement's."""

    index: int
    first_step: int
    steps: int
    start: bytes
    end: bytes
    previous: bytes

    def to_bytes(self) -> bytes:
        return _HEADER.pack(
            self.index, self.first_step, self.steps, self.start, self.end, self.previous
        )

    @staticmethod
    def from_bytes(data: bytes) -> SegmentHeader:
        if len(data) != HEADER_BYTES:
            raise MalformedProof("a segment header has the wrong length", stage="bundle")
        return SegmentHeader(*_HEADER.unpack(data))

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(b"zktrain segment header v1\0" + self.to_bytes()).digest()


@dataclass(frozen=True, slots=True)
class BoundaryWeights:
    """Integer weights at one boundary, padded to powers of two; ``committed`` inside a run."""

    padded: dict[str, NDArray[np.int64]]
    committed: Committed | None = None


def pad_weights(weights_: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Every axis to a power of two, with zeros."""
    out = {}
    for name, tensor in weights_.items():
        dims = tuple(1 << log_width(n) for n in tensor.shape)
        padded = np.zeros(dims, dtype=np.int64)
        padded[tuple(slice(n) for n in tensor.shape)] = tensor
        out[name] = padded
    return out


def commit_boundary(
    statement: Statement, weights_: dict[str, NDArray[np.int64]]
) -> BoundaryWeights:
    """Commit to weights between two segments."""
    padded = pad_weights(weights_)
    return BoundaryWeights(padded, commit(statement.boundary_packing(), dict(padded)))


def claim_order(graph: StepGraph) -> list[Operation]:
    """Operations so that all claims on an output exist before its operation is reached.

    Claims flow from outputs to inputs; a weight is the output of its ``Accumulate``.
    """
    operations = [op for op in graph.operations if not isinstance(op, Lookup)]
    inputs = {id(op): _inputs(op) for op in operations}
    done: list[Operation] = []
    waiting = list(operations)
    while waiting:
        for op in waiting:
            consumers = [o for o in waiting if o is not op and inputs[id(o)] & _outputs(op)]
            if not consumers:
                done.append(op)
                waiting.remove(op)
                break
        else:
            raise ValueError("the step graph has a cycle of claims")
    return done


def _inputs(op: Operation) -> set[str]:
    match op:
        case Linear():
            return {name for _, name in op.terms}
        case Product():
            return {op.left, op.right}
        case Affine() | AffineTransposed():
            return {op.source, op.weight}
        case Accumulate():
            return {op.activation, op.error}
        case _:
            return set()


def _outputs(op: Operation) -> set[str]:
    if isinstance(op, Accumulate):
        return {op.weight}
    if isinstance(op, Lookup):
        return set()
    return {op.output}


def _updates(graph: StepGraph) -> dict[str, Accumulate]:
    return {op.weight: op for op in graph.operations if isinstance(op, Accumulate)}


def _widths(graph: StepGraph, op: Accumulate) -> tuple[int, int]:
    return graph.tensor(op.activation).width, graph.tensor(op.error).width


def _multipliers(statement: Statement, segment: int, shape: Shape) -> NDArray[np.uint64]:
    first, steps = statement.segments[segment]
    out = np.zeros(1 << shape.log_steps, dtype=np.uint64)
    out[:steps] = statement.circuit.multipliers_at(first, steps)
    return out


def _challenger(statement: Statement, header: SegmentHeader, trace: Trace | None) -> Challenger:
    challenger = Challenger(f"{PROTOCOL} segment", trace)
    challenger.absorb("parameters", parameter_digest())
    challenger.absorb("statement", statement.digest)
    challenger.absorb("header", header.to_bytes())
    return challenger


def _segment_order(statement: Statement, segment: int) -> NDArray[np.int64]:
    circuit, (first, steps) = statement.circuit, statement.segments[segment]
    return batch_indices(
        circuit.order_seed, statement.dataset.records, circuit.batch_size, first, steps
    )


class _Boundaries:
    """Claims on the weights at both ends: evaluated where they are public, sent where committed."""

    def __init__(
        self,
        values: Callable[[str, str, Point], Ext],
        committed: dict[str, int],
    ) -> None:
        self._values = values
        self._committed = committed  # side -> number of its commitment
        self._known: dict[tuple[str, str, Point], Ext] = {}

    def at(self, side: str) -> weights.Boundary:
        def evaluate(name: str, point: Point) -> Ext:
            key = (side, name, point)
            if key not in self._known:
                self._known[key] = self._values(side, name, point)
            return self._known[key]

        return evaluate

    def claims(self) -> list[Claim]:
        return [
            Claim(self._committed[side], name, point, value)
            for (side, name, point), value in self._known.items()
            if side in self._committed
        ]


def _committed_sides(statement: Statement, segment: int) -> dict[str, int]:
    sides = {}
    if segment > 0:
        sides["start"] = 1
    if segment + 1 < len(statement.segments):
        sides["end"] = 1 + len(sides)
    return sides


def _opening_claims(graph: StepGraph, ledger: Ledger, counts: list[str]) -> list[Claim]:
    names = [tensor.name for tensor in graph.tensors if tensor.committed] + counts
    return [Claim(0, name, point, value) for name in names for point, value in ledger.of(name)]


def prove(
    statement: Statement,
    header: SegmentHeader,
    witness: SegmentWitness,
    columns: dict[str, NDArray[Any]],
    start: BoundaryWeights,
    end: BoundaryWeights,
    *,
    progress: Progress = silent,
    trace: Trace | None = None,
    counts: dict[str, NDArray[np.int64]] | None = None,
) -> tuple[bytes, list[DatasetClaim]]:
    """Proof bytes of segment ``header.index``, and its claims on the dataset ``columns``.

    ``counts`` replaces the multiplicities (for tests of the verifier).
    """
    circuit, segment = statement.circuit, header.index
    graph, shape = circuit.graph(), statement.shape(segment)
    multipliers = _multipliers(statement, segment, shape)
    updates = _updates(graph)
    channel = ProverChannel(_challenger(statement, header, trace))

    progress("commit", 0, 1, segment=segment)
    entries = lookup_entries(circuit, shape)
    values = [_lookup_values(witness, shape, entry) for entry in entries]
    if counts is None:
        counts = lookup.count_lookups(entries, values)
    tensors: dict[str, Any] = {t.name: witness.tensor(t.name) for t in graph.tensors if t.committed}
    committed = commit(statement.packing(segment), {**tensors, **counts})
    channel.send_digest("commitment", committed.root)  # P -> V
    channel.send_work("work", statement.work_bits(segment))  # P -> V

    progress("lookups", 0, 1, segment=segment)
    ledger, weight_ledger = Ledger(), WeightLedger()
    for name, point, value in lookup.prove(channel, "lookup", entries, values, counts):
        ledger.add(name, point, value)
    del values

    progress("relations", 0, 1, segment=segment)
    sides = _committed_sides(statement, segment)
    both = {"start": start, "end": end}

    def boundary_value(side: str, name: str, point: Point) -> Ext:
        from ..kernels import field as kf

        value = kf.evaluate(both[side].padded[name].reshape(-1), point)
        if side in sides:
            channel.send(f"boundary/{side}", [value])  # P -> V
        return value

    def exchange(label: str, wanted: Any) -> list[Ext]:
        sent = [witness.evaluate(name, point) for name, point in wanted]
        if sent:
            channel.send(label, sent)  # P -> V
        return sent

    boundaries = _Boundaries(boundary_value, sides)
    dataset_claims: list[DatasetClaim] = []
    order = _segment_order(statement, segment)
    for op in claim_order(graph):
        match op:
            case Linear():
                linear.reduce(op, graph, shape, ledger, exchange)
            case Affine():
                bias = start.padded[op.bias] if op.bias is not None else None
                affine.prove_affine(
                    channel, op, updates[op.weight], shape, multipliers,
                    start.padded[op.weight], bias, ledger, weight_ledger, witness,
                )  # fmt: skip
            case AffineTransposed():
                affine.prove_transposed(
                    channel, op, updates[op.weight], shape, multipliers,
                    start.padded[op.weight], ledger, weight_ledger, witness,
                )  # fmt: skip
            case Accumulate():
                weights.prove(
                    channel, op, _widths(graph, op), multipliers, weight_ledger,
                    boundaries.at("start"), boundaries.at("end"), shape, ledger, witness,
                )  # fmt: skip
            case Product():
                product.prove(channel, op, ledger, witness)
            case Batch():
                dataset_claims += batches.prove(
                    channel, op, shape, order, columns[op.source], ledger
                )

    progress("opening", 0, 1, segment=segment)
    claims = _opening_claims(graph, ledger, list(counts)) + boundaries.claims()
    commitments = [committed]
    commitments += [both[side].committed for side in sides]  # type: ignore[misc]
    opening.prove(channel, "opening", commitments, claims, statement.query_bits)
    return channel.proof(), dataset_claims


def _lookup_values(witness: SegmentWitness, shape: Shape, entry: lookup.Entry) -> lookup.Values:
    columns = [witness.tensor(name).reshape(-1) for name in entry.columns]
    if entry.indicator is not None:
        tensor = witness.tensor(entry.columns[0])
        width = witness.width(entry.columns[0])
        real = np.zeros(tensor.shape, dtype=np.uint8)
        real[: shape.steps, : shape.batch, :width] = 1
        columns.append(real.reshape(-1))
    return lookup.Values(tuple(columns))


def verify(
    statement: Statement,
    header: SegmentHeader,
    proof: bytes,
    start: dict[str, NDArray[np.int64]] | None,
    end: dict[str, NDArray[np.int64]] | None,
    *,
    trace: Trace | None = None,
    sizes: dict[str, int] | None = None,
) -> list[DatasetClaim]:
    """Check the proof of one segment whose header was checked by the caller.

    ``start`` and ``end`` are the padded public weights of the run's first and last boundary,
    None where the boundary is committed. Returns the claims on the dataset that the caller still
    has to check.
    """
    circuit, segment = statement.circuit, header.index
    graph, shape = circuit.graph(), statement.shape(segment)
    multipliers = _multipliers(statement, segment, shape)
    channel = VerifierChannel(_challenger(statement, header, trace), proof)

    root = channel.receive_digest("commitment")  # P -> V
    channel.receive_work("work", statement.work_bits(segment))  # P -> V
    entries = lookup_entries(circuit, shape)
    ledger, weight_ledger = Ledger(), WeightLedger()
    for name, point, value in lookup.verify(channel, "lookup", entries):
        ledger.add(name, point, value)

    sides = _committed_sides(statement, segment)
    public = {"start": start, "end": end}

    def boundary_value(side: str, name: str, point: Point) -> Ext:
        if side in sides:
            return channel.receive(f"boundary/{side}", 1)[0]  # P -> V
        given = public[side]
        if given is None:
            raise ValueError(f"the {side} of segment {segment} is public but was not given")
        return ml.evaluate_integers(given[name], point)

    def exchange(label: str, wanted: Any) -> list[Ext]:
        return channel.receive(label, len(wanted)) if wanted else []  # P -> V

    boundaries = _Boundaries(boundary_value, sides)
    dataset_claims: list[DatasetClaim] = []
    order = _segment_order(statement, segment)
    for op in claim_order(graph):
        match op:
            case Linear():
                linear.reduce(op, graph, shape, ledger, exchange)
            case Affine():
                width = graph.tensor(op.source).width
                affine.verify_affine(channel, op, shape, width, multipliers, ledger, weight_ledger)
            case AffineTransposed():
                width = graph.tensor(op.source).width
                affine.verify_transposed(
                    channel, op, shape, width, multipliers, ledger, weight_ledger
                )
            case Accumulate():
                weights.verify(
                    channel, op, _widths(graph, op), multipliers, weight_ledger,
                    boundaries.at("start"), boundaries.at("end"), shape, ledger,
                )  # fmt: skip
            case Product():
                product.verify(channel, op, ledger)
            case Batch():
                dataset_claims += batches.verify(
                    channel, op, shape, order, statement.dataset.log_records, ledger
                )

    counts = [lookup.multiplicity(name) for name in lookup.tables_of(entries)]
    claims = _opening_claims(graph, ledger, counts) + boundaries.claims()
    roots = [root] + [{"start": header.start, "end": header.end}[side] for side in sides]
    opening.verify(
        channel, "opening", roots, statement.packings(segment), claims, statement.query_bits
    )
    channel.finish()
    if sizes is not None:
        sizes.update(channel.sizes)
    return dataset_claims
