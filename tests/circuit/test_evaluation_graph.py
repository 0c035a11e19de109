"""The graph of an evaluation, run on integers by its own definitions."""

from __future__ import annotations

import numpy as np
import pytest

from zktrain.arguments.tensors import Shape
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.evaluation import MAX_SPREAD, build_evaluation, evaluation_graph
from zktrain.circuit.initialisation import Initialisation
from zktrain.layers import Layer
from zktrain.operations import Accumulate, Affine, AffineTransposed, Fixed, Lookup
from zktrain.operations.base import StepGraph, name_of
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import dry
from zktrain.prover.witness import RunWitness
from zktrain.tables import TABLES


def _layers(*widths: int) -> tuple[Layer, ...]:
    last = len(widths) - 1
    return tuple(
        Layer(f"fc{i}", widths[i - 1], widths[i], f"w{i}", f"b{i}" if i > 1 else None, i < last)
        for i in range(1, len(widths))
    )


def _circuit(*widths: int, **changes: object) -> Circuit:
    fields: dict[str, object] = {
        "layers": _layers(*widths),
        "loss": "mse",
        "fixed_point": FixedPoint(),
        "batch_size": 4,
        "steps": 2,
        "optimizer": Sgd(((0, 1),)),
        "order_seed": "order",
        "initialisation": Initialisation("seed", "s"),
    }
    return Circuit(**{**fields, **changes})  # type: ignore[arg-type]


def test_no_weight_is_trained() -> None:
    """Every layer has its forward product and its fixed weights, nothing runs backward."""
    graph = evaluation_graph(_circuit(6, 5, 4, 3))
    kinds = [type(op) for op in graph.operations]
    assert kinds.count(Affine) == kinds.count(Fixed) == 3
    assert Accumulate not in kinds and AffineTransposed not in kinds
    names = [(op.weight, op.bias) for op in graph.operations if isinstance(op, Fixed)]
    assert names == [("w1", None), ("w2", "b2"), ("w3", "b3")]


def test_only_the_network_matters() -> None:
    one = _circuit(6, 5, 3)
    other = _circuit(6, 5, 3, loss="cross_entropy", batch_size=7, steps=9, order_seed="x")
    assert evaluation_graph(one) == evaluation_graph(other)


def test_every_committed_tensor_is_looked_up() -> None:
    """The predictions too, in the table that makes them bits."""
    graph = build_evaluation(_layers(6, 5, 3), FixedPoint())
    looked_up = {name for op in graph.operations if isinstance(op, Lookup) for name in op.columns}
    assert {tensor.name for tensor in graph.tensors if tensor.committed} <= looked_up
    assert ("winner", ("d", "h")) in [
        (op.table, op.columns) for op in graph.operations if isinstance(op, Lookup)
    ]


def test_claims_reach_weights_and_records_last() -> None:
    order = [name_of(op) for op in build_evaluation(_layers(6, 5, 3), FixedPoint()).claim_order()]
    for earlier, later in (
        ("linear d", "linear top"),
        ("linear top", "product hz"),
        ("vanish chosen", "linear chosen"),
        ("tally y", "batch y"),
        ("affine acc1", "batch x"),
        ("affine acc2", "fixed w2"),
    ):
        assert order.index(earlier) < order.index(later)


def _in_table(d: int, h: int) -> bool:
    """Whether ``winner`` has this row."""
    columns = [column.tolist() for column in TABLES["winner"].columns()]
    return (d, h) in set(zip(*columns, strict=True))


@pytest.mark.parametrize(
    "logits",
    [
        [3, 1, 2], [1, 3, 2], [1, 2, 3], [2, 2, 1], [1, 2, 2], [2, 2, 2], [-1, -1, -5],
        [0, 0, 0], [-(1 << 15), MAX_SPREAD - (1 << 15), 0], [(1 << 15) - 2, -(1 << 15), 7],
        [-(1 << 15), (1 << 15) - 1, 0],
    ],
)  # fmt: skip
def test_the_table_admits_the_first_of_the_largest_only(logits: list[int]) -> None:
    """Of all eight predictions of three bits; none at all needs the sum of bits to be refused."""
    width, shape = 3, Shape(1, 3)
    graph = build_evaluation((Layer("fc1", 2, width, "w", None, False),), FixedPoint())
    z = np.zeros((1, 4, 4), dtype=np.int32)
    z[0, 0, :width] = logits
    rows = set(zip(*[c.tolist() for c in TABLES["winner"].columns()], strict=True))
    admitted = []
    for chosen in np.ndindex(2, 2, 2):
        h = np.zeros((1, 4, 4), dtype=np.uint8)
        h[0, 0, :width] = chosen
        witness = RunWitness(graph, shape, {"z1": z, "h": h})
        d = witness.tensor("d")
        cells = zip(d[0, 0].tolist(), h[0, 0].tolist(), strict=True)
        if all(cell in rows for cell in cells) and not witness.tensor("chosen")[0, 0]:
            admitted.append(chosen)
        assert not d[0, 3].any() and not witness.tensor("chosen")[0, 3]
    winner = logits.index(max(logits))
    assert admitted == [tuple(int(k == winner) for k in range(width))]


def test_padded_predictions_are_in_no_row() -> None:
    """On a padded class the distance is the prediction itself, and ``(1, 1)`` is no row."""
    graph = build_evaluation((Layer("fc1", 2, 3, "w", None, False),), FixedPoint())
    z, h = (np.zeros((1, 2, 4), dtype=kind) for kind in (np.int16, np.uint8))
    z[0, 0, :3], h[0, 0, 1], h[0, 0, 3] = (4, 9, 5), 1, 1
    d = RunWitness(graph, Shape(1, 2), {"z1": z, "h": h}).tensor("d")
    assert d[0, 0, 3] == 1 and not _in_table(1, 1)
    assert _in_table(0, 1) and _in_table(0, 0) and _in_table(MAX_SPREAD, 0)
    assert not _in_table(MAX_SPREAD + 1, 0) and not _in_table(-1, 0)


def test_weights_that_nothing_checks_are_a_mistake() -> None:
    """A graph without one of its fixed weights is refused before anything is sent."""
    graph = build_evaluation(_layers(6, 5, 3), FixedPoint())
    for missing in (Fixed("w1", None), Fixed("w2", "b2")):
        kept = tuple(op for op in graph.operations if op != missing)
        assert len(kept) == len(graph.operations) - 1
        partial = StepGraph(graph.tensors, kept)
        with pytest.raises(ValueError, match="claims on weights"):
            dry.count(partial, Shape(1, 2), 1)
