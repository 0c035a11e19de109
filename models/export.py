"""Export the networks of ``circuits/`` to ONNX.

    python models/export.py [--with-weights] [--out FOLDER]

Without ``--with-weights`` every parameter is a ``ConstantOfShape``: the graph and its shapes in a
few hundred bytes, for recipes that start from a seed. With it, the parameters are torch's
default initialisation after ``torch.manual_seed(0)``. Both are the same bytes each time.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from copy import copy
from pathlib import Path

import numpy as np
import onnx
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lenet5 import LeNet5
from mlp import MLP
from resnet import ResNet
from vgg11 import VGG11

OPSET = 18
NETWORKS = (
    (4, 8, 3),
    (64, 16, 10),
    (64, 64, 10),
    (784, 128, 10),
    (784, 1024, 1024, 10),
    (1024, 2),
)
IMAGE_NETWORKS: dict[str, tuple[type[torch.nn.Module], tuple[int, int, int]]] = {
    "lenet5": (LeNet5, (1, 28, 28)),
    "vgg11": (VGG11, (3, 32, 32)),
    "resnet-8x8": (ResNet, (1, 8, 8)),
}
"""Module and shape of a sample by the name of the file."""


def export(widths: tuple[int, ...], *, with_weights: bool) -> bytes:
    """The ONNX file of ``MLP(*widths)``; equal bytes for equal arguments and versions."""
    torch.manual_seed(0)
    return export_module(MLP(*widths), widths[:1], with_weights=with_weights)


def export_images(name: str, *, with_weights: bool) -> bytes:
    """The ONNX file of a network of ``IMAGE_NETWORKS``; equal bytes as for ``export``."""
    kind, sample = IMAGE_NETWORKS[name]
    torch.manual_seed(0)
    return export_module(kind(), sample, with_weights=with_weights)


def export_module(module: torch.nn.Module, sample: tuple[int, ...], *, with_weights: bool) -> bytes:
    """The ONNX file of ``module``, whose ``forward(x)`` takes ``(batch, *sample)``."""
    module = module.eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (torch.zeros(2, *sample),),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=["inputs"],
            output_names=["logits"],
            dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    _strip(model)
    if not with_weights:
        _drop_values(model)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _strip(model: onnx.ModelProto) -> None:
    """Remove what says where and how the export ran: stack traces with absolute paths."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in graph.value_info:
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    model.ClearField("producer_version")


def _drop_values(model: onnx.ModelProto) -> None:
    """Replace each parameter by a ``ConstantOfShape`` of the same name; shapes stay."""
    graph = model.graph
    nodes, shapes = [], []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT64:
            shapes.append(copy(tensor))
            continue
        shape = f"{tensor.name}.shape"
        shapes.append(onnx.numpy_helper.from_array(np.array(tensor.dims, np.int64), shape))
        nodes.append(
            onnx.helper.make_node("ConstantOfShape", [shape], [tensor.name], name=tensor.name)
        )
    nodes += graph.node
    graph.ClearField("initializer")
    graph.initializer.extend(shapes)
    graph.ClearField("node")
    graph.node.extend(nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--with-weights", action="store_true", help="embed initial weights")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for widths in NETWORKS:
        data = export(widths, with_weights=options.with_weights)
        _write(options.out / f"mlp-{'-'.join(map(str, widths))}.onnx", data)
    for name in IMAGE_NETWORKS:
        data = export_images(name, with_weights=options.with_weights)
        _write(options.out / f"{name}.onnx", data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    print(f"{path} ({len(data)} bytes)")


if __name__ == "__main__":
    main()
