"""Seconds per unit of work, fitted to measured runs and kept in the user's cache directory.

The file is JSON: ``format``, ``machine``, ``seconds`` (for each kind of work and each amount of it,
seconds per unit), ``memory`` (bytes that libraries take, and factors). Without one of its own a
machine uses that of the package, which is a real one of another machine.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np

from .. import disk, files, machine
from ..caches import cache_home
from ..errors import InputError
from .parts import Work

FORMAT = "zktrain-calibration-1"
OVERRIDE = "ZKTRAIN_CALIBRATION"
"""Environment variable: the path of the file to use instead of that in the cache."""
SHIPPED = "calibration.json"
ONE_OFF = 0.1
_MAX_BYTES = 1 << 20

Observation = tuple[Mapping[str, float], float]
"""Amounts, and what was measured for them."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """``seconds[kind][amount]`` per unit, ``memory`` factors by kind, and where they come from:
    ``source`` is ``shipped`` or a path."""

    seconds: dict[str, dict[str, float]]
    memory: dict[str, float]
    machine: dict[str, Any]
    source: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)

    def time(self, work: Work) -> float:
        """Predicted seconds of one part of the work."""
        return self.price(work.kind, work.amounts)

    def price(self, kind: str, amounts: Mapping[str, float]) -> float:
        """Predicted seconds of so much of a kind of work; 0 for a kind that was never measured."""
        rates = self.seconds.get(kind, {})
        return sum(rates.get(name, 0.0) * amount for name, amount in amounts.items())

    def held(self, amounts: Mapping[str, float]) -> float:
        """Predicted resident bytes."""
        return sum(self.memory.get(name, 1.0) * amount for name, amount in amounts.items())

    @property
    def shipped(self) -> bool:
        return self.source == "shipped"

    def remark(self) -> str:
        """Where the figures come from, in a sentence."""
        made = f"{self.machine.get('threads', '?')} threads of {self.machine.get('cpu', 'unknown')}"
        if self.shipped:
            return (
                f"calibrated on another machine ({made}); "
                "run zktrain bench --calibrate for this one"
            )
        here = machine.describe()
        changed = [
            name for name in ("cpu", "threads", *machine.PACKAGES)
            if self.machine.get(name) != here[name]
        ]  # fmt: skip
        if changed:
            return (
                f"calibrated with another {' and '.join(changed)}; zktrain bench --calibrate anew"
            )
        return "calibrated on this machine"

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "machine": self.machine,
            "seconds": self.seconds,
            "memory": self.memory,
            "runs": self.runs,
        }


def cache_path() -> Path:
    """Where this machine's calibration is kept."""
    override = os.environ.get(OVERRIDE)
    if override:
        return Path(override)
    return cache_home() / "calibration.json"


def save(calibration: Calibration) -> Path:
    """Write to :func:`cache_path`; raises :class:`InputError`."""
    path = cache_path()
    try:
        disk.make_folder(path.parent)
        disk.write(path, (json.dumps(calibration.to_json(), indent=1) + "\n").encode())
    except InputError as error:
        raise InputError(f"{error.message}, set {OVERRIDE} to another path") from None
    return path


def load() -> Calibration:
    """This machine's calibration, or the shipped one. Raises :class:`InputError` for a file that is
    no calibration."""
    path = cache_path()
    if path.is_file():
        text = files.read_bytes(path, "calibration", _MAX_BYTES).decode(errors="replace")
        return _parsed(text, str(path))
    return shipped()


def shipped() -> Calibration:
    """The calibration that comes with the package."""
    return _parsed((resources(__package__) / SHIPPED).read_text(), "shipped")


def _parsed(text: str, source: str) -> Calibration:
    try:
        fields = json.loads(text)
        if fields["format"] != FORMAT:
            raise ValueError("another format")
        rates = {
            kind: {name: _rate(rate) for name, rate in rates.items()}
            for kind, rates in fields["seconds"].items()
        }
        memory = {name: _rate(rate) for name, rate in fields["memory"].items()}
        return Calibration(rates, memory, dict(fields["machine"]), source, list(fields["runs"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f"{source} is no calibration of this version; remove it, or run zktrain bench "
            "--calibrate"
        ) from None


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError("not a rate")
    return float(value)


def fit(
    observations: Sequence[Observation], floor: float, *, near_one: Sequence[str] = ()
) -> dict[str, float]:
    """Rates, none negative, with the least sum of squared relative errors; what was measured counts
    as ``floor`` more, so that noise of small values does not matter.

    Rates of ``near_one`` are 1 where measurements do not say otherwise: to be 1 off counts as much
    as an error of ``ONE_OFF``. Exact: the best of all sets of amounts, the rest being 0.
    """
    names = sorted({name for amounts, _ in observations for name in amounts})
    rows = np.array([[amounts.get(n, 0.0) for n in names] for amounts, _ in observations])
    measured = np.array([value for _, value in observations], dtype=float)
    weights = 1.0 / (measured + floor)
    scales = np.maximum(rows.max(axis=0), 1e-300)
    rows, target = rows / scales * weights[:, None], measured * weights
    for name in near_one:
        if name in names:
            at = names.index(name)
            wish = np.zeros((1, len(names)))
            wish[0, at] = ONE_OFF / scales[at]
            rows, target = np.vstack([rows, wish]), np.append(target, ONE_OFF)
    best, least = np.zeros(len(names)), float(target @ target)
    for count in range(1, len(names) + 1):
        for chosen in map(list, itertools.combinations(range(len(names)), count)):
            part, *_ = np.linalg.lstsq(rows[:, chosen], target, rcond=None)
            if (part < 0).any():
                continue
            error = float(np.sum((rows[:, chosen] @ part - target) ** 2))
            if error < least * (1 - 1e-9):
                best, least = np.zeros(len(names)), error
                best[chosen] = part
    return {name: float(value) for name, value in zip(names, best / scales, strict=True)}


def fit_all(
    observed: Iterable[tuple[str, Observation]], floor: float
) -> dict[str, dict[str, float]]:
    """Rates by kind."""
    kinds: dict[str, list[Observation]] = {}
    for kind, observation in observed:
        kinds.setdefault(kind, []).append(observation)
    return {kind: fit(found, floor) for kind, found in sorted(kinds.items())}
