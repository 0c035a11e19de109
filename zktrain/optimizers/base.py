"""What every optimizer says of itself: all that the rest of the package knows of rates, momentum
and weight decay.

An optimizer is a part of the circuit. Whatever it is, the weights of a stretch of steps are a
public linear map of the first ones and of the gradients (``arguments.time_filter``), so that a
proof, a trainer and a bound need no more than the numbers of that map.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import Any, ClassVar, Protocol, Self

from ..arguments.time_filter import Coefficients, TimeFilter
from ..layers import AffineLayer
from ..operations.fixed_point import FixedPoint
from .schedule import Rates, Schedule


class Run(Protocol):
    """What an optimizer needs of the circuit that it is a part of."""

    @property
    def batch_size(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def moving(self) -> tuple[AffineLayer, ...]:
        """The layers whose parameters it changes."""
        ...


class Rule(Hashable, Protocol):
    """How the weights of one layer follow from its gradients."""

    def multipliers_at(self, circuit: Run, first: int, count: int) -> list[int]:
        """Multipliers of ``count`` steps from ``first`` on; ``IndexError`` outside the run."""
        ...

    def coefficients(self, circuit: Run, first: int, steps: int) -> Coefficients:
        """The map of ``steps`` steps from the beginning of a stretch."""
        ...

    def time_filter(self, circuit: Run, first: int, steps: int, log_steps: int) -> TimeFilter:
        """The same map for a proof, in ``2^log_steps`` padded steps."""
        ...

    def changes(self, circuit: Run, first: int, steps: int) -> int:
        """How often steps that keep no gradients multiply one out."""
        ...

    def most_changes(self, circuit: Run) -> int:
        """Changes of the filter, at most: what it costs a verifier. 0 where a step just subtracts
        its gradients."""
        ...

    def followed(self, circuit: Run) -> int:
        """At most how many steps go by over all gradients that are followed one by one, because the
        rate has changed since: what it costs to know the filter."""
        ...

    def largest_total(self, circuit: Run) -> int:
        """A bound on the sum over the run of what a gradient is multiplied by."""
        ...


class Asked(Protocol):
    """An optimizer as a recipe asks for it, in floating point."""

    @property
    def fixed_point(self) -> FixedPoint:
        """The format of the circuits that have it."""
        ...

    @property
    def own(self) -> tuple[tuple[str, Rates], ...]:
        """Rates of single layers."""
        ...

    def quantised(self, rates: Rates, batch_size: int, layers: tuple[str, ...]) -> Optimizer:
        """The optimizer in integers; ``layers`` are those that are trained. Raises ``RecipeError``
        for rates and numbers that cannot be represented."""
        ...


class Optimizer(Protocol):
    """A member of ``OPTIMIZERS``: a frozen dataclass of the numbers that a circuit states."""

    KIND: ClassVar[str]
    """Its name in the text of a circuit."""
    KEYS: ClassVar[tuple[str, ...]]
    """Keys of ``[training]`` in a recipe that are about it, beyond those of every recipe."""

    @property
    def FORMAT(self) -> FixedPoint:  # noqa: N802
        """The only fixed-point format of its circuits."""
        ...

    @property
    def multipliers(self) -> Schedule:
        """The schedule: learning rates in whole multiples of ``unit``."""
        ...

    @property
    def own(self) -> tuple[tuple[str, Schedule], ...]:
        """Schedules of layers that have another one, in the order of the layers."""
        ...

    @property
    def more(self) -> str:
        """What it has beyond plain SGD, in words; empty for plain SGD."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether gradients of earlier steps, or first weights, change the weights of later ones;
        else a step subtracts its multiplier times its gradients, and that is all."""
        ...

    @property
    def start_bits(self) -> int:
        """First weights that steps change are multiples of ``2**start_bits``."""
        ...

    @classmethod
    def from_recipe(cls, training: dict[str, Any], steps: int) -> Asked | None:
        """What the section ``[training]`` of a recipe wants of this optimizer, ``None`` if it wants
        another one. Raises ``RecipeError``."""
        ...

    @classmethod
    def read(cls, value: Any) -> Self:
        """From the text of a circuit; limits are not checked. Raises ``MalformedProof``."""
        ...

    def stated(self) -> dict[str, Any]:
        """What ``read`` reads."""
        ...

    def violation(self, circuit: Run) -> str | None:
        """The first limit that it breaks in this circuit, as a clause."""
        ...

    def unit(self, batch_size: int) -> Fraction:
        """The learning rate of the multiplier 1."""
        ...

    def of(self, circuit: Run, weight: str) -> Rule:
        """What the layer with this weight follows, its bias included."""
        ...

    def stretch(self, circuit: Run, step: int) -> tuple[int, int]:
        """First step and number of the steps around ``step`` in which gradients act on later
        weights as the rules' ``coefficients`` say; before and after it nothing is remembered."""
        ...

    @property
    def torch_options(self) -> dict[str, Any]:
        """Of ``torch.optim.SGD``, but the rate."""
        ...

    @property
    def words(self) -> str:
        """Its name, for people."""
        ...

    def stretch_words(self, circuit: Run) -> str:
        """When velocities become zero, as an addition; empty where there are none."""
        ...

    def rate_words(self, rate: float) -> str:
        """A learning rate, for people."""
        ...

    def fields(self) -> dict[str, Any]:
        """What it has beyond plain SGD as keys of a JSON object."""
        ...
