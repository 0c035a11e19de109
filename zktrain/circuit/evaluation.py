"""The graph of an evaluation: a network with public weights predicts the class of every record.

The prediction is the first of the largest logits ``z``. With ``h`` the committed one-hot vector of
the predicted class,

    sum_k h_k = 1                                  on every record, 0 on padding
    top = sum_k h_k z_k                            the logit of the predicted class
    d_k = top - z_k - (1 - sum_{j <= k} h_j)       on real classes, h_k on padded ones

and ``(d_k, h_k)`` is a row of the table ``winner``: ``(d, 0)`` for ``0 <= d < 2^16 - 1``, or
``(0, 1)``. The table makes ``h`` bits, the sum leaves exactly one of them, and ``d_k >= 0`` says
``z_k < top`` for the classes before it and ``z_k <= top`` for those after it.
"""

from __future__ import annotations

from functools import lru_cache

from ..arguments.hints import FirstLargest
from ..layers import AnyLayer
from ..layers.network import affine_layers
from ..operations import Fixed, Linear, Lookup, Product, Tally, UnitMap, Vanish
from ..operations.base import StepGraph
from ..operations.extent import Extent
from ..operations.fixed_point import FixedPoint
from ..operations.maps import Before
from .build import LABELS, forward
from .circuit import Circuit

PREDICTION = "h"
MAX_SPREAD = (1 << 16) - 2
"""The largest difference of two logits of a record that the table ``winner`` has a row for,
whichever of both comes first."""


def build_evaluation(layers: tuple[AnyLayer, ...], fixed_point: FixedPoint) -> StepGraph:
    """Graph that predicts with ``layers`` and counts pairs of label and prediction.

    Names: those of ``build.forward``; ``h`` one-hot predictions, committed; ``hz``, ``top``,
    ``before``, ``d`` and ``chosen`` virtual.
    """
    build, plan, values = forward(layers, fixed_point)
    logits, classes, record = values[-1], plan.extents[-1], Extent((), 0)
    build.committed(PREDICTION, classes, (0, 1), FirstLargest(logits))
    for name in ("hz", "before", "d"):
        build.virtual(name, classes)
    for name in ("top", "chosen"):
        build.virtual(name, record)
    build.define(Product("hz", PREDICTION, logits))
    build.define(Linear("top", ((1, "hz"),)))
    build.define(UnitMap("before", PREDICTION, Before()))
    build.define(Linear("d", ((1, "top"), (-1, logits), (1, PREDICTION), (1, "before")), -1))
    build.operations.append(Lookup("winner", ("d", PREDICTION)))
    build.define(Linear("chosen", ((1, PREDICTION),), -1))
    build.operations += [Vanish("chosen"), Tally(LABELS, PREDICTION)]
    build.operations += [Fixed(layer.weight, layer.bias) for layer in affine_layers(layers)]
    return build.graph(logits)


def evaluation_graph(circuit: Circuit) -> StepGraph:
    """See ``build_evaluation``; nothing of the circuit but its network matters."""
    return _graph(circuit.layers, circuit.fixed_point)


@lru_cache(maxsize=16)
def _graph(layers: tuple[AnyLayer, ...], fixed_point: FixedPoint) -> StepGraph:
    return build_evaluation(layers, fixed_point)
