"""Where the command ``zktrain`` begins and ends."""

from __future__ import annotations

import sys

from . import streams


def run(arguments: list[str] | None = None) -> None:
    """The console script: ``verify`` and ``verify-eval`` in their plain form at once, everything
    else through the parser of all commands. Leaves with the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    streams.prepare()
    sys.exit(_ended(given))


def _ended(given: list[str]) -> int:
    """The exit code; what no command has caught is a failure, never a verdict."""
    from .outcome import FAILED, finish

    try:
        _chosen(given)
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else FAILED
        return code or finish()
    except BaseException as error:
        return finish(error)
    return finish()


def _chosen(given: list[str]) -> None:
    if given[:1] in (["verify"], ["verify-eval"]):
        from .judge import judge, plain

        asked = plain(given)
        if asked is not None:
            judge(**asked)
            return
    from .main import run as run_any

    run_any(given)
