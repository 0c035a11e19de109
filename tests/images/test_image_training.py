"""Exact training of networks on images against loops over Python integers."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from typing import Any

import image_run
import numpy as np
import pytest
from careful import careful
from image_run import (
    BATCH,
    NETWORKS,
    RECORDS,
    STEPS,
    Attempt,
    circuit,
    conv,
    dense,
    records,
)
from numpy.typing import NDArray

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.order import batch_indices
from zktrain.circuit.weights import as_internal
from zktrain.dataset.readers import Records
from zktrain.errors import RangeOverflow
from zktrain.layers import (
    Activation,
    Add,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    MaxPool,
    Unflatten,
)
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.tables.exp import exp_table
from zktrain.training.trainer import evaluate, train
from zktrain.training.trajectory import Trajectory
from zktrain.training.weight_file import as_torch

Array = NDArray[Any]
K = 32


def exponential(distance: int) -> int:
    at, before = exp_table()
    return int(before[0]) if distance == -1 else int(at[distance])


def rounded(total: int, shift: int = K) -> int:
    return (total + (1 << (shift - 1))) >> shift


def looked_up(layer: Activation, values: Array, derivative: int) -> Array:
    """``f`` with 8 fractional bits or ``f'`` with 14, by Python's floats."""

    def at(z: int) -> int:
        x = z / 256
        if layer.function == "tanh":
            f, slope = math.tanh(x), 1 - math.tanh(x) ** 2
        elif layer.function == "sigmoid":
            f = 1 / (1 + math.exp(-x))
            slope = f * (1 - f)
        else:
            share = (1 + math.erf(x / math.sqrt(2))) / 2
            f = x * share
            slope = share + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return round(slope * (1 << 14)) if derivative else round(f * 256)

    return np.vectorize(lambda v: at(int(v)), otypes=[object])(values)


class Oracle:
    """One sample at a time, axes as in torch: values of a layer are ``(C, H, W)`` or ``(n,)``."""

    def __init__(self, run: Circuit, weights: dict[str, Array]) -> None:
        self.run = run
        self.weights = {name: as_torch(v).astype(object) for name, v in weights.items()}
        names = [layer.name for layer in run.layers]
        self.reads: list[list[int]] = []
        for index, layer in enumerate(run.layers):
            source = getattr(layer, "source", None)
            self.reads.append([index if source is None else names.index(source) + 1])
            if isinstance(layer, Add):
                self.reads[-1].append(names.index(layer.other) + 1)

    def step(self, inputs: Array, labels: Array, multiplier: int) -> None:
        moves = {name: np.zeros_like(v) for name, v in self.weights.items()}
        for row, label in zip(inputs, labels, strict=True):
            self.sample(row, int(label), moves)
        for name, move in moves.items():
            self.weights[name] = self.weights[name] - multiplier * move

    def sample(self, row: Array, label: int, moves: dict[str, Array]) -> None:
        values: list[Array] = [row.astype(object)]
        masks: list[Array | None] = [None]
        for layer, reads in zip(self.run.layers, self.reads, strict=True):
            z = self.forward(layer, [values[i] for i in reads])
            relu = getattr(layer, "relu", False)
            masks.append((z > 0).astype(object) if relu else None)
            values.append(z * masks[-1] if relu else z)
        logits = [int(v) for v in values[-1]]
        c = max(logits) - 1
        while sum(exponential(c - z) if c - z >= -1 else 1 << 15 for z in logits) > 1 << 14:
            c += 1
        error = np.array([exponential(c - z) for z in logits], dtype=object)
        error[label] -= 1 << 14
        errors: list[Any] = [None] * len(values)
        errors[-1] = error
        for index in range(len(self.run.layers), 0, -1):
            layer, reads = self.run.layers[index - 1], self.reads[index - 1]
            arriving = errors[index]
            if masks[index] is not None:
                arriving = arriving * masks[index]
            back = self.backward(layer, [values[i] for i in reads], arriving, moves)
            for read, found in zip(reads, back, strict=True):
                errors[read] = found if errors[read] is None else errors[read] + found

    def windows(self, layer: Any, image: Array) -> list[tuple[tuple[int, int], list[Any]]]:
        """Of every output place: taps ``(ky, kx, y, x)`` inside the image, in row-major order."""
        (kh, kw), (sy, sx) = layer.kernel, layer.stride
        py, px = getattr(layer, "padding", (0, 0))
        height, width = image.shape[1:]
        out = []
        rows, columns = (height + 2 * py - kh) // sy + 1, (width + 2 * px - kw) // sx + 1
        for oy, ox in product(range(rows), range(columns)):
            taps = []
            for ky, kx in product(range(kh), range(kw)):
                y, x = oy * sy + ky - py, ox * sx + kx - px
                if 0 <= y < height and 0 <= x < width:
                    taps.append((ky, kx, y, x))
            out.append(((oy, ox), taps))
        return out

    def forward(self, layer: Any, inputs: list[Array]) -> Array:
        image = inputs[0]
        if isinstance(layer, Unflatten):
            return image.reshape(layer.channels, layer.height, layer.width)
        if isinstance(layer, Flatten):
            return image.reshape(-1)
        if isinstance(layer, Activation):
            return looked_up(layer, image, 0)
        if isinstance(layer, Add):
            return inputs[0] + inputs[1]
        if isinstance(layer, Layer):
            total = self.weights[layer.weight] @ image
            if layer.bias is not None:
                total = total + self.weights[layer.bias] * 256
            return np.array([rounded(int(v)) for v in total], dtype=object)
        places = self.windows(layer, image)
        rows, columns = (max(p[axis] for p, _ in places) + 1 for axis in (0, 1))
        channels = layer.outputs if isinstance(layer, Convolution) else len(image)
        out = np.zeros((channels, rows, columns), dtype=object)
        for (oy, ox), taps in places:
            for o in range(channels):
                if isinstance(layer, Convolution):
                    total = 0
                    for ky, kx, y, x in taps:
                        for i in range(layer.inputs):
                            total += int(self.weights[layer.weight][o, i, ky, kx] * image[i, y, x])
                    if layer.bias is not None:
                        total += int(self.weights[layer.bias][o]) * 256
                    out[o, oy, ox] = rounded(total)
                elif isinstance(layer, MaxPool):
                    out[o, oy, ox] = max(image[o, y, x] for _, _, y, x in taps)
                else:
                    factor = round((1 << 16) / (layer.kernel[0] * layer.kernel[1]))
                    total = sum(int(image[o, y, x]) for _, _, y, x in taps)
                    out[o, oy, ox] = rounded(factor * total, 16)
        return out

    def backward(
        self, layer: Any, inputs: list[Array], error: Array, moves: dict[str, Array]
    ) -> list[Array]:
        """Errors of the inputs; gradients are added to ``moves``."""
        image = inputs[0]
        if isinstance(layer, (Unflatten, Flatten)):
            return [error.reshape(image.shape)]
        if isinstance(layer, Add):
            return [error, error]
        if isinstance(layer, Activation):
            steep = error * looked_up(layer, image, 1)
            return [np.vectorize(lambda v: rounded(4 * int(v), 16), otypes=[object])(steep)]
        if isinstance(layer, Layer):
            moves[layer.weight] += np.outer(error, image)
            if layer.bias is not None:
                moves[layer.bias] += error * 256
            back = self.weights[layer.weight].T @ error
            return [np.array([rounded(int(v)) for v in back], dtype=object)]
        total = np.zeros(image.shape, dtype=object)
        for (oy, ox), taps in self.windows(layer, image):
            for o in range(len(error)):
                e = error[o, oy, ox]
                if isinstance(layer, Convolution):
                    for ky, kx, y, x in taps:
                        for i in range(layer.inputs):
                            moves[layer.weight][o, i, ky, kx] += e * image[i, y, x]
                            total[i, y, x] += e * self.weights[layer.weight][o, i, ky, kx]
                    if layer.bias is not None:
                        moves[layer.bias][o] += e * 256
                elif isinstance(layer, MaxPool):
                    best = max(image[o, y, x] for _, _, y, x in taps)
                    _, _, y, x = next(t for t in taps if image[o, t[2], t[3]] == best)
                    total[o, y, x] += e
                else:
                    for _, _, y, x in taps:
                        total[o, y, x] += e
        if isinstance(layer, MaxPool):
            return [total]
        factor, shift = 1, K
        if isinstance(layer, AveragePool):
            factor, shift = round((1 << 16) / (layer.kernel[0] * layer.kernel[1])), 16
        return [np.vectorize(lambda v: rounded(factor * int(v), shift), otypes=[object])(total)]


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_those_of_the_loops(name: str) -> None:
    run, data = circuit(name), records(name)
    start = seeded_weights(run)
    oracle = Oracle(run, start)
    order = batch_indices(run.order_seed, RECORDS, BATCH, 0, STEPS)
    for step in range(STEPS):
        batch = order[step]
        oracle.step(
            data.inputs[batch], data.labels[batch], run.optimizer.multipliers_at(run, step, 1)[0]
        )
    found = train(run, data, start).weights
    for layer in run.trained:
        for parameter in filter(None, (layer.weight, layer.bias)):
            expected = as_internal(oracle.weights[parameter])
            assert np.array_equal(found[parameter], expected), parameter
            assert not np.array_equal(found[parameter], start[parameter])


def test_pools_met_equal_values() -> None:
    """The data are made so that "the first of equal values" matters."""
    attempt = Attempt("maximum")
    witness = attempt.witness(attempt.statement())
    wins, seen = witness.tensor("h3"), witness.tensor("w3")
    best = seen.max(axis=(4, 5), keepdims=True)
    ties = ((seen == best).sum(axis=(4, 5)) > 1) & (best[..., 0, 0, :] > 0)
    assert wins.sum() > 0 and ties.any()


def test_dense_networks_train_alike() -> None:
    """The trainer of any graph and that of dense networks give the same weights and losses."""
    layers = (Layer("a", 6, 5, "a.w", "a.b", True), Layer("b", 5, 4, "b.w", None, True),
              Layer("c", 4, 3, "c.w", "c.b", False))  # fmt: skip
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 20).astype(np.uint8)
    data = Records(rng.integers(0, 256, (20, 6)).astype(np.uint8), labels, 3, "t")
    schedule = ((0, 7 << 22), (4, 3 << 22))
    momentum = FilteredSgd(schedule, round(0.9 * 2**40), True, 0, 4)
    decay = FilteredSgd(schedule, round(0.5 * 2**40), False, round(0.02 * 2**40), 16)
    for loss, stated in (
        ("cross_entropy", None), ("binary_cross_entropy", None), ("mse", None),
        ("cross_entropy", momentum), ("mse", decay),
    ):  # fmt: skip
        run = Circuit(layers, loss, FixedPoint(), 4, 9, Sgd(((0, 7), (4, 3))), "o",
                      Initialisation("seed", "s"))  # fmt: skip
        if stated is not None:
            run = replace(run, optimizer=stated, fixed_point=stated.FORMAT)
        losses: list[list[float]] = []
        weights = []
        for kind in (nullcontext, careful):
            trajectory = Trajectory(run, data, seeded_weights(run))
            found: list[float] = []
            with kind():
                trajectory.advance(
                    0, 9, on_window=lambda _, values, found=found: found.extend(values)
                )
            losses.append(found)
            weights.append(trajectory.weights())
        assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert np.allclose(losses[0], losses[1], rtol=1e-9)


def test_accuracy_is_that_of_the_largest_logit() -> None:
    run, data = circuit("residual"), records("residual")
    weights = train(run, data, seeded_weights(run)).weights
    oracle = Oracle(run, weights)
    correct = 0
    for row, label in zip(data.inputs, data.labels, strict=True):
        values: list[Array] = [row.astype(object)]
        for layer, reads in zip(run.layers, oracle.reads, strict=True):
            z = oracle.forward(layer, [values[i] for i in reads])
            values.append(np.maximum(z, 0) if getattr(layer, "relu", False) else z)
        logits = [int(v) for v in values[-1]]
        correct += logits.index(max(logits)) == int(label)
    assert evaluate(run, weights, data) == correct / RECORDS


@pytest.mark.parametrize(("scale", "where"), [(1 << 44, "c1"), (1 << 40, "c1")])
def test_an_overflow_names_step_and_layer(scale: int, where: str) -> None:
    run, data = circuit("maximum"), records("maximum")
    weights = seeded_weights(run)
    weights["c1.weight"][...] = scale
    with pytest.raises(RangeOverflow, match=f"step 0, layer {where}"):
        train(run, data, weights)


@pytest.mark.parametrize(("bias", "fails"), [(100, False), (127, False), (128, True)])
def test_logits_far_apart(bias: int, fails: bool) -> None:
    """The softmax takes distances up to the end of its table, not only signed 16 bits."""
    run, found = circuit("residual"), records("residual")
    assert run.loss == "cross_entropy"
    weights = {n: np.zeros(s, dtype=np.int64) for n, s in run.parameter_shapes().items()}
    last = list(weights)[-1]
    weights[last][:2] = bias << K, -bias << K
    if fails:
        with pytest.raises(RangeOverflow, match=f"step 0, layer {run.layers[-1].name}"):
            train(run, found, weights)
    else:
        assert len(train(run, found, weights).losses) == STEPS


DOUBLING = (
    Unflatten("image", 1, 4, 4), conv("c", 1, 1, 1, relu=False), MaxPool("m", (3, 3), (1, 1)),
    *(Add(f"s{i}", "m" if i == 1 else f"s{i - 1}", False) for i in range(1, 21)),
    Flatten("f"), dense("fc", 4, 3),
)  # fmt: skip


def doubled_start(run: Circuit) -> dict[str, Array]:
    """All outputs of the convolution 0, and a last layer that makes errors as large as 16 bits."""
    start = {
        name: np.zeros(shape, dtype=np.int64) for name, shape in run.parameter_shapes().items()
    }
    start["fc.weight"][:, 0] = 1 << 33
    return start


def test_errors_of_more_than_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums without ReLU double them, and no lookup cuts them down before a pool adds them up: a
    true step is trained as the loops say, and its proof is accepted."""
    monkeypatch.setitem(image_run.NETWORKS, "doubling", DOUBLING)
    monkeypatch.setattr(image_run, "seeded_weights", doubled_start)
    attempt = Attempt("doubling", steps=1)
    oracle = Oracle(attempt.circuit, attempt.start)
    batch = batch_indices(attempt.circuit.order_seed, RECORDS, BATCH, 0, 1)[0]
    oracle.step(attempt.records.inputs[batch], attempt.records.labels[batch],
                attempt.circuit.optimizer.multipliers[0][1])  # fmt: skip
    for name, values in oracle.weights.items():
        assert np.array_equal(attempt.end[name], as_internal(values)), name
    witness = attempt.witness(attempt.statement())
    assert np.abs(witness.tensor("g2")).max() > 1 << 33
    attempt.verify(attempt.prove())


def test_errors_beyond_exact_arithmetic_stop_a_run() -> None:
    """What no lookup bounds is checked where the graph says that it can become too large."""
    sums = [Add(f"s{i}", "m" if i == 1 else f"s{i - 1}", False) for i in range(1, 45)]
    layers = (*DOUBLING[:3], *sums, *DOUBLING[-2:])
    run = replace(circuit("maximum"), layers=layers, steps=1, optimizer=Sgd(((0, 1),)))
    labels = np.arange(6).astype(np.uint8) % 3
    data = Records(np.full((6, 16), 9, dtype=np.uint8), labels, 3, "t", "")
    with pytest.raises(RangeOverflow, match="outside the range"):
        train(run, data, doubled_start(run))
