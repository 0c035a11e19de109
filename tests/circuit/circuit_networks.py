"""Circuits and ONNX graphs that several tests share."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd


def layers_of(*widths: int, bias: bool = True) -> tuple[Layer, ...]:
    """Layers ``fc1``, ``fc2``, ... of the given widths."""
    return tuple(
        Layer(
            name=f"fc{index}",
            inputs=inputs,
            outputs=outputs,
            weight=f"fc{index}.weight",
            bias=f"fc{index}.bias" if bias else None,
            relu=index < len(widths) - 1,
        )
        for index, (inputs, outputs) in enumerate(pairwise(widths), 1)
    )


def circuit_of(
    *widths: int,
    loss: str = "cross_entropy",
    batch_size: int = 4,
    steps: int = 10,
    multipliers: tuple[tuple[int, int], ...] = ((0, 2),),
    bias: bool = True,
    initialisation: Initialisation | None = None,
    order_seed: str = "order",
) -> Circuit:
    """A small circuit with everything else at its default."""
    return Circuit(
        layers=layers_of(*widths, bias=bias),
        loss=loss,
        fixed_point=FixedPoint(),
        batch_size=batch_size,
        steps=steps,
        optimizer=Sgd(multipliers),
        order_seed=order_seed,
        initialisation=initialisation or Initialisation("seed", "weights"),
    )


def values(*shape: int, seed: int = 0) -> np.ndarray:
    """Small random float32 values."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32) / 4


def save_onnx(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    *,
    inputs: tuple[int | str | None, ...] = ("batch", 6),
    output: str = "out",
    extra_inputs: tuple[str, ...] = (),
    extra_outputs: tuple[str, ...] = (),
) -> Path:
    """Write a graph from ``x`` to ``output``."""
    graph_inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)]
    graph_inputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, inputs) for name in extra_inputs
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in (output, *extra_outputs)
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", graph_inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, str(path))
    return path


def two_layers() -> dict[str, np.ndarray]:
    """Parameters of a 6-5-3 network in torch layout."""
    return {
        "fc1.weight": values(5, 6, seed=1),
        "fc1.bias": values(5, seed=2),
        "fc2.weight": values(3, 5, seed=3),
        "fc2.bias": values(3, seed=4),
    }


def two_layer_nodes() -> list[onnx.NodeProto]:
    """``x -> Gemm -> Relu -> Gemm -> out`` on ``two_layers``."""
    return [
        helper.make_node("Gemm", ["x", "fc1.weight", "fc1.bias"], ["h"], "first", transB=1),
        helper.make_node("Relu", ["h"], ["a"], "relu"),
        helper.make_node("Gemm", ["a", "fc2.weight", "fc2.bias"], ["out"], "second", transB=1),
    ]
