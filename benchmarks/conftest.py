"""Shows, after the benchmarks, what an element costs beside its budget."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line per kernel that was measured."""
    session = getattr(config, "_benchmarksession", None)
    measured = [] if session is None else [b for b in session.benchmarks if "ns" in b.extra_info]
    if not measured:
        return
    terminalreporter.section("budgets")
    terminalreporter.write_line(f"{'kernel':<28}{'ns':>9}{'budget':>9}{'times':>7}  per")
    for bench in measured:
        info = bench.extra_info
        terminalreporter.write_line(
            f"{bench.name.removeprefix('test_'):<28}{info['ns']:>9.2f}{info['budget_ns']:>9.2f}"
            f"{info['ns'] / info['budget_ns']:>7.1f}  {info['unit']}"
        )
