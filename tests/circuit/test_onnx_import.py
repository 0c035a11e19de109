"""ONNX graphs that are read, and one of each kind that is refused."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from circuit_networks import save_onnx, two_layer_nodes, two_layers, values
from onnx import TensorProto, helper, numpy_helper
from onnx_reading import import_onnx

from zktrain.errors import InputError, RecipeError
from zktrain.layers import Layer

node = helper.make_node
LAYERS = (
    Layer("fc1", 6, 5, "fc1.weight", "fc1.bias", True),
    Layer("fc2", 5, 3, "fc2.weight", "fc2.bias", False),
)


def check_weights(weights: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(weights) == list(expected)
    for name in expected:
        assert weights[name].dtype == np.float64
        np.testing.assert_array_equal(weights[name], expected[name])


@pytest.mark.parametrize("batch", ["batch", 2, None])
def test_gemm_with_transposed_weights(tmp_path: Path, batch: int | str | None) -> None:
    path = save_onnx(tmp_path / "n.onnx", two_layer_nodes(), two_layers(), inputs=(batch, 6))
    layers, weights = import_onnx(path)
    assert layers == LAYERS
    check_weights(weights, two_layers())


def test_gemm_with_plain_weights(tmp_path: Path) -> None:
    parameters = two_layers()
    stored = {n: v.T.copy() if v.ndim == 2 else v[None, :] for n, v in parameters.items()}
    nodes = two_layer_nodes()
    for gemm in (nodes[0], nodes[2]):
        gemm.ClearField("attribute")
    layers, weights = import_onnx(save_onnx(tmp_path / "n.onnx", nodes, stored))
    assert layers == LAYERS
    check_weights(weights, parameters)


def test_matmul_with_mangled_names(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", ["x", "onnx::MatMul_12"], ["m"]),
        node("Add", ["fc1.bias", "m"], ["h"]),
        node("Relu", ["h"], ["a"]),
        node("MatMul", ["a", "val_0"], ["m2"]),
        node("Add", ["m2", "val_1"], ["h2"]),
        node("Relu", ["h2"], ["a2"]),
        node("MatMul", ["a2", "val_2"], ["out"]),
    ]
    w1, w2, w3 = values(6, 5, seed=1), values(5, 3, seed=2), values(3, 2, seed=3)
    b1, b2 = values(5, seed=4), values(3, seed=5)
    constants = {"onnx::MatMul_12": w1, "fc1.bias": b1, "val_0": w2, "val_1": b2, "val_2": w3}
    layers, weights = import_onnx(save_onnx(tmp_path / "n.onnx", nodes, constants))
    assert layers == (
        Layer("fc1", 6, 5, "fc1.weight", "fc1.bias", True),
        Layer("layer2", 5, 3, "layer2.weight", "layer2.bias", True),
        Layer("layer3", 3, 2, "layer3.weight", None, False),
    )
    expected = {"fc1.weight": w1.T, "fc1.bias": b1, "layer2.weight": w2.T, "layer2.bias": b2}
    check_weights(weights, expected | {"layer3.weight": w3.T})


@pytest.mark.parametrize(
    ("flatten", "batch"),
    [
        (node("Flatten", ["x"], ["f"]), "batch"),
        (node("Flatten", ["x"], ["f"], axis=-2), "batch"),
        (node("Reshape", ["x", "to"], ["f"]), "batch"),
        (node("Reshape", ["x", "zero"], ["f"]), "batch"),
        (node("Reshape", ["x", "to"], ["f"], allowzero=1), 4),
        (node("Reshape", ["x", "static"], ["f"]), 4),
    ],
)
def test_flattened_samples(tmp_path: Path, flatten: onnx.NodeProto, batch: int | str) -> None:
    nodes = two_layer_nodes()
    nodes[0].input[0] = "f"
    shapes = {
        "to": np.array([-1, 6]),
        "zero": np.array([0, -1]),
        "static": np.array([4, 6]),
    }
    path = save_onnx(
        tmp_path / "n.onnx", [flatten, *nodes], two_layers() | shapes, inputs=(batch, 2, 3)
    )
    assert import_onnx(path)[0] == LAYERS


def test_chain_of_constants(tmp_path: Path) -> None:
    """Constant -> Transpose -> Identity -> Gemm, and an Identity on the data."""
    parameters = two_layers()
    w2 = parameters.pop("fc2.weight")
    tensor = numpy_helper.from_array(w2.T.copy(), "t")
    chain = [
        node("Constant", [], ["stored"], value=tensor),
        node("Transpose", ["stored"], ["turned"], perm=[1, 0]),
        node("Identity", ["turned"], ["fc2.weight"]),
        node("Identity", ["x"], ["same"]),
    ]
    nodes = two_layer_nodes()
    nodes[0].input[0] = "same"
    layers, weights = import_onnx(save_onnx(tmp_path / "n.onnx", chain + nodes, parameters))
    assert layers[1] == Layer("fc2", 5, 3, "stored", "fc2.bias", False)
    np.testing.assert_array_equal(weights["stored"], w2)


def test_shapes_without_values(tmp_path: Path) -> None:
    parameters = two_layers()
    shape = np.array(parameters.pop("fc1.weight").shape)
    fill = node("ConstantOfShape", ["shape"], ["fc1.weight"])
    path = save_onnx(tmp_path / "n.onnx", [fill, *two_layer_nodes()], parameters | {"shape": shape})
    layers, weights = import_onnx(path)
    assert layers == LAYERS
    assert list(weights) == ["fc1.bias", "fc2.weight", "fc2.bias"]


def swap(index: int, *replacement: onnx.NodeProto) -> Callable[[dict[str, Any]], None]:
    def apply(graph: dict[str, Any]) -> None:
        graph["nodes"][index : index + 1] = replacement

    return apply


def option(index: int, **attributes: Any) -> Callable[[dict[str, Any]], None]:
    def apply(graph: dict[str, Any]) -> None:
        gemm = graph["nodes"][index]
        settings = {"transB": 1} if gemm.op_type == "Gemm" else {}
        graph["nodes"][index] = node(
            gemm.op_type, gemm.input, gemm.output, gemm.name, **(settings | attributes)
        )

    return apply


def operand(index: int, position: int, name: str) -> Callable[[dict[str, Any]], None]:
    def apply(graph: dict[str, Any]) -> None:
        graph["nodes"][index].input[position] = name

    return apply


def constant(name: str, array: np.ndarray) -> Callable[[dict[str, Any]], None]:
    def apply(graph: dict[str, Any]) -> None:
        graph["constants"][name] = array

    return apply


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def apply(graph: dict[str, Any]) -> None:
        for change in changes:
            change(graph)

    return apply


def setting(**settings: Any) -> Callable[[dict[str, Any]], None]:
    return lambda graph: graph.update(settings)


def append(*nodes: onnx.NodeProto) -> Callable[[dict[str, Any]], None]:
    return lambda graph: graph["nodes"].extend(nodes)


def reshape(*target: int, **settings: Any) -> Callable[[dict[str, Any]], None]:
    return both(
        swap(0, node("Reshape", ["x", "to"], ["f"], "re"), two_layer_nodes()[0]),
        operand(1, 0, "f"),
        constant("to", np.array(target)),
        setting(**({"inputs": ("batch", 2, 3)} | settings)),
    )


INFINITE = values(5, 6)
INFINITE[2, 3] = np.inf

REFUSED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "operator": (
        swap(1, node("Elu", ["h"], ["a"], "act")),
        r"node 'act' \(Elu\): the operator Elu is not supported; use ReLU",
    ),
    "unnamed operator": (swap(1, node("Selu", ["h"], ["a"])), r"node 'a' \(Selu\)"),
    "foreign domain": (
        swap(1, node("Relu", ["h"], ["a"], domain="com.example")),
        "operators of domain 'com.example'",
    ),
    "softmax": (
        both(append(node("Softmax", ["out"], ["p"], "soft")), setting(output="p")),
        "'soft' .* the loss contains the softmax",
    ),
    "dropout": (
        both(swap(1, node("Relu", ["h"], ["r"]), node("Dropout", ["r", "", "train"], ["a"])),
             constant("train", np.array(True))),
        "training mode; export the network in evaluation mode",
    ),
    "relu at the end": (
        both(append(node("Relu", ["out"], ["last"])), setting(output="last")),
        "ReLU after the last affine layer; remove it",
    ),
    "relu first": (
        both(swap(0, node("Relu", ["x"], ["r"]), two_layer_nodes()[0]), operand(1, 0, "r")),
        "must follow an affine layer",
    ),
    "relu twice": (
        swap(1, node("Relu", ["h"], ["r"]), node("Relu", ["r"], ["a"])),
        "must follow an affine layer",
    ),
    "no relu between": (
        swap(1, node("Identity", ["h"], ["a"])),
        "'second' .* without an activation; put a ReLU between",
    ),
    "no affine layer": (setting(nodes=[node("Flatten", ["x"], ["out"])]), "no affine layer"),
    "branch": (
        both(append(node("Add", ["out", "a"], ["sum"], "skip")), setting(output="sum")),
        "'a' is used more than once, so the graph branches",
    ),
    "square": (
        swap(1, node("Mul", ["h", "h"], ["a"], "square")),
        "'square' .* used more than once",
    ),
    "output inside": (
        both(append(node("Relu", ["out"], ["more"], "tail"))),
        "'tail' .* 'out' is used more than once",
    ),
    "two inputs": (setting(extra_inputs=("y",)), "2 inputs and 1 outputs"),
    "two outputs": (setting(extra_outputs=("a",)), "1 inputs and 2 outputs"),
    "output not reached": (setting(output="elsewhere"), "ends in 'out', not in the output"),
    "shared weight": (
        both(constant("fc1.weight", values(6, 6)), constant("fc1.bias", values(6)),
             operand(2, 1, "fc1.weight"), operand(2, 2, "fc1.bias")),
        "'second' .* the weight 'fc1.weight' is shared",
    ),
    "shared weight behind identity": (
        both(constant("fc1.weight", values(6, 6)), constant("fc1.bias", values(6)),
             constant("fc2.bias", values(6)), operand(2, 1, "again"),
             append(node("Identity", ["fc1.weight"], ["again"]))),
        "the weight 'fc1.weight' is shared",
    ),
    "shared bias": (
        both(constant("fc2.weight", values(5, 5)), operand(2, 2, "fc1.bias")),
        "the bias 'fc1.bias' is shared",
    ),
    "alpha": (option(0, alpha=0.5), "'first' .* not 0.5, 1 and 0; scale the weights"),
    "beta": (option(0, beta=2.0), "only alpha = 1, beta = 1"),
    "transA": (option(0, transA=1), "transA = 0"),
    "widths": (constant("fc2.weight", values(3, 4)), "takes 4 inputs, but there are 5"),
    "weight axes": (constant("fc2.weight", values(3, 5, 1)), r"has shape \(3, 5, 1\)"),
    "bias width": (constant("fc2.bias", values(4)), r"'fc2.bias' has shape \(4,\), not \(3,\)"),
    "weight as input": (
        operand(0, 1, "missing"), "operand 'missing' is not a constant of the file"
    ),
    "data on the right": (
        both(operand(0, 0, "fc1.weight"), operand(0, 1, "x")), "not its first operand"
    ),
    "matmul data on the right": (
        swap(0, node("MatMul", ["fc1.weight", "x"], ["h"])), "not its first operand"
    ),
    "second bias": (
        both(swap(1, node("Add", ["h", "more"], ["h2"], "plus"), node("Relu", ["h2"], ["a"])),
             constant("more", values(5))),
        "'plus' .* not the bias of the affine layer",
    ),
    "no features": (setting(inputs=("batch",)), "a batch axis and at least one axis"),
    "two dynamic axes": (setting(inputs=("batch", "n")), "other than the first has no fixed size"),
    "not flattened": (setting(inputs=("batch", 2, 3)), r"\(batch, 2, 3\); flatten the samples"),
    "flatten across samples": (
        both(swap(0, node("Flatten", ["x"], ["f"], axis=0), two_layer_nodes()[0]),
             operand(1, 0, "f")),
        "axis = 0 mixes samples",
    ),
    "reshape across samples": (reshape(3, -1), r"\[3, -1\] does not flatten.*\(-1, 6\)"),
    "reshape splits samples": (reshape(-1, 3), "does not flatten"),
    "reshape to three axes": (reshape(-1, 6, 1), "does not flatten"),
    "reshape unknown": (reshape(-1, -1), "does not flatten"),
    "reshape to zero": (reshape(0, 6, inputs=("batch", 7)), "does not flatten"),
    "dynamic reshape": (
        both(reshape(-1, 6), operand(0, 1, "target")), "'target' is not a constant"
    ),
    "integer weights": (
        constant("fc1.weight", np.ones((5, 6), np.int8)), "holds int8 numbers.*float32"
    ),
    "infinite weights": (constant("fc1.weight", INFINITE), "holds infinities or NaN"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_graph(tmp_path: Path, name: str) -> None:
    change, message = REFUSED[name]
    graph: dict[str, Any] = {"nodes": two_layer_nodes(), "constants": two_layers()}
    change(graph)
    path = save_onnx(tmp_path / "net.onnx", graph.pop("nodes"), graph.pop("constants"), **graph)
    with pytest.raises(RecipeError, match=message) as caught:
        import_onnx(path)
    assert "net.onnx" in caught.value.message
    assert ";" in caught.value.message


def test_files_that_are_not_networks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        import_onnx(tmp_path / "none.onnx")
    for content in (b"", b"\xff\xff\xff\xff", b"hello world"):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(InputError, match="not an ONNX file"):
            import_onnx(tmp_path / "bad.onnx")


def external(folder: Path, location: str) -> Path:
    """A network whose first weight is in the file ``location``."""
    path = save_onnx(folder / "net.onnx", two_layer_nodes(), two_layers())
    model = onnx.load(str(path))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link", ""])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(values(5, 6).tobytes())
    (folder / "link").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(RecipeError, match=r"outside the folder.*external_data=False"):
        import_onnx(external(folder, location))


def test_external_data_beside_the_network(tmp_path: Path) -> None:
    path = external(tmp_path, "data.bin")
    with pytest.raises(RecipeError, match="is not there"):
        import_onnx(path)
    (tmp_path / "data.bin").write_bytes(values(5, 6, seed=1).tobytes())
    check_weights(import_onnx(path)[1], two_layers())
    (tmp_path / "data.bin").write_bytes(b"short")
    with pytest.raises(RecipeError, match=r"cannot be read|cut short"):
        import_onnx(path)


def test_embedded_data_cut_short(tmp_path: Path) -> None:
    path = save_onnx(tmp_path / "net.onnx", two_layer_nodes(), two_layers())
    model = onnx.load(str(path))
    model.graph.initializer[0].raw_data = b"12345678"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RecipeError, match=r"'fc1\.weight' cannot be read|cut short"):
        import_onnx(path)


@pytest.mark.parametrize("location", ["a\0b", "x" * 5000, "."])
def test_external_data_that_no_file_is_called(tmp_path: Path, location: str) -> None:
    with pytest.raises(RecipeError, match=r"which is not there|outside the folder"):
        import_onnx(external(tmp_path, location))


def test_external_data_read_again_and_again(tmp_path: Path) -> None:
    """Tensors have no more bytes together than the files that they are in."""
    (tmp_path / "data.bin").write_bytes(values(5, 6, seed=1).tobytes())
    path = external(tmp_path, "data.bin")
    model = onnx.load(str(path), load_external_data=False)
    for number in range(3):
        model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
        model.graph.initializer[-1].name = f"again{number}"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RecipeError, match="that other tensors have read"):
        import_onnx(path)


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "-1"), ("offset", "1e3"), ("length", "9" * 30), ("offset", "999")]
)
def test_external_data_beyond_the_file(tmp_path: Path, key: str, value: str) -> None:
    (tmp_path / "data.bin").write_bytes(values(5, 6, seed=1).tobytes())
    path = external(tmp_path, "data.bin")
    model = onnx.load(str(path), load_external_data=False)
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RecipeError, match=r"no usable|beyond the end"):
        import_onnx(path)


def test_a_shape_that_is_no_number(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["sizes"], ["fc1.weight"]), *two_layer_nodes()]
    stored = two_layers()
    del stored["fc1.weight"]
    stored["sizes"] = np.array([np.nan, 6.0], np.float32)
    with pytest.raises(RecipeError, match="a shape has at most 8 integers"):
        import_onnx(save_onnx(tmp_path / "n.onnx", nodes, stored))


def test_declared_sizes_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = save_onnx(tmp_path / "net.onnx", two_layer_nodes(), two_layers())
    model = onnx.load(str(path))
    model.graph.initializer[0].dims[0] = 1 << 40
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RecipeError, match="cut short"):
        import_onnx(path)


def test_chains_of_transposes_copy_nothing(tmp_path: Path) -> None:
    """3,000 of 16 MB took minutes."""
    stored = two_layers()
    stored["large"] = np.zeros((2048, 2048), np.float32)
    names = ["large", *(f"t{number}" for number in range(3000))]
    chain = [node("Transpose", [a], [b]) for a, b in itertools.pairwise(names)]
    path = save_onnx(tmp_path / "n.onnx", chain + two_layer_nodes(), stored)
    started = time.process_time()
    check_weights(import_onnx(path)[1], two_layers())
    assert time.process_time() - started < 3


def test_sizes_do_not_double_without_end(tmp_path: Path) -> None:
    nodes = [node("Shape", ["x"], ["s0"])]
    nodes += [
        node("Concat", [f"s{n}", f"s{n}"], [f"s{n + 1}"], axis=0) for n in range(60)
    ]  # fmt: skip
    path = save_onnx(tmp_path / "n.onnx", nodes + two_layer_nodes(), two_layers())
    check_weights(import_onnx(path)[1], two_layers())


def test_graphs_with_too_many_nodes(tmp_path: Path) -> None:
    nodes = [node("Identity", ["x"], [f"i{number}"]) for number in range((1 << 14) + 1)]
    with pytest.raises(RecipeError, match="has 16,385 nodes"):
        import_onnx(save_onnx(tmp_path / "n.onnx", nodes, two_layers()))


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """The library gives bytes for such names, which nothing else is ready for."""
    path = save_onnx(tmp_path / "net.onnx", two_layer_nodes(), two_layers())
    good = path.read_bytes()
    for name in (b"fc1.weight", b"Gemm", b"Relu", b"transB"):
        path.write_bytes(good.replace(name, name[:-1] + b"\xff"))
        with pytest.raises(InputError, match="no UTF-8"):
            import_onnx(path)
