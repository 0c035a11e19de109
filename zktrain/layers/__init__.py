"""The layers of a network, one file each: what a circuit can say is this list and no more.

A layer states its limits (``violation``), what it ``reads``, its ``output``'s extent, its
``parameters``, its ``forward`` pass as operations (the backward pass is derived from them), a
``word`` for people and the module that it is in ``torch``. ``activates`` says that it stands for
the activation behind a dense layer; ``takes`` how many values of a record it takes as first layer;
``stem`` what an imported one is called.
"""

from typing import get_args

from .activation import Activation
from .add import Add
from .average_pool import AveragePool
from .convolution import Convolution
from .dense import Layer
from .flatten import Flatten
from .leaky_relu import LeakyReLU
from .max_pool import MaxPool
from .reduce import Reduce
from .unflatten import Unflatten

AnyLayer = (
    Layer
    | Unflatten
    | Convolution
    | MaxPool
    | AveragePool
    | Reduce
    | Flatten
    | Add
    | Activation
    | LeakyReLU
)
LAYERS: tuple[type[AnyLayer], ...] = get_args(AnyLayer)
ActivationKind = type[Activation | LeakyReLU]
ACTIVATIONS: tuple[ActivationKind, ...] = (Activation, LeakyReLU)
"""Those that ONNX graphs have as one node, of ``operators``; ``imported`` makes the layer of it."""
AffineLayer = Layer | Convolution
"""Those with parameters."""

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "Activation",
    "ActivationKind",
    "Add",
    "AffineLayer",
    "AnyLayer",
    "AveragePool",
    "Convolution",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "MaxPool",
    "Reduce",
    "Unflatten",
]
