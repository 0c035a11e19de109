"""Many random circuits, once: ``python -m tests.oracle.run --circuits 5000 --seed S --out FILE``.

First every circuit is trained and compared with the oracle, then they are proved and judged, one
after the other, as far as time allows. FILE is the summary, a JSON that is written again every few
seconds; the same command goes on where it was ended. ``--replay KEY`` checks one circuit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .check import Failure, Outcome, check, replay
from .circuits import PAIRS, Case, Coverage, draw, draws, features

_SAVE_SECONDS = 10.0


def _fresh(seed: str, circuits: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "circuits": circuits,
        "trained": 0,
        "proved": 0,
        "stopped": [],
        "failures": [],
        "features": {},
        "pairs": {"possible": len(PAIRS), "covered": 0, "proved": 0, "missing": []},
        "largest_difference": {"weights": 0.0, "layers": 0.0, "share": 0.0},
        "seconds": {"train": 0.0, "prove": 0.0},
    }


class _Summary:
    def __init__(self, path: Path, seed: str, circuits: int) -> None:
        self.path = path
        self.now = _fresh(seed, circuits)
        if path.exists():
            found = json.loads(path.read_text())
            if (found["seed"], found["circuits"]) != (seed, circuits):
                sys.exit(f"{path} is about another seed or number of circuits; name another file")
            self.now = found
        self.trained, self.proved = Coverage(), Coverage()
        self._saved = time.monotonic()

    def failed(self, case: Case, failure: Failure) -> None:
        print(f"FAILED {failure}\n{replay(case)}", flush=True)
        entry = {"key": case.key, "kind": failure.kind, "detail": str(failure)[:1000]}
        if entry["key"] not in [known["key"] for known in self.now["failures"]]:
            self.now["failures"].append(entry)

    def compared(self, outcome: Outcome) -> None:
        most, found = self.now["largest_difference"], outcome.difference
        figures = {"weights": found.worst, "layers": found.forward, "share": found.share}
        for name, value in figures.items():
            most[name] = max(most[name], value)

    def save(self, *, force: bool = False) -> None:
        if not force and time.monotonic() - self._saved < _SAVE_SECONDS:
            return
        self._saved = time.monotonic()
        pairs = self.now["pairs"]
        pairs["covered"] = len(PAIRS) - len(self.trained.missing)
        pairs["missing"] = self.trained.missing
        pairs["proved"] = len(PAIRS) - len(self.proved.missing)
        self.now["features"] = dict(self.trained.features)
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps(self.now, indent=1) + "\n")
        os.replace(temporary, self.path)


def _train(summary: _Summary, cases: Iterator[Case]) -> None:
    for number, case in enumerate(cases):
        if number >= summary.now["trained"]:
            since = time.monotonic()
            try:
                outcome = check(case, prove=False)
            except Failure as failure:
                summary.failed(case, failure)
            else:
                summary.compared(outcome)
                if outcome.stopped:
                    summary.now["stopped"].append(case.key)
            summary.now["seconds"]["train"] += time.monotonic() - since
            summary.now["trained"] = number + 1
        if case.key not in summary.now["stopped"]:
            summary.trained.add(features(case))
        summary.save()
    summary.save(force=True)


def _prove(summary: _Summary, cases: Iterator[Case]) -> None:
    skipped = set(summary.now["stopped"])
    skipped |= {known["key"] for known in summary.now["failures"]}
    done = 0
    for case in cases:
        if case.key in skipped:
            continue
        done += 1
        if done > summary.now["proved"]:
            since = time.monotonic()
            try:
                check(case)
            except Failure as failure:
                summary.failed(case, failure)
            summary.now["seconds"]["prove"] += time.monotonic() - since
            summary.now["proved"] = done
        summary.proved.add(features(case))
        summary.save()
    summary.save(force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuits", type=int, default=5000)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--out", type=Path, default=Path("oracle.json"))
    parser.add_argument("--no-proofs", action="store_true")
    parser.add_argument("--replay", metavar="KEY")
    given = parser.parse_args()
    if given.replay is not None:
        case = draw(given.replay)
        print(replay(case), ", ".join(features(case)), sep="\n")
        print(check(case))
        return
    summary = _Summary(given.out, given.seed, given.circuits)
    _train(summary, draws(given.seed, given.circuits))
    print(summary.trained.table(), flush=True)
    if not given.no_proofs:
        _prove(summary, draws(given.seed, given.circuits))
    print(json.dumps({k: v for k, v in summary.now.items() if k != "features"}, indent=1))
    sys.exit(1 if summary.now["failures"] else 0)


if __name__ == "__main__":
    main()
