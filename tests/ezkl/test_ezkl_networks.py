"""Other networks than that of the irises: in ezkl's arithmetic they train as in exact integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from iris_run import ROOT, write_iris

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.dataset.readers import read_dataset
from zktrain.ezkl import keys, values
from zktrain.ezkl.calibrate import calibrate, trajectory
from zktrain.ezkl.native import Native
from zktrain.ezkl.parameters import DEFAULT_SCALE as SCALE
from zktrain.layers import Layer
from zktrain.progress import silent
from zktrain.training import trainer

NETWORKS: dict[str, dict[str, Any]] = {
    "squared error": {"loss": "mse"},
    "one layer": {"layers": (Layer("a", 4, 3, "a.w", "a.b", False),)},
    "no biases": {
        "layers": (
            Layer("a", 4, 6, "a.w", None, True),
            Layer("b", 6, 3, "b.w", None, False),
        )
    },
    "three layers, three steps, an odd batch": {
        "layers": (
            Layer("a", 4, 7, "a.w", "a.b", True),
            Layer("b", 7, 1, "b.w", None, True),
            Layer("c", 1, 3, "c.w", "c.b", False),
        ),
        "batch_size": 5,
        "steps": 3,
    },
}


@pytest.mark.slow("proofs by ezkl take half a minute")
@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)
def test_training_in_ezkls_fixed_point(
    ezkl_cache: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    text = (ROOT / "circuits" / "iris-mlp-8.circuit.json").read_bytes()
    circuit = replace(Circuit.from_json(text), **changes)
    records = read_dataset(str(write_iris(tmp_path / "iris.npz")))
    start = seeded_weights(circuit)
    exact = trainer.train(circuit, records, start).weights
    with Native() as native:
        first = values.rounded(circuit, start, SCALE)
        run = trajectory(circuit, records, first, SCALE, native, silent)
        logrows = keys.rows_of(circuit, calibrate(run, SCALE), native, tmp_path)
    assert 10 <= logrows <= 14
    assert len(run.instances) == circuit.steps
    assert {len(found) for found in run.instances} == {2 * len(start) + 3}
    for name, wanted in exact.items():
        apart = np.abs(run.weights[-1][name] * 2.0**-SCALE - wanted * 2.0**-32)
        assert apart.max() < 0.0005
    assert max(np.abs((exact[name] - start[name]) * 2.0**-32).max() for name in exact) > 0.005
