"""Calls of ezkl in a process of their own: a crash there is an error here, and nothing is lost.

What a native library reads from its surroundings is an input of whoever relies on it. The process
therefore gets none of this one's: a home folder and a folder of tables of its own, both new, and an
environment in which every variable is stated (:func:`surroundings`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

from .. import files
from ..circuit.circuit import Circuit
from ..errors import InputError
from ..extras import require
from . import step
from .folders import private_folder
from .parameters import EZKL_VERSION

_ROOT = Path(__file__).resolve().parents[2]
_CHILD = "from zktrain.ezkl.child import main\nmain()\n"

MAX_ONNX_BYTES = 1 << 26
SECONDS = 1800.0
"""No call takes longer, but those that make keys or proofs: ``SECONDS_PER_ROW`` more, ten times
what was measured."""
SECONDS_PER_ROW = 3e-3


EXPORTED: dict[str, bytes] = {}
"""Steps that this process has had exported, by all that they follow from."""


class EzklFailure(InputError):
    """ezkl refused a call or its process died; nothing was judged, and what was kept stays."""


@dataclass(frozen=True, slots=True)
class _Child:
    """A process that reads one call a line and writes one answer a line."""

    process: subprocess.Popen[str]
    calls: IO[str]
    answers: IO[str]


class Native:
    """A child process (``zktrain.ezkl.child``), started at the first call and again after a crash.

    ``folder`` is a temporary directory for its files; ``peak`` the largest memory of any child.
    """

    def __init__(self) -> None:
        require_ezkl()
        self.peak = 0
        self._open = ExitStack()
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        self.folder = self._open.enter_context(private_folder())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._open.close()

    @property
    def pid(self) -> int | None:
        """Of the child, if one runs."""
        return None if self._child is None else self._child.process.pid

    def call(self, name: str, *, logrows: int = 0, **arguments: Any) -> Any:
        """The result of one call, about a circuit of ``2^logrows`` rows where time grows with
        them. Raises :class:`EzklFailure`."""
        if self._child is None:
            self._child = self._started()
        child = self._child
        seconds = SECONDS + (SECONDS_PER_ROW * (1 << logrows) if logrows else 0)
        line, late = "", threading.Event()

        def give_up() -> None:
            late.set()
            child.process.kill()

        watch = threading.Timer(seconds, give_up)
        watch.daemon = True
        watch.start()
        try:
            child.calls.write(json.dumps({"call": name, **arguments}, default=str) + "\n")
            child.calls.flush()
            line = child.answers.readline()
        except BrokenPipeError:
            pass
        finally:
            watch.cancel()
        if late.is_set():
            self.stop()
            raise EzklFailure(
                f"ezkl did not end within {seconds:,.0f} s (in {name}): this network is too much "
                "for it; use a smaller one, or the native backend"
            )
        if not line.endswith("\n"):
            raise self._died(child.process, name)
        answer = json.loads(line)
        self.peak = max(self.peak, int(answer["peak"]))
        if "error" in answer:
            raise EzklFailure(f"ezkl failed in {name}: {_sentence(answer['error'])}")
        return answer["result"]

    def export(self, circuit: Circuit) -> bytes:
        """The circuit's step as ONNX, made by torch once, in a process that ends with it.

        Raises ``RecipeError`` for what is not supported, ``InputError`` without torch.
        """
        step.require_supported(circuit)
        step.require_exporter()
        name = json.dumps(step.fingerprint(circuit))
        if name not in EXPORTED:
            self.stop()
            peak, path = self.peak, self.folder / "step.onnx"
            self.call("export", circuit=circuit.canonical_json().decode(), out=path)
            self.stop()
            self.peak = peak  # of ezkl alone
            EXPORTED[name] = files.read_bytes(path, "exported step", MAX_ONNX_BYTES)
        return EXPORTED[name]

    def stop(self) -> None:
        """End the child, whatever it does."""
        if self._child is not None:
            self._child.process.kill()
            self._child.process.wait()
            with suppress(BrokenPipeError):
                self._child.calls.close()
            self._child.answers.close()
        self._child = None

    def _started(self) -> _Child:
        reading, writing = os.pipe()
        answers = os.fdopen(reading)
        try:
            with open(self.folder / "messages", "w") as messages:
                process = subprocess.Popen(
                    command(_CHILD, str(writing)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=messages,
                    pass_fds=(writing,),
                    text=True,
                    env=surroundings(self.folder),
                    cwd=self.folder,
                )
        except BaseException:
            answers.close()
            raise
        finally:
            os.close(writing)
        return _Child(process, cast(IO[str], process.stdin), answers)

    def _died(self, process: subprocess.Popen[str], name: str) -> EzklFailure:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        self.stop()
        code = process.returncode
        if code == -signal.SIGKILL:
            how = "was killed, most likely because memory ran out: free some, or use a larger one"
        elif code < 0:
            how = f"crashed with signal {-code} in ezkl's native code"
        else:
            how = f"ended with code {code}: {_sentence(self._messages())}"
        return EzklFailure(f"the process that runs ezkl {how} (in {name})")

    def _messages(self) -> str:
        try:
            data = files.read_bytes(self.folder / "messages", "messages", MAX_ONNX_BYTES)
            return data.decode(errors="replace")[-2000:]
        except InputError:
            return ""


def require_ezkl() -> None:
    """Raise ``InputError`` unless ezkl is there, in the version that keys are derived with."""
    from importlib.metadata import PackageNotFoundError, version

    require("ezkl", "the ezkl backend", "ezkl")
    try:
        found = version("ezkl")
    except PackageNotFoundError:
        found = "unknown"
    if found != EZKL_VERSION:
        raise InputError(
            f"the ezkl backend needs ezkl {EZKL_VERSION}, with which keys are derived, and this is "
            f"{found}; run: pip install ezkl=={EZKL_VERSION}"
        )


def command(code: str, *arguments: str) -> list[str]:
    """Python on ``code``, which finds the arguments in ``given``.

    It is deaf to its own variables, to the working directory and to the user's packages: it imports
    from where this process does, in the same order, but for what is relative.
    """
    paths = [path for path in sys.path if os.path.isabs(path)]
    if str(_ROOT) not in paths:
        paths.insert(0, str(_ROOT))
    start = f"import sys\nsys.path[:] = {paths!r}\ngiven = sys.argv[1:]\n"
    return [sys.executable, "-I", "-X", "utf8", "-c", start + code, *arguments]


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a process that runs ezkl or torch, with ``home`` for everything that is
    looked up in a home folder. Nothing of the caller's is in it but a number of threads, and where
    the interpreter's own libraries are."""
    private = ("HOME", "TMPDIR", "EZKL_REPO_PATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    found = dict.fromkeys((*private, "XDG_DATA_HOME", "XDG_RUNTIME_DIR"), str(home))
    found |= {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "CUDA_VISIBLE_DEVICES": ""}
    found |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    threads = os.environ.get("ZKTRAIN_THREADS") or os.environ.get("RAYON_NUM_THREADS") or ""
    if threads.isascii() and threads.isdigit():
        found["RAYON_NUM_THREADS"] = threads
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        folders = [at for at in os.environ.get(name, "").split(os.pathsep) if os.path.isabs(at)]
        if folders:
            found[name] = os.pathsep.join(folders)
    return found


def _sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
