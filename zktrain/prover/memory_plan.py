"""Before proving: does the run fit in memory, and if not, in how many segments it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import machine
from ..cost.estimate import Estimate, estimate, shorter
from ..dataset.readers import Records
from ..errors import InputError
from ..profile import resident_bytes
from ..progress import Progress
from ..protocol.statement import Statement
from ..training.run import Run

SPARE = 0.9
"""Segments are cut so that this share of the memory is enough: predictions are off by some per
cent."""
AUTOMATIC = "automatic_segments"
"""Proof option of a run directory: the recipe leaves the length of segments to the prover."""


def fit(
    run: Run,
    records: Records,
    statement: Statement,
    automatic: bool,
    memory: int | None,
    device: str,
    progress: Progress,
) -> Statement:
    """The statement in segments that fit in ``memory`` bytes (None: what the machine has left).

    Where their length is ``automatic`` and nothing is proved yet, a run that does not fit is cut in
    shorter segments, and ``run`` gets the weights between them. Raises :class:`InputError` with the
    numbers where nothing fits or the length is fixed.
    """
    available = _available() if memory is None else memory
    if available is None:
        return statement
    first = estimate(statement, certified=run.public_dataset.exists())
    if first.peak_bytes <= (SPARE if automatic else 1.0) * available:
        return statement
    proved = any((run.path / "segments").glob("segment-*.bin"))
    fitting = next((f for f in _shorter(first) if f.peak_bytes <= SPARE * available), None)
    if automatic and not proved and fitting is not None:
        cut(run, records, fitting.statement.segment_steps, device, progress)
        return fitting.statement
    if first.peak_bytes <= available:
        return statement
    raise InputError(_refusal(run.path, first, available, fitting, proved and automatic))


def _refusal(
    path: Path,
    first: Estimate,
    available: int,
    fitting: Estimate | None,
    kept: bool,
) -> str:
    numbers = (
        f"proving {path} in segments of {first.statement.segment_steps:,} steps needs about "
        f"{_size(first.peak_bytes)} of memory and {_size(available)} are available"
    )
    optimizer = first.statement.circuit.optimizer
    if fitting is None and optimizer.segment_steps is not None:
        less = optimizer.fewer_steps
        return (
            f"{numbers}, and segments are as long as velocities last; {less} and train again, use "
            "a machine with more memory, or give --memory if more is there"
        )
    if fitting is None:
        least = min(found.peak_bytes for found in (first, *_shorter(first)))
        return (
            f"{numbers}; no shorter segment fits either, which would need {_size(least)}: use a "
            "machine with more memory or fewer records, or give --memory if more is there"
        )
    steps = fitting.statement.segment_steps
    remedy = f"set segment_steps = {steps} in the recipe ({_size(fitting.peak_bytes)}), train again"
    if kept:
        remedy = (
            f"remove {path / 'segments'}, whose segments keep their length, to cut the run in "
            f"segments of {steps:,} steps ({_size(fitting.peak_bytes)})"
        )
    return f"{numbers}; {remedy}, or give --memory if more is there"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 9.5e8 else f"{count / 1e6:.0f} MB"


def _available() -> int | None:
    """What this process has and may still take."""
    left = machine.available_memory()
    return None if left is None else left + resident_bytes()


def _shorter(first: Estimate) -> Iterator[Estimate]:
    """The same run in shorter segments, as far as they can be proved."""
    for statement in shorter(first.statement):
        if statement.problem() is None:
            yield replace(first, statement=statement)


def cut(run: Run, records: Records, steps: int, device: str, progress: Progress) -> None:
    """Keep the weights at every multiple of ``steps``, by training between those that are known."""
    from ..training.trajectory import Trajectory

    total = run.circuit.steps
    known = set(run.boundaries)
    wanted = sorted({*range(0, total, steps), total} - known)
    at, trajectory = -1, None
    for number, boundary in enumerate(wanted):
        progress("boundaries", number, len(wanted))
        before = max(step for step in known if step < boundary)
        if trajectory is None or before > at:
            weights: dict[str, np.ndarray] = run.boundary(before)
            trajectory, at = Trajectory(run.circuit, records, weights, device), before
        trajectory.advance(at, boundary - at)
        at = boundary
        run.write_boundary(boundary, trajectory.weights())
        known.add(boundary)
    run.recut(steps, sorted(known))
