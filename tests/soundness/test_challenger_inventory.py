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
import pytest
from test_lying_checkpoints import publish

from zktrain.protocol import proof as proofs
from zktrain.protocol.certificate import verify_certificate
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.protocol.certificate import certify
from zktrain.transcript.challenger import Trace

FOLDER = Path(__file__).parents[1] / "vectors"
RUNS = (
    "cross_entropy",
    "mse",
    "binary_cross_entropy",
    "hiding",
    "evaluation",
    "hiding evaluation",
    "checkpoints",
)
"""In clear by loss; the hiding one has cross entropy, the one with checkpoints mse."""


def _run(name: str) -> h.Run:
    if "evaluation" in name:
        return evaluations.statement(hiding="hiding" in name)
    if name == "checkpoints":
        return publish("mse")
    return h.honest("cross_entropy", hiding=True) if name == "hiding" else h.honest(name)


@cache
def traces(name: str) -> dict[str, tuple[Trace, Trace]]:
    """What prover and verifier did, for the certificate and the proof."""
    run = _run(name)
    mine: Trace = []
    yours: Trace = []
    certificate = certify(run.data, trace=mine)
    verify_certificate(run.data.header, certificate, trace=yours)
    out = {"certificate": (mine, yours)}
    mine, yours = [], []
    witness = h.witness_of(run, run.tensors)
    proof = prover_proof.prove(run.statement, witness, run.data, run.public, trace=mine)
    proofs.verify(run.statement, proof, run.public, trace=yours)
    return {**out, "proof": (mine, yours)}


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
    """In the certificate and in the proof."""
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
        public = {"parameters", "header", "statement"}
        assert set(before[:start]) <= public, part
