"""Removes every comparison of the verifier in turn and shows which test notices.

    remove_checks.py --all                  all of them; writes tests/soundness/checks.txt
    remove_checks.py --sample 20 --seed 7   some, against the tests that checks.txt names
    remove_checks.py --site NAME ...        those whose names begin so
    remove_checks.py --list                 the names

``tests/check_sites.py`` says what a comparison is and how it is removed. Where the list names a
test that still notices, nothing else runs (with ``--new`` it is believed). For the others,
``--all`` (and ``--site NAME --tests FILE ...``) runs the tests once with all comparisons watched:
only a test in which a comparison refuses something can notice that it is gone. Then, per
comparison, these tests run without it, the quickest first, each in a child of a process that has
run all of them and keeps what they have computed.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
for variable in ("OMP_NUM_THREADS", "ZKTRAIN_THREADS", "NUMBA_NUM_THREADS", "CI"):
    os.environ.setdefault(variable, "1")

import pytest  # noqa: E402
from check_sites import STATE, all_sites, controlled, removed, sites  # noqa: E402

LIST = ROOT / "tests" / "soundness" / "checks.txt"
TESTS = {
    "native": (
        *(
            f"soundness/test_{name}.py"
            for name in (
                "forged_datasets",
                "forged_openings",
                "lying_evaluation",
                "lying_hidden",
                "lying_messages",
                "lying_momentum",
                "lying_training",
                "lying_witness",
                "nonzero_padding",
                "opening_work",
                "single_checks",
                "statement_refused",
                "tamper_manifest",
            )
        ),
        *("commitment", "dataset/test_dataset_commitment.py", "circuit/test_canonical_circuit.py"),
        *("circuit/test_canonical_images.py", "circuit/test_circuit_sizes.py"),
        *("circuit/test_momentum_filter.py", "circuit/test_momentum_recipe.py"),
        *("images/test_frozen_layers.py", "images/test_lying_images.py", "training/test_order.py"),
        *("training/test_weight_file.py", "training/test_initial_weights.py"),
        *("test_evaluation.py", "cli/test_command_line.py"),
        "files/test_reading.py",
    ),
    "data": ("dataset", "test_caches.py", "test_public_arguments.py"),
    "ezkl": ("srs", "ezkl", "files", "test_caches.py"),
}
"""Folders and files whose tests may notice."""
EQUIVALENT = "equivalent: "
SURVIVES = "survives"
NOTICED = "noticed"
MEMORY = 12 << 30
TRIES = 12
"""Tests that are tried for one site, those that name it first."""
PATIENCE = 60
"""Seconds that a test has beyond ten times what it took with all checks."""


@dataclass
class Trace:
    """Of one test: what refused in it, which sites it names, seconds, whether it passed."""

    fired: list[str]
    named: list[str]
    seconds: float
    passed: bool


def read_list() -> dict[str, str]:
    """Site to the test that notices, or the reason why none has to."""
    if not LIST.exists():
        return {}
    lines = (line for line in LIST.read_text().splitlines() if line and line[0] != "#")
    return dict(tuple(line.rsplit(" | ", 1)) for line in lines)  # type: ignore[misc]


def write_list(found: dict[str, str]) -> None:
    head = (
        "# Every comparison of the verifier, and a test that fails when it alone is removed.\n"
        "# Made by scripts/remove_checks.py --all; reasons behind 'equivalent:' are kept.\n"
    )
    lines = sorted(f"{name} | {test}\n" for name, test in found.items())
    LIST.write_text(head + "".join(lines))


# A worker holds collected tests; it runs them once itself, and mutants of them in children.


@dataclass
class Worker:
    """Plugin of pytest: serves requests of the parent in the place of the loop over tests."""

    line: Connection
    wanted: set[str] | None = None
    items: dict[str, Any] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {
            item.nodeid: item
            for item in session.items
            if self.wanted is None or item.nodeid in self.wanted
        }
        self.line.send(list(self.items))
        while (request := self.line.recv()) is not None:
            kind, *rest = request
            self.line.send(self.trace(*rest) if kind == "trace" else self.mutant(*rest))
        return True

    def _run(self, item: Any, following: Any) -> list[Any]:
        from _pytest.runner import runtestprotocol

        return runtestprotocol(item, log=False, nextitem=following)

    def trace(self, nodeid: str, following: str | None = None) -> Trace:
        """``following`` is the test that runs next, if it is known: what both need is kept."""
        item = self.items[nodeid]
        after = _Session(item) if following is None else self.items[following]
        STATE.fired, STATE.named = set(), set()
        started = time.perf_counter()
        with controlled(list(all_sites())):
            passed = all(report.passed for report in self._run(item, after))
        return Trace(
            sorted(STATE.fired), sorted(STATE.named), time.perf_counter() - started, passed
        )

    def mutant(self, nodeid: str, name: str, seconds: float) -> str:
        """``passed``, ``failed`` or ``late``: the outcome without the site."""
        child = os.fork()
        if not child:
            code = 2
            try:
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                site = all_sites()[name]
                with removed(site, clear_only=site.module != "hiding"):
                    reports = self._run(self.items[nodeid], None)
                code = 0 if all(report.passed for report in reports) else 1
            finally:
                os._exit(code)
        until = time.monotonic() + PATIENCE + 10 * seconds
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return "passed" if status == 0 else "failed"
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "late"


class _Session:
    """Stands for a next test that shares only the session with the last one."""

    def __init__(self, item: Any) -> None:
        self._chain = [item.session]

    def listchain(self) -> list[Any]:
        return self._chain


class Pool:
    """Workers, each with the test files of its own."""

    def __init__(self, files: list[str], count: int, wanted: set[str] | None = None) -> None:
        self.lines: list[Connection] = []
        self.locks: list[Lock] = []
        self.owner: dict[str, int] = {}
        self.pids: list[int] = []
        shares = [files[k::count] for k in range(count)]
        for share in filter(None, shares):
            mine, theirs = Pipe()
            pid = os.fork()
            if not pid:
                mine.close()
                null = os.open(os.devnull, os.O_WRONLY)
                if not os.environ.get("REMOVE_CHECKS_SHOW"):
                    os.dup2(null, 1)
                    os.dup2(null, 2)
                options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:benchmark"]
                pytest.main([*options, *share], plugins=[Worker(theirs, wanted)])
                os._exit(0)
            theirs.close()
            self.lines.append(mine)
            self.locks.append(Lock())
            self.pids.append(pid)
        for number, line in enumerate(self.lines):
            try:
                collected = line.recv()
            except EOFError:
                raise SystemExit("some of the tests cannot be collected") from None
            for nodeid in collected:
                self.owner[nodeid] = number

    def ask(self, kind: str, nodeid: str, *rest: Any) -> Any:
        number = self.owner[nodeid]
        with self.locks[number]:
            self.lines[number].send((kind, nodeid, *rest))
            return self.lines[number].recv()

    def close(self) -> None:
        for line, pid in zip(self.lines, self.pids, strict=True):
            line.send(None)
            os.waitpid(pid, 0)


def trace_all(pool: Pool) -> dict[str, Trace]:
    """All tests once, each worker its own."""
    out: dict[str, Trace] = {}
    total = len(pool.owner)

    def share(number: int) -> None:
        mine: list[str | None] = [n for n, owner in pool.owner.items() if owner == number]
        for nodeid, following in pairwise([*mine, None]):
            assert nodeid is not None
            out[nodeid] = pool.ask("trace", nodeid, following)
            if len(out) % 100 == 0:
                print(f"watched {len(out)} of {total} tests", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(len(pool.lines)) as threads:
        list(threads.map(share, range(len(pool.lines))))
    return out


def noticed_by(pool: Pool, name: str, traces: dict[str, Trace]) -> str:
    """The first test that notices; those that name the site first, then the quickest."""

    def order(nodeid: str) -> tuple[bool, float]:
        return name not in traces[nodeid].named, traces[nodeid].seconds

    candidates = [n for n, t in traces.items() if t.passed and name in {*t.fired, *t.named}]
    for nodeid in sorted(candidates, key=order)[:TRIES]:
        if pool.ask("mutant", nodeid, name, traces[nodeid].seconds) != "passed":
            return nodeid
    return SURVIVES


def files_of(parts: Sequence[str]) -> list[str]:
    """Test files in these folders and files; names of tests as they are."""
    out: list[str] = []
    for part in parts:
        path = Path(part)
        inside = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
        out += [str(found) for found in inside if Path(str(found).partition("::")[0]).exists()]
    return out


def remove_all(wanted: list[str], files: list[str], jobs: int) -> dict[str, str]:
    """Each site with the test that notices: the one that the list names, or else one of ``files``,
    found by watching them all."""
    before = read_list()
    started = time.perf_counter()
    kept = {name: before[name] for name in wanted if "::" in before.get(name, "")}
    verdicts = judge_known(kept, jobs)
    found = {name: kept[name] for name, verdict in verdicts.items() if verdict == NOTICED}
    left = [name for name in wanted if name not in found]
    print(f"{len(found)} as listed, {len(left)} to search for", file=sys.stderr, flush=True)
    if left:
        pool = Pool(files, jobs)
        traces = trace_all(pool)
        seconds = time.perf_counter() - started
        print(f"{len(traces)} tests watched after {seconds:.0f} s", file=sys.stderr, flush=True)
        for nodeid in [nodeid for nodeid, trace in traces.items() if not trace.passed][:20]:
            print(f"not used, for it does not pass: {nodeid}", file=sys.stderr)

        def judge(name: str) -> None:
            result = noticed_by(pool, name, traces)
            if result == SURVIVES and before.get(name, "").startswith(EQUIVALENT):
                result = before[name]
            found[name] = result
            if result == SURVIVES:
                fired = sum(name in trace.fired for trace in traces.values())
                print(f"survives ({fired} tests): {name}", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(len(pool.lines)) as threads:
            list(threads.map(judge, left))
        pool.close()
    seconds = time.perf_counter() - started
    equivalent = sum(v.startswith(EQUIVALENT) for v in found.values())
    survivors = sum(v == SURVIVES for v in found.values())
    print(
        f"{len(found)} checks, {len(found) - equivalent - survivors} noticed, "
        f"{equivalent} equivalent, {survivors} survive; {seconds:.0f} s"
    )
    return found


def judge_known(tests: dict[str, str], jobs: int, *, say: bool = False) -> dict[str, str]:
    """Each site against one test: ``noticed``, ``SURVIVES``, or why the test cannot tell."""
    if not tests:
        return {}
    files = sorted({test.partition("::")[0] for test in tests.values()})
    pool = Pool([file for file in files if Path(file).exists()], jobs, set(tests.values()))
    passed: dict[str, Trace] = {}
    out: dict[str, str] = {}

    def judge(pair: tuple[str, str]) -> None:
        name, test = pair
        verdict = "GONE"
        if test in pool.owner:
            if test not in passed:
                passed[test] = pool.ask("trace", test)
            verdict = "BROKEN"
            if passed[test].passed:
                outcome = pool.ask("mutant", test, name, passed[test].seconds)
                verdict = "SURVIVES" if outcome == "passed" else NOTICED
        out[name] = verdict
        if say or verdict != NOTICED:
            print(f"{verdict}  {name}\n    {test}", flush=True)

    with ThreadPoolExecutor(max(1, len(pool.lines))) as threads:
        list(threads.map(judge, sorted(tests.items(), key=lambda pair: pair[1])))
    pool.close()
    return out


def remove_known(wanted: list[str], jobs: int) -> int:
    """Each site against the test that the list names; the number that is not noticed."""
    known = read_list()
    tests = {name: known.get(name, SURVIVES) for name in wanted}
    judged = {n: t for n, t in tests.items() if "::" in t}
    verdicts = judge_known(judged, jobs, say=True)
    bad = sum(verdict != NOTICED for verdict in verdicts.values())
    for name in sorted(set(wanted) - set(judged)):
        equivalent = tests[name].startswith(EQUIVALENT)
        bad += not equivalent
        print(f"{'kept' if equivalent else 'SURVIVES'}  {name}\n    {tests[name]}")
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true")
    what.add_argument("--sample", type=int)
    what.add_argument("--site", nargs="*")
    what.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--group", choices=list(TESTS))
    parser.add_argument("--new", action="store_true", help="only those that are not in the list")
    parser.add_argument("--tests", nargs="*", help="files and folders, all that may notice if none")
    options = parser.parse_args()
    os.chdir(ROOT)
    names = list(all_sites())
    if options.group:
        names = [site.name for site in sites(options.group)]
    if options.new:
        names = [name for name in names if name not in read_list()]
    if options.site:
        names = [name for name in names if name.startswith(tuple(options.site))]
    if options.list:
        print("\n".join(names))
        return 0
    if options.all or (options.site and options.tests):
        groups = [options.group] if options.group else list(TESTS)
        tests = [f"tests/{part}" for group in groups for part in TESTS[group]]
        found = remove_all(names, files_of(options.tests or tests), options.jobs)
        print("\n".join(f"{name} | {found[name]}" for name in names if options.site))
        write_list({**{n: t for n, t in read_list().items() if n in all_sites()}, **found})
        return int(SURVIVES in found.values())
    if options.site:
        bad = remove_known(names, options.jobs)
    else:
        seed = random.randrange(1 << 32) if options.seed is None else options.seed
        chosen = random.Random(seed).sample(sorted(names), min(options.sample, len(names)))
        print(f"seed {seed}: {len(chosen)} of {len(names)} checks", flush=True)
        bad = remove_known(chosen, options.jobs)
    print(f"{bad} not noticed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
