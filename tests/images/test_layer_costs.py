"""The estimate by layer adds up to the estimate by stage."""

from __future__ import annotations

import pytest
from image_run import CLASSES, NETWORKS

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.cost import calibration
from zktrain.cost.estimate import Estimate, header_to_be
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training

DENSE = (
    Layer("fc1", 20, 9, "fc1.w", "fc1.b", True),
    Layer("fc2", 9, CLASSES, "fc2.w", None, False),
)
STAGES = ("witness", "commit", "lookups", "relations", "opening")


def estimate(layers: tuple[object, ...], loss: str, **changes: object) -> Estimate:
    circuit = Circuit(layers, loss, FixedPoint(), 5, 12, Sgd(((0, 1),)), "o",
                      Initialisation("seed", "s"), **changes)  # type: ignore[arg-type]  # fmt: skip
    header = header_to_be(40, circuit.features, CLASSES, hiding=True)
    statement = Statement(Training(circuit, "0" * 64, "0" * 64), header, 100, True)
    return Estimate(statement, calibration.shipped())


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "mse"])
@pytest.mark.parametrize("name", ["dense", *NETWORKS])
def test_layers_add_up(name: str, loss: str) -> None:
    found = estimate(DENSE if name == "dense" else NETWORKS[name], loss)
    circuit = found.statement.circuit
    assert [entry.name for entry in found.layers] == [
        *(layer.name for layer in circuit.layers), "loss", "batches",
    ]  # fmt: skip
    assert sum(entry.cells for entry in found.layers) == circuit.cells_per_step
    assert sum(entry.lookups for entry in found.layers) == circuit.lookups_per_step
    total = sum(found.stages[stage] for stage in STAGES)
    assert sum(entry.seconds for entry in found.layers) == pytest.approx(total, rel=1e-9)
    trained = {layer.name for layer in circuit.trained}
    for entry in found.layers:
        assert (entry.cells > 0) >= (entry.name in trained)
        free = ("Unflatten", "Flatten") if loss != "mse" else ("Unflatten", "Flatten", "")
        assert entry.seconds > 0 or entry.kind in free


def test_frozen_layers_cost_less() -> None:
    """Below the first trained layer there is no backward pass to prove."""
    whole = estimate(NETWORKS["mean"], "cross_entropy")
    frozen = estimate(NETWORKS["mean"], "cross_entropy", frozen=("c1", "c2"))
    assert sum(e.cells for e in frozen.layers) < sum(e.cells for e in whole.layers)
    assert sum(e.seconds for e in frozen.layers) < sum(e.seconds for e in whole.layers)
