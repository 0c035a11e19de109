"""Calls of ezkl in a process of their own: a crash there is an error here, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ..errors import InputError
from ..extras import require
from .parameters import EZKL_VERSION

_ROOT = Path(__file__).resolve().parents[2]


class EzklFailure(InputError):
    """ezkl refused a call or its process died; nothing was judged, and what was kept stays."""


class Native:
    """A child process (``zktrain.ezkl.child``), started at the first call and again after a crash.

    ``folder`` is a temporary directory for its files; ``peak`` the largest memory of any child.
    """

    def __init__(self) -> None:
        require_ezkl()
        self._temporary = tempfile.TemporaryDirectory(prefix="zktrain-ezkl-")
        self.folder = Path(self._temporary.name)
        self.peak = 0
        self._process: subprocess.Popen[str] | None = None
        self._answers: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._temporary.cleanup()

    @property
    def pid(self) -> int | None:
        """Of the child, if one runs."""
        return None if self._process is None else self._process.pid

    def call(self, name: str, **arguments: Any) -> Any:
        """The result of one call. Raises :class:`EzklFailure`."""
        if self._process is None:
            self._start()
        process, answers = self._process, self._answers
        if process is None or answers is None or process.stdin is None:
            raise EzklFailure("the process that runs ezkl could not be started")
        line = ""
        try:
            process.stdin.write(json.dumps({"call": name, **arguments}, default=str) + "\n")
            process.stdin.flush()
            line = answers.readline()
        except BrokenPipeError:
            pass
        if not line.endswith("\n"):
            raise self._died(name)
        answer = json.loads(line)
        self.peak = max(self.peak, int(answer["peak"]))
        if "error" in answer:
            raise EzklFailure(f"ezkl failed in {name}: {_sentence(answer['error'])}")
        return answer["result"]

    def stop(self) -> None:
        """End the child, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._answers is not None:
            self._answers.close()
        self._process = self._answers = None

    def _start(self) -> None:
        reading, writing = os.pipe()
        known = os.environ.get("PYTHONPATH")
        paths = [str(_ROOT), *([known] if known else [])]  # this package, wherever it is from
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        threads = environment.get("ZKTRAIN_THREADS")
        if threads:
            environment["RAYON_NUM_THREADS"] = threads
        with open(self.folder / "messages", "w") as messages:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "zktrain.ezkl.child", str(writing)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                pass_fds=(writing,),
                text=True,
                env=environment,
                cwd=self.folder,
            )
        os.close(writing)
        self._answers = os.fdopen(reading)

    def _died(self, name: str) -> EzklFailure:
        process = self._process
        code = None
        if process is not None:
            try:
                code = process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        self.stop()
        if code == -signal.SIGKILL:
            how = "was killed, most likely because memory ran out: free some, or use a larger one"
        elif code is not None and code < 0:
            how = f"crashed with signal {-code} in ezkl's native code"
        else:
            how = f"ended with code {code}: {_sentence(self._messages())}"
        return EzklFailure(f"the process that runs ezkl {how} (in {name})")

    def _messages(self) -> str:
        try:
            return (self.folder / "messages").read_text(errors="replace")[-2000:]
        except OSError:
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


def _sentence(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
