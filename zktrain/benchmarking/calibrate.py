"""Small real runs on this machine, and the rates that fit them best."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from .. import machine
from .._commit import commit
from .._prove import prove
from .._train import train
from .._verify import verify
from ..cost import memory
from ..cost.calibration import Calibration, Observation, fit, fit_all
from ..cost.counts import prover_work, verifier_work
from ..cost.parts import by_place
from ..memory import keep_freed_memory
from ..profile import Node, Recorder
from ..progress import Progress, silent
from ..protocol.bundle import statement_of
from ..protocol.statement import Statement
from .inputs import write_inputs
from .settings import Setting
from .worker import warm_up

RUNS = (
    Setting("synthetic", width=64, batch=32, steps=32, features=64, records=1024),
    Setting("synthetic", width=256, depth=2, steps=16, features=256, records=2048),
    Setting("synthetic", width=1024, depth=2, steps=4, records=4096),
    Setting("synthetic", width=128, steps=64, records=8192),
    Setting("synthetic", width=128, steps=256, records=16384),
)
"""The cost of a proof depends on sizes, not on values, so synthetic records do. They need more
memory one after the other."""
CERTIFIED = 2
"""Number of the run whose dataset has its certificate before it is proved."""
NEW_PEAK = 1.02
PROOFS, VERIFICATIONS = 2, 5
"""Of each part the fastest counts: what else the machine does only adds."""
TIME_FLOOR = 0.004
MEMORY_FLOOR = 2e8


@dataclass(frozen=True, slots=True)
class Measured:
    """Profiled proofs of one run, and the seconds of a verification."""

    statement: Statement
    roots: tuple[Node, ...]
    verify_seconds: float
    certified: bool


def run(setting: Setting, folder: Path, *, certified: bool) -> Measured:
    """Commit, train, prove and verify in ``folder``."""
    given, public = write_inputs(setting, folder), folder / "dataset.zkd"
    if certified:
        commit(given.data, out=public)
    out, dataset = folder / "run", public if certified else None
    trained = train(given.recipe, data=given.data, out=out, dataset=dataset)
    roots = []
    for _ in range(PROOFS):
        (out / "proof.zkt").unlink(missing_ok=True)
        if not certified:
            (out / "dataset.zkd").unlink(missing_ok=True)
        with Recorder(memory=True) as recorder:
            proved = prove(out)
        roots.append(recorder.root)
    statement = statement_of(proved.path)
    seconds = min(
        verify(trained.weights, proof=proved.path, dataset=out / "dataset.zkd").seconds
        for _ in range(VERIFICATIONS)
    )
    return Measured(statement, tuple(roots), seconds, certified)


def calibrate(progress: Progress = silent) -> Calibration:
    """Measure and fit, in under a minute on two cores."""
    measured = []
    progress("calibrate", 0, len(RUNS) + 1)
    keep_freed_memory()
    with redirect_stdout(io.StringIO()):  # there is no parent process to be told
        warm_up()
    for number, setting in enumerate(RUNS, 1):
        progress("calibrate", number, len(RUNS) + 1)
        with tempfile.TemporaryDirectory() as name:
            measured.append(run(setting, Path(name), certified=number == CERTIFIED))
    progress("calibrate", len(RUNS) + 1, len(RUNS) + 1)
    return fitted(measured, [setting.name for setting in RUNS])


def fitted(measured: list[Measured], names: list[str]) -> Calibration:
    """The calibration that explains these runs."""
    timed = [pair for one in measured for pair in observations(one)]
    rates = fit_all(timed, TIME_FLOOR)
    verified: list[Observation] = [
        (verifier_work(one.statement), one.verify_seconds) for one in measured
    ]
    rates["verify"] = fit(verified, TIME_FLOOR)
    seen = [pair for one in measured for pair in held(one)]
    kinds = sorted({name for amounts, _ in seen for name in amounts} - {"base"})
    factors = fit(seen, MEMORY_FLOOR, near_one=kinds) if seen else {}
    runs = [
        {
            "setting": name,
            "prove_seconds": round(min(root.seconds for root in one.roots), 3),
            "verify_seconds": round(one.verify_seconds, 3),
            "peak_bytes": one.roots[0].peak_bytes,
        }
        for name, one in zip(names, measured, strict=True)
    ]
    return Calibration(rates, factors, machine.describe(), "", runs)


def observations(measured: Measured) -> Iterator[tuple[str, Observation]]:
    """Each part of the work with the seconds of its span, by kind; of spans that hold several parts
    of one kind, all together."""
    work = prover_work(measured.statement, certified=measured.certified)
    walks = [dict(root.walk()) for root in measured.roots]
    for place, parts in by_place(work).items():
        kinds = {part.kind for part in parts}
        if any(place not in nodes for nodes in walks) or len(kinds) != 1:
            continue
        amounts: dict[str, float] = {}
        for part in parts:
            for name, amount in part.amounts.items():
                amounts[name] = amounts.get(name, 0.0) + amount
        yield kinds.pop(), (amounts, min(nodes[place].own_seconds for nodes in walks))


def held(measured: Measured) -> Iterator[Observation]:
    """What stages hold, with the memory they were seen to take, as far as it is more than any stage
    before took, since freed memory is kept; nothing where it was not sampled."""
    nodes = dict(measured.roots[0].walk())
    first = nodes.get(("read",))
    highest = first.peak_bytes if first is not None else 0
    for stage, amounts in memory.stages(measured.statement, certified=measured.certified):
        node = nodes.get((stage,))
        if node is not None and node.peak_bytes > NEW_PEAK * highest:
            highest = node.peak_bytes
            yield amounts, float(highest)
