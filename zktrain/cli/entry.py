"""Where the command ``zktrain`` begins."""

from __future__ import annotations

import sys


def run(arguments: list[str] | None = None) -> None:
    """The console script: ``verify`` and ``verify-eval`` in their plain form at once, everything
    else through the parser of all commands."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["verify"]:
        from .judge import judge, plain

        asked = plain(given)
        if asked is not None:
            judge(**asked)
            sys.exit(0)
    if given[:1] == ["verify-eval"]:
        from .judge_eval import judge_eval, plain_eval

        asked = plain_eval(given)
        if asked is not None:
            judge_eval(**asked)
            sys.exit(0)
    from .main import run as run_any

    run_any(given)
