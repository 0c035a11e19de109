"""Check and measure zktrain on a machine with one NVIDIA GPU and no network, in at most 8 minutes.

    scripts/gpu_check.sh [--out FOLDER] [--wheels FOLDER] [--commit HASH] [--parts NAME,...]
                         [--keep FOLDER] [--device cuda|cpu] [--tiny]

Parts, each in a process of its own and with a time limit; one that fails does not stop the others:

    device    what is there, a first kernel, a first exact product
    kernels   every kernel's twin against Python integers and the CPU's kernel (tests/kernels)
    train     `train --device cuda`: are the weights the CPU's, to the bit?
    prove     `prove --device cuda`: are the proofs the CPU's, to the byte? (with a known seed)
    bench     `bench`: seconds by stage on the CPU and on the GPU

Everything is written to gpu-check.json in $OUT, or in benchmarks/results/gpu, after every part;
docs/bench.md says what is in it. Without a CUDA device nothing is measured, and the exit code is 0;
it is 1 where a part did not pass.

torch, numba, numba-cuda and numpy have to be there. What else is missing is installed from the
wheels in FOLDER (by default `wheels` beside this folder), in a virtual environment that is removed
at the end, as are all caches. Fill it where there is a network, for the Python of that machine:

    python3 -m pip download --only-binary=:all: --python-version 3.12 \\
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \\
        --dest wheels onnx typer rich scikit-learn

--keep FOLDER leaves compiled kernels there for a second run. --device cpu --tiny is a rehearsal:
the same parts on a machine without a GPU, in seconds, with numba's CUDA simulator.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FORMAT = "zktrain-gpu-check-1"
RESULT = "gpu-check.json"
LIMITS = {"device": 60, "kernels": 130, "train": 70, "prove": 140, "bench": 80}
"""Seconds, together eight minutes. What a part leaves over is for the next."""
NEEDED = {"numpy": "numpy", "numba": "numba", "torch": "torch", "onnx": "onnx", "typer": "typer"}
NEEDED |= {"rich": "rich"}
"""Modules, and the distributions that have them."""
VERSIONS = ("torch", "numba", "numba-cuda", "llvmlite", "numpy", "cuda-bindings", "cuda-core")
VERSIONS += ("nvidia-nvvm", "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "nvidia-cublas", "onnx")
SITE = """try:
    import numpy
    if not hasattr(numpy, "row_stack"):
        numpy.row_stack = numpy.vstack
except ImportError:
    pass
"""
"""Run by every Python of the check: numba-cuda 0.30 wants a name that numpy 2.5 has removed."""
_TAIL = 12000
"""Characters of the output of a part that are kept where it did not pass."""

Json = dict[str, Any]


class Wrong(Exception):
    """What stops the whole check."""


def run_part(name: str, options: argparse.Namespace, folder: Path, limit: float) -> Json:
    """Its verdict, seconds and figures, whatever happens to it."""
    own = folder / name
    own.mkdir()
    words = [options.python, str(ROOT / "scripts" / "gpu_parts.py"), name, str(own)]
    words += [f"{limit:.0f}", options.device, *(["tiny"] if options.tiny else [])]
    started = time.perf_counter()
    with (own / "output").open("w") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=subprocess.STDOUT, env=environment(folder, options),
            start_new_session=True,
        )  # fmt: skip
        try:
            verdict = "passed" if process.wait(limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            verdict = "out of time"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    part: Json = {"name": name, "verdict": verdict, "limit": round(limit, 1)}
    part["seconds"] = round(time.perf_counter() - started, 2)
    notes = own / "notes.json"
    part["figures"] = json.loads(notes.read_text()) if notes.is_file() else {}
    if verdict != "passed":
        part["output"] = (own / "output").read_text(errors="replace")[-_TAIL:]
    shutil.rmtree(own, ignore_errors=True)
    return part


def environment(folder: Path, options: argparse.Namespace) -> dict[str, str]:
    """Nothing but ``folder`` is written, and nothing is fetched."""
    kept = Path(options.keep).resolve() if options.keep else folder
    for name in ("numba", "cache"):
        (kept / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(SITE)
    path = [str(folder / "site"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),
        "NUMBA_CACHE_DIR": str(kept / "numba"),
        "XDG_CACHE_HOME": str(kept / "cache"),
        "NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS": "0",
        "NUMBA_ENABLE_CUDASIM": "0",
        "CUDA_CACHE_PATH": str(kept / "cache" / "ptx"),
    }
    toolkit = cuda_home()
    if toolkit is not None:  # where numba-cuda looks for libnvvm, if no wheel has it
        found |= {"CUDA_HOME": toolkit, "CUDA_PATH": toolkit}
    return found


def cuda_home() -> str | None:
    """The CUDA toolkit, if there is one."""
    compiler = shutil.which("nvcc")
    places = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places.append(str(Path(compiler).resolve().parent.parent) if compiler else None)
    return next((at for at in places if at and (Path(at) / "nvvm").is_dir()), None)


def with_wheels(wheels: Path, folder: Path) -> str:
    """A Python that has all of ``NEEDED``: this one, or a virtual environment with what is missing,
    which sees the packages of this one. Raises ``Wrong``."""
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if not missing:
        return sys.executable
    if not wheels.is_dir():
        raise Wrong(f"{', '.join(missing)} are missing; give --wheels, see --help")
    home = folder / "venv"
    quiet = [sys.executable, "-m"]
    subprocess.run(
        [*quiet, "venv", "--without-pip", "--system-site-packages", str(home)], check=True
    )
    (own,) = home.glob("lib/python*/site-packages")
    # The system's packages are not those of a virtual environment that this one is made from.
    seen = [at for at in [*site.getsitepackages(), site.getusersitepackages()] if Path(at).is_dir()]
    lines = [f"import site; site.addsitedir({at!r})" for at in seen]
    (own / "seen.pth").write_text("\n".join(lines) + "\n")
    install = ["install", "--isolated", "--quiet", "--no-index", "--find-links", str(wheels)]
    subprocess.run([*quiet, "pip", *install, "--target", str(own), *missing], check=True)
    return str(home / "bin" / "python")


def cards() -> list[str]:
    """What ``nvidia-smi`` says of each: name, driver, memory, capability."""
    fields = "name,driver_version,memory.total,compute_cap"
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.strip().splitlines()


def has_device(python: str, env: Mapping[str, str]) -> bool:
    """Whether torch or numba has one."""
    code = "import torch; from zktrain.prover.kernels.device import has_cuda; import sys; "
    code += "sys.exit(0 if torch.cuda.is_available() or has_cuda() else 1)"
    try:
        return (
            subprocess.run([python, "-c", code], env=env, timeout=60, check=False).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


def header(options: argparse.Namespace) -> Json:
    """Where and of what the check is."""
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "format": FORMAT,
        "verdict": "not measured",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": 0.0,
        "device": options.device,
        "tiny": options.tiny,
        "commit": options.commit or head(),
        "source_sha256": source_digest(),
        "cards": cards(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": versions,
        "parts": [],
    }


def head() -> str | None:
    """The commit, ``+`` behind it where files differ; None without git."""
    words = ["git", "-C", str(ROOT)]
    try:
        found = [
            subprocess.run([*words, *more], capture_output=True, text=True, check=True).stdout
            for more in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "zktrain"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return found[0].strip() + ("+" if found[1] else "")


def source_digest() -> str:
    """Of the package's files, which name the code where there is no git."""
    out = hashlib.sha256()
    for path in sorted((ROOT / "zktrain").rglob("*.py")):
        out.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return out.hexdigest()


def result_path(wanted: str | None) -> Path:
    """A file that can be written."""
    default = ROOT / "benchmarks" / "results" / "gpu"
    for folder in (wanted, os.environ.get("OUT"), default, tempfile.gettempdir()):
        if not folder:
            continue
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return Path(folder) / RESULT
        except OSError:
            continue
    raise SystemExit("no folder can be written; give --out")


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", help="folder of the result")
    parser.add_argument("--wheels", default=str(ROOT / "wheels"), help="what may be installed")
    parser.add_argument("--commit", help="of this tree, where there is no git")
    parser.add_argument("--parts", default=",".join(LIMITS), help="some of them")
    parser.add_argument("--keep", help="folder for compiled kernels, for another run")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes of a rehearsal")
    options = parser.parse_args(words)
    options.python = sys.executable
    options.wanted = [name for name in LIMITS if name in options.parts.split(",")]
    if len(options.wanted) != len(options.parts.split(",")):
        parser.error(f"parts are {', '.join(LIMITS)}")
    return options


def check(options: argparse.Namespace, folder: Path, path: Path) -> Json:
    """All parts, and the result after each."""
    started = time.perf_counter()
    result = header(options)

    def keep() -> None:
        result["seconds"] = round(time.perf_counter() - started, 1)
        waiting = path.with_suffix(".part")
        waiting.write_text(json.dumps(result, indent=1) + "\n")
        waiting.replace(path)

    there = options.device != "cuda" or result["cards"]
    there = there or has_device(sys.executable, environment(folder, options))
    try:
        if there:
            options.python = with_wheels(Path(options.wheels).resolve(), folder)
    except (Wrong, subprocess.SubprocessError) as error:
        result |= {"verdict": "failed", "error": str(error)}
        keep()
        return result
    if not there:
        print("no CUDA device")
    given = 0.0
    for name in options.wanted:
        given += LIMITS[name]
        left = given - (time.perf_counter() - started)
        if not there or left < 1:
            part: Json = {"name": name, "verdict": "not measured"}
        else:
            part = run_part(name, options, folder, left)
        print(name, part["verdict"], part.get("seconds", ""), flush=True)
        result["parts"].append(part)
        verdicts = {part["verdict"] for part in result["parts"]}
        if there:
            result["verdict"] = "passed" if verdicts == {"passed"} else "failed"
        keep()
    return result


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    path = result_path(options.out)
    with tempfile.TemporaryDirectory(prefix="zktrain-gpu-", ignore_cleanup_errors=True) as name:
        result = check(options, Path(name).resolve(), path)
    print(json.dumps(result))
    print(f"{result['verdict']}: {path}")
    return 1 if result["verdict"] == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())
