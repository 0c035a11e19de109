"""The step of ``zktrain.ezkl.step`` as a torch module, and its export."""

from __future__ import annotations

import logging
import warnings

import torch

from ..circuit.circuit import Circuit
from ..errors import InputError
from ..layers import Layer


class Step(torch.nn.Module):
    """``forward(*parameters, x, y, rate)`` gives the parameters after one step."""

    def __init__(self, layers: tuple[Layer, ...], loss: str) -> None:
        super().__init__()
        self.layers = layers
        self.loss = loss

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *given, x, y, rate = tensors
        rest = iter(given)
        parameters = [
            (next(rest), next(rest) if layer.bias is not None else None) for layer in self.layers
        ]
        values, sums = [x], []
        for layer, (weight, bias) in zip(self.layers, parameters, strict=True):
            z = values[-1] @ weight
            z = z if bias is None else z + bias
            sums.append(z)
            values.append(torch.relu(z) if layer.relu else z)
        out = values[-1]
        error = (torch.softmax(out, dim=1) if self.loss == "cross_entropy" else out) - y
        updated: list[torch.Tensor] = []
        for index in reversed(range(len(self.layers))):
            weight, bias = parameters[index]
            after = [weight - rate * (values[index].t() @ error)]
            if bias is not None:
                after.append(bias - rate * error.sum(0))
            updated = after + updated
            if index:
                error = error @ weight.t()
                if self.layers[index - 1].relu:
                    error = error * (sums[index - 1] > 0).to(error.dtype)
        return tuple(updated)


def export_step(circuit: Circuit, opset: int) -> bytes:
    """The ONNX file of the circuit's step, without names of files and versions in it."""
    batch = circuit.batch_size
    shapes = [*circuit.parameter_shapes().values()]
    samples = [torch.zeros(shape) for shape in shapes]
    samples += [
        torch.zeros(batch, circuit.features),
        torch.zeros(batch, circuit.classes),
        torch.zeros(1),
    ]
    names = [f"w{index}" for index in range(len(shapes))]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Step(circuit.dense_layers, circuit.loss).eval(),
            tuple(samples),
            dynamo=True,
            external_data=False,
            opset_version=opset,
            input_names=[*names, "x", "y", "rate"],
            output_names=[f"{name}_after" for name in names],
            verbose=False,
        )
    if program is None:
        raise InputError("torch gave no ONNX program of the training step; install torch 2.13")
    model = program.model_proto
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in graph.value_info:
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    model.ClearField("producer_version")
    data: bytes = model.SerializeToString(deterministic=True)
    return data
