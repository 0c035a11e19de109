"""From a network and a loss to the operations of one training step, backward pass included."""

from __future__ import annotations

from dataclasses import replace

from ..layers import AnyLayer
from ..layers.geometry import Geometry, geometry
from ..layers.network import affine_layers
from ..layers.place import Place
from ..losses import LOSSES
from ..operations import Batch
from ..operations.base import StepGraph
from ..operations.build import Build
from ..operations.fixed_point import FixedPoint
from ..operations.reverse import Reverse

INPUTS, LABELS = "x", "y"


def forward(
    layers: tuple[AnyLayer, ...], fixed_point: FixedPoint, *, bounded: bool = False
) -> tuple[Build, Geometry, list[str]]:
    """A graph that ends in the logits, and the output of every layer, the batch first.
    ``bounded``: a table of the loss bounds the logits.

    Names: ``x``, ``y`` batch; per layer ``l`` (from 1) ``acc{l}``, ``z{l}``, ``s{l}``, ``a{l}``.
    Of images, ``u{l}`` are the windows of the input of layer ``l``.
    """
    build, plan = Build(fixed_point), geometry(layers)
    build.virtual(INPUTS, plan.extents[0])
    build.virtual(LABELS, plan.extents[-1], fraction=0)
    build.operations += [Batch("inputs", INPUTS), Batch("labels", LABELS)]
    values = [INPUTS]
    for index, layer in enumerate(layers, 1):
        reads = plan.sources[index]
        place = Place(
            index,
            tuple(values[read] for read in reads),
            tuple(plan.extents[read] for read in reads),
            plan.extents[index],
            bounded and index == len(layers),
        )
        build.layer = index
        values.append(layer.forward(build, place))
    build.layer = None
    return build, plan, values


def build_step(
    layers: tuple[AnyLayer, ...],
    loss: str,
    fixed_point: FixedPoint,
    frozen: tuple[str, ...] = (),
) -> StepGraph:
    """Graph of one step of ``layers`` under ``loss`` (one of ``losses.LOSSES``); the layers
    named in ``frozen`` keep their parameters.

    Names: those of ``forward``, and ``e{l}`` = dLoss/dz{l}, ``bac{l}``, ``q{l}`` backward, the last
    two towards layer ``l`` (see ``operations.reverse``); of images, ``v{l}`` are the windows of
    the errors of layer ``l``.
    """
    stated = LOSSES[loss]
    build, plan, values = forward(layers, fixed_point, bounded=stated.bounds_logits)
    back = Reverse(
        build,
        {values[read]: len(readers) for read, readers in plan.consumers.items()},
        {layer.weight for layer in affine_layers(layers) if layer.name in frozen},
    )
    logits, last = values[-1], len(layers)
    error = stated.error(build, logits, LABELS, f"e{last}", plan.extents[-1])
    build.tensors[error] = replace(build.tensors[error], layer=last)
    back.run(logits, error)
    return build.graph(logits)
