"""What is run: networks, data and sizes, one by one or along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package dataset-fashion-mnist puts its files."""
AXES = ("width", "depth", "batch", "steps")
RATE = 0.125
RATE_UNITS = 1024
"""A learning rate is ``m * batch / 1024`` for an integer ``m``."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One run. ``depth`` hidden layers of ``width`` units; ``records`` are the first ones only
    (None: all).

    ``dataset`` is ``digits``, ``fashion``, ``synthetic`` (bytes of a fixed stream, for shapes that
    no real data has; then ``features``, ``classes`` and ``records`` count) or what ``zktrain
    commit`` takes.
    """

    dataset: str = "digits"
    width: int = 128
    depth: int = 1
    batch: int = 64
    steps: int = 64
    records: int | None = None
    features: int = 784
    classes: int = 10
    zero_knowledge: bool = True

    @property
    def name(self) -> str:
        """One text for each setting, fit for a file."""
        parts = [Path(self.dataset).name or "data", "x".join([str(self.width)] * self.depth)]
        parts += [f"b{self.batch}", f"s{self.steps}"]
        if self.records is not None:
            parts.append(f"n{self.records}")
        if self.dataset == "synthetic":
            parts.append(f"{self.features}to{self.classes}")
        if not self.zero_knowledge:
            parts.append("clear")
        return "-".join(parts)

    @property
    def learning_rate(self) -> float:
        """The representable rate nearest to 1/8."""
        return max(1, round(RATE * RATE_UNITS / self.batch)) * self.batch / RATE_UNITS

    def at(self, axis: str, value: int) -> Setting:
        """The same with another value on one axis."""
        fields: dict[str, Any] = {axis: value}
        return replace(self, **fields)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Settings that differ in one axis."""

    axis: str
    values: tuple[int, ...]
    base: Setting

    @property
    def settings(self) -> list[Setting]:
        return [self.base.at(self.axis, value) for value in self.values]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one call of ``bench`` runs: single settings, then sweeps."""

    single: tuple[Setting, ...] = ()
    sweeps: tuple[Sweep, ...] = ()

    @property
    def settings(self) -> list[Setting]:
        """Each once, in order."""
        found = [*self.single, *(s for sweep in self.sweeps for s in sweep.settings)]
        return list(dict.fromkeys(found))


def parse_sweep(text: str, base: Setting) -> Sweep:
    """``width=128,256,512``; raises :class:`InputError`."""
    axis, _, values = text.partition("=")
    numbers = [part.strip() for part in values.split(",")]
    if axis.strip() not in AXES or not all(part.isdigit() and int(part) for part in numbers):
        raise InputError(
            f"--sweep {text!r:.60} is not understood; write one of {', '.join(AXES)} with numbers, "
            "such as width=128,256,512"
        )
    return Sweep(axis.strip(), tuple(map(int, numbers)), base)


_WIDE = Setting("fashion", depth=2, steps=64, records=4096)
_SMALL = Setting("digits", width=16, batch=8, steps=4)
_WIDTHS = (512, 1024, 2048, 4096)


def suite(name: str, base: Setting) -> Plan:
    """A plan by name; raises :class:`InputError`."""
    plans = {
        # about two minutes on two cores
        "quick": Plan(
            (), (Sweep("width", (64, 128, 256, 512), base), Sweep("steps", (64, 256), base))
        ),
        # two runs of seconds, to see that everything works
        "smoke": Plan((), (Sweep("width", (16, 32), _SMALL),)),
        # what the README shows; about a quarter of an hour on two cores
        "readme": Plan(
            (
                Setting("digits", width=64, batch=32, steps=256),
                Setting("fashion", width=128, steps=1024),
                Setting("fashion", width=1024, depth=2, steps=256),
            ),
            (Sweep("width", _WIDTHS, replace(_WIDE, steps=16)), Sweep("width", _WIDTHS, _WIDE)),
        ),
    }
    if name not in plans:
        raise InputError(f"there is no suite {name!r:.40}; choose {', '.join(plans)}")
    return plans[name]


def chosen(name: str, sweeps: Sequence[str], given: Mapping[str, Any]) -> Plan:
    """What options ask for: sweeps around a setting, that setting alone, or a suite where nothing
    is given. Raises :class:`InputError`."""
    fields = {key: value for key, value in given.items() if value is not None}
    for key, value in fields.items():
        if type(value) is int and value <= 0:
            raise InputError(f"--{key} must be a positive number")
    base = replace(Setting(), **fields)
    if sweeps:
        return Plan((), tuple(parse_sweep(text, base) for text in sweeps))
    if set(fields) - {"dataset", "zero_knowledge"}:
        return Plan((base,))
    return suite(name, base)


def data_path(setting: Setting) -> str:
    """What to read for a dataset with a name. Raises :class:`InputError`."""
    if setting.dataset != "fashion":
        return setting.dataset
    if not FASHION_MNIST.is_dir():
        raise InputError(
            f"{FASHION_MNIST} is not there; install the Debian package dataset-fashion-mnist, or "
            "give --dataset the folder with the four IDX files"
        )
    return str(FASHION_MNIST)
