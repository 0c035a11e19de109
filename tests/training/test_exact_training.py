"""Trainer and witness against plain Python integers, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from training_oracle import Oracle, circuit_of

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.order import batch_indices
from zktrain.dataset.readers import Records
from zktrain.errors import InputError, RangeOverflow
from zktrain.training import arithmetic
from zktrain.training.float_network import float_network
from zktrain.training.trainer import evaluate, train, train_float32
from zktrain.training.trajectory import Trajectory
from zktrain.training.witness import run_witness

Weights = dict[str, npt.NDArray[np.int64]]


def records_of(circuit: Circuit, count: int = 17) -> Records:
    generator = np.random.default_rng(1)
    inputs = generator.integers(0, 256, (count, circuit.features), dtype=np.uint8)
    labels = generator.integers(0, circuit.classes, count).astype(np.uint8)
    return Records(inputs, labels, circuit.classes, "random")


def oracle_of(circuit: Circuit, weights: Weights) -> Oracle:
    matrices = {name: values.tolist() for name, values in weights.items() if values.ndim == 2}
    biases = {name: values.tolist() for name, values in weights.items() if values.ndim == 1}
    return Oracle(circuit, matrices, biases)


def run_oracle(oracle: Oracle, records: Records, step: int) -> None:
    circuit = oracle.circuit
    order = batch_indices(circuit.order_seed, len(records.labels), circuit.batch_size, step, 1)
    oracle.step(
        records.inputs[order[0]].tolist(),
        records.labels[order[0]].tolist(),
        circuit.optimizer.multipliers_at(circuit, step, 1)[0],
    )


def assert_weights(oracle: Oracle, weights: Weights) -> None:
    expected: dict[str, Any] = {**oracle.weights, **oracle.biases}
    assert {name: values.tolist() for name, values in weights.items()} == expected


CIRCUITS = [
    circuit_of(6, 5, 3),
    circuit_of(6, 5, 3, loss="mse"),
    circuit_of(7, 9, 6, 4, batch=8),
    circuit_of(5, 4, loss="cross_entropy", batch=3),
    circuit_of(5, 6, 2, loss="mse", bias=False, batch=1),
    circuit_of(6, 5, 3, loss="binary_cross_entropy"),
    circuit_of(9, 2, loss="binary_cross_entropy", batch=8, multipliers=((0, 400),)),
]


@pytest.mark.parametrize("circuit", CIRCUITS, ids=range(len(CIRCUITS)))
def test_weights_equal_python_integers_at_every_step(circuit: Circuit) -> None:
    records = records_of(circuit)
    start = seeded_weights(circuit)
    kept: dict[int, Weights] = {}
    trained = train(
        circuit,
        records,
        start,
        boundaries=range(circuit.steps + 1),
        on_boundary=lambda step, weights: kept.update({step: weights}),
    )
    oracle = oracle_of(circuit, start)
    for step in range(circuit.steps):
        assert_weights(oracle, kept[step])
        run_oracle(oracle, records, step)
    assert_weights(oracle, kept[circuit.steps])
    assert_weights(oracle, trained.weights)
    assert [step for step, _ in trained.losses] == list(range(circuit.steps))


@pytest.mark.parametrize("circuit", CIRCUITS, ids=range(len(CIRCUITS)))
@pytest.mark.parametrize("careful", [False, True], ids=["fast", "careful"])
def test_witness_equals_python_integers(
    circuit: Circuit, careful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if careful:
        monkeypatch.setattr(Trajectory, "attempt", lambda *_: [])
    records = records_of(circuit)
    oracle = oracle_of(circuit, seeded_weights(circuit))
    for step in range(2):
        run_oracle(oracle, records, step)
    start = {
        name: np.array(values, dtype=np.int64)
        for name, values in {**oracle.weights, **oracle.biases}.items()
    }
    start = {name: start[name] for name in circuit.parameter_shapes()}
    arrays, end = run_witness(circuit, records, start, 2, 5, 8)
    batch = circuit.batch_size
    for step in range(5):
        run_oracle(oracle, records, 2 + step)
        lows = {f"{name}.low": rows for name, rows in oracle.low.items()}
        assert set(arrays) == set(oracle.seen) | set(lows)
        for name, expected in (oracle.seen | lows).items():
            real = arrays[name][step, :batch]
            if name == "c":
                assert real.tolist() == [value for [value] in expected]
            else:
                assert real[:, : len(expected[0])].tolist() == expected
    assert_weights(oracle, end)


def test_witness_has_padded_shapes_small_types_and_zero_padding() -> None:
    circuit = circuit_of(6, 5, 3)
    arrays, _ = run_witness(circuit, records_of(circuit), seeded_weights(circuit), 0, 3, 4)
    graph = circuit.graph()
    assert list(arrays) == [
        tensor.name for tensor in graph.tensors if tensor.committed or tensor.name.endswith(".low")
    ]
    types = {
        "z1": np.int16,
        "z1.high": np.uint16,
        "z1.low": np.uint16,
        "s1": np.uint8,
        "q1": np.int16,
        "q1.high": np.uint16,
        "p": np.int16,
        "p.before": np.int16,
        "c": np.int32,
    }
    for name, dtype in types.items():
        assert arrays[name].dtype == dtype
    for name, array in arrays.items():
        tensor = graph.tensor(name)
        real: tuple[slice, ...] = (slice(3), slice(5))
        if tensor.width:
            assert array.shape == (4, 8, 8 if tensor.width == 5 else 4)
            real = (*real, slice(tensor.width))
        else:
            assert array.shape == (4, 8)
        assert array.flags.c_contiguous
        padding = np.ones(array.shape, dtype=bool)
        padding[real] = False
        assert not array[padding].any()
        if tensor.committed:
            assert tensor.low <= int(array.min()) and int(array.max()) <= tensor.high


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "binary_cross_entropy"])
def test_rescale_equations_hold_with_both_limbs_in_16_bits(loss: str) -> None:
    """``acc`` from int64 numpy products of the witness itself, one step at a time."""
    circuit = circuit_of(30, 20, 10, loss=loss, batch=12, steps=4, multipliers=((0, 10),))
    records = records_of(circuit, 50)
    weights = seeded_weights(circuit)
    order = batch_indices(circuit.order_seed, 50, 12, 0, 4)
    for step in range(4):
        arrays, after = run_witness(circuit, records, weights, step, 1, 1)
        v = {name: array[0, :12].astype(np.int64) for name, array in arrays.items()}
        x = records.inputs[order[step]].astype(np.int64)
        one_hot = np.eye(10, dtype=np.int64)[records.labels[order[step]]] << 14
        z2 = v["z2"][:, :10]
        error = (z2 << 6) - one_hot if loss == "mse" else v["p"][:, :10] - one_hot
        if loss == "binary_cross_entropy":
            error += 1 << 13
        hidden = (v["z1"] * v["s1"])[:, :20]
        w2 = weights["fc2.weight"]
        accumulators = {
            "z1": x @ weights["fc1.weight"] + (weights["fc1.bias"] << 8),
            "z2": hidden @ w2 + (weights["fc2.bias"] << 8),
            "q1": error @ w2.T,
        }
        for name, acc in accumulators.items():
            width = acc.shape[1]
            high = v[f"{name}.high"][:, :width]
            low = acc + (1 << 31) - (v[name][:, :width] << 32) - (high << 16)
            assert low.min() >= 0 and low.max() < 1 << 16
            assert high.min() >= 0 and high.max() < 1 << 16
        assert np.array_equal(after["fc2.weight"], w2 - 10 * hidden.T @ error)
        weights = after


def test_parts_join_to_the_trained_weights() -> None:
    circuit = circuit_of(6, 5, 3, steps=40, multipliers=((0, 8),))
    records = records_of(circuit)
    weights = seeded_weights(circuit)
    trained = train(circuit, records, weights)
    for first, steps in ((0, 16), (16, 16), (32, 8)):
        _, weights = run_witness(circuit, records, weights, first, steps, 16)
    assert all(np.array_equal(weights[name], trained.weights[name]) for name in weights)


def test_products_beyond_2_to_53_are_still_exact() -> None:
    """Two weights near 2^51 cancel so that the accumulator is one unit below a rounding step:
    a plain float64 product is off by up to 2^6 and would round ``z`` up from 0 to 1."""
    circuit = circuit_of(4, 2, 3, batch=2, steps=3, multipliers=((0, 1),))
    records = records_of(circuit)
    records.inputs[:] = [255, 255, 0, 0]
    start = seeded_weights(circuit)
    start["fc1.weight"][:, 0] = [(1 << 51) - 1, -(1 << 51) + 2, 0, 0]
    start["fc1.weight"][:, 1] = [-(1 << 51), (1 << 51) + 1, 0, 0]
    start["fc1.bias"][:] = (1 << 24) - (1 << 23) - 1
    oracle = oracle_of(circuit, start)
    run_oracle(oracle, records, 0)
    assert oracle.seen["z1"] == [[0, 0]] * 2
    assert oracle.low["z1"] == [[65535, 65535]] * 2
    arrays, end = run_witness(circuit, records, start, 0, 1, 1)
    assert arrays["z1"].tolist() == [[[0, 0]] * 2]
    assert arrays["z1.high"].tolist() == [[[65535, 65535]] * 2]
    assert_weights(oracle, end)
    for step in (1, 2):
        run_oracle(oracle, records, step)
    assert_weights(oracle, train(circuit, records, start).weights)


def test_a_normaliser_that_the_estimate_misses_is_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    circuit = circuit_of(6, 5, 3)
    records, start = records_of(circuit), seeded_weights(circuit)
    expected = train(circuit, records, start).weights
    estimate = arithmetic.Softmax.estimate
    monkeypatch.setattr(arithmetic.Softmax, "estimate", lambda *args: estimate(*args) + 9.0)
    got = train(circuit, records, start).weights
    assert all(np.array_equal(got[name], expected[name]) for name in expected)


def test_a_weight_that_leaves_52_bits_in_the_last_update_is_reported() -> None:
    circuit = circuit_of(2, 2, batch=1, steps=1, multipliers=((0, 1 << 20),))
    records = Records(np.ones((1, 2), np.uint8), np.zeros(1, np.uint8), 2, "ones")
    start = {name: np.zeros_like(values) for name, values in seeded_weights(circuit).items()}
    start["fc1.weight"][:, 0] = [(1 << 52) - (1 << 32), (1 << 32) - (1 << 52)]
    with pytest.raises(RangeOverflow, match=r"step 0, layer fc1, parameter fc1.weight: a value"):
        train(circuit, records, start)


@pytest.mark.parametrize("bad_step", [0, 1, 7, 18, 20, 21])
def test_overflow_names_step_layer_value_and_remedy(bad_step: int) -> None:
    """One record makes an output overflow; the message is about the first step that draws it."""
    circuit = circuit_of(4, 3, 2, batch=1, steps=22, multipliers=((0, 1),))
    records = records_of(circuit, 22)
    records.inputs[:, 0] = 0
    order = batch_indices(circuit.order_seed, 22, 1, 0, 22)
    records.inputs[order[bad_step, 0], 0] = 255
    start = seeded_weights(circuit)
    start["fc1.weight"][:] = 0
    start["fc1.weight"][0, 1] = -(1 << 40)
    with pytest.raises(RangeOverflow) as caught:
        train(circuit, records, start)
    message = str(caught.value)
    assert message.startswith(f"step {bad_step}, layer fc1, output: the value -65")
    assert "[-32768, 32767]; lower the learning rate" in message
    with pytest.raises(RangeOverflow, match=f"step {bad_step}, layer fc1"):
        run_witness(circuit, records, start, 0, 22, 32)


def test_every_kind_of_overflow_is_reported() -> None:
    circuit = circuit_of(4, 3, 2, batch=2, steps=3, multipliers=((0, 1),))
    records = records_of(circuit)
    zero = {name: np.zeros_like(values) for name, values in seeded_weights(circuit).items()}

    def overflow(change: Weights, circuit: Circuit = circuit) -> str:
        with pytest.raises(RangeOverflow) as caught:
            train(circuit, records, {**zero, **change})
        return str(caught.value)

    apart = np.array([127 << 32, -(127 << 32)])
    steep = np.full((3, 2), 0)
    steep[:, 0] = 1 << 35
    awake = np.full(3, 1 << 32)
    flat = {"fc1.bias": awake, "fc2.weight": steep, "fc2.bias": np.array([-(24 << 32), 0])}
    assert "layer fc1, error: the value" in overflow(flat)
    edge = np.array([(128 << 32) - (1 << 24), -(128 << 32)])
    assert "between two logits" not in overflow({"fc2.bias": apart + np.array([1 << 34, 0])})
    assert "the value 65535 (= 255.996) between two logits" in overflow({"fc2.bias": edge})
    fast = circuit_of(4, 3, 2, batch=2, steps=3, multipliers=((0, 1 << 40),))
    assert "is not below 2^52" in overflow({"fc1.bias": awake}, fast)
    wide = np.full((3, 2), (1 << 52) - 1)
    high = np.full(3, 127 << 32)
    assert "beyond exact arithmetic" in overflow({"fc1.bias": high, "fc2.weight": wide})


def test_accuracy_is_that_of_the_integer_forward_pass() -> None:
    circuit = circuit_of(6, 5, 3)
    records = records_of(circuit, 40)
    weights = seeded_weights(circuit)
    x = records.inputs.astype(object)
    w = {name: values.astype(object) for name, values in weights.items()}
    z1 = (x @ w["fc1.weight"] + 256 * w["fc1.bias"] + 2**31) // 2**32
    z2 = (np.maximum(z1, 0) @ w["fc2.weight"] + 256 * w["fc2.bias"] + 2**31) // 2**32
    expected = np.mean([max(row) == row[k] for row, k in zip(z2, records.labels, strict=True)])
    assert evaluate(circuit, weights, records) == expected


def test_integers_and_float32_learn_alike_on_digits() -> None:
    pytest.importorskip("sklearn")
    from zktrain.dataset.readers import read_dataset

    circuit = circuit_of(64, 64, 10, batch=64, steps=200, multipliers=((0, 4),))
    records, test = read_dataset("digits"), read_dataset("digits:test")
    start = seeded_weights(circuit)
    exact = train(circuit, records, start, test=test)
    real = train_float32(circuit, records, start, test)
    assert exact.test_accuracy is not None and real.test_accuracy is not None
    assert exact.test_accuracy > 0.85
    assert abs(exact.test_accuracy - real.test_accuracy) < 0.02
    difference = [a - b for (_, a), (_, b) in zip(exact.losses, real.losses, strict=True)]
    assert max(map(abs, difference)) < 0.02


def test_binary_cross_entropy_follows_float32_and_its_loss() -> None:
    """Losses are those of torch in float64 from the integer weights, and the runs stay close."""
    circuit = circuit_of(
        8, 2, loss="binary_cross_entropy", batch=16, steps=40, multipliers=((0, 32),)
    )
    records = records_of(circuit, 64)
    records.labels[:] = records.inputs[:, 0] > 127
    start = seeded_weights(circuit)
    exact, real = train(circuit, records, start), train_float32(circuit, records, start)
    order = batch_indices(circuit.order_seed, 64, 16, 0, 1)[0]
    network = float_network(circuit.layers, start, circuit.fixed_point.weight_bits).double()
    logits = network(torch.from_numpy(records.inputs[order]).double() / 256)
    wanted = torch.nn.functional.one_hot(torch.from_numpy(records.labels[order]).long(), 2)
    loss = torch.nn.BCEWithLogitsLoss(reduction="sum")(logits, wanted.double()).item() / 16
    assert exact.losses[0][1] == pytest.approx(loss, abs=0.01)
    assert exact.losses[-1][1] < 0.8 * exact.losses[0][1]
    difference = [a - b for (_, a), (_, b) in zip(exact.losses, real.losses, strict=True)]
    assert max(map(abs, difference)) < 0.01


def test_what_does_not_fit_the_circuit_is_refused() -> None:
    circuit = circuit_of(6, 5, 3)
    records, weights = records_of(circuit), seeded_weights(circuit)
    with pytest.raises(InputError, match="the network takes 6"):
        train(circuit, records_of(circuit_of(7, 3)), weights)
    with pytest.raises(InputError, match="label 3 occurs"):
        train(circuit, records_of(circuit_of(6, 4)), weights)
    with pytest.raises(InputError, match="other names or shapes"):
        train(circuit, records, {**weights, "fc1.bias": weights["fc2.bias"]})
    with pytest.raises(InputError, match=r"not all below 2\^52"):
        train(circuit, records, {**weights, "fc1.bias": np.full(5, 1 << 52)})
    with pytest.raises(InputError, match="boundaries"):
        train(circuit, records, weights, boundaries=[0, 8])
    with pytest.raises(InputError, match="no witness"):
        run_witness(circuit, records, weights, 5, 3, 4)


def test_progress_reports_every_step_once() -> None:
    circuit = circuit_of(6, 5, 3, steps=40, multipliers=((0, 8),))
    calls: list[tuple[str, int, int]] = []
    train(
        circuit,
        records_of(circuit),
        seeded_weights(circuit),
        progress=lambda stage, done, total, **_: calls.append((stage, done, total)),
    )
    assert calls[0] == ("train", 0, 40) and calls[-1] == ("train", 40, 40)
    assert [done for _, done, _ in calls] == [0, 16, 32, 40]
