"""The canonical circuit: everything that fixes what "training" means, as one JSON text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from ..errors import MalformedProof
from ..layers import AffineLayer, AnyLayer, Layer
from ..layers.geometry import geometry
from ..layers.network import affine_layers, parameters
from ..operations.base import StepGraph
from ..operations.fixed_point import FixedPoint
from ..optimizers import Optimizer
from ..optimizers.schedule import Schedule
from . import bounds, canonical
from .build import build_step
from .initialisation import Initialisation


@dataclass(frozen=True, slots=True)
class Circuit:
    """A compiled recipe.

    ``optimizer`` has all that is about rates, momentum and weight decay. With ``drop_last`` the
    records that fill no batch at the end of an epoch are left out of it. ``frozen`` names layers
    whose parameters no step changes."""

    layers: tuple[AnyLayer, ...]
    loss: str
    fixed_point: FixedPoint
    batch_size: int
    steps: int
    optimizer: Optimizer
    order_seed: str
    initialisation: Initialisation
    drop_last: bool = False
    frozen: tuple[str, ...] = ()

    def graph(self) -> StepGraph:
        """The operations of one training step, backward pass and update included."""
        return _graph(self.layers, self.loss, self.fixed_point, self.frozen)

    @property
    def features(self) -> int:
        """Width of one input record."""
        return geometry(self.layers).extents[0].cells

    @property
    def classes(self) -> int:
        """Width of one label, one-hot, and of the output layer."""
        return geometry(self.layers).extents[-1].cells

    @property
    def trained(self) -> tuple[AffineLayer, ...]:
        """The layers with parameters."""
        return affine_layers(self.layers)

    @property
    def moving(self) -> tuple[AffineLayer, ...]:
        """Those of them that are not frozen."""
        return tuple(layer for layer in self.trained if layer.name not in self.frozen)

    @property
    def is_dense(self) -> bool:
        """Whether all layers are dense."""
        return all(isinstance(layer, Layer) for layer in self.layers)

    @property
    def dense_layers(self) -> tuple[Layer, ...]:
        """All layers of a dense network; ``TypeError`` where there are others."""
        layers = tuple(layer for layer in self.layers if isinstance(layer, Layer))
        if len(layers) != len(self.layers):
            raise TypeError("the network has layers that are not dense")
        return layers

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by parameter name, layer by layer: weight ``(inputs, outputs)``, of a convolution
        ``(height, width, inputs, outputs)``, then bias ``(outputs,)``."""
        return parameter_shapes(self.layers)

    def trained_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of ``parameter_shapes`` those of the layers that are not frozen."""
        return parameter_shapes(self.moving)

    @property
    def parameters(self) -> int:
        """Number of trained integers."""
        return sum(prod(shape) for shape in self.parameter_shapes().values())

    @property
    def cells_per_step(self) -> int:
        """Committed field elements per training step, padding included."""
        return bounds.cells_per_step(self.graph(), self.batch_size)

    @property
    def lookups_per_step(self) -> int:
        """Looked-up cells per training step, padding included."""
        return bounds.lookups_per_step(self.graph(), self.batch_size)

    @property
    def effective_learning_rate(self) -> list[tuple[int, float]]:
        """The schedule ``[(first_step, rate), ...]`` that is really used."""
        return self._rates(self.optimizer.multipliers)

    @property
    def layer_rates(self) -> dict[str, list[tuple[int, float]]]:
        """The same of layers that have rates of their own."""
        return {name: self._rates(schedule) for name, schedule in self.optimizer.own}

    def _rates(self, multipliers: Schedule) -> list[tuple[int, float]]:
        unit = self.optimizer.unit(self.batch_size)
        return [(first, float(unit * times)) for first, times in multipliers]

    @property
    def no_wrap_bound_bits(self) -> int:
        """See ``bounds.no_wrap_bound_bits``: below 63, no value can wrap around in ``F_p``."""
        return bounds.no_wrap_bound_bits(self)

    def canonical_json(self) -> bytes:
        """The one text of this circuit: sorted keys, no spaces, ASCII, no floats."""
        return _canonical_json(self)

    @property
    def id(self) -> str:
        """SHA-256 of ``canonical_json``, in hex."""
        return hashlib.sha256(self.canonical_json()).hexdigest()

    @staticmethod
    def from_json(data: bytes) -> Circuit:
        """Decode ``data`` from an untrusted source.

        Accepts exactly the texts that ``canonical_json`` gives: the derived part (operations,
        sizes, bounds) is derived again and must agree byte for byte. Raises
        ``MalformedProof`` and nothing else.
        """
        circuit = Circuit(**canonical.decode(data))
        problem = canonical.violation(circuit)
        if problem is not None:
            raise MalformedProof(problem, stage="circuit")
        if canonical.encode(circuit) != data:
            raise MalformedProof(
                "the text is not canonical, or its derived part (tensors, operations, "
                "sizes, bounds) does not follow from its layers",
                stage="circuit",
            )
        return circuit


def parameter_shapes(layers: tuple[AnyLayer, ...]) -> dict[str, tuple[int, ...]]:
    """Shape by parameter name, in the order of ``Circuit.parameter_shapes``."""
    return {name: found.shape for name, found in parameters(layers).items()}


@lru_cache(maxsize=16)
def _graph(
    layers: tuple[AnyLayer, ...], loss: str, fixed_point: FixedPoint, frozen: tuple[str, ...]
) -> StepGraph:
    return build_step(layers, loss, fixed_point, frozen)


@lru_cache(maxsize=16)
def _canonical_json(circuit: Circuit) -> bytes:
    return canonical.encode(circuit)
