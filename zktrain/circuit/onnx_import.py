"""From an ONNX file to the layers of a multilayer perceptron and their initial float weights.

The graph must be one chain from one input to one output:
``(Flatten | Reshape)* (affine Relu)* affine``, an affine layer being ``Gemm`` or
``MatMul (+ Add)``. Everything else is refused by name, with what to do about it.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from ..errors import RecipeError
from .network import Layer
from .onnx_constants import Constant, attributes, constant_values, describe, load_model
from .onnx_layers import AffineLayer, named_layers

if TYPE_CHECKING:
    import onnx

_REMEDIES = {
    "Softmax": "remove it: the loss contains the softmax, so the network ends in its logits",
    "LogSoftmax": "remove it: the loss contains the softmax, so the network ends in its logits",
    "Dropout": "export the network in evaluation mode (module.eval())",
    "BatchNormalization": "remove it: only affine layers and ReLU are proved",
    "Conv": "use fully connected layers: convolutions are not supported",
}
_REMEDY = (
    "build the network from Linear layers with ReLU between them "
    "(Gemm, MatMul, Add, Relu, Flatten, Reshape, Identity)"
)


def import_onnx(path: str | Path) -> tuple[tuple[Layer, ...], dict[str, npt.NDArray[np.float64]]]:
    """Read the network at ``path``: its layers, and its float weights by parameter name.

    Weights are ``(outputs, inputs)``, float64. Parameters that the file gives only a shape
    (``ConstantOfShape``) are missing from the second part. Raises ``InputError`` if the
    file cannot be read, ``RecipeError`` naming node, operator, reason and remedy for what is not
    supported.
    """
    path = Path(path)
    model = load_model(path)
    return _Chain(model, path).read()


class _Chain:
    """Walks from the graph's input along the only consumer of each value."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self.graph = model.graph
        self.path = path
        self.constants = constant_values(model, path)
        self.affine: list[AffineLayer] = []
        self.shape: list[int] = []
        """Per-sample axes of the current value."""
        self.batch: int | None = None
        """Size of the first axis, ``None`` if symbolic."""
        self.follows_affine = False

    def read(self) -> tuple[tuple[Layer, ...], dict[str, npt.NDArray[np.float64]]]:
        inputs = [value for value in self.graph.input if value.name not in self.constants]
        if len(inputs) != 1 or len(self.graph.output) != 1:
            raise RecipeError(
                f"{self.path.name}: the graph has {len(inputs)} inputs and "
                f"{len(self.graph.output)} outputs; export a network with one of each"
            )
        self._input_shape(inputs[0])
        value = inputs[0].name
        visited = {value}
        while (node := self._consumer(value)) is not None:
            self._node(node, value)
            value = node.output[0]
            if value in visited or not value:
                self._refuse(node, "the graph has a cycle or an unnamed value", "export it again")
            visited.add(value)
        if value != self.graph.output[0].name:
            raise RecipeError(
                f"{self.path.name}: the chain from the input ends in {value!r}, not in the "
                f"output {self.graph.output[0].name!r}; export a network whose output depends on "
                "its input through every layer"
            )
        if not self.affine:
            raise RecipeError(f"{self.path.name}: there is no affine layer; {_REMEDY}")
        if self.affine[-1].relu:
            raise RecipeError(
                f"{self.path.name}: there is a ReLU after the last affine layer; remove it, the "
                "network ends in its logits"
            )
        return named_layers(self.affine, self.path)

    def _input_shape(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        axes = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
        if not tensor.HasField("shape") or len(axes) < 2:
            raise RecipeError(
                f"{self.path.name}: the input {value.name!r} needs a batch axis and at least one "
                "axis of features; export the network with such an example input"
            )
        sizes = [axis for axis in axes[1:] if axis is not None and axis > 0]
        if len(sizes) != len(axes) - 1:
            raise RecipeError(
                f"{self.path.name}: an axis of the input {value.name!r} other than the first has "
                "no fixed size; export the network with only the batch axis dynamic"
            )
        self.batch, self.shape = axes[0], sizes

    def _consumer(self, value: str) -> onnx.NodeProto | None:
        nodes = [node for node in self.graph.node if value in node.input]
        final = value == self.graph.output[0].name
        if (
            len(nodes) > 1
            or (nodes and final)
            or any(list(node.input).count(value) > 1 for node in nodes)
        ):
            self._refuse(
                nodes[-1],
                f"the value {value!r} is used more than once, so the graph branches here",
                "use a network without branches: each layer feeds only the next",
            )
        return nodes[0] if nodes else None

    def _refuse(self, node: onnx.NodeProto, reason: str, remedy: str) -> NoReturn:
        raise RecipeError(f"{self.path.name}: {describe(node)}: {reason}; {remedy}")

    def _node(self, node: onnx.NodeProto, value: str) -> None:
        if node.domain not in ("", "ai.onnx"):
            self._refuse(node, f"operators of domain {node.domain!r} are not supported", _REMEDY)
        if node.op_type == "Identity":
            return
        if node.op_type == "Gemm":
            self._gemm(node, value)
        elif node.op_type == "MatMul":
            self._matmul(node, value)
        elif node.op_type == "Add":
            self._add(node, value)
        elif node.op_type == "Relu":
            self._relu(node)
        elif node.op_type == "Flatten":
            self._flatten(node)
        elif node.op_type == "Reshape":
            self._reshape(node, value)
        else:
            remedy = _REMEDIES.get(node.op_type, _REMEDY)
            self._refuse(node, f"the operator {node.op_type} is not supported", remedy)
        self.follows_affine = node.op_type in ("Gemm", "MatMul")

    def _gemm(self, node: onnx.NodeProto, value: str) -> None:
        options: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
        options |= attributes(node)
        if options["alpha"] != 1.0 or options["beta"] != 1.0 or options["transA"] != 0:
            self._refuse(
                node,
                "only alpha = 1, beta = 1 and transA = 0 are supported, not "
                f"{options['alpha']:g}, {options['beta']:g} and {options['transA']}",
                "scale the weights instead, or build the layer from torch.nn.Linear",
            )
        if node.input[0] != value:
            self._refuse(node, "the data is not its first operand", "write the layer as x W + b")
        weight = self._weight(node, 1)
        self._new_layer(node, weight if options["transB"] else weight.transposed())
        if len(node.input) > 2 and node.input[2]:
            self._bias(node, 2)

    def _matmul(self, node: onnx.NodeProto, value: str) -> None:
        if node.input[0] != value:
            self._refuse(node, "the data is not its first operand", "write the layer as x W + b")
        self._new_layer(node, self._weight(node, 1).transposed())

    def _weight(self, node: onnx.NodeProto, position: int) -> Constant:
        constant = self._constant(node, position)
        if len(constant.shape) != 2 or min(constant.shape) < 1:
            self._refuse(
                node,
                f"the weight {constant.name!r} has shape {constant.shape}",
                "a weight has two axes, inputs and outputs",
            )
        if any(constant.name == layer.weight.name for layer in self.affine):
            self._refuse(
                node,
                f"the weight {constant.name!r} is shared with an earlier layer",
                "give each layer its own weights",
            )
        return constant

    def _constant(self, node: onnx.NodeProto, position: int) -> Constant:
        name = node.input[position]
        if name not in self.constants:
            self._refuse(
                node,
                f"its operand {name!r} is not a constant of the file",
                "export the network with its parameters as initializers",
            )
        return self.constants[name]

    def _new_layer(self, node: onnx.NodeProto, weight: Constant) -> None:
        if self.affine and not self.affine[-1].relu:
            self._refuse(
                node,
                "two affine layers follow each other without a ReLU",
                "put a ReLU between them, or merge them into one layer",
            )
        if len(self.shape) != 1:
            self._refuse(
                node,
                f"its input has shape (batch, {', '.join(map(str, self.shape))})",
                "flatten the samples in front of the first layer (torch.nn.Flatten)",
            )
        if weight.shape[1] != self.shape[0]:
            self._refuse(
                node,
                f"its weight takes {weight.shape[1]} inputs, but there are {self.shape[0]}",
                "make the widths of consecutive layers agree",
            )
        self.affine.append(AffineLayer(weight))
        self.shape = [weight.shape[0]]

    def _bias(self, node: onnx.NodeProto, position: int) -> None:
        constant = self._constant(node, position)
        width = self.shape[0]
        if constant.shape not in ((width,), (1, width)):
            self._refuse(
                node,
                f"the bias {constant.name!r} has shape {constant.shape}, not ({width},)",
                "a bias has one number per output",
            )
        used = [layer.bias.name for layer in self.affine if layer.bias is not None]
        if constant.name in used:
            self._refuse(
                node,
                f"the bias {constant.name!r} is shared with an earlier layer",
                "give each layer its own bias",
            )
        self.affine[-1].bias = constant.reshaped((width,))

    def _add(self, node: onnx.NodeProto, value: str) -> None:
        if not self.follows_affine or self.affine[-1].bias is not None:
            self._refuse(
                node,
                "it is not the bias of the affine layer in front of it",
                "add a constant only once, right after a MatMul",
            )
        self._bias(node, 1 if node.input[0] == value else 0)

    def _relu(self, node: onnx.NodeProto) -> None:
        if not self.affine or self.affine[-1].relu:
            self._refuse(
                node, "a ReLU must follow an affine layer", "remove it, or put a layer before it"
            )
        self.affine[-1].relu = True

    def _flatten(self, node: onnx.NodeProto) -> None:
        axis = attributes(node).get("axis", 1)
        if axis not in (1, -len(self.shape)):
            self._refuse(
                node, f"axis = {axis} mixes samples", "flatten from axis 1, as torch.nn.Flatten"
            )
        self.shape = [prod(self.shape)]

    def _reshape(self, node: onnx.NodeProto, value: str) -> None:
        """Accepts a constant target that keeps the batch axis and gathers the others."""
        target = self._constant(node, 1).values if node.input[0] == value else None
        if target is None or target.ndim != 1 or target.dtype.kind != "i":
            self._refuse(node, "its target is not a constant shape", "use torch.nn.Flatten")
        sizes: list[int] = target.tolist()
        features = prod(self.shape)
        keeps_zero = bool(attributes(node).get("allowzero", 0))
        batch = [-1] + ([] if keeps_zero else [0]) + ([] if self.batch is None else [self.batch])
        if len(sizes) != 2 or sizes[0] not in batch or sizes[1] not in (features, -1):
            fits = False
        else:
            fits = sizes != [-1, -1]
        if not fits:
            self._refuse(
                node,
                f"the target shape {sizes} does not flatten samples of shape {tuple(self.shape)}",
                f"reshape to (-1, {features}), or use torch.nn.Flatten",
            )
        self.shape = [features]
