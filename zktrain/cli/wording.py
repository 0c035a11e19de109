"""The statement of a bundle in words, for people, and in fields, for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..losses import LOSSES
from ..protocol.bundle import task_of
from ..protocol.tasks import Training
from . import stated

if TYPE_CHECKING:
    from .._inspect import Inspection
    from ..circuit.circuit import Circuit
    from ..dataset.commitment import DatasetHeader
    from ..protocol.statement import Statement

PLAIN_INTEGER_BITS = 63
"""Below this static bound, arithmetic over ``F_p`` is that of plain integers."""


def size(count: int) -> str:
    """A number of bytes, readable."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def span(seconds: float) -> str:
    """A time, readable."""
    whole = round(seconds)
    if whole >= 120:
        return f"{whole // 60} min {whole % 60} s"
    if seconds >= 99.95:
        return f"{whole} s"
    return f"{seconds:.1f} s" if seconds >= 9.95 else f"{seconds:.2f} s"


def several(count: int, noun: str, plural: str | None = None) -> str:
    """``1 segment``, ``1,024 steps``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def bits(value: float) -> str:
    """Security in bits, rounded down, so that nothing looks stronger than it is."""
    return f"{math.floor(value * 10) / 10:.1f}"


def network(circuit: Circuit) -> str:
    """``784-128-10 perceptron with ReLU, 101,770 parameters``, or ``1x28x28-conv6-max2x2-...``."""
    relu = " with ReLU" if any(layer.relu for layer in circuit.layers) else ""
    kind = "perceptron" if circuit.is_dense else "network"
    parts = [part for layer in circuit.layers if (part := layer.word)]
    if circuit.is_dense:
        parts.insert(0, str(circuit.features))
    return f"{'-'.join(parts)} {kind}{relu}, {circuit.parameters:,} parameters"


def learning_rate(circuit: Circuit) -> str:
    """The schedule really used; the middle of a long one is left out."""
    words = circuit.optimizer.rate_words
    shown = [(first, words(rate)) for first, rate in circuit.effective_learning_rate]
    if len(shown) == 1:
        return shown[0][1]
    return stated.shortened([f"{rate} from step {first:,}" for first, rate in shown])


def order(circuit: Circuit) -> str:
    """``epoch permutations from the seed "..."``, and what becomes of last batches."""
    dropped = ", incomplete last batches left out" if circuit.drop_last else ""
    return f'epoch permutations from the seed "{circuit.order_seed}"{dropped}'


def dataset_text(header: DatasetHeader) -> str:
    """Sizes of a committed dataset."""
    return (
        f"{several(header.records, 'record')} of {several(header.features, 'input')}, "
        f"{several(header.classes, 'class', 'classes')}"
    )


def dataset_fields(header: DatasetHeader) -> dict[str, Any]:
    """A committed dataset as a JSON object."""
    return {
        "root": header.root.hex(),
        "records": header.records,
        "features": header.features,
        "classes": header.classes,
        "low": header.scaling.low,
        "high": header.scaling.high,
    }


def statement_rows(statement: Statement) -> list[tuple[str, str]]:
    """Label and value of everything that a bundle states, see ``stated``; values may come from a
    proof."""
    task, dataset = task_of(statement, Training), statement.dataset
    circuit = task.circuit
    start = circuit.initialisation
    return [
        ("network", network(circuit)),
        *stated.layer_rows(circuit),
        ("arithmetic", stated.arithmetic(circuit)),
        ("dataset", dataset_text(dataset)),
        ("inputs", dataset.scaling.text),
        ("commitment", stated.commitment(dataset)),
        ("root", dataset.root.hex()),
        (
            "training",
            f"{several(circuit.steps, 'step')} of {circuit.optimizer.words}"
            f"{circuit.optimizer.stretch_words(circuit)}, "
            f"batches of {circuit.batch_size:,}, "
            f"{LOSSES[circuit.loss].words}",
        ),
        ("learning rate", learning_rate(circuit)),
        ("order", order(circuit)),
        (
            "start",
            f'from the seed "{start.value}"'
            if start.kind == "seed"
            else "the weight file with this digest",
        ),
        ("", task.initial),
        ("end", "the weight file with this digest"),
        ("", task.final),
        ("asked for", f"{statement.security_bits} bits of security"),
        ("hides data", "yes" if statement.zero_knowledge else "no"),
        ("circuit", circuit.id),
        ("statement", statement.digest.hex()),
    ]


def not_proven(statement: Statement, *, zero_knowledge: bool) -> list[str]:
    """What nobody may read into an accepted proof."""
    used, records = stated.distinct_records(statement), statement.dataset.records
    which = (
        f"only that batches were drawn from these records, and no more than {used:,} of "
        f"the {records:,} in all"
        if used < records
        else "only that these records were used"
    )
    out = [
        f"that the dataset is good, lawful or free of poison: {which}",
        "that bytes were made of numbers in the stated range: bytes are what is committed",
        "that the seeds were drawn at random, or that this run was the only one tried",
        "that a floating-point model or its training behaves the same bit for bit: the run is "
        "one in integers, and the weight file holds them exactly",
    ]
    if not zero_knowledge:
        out.append(
            "that anything stays hidden: this proof is sound but not zero-knowledge, and may "
            "reveal parts of the dataset"
        )
    bound = statement.circuit.no_wrap_bound_bits
    if bound >= PLAIN_INTEGER_BITS:
        out.append(
            f"that no value wrapped around: the arithmetic is over F_p, p = 2^64 - 2^32 + 1, and "
            f"the worst case over all datasets is 2^{bound}; the trainer checks plain-integer "
            "range at run time, the proof does not"
        )
    return out


def statement_fields(statement: Statement) -> dict[str, Any]:
    """The statement as a JSON object."""
    task, dataset = task_of(statement, Training), statement.dataset
    circuit = task.circuit
    return {
        "digest": statement.digest.hex(),
        "circuit_id": circuit.id,
        "layers": stated.plain(circuit.layers),
        "parameters": circuit.parameters,
        "trained_parameters": stated.trained_parameters(circuit),
        "frozen": list(circuit.frozen),
        "loss": circuit.loss,
        "optimizer": "sgd",
        **circuit.optimizer.fields(),
        "learning_rate": circuit.effective_learning_rate,
        "batch_size": circuit.batch_size,
        "steps": circuit.steps,
        "order_seed": circuit.order_seed,
        "last_batch": "drop" if circuit.drop_last else "wrap",
        "initialisation": asdict(circuit.initialisation),
        "no_wrap_bound_bits": circuit.no_wrap_bound_bits,
        "dataset": dataset_fields(dataset),
        "initial_weights_digest": task.initial,
        "weights_digest": task.final,
        "distinct_records_at_most": stated.distinct_records(statement),
        "stated": stated.plain(statement),
    }


def stage_line(stages: Mapping[str, float]) -> str:
    """``lookups 12.3 s, opening 4.56 s, ...``, the longest first."""
    ordered = sorted(stages.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {span(seconds)}" for name, seconds in ordered)


def inspection_fields(found: Inspection) -> dict[str, Any]:
    """An unverified bundle as a JSON object."""
    statement = found.statement
    return {
        "verified": False,
        "statement": statement_fields(statement),
        "security_bits": statement.security_bits,
        "zero_knowledge": statement.zero_knowledge,
        "proof_bytes": found.proof_bytes,
        "sections": found.sections,
        "parts": found.parts,
        "soundness": [asdict(term) for term in statement.soundness_terms],
        "union_bits": statement.union_bits,
    }
