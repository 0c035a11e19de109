"""The statement of a bundle in words, for people, and in fields, for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from ..losses import LOSSES
from ..protocol.bundle import task_of
from ..protocol.tasks import Training
from . import stated

if TYPE_CHECKING:
    from .._commit import DatasetCommitment
    from .._inspect import Inspection
    from .._verify import Accepted, CheckpointVerdict, Verdict
    from ..circuit.circuit import Circuit
    from ..dataset.commitment import DatasetHeader
    from ..protocol.statement import Statement

PLAIN_INTEGER_BITS = 63
"""Below this static bound, arithmetic over ``F_p`` is that of plain integers."""
_MOST_CHECKPOINTS = 6
"""More are shortened."""


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
    """``1 record``, ``1,024 steps``."""
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
    own = [f"{name}: {_rates(circuit, rates)}" for name, rates in circuit.layer_rates.items()]
    default = _rates(circuit, circuit.effective_learning_rate)
    return "; ".join([default, stated.shortened(own)] if own else [default])


def _rates(circuit: Circuit, rates: list[tuple[int, float]]) -> str:
    words = circuit.optimizer.rate_words
    shown = [(first, words(rate)) for first, rate in rates]
    if len(shown) == 1:
        return shown[0][1]
    return stated.shortened([f"{rate} from step {first:,}" for first, rate in shown])


def order(circuit: Circuit) -> str:
    """``epoch permutations from the seed "..."``, and what becomes of last batches."""
    dropped = ", incomplete last batches left out" if circuit.drop_last else ""
    return f'epoch permutations from the seed "{circuit.order_seed}"{dropped}'


def training(circuit: Circuit) -> str:
    """How many steps of which optimizer."""
    return (
        f"{several(circuit.steps, 'step')} of {circuit.optimizer.words}"
        f"{circuit.optimizer.stretch_words(circuit)}, batches of {circuit.batch_size:,}"
    )


def yes(fact: bool) -> str:
    return "yes" if fact else "no"


def dataset_text(header: DatasetHeader | DatasetCommitment) -> str:
    """Sizes of a committed dataset."""
    return (
        f"{several(header.records, 'record')} of {several(header.features, 'input')}, "
        f"{several(header.classes, 'class', 'classes')}"
    )


def network_rows(circuit: Circuit) -> list[tuple[str, str]]:
    """What is trained or evaluated."""
    return [
        ("network", network(circuit)),
        *stated.layer_rows(circuit),
        ("arithmetic", stated.arithmetic(circuit)),
    ]


def dataset_rows(header: DatasetHeader) -> list[tuple[str, str]]:
    """The dataset that is committed to."""
    return [
        ("dataset", dataset_text(header)),
        ("inputs", header.scaling.text),
        ("commitment", stated.commitment(header)),
        ("root", header.root.hex()),
    ]


def run_rows(circuit: Circuit) -> list[tuple[str, str]]:
    """How it is trained."""
    return [
        ("training", f"{training(circuit)}, {LOSSES[circuit.loss].words}"),
        ("learning rate", learning_rate(circuit)),
        ("order", order(circuit)),
    ]


def proof_rows(statement: Statement) -> list[tuple[str, str]]:
    """What kind of proof it is."""
    return [
        ("asked for", f"{statement.security_bits} bits of security"),
        ("hides data", yes(statement.zero_knowledge)),
    ]


def _checkpoint_rows(
    task: Training, found: Sequence[CheckpointVerdict]
) -> Iterator[tuple[str, str]]:
    """Steps and digests of published weights, and what was found of them."""
    said = {one.step: "digest stated, not checked; give --checkpoint FILE" for one in found}
    said |= {one.step: f"checked: the weights of {one.file}" for one in found if one.checked}
    rows = [
        (f"after step {one.step:,}, {said.get(one.step, 'the weight file with this digest')}", one)
        for one in task.checkpoints
    ]
    left_out = len(rows) - _MOST_CHECKPOINTS
    for number, (text, one) in enumerate(rows):
        if left_out > 0 and number == _MOST_CHECKPOINTS - 1:
            yield "", f"... {left_out:,} more; {stated.IN_FULL}"
        if number < _MOST_CHECKPOINTS - 1 or number + 1 == len(rows):
            yield "checkpoint", text
            yield "", one.weights


def statement_rows(
    statement: Statement, checkpoints: Sequence[CheckpointVerdict] = ()
) -> list[tuple[str, str]]:
    """Label and value of everything that a bundle states, see ``stated``; values may come from a
    proof. ``checkpoints`` say what was found of them."""
    task = task_of(statement, Training)
    circuit, start = task.circuit, task.circuit.initialisation
    seeded = start.kind == "seed"
    return [
        *network_rows(circuit),
        *dataset_rows(statement.dataset),
        *run_rows(circuit),
        (
            "start",
            f'from the seed "{start.value}"' if seeded else "the weight file with this digest",
        ),
        ("", task.initial),
        *_checkpoint_rows(task, checkpoints),
        ("end", "the weight file with this digest"),
        ("", task.final),
        *proof_rows(statement),
        ("circuit", circuit.id),
        ("statement", statement.digest.hex()),
    ]


def figures(verdict: Accepted) -> list[tuple[str, str]]:
    """What an accepted proof is worth, and what it took."""
    return [
        ("security", f"{bits(verdict.security_bits)} bits, every term proven"),
        ("proof", size(verdict.proof_bytes)),
        ("verified in", span(verdict.seconds)),
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


class _Digests(Protocol):
    """Of the weights before and after a training."""

    @property
    def initial(self) -> str: ...
    @property
    def final(self) -> str: ...


class _Stated(Protocol):
    """By either backend."""

    @property
    def dataset(self) -> DatasetHeader: ...
    @property
    def circuit(self) -> Circuit: ...


def common_fields(statement: _Stated) -> dict[str, Any]:
    """What JSON objects of all statements have."""
    header, circuit = statement.dataset, statement.circuit
    sizes = {name: getattr(header, name) for name in ("records", "features", "classes")}
    scaling = {"low": header.scaling.low, "high": header.scaling.high}
    return {
        "circuit_id": circuit.id,
        "layers": stated.plain(circuit.layers),
        "parameters": circuit.parameters,
        "dataset": {"root": header.root.hex(), **sizes, **scaling},
        "stated": stated.plain(statement),
    }


def run_fields(statement: _Stated, task: _Digests) -> dict[str, Any]:
    """What JSON objects of statements about training have."""
    circuit = statement.circuit
    return {
        **common_fields(statement),
        **{name: getattr(circuit, name) for name in ("loss", "batch_size", "steps", "order_seed")},
        "optimizer": "sgd",
        "learning_rate": circuit.effective_learning_rate,
        "layer_rates": circuit.layer_rates,
        "last_batch": "drop" if circuit.drop_last else "wrap",
        "initialisation": asdict(circuit.initialisation),
        "initial_weights_digest": task.initial,
        "weights_digest": task.final,
    }


def statement_fields(statement: Statement) -> dict[str, Any]:
    """The statement as a JSON object."""
    circuit, task = statement.circuit, task_of(statement, Training)
    return {
        **run_fields(statement, task),
        "checkpoints": [
            {"step": one.step, "weights_digest": one.weights} for one in task.checkpoints
        ],
        **circuit.optimizer.fields(),
        "digest": statement.digest.hex(),
        "trained_parameters": stated.trained_parameters(circuit),
        "frozen": list(circuit.frozen),
        "no_wrap_bound_bits": circuit.no_wrap_bound_bits,
        "distinct_records_at_most": stated.distinct_records(statement),
    }


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """An accepted proof as a JSON object."""
    return stated.result_fields(
        verdict,
        left_out=("dataset_root", "statement_digest"),
        accepted=True,
        error=None,
        statement=statement_fields(verdict.statement),
    )


def stage_line(stages: Mapping[str, float]) -> str:
    """``lookups 12.3 s, opening 4.56 s, ...``, the longest first."""
    ordered = sorted(stages.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {span(seconds)}" for name, seconds in ordered)


def unverified_fields(found: Inspection, statement: dict[str, Any]) -> dict[str, Any]:
    """What JSON objects of unverified proofs have; ``statement`` is that of theirs."""
    claimed = found.statement
    return {
        "verified": False,
        "statement": statement,
        "security_bits": claimed.security_bits,
        "zero_knowledge": claimed.zero_knowledge,
        "proof_bytes": found.proof_bytes,
        "sections": found.sections,
        "parts": found.parts,
        "soundness": [asdict(term) for term in claimed.soundness_terms],
        "union_bits": claimed.union_bits,
    }


def inspection_fields(found: Inspection) -> dict[str, Any]:
    """An unverified proof of training as a JSON object."""
    return unverified_fields(found, statement_fields(found.statement))
