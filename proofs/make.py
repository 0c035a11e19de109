"""Make the example proofs again: ``python proofs/make.py``, with the extra ``prove`` installed.

``accepted/<name>/`` holds a proof that is accepted, with the weights, the public dataset file and
the circuit that it is about, and ``expected.json`` with what the verifier finds. ``rejected/``
holds forged proofs; its ``expected.json`` says which weights, dataset and circuit to judge each of
them with and which error it has to meet. Everything is derived from the constants below, so that a
second run writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from zktrain._verify import verify
from zktrain.arguments import lookup
from zktrain.arguments.time_filter import PlainSteps
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import digest
from zktrain.dataset import commitment as datasets
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.public_file import read_public
from zktrain.dataset.readers import Records
from zktrain.errors import ZktrainError
from zktrain.field.extension import Ext
from zktrain.layers import Add, AveragePool, Convolution, Flatten, Layer, MaxPool, Unflatten
from zktrain.operations.base import Context
from zktrain.operations.fixed_point import FixedPoint
from zktrain.operations.selection import Selections
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import proof as proofs
from zktrain.protocol.bundle import Bundle
from zktrain.protocol.proof import trained_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover.arguments import lookup as prover_lookup
from zktrain.prover.arguments import sumcheck
from zktrain.prover.commitment.commit import commit
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.dataset import commitment as prover_datasets
from zktrain.prover.dataset.commitment import CommittedDataset, commit_records
from zktrain.prover.dataset.public_file import write_public
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.protocol.certificate import certify
from zktrain.prover.randomness import Randomness, expand
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.tables import TABLES
from zktrain.training.weight_file import write_weights
from zktrain.training.witness import run_witness
from zktrain.transcript.challenger import work_done

HERE = Path(__file__).resolve().parent
Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Example:
    """A tiny training run."""

    name: str
    circuit: Circuit
    records: int
    hiding: bool = False

    @property
    def secret(self) -> bytes | None:
        """Of the dataset's commitment; a public one has none."""
        return hashlib.sha256(f"secret of {self.name}".encode()).digest() if self.hiding else None

    def random(self, label: str) -> Randomness:
        """The same every time, which a real proof must never have."""
        return expand(hashlib.sha256(f"masks of {self.name}".encode()).digest(), label)

    def data(self) -> Records:
        """Bytes and labels from a hash, the same everywhere."""
        width, classes = self.circuit.features, self.circuit.classes
        stream = hashlib.shake_256(self.name.encode()).digest(self.records * (width + 1))
        table = np.frombuffer(stream, dtype=np.uint8).reshape(self.records, width + 1)
        labels = np.ascontiguousarray(table[:, -1] % classes)
        return Records(np.ascontiguousarray(table[:, :-1]), labels, classes, self.name)


def _circuit(widths: tuple[int, int, int], loss: str, batch: int, steps: int, seed: str) -> Circuit:
    layers = (
        Layer("fc1", widths[0], widths[1], "fc1.weight", "fc1.bias", True),
        Layer("fc2", widths[1], widths[2], "fc2.weight", "fc2.bias", False),
    )
    start = Initialisation("seed", seed)
    return Circuit(layers, loss, FixedPoint(), batch, steps, Sgd(((0, 3),)), seed, start)


CROSS_ENTROPY = Example(
    "cross-entropy", _circuit((6, 5, 3), "cross_entropy", 4, 7, "example one"), 13
)
MSE = Example("mse-batch-of-five", _circuit((5, 4, 3), "mse", 5, 6, "example two"), 12)
HIDING = Example(
    "hiding-cross-entropy", _circuit((6, 5, 3), "cross_entropy", 4, 7, "example three"), 13, True
)
HIDING_MSE = Example("hiding-mse", _circuit((5, 4, 3), "mse", 5, 6, "example four"), 12, True)


def _other(name: str, hiding: bool, **changes: Any) -> Example:
    """The network of ``CROSS_ENTROPY``, with changes."""
    circuit = replace(_circuit((6, 5, 3), "cross_entropy", 4, 7, f"example {name}"), **changes)
    return Example(name, circuit, 13, hiding)


def _conv(name: str, inputs: int, outputs: int, kernel: int, **more: Any) -> Convolution:
    pairs = ((kernel, kernel), (1, 1), (kernel // 2, kernel // 2))
    return Convolution(name, inputs, outputs, *pairs, f"{name}.weight", f"{name}.bias", **more)


IMAGE = _other(
    "image",
    False,
    steps=4,
    layers=(
        Unflatten("image", 1, 4, 4),
        _conv("c1", 1, 2, 3, relu=True),
        _conv("c2", 2, 2, 1, relu=False),
        Add("sum", "c1", True),
        MaxPool("max", (2, 2), (1, 1)),
        AveragePool("mean", (2, 2), (1, 1)),
        Flatten("flat"),
        Layer("fc", 8, 3, "fc.weight", "fc.bias", False),
    ),
)
MOMENTUM = _other(
    "momentum-that-begins-anew",
    False,
    optimizer=FilteredSgd(((0, 1_200_000),), round(0.9 * 2**40), True, 0, 4),
    fixed_point=FixedPoint(rate_bits=12),
)
DECAY = _other(
    "weight-decay",
    False,
    optimizer=FilteredSgd(((0, 1_200_000),), round(0.9 * 2**40), False, round(0.01 * 2**40), 8),
    fixed_point=FixedPoint(rate_bits=12),
)
FROZEN = _other("frozen-layer", False, frozen=("fc1",), drop_last=True, steps=3)
SIGMOID = _other("hiding-sigmoid", True, loss="binary_cross_entropy")
HIDING_IMAGE = replace(IMAGE, name="hiding-image", hiding=True)
EXAMPLES = (
    CROSS_ENTROPY,
    MSE,
    HIDING,
    HIDING_MSE,
    IMAGE,
    MOMENTUM,
    DECAY,
    FROZEN,
    SIGMOID,
    HIDING_IMAGE,
)
OPENINGS = 4
"""For which the datasets of hiding examples are committed."""


@dataclass(frozen=True)
class Published:
    """What a run publishes: bundle, weights, and the dataset file's two parts."""

    bundle: Bundle
    weights: dict[str, NDArray[np.int64]]
    dataset: DatasetHeader
    certificate: bytes


@dataclass
class Prover:
    """A prover with places to cheat at; without changes it is the honest one.

    ``trains`` is the circuit that is really trained, ``stated`` the one in the statement.
    """

    example: Example
    trains: Circuit | None = None
    edit: Callable[[Tensors], None] | None = None
    recount: Callable[[dict[str, NDArray[np.int64]]], None] | None = None
    dataset: CommittedDataset | None = None
    stated_dataset: CommittedDataset | None = None
    records: Records | None = None

    def prove(self) -> Published:
        """Everything to publish."""
        stated, records = self.example.circuit, self.records or self.example.data()
        trained = self.trains or stated
        secret = self.example.secret
        dataset = self.dataset or commit_records(records, secret, OPENINGS)
        public = self.stated_dataset or dataset
        start = seeded_weights(stated)
        padded = 1 << (stated.steps - 1).bit_length()
        arrays, end = run_witness(trained, records, start, 0, stated.steps, padded)
        task = Training(stated, digest(start), digest(end))
        statement = Statement(task, public.header, 100, self.example.hiding)
        if problem := statement.problem():
            raise SystemExit(problem)
        proof = self._proof(statement, start, end, arrays, records, dataset, trained)
        certificate = certify(public, random=self.example.random("certificate"))
        texts = (statement.to_json(), stated.canonical_json(), public.header.to_json())
        return Published(Bundle(*texts, b"", proof), end, public.header, certificate)

    def _proof(
        self,
        statement: Statement,
        start: Weights,
        end: Weights,
        arrays: Tensors,
        records: Records,
        dataset: CommittedDataset,
        trained: Circuit,
    ) -> bytes:
        shape = statement.shape
        order = list(Training(trained, "", "").order(dataset.header))
        batches = batch_tensors(records.inputs, records.labels, trained.classes, order)
        views = RunWitness(statement.graph, shape, batches)
        tensors = {**arrays, **{name: views.tensor(name) for name in batches}}
        if self.edit is not None:
            self.edit(tensors)
        witness = RunWitness(statement.graph, shape, tensors)
        counts = _counts(statement, witness)
        if self.recount is not None:
            self.recount(counts)
        true = proofs.context_of

        def context_of(*known: Any) -> Context:
            context = replace(true(*known), order=Selections(lambda: order, shape))
            if not isinstance(trained.optimizer, Sgd):
                return context
            multipliers = np.zeros(1 << shape.log_steps, dtype=np.uint64)
            multipliers[: shape.steps] = trained.optimizer.multipliers_at(trained, 0, shape.steps)
            return replace(context, time_filters=lambda _: PlainSteps(multipliers))

        with (
            mock.patch.object(proofs, "context_of", context_of),
            mock.patch.object(prover_proof, "context_of", context_of),
        ):
            return prover_proof.prove(
                statement,
                witness,
                dataset,
                trained_weights(statement.circuit, start, end),
                counts=counts,
                random=self.example.random("proof"),
            )


def _counts(statement: Statement, witness: RunWitness) -> dict[str, NDArray[np.int64]]:
    """Multiplicities; a value outside of its table is counted at the nearest row."""
    out: dict[str, NDArray[np.int64]] = {}
    for entry in statement.entries:
        table, name = TABLES[entry.table], lookup.multiplicity(entry.table)
        values = prover_proof._lookup_values(witness, entry)
        rows, shift = table.row([column[: entry.cells] for column in values.columns])
        place = np.clip(rows.astype(np.int64) + shift + entry.offset, 0, (1 << table.log_size) - 1)
        out[name] = out.get(name, 0) + np.bincount(place, None, 1 << table.log_size)
    return {name: out[name] for name in map(lookup.multiplicity, statement.tables)}


def _set(
    name: str, cell: tuple[int, ...], change: Callable[[int], int]
) -> Callable[[Tensors], None]:
    def edit(tensors: Tensors) -> None:
        tensors[name] = tensors[name].astype(np.int32)
        tensors[name][cell] = change(int(tensors[name][cell]))

    return edit


def _move_count(counts: dict[str, NDArray[np.int64]]) -> None:
    counts["multiplicity.range16"][[5, 6]] += (1, -1)


def _two_labels() -> CommittedDataset:
    """Record 2 has two classes."""
    honest = commit_records(MSE.data())
    columns = {name: column.copy() for name, column in honest.columns.items()}
    columns["labels"][:2, 2] = 1
    values = prover_datasets.lookup_values(honest.header, columns)
    counts = prover_lookup.count_lookups(datasets.lookups(honest.header), values)
    committed = commit(honest.header.packing(), {**columns, **counts})
    header = replace(honest.header, merkle_root=committed.root)
    return CommittedDataset(header, columns, committed)


def _other_winner(tensors: Tensors) -> None:
    """In one window of two different values another tap wins."""
    wins = tensors["h5"][1, 2, 0, 0, :, :, 0]
    wins[...] = wins[::-1, ::-1].copy()


def _other_rows() -> Records:
    data = MSE.data()
    return replace(data, inputs=data.inputs[::-1].copy())


def _scheduled(*entries: tuple[int, int]) -> Circuit:
    return replace(MSE.circuit, optimizer=Sgd(entries))


def _still(circuit: Circuit) -> Circuit:
    """Without momentum, in the same stretches."""
    multipliers = circuit.optimizer.multipliers
    return replace(circuit, optimizer=FilteredSgd(multipliers, 0, False, 0, 4))


FORGED: dict[str, tuple[str, Prover]] = {
    "wrong-remainder-limb": (
        "SumcheckMismatch",
        Prover(MSE, edit=_set("z1.high", (1, 2, 1), lambda v: v ^ 1)),
    ),
    "wrong-relu-bit": ("LookupMismatch", Prover(MSE, edit=_set("s1", (2, 3, 0), lambda v: 1 - v))),
    "nonzero-padding": (
        "SumcheckMismatch",
        Prover(MSE, edit=_set("q1.high", (7, 1, 1), lambda _: 1)),
    ),
    "multiplicities-moved": ("LookupMismatch", Prover(MSE, recount=_move_count)),
    "skipped-update": ("SumcheckMismatch", Prover(MSE, trains=_scheduled((0, 3), (2, 0), (3, 3)))),
    "wrong-learning-rate": (
        "SumcheckMismatch",
        Prover(MSE, trains=_scheduled((0, 3), (4, 5), (5, 3))),
    ),
    "batches-in-another-order": (
        "SumcheckMismatch",
        Prover(MSE, trains=replace(MSE.circuit, order_seed="my favourites first")),
    ),
    "trained-on-other-records": (
        "CommitmentMismatch",
        Prover(MSE, records=_other_rows(), stated_dataset=commit_records(MSE.data())),
    ),
    "labels-not-one-hot": ("OpeningMismatch", Prover(MSE, dataset=_two_labels())),
    "second-largest-wins": ("LookupMismatch", Prover(IMAGE, edit=_other_winner)),
    "another-momentum": (
        "SumcheckMismatch",
        Prover(MOMENTUM, trains=_still(MOMENTUM.circuit)),
    ),
    "frozen-layer-trained": (
        "StatementMismatch",
        Prover(FROZEN, trains=replace(FROZEN.circuit, frozen=())),
    ),
}
"""Provers that cheat, with the error that each meets."""

FORGED_HIDING: dict[str, tuple[str, Prover]] = {
    "hiding-skipped-update": (
        "HiddenMismatch",
        Prover(
            HIDING_MSE,
            trains=replace(HIDING_MSE.circuit, optimizer=Sgd(((0, 3), (2, 0), (3, 3)))),
        ),
    ),
}
"""The same for proofs that hide."""


def _false_pad() -> Bundle:
    """The first scalar of the lookups is sent with another pad than the one that was committed."""
    send = HidingProver.send

    def lie(channel: HidingProver, label: str, values: list[Ext]) -> None:
        false = label == "lookup/root" and not lied
        if false:
            lied.append(label)
        send(channel, label, [values[0] + 1, *values[1:]] if false else values)

    lied: list[str] = []
    with mock.patch.object(HidingProver, "send", lie):
        return Prover(HIDING_MSE).prove().bundle


def _clear_vector_forged() -> Bundle:
    """The last vector of the opening has one entry changed."""
    send = ProverChannel.send_cells

    def lie(channel: ProverChannel, label: str, cells: Any) -> None:
        if label == "opening/clear":
            cells = cells.copy()
            cells[3, 0] ^= np.uint64(1)
        send(channel, label, cells)

    with mock.patch.object(ProverChannel, "send_cells", lie):
        return Prover(MSE).prove().bundle


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _false_work() -> Bundle:
    """The first nonce of the opening proves no work."""
    send = ProverChannel.send_work

    def lie(channel: ProverChannel, label: str, bits: int) -> None:
        if label != "opening/work" or lied:
            return send(channel, label, bits)
        lied.append(label)
        seed = channel.challenger.work_seed(label)
        nonce = next(n for n in range(1 << 10) if not work_done(seed, n, bits))
        return channel._append(label, nonce.to_bytes(8, "little"))

    lied: list[str] = []
    with mock.patch.object(ProverChannel, "send_work", lie):
        return Prover(MSE).prove().bundle


def _shifted_records() -> Bundle:
    """Two values of the dataset that a batch ends in are shifted so that the batch fits."""
    prove, send = sumcheck.prove, ProverChannel.send
    selectors: list[Ext] = []

    def watch(channel: ProverChannel, label: str, machine: Any, **more: Any) -> Any:
        point = prove(channel, label, machine, **more)
        if label == "batch/inputs":
            selectors[:] = [selector for selector, _ in machine.finals()]
        return point

    def lie(channel: ProverChannel, label: str, values: list[Ext]) -> None:
        if label == "batch/inputs/records":
            first, second = selectors[:2]
            values = [values[0] + second, values[1] - first, *values[2:]]
        send(channel, label, values)

    with (
        mock.patch.object(sumcheck, "prove", watch),
        mock.patch.object(ProverChannel, "send", lie),
    ):
        return Prover(MSE).prove().bundle


def _accepted(out: Path, example: Example) -> Published:
    folder = out / "accepted" / example.name
    published = Prover(example).prove()
    _write(folder / "proof.zkt", published.bundle.to_bytes())
    _write(folder / "circuit.json", example.circuit.canonical_json())
    write_public(folder / "dataset.zkd", published.dataset, published.certificate)
    bits = example.circuit.fixed_point.weight_bits
    write_weights(folder / "weights.safetensors", published.weights, bits, {})
    verdict = verify(
        folder / "weights.safetensors",
        proof=folder / "proof.zkt",
        dataset=folder / "dataset.zkd",
        circuit=folder / "circuit.json",
    )
    expected = {
        "circuit_id": example.circuit.id,
        "dataset_root": verdict.dataset_root,
        "proof_bytes": verdict.proof_bytes,
        "security_bits": round(verdict.security_bits, 3),
        "statement_digest": verdict.statement_digest,
        "weights_digest": verdict.statement.task.final,
        "zero_knowledge": verdict.zero_knowledge,
    }
    _write(folder / "expected.json", _text(expected))
    return published


def _rejected(out: Path, two: Published, one: Published) -> None:
    cases: dict[str, dict[str, str]] = {}

    def case(name: str, error: str, example: Example, data: bytes | None, **files: str) -> None:
        base = f"accepted/{example.name}"
        entry = {
            "proof": f"{base}/proof.zkt" if data is None else f"rejected/{name}.zkt",
            "weights": f"{base}/weights.safetensors",
            "dataset": f"{base}/dataset.zkd",
            "circuit": f"{base}/circuit.json",
            **files,
        }
        if data is not None:
            _write(out / entry["proof"], data)
        cases[name] = {**entry, **_judged(out, entry, error)}

    for name, (error, prover) in {**FORGED, **FORGED_HIDING}.items():
        found, example = prover.prove(), prover.example
        file, dataset = f"rejected/{name}.safetensors", f"accepted/{example.name}/dataset.zkd"
        (out / "rejected").mkdir(exist_ok=True)
        write_weights(out / file, found.weights, example.circuit.fixed_point.weight_bits, {})
        if found.dataset != read_public(out / dataset)[0]:
            dataset = f"rejected/{name}.zkd"
            write_public(out / dataset, found.dataset, found.certificate)
        case(name, error, example, found.bundle.to_bytes(), weights=file, dataset=dataset)

    case("hiding-another-pad", "HiddenMismatch", HIDING_MSE, _false_pad().to_bytes())
    forged = _clear_vector_forged().to_bytes()
    case("clear-vector-forged", "OpeningMismatch", MSE, forged)
    data = one.bundle.to_bytes()
    case("truncated", "MalformedProof", MSE, data[: len(data) // 3])
    proof = bytes(one.bundle.proof)
    changed = bytearray(data)
    changed[data.index(proof) + len(proof) // 2] ^= 1
    case("byte-flipped", "CommitmentMismatch", MSE, bytes(changed))
    exchanged = replace(one.bundle, proof=two.bundle.proof).to_bytes()
    case("proof-of-another-run", "SumcheckMismatch", MSE, exchanged)
    case("shifted-records", "OpeningMismatch", MSE, _shifted_records().to_bytes())

    case("work-not-done", "Rejected", MSE, _false_work().to_bytes())
    case("bundle-of-another-version", "MalformedProof", MSE, b"ZKTRAIN\4" + data[8:])
    text = one.bundle.statement_json.replace(b"zktrain-statement-1", b"zktrain-statement-4")
    reframed = replace(one.bundle, statement_json=text)
    case("statement-of-another-version", "MalformedProof", MSE, reframed.to_bytes())
    file = "rejected/certificate-of-another-dataset.zkd"
    write_public(out / file, one.dataset, two.certificate)
    case("certificate-of-another-dataset", "Rejected", MSE, None, dataset=file)
    root = one.dataset.root.hex()
    case("certificate-not-given", "InputError", MSE, None, dataset=root)

    weights = Prover(MSE).prove().weights
    weights["fc1.weight"] = weights["fc1.weight"] + np.eye(5, 4, dtype=np.int64)[::-1]
    file = "rejected/weights-changed-by-one-unit.safetensors"
    write_weights(out / file, weights, 32, {})
    case("weights-changed-by-one-unit", "StatementMismatch", MSE, None, weights=file)
    file = "rejected/another-learning-rate.json"
    _write(out / file, _scheduled((0, 4)).canonical_json())
    case("another-learning-rate", "StatementMismatch", MSE, None, circuit=file)
    file = f"accepted/{CROSS_ENTROPY.name}/dataset.zkd"
    case("another-dataset", "StatementMismatch", MSE, None, dataset=file)
    _write(out / "rejected" / "expected.json", _text(cases))


def _judged(out: Path, files: dict[str, str], error: str) -> dict[str, str]:
    """Judge a forged proof; it has to meet the error that is foreseen."""
    dataset = files["dataset"]
    try:
        verify(
            out / files["weights"],
            proof=out / files["proof"],
            dataset=out / dataset if "/" in dataset else dataset,
            circuit=out / files["circuit"],
        )
    except ZktrainError as found:
        if type(found).__name__ != error:
            raise SystemExit(f"{files['proof']} met {type(found).__name__}: {found}") from None
        return {"error": error, "message": found.message, "stage": found.stage or ""}
    raise SystemExit(f"{files['proof']} was accepted")


def main() -> None:
    """Write everything to a folder beside them first, then replace the folders."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        out = Path(folder)
        made = {example: _accepted(out, example) for example in EXAMPLES}
        _rejected(out, made[CROSS_ENTROPY], made[MSE])
        for name in ("accepted", "rejected"):
            shutil.rmtree(HERE / name, ignore_errors=True)
            (out / name).replace(HERE / name)
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in {HERE}")


if __name__ == "__main__":
    main()
