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
from zktrain.protocol import closing, segment
from zktrain.protocol.bundle import check_chain
from zktrain.protocol.segment import SegmentHeader
from zktrain.protocol.statement import Statement
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.protocol import closing as prover_closing
from zktrain.prover.protocol import segment as prover_segment
from zktrain.prover.protocol.segment import BoundaryWeights
from zktrain.prover.randomness import expand
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
    """The weights before the first step, at the ends of segments, and after the last one. Raises
    ``RangeOverflow`` as training does."""
    firsts = range(0, case.circuit.steps, case.segment_steps)
    boundaries: dict[int, Arrays] = {}
    result = train(
        case.circuit,
        records(case),
        case.arrays(),
        boundaries=[*firsts, case.circuit.steps],
        on_boundary=lambda step, weights: boundaries.update({step: weights}),
    )
    assert digest(result.weights) == digest(boundaries[case.circuit.steps])
    return boundaries


def integers(weights: Arrays) -> Weights:
    return {name: [int(v) for v in values.reshape(-1)] for name, values in weights.items()}


def prove_and_verify(case: Case, boundaries: dict[int, Arrays]) -> None:
    """Prove every segment, close, and judge as a verifier who knows the statement and both ends.
    Raises what proving and judging raise."""
    circuit, data = case.circuit, records(case)
    seed = bytes(range(32)) if case.hiding else None
    dataset = commit_records(data, seed, 8)
    first, last = boundaries[0], boundaries[circuit.steps]
    ends = digest(first), digest(last)
    statement = Statement(
        circuit, dataset.header, *ends, case.segment_steps, SECURITY_BITS, case.hiding
    )
    statement.require_provable()
    statement = Statement.from_json(statement.to_json(), circuit, dataset.header)
    moving, fixed = segment.split_weights(circuit, first)
    start, root, previous = (
        BoundaryWeights(moving), bytes.fromhex(statement.initial), statement.digest
    )  # fmt: skip
    headers, proofs, made = [], [], []
    count = len(statement.segments)
    for number, (at, steps) in enumerate(statement.segments):
        weights = boundaries[at + steps]
        if number + 1 == count:
            end = BoundaryWeights(segment.split_weights(circuit, weights)[0])
            end_root = bytes.fromhex(statement.final)
        else:
            randomness = expand(bytes(32), f"boundary {number}") if case.hiding else None
            end = prover_segment.commit_boundary(statement, weights, randomness)
            assert end.committed is not None
            end_root = end.committed.root
        header = SegmentHeader(number, at, steps, root, end_root, previous)
        shape = statement.shape(number)
        arrays, after = run_witness(circuit, data, boundaries[at], at, steps, 1 << shape.log_steps)
        assert digest(after) == digest(weights), f"segment {number} ends in other weights"
        order = statement.order(number)
        batches = batch_tensors(data.inputs, data.labels, circuit.classes, order)
        witness = RunWitness(circuit.graph(), shape, {**arrays, **batches})
        proof, claims = prover_segment.prove(
            statement, header, witness, dataset.columns, start, end,
            blinding=dataset.blinding, fixed=fixed,
        )  # fmt: skip
        headers.append(header)
        proofs.append(proof)
        made += claims
        start, root, previous = end, end_root, header.digest
    closed = prover_closing.prove(statement, headers, made, dataset.committed)
    _judge(statement, headers, proofs, closed, first, last)


def _judge(
    statement: Statement,
    headers: list[SegmentHeader],
    proofs: list[bytes],
    closed: bytes,
    first: Arrays,
    last: Arrays,
) -> None:
    check_chain(statement, headers)
    start, fixed = segment.split_weights(statement.circuit, first)
    end, same = segment.split_weights(statement.circuit, last)
    assert all(np.array_equal(values, same[name]) for name, values in fixed.items())
    claims = []
    for number, (header, proof) in enumerate(zip(headers, proofs, strict=True)):
        claims += segment.verify(
            statement,
            header,
            proof,
            start if number == 0 else None,
            end if number + 1 == len(headers) else None,
            fixed=fixed,
        )
    closing.verify(statement, headers, claims, closed)


def published(case: Case, folder: Path) -> Weights:
    """The same through the public functions and files; the integers of the weight file that was
    accepted."""
    options = ProofOptions(SECURITY_BITS, case.hiding, case.segment_steps)
    start = None
    if case.circuit.initialisation.kind == "file":
        start = folder / "first.safetensors"
        write_weights(start, case.arrays(), case.circuit.fixed_point.weight_bits, {})
    recipe = SimpleNamespace(proof=options, init_weights=start)
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
    zktrain.verify(
        run.weights,
        proof=proof.path,
        dataset=run.path / "dataset.zkd",
        circuit=text,
        initial=start,
        min_security_bits=SECURITY_BITS,
    )
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
