"""Reading an ONNX file safely, and the constants that its graph can hold."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, RecipeError

if TYPE_CHECKING:
    import onnx


_ATTRIBUTES = {
    name: kind
    for kind, names in {
        "INT": "allowzero axis ceil_mode end group is_test keepdims start transA transB value_int",
        "INTS": "axes dilations kernel_shape pads perm strides value_ints",
        "FLOAT": "alpha beta value_float",
        "FLOATS": "value_floats",
        "STRING": "approximate auto_pad",
        "TENSOR": "value",
    }.items()
    for name in names.split()
}
"""The attributes that are read, and their types."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the graph; ``values`` is ``None`` where the file gives its shape only.

    ``name`` is that of the initializer or node that first produced it, whatever chain of
    ``Identity`` and ``Transpose`` it has come through.
    """

    name: str
    shape: tuple[int, ...]
    values: npt.NDArray[Any] | None

    def transposed(self) -> Constant:
        values = None if self.values is None else np.ascontiguousarray(self.values.T)
        return Constant(self.name, self.shape[::-1], values)

    def reshaped(self, shape: tuple[int, ...]) -> Constant:
        values = None if self.values is None else self.values.reshape(shape)
        return Constant(self.name, shape, values)


class Unsupported(Exception):
    """A node that is not supported: why, and what to do. Whoever reads the graph adds its name."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")


def describe(node: onnx.NodeProto) -> str:
    """How errors name a node: its name, or its output where it has none, and its operator."""
    name = node.name or ", ".join(node.output)
    return f"node {name!r} ({node.op_type})"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of ``node`` as Python values. Raises ``Unsupported`` where one has another
    type than ONNX gives it."""
    import onnx

    values: dict[str, Any] = {}
    for attribute in node.attribute:
        kind = onnx.AttributeProto.AttributeType.Name(attribute.type)
        if kind != _ATTRIBUTES.get(attribute.name, kind):
            raise Unsupported(
                f"its attribute {attribute.name} has the type {kind}, not "
                f"{_ATTRIBUTES[attribute.name]}",
                "export the network again",
            )
        if attribute.name in _ATTRIBUTES:
            values[attribute.name] = onnx.helper.get_attribute_value(attribute)
    return values


def load_model(path: Path) -> onnx.ModelProto:
    """Decode the file at ``path``, without its external data. Raises ``InputError``."""
    try:
        import onnx
    except ImportError as error:
        raise InputError(
            "compiling a recipe reads ONNX; install it with: pip install 'zktrain[prove]'"
        ) from error

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise InputError(f"the network {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf's own DecodeError, among others
        raise InputError(f"{path} is not an ONNX file: {error}") from error
    if not model.graph.node:
        raise InputError(f"{path} is not an ONNX file, or its graph is empty")
    return model


def constant_values(model: onnx.ModelProto, path: Path) -> dict[str, Constant]:
    """Every value of the graph that does not depend on its input, by name."""
    constants: dict[str, Constant] = {}
    for tensor in model.graph.initializer:
        values = _array(tensor, path)
        constants[tensor.name] = Constant(tensor.name, values.shape, values)
    for node in model.graph.node:
        if all(name in constants for name in node.input) and len(node.output) == 1:
            try:
                constant = _folded(node, constants, path)
            except Unsupported as problem:
                raise RecipeError(f"{path.name}: {describe(node)}: {problem}") from None
            if constant is not None:
                constants[node.output[0]] = constant
    return constants


def _folded(node: onnx.NodeProto, constants: dict[str, Constant], path: Path) -> Constant | None:
    output = node.output[0]
    options = attributes(node)
    if node.op_type == "Constant":
        return _constant_node(node, options, path)
    if not node.input:
        return None
    source = constants[node.input[0]]
    if node.op_type == "Identity":
        return source
    if node.op_type == "Transpose" and len(source.shape) == 2:
        swaps = list(options.get("perm", [1, 0])) == [1, 0]
        return source.transposed() if swaps else source
    if node.op_type == "ConstantOfShape" and source.values is not None:
        shape = tuple(int(size) for size in source.values.reshape(-1))
        if any(size < 1 for size in shape):
            raise RecipeError(
                f"{path.name}: {describe(node)}: it has the shape {shape}; "
                "every axis needs a size of at least 1"
            )
        return Constant(output, shape, None)
    return None


def _constant_node(node: onnx.NodeProto, options: dict[str, Any], path: Path) -> Constant | None:
    if "value" in options:
        values = _array(options["value"], path)
    elif "value_float" in options or "value_floats" in options:
        values = np.asarray(options.get("value_floats", options.get("value_float")), np.float32)
    elif "value_int" in options or "value_ints" in options:
        values = np.asarray(options.get("value_ints", options.get("value_int")), np.int64)
    else:
        return None
    return Constant(node.output[0], values.shape, values)


def _array(tensor: onnx.TensorProto, path: Path) -> npt.NDArray[Any]:
    """The values of ``tensor``; external ones only from inside the folder of ``path``."""
    import onnx

    folder = path.resolve().parent
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        target = (folder / location).resolve()
        if not location or not target.is_relative_to(folder):
            raise RecipeError(
                f"{path.name}: the tensor {tensor.name!r} refers to the data file {location!r} "
                "outside the folder of the network; export it with embedded weights "
                "(external_data=False)"
            )
        if not target.is_file():
            raise RecipeError(
                f"{path.name}: the tensor {tensor.name!r} refers to the data file {location!r}, "
                "which is not there; put it beside the network, or export it with embedded weights "
                "(external_data=False)"
            )
    try:
        values: npt.NDArray[Any] = onnx.numpy_helper.to_array(tensor, str(folder))
    except (ValueError, TypeError, OSError, KeyError, onnx.checker.ValidationError) as error:
        raise RecipeError(
            f"{path.name}: the tensor {tensor.name!r} cannot be read: {error}; export it again"
        ) from error
    if values.size != prod(tensor.dims):
        raise RecipeError(f"{path.name}: the tensor {tensor.name!r} is cut short; export it again")
    return values
