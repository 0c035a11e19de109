"""Files of a run: its network, its recipe and its records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..dataset.readers import Records, read_dataset, read_test_split
from .settings import Setting, data_path

_DARK = 63
"""Synthetic inputs go up to here, so that no value of a wide network leaves its range."""


def write_network(path: Path, widths: tuple[int, ...]) -> None:
    """A perceptron with ReLU whose parameters are all 0: recipes draw the first ones themselves."""
    import onnx
    from onnx import TensorProto, helper

    nodes, initializers, value, last = [], [], "inputs", len(widths) - 1
    for layer in range(1, last + 1):
        name, inputs, outputs = f"fc{layer}", widths[layer - 1], widths[layer]
        for part, dims in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            shape = f"{name}.{part}.shape"
            initializers.append(helper.make_tensor(shape, TensorProto.INT64, (len(dims),), dims))
            nodes.append(helper.make_node("ConstantOfShape", [shape], [f"{name}.{part}"]))
        result = "logits" if layer == last else f"z{layer}"
        gemm = [value, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Gemm", gemm, [result], name, transB=1))
        value = result
        if layer < last:
            nodes.append(helper.make_node("Relu", [value], [f"a{layer}"], f"relu{layer}"))
            value = f"a{layer}"
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ("batch", widths[0]))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", widths[-1]))],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), str(path))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the commands take: DATA, held-out DATA where there are any, and the recipe."""

    data: str
    held_out: str | None
    recipe: Path


def write_inputs(setting: Setting, folder: Path) -> Inputs:
    """All files of a run in ``folder``. Raises ``InputError`` for data that cannot be read."""
    data, held_out, features, classes = _write_data(setting, folder)
    widths = (features, *[setting.width] * setting.depth, classes)
    return Inputs(data, held_out, _write_recipe(setting, widths, folder))


def _write_recipe(setting: Setting, widths: tuple[int, ...], folder: Path) -> Path:
    """The recipe and its network in ``folder``."""
    write_network(folder / "network.onnx", widths)
    path = folder / "recipe.toml"
    path.write_text(
        f"""[model]
onnx = "network.onnx"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = {setting.learning_rate!r}
batch_size = {setting.batch}
steps = {setting.steps}
order_seed = "zktrain bench order"
[init]
seed = "zktrain bench weights"
[proof]
zero_knowledge = {str(setting.zero_knowledge).lower()}
"""
    )
    return path


def synthetic(
    records: int, features: int, classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Bytes of a fixed stream, labelled with the largest of fixed projections of them."""
    inputs = (_stream("inputs", records * features) & np.uint8(_DARK)).reshape(records, features)
    directions = _stream("directions", features * classes).view(np.int8)
    scores = (inputs.astype(np.float32) - _DARK / 2) @ directions.reshape(features, classes)
    return inputs, np.argmax(scores, axis=1).astype(np.uint16)


def _stream(name: str, count: int) -> NDArray[np.uint8]:
    """``count`` bytes, the same everywhere; nothing that has to be random."""
    data = hashlib.shake_256(f"zktrain synthetic {name}".encode()).digest(count)
    return np.frombuffer(data, dtype=np.uint8)


def _write_data(setting: Setting, folder: Path) -> tuple[str, str | None, int, int]:
    """``(DATA, held-out DATA, inputs, classes)`` of the setting, written where it must be."""
    path = folder / "records.npz"
    if setting.dataset == "synthetic":
        inputs, labels = synthetic(setting.records or 4096, setting.features, setting.classes)
        np.savez(path, inputs=inputs, labels=labels, classes=setting.classes)
        return str(path), None, setting.features, setting.classes
    data = data_path(setting)
    found = read_dataset(data)
    features = found.inputs.shape[1]
    if setting.records is None or setting.records >= len(found.inputs):
        return data, None, features, found.classes
    _save(path, found, setting.records)
    held_out = read_test_split(data)
    if held_out is None:
        return str(path), None, features, found.classes
    other = folder / "held-out.npz"
    _save(other, held_out, len(held_out.inputs))
    return str(path), str(other), features, found.classes


def _save(path: Path, records: Records, count: int) -> None:
    inputs, labels = records.inputs[:count], records.labels[:count]
    np.savez(path, inputs=inputs, labels=labels, classes=records.classes)
