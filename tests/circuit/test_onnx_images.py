"""Operators over images: what they become, compared with ONNX's own evaluator, and what is
refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from circuit_networks import circuit_of, save_onnx, values
from conv_networks import TINY, convolution, dense, forward
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx_reading import import_onnx

from zktrain.circuit.canonical import violation
from zktrain.circuit.circuit import Circuit
from zktrain.errors import RecipeError
from zktrain.layers import Add, AnyLayer, AveragePool, Convolution, Flatten, MaxPool, Unflatten

node = helper.make_node
Nodes = list[onnx.NodeProto]
Constants = dict[str, np.ndarray]
Graph = tuple[Nodes, Constants, dict[str, Any]]


def conv(source: str, name: str, result: str, *, bias: bool = True, **options: Any) -> Nodes:
    operands = [source, f"{name}.weight", *([f"{name}.bias"] if bias else [])]
    return [node("Conv", operands, [result], f"node-{name}", **options)]


def head(source: str, *, flatten: bool = True) -> Nodes:
    gemm = ["flat" if flatten else source, "head.weight", "head.bias"]
    out = node("Gemm", gemm, ["out"], "node-head", transB=1)
    return [node("Flatten", [source], ["flat"], "node-flat"), out] if flatten else [out]


def parameters(**shapes: tuple[int, ...]) -> Constants:
    """Weights by layer, with a bias for every one."""
    constants: Constants = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        constants[f"{name}.weight"] = values(*shape, seed=seed)
        constants[f"{name}.bias"] = values(shape[0], seed=seed + 100)
    return constants


def indices(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def middle(*nodes: onnx.NodeProto, width: int, extra: Constants | None = None) -> Graph:
    """``conv -> relu -> nodes -> head`` on images of 1 x 6 x 6, the nodes from ``a`` to ``m``."""
    constants = parameters(conv=(2, 1, 3, 3), head=(3, width)) | (extra or {})
    before = [*conv("x", "conv", "c", pads=[1, 1, 1, 1]), node("Relu", ["c"], ["a"], "node-relu")]
    return [*before, *nodes, *head("m")], constants, {}


def first(width: int, channels: int = 1, *, nodes: Nodes | None = None, **options: Any) -> Graph:
    """``conv(options) -> relu -> head`` on images of 1 x 6 x 6."""
    constants = parameters(conv=(2, channels, 3, 3), head=(3, width))
    before = nodes if nodes is not None else conv("x", "conv", "c", **options)
    return [*before, node("Relu", ["c"], ["a"], "node-relu"), *head("a")], constants, {}


MAX = node("MaxPool", ["a"], ["m"], "node-max", kernel_shape=[2, 2], strides=[2, 2])
CONV = convolution("conv", 1, 2, padding=1)
IMAGE = Unflatten("image", 1, 6, 6)
FLATTEN = Flatten("flatten")


def around(*layers: AnyLayer, width: int) -> tuple[AnyLayer, ...]:
    return (IMAGE, CONV, *layers, FLATTEN, dense("head", width, 3))


def convolved(
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Convolution:
    return Convolution("conv", 1, 2, kernel, stride, padding, "conv.weight", "conv.bias", relu=True)


def alone(layer: Convolution, width: int) -> tuple[AnyLayer, ...]:
    return (IMAGE, layer, FLATTEN, dense("head", width, 3))


def added_bias(*shape: int) -> Graph:
    nodes, constants, settings = first(32, nodes=[
        *conv("x", "conv", "plain", bias=False), node("Add", ["plain", "b"], ["c"], "node-add")
    ])  # fmt: skip
    constants["b"] = values(*shape, seed=9)
    del constants["conv.bias"]
    return nodes, constants, settings


def relu_after(*nodes: onnx.NodeProto, width: int) -> Graph:
    constants = parameters(conv=(2, 1, 3, 3), head=(3, width))
    before = [*conv("x", "conv", "a", pads=[1, 1, 1, 1]), *nodes]
    return [*before, node("Relu", ["m"], ["r"], "node-relu"), *head("r")], constants, {}


def residual(*, swap: bool = False, last: str = "c2", **shapes: tuple[int, ...]) -> Graph:
    """``stem -> relu -> conv -> Add(stem) -> relu -> head`` with the operands in either order."""
    constants = parameters(stem=(2, 1, 3, 3), conv=(2, 2, 3, 3), head=(3, 72)) | {
        f"{name}.weight": values(*shape, seed=5) for name, shape in shapes.items()
    }
    pads = [1, 1, 1, 1]
    operands = ["c2", "a"] if swap else ["a", "c2"]
    nodes = [
        *conv("x", "stem", "c1", pads=pads),
        node("Relu", ["c1"], ["a"], "relu1"),
        *conv("a", "conv", "c2", pads=pads),
        node("Add", operands, ["s"], "node-add"),
        node("Relu", ["s"], ["r"], "relu2"),
        *head("r"),
    ]
    return nodes, constants, {}


RESIDUAL = (
    IMAGE,
    convolution("stem", 1, 2, padding=1),
    convolution("conv", 2, 2, padding=1, relu=False),
    Add("add1", "stem", True),
    FLATTEN,
    dense("head", 72, 3),
)


def skipped_input() -> Graph:
    """The image itself is added to a convolution of it."""
    constants = parameters(conv=(1, 1, 3, 3), head=(3, 36))
    nodes = [
        *conv("x", "conv", "c", pads=[1, 1, 1, 1]),
        node("Add", ["x", "c"], ["s"], "node-add"),
        *head("s"),
    ]
    return nodes, constants, {}


def mean(keepdims: int, flatten: bool, *, axes: tuple[int, ...] = (2, 3)) -> Graph:
    reduce = node("ReduceMean", ["a", "axes"], ["m"], "node-mean", keepdims=keepdims)
    nodes, constants, settings = middle(reduce, width=2, extra={"axes": indices(*axes)})
    return (nodes if flatten else nodes[:-2] + head("m", flatten=False)), constants, settings


def squeezed(*axes: int) -> Graph:
    nodes, constants, settings = middle(
        node("GlobalAveragePool", ["a"], ["g"]),
        node("Squeeze", ["g", "axes"], ["m"], "node-squeeze"),
        width=2,
        extra={"axes": indices(*axes)},
    )
    return nodes[:-2] + head("m", flatten=False), constants, settings


def unflattened(
    *target: int, inputs: tuple[int | str, ...] = ("batch", 36), **options: Any
) -> Graph:
    nodes, constants, _ = middle(MAX, width=18, extra={"to": indices(*target)})
    nodes[0].input[0] = "i"
    return [node("Reshape", ["x", "to"], ["i"], "node-to", **options), *nodes], constants, {
        "inputs": inputs
    }  # fmt: skip


def computed_size() -> Graph:
    """``x.view(x.size(0), -1)`` and sizes taken apart in other ways."""
    nodes, constants, settings = middle(
        MAX,
        node("Shape", ["m"], ["shape"]),
        node("Slice", ["shape", "zero", "one"], ["batch"]),
        node("Gather", ["shape", "last"], ["side"]),
        node("Cast", ["side"], ["same"], to=onnx.TensorProto.INT64),
        node("Unsqueeze", ["same", "zero"], ["sides"]),
        node("Squeeze", ["sides", "zero"], ["side again"]),
        node("Unsqueeze", ["side again", "zero"], ["vector"]),
        node("Concat", ["batch", "two", "vector", "minus"], ["to"], axis=0),
        node("Reshape", ["m", "to"], ["image"], "node-same"),
        node("Shape", ["image"], ["first"], start=0, end=1),
        node("Concat", ["first", "minus"], ["row"], axis=0),
        node("Reshape", ["image", "row"], ["r"]),
        width=18,
        extra={
            "zero": indices(0), "one": indices(1), "two": indices(2), "minus": indices(-1),
            "last": np.array(-1, np.int64),
        },
    )  # fmt: skip
    return nodes[:-2] + head("r", flatten=False), constants, settings


ACCEPTED: dict[str, tuple[Graph, tuple[AnyLayer, ...]]] = {
    "maximum": (middle(MAX, width=18), TINY),
    "maximum of 4 x 1, dropping the rest": (
        middle(node("MaxPool", ["a"], ["m"], kernel_shape=[4, 1], strides=[1, 4]), width=12),
        around(MaxPool("maxpool1", (4, 1), (1, 4)), width=12),
    ),
    "maximum of one value": (
        middle(node("MaxPool", ["a"], ["m"], kernel_shape=[1, 1]), width=72), around(width=72)
    ),
    "every second value": (
        middle(node("MaxPool", ["a"], ["m"], kernel_shape=[1, 1], strides=[2, 2]), width=18),
        around(MaxPool("maxpool1", (1, 1), (2, 2)), width=18),
    ),
    "average": (
        middle(
            node("AveragePool", ["a"], ["m"], kernel_shape=[3, 2], strides=[1, 2],
                 count_include_pad=1, pads=[0, 0, 0, 0], auto_pad="NOTSET"),
            width=24,
        ),
        around(AveragePool("averagepool1", (3, 2), (1, 2)), width=24),
    ),
    "average of valid places": (
        middle(node("AveragePool", ["a"], ["m"], kernel_shape=[5, 5], auto_pad="VALID"), width=8),
        around(AveragePool("averagepool1", (5, 5), (1, 1)), width=8),
    ),
    "global average": (
        middle(node("GlobalAveragePool", ["a"], ["m"]), width=2),
        around(AveragePool("averagepool1", (6, 6), (6, 6)), width=2),
    ),
    "mean, axes kept": (
        mean(1, True), around(AveragePool("averagepool1", (6, 6), (6, 6)), width=2)
    ),
    "mean, axes dropped": (
        mean(0, False, axes=(-1, -2)),
        around(AveragePool("averagepool1", (6, 6), (6, 6)), width=2),
    ),
    "mean of a mean": (
        middle(
            node("GlobalAveragePool", ["a"], ["g"]), node("GlobalAveragePool", ["g"], ["m"]),
            width=2,
        ),
        around(AveragePool("averagepool1", (6, 6), (6, 6)), width=2),
    ),
    "squeezed": (
        squeezed(2, 3), around(AveragePool("averagepool1", (6, 6), (6, 6)), width=2)
    ),
    "squeezed from behind": (
        squeezed(-1, -2), around(AveragePool("averagepool1", (6, 6), (6, 6)), width=2)
    ),
    "convolution": (first(32), alone(convolved(), 32)),
    "strides": (first(16, strides=[1, 2], pads=[0, 0, 0, 0]), alone(convolved(stride=(1, 2)), 16)),
    "padding": (
        first(64, pads=[2, 0, 2, 0], kernel_shape=[3, 3]), alone(convolved(padding=(2, 0)), 64)
    ),
    "valid": (first(32, auto_pad="VALID"), alone(convolved(), 32)),
    "same": (first(72, auto_pad="SAME_UPPER"), alone(convolved(padding=(1, 1)), 72)),
    "same from below": (first(72, auto_pad="SAME_LOWER"), alone(convolved(padding=(1, 1)), 72)),
    "kernel of 4 x 2": (
        (first(20, strides=[2, 1])[0],
         parameters(conv=(2, 1, 4, 2), head=(3, 20)), {}),
        alone(convolved((4, 2), (2, 1)), 20),
    ),
    "bias added": (added_bias(2, 1, 1), (
        IMAGE,
        Convolution("conv", 1, 2, (3, 3), (1, 1), (0, 0), "conv.weight", "b", relu=True),
        FLATTEN, dense("head", 32, 3),
    )),
    "bias added with four axes": (added_bias(1, 2, 1, 1), (
        IMAGE,
        Convolution("conv", 1, 2, (3, 3), (1, 1), (0, 0), "conv.weight", "b", relu=True),
        FLATTEN, dense("head", 32, 3),
    )),
    "relu after a maximum": (relu_after(MAX, width=18), TINY),
    "relu after two maxima and a view": (
        relu_after(
            node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2]),
            node("MaxPool", ["p"], ["q"], kernel_shape=[2, 2]),
            node("Flatten", ["q"], ["m"]),
            width=32,
        ),
        around(
            MaxPool("maxpool1", (2, 2), (1, 1)), MaxPool("maxpool2", (2, 2), (1, 1)), width=32
        ),
    ),
    "residual": (residual(), RESIDUAL),
    "residual, operands swapped": (residual(swap=True), RESIDUAL),
    "the image itself is added": (
        skipped_input(),
        (IMAGE, convolution("conv", 1, 1, padding=1, relu=False), Add("add1", "image", False),
         FLATTEN, dense("head", 36, 3)),
    ),
    "flat input": (unflattened(-1, 1, 6, 6), TINY),
    "flat input, sizes kept": (unflattened(0, 1, 6, 6), TINY),
    "flat input, one size left open": (unflattened(0, 1, -1, 6), TINY),
    "flat input of a fixed batch": (unflattened(4, 1, 6, 6, inputs=(4, 36), allowzero=1), TINY),
    "images without channels": (unflattened(-1, 1, 6, 6, inputs=("batch", 6, 6)), TINY),
    "images regrouped": (unflattened(-1, 1, 6, 6, inputs=("batch", 1, 4, 9)), TINY),
    "sizes computed in the graph": (computed_size(), TINY),
    "dropout": (
        middle(node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
               node("Dropout", ["p", "ratio", "train"], ["d", "mask"]),
               node("Identity", ["d"], ["m"]), width=18,
               extra={"ratio": np.array(0.5, np.float32), "train": np.array(False)}), TINY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_graph(tmp_path: Path, name: str) -> None:
    (nodes, constants, settings), expected = ACCEPTED[name]
    settings = {"inputs": ("batch", 1, 6, 6)} | settings
    path = save_onnx(tmp_path / "net.onnx", nodes, constants, **settings)
    layers, weights = import_onnx(path)
    assert layers == expected
    samples = np.random.default_rng(1).normal(size=(4, *settings["inputs"][1:])).astype(np.float32)
    (logits,) = ReferenceEvaluator(str(path)).run(None, {"x": samples})
    found = forward(layers, weights, samples.reshape(4, -1))
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    assert np.abs(logits).max() > 0.01
    stated = replace(circuit_of(6, 3), layers=layers)
    assert violation(stated) is None
    assert Circuit.from_json(stated.canonical_json()).layers == layers


def sample(*inputs: int | str) -> Graph:
    """The network of ``first`` over samples of another shape."""
    nodes, constants, _ = first(32)
    return nodes, constants, {"inputs": inputs}


def replaced(graph: Graph, **constants: np.ndarray) -> Graph:
    """``graph`` with other constants; ``__`` in a name stands for a dot."""
    nodes, before, settings = graph
    return nodes, before | {n.replace("__", "."): v for n, v in constants.items()}, settings


def pooled(operator: str = "MaxPool", **options: Any) -> Graph:
    settings = {"kernel_shape": [2, 2], "strides": [2, 2]} | options
    return middle(node(operator, ["a"], ["m"], "node-pool", **settings), width=18)


def other(operator: str, *operands: str, **options: Any) -> Graph:
    extra = {"k": values(1, 2, 1, 1, seed=3), "ones": values(2, seed=4)}
    one = node(operator, ["a", *operands], ["m"], "node-other", **options)
    return middle(one, width=72, extra=extra)


def ending(*nodes: onnx.NodeProto, output: str) -> Graph:
    before, constants, settings = middle(MAX, width=18)
    return [*before, *nodes], constants, settings | {"output": output}


def two_readers(graph: Graph, *nodes: onnx.NodeProto, at: int, extra: Constants) -> Graph:
    before, constants, settings = graph
    return [*before[:at], *nodes, *before[at:]], constants | extra, settings


def four_readers() -> Graph:
    """A value that four convolutions read."""
    pads = [1, 1, 1, 1]
    constants = parameters(
        stem=(2, 1, 3, 3),
        a=(2, 2, 3, 3),
        b=(2, 2, 3, 3),
        c=(2, 2, 3, 3),
        d=(2, 2, 3, 3),
        head=(3, 72),
    )
    nodes = [
        *conv("x", "stem", "s", pads=pads),
        *conv("s", "a", "o1", pads=pads),
        *conv("s", "b", "o2", pads=pads),
        *conv("s", "c", "o3", pads=pads),
        *conv("s", "d", "o4", pads=pads),
        node("Add", ["o1", "o2"], ["sum"]),
        node("Add", ["sum", "o3"], ["r"]),
        *head("r"),
    ]
    return nodes, constants, {}


def dense_skip() -> Graph:
    """A skip around a dense layer."""
    constants = parameters(fc=(36, 36), head=(3, 36))
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Gemm", ["f", "fc.weight", "fc.bias"], ["g"], transB=1),
        node("Add", ["g", "f"], ["s"], "node-add"),
        *head("s", flatten=False),
    ]
    return nodes, constants, {}


def changed_later(*nodes: onnx.NodeProto, extra: Constants | None = None) -> Graph:
    """A residual block whose skip reads what a ReLU or a bias changes: ``nodes`` from c1 to a."""
    constants = parameters(stem=(2, 1, 3, 3), conv=(2, 2, 3, 3), head=(3, 72)) | (extra or {})
    pads = [1, 1, 1, 1]
    return [
        *conv("x", "stem", "c1", pads=pads, bias=False),
        *nodes,
        *conv("a", "conv", "c2", pads=pads),
        node("Add", ["c1", "c2"], ["s"], "node-add"),
        *head("s"),
    ], constants, {}  # fmt: skip


def dead_branch() -> Graph:
    """A convolution that nothing reads."""
    nodes, constants, settings = middle(MAX, width=18)
    constants["other.weight"] = values(2, 1, 3, 3, seed=8)
    return [*conv("x", "other", "unused", bias=False), *nodes], constants, settings


def image_of_features() -> Graph:
    """Images made of the output of a dense layer."""
    constants = parameters(fc=(36, 36), conv=(2, 1, 3, 3), head=(3, 32)) | {
        "to": indices(-1, 1, 6, 6)
    }
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Gemm", ["f", "fc.weight", "fc.bias"], ["g"], transB=1),
        node("Relu", ["g"], ["h"]),
        node("Reshape", ["h", "to"], ["i"]),
        *conv("i", "conv", "c"),
        *head("c"),
    ]
    return nodes, constants, {}


def two_shapes_of_input() -> Graph:
    """The input as images of two shapes."""
    constants = parameters(conv=(1, 1, 3, 3), more=(1, 4, 1, 1), head=(3, 9)) | {
        "to": indices(-1, 4, 3, 3)
    }
    nodes = [
        *conv("x", "conv", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Reshape", ["x", "to"], ["i"]),
        *conv("i", "more", "d"),
        node("Add", ["c", "d"], ["s"]),
        *head("s"),
    ]
    return nodes, constants, {}


REFUSED: dict[str, tuple[Graph, str]] = {
    "groups": (first(32, group=2), "'node-conv' .Conv.: it has 2 groups; use a convolution of one"),
    "dilation": (first(32, dilations=[2, 1]), r"dilations = \[2, 1\] .*; use a dilation of 1"),
    "one side padded": (
        first(32, pads=[1, 1, 0, 1]), r"pads \[1, 1\] before and \[0, 1\] after.*; pad both sides"
    ),
    "padding of the kernel's size": (
        first(32, pads=[3, 0, 3, 0]), r"padding \(3, 0\) is not below its kernel \(3, 3\); pad by"
    ),
    "negative padding": (first(32, pads=[-1, 0, -1, 0]), "not four sizes; export"),
    "same, uneven": (
        first(32, auto_pad="SAME_UPPER", strides=[2, 2]), r"pads \[0, 0\] before and \[1, 1\]"
    ),
    "unknown padding": (first(32, auto_pad="SOME"), "auto_pad = SOME is unknown"),
    "three strides": (first(32, strides=[1, 1, 1]), r"strides = \[1, 1, 1\] are not two sizes"),
    "stride of zero": (first(32, strides=[0, 1]), "not two sizes of at least 1"),
    "kernel shape": (first(32, kernel_shape=[2, 2]), r"\[2, 2\] is not the size \(3, 3\)"),
    "channels": (first(32, channels=2), "takes 2 channels, but there are 1; make the channels"),
    "over one axis": (
        replaced(first(32), conv__weight=values(2, 1, 3)), r"shape \(2, 1, 3\), not \(outputs"
    ),
    "large kernel": (
        replaced(first(32), conv__weight=values(2, 1, 7, 3)), "7 x 3 is larger than .* 6 x 6"
    ),
    "weight computed": (first(32, nodes=conv("x", "missing", "c")), "'missing.weight' is not a"),
    "data on the right": (
        first(32, nodes=[node("Conv", ["conv.weight", "x"], ["c"])]), "not its first operand"
    ),
    "shared weight": (
        middle(*conv("a", "more", "b"), node("Relu", ["b"], ["r"]), *conv("r", "more", "m"),
               width=8, extra=parameters(more=(2, 2, 3, 3))),
        "'node-more' .*'more.weight' is shared with an earlier layer",
    ),
    "shared bias": (
        middle(node("Conv", ["a", "w", "conv.bias"], ["m"], "node-more"), width=32,
               extra={"w": values(2, 2, 3, 3)}),
        "'node-more' .*'conv.bias' is shared with an earlier layer",
    ),
    "bias of another width": (
        replaced(first(32), conv__bias=values(3)), r"'conv.bias' has shape \(3,\), not \(2,\)"
    ),
    "bias as a row": (replaced(first(32), conv__bias=values(1, 2)), r"\(1, 2\), not \(2,\)"),
    "bias of every place": (added_bias(2, 4, 4), r"shape \(2, 4, 4\), not \(2, 1, 1\)"),
    "bias along the width": (added_bias(4), r"shape \(4,\), not \(2, 1, 1\)"),
    "bias behind a maximum": (
        middle(MAX, node("Add", ["m", "b"], ["n"], "node-add"), width=18,
               extra={"b": values(2, 1, 1)}),
        "'node-add' .*not the bias of the affine layer",
    ),
    "flat samples": (sample("batch", 36), r"shape \(batch, 36\), not \(batch, channels, height"),
    "samples of two axes": (sample("batch", 6, 6), r"\(batch, 6, 6\), not .*; give it images"),
    "samples of four axes": (sample("batch", 1, 6, 6, 1), r"\(batch, 1, 6, 6, 1\), not"),
    "channels last": (sample("batch", 6, 6, 1), "takes 1 channels, but there are 6"),
    "padded pool": (pooled(pads=[1, 1, 1, 1]), "'node-pool' .* pads its images; use"),
    "padded average": (pooled("AveragePool", pads=[0, 1, 0, 1]), "it pads its images"),
    "pool rounded up": (pooled(ceil_mode=1), "ceil_mode = 1 .* does not fill a window"),
    "dilated pool": (pooled(dilations=[2, 2]), "dilations"),
    "maximum of 8": (pooled(kernel_shape=[1, 8]), "1 x 8 is larger"),
    "maximum over one axis": (pooled(kernel_shape=[2]), r"kernel_shape = \[2\] are not two sizes"),
    "maximum without size": (
        middle(node("MaxPool", ["a"], ["m"], "node-pool"), width=18), "kernel_shape = None"
    ),
    "large average": (pooled("AveragePool", kernel_shape=[7, 1]), "larger than the padded image"),
    "mean over a batch": (mean(1, True, axes=(0, 2, 3)), "sum or average images, over channels"),
    "mean over everything": (
        middle(node("ReduceMean", ["a"], ["m"], "node-mean"), width=2), "over the axes None"
    ),
    "mean without image": (
        middle(node("Flatten", ["a"], ["f"]), node("ReduceMean", ["f", "axes"], ["m"]), width=1,
               extra={"axes": indices(1)}),
        r"samples of shape \(72,\) over the axes \[1\]",
    ),
    "squeezed batch": (squeezed(0), r"axes \[0\] are not axes of size 1"),
    "squeezed channels": (squeezed(1), r"axes \[1\] are not axes of size 1 .*shape \(2, 1, 1\)"),
    "relu after an average": (
        relu_after(node("AveragePool", ["a"], ["m"], kernel_shape=[2, 2]), width=50),
        "a ReLU must follow an affine layer, a convolution or an Add, or a MaxPool",
    ),
    "relu twice": (middle(node("Relu", ["a"], ["m"], "node-again"), width=72), "'node-again'"),
    "relu again after a maximum": (
        middle(MAX, node("Relu", ["m"], ["n"], "node-again"), width=18), "'node-again'"
    ),
    "softmax": (ending(node("Softmax", ["out"], ["p"]), output="p"), "the loss contains the soft"),
    "log softmax": (ending(node("LogSoftmax", ["out"], ["p"]), output="p"), "the loss contains"),
    "ends in an image": (ending(node("Identity", ["m"], ["p"]), output="p"), "does not depend on"),
    "ends in a pool": (
        (middle(MAX, width=18)[0][:3], parameters(conv=(2, 1, 3, 3)), {"output": "m"}),
        r"'node-max' \(MaxPool\): the network ends in it; end the network in a dense layer",
    ),
    "ends in an image of logits": (
        replaced(ending(node("Reshape", ["out", "to"], ["p"]), output="p"),
                 to=indices(-1, 3, 1, 1)),
        "'node-head' .*one row of logits",
    ),
    "relu at the end": (ending(node("Relu", ["out"], ["p"]), output="p"), "ReLU after the last"),
    "no convolution": (
        ([node("GlobalAveragePool", ["x"], ["out"])], {}, {}), "there is no affine layer"
    ),
    "normalisation": (
        other("BatchNormalization", "ones", "ones", "ones", "ones"),
        r"'node-other' \(BatchNormalization\).*fuse_conv_bn_eval.* or remove it",
    ),
    "scaling": (other("Mul", "k"), "operator Mul is not supported; gates such as torch.nn.SiLU"),
    "transposed convolution": (other("ConvTranspose", "conv.weight"), "use convolutions"),
    "pad": (other("Pad", "k"), r"pad in the convolution instead"),
    "transpose": (other("Transpose", perm=[0, 2, 3, 1]), "in the order channels, height, width"),
    "global maximum": (other("GlobalMaxPool"), "use the average of the image"),
    "clip": (other("Clip"), "operator Clip .*; use ReLU"),
    "elu": (other("Elu"), "operator Elu .*; use ReLU, LeakyReLU"),
    "softplus": (other("Softplus"), "operator Softplus .*; use ReLU, LeakyReLU"),
    "joined": (
        middle(node("Concat", ["a", "c"], ["m"], "node-other", axis=1), width=144),
        "add images instead of joining them",
    ),
    "foreign shape": (
        middle(node("Shape", ["a"], ["m"], "node-other", domain="com.example"), width=72),
        "domain 'com.example'",
    ),
    "added to itself": (
        middle(node("Add", ["a", "a"], ["m"], "node-add"), width=72),
        "'a' is used more than once, .* residual blocks",
    ),
    "added to itself under another name": (
        middle(node("Identity", ["a"], ["i"]), node("Add", ["a", "i"], ["m"], "node-add"),
               width=72),
        "'a' is used more than once",
    ),
    "sum of other shapes": (
        two_readers(residual(), node("MaxPool", ["a"], ["p"], kernel_shape=[1, 2]),
                    node("Add", ["p", "a"], ["m"], "node-add"), at=2, extra={}),
        r"'node-add' .*shape \(2, 6, 5\) and \(2, 6, 6\); add images of the same shape",
    ),
    "four readers": (four_readers(), "'s' is used more than once, so the graph branches here"),
    "skip around a dense layer": (dense_skip(), "'f' is used more than once.* are not images"),
    "skip before its relu": (changed_later(node("Relu", ["c1"], ["a"])), "'c1' is used more than"),
    "skip before its bias": (
        changed_later(node("Add", ["c1", "b"], ["a"]), extra={"b": values(2, 1, 1)}),
        "'c1' is used more than once",
    ),
    "relu beside a skip": (
        two_readers(changed_later(node("Identity", ["c1"], ["a"])),
                    node("Relu", ["c1"], ["r"], "node-late"), at=3, extra={}),
        "'node-late' .*'c1' is used more than once",
    ),
    "pool beside a skip": (
        two_readers(residual(), node("MaxPool", ["a"], ["p"], "node-max", kernel_shape=[2, 2]),
                    at=3, extra={}),
        "'node-max' .*'a' is used more than once",
    ),
    "dense beside a skip": (
        two_readers(residual(), node("Flatten", ["a"], ["f"]),
                    node("Gemm", ["f", "w"], ["g"], "node-dense", transB=1), at=3,
                    extra={"w": values(3, 72)}),
        "'node-dense' .*'f' is used more than once",
    ),
    "dead branch": (dead_branch(), r"'node-other' \(Conv\): the output 'out' does not depend on"),
    "image of features": (
        image_of_features(), r"shape \(36,\) reshaped to \(1, 6, 6\); make images of the network's"
    ),
    "input of two shapes": (two_shapes_of_input(), "is used more than once"),
    "two axes unknown": (unflattened(0, 1, -1, -1), "does not flatten"),
    "batch divided": (unflattened(-1, 2, 6, 6), r"\[-1, 2, 6, 6\] does not flatten .*\(36,\)"),
    "size of zero": (unflattened(-1, 0, 6, 6, allowzero=1), "does not flatten"),
    "another batch": (unflattened(3, 1, 6, 6), r"\[3, 1, 6, 6\] does not flatten"),
    "flattened across samples": (
        middle(node("Flatten", ["a"], ["m"], axis=2), width=72), "axis = 2 mixes samples"
    ),
    "given twice": (middle(MAX, MAX, width=18), "'m' is given twice; export"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_graph(tmp_path: Path, name: str) -> None:
    (nodes, constants, settings), message = REFUSED[name]
    settings = {"inputs": ("batch", 1, 6, 6)} | settings
    path = save_onnx(tmp_path / "net.onnx", nodes, constants, **settings)
    with pytest.raises(RecipeError, match=message) as caught:
        import_onnx(path)
    assert "net.onnx" in caught.value.message
    assert ";" in caught.value.message
