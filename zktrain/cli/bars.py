"""Progress bars on standard error, when that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from ..progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Display
    from rich.progress import TaskID

_T = TypeVar("_T")


@contextmanager
def bars(*, transient: bool = False) -> Iterator[Progress]:
    """A ``Progress`` that draws one bar per stage; silent where nobody looks at a terminal.

    A ``transient`` display vanishes when the work is done.
    """
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    display = Display(
        TextColumn("{task.description:<19}", markup=False),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[count]:>11}", markup=False),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}", style="dim", markup=False),
        console=Console(stderr=True),
        transient=transient,
    )
    with display:
        stages = _Stages(display)
        yield stages
        stages.leave()


def working(verb: Callable[..., _T], asked: Mapping[str, Any], *, transient: bool = False) -> _T:
    """The result of a verb, with bars while it works."""
    with bars(transient=transient) as progress:
        return verb(**asked, progress=progress)


@contextmanager
def notices() -> Iterator[None]:
    """Print every ``Notice`` on standard error, one line each."""
    import warnings

    from ..notices import Notice

    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, Notice):
                print(f"note: {message}", file=sys.stderr, flush=True)
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def say_first_use() -> None:
    """Tell somebody at a terminal why the first run takes longer."""
    if not sys.stderr.isatty():
        return
    from ..prover.kernels.compiled import compiled

    if not compiled():
        print(
            "First use on this machine: kernels are compiled once, for up to a minute in all.",
            file=sys.stderr,
        )


def lines(stage: str, done: int, total: int, **figures: float) -> None:
    """A ``Progress`` of one line per run, where nobody looks at a terminal."""
    if not stage.startswith(" "):
        print(f"{done}/{total} {stage}", file=sys.stderr, flush=True)


class _Stages:
    """One bar per stage, pulsing where there is nothing to count.

    A stage ends when the next one begins, and begins anew when it comes back.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._tasks: dict[str, TaskID] = {}
        self._current: str | None = None

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None:
        if stage != self._current:
            self._enter(stage)
        task, counted = self._tasks[stage], total > 1
        shown = [f"{name} {value:.4g}" for name, value in figures.items()]
        speed = next(t.speed for t in self._display.tasks if t.id == task)
        if counted and speed and done < total:
            shown.insert(0, f"{speed:,.4g}/s")
        self._display.update(
            task,
            completed=done,
            total=total if counted or done >= total else None,
            count=f"{done:,}/{total:,}" if counted else "",
            figures="  ".join(shown),
        )

    def _enter(self, stage: str) -> None:
        self.leave()
        self._current = stage
        if stage in self._tasks:
            self._display.reset(self._tasks[stage])
        else:
            self._tasks[stage] = self._display.add_task(stage, total=None, count="", figures="")

    def leave(self) -> None:
        """End the current stage, if it is one without a count."""
        if self._current is not None:
            task = self._tasks[self._current]
            if next(t.total for t in self._display.tasks if t.id == task) is None:
                self._display.update(task, completed=1, total=1)
