"""A complete run small enough for tests: 8-4-3, batches of 4, 6 steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import zktrain

WIDTHS = (8, 4, 3)
RECORDS = 24


@dataclass(frozen=True)
class TinyBundle:
    """Paths of everything that a run leaves; ``root`` is the dataset's, in hexadecimal digits."""

    folder: Path
    recipe: Path
    circuit: Path
    data: Path
    dataset: Path
    root: str
    run: Path
    weights: Path
    proof: Path


def write_onnx(path: Path, widths: tuple[int, ...] = WIDTHS, seed: int = 0) -> Path:
    """Affine layers ``fc1``, ``fc2``, ... with ReLU between them, and small random parameters."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(seed)
    nodes, parameters, value = [], [], "x"
    last = len(widths) - 1
    for index in range(1, last + 1):
        name = f"fc{index}"
        inputs, outputs = widths[index - 1], widths[index]
        for part, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
            values = generator.uniform(-0.3, 0.3, shape).astype(np.float32)
            parameters.append(numpy_helper.from_array(values, f"{name}.{part}"))
        gemm = [value, f"{name}.weight", f"{name}.bias"]
        value = f"z{index}" if index < last else "out"
        nodes.append(helper.make_node("Gemm", gemm, [value], name, transB=1))
        if index < last:
            nodes.append(helper.make_node("Relu", [value], [f"a{index}"], f"relu{index}"))
            value = f"a{index}"
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", widths[0]))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ("batch", widths[-1]))],
        parameters,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), str(path))
    return path


def write_recipe(
    folder: Path,
    *,
    name: str = "tiny",
    learning_rate: str = "0.125",
    batch_size: int = 4,
    steps: int = 6,
    order_seed: str = "tiny order",
    init: str = 'seed = "tiny weights"',
    loss: str = "cross_entropy",
) -> Path:
    """The recipe of the tiny run beside its network, with some values changed."""
    write_onnx(folder / "tiny.onnx")
    path = folder / f"{name}.toml"
    path.write_text(
        f"""[model]
onnx = "tiny.onnx"
[training]
loss = "{loss}"
optimizer = "sgd"
learning_rate = {learning_rate}
batch_size = {batch_size}
steps = {steps}
order_seed = "{order_seed}"
[init]
{init}
[proof]
"""
    )
    return path


def write_data(path: Path, *, seed: int = 0, records: int = RECORDS) -> Path:
    """Random bytes, labelled with the brightest of three pixel groups."""
    inputs = np.random.default_rng(seed).integers(0, 256, (records, WIDTHS[0]), dtype=np.uint8)
    groups = [inputs[:, part].astype(np.int64).sum(axis=1) for part in np.array_split(range(8), 3)]
    labels = np.argmax(groups, axis=0).astype(np.uint8)
    np.savez(path, inputs=inputs, labels=labels, classes=WIDTHS[-1])
    return path


def make_bundle(folder: Path, *, data_seed: int = 0, **changes: str | int) -> TinyBundle:
    """Commit, compile, train and prove in ``folder``; ``changes`` are those of ``write_recipe``."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = write_recipe(folder, **changes)  # type: ignore[arg-type]
    data = write_data(folder / "data.npz", seed=data_seed)
    circuit, dataset, run = folder / "tiny.circuit.json", folder / "data.zkd", folder / "run"
    root = zktrain.commit(data, out=dataset).root
    zktrain.compile(recipe, out=circuit)
    trained = zktrain.train(recipe, data=data, out=run, dataset=dataset, test=data)
    proved = zktrain.prove(run)
    return TinyBundle(
        folder, recipe, circuit, data, dataset, root, run, trained.weights, proved.path
    )
