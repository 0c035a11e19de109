"""The optimizers, one file each, in a closed tuple: what a circuit can say is a whitelist."""

from __future__ import annotations

from typing import Any

from ..strict_json import malformed
from .base import Asked as Asked
from .base import Optimizer as Optimizer
from .filtered_sgd import FilteredSgd
from .layer_rates import LayerRates
from .sgd import Sgd

OPTIMIZERS: tuple[type[Optimizer], ...] = (LayerRates, FilteredSgd, Sgd)
"""A recipe gets the first one that it asks for."""
KEYS = tuple(key for kind in OPTIMIZERS for key in kind.KEYS)

_KINDS = {kind.KIND: kind for kind in OPTIMIZERS}


def read(value: Any) -> Optimizer:
    """The optimizer of a circuit's text."""
    kind = value.get("kind") if isinstance(value, dict) else None
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        malformed(f"the kind of the optimizer is none of {', '.join(sorted(_KINDS))}")
    return known.read(value)


def from_recipe(training: dict[str, Any], steps: int) -> Asked:
    """What a recipe's section ``[training]`` asks for. Raises ``RecipeError``."""
    found = (kind.from_recipe(training, steps) for kind in OPTIMIZERS)
    return next(wanted for wanted in found if wanted is not None)
