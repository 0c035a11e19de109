"""Reading an ONNX file safely, and the constants that its graph can hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, RecipeError
from ...files import opened, read_bytes

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 1 << 31
"""Of a file: what protobuf can hold."""
MAX_NODES = 1 << 14
MAX_AXES = 8
_MOST_PER_BYTE = 20
"""Values of a tensor per byte that the file has of it."""
_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
"""Where torch's exporter says what a value of the graph is in the module."""

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


class Origin(Enum):
    """What a constant of the graph is in the module that was exported."""

    PARAMETER = "a parameter"
    CONSTANT = "a constant"
    COMPUTED = "computed of a parameter and others, as of a layer and its normalisation"
    FOLDED = "a weight without a name of its own"
    UNKNOWN = "one that may be a parameter or a constant"


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the graph; ``values`` is ``None`` where the file gives its shape only.

    ``name`` is that of the initializer or node that first produced it, whatever chain of
    ``Identity`` and ``Transpose`` it has come through; ``origin`` what the file says that it is.
    """

    name: str
    shape: tuple[int, ...]
    values: npt.NDArray[Any] | None
    origin: Origin = Origin.PARAMETER

    def transposed(self) -> Constant:
        values = None if self.values is None else self.values.T
        return replace(self, shape=self.shape[::-1], values=values)

    def reshaped(self, shape: tuple[int, ...]) -> Constant:
        values = None if self.values is None else self.values.reshape(shape)
        return replace(self, shape=shape, values=values)


class Unsupported(Exception):
    """A node that is not supported: why, and what to do. Whoever reads the graph adds its name."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")


def describe(node: onnx.NodeProto) -> str:
    """How errors name a node: its name, or its output where it has none, and its operator."""
    name = node.name or ", ".join(node.output[:4])
    return f"node {name!r:.120} ({node.op_type:.40})"


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

    data = read_bytes(path, "network", MAX_BYTES)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own DecodeError, among others
        raise InputError(f"{path} is not an ONNX file: {error}") from error
    if not _are_texts(model):
        raise InputError(f"{path} is not an ONNX file: a name in it is no UTF-8; export it again")
    if not model.graph.node:
        raise InputError(f"{path} is not an ONNX file, or its graph is empty")
    if len(model.graph.node) > MAX_NODES:
        raise RecipeError(
            f"the graph has {len(model.graph.node):,} nodes; networks of at most {MAX_NODES:,} are "
            "read"
        )
    return model


def _are_texts(message: Any) -> bool:
    """Whether all texts of a message are: the library gives bytes for one that is no UTF-8."""
    for field, value in message.ListFields():
        repeated = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        values = value if repeated else (value,)
        if field.type == field.TYPE_STRING and not all(isinstance(text, str) for text in values):
            return False
        if field.type == field.TYPE_MESSAGE and not all(_are_texts(part) for part in values):
            return False
    return True


def constant_values(model: onnx.ModelProto, path: Path) -> dict[str, Constant]:
    """Every value of the graph that does not depend on its input, by name."""
    constants: dict[str, Constant] = {}
    tensors, origins = _Tensors(path), _origins(model)
    for tensor in model.graph.initializer:
        values = tensors.read(tensor)
        origin = origins.get(tensor.name, Origin.PARAMETER)
        constants[tensor.name] = Constant(tensor.name, values.shape, values, origin)
    for node in model.graph.node:
        if all(name in constants for name in node.input) and len(node.output) == 1:
            try:
                constant = _folded(node, constants, tensors)
            except Unsupported as problem:
                raise RecipeError(f"{describe(node)}: {problem}") from None
            if constant is not None:
                constants[node.output[0]] = constant
    return constants


def _folded(
    node: onnx.NodeProto, constants: dict[str, Constant], tensors: _Tensors
) -> Constant | None:
    output = node.output[0]
    options = attributes(node)
    if node.op_type == "Constant":
        return _constant_node(node, options, tensors)
    if not node.input:
        return None
    source = constants[node.input[0]]
    if node.op_type == "Identity":
        return source
    if node.op_type == "Transpose" and len(source.shape) == 2:
        swaps = list(options.get("perm", [1, 0])) == [1, 0]
        return source.transposed() if swaps else source
    if node.op_type == "ConstantOfShape" and source.values is not None:
        if source.values.dtype.kind != "i" or source.values.size > MAX_AXES:
            raise Unsupported(
                f"its shape is {source.values.size} numbers of type {source.values.dtype}",
                f"a shape has at most {MAX_AXES} integers",
            )
        shape = tuple(int(size) for size in source.values.reshape(-1))
        if any(size < 1 for size in shape):
            raise Unsupported(f"it has the shape {shape}", "every axis needs a size of at least 1")
        return Constant(output, shape, None)
    return None


def _constant_node(
    node: onnx.NodeProto, options: dict[str, Any], tensors: _Tensors
) -> Constant | None:
    if "value" in options:
        values = tensors.read(options["value"])
    elif "value_float" in options or "value_floats" in options:
        values = np.asarray(options.get("value_floats", options.get("value_float")), np.float32)
    elif "value_int" in options or "value_ints" in options:
        values = np.asarray(options.get("value_ints", options.get("value_int")), np.int64)
    else:
        return None
    return Constant(node.output[0], values.shape, values, Origin.CONSTANT)


class _Tensors:
    """Reads the tensors of one file: external ones only from inside its folder, and in all not
    more bytes than the files have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[Path, int] = {}
        """Bytes of each data file."""
        self._taken = 0

    def read(self, tensor: onnx.TensorProto) -> npt.NDArray[Any]:
        """The values of ``tensor``. Raises ``RecipeError``."""
        import onnx

        name = f"the tensor {tensor.name!r:.120}"
        if len(tensor.dims) > MAX_AXES or any(size < 0 for size in tensor.dims):
            raise RecipeError(f"{name} has no usable shape; export it again")
        stored = tensor
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            stored = onnx.TensorProto()
            stored.CopyFrom(tensor)
            stored.ClearField("external_data")
            stored.data_location = onnx.TensorProto.DEFAULT
            stored.raw_data = self._external(tensor, name)
        count = prod(tensor.dims)
        if count > _MOST_PER_BYTE * stored.ByteSize():
            raise RecipeError(f"{name} is cut short; export it again")
        try:
            values: npt.NDArray[Any] = onnx.numpy_helper.to_array(stored)
        except Exception as error:  # whatever the library makes of such bytes
            raise RecipeError(f"{name} cannot be read: {error}; export it again") from error
        if values.size != count:
            raise RecipeError(f"{name} is cut short; export it again")
        return values

    def _external(self, tensor: onnx.TensorProto, name: str) -> bytes:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location, folder = entries.get("location", ""), self._path.resolve().parent
        try:
            target = (folder / location).resolve()
            there = target.is_file()
        except (OSError, ValueError, RuntimeError):  # a null byte, a loop of links
            target, there = folder, False
        if not location or not target.is_relative_to(folder):
            raise RecipeError(
                f"{name} refers to the data file {location!r:.200} outside the folder of the "
                "network; export it with embedded weights (external_data=False)"
            )
        if not there:
            raise RecipeError(
                f"{name} refers to the data file {location!r:.200}, which is not there; put it "
                "beside the network, or export it with embedded weights (external_data=False)"
            )
        with opened(target, "data file of the network", MAX_BYTES) as file:
            numbers = []
            for key, default in (("offset", 0), ("length", None)):
                text = entries.get(key, "")
                if text and not (text.isascii() and text.isdigit() and len(text) < 20):
                    raise RecipeError(f"{name} has no usable {key} in {location!r:.200}")
                numbers.append(int(text) if text else default)
            offset = numbers[0] or 0
            length = file.size - offset if numbers[1] is None else numbers[1]
            if length < 0 or offset + length > file.size:
                raise RecipeError(
                    f"{name} goes beyond the end of the data file {location!r:.200}; export it "
                    "again"
                )
            self._files[target] = file.size
            self._taken += length
            if self._taken > sum(self._files.values()):
                raise RecipeError(
                    f"{name} reads a part of {location!r:.200} that other tensors have read; "
                    "export it again"
                )
            return file.read(offset, length)


def _origins(model: onnx.ModelProto) -> dict[str, Origin]:
    """What the initializers of the graph are, where it is not a matter of course.

    Torch's exporter says it of every value; what it has computed of others has no kind. The older
    one (``dynamo=False``) writes parameters and buffers alike, so that there are only names to go
    by.
    """
    if model.producer_name != "pytorch":
        return {}
    kinds = {
        value.name: entry.value
        for value in model.graph.value_info
        for entry in value.metadata_props
        if entry.key == _KIND
    }
    found: dict[str, Origin] = {}
    for tensor in model.graph.initializer:
        name = tensor.name
        own = name.rpartition(".")[2] in ("weight", "bias")
        if name in kinds:
            parameter = kinds[name] == "PARAMETER"
            found[name] = Origin.PARAMETER if parameter else Origin.CONSTANT
        elif kinds:
            found[name] = Origin.COMPUTED if own else Origin.UNKNOWN
        elif name.startswith("onnx::"):
            found[name] = Origin.FOLDED
        else:
            found[name] = Origin.PARAMETER if own else Origin.UNKNOWN
    return found
