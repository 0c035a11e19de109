"""Rounding is the prover's choice, and no bound on the weights follows."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from iris_run import RECIPE, SCALE, WIDTHS, IrisProof
from tiny_run import write_onnx

import zktrain
from zktrain.ezkl import native
from zktrain.ezkl.native import EzklFailure
from zktrain.training.run import Run
from zktrain.training.weights import read_weights

DOWN, UP = 1, 2
UNIT = 2.0**-SCALE

# ezkl divides floats and rounds them by a function of its own, which stands at this place.
ROUND = """
import ctypes, ezkl
first = next(line for line in open("/proc/self/maps") if "ezkl.abi3.so" in line)
at = int(first.split("-")[0], 16) + 0x1f80bb0
if ctypes.string_at(at, 6) != bytes.fromhex("660f28c8660f"):
    raise SystemExit(77)
ctypes.CDLL(None).mprotect(ctypes.c_void_p(at & ~4095), 8192, 7)
ctypes.memmove(at, bytes([0x66, 0x0F, 0x3A, 0x0B, 0xC0, {mode}, 0xC3]), 7)
"""


@pytest.fixture
def run(iris: IrisProof, tmp_path: Path) -> Path:
    """One step from weights that leave both hidden sums of every record between 0 and 1 unit."""
    import onnx

    path = write_onnx(tmp_path / "tiny.onnx", WIDTHS)
    model = onnx.load(path)
    given = {
        "fc1.weight": np.array([[0, 0, UNIT, 0], [0, 0, UNIT, 0]]),
        "fc2.weight": np.array([[1.375, -1.375], [-1.375, 1.375], [1.375, -1.375]]),
    }
    for tensor in model.graph.initializer:
        values = given.get(tensor.name, 0 * onnx.numpy_helper.to_array(tensor))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.save(model, path)
    recipe = tmp_path / "one.toml"
    text = RECIPE.replace("steps = 2", "steps = 1").replace('seed = "iris"', "onnx = true")
    recipe.write_text(text.replace("0.0625", "1.0"))
    return zktrain.train(recipe, data=iris.data, out=tmp_path / "run").path


def test_one_step_ends_in_weights_far_apart_and_both_are_accepted(
    iris: IrisProof, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One circuit, one start, one batch: rounded down a ReLU is shut, rounded up it is open."""
    if platform.machine() != "x86_64":
        pytest.skip("the prover's change is one of x86-64 code")
    parameters = iris.proved.parameters
    monkeypatch.setattr("zktrain.ezkl.prove.calibrate", lambda *_: parameters)
    honest, found = native._CHILD, []
    for mode in (DOWN, UP):
        monkeypatch.setattr(native, "_CHILD", ROUND.format(mode=mode) + honest)
        try:
            proved = iris.prove(run=run, out=tmp_path / f"{mode}.zkt")
        except EzklFailure as error:
            if "code 77" not in error.message:
                raise
            pytest.skip("another build of ezkl")
        found.append(proved)
    monkeypatch.setattr(native, "_CHILD", honest)
    assert {proved.verifying_key for proved in found} == {iris.proved.verifying_key}
    opened = Run.open(run)
    first = opened.path / "initial.safetensors"
    for proved in found:
        verdict = iris.verify(proved.path.read_bytes(), weights=proved.weights, initial=first)
        assert any("no bound on the weights follows" in said for said in verdict.warnings)
    shapes = opened.circuit.parameter_shapes()
    down, up = (read_weights(proved.weights, shapes, SCALE) for proved in found)
    assert max(int(np.abs(up[name] - down[name]).max()) for name in shapes) > 1000
