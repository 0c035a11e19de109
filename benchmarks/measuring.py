"""What the benchmarks share: the machine, the commit, and commands run as users run them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
PACKAGES = ("numpy", "numba", "torch")


def machine() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    found = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    flags = found.get("flags", "").split()
    extra = [name for name in ("avx2", "avx512f", "sha_ni") if name in flags]
    return f"{found.get('model name', 'unknown')} ({', '.join(extra)})"


def commit() -> str | None:
    """The commit that is measured, ``+`` behind it if files differ; ``None`` outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def header(kind: str) -> dict[str, Any]:
    """The first entries of every result; a load above 0 or so makes the figures worthless."""
    return {
        "format": "zktrain-benchmark-1",
        "kind": kind,
        "command": _command(),
        "machine": machine(),
        "threads": int(os.environ.get("ZKTRAIN_THREADS", len(os.sched_getaffinity(0)))),
        "load_average": round(os.getloadavg()[0], 2),
        "commit": commit(),
    }


def _command() -> str:
    """The command line, with the names of files only."""
    arguments = [Path(a).name if os.sep in a else a for a in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def zktrain(*arguments: object) -> tuple[dict[str, Any], float]:
    """Run a command as its own process: its JSON object and the seconds of the process."""
    command = [sys.executable, "-m", "zktrain", *map(str, arguments), "--json"]
    print("$ zktrain", *map(str, arguments), file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}: {done.stdout.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result, seconds


def variant(recipe: Path, folder: Path, *, onnx: Path | None = None, **changes: object) -> Path:
    """A copy of ``recipe`` in ``folder`` with other values of some keys."""
    model = onnx or (recipe.parent / _value(recipe, "onnx").strip('"'))
    values = {"onnx": json.dumps(str(model.resolve())), **changes}
    lines = []
    for line in recipe.read_text().splitlines():
        key = line.partition("=")[0].strip()
        lines.append(f"{key} = {values[key]}" if key in values and "=" in line else line)
    path = folder / recipe.name
    path.write_text("\n".join(lines) + "\n")
    return path


def _value(recipe: Path, key: str) -> str:
    for line in recipe.read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == key:
            return value.partition("#")[0].strip()
    raise KeyError(key)


def warm_up(folder: Path) -> None:
    """Prove a few steps once, so that nothing measured imports libraries or compiles kernels."""
    import zktrain as package

    recipe = variant(ROOT / "circuits" / "digits-mlp-64.toml", folder, steps=2)
    run = folder / "warm-up"
    package.train(recipe, data="digits", out=run, compare_float=True)
    package.prove(run)


def write(result: dict[str, Any], out: Path) -> None:
    """Write a result as JSON, lists of numbers on one line."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1)
    compact = []
    depth = 0
    for line in text.splitlines():
        opens, closes = line.count("["), line.count("]")
        if depth:
            compact[-1] += line.strip().replace(",", ", ") if closes == 0 else line.strip()
        else:
            compact.append(line)
        depth += opens - closes
    out.write_text("\n".join(compact) + "\n")
    print(f"{out} written", file=sys.stderr)
