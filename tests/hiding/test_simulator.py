"""A bundle out of nothing: with challenges fixed in advance, a simulator that knows the statement
alone writes a certificate, segments and a closing proof that the real verifier accepts, even of a
training that never took place.

Its messages are independent of any witness by construction; ``test_revealed_values_are_random``
shows that the real ones have the same distribution. Openings with levels in clear below the masked
one are simulated by the real prover on cells that are all 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from patched import everywhere
from probing import Frozen
from simulator import (
    Planned,
    SimulatedTree,
    Simulator,
    plan_opening,
    positions,
    uniform_tree,
)
from tiny_run import RECORDS, write_data, write_recipe

import zktrain
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import digest
from zktrain.commitment import opening, parameters
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.dataset.commitment import DatasetHeader, query_bits
from zktrain.errors import Rejected
from zktrain.protocol import certificate as certificates
from zktrain.protocol import closing, segment
from zktrain.protocol.bundle import Bundle, SegmentProof
from zktrain.protocol.certificate import certificate_layout, certificate_plan
from zktrain.protocol.segment import SegmentHeader, pad_weights
from zktrain.protocol.statement import Statement
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import commit
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.dataset.public_file import write_public
from zktrain.prover.randomness import system
from zktrain.training.weight_file import write_weights
from zktrain.transcript.challenger import Trace

OPENINGS = 2
Traces = dict[str, Trace]


@pytest.fixture
def traces() -> Iterator[Traces]:
    """The programmed oracle in the place of every challenger, and what it was last asked, by
    proof."""
    found: Traces = {}

    def frozen(name: str) -> Frozen:
        found[name] = []
        return Frozen(name, found[name])

    def certificate(header: DatasetHeader, trace: Trace | None) -> Frozen:
        return frozen("certificate")

    def one_segment(statement: Statement, header: SegmentHeader, trace: Trace | None) -> Frozen:
        return frozen(_name(header.index))

    def last(*_: object) -> Frozen:
        return frozen("closing")

    with (
        everywhere(certificates, "challenger_of", certificate),
        everywhere(segment, "challenger_of", one_segment),
        everywhere(closing, "challenger_of", last),
    ):
        yield found


def _name(segment_index: int) -> str:
    return f"segment {segment_index}"


@dataclass(frozen=True)
class Published:
    """What somebody publishes."""

    weights: Path
    proof: Path
    dataset: Path


@pytest.fixture(scope="module")
def circuit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Circuit]:
    """The recipe of the tiny run, compiled."""
    folder = tmp_path_factory.mktemp("simulated")
    compiled = folder / "tiny.circuit.json"
    zktrain.compile(write_recipe(folder), out=compiled)
    return compiled, Circuit.from_json(compiled.read_bytes())


def simulate(folder: Path, circuit: Circuit, records: int) -> Published:
    """A bundle whose final weights nobody has trained, on a dataset that nobody has."""
    final = {
        name: np.full(shape, number + 1, dtype=np.int64)
        for number, (name, shape) in enumerate(circuit.parameter_shapes().items())
    }
    initial = seeded_weights(circuit)
    dataset, header = _simulated_dataset(circuit, records)
    statement = Statement(circuit, header, digest(initial), digest(final), 4, 100, True)
    statement.require_provable()

    layout = certificate_layout(header)
    planned = plan_opening("certificate", certificate_plan(header), [dataset])
    certificate = Simulator(Frozen("certificate"), layout, query_bits(), planned)
    certificates.check_messages(certificate, header)
    certificate.close()

    ends = {"start": pad_weights(initial), "end": pad_weights(final)}
    proofs, claims = [], []
    bits, count = statement.query_bits, len(statement.segments)
    plans = [statement.opening_plan(k) for k in range(count)]
    boundaries = []
    for k in range(1, count):
        both = positions(_name(k - 1), plans[k - 1])[-1] + positions(_name(k), plans[k])[1]
        width = statement.boundary_packing().row_cells
        boundaries.append(uniform_tree(plans[k].commitments[1].code_log, both, width))
    roots = [bytes.fromhex(statement.initial), *(tree.root for tree in boundaries)]
    roots.append(bytes.fromhex(statement.final))
    previous = statement.digest
    for k, (first, steps) in enumerate(statement.segments):
        head = SegmentHeader(k, first, steps, roots[k], roots[k + 1], previous)
        depth, width = plans[k].levels[0].code_log, statement.packing(k).row_cells
        own = uniform_tree(depth, positions(_name(k), plans[k])[0], width)
        trees = [own, *boundaries[max(0, k - 1) : k + 1]]
        planned = plan_opening(_name(k), plans[k], trees)
        planned["commitment"] = deque([own.root])
        channel = Simulator(Frozen(_name(k)), statement.layout(k), bits, planned)
        sides = statement.committed_sides(k)
        public = {side: weights for side, weights in ends.items() if side not in sides}
        claims += segment.check_messages(channel, statement, head, public)
        channel.close()
        proofs.append(SegmentProof(head, channel.proof()))
        previous = head.digest

    planned = plan_opening("closing", statement.closing_plan, [dataset])
    layout, bits = statement.closing_layout(), statement.query_bits
    last = Simulator(Frozen("closing"), layout, bits, planned)
    closing.check_messages(last, statement, claims)
    last.close()

    bundle = Bundle(
        statement.to_json(), circuit.canonical_json(), header.to_json(),
        tuple(proofs), last.proof(),
    )  # fmt: skip
    files = ("w.safetensors", "proof.zkt", "simulated.zkd")
    published = Published(*(folder / name for name in files))
    write_public(published.dataset, header, certificate.proof())
    published.proof.write_bytes(bundle.to_bytes())
    write_weights(published.weights, final, circuit.fixed_point.weight_bits, {})
    return published


def _simulated_dataset(circuit: Circuit, records: int) -> tuple[SimulatedTree, DatasetHeader]:
    """A commitment to no dataset, that the certificate and the closing proof open."""
    blank = DatasetHeader(records, circuit.features, circuit.classes, bytes(32), OPENINGS)
    statement = Statement(circuit, blank, "0" * 64, "0" * 64, 4, 100, True)
    plans = {"certificate": certificate_plan(blank), "closing": statement.closing_plan}
    at = [index for name, plan in plans.items() for index in positions(name, plan)[0]]
    depth = plans["closing"].levels[0].code_log
    tree = uniform_tree(depth, at, blank.packing().row_cells)
    return tree, replace(blank, merkle_root=tree.root)


def test_a_simulated_bundle_is_accepted_and_looks_like_a_real_one(
    tmp_path: Path, circuit: tuple[Path, Circuit], traces: Traces
) -> None:
    """The public verb accepts; then the real bundle of the same circuit, under the same oracle, has
    the same labels and sizes in the same order in all its proofs."""
    path, compiled = circuit
    published = simulate(tmp_path, compiled, RECORDS)
    verdict = zktrain.verify(
        published.weights, proof=published.proof, dataset=published.dataset, circuit=path
    )
    assert verdict.zero_knowledge and verdict.segments == 2
    simulated = dict(traces)

    data, dataset, run = tmp_path / "data.npz", tmp_path / "data.zkd", tmp_path / "run"
    zktrain.commit(write_data(data), out=dataset, openings=OPENINGS)
    recipe = path.with_name("tiny.toml")
    trained = zktrain.train(recipe, data=data, out=run, dataset=dataset)
    proved = zktrain.prove(run)
    zktrain.verify(trained.weights, proof=proved.path, dataset=dataset, circuit=path)
    assert trained.weights.read_bytes() != published.weights.read_bytes()
    assert set(simulated) == {"certificate", "segment 0", "segment 1", "closing"}
    for name, trace in simulated.items():
        assert trace == traces[name] and len(trace) > 50, name
    assert published.proof.stat().st_size == proved.path.stat().st_size


def test_without_the_programmed_oracle_a_simulated_bundle_is_refused(
    tmp_path: Path, circuit: tuple[Path, Circuit]
) -> None:
    """Challenges that depend on the messages do not fit them."""
    published = simulate(tmp_path, circuit[1], RECORDS)
    with pytest.raises(Rejected):
        zktrain.verify(published.weights, proof=published.proof, dataset=published.dataset)


# an opening with levels in clear


BITS = 44.0
SIZES = [("a", 16, 1 << 16), ("b", 10, 1000)]


def _claims() -> list[Claim]:
    """On cells that nobody has."""
    oracle = Frozen("claims")
    return [
        claim_on(0, name, tuple(oracle.elements("point", size)), oracle.element("value"))
        for name, size, _ in SIZES
    ]


def test_an_opening_with_levels_in_clear_is_simulated_with_zeros() -> None:
    """The real prover opens cells that are all 0, for claims that do not hold; the proof about pads
    is made up."""
    lane_log = 16
    packing = pack(SIZES, lane_log, parameters.carried_tail_for(lane_log, BITS, 1))
    plan = opening.level_plan([packing], BITS, hiding=True)
    assert len(plan.levels) > 2
    layout = Layout(plan.scalars(True))
    zeros = {name: np.zeros(1 << size, dtype=np.int64) for name, size, _ in SIZES}
    committed = commit(packing, zeros, system())
    prover = Recording(Frozen("opening"), layout, BITS)
    prover_opening.prove(prover, "opening", [committed], _claims(), BITS)

    simulator = Simulator(Frozen("opening"), layout, BITS, prover.messages)
    _verify(simulator, committed.root, packing)
    simulator.close()
    verifier = HidingVerifier(Frozen("opening"), simulator.proof(), layout, BITS)
    _verify(verifier, committed.root, packing)
    verifier.close()
    verifier.finish()


def _verify(channel: HidingVerifier, root: bytes, packing: Packing) -> None:
    opening.verify(channel, "opening", [root], [packing], _claims(), BITS)


class Recording(HidingProver):
    """Keeps all messages by label but the root of its pads."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        self.messages: Planned = {}
        super().__init__(*args, **kwargs)
        self.messages.clear()

    def _append(self, label: str, data: bytes) -> None:
        self.messages.setdefault(label, deque()).append(data)
        super()._append(label, data)
