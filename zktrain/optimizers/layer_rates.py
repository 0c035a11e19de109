"""Learning rates of single layers, as torch's parameter groups have them: these layers follow the
same optimizer as all others, with multipliers of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

from ..errors import RecipeError
from ..layers.network import MAX_LAYERS
from ..operations.fixed_point import FixedPoint
from ..recipe_values import bad, unknown
from ..strict_json import keyed, listed, malformed, string
from . import schedule
from .base import Run
from .filtered_sgd import MAX_CHANGES, MAX_FOLLOWED, AskedFilter, FilteredSgd
from .schedule import Rates, Schedule
from .sgd import AskedSgd, Sgd

_BASES: dict[str, type[Sgd | FilteredSgd]] = {kind.KIND: kind for kind in (FilteredSgd, Sgd)}


@dataclass(frozen=True, slots=True)
class LayerRates:
    """See ``Optimizer``. ``base`` is that of all layers but for the schedules of those that ``own``
    names, in the order of the network."""

    base: Sgd | FilteredSgd
    own: tuple[tuple[str, Schedule], ...]

    KIND: ClassVar[str] = "layer_rates"
    KEYS: ClassVar[tuple[str, ...]] = ("rates",)

    more: ClassVar[str] = "learning rates of single layers"

    @classmethod
    def from_recipe(cls, training: dict[str, Any], steps: int) -> AskedLayerRates | None:
        """See ``Optimizer``."""
        if "rates" not in training:
            return None
        table = training["rates"]
        if not isinstance(table, dict) or not table:
            remedy = 'must be a section of layers and rates: [training.rates], "conv1" = 0.01'
            raise bad("training", "rates", table, remedy)
        own = tuple(
            (name, schedule.from_recipe(value, "training", f"rates.{name:.80}", steps))
            for name, value in _dotted(table).items()
        )
        base = FilteredSgd.from_recipe(training, steps) or Sgd.from_recipe(training, steps)
        return AskedLayerRates(base, own)

    @classmethod
    def read(cls, value: Any) -> LayerRates:
        """See ``Optimizer``."""
        optimizer = keyed(value, "optimizer", ("kind", "rate_bits", "base", "own"))
        base = optimizer["base"]
        kind = base.get("kind") if isinstance(base, dict) else None
        known = _BASES.get(kind) if isinstance(kind, str) else None
        if known is None:
            malformed(f"the kind of the optimizer's base is none of {', '.join(sorted(_BASES))}")
        return cls(known.read(base), listed(optimizer["own"], "own", MAX_LAYERS, _entry))

    def stated(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return {
            "kind": self.KIND,
            "rate_bits": self.FORMAT.rate_bits,
            "base": self.base.stated(),
            "own": self.own,
        }

    def violation(self, circuit: Run) -> str | None:
        """See ``Optimizer``."""
        if problem := self.base.violation(circuit):
            return problem
        stated = [name for name, _ in self.own]
        trained = [layer.name for layer in circuit.moving]
        if not stated or stated != [name for name in trained if name in stated]:
            return "layers with rates of their own must be trained ones, each once, in their order"
        for name, multipliers in self.own:
            if problem := replace(self.base, multipliers=multipliers).violation(circuit):
                return f"with the rates of layer {name!r:.80}, {problem}"
        rules = {self.of(circuit, layer.weight) for layer in circuit.moving}
        if sum(rule.most_changes(circuit) for rule in rules) > MAX_CHANGES:
            return (
                f"the filters of layers with {len(rules)} kinds of rates have more than "
                f"{MAX_CHANGES} changes; use fewer rates, a smaller restart_steps or lower rates"
            )
        if sum(rule.followed(circuit) for rule in rules) > MAX_FOLLOWED:
            return (
                f"the rates of layers, of {len(rules)} kinds, change too often for this momentum "
                "or weight decay; use fewer changes of the rates, or fewer steps"
            )
        return None

    def of(self, circuit: Run, weight: str) -> Sgd | FilteredSgd:
        """See ``Optimizer``."""
        for layer in circuit.moving:
            for name, multipliers in self.own:
                if (layer.weight, layer.name) == (weight, name):
                    return replace(self.base, multipliers=multipliers)
        return self.base

    @property
    def FORMAT(self) -> FixedPoint:  # noqa: N802
        """See ``Optimizer``."""
        return self.base.FORMAT

    @property
    def multipliers(self) -> Schedule:
        """See ``Optimizer``."""
        return self.base.multipliers

    @property
    def remembers(self) -> bool:
        """See ``Optimizer``."""
        return self.base.remembers

    @property
    def start_bits(self) -> int:
        """See ``Optimizer``."""
        return self.base.start_bits

    @property
    def torch_options(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return self.base.torch_options

    @property
    def words(self) -> str:
        """``SGD with momentum 0.9``: which layers have other rates is said where rates are."""
        return self.base.words

    def unit(self, batch_size: int) -> Fraction:
        """See ``Optimizer``."""
        return self.base.unit(batch_size)

    def stretch(self, circuit: Run, step: int) -> tuple[int, int]:
        """See ``Optimizer``."""
        return self.base.stretch(circuit, step)

    def stretch_words(self, circuit: Run) -> str:
        """See ``Optimizer``."""
        return self.base.stretch_words(circuit)

    def rate_words(self, rate: float) -> str:
        """See ``Optimizer``."""
        return self.base.rate_words(rate)

    def fields(self) -> dict[str, Any]:
        """See ``Optimizer``."""
        return self.base.fields()


@dataclass(frozen=True, slots=True)
class AskedLayerRates:
    """See ``Asked``."""

    base: AskedSgd | AskedFilter
    own: tuple[tuple[str, Rates], ...]

    @property
    def fixed_point(self) -> FixedPoint:
        """See ``Asked``."""
        return self.base.fixed_point

    def quantised(self, rates: Rates, batch_size: int, layers: tuple[str, ...]) -> LayerRates:
        """See ``Asked``."""
        known = dict(self.own)
        for name in known:
            if name not in layers:
                raise unknown("training.rates", name, "layer that is trained", layers)
        own = tuple(
            (name, self.base.quantised_rates(known[name], batch_size, f"training.rates.{name:.80}"))
            for name in layers
            if name in known
        )
        return LayerRates(self.base.quantised(rates, batch_size, layers), own)


def _entry(value: Any) -> tuple[str, Schedule]:
    if not isinstance(value, list) or len(value) != 2:
        malformed("an entry of own is not a pair [layer, multipliers]")
    return string(value[0], "a layer with rates of its own"), schedule.read(value[1])


def _dotted(table: dict[str, Any]) -> dict[str, Any]:
    """Of TOML's ``features.0 = 0.01``, which nests without quotes, the name ``features.0``."""
    out: dict[str, Any] = {}
    waiting = [("", table)]
    while waiting:
        prefix, found = waiting.pop()
        for key, value in found.items():
            name = prefix + key
            if isinstance(value, dict) and value:
                waiting.append((f"{name}.", value))
            elif name in out:
                raise RecipeError(f"training.rates names {name!r:.80} twice; leave one")
            else:
                out[name] = value
    return out
