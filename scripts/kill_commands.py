"""Kill commands at random moments, run them again, and look at what is left.

    python scripts/kill_commands.py --moments 200

Commands run in forks of one process that has loaded everything, on one thread, so that most moments
are moments of work. Half of the moments are points in time, half are calls that change a disk,
counted by the command itself. After each kill the same command is run again until it ends, some of
the times killed once more. It has to end accepted; nothing finished may be lost, and no counter may
decrease or be behind what was opened. Prints one line per moment and a summary as JSON; the exit
code is 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "durability")]

_TIMEOUT = 600.0
os.environ.update(ZKTRAIN_THREADS="1", OMP_NUM_THREADS="1")  # threads do not survive a fork


def arguments(name: str, root: Path) -> list[str]:
    """The command line of a command in a prepared folder."""
    run, data = root / "run", root / "data.npz"
    lines: dict[str, list[object]] = {
        "commit": ["commit", data, "--out", root / "new.zkd"],
        "compile": ["compile", root / "tiny.toml", "--out", root / "new.circuit.json"],
        "train": ["train", root / "tiny.toml", "--data", data, "--out", root / "again"],
        "prove": ["prove", run],
        "prove-eval": [
            "prove-eval", run / "weights.safetensors", "--circuit", root / "tiny.circuit.json",
            "--data", root / "test.npz", "--dataset-out", root / "test.zkd",
            "--out", root / "eval.zkt",
        ],
    }  # fmt: skip
    return [str(part) for part in lines[name]]


NAMES = ("commit", "compile", "train", "prove", "prove-eval")


def _child(name: str, root: Path, number: int, said: Path) -> int:
    """Run a command that kills itself at the call ``number`` (0: never); its exit code. What it
    prints, and then the number of its calls, goes to ``said``."""
    from disk import watched

    from zktrain import disk
    from zktrain.cli.entry import run

    disk._swept.clear()  # as in a process that has just begun
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    calls = 0

    def before(call: str, path: str) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        with watched(root, before):
            run(arguments(name, root))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    sys.stdout.flush()
    os.write(1, f"\ncalls {calls}\n".encode())
    return code


def _run(
    name: str, root: Path, number: int = 0, seconds: float = _TIMEOUT
) -> tuple[int | None, str]:
    """Fork a command, and kill it after so many seconds: its exit code, None if it was killed, and
    what it has said."""
    said = root.with_name("said")
    sys.stdout.flush()
    process = os.fork()
    if not process:
        code = 1
        try:
            code = _child(name, root, number, said)
        finally:
            os._exit(code)
    ends = time.perf_counter() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            break
        if time.perf_counter() >= ends:
            os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            break
        time.sleep(0.002)
    text = said.read_text() if said.exists() else ""
    return (None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)), text


def _finish(name: str, root: Path) -> str:
    """What the command says, run to its end. Raises if it fails."""
    code, said = _run(name, root)
    if code != 0:
        raise AssertionError(f"the same command failed ({code}): {said[-500:]}")
    return said


@dataclass(frozen=True)
class Cost:
    """Seconds and calls of a whole command."""

    seconds: float
    calls: int


def measured(name: str, root: Path) -> Cost:
    """What the command takes, undisturbed."""
    began = time.perf_counter()
    said = _finish(name, root)
    (line,) = [line for line in said.splitlines() if line.startswith("calls ")]
    return Cost(time.perf_counter() - began, int(line.split()[1]))


def kill_once(name: str, root: Path, cost: Cost, chance: random.Random) -> str:
    """Begin the command and kill it; says when, and whether it was still running."""
    if chance.random() < 0.5:
        number = chance.randint(1, cost.calls)
        code, _ = _run(name, root, number)
        return f"call {number} of {cost.calls}" + ("" if code is None else " (had ended)")
    seconds = chance.uniform(0, cost.seconds * 1.05)
    code, _ = _run(name, root, seconds=seconds)
    return f"{seconds:.2f} s of {cost.seconds:.2f}" + ("" if code is None else " (had ended)")


def kill_commands(moments: int, seed: int, folder: Path) -> dict[str, object]:
    """Everything in ``folder``; what was found."""
    import commands
    from disk import state_of

    chance = random.Random(seed)
    commands.prepare(folder)
    start = state_of(folder)
    for command in commands.COMMANDS.values():  # everything is loaded
        command.run(folder)
        command.check(folder)
    costs = {}
    for name in NAMES:
        start.write(folder)
        costs[name] = measured(name, folder)
        print(f"{name}: {costs[name].seconds:.2f} s, {costs[name].calls} calls", flush=True)
    problems: list[str] = []
    counts: Counter[str] = Counter()
    while sum(counts.values()) < moments:
        name = chance.choice(NAMES)
        start.write(folder)
        before, when = start, []
        try:
            for _ in range(1 + (chance.random() < 0.3)):  # some are killed again
                when.append(kill_once(name, folder, costs[name], chance))
                counts[name] += 1
                left = state_of(folder)
                commands.require_counted(left, left)
                commands.require_no_less(before, left)
                lost = commands.finished(before) - commands.finished(left)
                assert not lost, f"lost {sorted(lost)}"
                before = left
            _finish(name, folder)
            if name in commands.COMMANDS:
                commands.COMMANDS[name].check(folder)
            after = state_of(folder)
            commands.require_counted(after, after)
            commands.require_no_less(before, after)
            lost = commands.finished(before) - commands.finished(after)
            assert not lost, f"lost {sorted(lost)}"
            litter = [file for file in after.files if ".zktrain-" in file or ".waiting" in file]
            assert not litter, f"left {litter}"
            found = "well"
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            problems.append(f"{name} killed at {' and '.join(when)}: {found}")
        print(f"{name} killed at {' and '.join(when)}: {found}", flush=True)
    return {
        "moments": sum(counts.values()),
        "seed": seed,
        "commands": dict(sorted(counts.items())),
        "problems": problems,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zktrain-kill-") as name:
        folder = Path(name) / "work"
        folder.mkdir()
        found = kill_commands(asked.moments, asked.seed, folder)
    print(json.dumps(found, indent=1))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
