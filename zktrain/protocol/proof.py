"""One proof, of a whole run or of an evaluation.

Order of messages: commitment to all committed tensors and multiplicities; proof of work; lookups;
then every operation of the step graph, from the assertions back to committed tensors and to the
dataset; one opening of the proof's own commitment and of the dataset's.

A statement has the digests of checkpoints, weights after earlier steps. Each layer's update sends
their values at one random point, drawn when everything that is committed and stated is fixed. That
these are the values of the run's weights is proved like all else; that they are those of the
weights with the stated digest only a file shows, so the digest of a checkpoint whose file is not
given is bound to nothing. What is sent of a checkpoint tells nothing to who has its file, and a
combination of its weights to who has not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..arguments import lookup
from ..arguments.claims import Ledger
from ..arguments.tensors import log_width
from ..circuit.circuit import Circuit
from ..commitment import opening
from ..commitment.hiding import verifier_channel
from ..commitment.packing import Claim, claim_on
from ..field import multilinear as ml
from ..field.extension import Ext, Point
from ..operations.base import Context, Ends
from ..operations.selection import Selections
from ..spans import Bytes
from ..transcript.challenger import Challenger, Trace
from ..transcript.channel import VerifierChannel
from . import walk
from .parameters import parameter_digest
from .statement import Statement

Padded = dict[str, Mapping[str, NDArray[np.int64]]]
"""Public weights by side, every axis padded to a power of two: ``start`` and ``end`` of what steps
change, ``fixed`` of what none does, and ``side_of(step)`` of checkpoints that are given."""


def side_of(step: int) -> str:
    """What ``Padded`` calls the weights of a checkpoint."""
    return f"step {step}"


def _padded(tensor: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every axis to a power of two, with zeros."""
    padded = np.zeros(tuple(1 << log_width(n) for n in tensor.shape), dtype=np.int64)
    padded[tuple(slice(n) for n in tensor.shape)] = tensor
    return padded


def pad_weights(weights: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """All axes to powers of two, with zeros."""
    return {name: _padded(tensor) for name, tensor in weights.items()}


@dataclass(frozen=True, slots=True)
class _Kept(Mapping[str, NDArray[np.int64]]):
    """Weights of a checkpoint, padded when they are asked for, which is once."""

    names: tuple[str, ...]
    read: Callable[[str], NDArray[np.int64]]

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        return _padded(self.read(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def trained_weights(
    circuit: Circuit,
    first: dict[str, NDArray[np.int64]],
    last: dict[str, NDArray[np.int64]],
    checkpoints: Mapping[int, Callable[[str], NDArray[np.int64]]] | None = None,
) -> Padded:
    """What is public of a training, from its first and its last weights; those of frozen layers
    are taken from the first. ``checkpoints`` give the parameters by step."""
    moving = circuit.trained_shapes()
    start, end = pad_weights(first), pad_weights(last)
    kept = {side_of(step): _Kept(tuple(moving), read) for step, read in (checkpoints or {}).items()}
    return {
        **kept,
        "start": {name: values for name, values in start.items() if name in moving},
        "end": {name: values for name, values in end.items() if name in moving},
        "fixed": {name: values for name, values in start.items() if name not in moving},
    }


def evaluated_weights(weights: dict[str, NDArray[np.int64]]) -> Padded:
    """What is public of an evaluation."""
    return {"fixed": pad_weights(weights)}


def challenger_of(statement: Statement, trace: Trace | None) -> Challenger:
    """Bound to all that is stated."""
    challenger = Challenger(statement.protocol, trace)
    challenger.absorb("parameters", parameter_digest(statement.zero_knowledge))
    challenger.absorb("statement", statement.digest)
    return challenger


def context_of(statement: Statement, ledger: Ledger, ends: Ends) -> Context:
    """What both sides know."""
    task, shape = statement.task, statement.shape
    return Context(
        statement.graph,
        shape,
        ledger,
        task.time_filters(shape.log_steps),
        statement.dataset.log_records,
        Selections(partial(task.order, statement.dataset), shape),
        task.counts(),
        ends,
        checkpoints=task.checkpoint_steps,
    )


def opening_claims(statement: Statement, context: Context) -> list[Claim]:
    """On the proof's own commitment (number 0), then on the dataset's (number 1)."""
    claims = [
        claim_on(0, name, point, value)
        for name, _, _ in statement.tensors
        for point, value in context.ledger.of(name)
    ]
    return claims + [claim_on(1, c.source, c.point, c.value) for c in context.dataset]


def verify(
    statement: Statement,
    proof: Bytes,
    public: Padded,
    *,
    trace: Trace | None = None,
    sizes: dict[str, int] | None = None,
) -> None:
    """Raises unless ``proof`` proves the statement for the ``public`` weights, whose digests the
    caller has compared. ``sizes`` gets the bytes by part."""
    channel = verifier_of(statement, proof, trace)
    check_messages(channel, statement, public)
    channel.close()
    channel.finish()
    if sizes is not None:
        sizes.update(channel.sizes)


def verifier_of(statement: Statement, proof: Bytes, trace: Trace | None) -> VerifierChannel:
    """The end that receives."""
    challenger = challenger_of(statement, trace)
    return verifier_channel(challenger, proof, statement.layout, statement.query_bits)


def check_messages(channel: VerifierChannel, statement: Statement, public: Padded) -> None:
    """All messages but those about pads."""
    root = channel.receive_digest("commitment")  # P -> V
    channel.receive_work("work", statement.work_bits)  # P -> V
    ledger = Ledger(channel.check)
    ledger.add_all(lookup.verify(channel, "lookup", statement.entries))

    tables: dict[tuple[str, str], ml.IntegerTable] = {}

    def public_value(side: str, name: str, point: Point) -> Ext:
        if (side, name) not in tables:
            tables[side, name] = ml.IntegerTable(public[side][name])
        return tables[side, name].evaluate(point)

    def checkpoint(step: int, name: str, point: Point) -> Ext | None:
        given = public.get(side_of(step))
        return None if given is None else ml.evaluate_integers(given[name], point)

    context = context_of(statement, ledger, Ends(public_value, checkpoint))
    walk.verify(channel, context)
    claims = opening_claims(statement, context)
    roots = [root, statement.dataset.merkle_root]
    opening.verify(channel, "opening", roots, statement.packings, claims, statement.query_bits)
