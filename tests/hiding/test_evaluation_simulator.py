"""A proof of an evaluation out of nothing: under challenges fixed in advance a simulator that knows
the statement alone, any counts in it, writes what the real verifier accepts; and a real proof has
the same messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patched import everywhere
from probing import Frozen
from simulator import SimulatedTree, Simulator, plan_opening, positions, uniform_tree
from tiny_run import RECORDS, write_data, write_recipe

import zktrain
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.evaluation import Evaluation
from zktrain.circuit.weights import digest
from zktrain.commitment import opening
from zktrain.dataset.commitment import DatasetHeader, query_bits
from zktrain.errors import Rejected
from zktrain.protocol import certificate as certificates
from zktrain.protocol import closing, segment
from zktrain.protocol.certificate import certificate_layout
from zktrain.protocol.evaluation import EvaluationStatement
from zktrain.protocol.evaluation_bundle import EvaluationBundle
from zktrain.protocol.segment import SegmentHeader, pad_weights
from zktrain.training.weight_file import write_weights
from zktrain.transcript.challenger import Trace

OPENINGS = 3
SIZE = 16
"""Records of a segment: there are two, the second one shorter."""
Traces = dict[str, Trace]


@pytest.fixture
def traces() -> Iterator[Traces]:
    """The programmed oracle in the place of every challenger, and what it was last asked, by
    proof."""
    found: Traces = {}

    def frozen(name: str) -> Frozen:
        found[name] = []
        return Frozen(name, found[name])

    def one_segment(_: object, header: SegmentHeader, __: object) -> Frozen:
        return frozen(f"segment {header.index}")

    def certificate(*_: object) -> Frozen:
        return frozen("certificate")

    def last(*_: object) -> Frozen:
        return frozen("closing")

    with (
        everywhere(certificates, "challenger_of", certificate),
        everywhere(segment, "challenger_of", one_segment),
        everywhere(closing, "challenger_of", last),
    ):
        yield found


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Circuit]:
    """The network of the tiny run, compiled."""
    folder = tmp_path_factory.mktemp("simulated")
    compiled = folder / "tiny.circuit.json"
    zktrain.compile(write_recipe(folder), out=compiled)
    return compiled, Circuit.from_json(compiled.read_bytes())


def _statement(circuit: Circuit, header: DatasetHeader, weights: str) -> EvaluationStatement:
    """Every record is answered rightly, and all are of class 1."""
    counts = tuple(
        tuple(tuple(records if i == k == 1 else 0 for k in range(3)) for i in range(3))
        for records in (SIZE, RECORDS - SIZE)
    )
    return EvaluationStatement(Evaluation(circuit), header, weights, SIZE, counts, 100, True)


def _dataset(circuit: Circuit) -> tuple[SimulatedTree, DatasetHeader]:
    """A commitment to no dataset, that the certificate and the closing proof open."""
    blank = DatasetHeader(RECORDS, circuit.features, circuit.classes, bytes(32), OPENINGS)
    bits = {"certificate": query_bits()}
    bits["closing"] = _statement(circuit, blank, "0" * 64).query_bits
    plans = {n: opening.level_plan([blank.packing()], b, hiding=True) for n, b in bits.items()}
    at = [index for name, plan in plans.items() for index in positions(name, plan)[0]]
    depth = plans["closing"].levels[0].code_log
    tree = uniform_tree(depth, at, blank.packing().row_cells)
    return tree, replace(blank, merkle_root=tree.root)


def simulate(folder: Path, circuit: Circuit) -> tuple[Path, Path, str]:
    """Weights, proof and dataset root of an evaluation that never took place."""
    weights = {
        name: np.full(shape, number + 1, dtype=np.int64)
        for number, (name, shape) in enumerate(circuit.parameter_shapes().items())
    }
    dataset, header = _dataset(circuit)
    statement = _statement(circuit, header, digest(weights))
    statement.require_provable()
    assert statement.accuracy == 1.0

    bits = query_bits()
    plan = opening.level_plan([header.packing()], bits, hiding=True)
    planned = plan_opening("certificate", plan, [dataset])
    certificate = Simulator(Frozen("certificate"), certificate_layout(header), bits, planned)
    certificates.check_messages(certificate, header)
    certificate.close()

    proofs, claims, bits = [], [], statement.query_bits
    for k, head in enumerate(statement.headers):
        plan = opening.level_plan(statement.packings(k), bits, hiding=True)
        (at,) = positions(f"segment {k}", plan)
        own = uniform_tree(plan.levels[0].code_log, at, statement.packing(k).row_cells)
        planned = plan_opening(f"segment {k}", plan, [own])
        planned["commitment"] = deque([own.root])
        channel = Simulator(Frozen(f"segment {k}"), statement.layout(k), bits, planned)
        public = {"start": {}, "end": {}, "fixed": pad_weights(weights)}
        claims += segment.check_messages(channel, statement, head, public)
        channel.close()
        proofs.append(channel.proof())

    bits = statement.query_bits
    plan = opening.level_plan([header.packing()], bits, hiding=True)
    planned = plan_opening("closing", plan, [dataset])
    last = Simulator(Frozen("closing"), statement.closing_layout(), bits, planned)
    closing.check_messages(last, statement, claims)
    last.close()

    bundle = EvaluationBundle(
        statement.to_json(), circuit.canonical_json(), header.to_json(),
        certificate.proof(), tuple(proofs), last.proof(),
    )  # fmt: skip
    file, proof = folder / "w.safetensors", folder / "eval.zkt"
    proof.write_bytes(bundle.to_bytes())
    write_weights(file, weights, circuit.fixed_point.weight_bits, {})
    return file, proof, header.root.hex()


def test_a_simulated_evaluation_is_accepted_and_looks_like_a_real_one(
    tmp_path: Path, circuit: tuple[Path, Circuit], traces: Traces
) -> None:
    """The public verb accepts; a real proof about the same weights, under the same oracle, has the
    same labels and sizes in the same order."""
    path, compiled = circuit
    file, proof, root = simulate(tmp_path, compiled)
    verdict = zktrain.verify_eval(file, proof=proof, dataset=root, circuit=path)
    assert verdict.zero_knowledge and verdict.segments == 2 and verdict.accuracy == 1.0
    simulated = dict(traces)

    data, dataset, real = (tmp_path / name for name in ("d.npz", "d.zkd", "real.zkt"))
    zktrain.commit(write_data(data), out=dataset, openings=OPENINGS)
    zktrain.prove_eval(
        file, circuit=path, data=data, dataset=dataset, out=real, segment_records=SIZE
    )
    honest = zktrain.verify_eval(file, proof=real, dataset=dataset, circuit=path)
    assert honest.accuracy < 1.0
    assert set(simulated) == {"certificate", "segment 0", "segment 1", "closing"}
    for name, trace in simulated.items():
        assert trace == traces[name] and len(trace) > 50, name


def test_without_the_programmed_oracle_a_simulated_evaluation_is_refused(
    tmp_path: Path, circuit: tuple[Path, Circuit]
) -> None:
    """Challenges that depend on the messages do not fit them."""
    file, proof, root = simulate(tmp_path, circuit[1])
    with pytest.raises(Rejected):
        zktrain.verify_eval(file, proof=proof, dataset=root)
