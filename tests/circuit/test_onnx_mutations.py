"""Accepted graphs with something changed at random: refused in words, or read as ONNX means it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from circuit_networks import save_onnx
from conv_networks import forward
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_reading import import_onnx
from test_onnx_images import ACCEPTED

from zktrain.errors import RecipeError

MUTANTS, CHANGES = 1500, 3
NUMBERS = (0, -1, 1, 2, 3, 100, 1 << 31, 1 << 62, -(1 << 63))
ATTRIBUTES = (
    "strides", "pads", "kernel_shape", "dilations", "group", "auto_pad", "ceil_mode", "axis",
    "axes", "keepdims", "alpha", "transB", "perm", "start", "end", "allowzero", "is_test",
)  # fmt: skip
OPERATORS = (
    "Relu", "Add", "Conv", "MaxPool", "AveragePool", "ReduceMean", "Flatten", "Reshape", "Squeeze",
    "Unsqueeze", "Shape", "Gather", "Slice", "Concat", "Cast", "Gemm", "MatMul", "Identity",
    "Dropout", "Transpose", "Constant", "ConstantOfShape",
)  # fmt: skip


def drop_operand(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    if node.input:
        del node.input[draw.randrange(len(node.input))]


def other_operand(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    names = [name for other in graph.node for name in other.output]
    names += [tensor.name for tensor in graph.initializer] + ["x", "", "nowhere"]
    if node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice(names)


def other_result(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    node.output[0] = draw.choice([name for other in graph.node for name in other.output])


def attribute(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    name = draw.choice(ATTRIBUTES)
    for known in [known for known in node.attribute if known.name == name]:
        node.attribute.remove(known)
    several = [draw.choice(NUMBERS) for _ in range(draw.randint(1, 4))]
    value: Any = draw.choice([several, several[0], "SAME_UPPER", "nothing", 1.5, [1.5]])
    node.attribute.append(helper.make_attribute(name, value))


def constant(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    tensor = draw.choice(graph.initializer)
    values = numpy_helper.to_array(tensor)
    choices = [
        values.reshape(-1), values[None], values.astype(np.int64), values.reshape(-1)[:1],
        np.array(3), values.T, values[:0] if values.ndim else values,
        np.array([draw.choice(NUMBERS) for _ in range(draw.randint(0, 5))], np.int64),
    ]  # fmt: skip
    changed = np.ascontiguousarray(draw.choice(choices))
    tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))


def operator(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    node.op_type = draw.choice(OPERATORS)


def remove(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    if len(graph.node) > 1:
        graph.node.remove(node)


def shuffle(graph: onnx.GraphProto, node: onnx.NodeProto, draw: random.Random) -> None:
    nodes = list(graph.node)
    draw.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


Change = Callable[[onnx.GraphProto, onnx.NodeProto, random.Random], None]
KINDS: tuple[Change, ...] = (
    drop_operand, other_operand, other_result, attribute, constant, operator, remove, shuffle
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[onnx.ModelProto]:
    path = tmp_path_factory.mktemp("graphs") / "net.onnx"
    out = []
    for (nodes, constants, settings), _ in ACCEPTED.values():
        save_onnx(path, nodes, constants, **({"inputs": ("batch", 1, 6, 6)} | settings))
        out.append(onnx.load(str(path)))
    return out


def test_mutants_are_refused_or_mean_what_they_say(
    models: list[onnx.ModelProto], tmp_path: Path
) -> None:
    draw = random.Random(0)
    path = tmp_path / "net.onnx"
    refused = compared = 0
    for number in range(MUTANTS):
        mutant = onnx.ModelProto()
        mutant.CopyFrom(draw.choice(models))
        for _ in range(draw.randint(1, CHANGES)):
            draw.choice(KINDS)(mutant.graph, draw.choice(mutant.graph.node), draw)
        path.write_bytes(mutant.SerializeToString())
        try:
            layers, weights = import_onnx(path)
        except RecipeError:
            refused += 1
            continue
        axes = [axis.dim_value for axis in mutant.graph.input[0].type.tensor_type.shape.dim]
        samples = np.random.default_rng(number).normal(size=(axes[0] or 4, *axes[1:]))
        samples = samples.astype(np.float32)
        try:
            (logits,) = ReferenceEvaluator(mutant).run(None, {"x": samples})
        except Exception:  # more strict than we are: unused operands, unknown attributes
            continue
        found = forward(layers, weights, samples.reshape(len(samples), -1))
        np.testing.assert_allclose(found, logits, rtol=1e-3, atol=1e-4)
        compared += 1
    assert refused > MUTANTS / 2 and compared > MUTANTS / 30
