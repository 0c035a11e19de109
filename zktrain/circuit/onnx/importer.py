"""From an ONNX file to the layers of a network and their initial float weights.

The graph must lead from one input to one output through the layers of ``network``. It is a chain,
but for the blocks of residual networks. Everything else is refused by name, with what to do about
it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import RecipeError
from ...layers import (
    ACTIVATIONS,
    Activation,
    ActivationKind,
    AnyLayer,
    AveragePool,
    Convolution,
    Layer,
    MaxPool,
    Reduce,
)
from .constants import (
    Constant,
    Origin,
    Unsupported,
    attributes,
    constant_values,
    describe,
    load_model,
)
from .layers import Draft, named_layers
from .sequence import NO_BRANCHES, Sequence, Value
from .shapes import (
    Sizes,
    computed,
    flattened,
    reshaped,
    shape_of,
    squeezed,
    target_sizes,
    unsqueezed,
)
from .windows import convolution_window, pool_window

if TYPE_CHECKING:
    import onnx

_SOFTMAX = "remove it: the loss contains the softmax, so the network ends in its logits"
_ACTIVATION = "use ReLU, LeakyReLU, Sigmoid, Tanh or GELU: these activations are proved"
_REMEDIES = {
    "Softmax": _SOFTMAX,
    "LogSoftmax": _SOFTMAX,
    "BatchNormalization": (
        "its statistics over a batch are not proved: fold it into the layer before it "
        "(torch.nn.utils.fusion.fuse_conv_bn_eval) before the export, or remove it"
    ),
    "Erf": "export GELU as one operator: torch.onnx.export(..., opset_version=20)",
    "ConvTranspose": "use convolutions (torch.nn.Conv2d)",
    "GlobalMaxPool": "use the average of the image (torch.nn.AdaptiveAvgPool2d(1))",
    "Pad": "pad in the convolution instead (padding= of torch.nn.Conv2d)",
    "Transpose": "keep the samples' axes in the order channels, height, width",
    "Mul": (
        "gates such as torch.nn.SiLU, and products with a constant, are not proved: use ReLU, "
        "LeakyReLU, Sigmoid, Tanh or GELU as the activation, and put a constant factor into the "
        "weights"
    ),
    "Sub": "give its negative as the layer's bias, or prepare the inputs before the commitment",
    "Div": "put the factor into the weights, or prepare the inputs before the commitment",
    "LayerNormalization": "its statistics over a sample are not proved: remove it",
    "Concat": "add images instead of joining them",
} | dict.fromkeys(
    (
        "PRelu", "Elu", "Selu", "Celu", "Clip",
        "Softplus", "Softsign", "Mish", "Swish", "HardSigmoid", "HardSwish", "ThresholdedRelu",
    ),
    _ACTIVATION,
)  # fmt: skip
_REMEDY = (
    "build the network from Linear, Conv2d, MaxPool2d and AvgPool2d with ReLU between them "
    "(Gemm, MatMul, Conv, Add, Relu, LeakyRelu, Sigmoid, Tanh, Gelu, MaxPool, AveragePool, "
    "GlobalAveragePool, ReduceMean, ReduceSum, Flatten, Reshape, Squeeze, Unsqueeze, Dropout, "
    "Identity)"
)


@dataclass(frozen=True, slots=True)
class Imported:
    """A network from a file.

    ``weights`` are float64 by parameter name, as torch has them, ``(outputs, inputs)`` and
    ``(outputs, inputs, height, width)``; parameters that the file gives only a shape
    (``ConstantOfShape``) are missing. ``origins`` says what each parameter is in the file, and
    under which name. ``changes`` are sentences about what was left out.
    """

    layers: tuple[AnyLayer, ...]
    weights: dict[str, npt.NDArray[np.float64]]
    origins: dict[str, tuple[Origin, str]]
    changes: tuple[str, ...]


def read_network(path: str | Path) -> Imported:
    """Read the network at ``path``.

    Raises ``InputError`` if the file cannot be read, ``RecipeError`` naming node, operator, reason
    and remedy for what is not supported.
    """
    path = Path(path)
    try:
        model = load_model(path)
        return _Graph(model, constant_values(model, path)).read()
    except RecipeError as problem:
        raise RecipeError(f"{path.name}: {problem}") from None


class _Graph:
    """Goes through the nodes in their order and follows the values that depend on the input."""

    def __init__(self, model: onnx.ModelProto, constants: dict[str, Constant]) -> None:
        self.graph = model.graph
        self.constants = constants
        self.values: dict[str, Value] = {}
        self.sizes: dict[str, Sizes] = {}
        self.batch: int | None = None
        """Size of the first axis, ``None`` if symbolic."""
        self.sequence = Sequence(())
        self.changes: list[str] = []

    def read(self) -> Imported:
        inputs = [value for value in self.graph.input if value.name not in self.constants]
        if len(inputs) != 1 or len(self.graph.output) != 1:
            raise RecipeError(
                f"the graph has {len(inputs)} inputs and {len(self.graph.output)} outputs; export "
                "a network with one of each"
            )
        self._input(inputs[0])
        last = inputs[0].name
        for node in self.graph.node:
            if self._step(node):
                last = node.output[0]
        self._output(last)
        layers, weights, origins = named_layers(self.sequence.drafts)
        return Imported(layers, weights, origins, tuple(self.changes))

    def _input(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        axes = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
        if not tensor.HasField("shape") or len(axes) < 2:
            raise RecipeError(
                f"the input {value.name!r} needs a batch axis and at least one axis of features; "
                "export the network with such an example input"
            )
        sizes = [axis for axis in axes[1:] if axis is not None and axis > 0]
        if len(sizes) != len(axes) - 1:
            raise RecipeError(
                f"an axis of the input {value.name!r} other than the first has no fixed size; "
                "export the network with only the batch axis dynamic"
            )
        self.batch = axes[0]
        self.sequence = Sequence(tuple(sizes))
        self.values[value.name] = Value(value.name, 0, tuple(sizes))

    def _output(self, last: str) -> None:
        name = self.graph.output[0].name
        if name not in self.values:
            raise RecipeError(
                f"the chain from the input ends in {last!r}, not in the output {name!r}; export a "
                "network whose output depends on its input through every layer"
            )
        drafts, value = self.sequence.drafts, self.values[name]
        if not any(draft.affine for draft in drafts):
            raise RecipeError(f"there is no affine layer; {_REMEDY}")
        for number, draft in enumerate(drafts):
            if draft.readers == 0 and number != value.draft:
                raise RecipeError(
                    f"{draft.node}: the output {name!r} does not depend on it; remove it, or "
                    "export a network whose output depends on every layer"
                )
        end = drafts[value.draft]
        if not isinstance(end.layer, Layer) or len(value.shape) != 1:
            remedy = (
                "end the network in a dense layer (torch.nn.Linear) that gives one row of logits "
                "per sample"
            )
            if end.layer is not None and end.layer.activates:
                remedy = (
                    "remove it from the exported module, so that the network ends in its logits"
                )
                if isinstance(end.layer, Activation) and end.layer.function == "sigmoid":
                    remedy += (
                        ': loss = "binary_cross_entropy" contains the sigmoid, one for every class'
                    )
            raise RecipeError(f"{end.node}: the network ends in it; {remedy}")
        if end.relu:
            raise RecipeError(
                "there is a ReLU after the last affine layer; remove it, the network ends in its "
                "logits"
            )

    def _step(self, node: onnx.NodeProto) -> bool:
        """Reads one node; whether its output is a value of samples."""
        if not node.output or not node.output[0] or node.output[0] in self.constants:
            return False
        operands = [self.values[name] for name in node.input if name in self.values]
        if not operands:
            sizes = computed(node, self.sizes, self.constants)
            if sizes is not None:
                self.sizes[node.output[0]] = sizes
            return False
        try:
            if node.domain not in ("", "ai.onnx"):
                raise Unsupported(f"operators of domain {node.domain!r} are not supported", _REMEDY)
            if node.op_type == "Shape":
                self.sizes[node.output[0]] = shape_of(node, operands[0].shape)
                return False
            if node.output[0] in self.values:
                raise Unsupported(
                    f"the value {node.output[0]!r} is given twice", "export the network again"
                )
            self._require_single_use(operands)
            value = self._value(node, operands)
        except Unsupported as problem:
            raise RecipeError(f"{describe(node)}: {problem}") from None
        name = node.output[0]
        self.values[name] = Value(name, value.draft, value.shape, value.changes)
        return True

    def _require_single_use(self, operands: list[Value]) -> None:
        names = [value.name for value in operands]
        output = self.graph.output[0].name
        for name in names:
            if names.count(name) > 1 or name == output:
                raise Unsupported(
                    f"the value {name!r} is used more than once, so the graph branches here",
                    NO_BRANCHES,
                )

    def _value(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        value = operands[0]
        match node.op_type:
            case "Identity":
                self.changes.append(f"{describe(node)} is left out: it changes nothing")
                return value
            case "Gemm" | "MatMul":
                return self._dense(node, value)
            case "Conv":
                return self._convolution(node, value)
            case "Add":
                return self._add(node, operands)
            case "Relu":
                return self.sequence.rectified(value)
            case "MaxPool" | "AveragePool":
                return self._pool(node, value)
            case "GlobalAveragePool" | "ReduceMean" | "ReduceSum":
                return self._reduced(node, value)
            case "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze":
                shape = self._regrouped(node, value)
                return Value(value.name, value.draft, shape, value.changes)
            case "Dropout":
                self._require_evaluation(node)
                self.changes.append(
                    f"{describe(node)} is left out: exact training drops no values, so that the "
                    "network is trained as if it were not there"
                )
                return value
        for kind in ACTIVATIONS:
            if node.op_type in kind.operators:
                return self._activation(node, value, kind)
        remedy = _REMEDIES.get(node.op_type, _REMEDY)
        raise Unsupported(f"the operator {node.op_type} is not supported", remedy)

    def _activation(self, node: onnx.NodeProto, value: Value, kind: ActivationKind) -> Value:
        options = attributes(node)
        if options.get("approximate", b"none") != b"none":
            raise Unsupported(
                "it is approximated by a tanh", 'use torch.nn.GELU(approximate="none")'
            )
        layer = kind.imported(node.op_type, options)
        return self.sequence.curved(value, layer, describe(node))

    def _dense(self, node: onnx.NodeProto, value: Value) -> Value:
        options: dict[str, Any] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
        options |= attributes(node)
        if options["alpha"] != 1.0 or options["beta"] != 1.0 or options["transA"] != 0:
            raise Unsupported(
                "only alpha = 1, beta = 1 and transA = 0 are supported, not "
                f"{options['alpha']:g}, {options['beta']:g} and {options['transA']}",
                "scale the weights instead, or build the layer from torch.nn.Linear",
            )
        if node.input[0] != value.name:
            raise Unsupported("the data is not its first operand", "write the layer as x W + b")
        weight = self._constant(node, 1)
        if len(weight.shape) != 2 or min(weight.shape) < 1:
            raise Unsupported(
                f"the weight {weight.name!r} has shape {weight.shape}",
                "a weight has two axes, inputs and outputs",
            )
        if not options["transB"]:
            weight = weight.transposed()
        number = self.sequence.flat(value)
        before = self.sequence.drafts[number]
        if isinstance(before.layer, Layer) and not before.relu:
            raise Unsupported(
                "two affine layers follow each other without an activation",
                "put a ReLU between them, or merge them into one layer",
            )
        outputs, inputs = weight.shape
        if inputs != value.shape[0]:
            raise Unsupported(
                f"its weight takes {inputs} inputs, but there are {value.shape[0]}",
                "make the widths of consecutive layers agree",
            )
        layer = Layer("", inputs, outputs, "", None, False)
        draft = Draft(layer, (outputs,), describe(node), number)
        return self._with_bias(node, self.sequence.affine(value, draft, weight))

    def _convolution(self, node: onnx.NodeProto, value: Value) -> Value:
        if node.input[0] != value.name:
            raise Unsupported("the data is not its first operand", "use torch.nn.Conv2d")
        weight = self._constant(node, 1)
        number, image = self.sequence.image(value)
        window = convolution_window(node, image, weight.shape)
        outputs = weight.shape[0]
        layer = Convolution(
            name="",
            inputs=image[0],
            outputs=outputs,
            kernel=window.kernel,
            stride=window.stride,
            padding=window.padding,
            weight="",
            bias=None,
            relu=False,
        )
        draft = Draft(layer, (outputs, *window.places), describe(node), number)
        return self._with_bias(node, self.sequence.affine(value, draft, weight))

    def _with_bias(self, node: onnx.NodeProto, value: Value) -> Value:
        if len(node.input) < 3 or not node.input[2]:
            return value
        return self.sequence.bias(value, self._constant(node, 2), own=True)

    def _constant(self, node: onnx.NodeProto, position: int) -> Constant:
        name = node.input[position] if position < len(node.input) else ""
        if name not in self.constants:
            raise Unsupported(
                f"its operand {name!r} is not a constant of the file",
                "export the network with its parameters as initializers",
            )
        return self._told(node, self.constants[name])

    def _told(self, node: onnx.NodeProto, constant: Constant) -> Constant:
        """The constant with what its node tells of it. Torch's older exporter names a weight that
        it has transposed or merged anew; that of a layer without bias is read by a node inside
        the layer's scope (``/fc1/MatMul``), that of ``x @ W.T`` in the network's own code is not.
        """
        if constant.origin is not Origin.FOLDED:
            return constant
        origin = Origin.UNKNOWN
        if node.op_type == "Conv":
            origin = Origin.COMPUTED
        elif node.op_type == "MatMul" and node.name.count("/") > 1:
            origin = Origin.PARAMETER
        return replace(constant, origin=origin)

    def _add(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        if len(operands) == 2:
            return self.sequence.add(operands[0], operands[1], describe(node))
        constant = self._constant(node, 1 if node.input[0] == operands[0].name else 0)
        return self.sequence.bias(operands[0], constant)

    def _pool(self, node: onnx.NodeProto, value: Value) -> Value:
        number, image = self.sequence.image(value)
        window = pool_window(node, image)
        if window.kernel == window.stride == (1, 1):
            self.changes.append(f"{describe(node)} is left out: its windows have one value")
            return self.sequence.value(number, value.shape)
        kind = MaxPool if node.op_type == "MaxPool" else AveragePool
        layer = kind("", window.kernel, window.stride)
        draft = Draft(layer, (image[0], *window.places), describe(node), number)
        return self.sequence.pool(value, draft)

    def _reduced(self, node: onnx.NodeProto, value: Value) -> Value:
        """The sum or mean over axes of an image, which are kept or not."""
        whole = node.op_type == "GlobalAveragePool"
        axes = [2, 3] if whole else self._axes(node)
        summed = {axis % 4 for axis in axes or ()}
        if not whole and (len(value.shape) != 3 or not summed or 0 in summed):
            raise Unsupported(
                f"it adds up samples of shape {value.shape} over the axes {axes}",
                "sum or average images, over channels, height or width (axes 1, 2 and 3)",
            )
        number, image = self.sequence.image(value)
        channels, height, width = (n if at in summed else 1 for at, n in enumerate(image, 1))
        if channels * height * width > 1:
            layer: AnyLayer = AveragePool("", (height, width), (height, width))
            if summed != {2, 3} or node.op_type == "ReduceSum":
                mean = node.op_type != "ReduceSum"
                layer = Reduce("", channels, height, width, mean)
            shape = tuple(1 if at in summed else n for at, n in enumerate(image, 1))
            number = self.sequence.pool(value, Draft(layer, shape, describe(node), number)).draft
        shape = self.sequence.drafts[number].shape
        if not whole and not attributes(node).get("keepdims", 1):
            shape = tuple(n for at, n in enumerate(shape, 1) if at not in summed)
        return self.sequence.value(number, shape or (1,))

    def _axes(self, node: onnx.NodeProto) -> list[int] | None:
        """The axes of a reduction, ``Squeeze`` or ``Unsqueeze``, from wherever it has them."""
        axes = attributes(node).get("axes")
        if len(node.input) > 1 and node.input[1]:
            values = self._constant(node, 1).values
            axes = None if values is None else values.reshape(-1).tolist()
        return None if axes is None else [int(axis) for axis in axes]

    def _regrouped(self, node: onnx.NodeProto, value: Value) -> tuple[int, ...]:
        """The shape of a sample after a node that keeps all cells in their order."""
        if node.op_type == "Flatten":
            return flattened(node, value.shape)
        if node.op_type == "Squeeze":
            return squeezed(value.shape, self._axes(node))
        if node.op_type == "Unsqueeze":
            return unsqueezed(value.shape, self._axes(node))
        name = node.input[1] if len(node.input) > 1 else ""
        target = target_sizes(name, self.sizes.get(name) or self.constants.get(name))
        return reshaped(node, value.shape, target, self.batch)

    def _require_evaluation(self, node: onnx.NodeProto) -> None:
        training = attributes(node).get("is_test", 1) == 0
        if len(node.input) > 2 and node.input[2]:
            values = self._constant(node, 2).values
            training = values is None or bool(values.any())
        if training:
            raise Unsupported(
                "it is in training mode", "export the network in evaluation mode (module.eval())"
            )
