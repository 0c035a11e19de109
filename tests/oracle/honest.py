"""An honest run of a case with the code under test: trained, proved, judged."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

import zktrain
from zktrain.circuit import compile as compiling
from zktrain.circuit.recipe import ProofOptions
from zktrain.circuit.weights import digest
from zktrain.dataset.readers import Records
from zktrain.layers import Convolution, Layer
from zktrain.protocol import proof as proofs
from zktrain.protocol.proof import trained_weights
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Checkpoint, Training
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.protocol import proof as prover_proof
from zktrain.prover.protocol.bundle import require_provable
from zktrain.prover.witness import RunWitness, batch_tensors
from zktrain.training.trainer import train
from zktrain.training.weight_file import write_weights
from zktrain.training.witness import run_witness

from .circuits import Case
from .interpreter import Vector, Weights, filter_of

SECURITY_BITS = 80
"""The smallest target that a statement may have."""

Arrays = dict[str, np.ndarray]


def records(case: Case) -> Records:
    inputs = np.array(case.inputs, dtype=np.uint8)
    return Records(inputs, np.array(case.labels, dtype=np.uint8), case.circuit.classes, case.key)


def trained(case: Case) -> dict[int, Arrays]:
    """The weights before the first step, after those of checkpoints, and after the last one. Raises
    ``RangeOverflow`` as training does."""
    kept: dict[int, Arrays] = {}
    last = case.circuit.steps
    result = train(
        case.circuit,
        records(case),
        case.arrays(),
        boundaries=[0, *case.checkpoints, last],
        on_boundary=lambda step, weights: kept.update({step: weights}),
    )
    assert digest(result.weights) == digest(kept[last])
    return kept


def integers(weights: Arrays) -> Weights:
    return {name: [int(v) for v in values.reshape(-1)] for name, values in weights.items()}


def prove_and_verify(case: Case, kept: dict[int, Arrays]) -> None:
    """Prove, and judge as verifiers who know the statement and both ends, one of them with all
    checkpoints, one with the last. Raises what proving and judging raise."""
    circuit, data = case.circuit, records(case)
    ends, steps = (kept[0], kept[circuit.steps]), case.checkpoints
    seed = bytes(range(32)) if case.hiding else None
    dataset = commit_records(data, seed, 8)
    stated = tuple(Checkpoint(step, digest(kept[step])) for step in steps)
    task = Training(circuit, *map(digest, ends), stated)
    statement = Statement(task, dataset.header, SECURITY_BITS, case.hiding)
    require_provable(statement)
    statement = Statement.from_json(statement.to_json(), circuit, dataset.header)
    shape = statement.shape
    arrays, after = run_witness(circuit, data, ends[0], 0, shape.steps, 1 << shape.log_steps)
    assert digest(after) == digest(ends[1]), "the witness ends in other weights"
    order = task.order(dataset.header)
    batches = batch_tensors(data.inputs, data.labels, circuit.classes, order)
    witness = RunWitness(statement.graph, shape, {**arrays, **batches})
    files = {step: kept[step].__getitem__ for step in steps}
    public = trained_weights(circuit, *ends, files)
    proof = prover_proof.prove(statement, witness, dataset, public)
    moving, first = circuit.trained_shapes(), kept[0]
    assert all(
        np.array_equal(first[name], found[name])
        for found in kept.values()
        for name in first
        if name not in moving
    )
    for given in {steps, steps[-1:]}:
        _judge(statement, proof, *ends, {step: kept[step] for step in given})


def _judge(
    statement: Statement,
    proof: bytes,
    first: Arrays,
    last: Arrays,
    checkpoints: dict[int, Arrays] | None = None,
) -> None:
    files = {step: found.__getitem__ for step, found in (checkpoints or {}).items()}
    proofs.verify(statement, proof, trained_weights(statement.circuit, first, last, files))


def published(case: Case, folder: Path) -> Weights:
    """The same through the public functions and files; the integers of the weight file that was
    accepted."""
    options = ProofOptions(SECURITY_BITS, case.hiding)
    start = None
    if case.circuit.initialisation.kind == "file":
        start = folder / "first.safetensors"
        write_weights(start, case.arrays(), case.circuit.fixed_point.weight_bits, {})
    recipe = SimpleNamespace(
        proof=options,
        init_weights=start,
        checkpoints=case.checkpoints,
        checkpoint_steps=lambda records: case.checkpoints,
        steps=case.circuit.steps,
    )
    compiled = compiling.Compiled(case.circuit, recipe, None)  # type: ignore[arg-type]
    data = folder / "data.npz"
    rows = records(case)
    arrays = {"inputs": rows.inputs, "labels": rows.labels, "classes": rows.classes}
    np.savez(data, low=0, high=255, **arrays)
    with mock.patch.object(compiling, "compile_recipe", return_value=compiled):
        run = zktrain.train(folder / "recipe.toml", data=data, out=folder / "run")
    proof = zktrain.prove(run.path)
    text = folder / "circuit.json"
    text.write_bytes(case.circuit.canonical_json())
    found = zktrain.verify(
        run.weights,
        proof=proof.path,
        dataset=run.path / "dataset.zkd",
        circuit=text,
        initial=start,
        checkpoints=sorted(run.path.glob("checkpoint-*.safetensors")),
        min_security_bits=SECURITY_BITS,
    )
    assert tuple(one.step for one in found.checkpoints if one.checked) == case.checkpoints
    return weight_file(case, run.weights)


def weight_file(case: Case, path: Path) -> Weights:
    """The integers of a published file, by the description of safetensors and of format.md."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    scale = 1 << (32 if filter_of(case.circuit) is None else 34)
    out: Weights = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F64"
        begin, end = entry["data_offsets"]
        body = data[8 + length + begin : 8 + length + end]
        reals = struct.unpack(f"<{len(body) // 8}d", body)
        assert all((value * scale).is_integer() for value in reals)
        out[name] = [int(value * scale) for value in reals]
        _shape_is_torch(case, name, entry["shape"])
    return {name: _from_torch(case, name, values) for name, values in out.items()}


def _layer_of(case: Case, name: str) -> Layer | Convolution:
    for layer in case.circuit.layers:
        if isinstance(layer, (Layer, Convolution)) and name in (layer.weight, layer.bias):
            return layer
    raise AssertionError(f"the file has a parameter {name} of no layer")


def _shape_is_torch(case: Case, name: str, shape: list[int]) -> None:
    layer = _layer_of(case, name)
    kernel = list(layer.kernel) if isinstance(layer, Convolution) else []
    wanted = [layer.outputs] if name == layer.bias else [layer.outputs, layer.inputs, *kernel]
    assert shape == wanted


def _from_torch(case: Case, name: str, values: Vector) -> Vector:
    layer = _layer_of(case, name)
    if name == layer.bias:
        return values
    taps = layer.kernel[0] * layer.kernel[1] if isinstance(layer, Convolution) else 1
    return [
        values[(j * layer.inputs + i) * taps + k]
        for k in range(taps)
        for i in range(layer.inputs)
        for j in range(layer.outputs)
    ]
