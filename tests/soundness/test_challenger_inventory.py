"""Everything that is absorbed and every challenge, in order, against a list that people read.

``ZKTRAIN_UPDATE_INVENTORY=1 pytest tests/soundness/test_challenger_inventory.py`` writes the lists
anew. A line of the diff that nobody can explain is a value that the prover may choose too late.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import evaluation_harness as evaluations
import harness as h
import hiding_harness as hidden
import pytest

from zktrain.protocol import closing, segment
from zktrain.protocol.certificate import verify_certificate
from zktrain.prover.protocol import closing as prover_closing
from zktrain.prover.protocol import segment as prover_segment
from zktrain.prover.protocol.certificate import certify
from zktrain.prover.witness import RunWitness
from zktrain.transcript.challenger import Trace

FOLDER = Path(__file__).parents[1] / "vectors"
RUNS = (
    "cross_entropy",
    "mse",
    "binary_cross_entropy",
    "hiding",
    "evaluation",
    "hiding evaluation",
)
"""In clear by loss; the hiding one has cross entropy. Evaluations have one segment."""


@cache
def traces(name: str) -> dict[str, tuple[Trace, Trace]]:
    """What prover and verifier did, for the certificate, each segment and the closing proof."""
    if "evaluation" in name:
        return evaluation_traces(hiding="hiding" in name)
    if name == "hiding":
        run, data = hidden.conceal(h.honest("cross_entropy")), hidden.dataset()
    else:
        run, data = h.honest(name), h.dataset()
    graph = run.statement.circuit.graph()
    mine: Trace = []
    yours: Trace = []
    verify_certificate(data.header, certify(data, trace=mine), trace=yours)
    out = {"certificate": (mine, yours)}
    claims = []
    for number, header in enumerate(run.headers):
        mine, yours = [], []
        witness = RunWitness(graph, run.statement.shape(number), dict(run.tensors[number]))
        start, end = run.boundaries[number], run.boundaries[number + 1]
        proof, _ = prover_segment.prove(
            run.statement,
            header,
            witness,
            data.columns,
            start,
            end,
            blinding=data.blinding,
            trace=mine,
        )
        claims += segment.verify(
            run.statement,
            header,
            proof,
            start.padded if number == h.FIRST else None,
            end.padded if number == h.LAST else None,
            trace=yours,
        )
        out[f"segment {number}"] = (mine, yours)
    mine, yours = [], []
    headers = list(run.headers)
    proof = prover_closing.prove(run.statement, headers, claims, data.committed, trace=mine)
    closing.verify(run.statement, headers, claims, proof, trace=yours)
    out["closing"] = (mine, yours)
    return out


def evaluation_traces(*, hiding: bool) -> dict[str, tuple[Trace, Trace]]:
    """Segment and closing proof of an evaluation; its certificate is like any other."""
    claim = evaluations.statement(hiding=hiding)
    data, headers = evaluations.dataset(hiding=hiding), list(claim.headers)
    nothing = prover_segment.BoundaryWeights({})
    fixed = segment.pad_weights(evaluations.weights())
    given = {name: h._compact(tensor) for name, tensor in evaluations.tensors(claim).items()}
    witness = RunWitness(claim.circuit.graph(), claim.shape(0), given)
    mine: Trace = []
    yours: Trace = []
    proof, _ = prover_segment.prove(
        claim, headers[0], witness, data.columns, nothing, nothing,
        blinding=data.blinding, trace=mine, fixed=fixed,
    )  # fmt: skip
    left = segment.verify(claim, headers[0], proof, {}, {}, trace=yours, fixed=fixed)
    out = {"segment": (mine, yours)}
    mine, yours = [], []
    closed = prover_closing.prove(claim, headers, left, data.committed, trace=mine)
    closing.verify(claim, headers, left, closed, trace=yours)
    return {**out, "closing": (mine, yours)}


def entries(trace: Trace) -> Iterator[str]:
    """A message and the challenge after it are one entry where they make a sumcheck round; one with
    work between them is ``worked``."""
    rest = list(trace)
    while rest:
        action, label, size = rest.pop(0)
        if label.endswith("/round"):
            action, work = "round", label.replace("/round", "/work")
            if rest[0] == ("work", work, 0):
                del rest[0]
                assert rest.pop(0) == ("absorb", work, 8)
                action = "worked"
            assert rest.pop(0) == ("challenge", label.replace("/round", "/point"), 1)
        yield f"{action:9s} {label}  {size}"


def inventory(loss: str) -> str:
    """One line per run of equal entries; how many Merkle siblings there are is chance."""
    lines = []
    for part, (_, trace) in traces(loss).items():
        lines.append(f"== {part}")
        for entry, group in groupby(entries(trace)):
            count = len(list(group))
            times = "" if count == 1 else "  any number" if "/path" in entry else f"  x {count}"
            lines.append(entry + times)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("loss", RUNS)
def test_prover_and_verifier_absorb_and_draw_the_same(loss: str) -> None:
    """In every proof of a run of three segments."""
    for part, (mine, yours) in traces(loss).items():
        assert mine == yours, part
        assert yours[0][1] == "parameters", part


@pytest.mark.parametrize("loss", RUNS)
def test_inventory_is_the_recorded_one(loss: str) -> None:
    """Order, labels and sizes."""
    path = FOLDER / f"inventory-{loss.replace(' ', '-')}.txt"
    found = inventory(loss)
    if os.environ.get("ZKTRAIN_UPDATE_INVENTORY"):
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("loss", RUNS)
def test_nothing_is_absorbed_after_the_last_challenge_but_openings(loss: str) -> None:
    """Only rows and paths follow it, which the root fixes."""
    for part, (_, trace) in traces(loss).items():
        last = max(i for i, (action, *_) in enumerate(trace) if action != "absorb")
        if "hiding" in loss:
            opened = {"hidden/columns", "hidden/path"}
        else:
            opened = {"opening/rows", "opening/path"}
        assert {label for _, label, _ in trace[last + 1 :]} == opened, part


@pytest.mark.parametrize("name", ["hiding", "hiding evaluation"])
def test_pads_are_committed_before_everything_else(name: str) -> None:
    """The first message of every hiding proof is the root of its pads, before any challenge."""
    for part, (_, trace) in traces(name).items():
        first = next(i for i, (action, *_) in enumerate(trace) if action != "absorb")
        before = [label for _, label, _ in trace[:first]]
        start = before.index("hidden/root")
        assert before[start + 1 :] in ([], ["commitment"]), part
        public = {"parameters", "header", "statement", "segments", "claim/inputs", "claim/labels"}
        assert set(before[:start]) <= public, part
