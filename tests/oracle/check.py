"""What is asserted of one case, and of what kind a failure is."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.errors import RangeOverflow

from . import autograd, honest
from .circuits import Case, features
from .interpreter import Interpreter, Run
from .light_work import light_work


class Failure(AssertionError):
    """The code and the oracle disagree; ``kind`` says in what."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclass
class Outcome:
    """``stopped``: the honest run left its range, as the oracle says it must; no success.
    ``proved`` says how far it went; seconds by stage."""

    features: list[str]
    stopped: bool = False
    proved: bool = False
    difference: autograd.Difference = field(default_factory=autograd.Difference)
    seconds: dict[str, float] = field(default_factory=dict)


class _Stage:
    """Times a stage, and makes an error in it a failure of that kind."""

    def __init__(self, outcome: Outcome, name: str, kind: str) -> None:
        self.outcome, self.name, self.kind = outcome, name, kind

    def __enter__(self) -> None:
        self.since = time.perf_counter()

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        self.outcome.seconds[self.name] = time.perf_counter() - self.since
        if error is not None and isinstance(error, Exception) and not isinstance(error, Failure):
            text = str(error).split("\n")[0]
            raise Failure(self.kind, f"{type(error).__name__}: {text}") from error


def replay(case: Case) -> str:
    """How a failure is looked at again."""
    return (
        f"replay: python -m tests.oracle.run --replay {case.key!r}\n"
        f"circuit: {case.circuit.canonical_json().decode()}"
    )


def check(case: Case, *, prove: bool = True, files: bool = False) -> Outcome:
    """Raises ``Failure``. ``files``: through the public functions, with all the work of a proof."""
    outcome, circuit = Outcome(features(case)), case.circuit
    with _Stage(outcome, "text", "the text is not read back"):
        assert Circuit.from_json(circuit.canonical_json()) == circuit
    with _Stage(outcome, "oracle", "the oracle fails"):
        run = Interpreter(circuit, case.inputs, case.labels).run(case.first)
    if circuit.initialisation.kind == "seed":
        with _Stage(outcome, "seed", "other first weights"):
            seeded = honest.integers(seeded_weights(circuit))
            assert seeded == case.first
    errors = [e for step in run.steps for sample in step.passes for e in sample.arrived[-1]]
    if run.steps and not any(errors):
        raise Failure("nothing is trained", "the loss is constant, whatever the weights")
    with _Stage(outcome, "autograd", "not the gradient"):
        outcome.difference = autograd.agree(circuit, run, case.labels)
    with _Stage(outcome, "train", "training fails"):
        kept = _trained(case, run)
    if kept is None:
        outcome.stopped = True
        return outcome
    for step, weights in kept.items():
        found = honest.integers(weights)
        if found != run.boundaries[step]:
            names = [n for n, w in found.items() if w != run.boundaries[step][n]]
            raise Failure("other weights", f"after step {step}: {', '.join(names)}")
    if not prove:
        return outcome
    with _Stage(outcome, "prove", "the honest run is not accepted"):
        if files:
            with tempfile.TemporaryDirectory() as folder:
                assert honest.published(case, Path(folder)) == run.boundaries[-1]
        else:
            with light_work():
                honest.prove_and_verify(case, kept)
    outcome.proved = True
    return outcome


def _trained(case: Case, run: Run) -> dict[int, honest.Arrays] | None:
    """The weights that the honest run publishes, ``None`` where it stops at the step where it has
    to."""
    try:
        kept = honest.trained(case)
    except RangeOverflow as error:
        found = re.match(r"step (\d+)", error.message)
        at = None if run.stopped is None else run.stopped.step
        if found is None or int(found[1]) != at:
            raise Failure("other ranges", f"{error.message}; the oracle: {run.stopped}") from error
        return None
    if run.stopped is not None:
        raise Failure("other ranges", f"training went on; the oracle: {run.stopped}")
    return kept
