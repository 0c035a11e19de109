"""Momentum, Nesterov, weight decay and dropped batches: trainer and witness against plain Python
integers, and against torch's SGD."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import filter_oracle
import numpy as np
import numpy.typing as npt
import pytest
import torch
from training_oracle import Oracle, circuit_of

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.order import batch_indices, epoch_permutation
from zktrain.dataset.readers import Records
from zktrain.errors import InputError, RangeOverflow
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.training import past as past_module
from zktrain.training.figures import Figures, Seen
from zktrain.training.float_network import float_network
from zktrain.training.trainer import float_optimizer, set_rates, train, train_float32
from zktrain.training.trajectory import Trajectory
from zktrain.training.witness import run_witness

Weights = dict[str, npt.NDArray[np.int64]]


def records_of(circuit: Circuit, count: int = 17) -> Records:
    generator = np.random.default_rng(1)
    inputs = generator.integers(0, 256, (count, circuit.features), dtype=np.uint8)
    labels = generator.integers(0, circuit.classes, count).astype(np.uint8)
    return Records(inputs, labels, circuit.classes, "random")


def with_filter(
    *sizes: int,
    momentum: float = 0.0,
    decay: float = 0.0,
    nesterov: bool = False,
    restart: int = 32,
    drop_last: bool = False,
    **changes: Any,
) -> Circuit:
    stated = filter_oracle.stated(momentum, decay, nesterov=nesterov, restart_steps=restart)
    base = circuit_of(*sizes, **{"steps": 19, "multipliers": ((0, 6), (5, 3)), **changes})
    return filter_oracle.filtered(base, stated, drop_last=drop_last)


CIRCUITS = [
    with_filter(6, 5, 3, momentum=0.9),
    with_filter(6, 5, 3, momentum=0.9, nesterov=True, decay=1e-3, loss="mse"),
    with_filter(7, 9, 6, 4, momentum=0.5, restart=4, batch=8),
    with_filter(5, 4, decay=0.02, batch=3),
    with_filter(5, 6, 2, momentum=0.8, decay=2e-3, bias=False, batch=1, loss="mse"),
    with_filter(6, 5, 3, momentum=0.9, decay=1e-3, steps=50, restart=64, drop_last=True),
    with_filter(4, 3, 2, momentum=0.9, nesterov=True, steps=40, restart=16, batch=2),
]
IDS = range(len(CIRCUITS))


class FilteredOracle:
    """All weights of a run, from gradients in Python integers and the table ``M``."""

    def __init__(self, circuit: Circuit, records: Records, start: Weights) -> None:
        assert isinstance(circuit.optimizer, FilteredSgd)
        self.past = [start]
        self.tensors: list[Oracle] = []
        restart = circuit.optimizer.restart_steps
        for first in range(0, circuit.steps, restart):
            steps = min(restart, circuit.steps - first)
            shrink, rows = filter_oracle.integers(circuit, first, steps)
            begin = self.past[-1]
            if circuit.optimizer.weight_decay:
                begin = {name: v // 4096 for name, v in begin.items()}
                assert all((v * 4096 == self.past[-1][name]).all() for name, v in begin.items())
            gradients: list[Weights] = []
            for t in range(steps):
                gradients.append(self._gradient(circuit, records, self.past[-1], first + t))
                factor = shrink[t + 1] if circuit.optimizer.weight_decay else 1
                self.past.append(
                    {
                        name: factor * begin[name]
                        - sum(m * g[name] for m, g in zip(rows[t + 1], gradients, strict=True))
                        for name in start
                    }
                )

    def _gradient(self, circuit: Circuit, records: Records, now: Weights, step: int) -> Weights:
        oracle = Oracle(
            circuit,
            {name: v.tolist() for name, v in now.items() if v.ndim == 2},
            {name: v.tolist() for name, v in now.items() if v.ndim == 1},
        )
        order = batch_indices(
            circuit.order_seed,
            len(records.labels),
            circuit.batch_size,
            step,
            1,
            drop_last=circuit.drop_last,
        )[0]
        oracle.step(records.inputs[order].tolist(), records.labels[order].tolist(), -1)
        self.tensors.append(oracle)
        after = {**oracle.weights, **oracle.biases}
        return {name: np.array(after[name], dtype=np.int64) - v for name, v in now.items()}


def as_lists(weights: Weights) -> dict[str, Any]:
    return {name: values.tolist() for name, values in weights.items()}


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("circuit", CIRCUITS, ids=IDS)
def test_weights_equal_python_integers_at_every_step(
    circuit: Circuit, careful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if careful:
        monkeypatch.setattr(Trajectory, "attempt", lambda *_: [])
    records, start = records_of(circuit), seeded_weights(circuit)
    kept: dict[int, Weights] = {}
    train(
        circuit,
        records,
        start,
        boundaries=range(circuit.steps + 1),
        on_boundary=lambda step, weights: kept.update({step: weights}),
    )
    expected = FilteredOracle(circuit, records, start).past
    for step in range(circuit.steps + 1):
        assert as_lists(kept[step]) == as_lists(expected[step]), step


@pytest.mark.parametrize("circuit", CIRCUITS, ids=IDS)
def test_windows_do_not_matter(circuit: Circuit) -> None:
    """All steps at once, and some windows taken back and made in two parts with a careful step."""
    records, start = records_of(circuit), seeded_weights(circuit)
    whole = train(circuit, records, start)
    judge, tried = Figures.judge, []

    def unlucky(self: Figures, seen: Seen) -> tuple[np.ndarray, set[str]]:
        sound, doubted = judge(self, seen)
        tried.append(len(sound))
        if len(tried) % 3 == 1:
            sound[len(sound) // 2 :] = False
        return sound, doubted

    halved = Trajectory(circuit, records, start)
    with mock.patch.object(Figures, "judge", unlucky):
        halved.advance(0, circuit.steps)
    assert as_lists(whole.weights) == as_lists(halved.weights())
    assert max(tried) > 2


@pytest.mark.parametrize("circuit", [CIRCUITS[2], CIRCUITS[6]], ids=["4", "16"])
def test_witness_of_a_part_starts_with_velocity_zero(circuit: Circuit) -> None:
    assert isinstance(circuit.optimizer, FilteredSgd)
    records, start = records_of(circuit), seeded_weights(circuit)
    oracle = FilteredOracle(circuit, records, start)
    restart = circuit.optimizer.restart_steps
    for first in range(0, circuit.steps, restart):
        steps = min(restart, circuit.steps - first)
        arrays, end = run_witness(circuit, records, oracle.past[first], first, steps, restart)
        assert as_lists(end) == as_lists(oracle.past[first + steps])
        for t in range(steps):
            seen = oracle.tensors[first + t].seen
            for name in ("z1", "q1", "z2.high", "q1.middle", "z1.middle"):
                real = arrays[name][t, : circuit.batch_size, : len(seen[name][0])]
                assert real.tolist() == seen[name]


def test_no_step_goes_on_from_one_that_was_not_made() -> None:
    circuit = CIRCUITS[6]
    records, start = records_of(circuit), seeded_weights(circuit)
    with pytest.raises(ValueError, match="was not made here"):
        Trajectory(circuit, records, start).advance(3, 2)
    begun = Trajectory(circuit, records, start)
    begun.advance(0, 3)
    begun.advance(3, 2)
    with pytest.raises(ValueError, match="was not made here"):
        begun.advance(7, 1)
    with pytest.raises(ValueError, match="was not made here"):
        begun.advance(18, 1)
    begun.advance(16, 1)  # velocities are zero here


def test_past_keeps_no_more_than_a_window_and_the_reach() -> None:
    circuit = with_filter(4, 3, 2, momentum=0.5, restart=1024, steps=200, batch=2)
    run = Trajectory(circuit, records_of(circuit), seeded_weights(circuit))
    run.advance(0, 200)
    past = run._past
    assert past is not None and past.reach < 40
    assert len(past._indices) == past.reach + past_module.LENGTH


def test_weight_out_of_range_is_named() -> None:
    circuit = with_filter(6, 5, 3, momentum=0.9, multipliers=((0, 60_000),), steps=30)
    with pytest.raises(RangeOverflow, match=r"step \d+, layer fc\d"):
        train(circuit, records_of(circuit), seeded_weights(circuit))


def test_seeded_weights_under_weight_decay_are_multiples() -> None:
    plain = replace(circuit_of(6, 5, 3), fixed_point=FixedPoint(rate_bits=12))
    decaying = with_filter(6, 5, 3, decay=1e-3)
    for name, values in seeded_weights(plain).items():
        rounded = seeded_weights(decaying)[name]
        assert (rounded % 4096 == 0).all()
        assert ((values - rounded >= 0) & (values - rounded < 4096)).all()
        kept = seeded_weights(with_filter(6, 5, 3, momentum=0.9))[name]
        assert (kept == values).all()


def test_dropped_records_are_in_no_batch() -> None:
    records, batch = 17, 5
    found = batch_indices("s", records, batch, 0, 9, drop_last=True)
    for epoch in range(3):
        whole = epoch_permutation("s", records, epoch)
        assert found[3 * epoch : 3 * epoch + 3].reshape(-1).tolist() == whole[:15].tolist()
    for first in range(7):
        part = batch_indices("s", records, batch, first, 2, drop_last=True)
        assert part.tolist() == found[first : first + 2].tolist()
    even = batch_indices("s", 15, 5, 2, 6, drop_last=True)
    assert even.tolist() == batch_indices("s", 15, 5, 2, 6).tolist()
    with pytest.raises(InputError, match="no whole batch of 5"):
        batch_indices("s", 4, 5, 0, 1, drop_last=True)


@pytest.mark.parametrize(
    "circuit",
    [
        with_filter(
            6, 5, 3, momentum=0.9, steps=150, restart=256, batch=8, multipliers=((0, 8), (100, 4))
        ),
        with_filter(
            6,
            5,
            3,
            momentum=0.9,
            nesterov=True,
            decay=1e-3,
            steps=150,
            restart=256,
            batch=8,
            multipliers=((0, 8), (100, 4)),
        ),
        with_filter(
            6, 5, 3, decay=0.02, steps=150, restart=256, batch=8, multipliers=((0, 8), (100, 4))
        ),
        with_filter(
            6,
            5,
            3,
            momentum=0.9,
            decay=1e-3,
            steps=150,
            restart=256,
            batch=8,
            multipliers=((0, 8), (100, 4)),
            loss="mse",
        ),
    ],
    ids=["momentum", "nesterov and decay", "decay", "mse"],
)
def test_integers_follow_torch(circuit: Circuit) -> None:
    """torch's SGD in float64 from the same start: the distance between both after 150 steps is a
    tenth of the way at most (of plain SGD at ten times the rate a quarter)."""
    records, start = records_of(circuit, 64), seeded_weights(circuit)
    trained = train(circuit, records, start).weights
    network = float_network(circuit.layers, start, 34).to(torch.float64)
    optimizer = float_optimizer(circuit, network)
    order = batch_indices("order", 64, circuit.batch_size, 0, circuit.steps)
    for step, rows in enumerate(order):
        set_rates(circuit, optimizer, step)
        (group,) = optimizer.param_groups
        assert group["lr"] == circuit.optimizer.multipliers_at(circuit, step, 1)[0] * 8 / 2**32
        optimizer.zero_grad()
        outputs = network(torch.from_numpy(records.inputs[rows] / 256))
        labels = torch.from_numpy(records.labels[rows].astype(np.int64))
        if circuit.loss == "mse":
            wanted = torch.nn.functional.one_hot(labels, 3)
            loss = (outputs - wanted).square().sum() / (2 * len(rows))
        else:
            loss = torch.nn.functional.cross_entropy(outputs, labels)
        loss.backward()
        optimizer.step()
    far = way = 0.0
    for (name, values), parameter in zip(trained.items(), network.parameters(), strict=True):
        mine, theirs = values.T / 2**34, parameter.detach().numpy()
        far += float(np.square(mine - theirs).sum())
        way += float(np.square(theirs - start[name].T / 2**34).sum())
    assert way > 0.05
    assert far < 0.1**2 * way


def test_float_run_uses_the_stated_optimizer() -> None:
    circuit = with_filter(
        6, 5, 3, momentum=0.9, nesterov=True, decay=1e-3, drop_last=True,
        multipliers=((0, 8), (5, 4)),
    )  # fmt: skip
    optimizer = float_optimizer(circuit, float_network(circuit.layers, seeded_weights(circuit), 34))
    group = optimizer.param_groups[0]
    assert group["nesterov"] and group["dampening"] == 0
    assert abs(group["momentum"] - 0.9) < 1e-12 and abs(group["weight_decay"] - 1e-3) < 1e-12
    compared = train_float32(circuit, records_of(circuit), seeded_weights(circuit))
    plain = replace(circuit, optimizer=Sgd(((0, 2), (5, 1))))
    assert plain.effective_learning_rate == circuit.effective_learning_rate
    other = train_float32(plain, records_of(circuit), seeded_weights(circuit))
    assert compared.losses[0] == other.losses[0] and compared.losses[9] != other.losses[9]
