"""Training and evaluation: exact integers, and ordinary float32 beside them for comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..circuit.circuit import Circuit
from ..circuit.order import batch_indices
from ..dataset.readers import Records
from ..errors import InputError
from ..layers import AffineLayer
from ..losses import LOSSES
from ..optimizers.base import Rule
from ..progress import Progress, silent
from .float_network import FloatNetwork, float_network
from .interpreter import Outputs
from .trajectory import Trajectory, Weights, check_records, check_weights

_EVALUATION_BATCH = 1024

IntegerWeights = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Trained:
    """Outcome of a training run.

    ``weights`` are integers with ``weight_bits`` fractional bits in the internal layout;
    ``losses`` are ``(step, mean loss of its batch before the update)``; ``seconds`` is the time of
    the steps alone; ``test_accuracy`` is in ``[0, 1]``.
    """

    weights: Weights
    losses: list[tuple[int, float]]
    seconds: float
    test_accuracy: float | None


@dataclass(frozen=True, slots=True)
class FloatTrained:
    """Outcome of the float32 comparison run; fields as in ``Trained``."""

    losses: list[tuple[int, float]]
    seconds: float
    test_accuracy: float | None


def train(
    circuit: Circuit,
    records: Records,
    weights_0: IntegerWeights,
    *,
    device: torch.device | str = "cpu",
    boundaries: Sequence[int] = (),
    on_boundary: Callable[[int, Weights], None] | None = None,
    progress: Progress = silent,
    test: Records | None = None,
) -> Trained:
    """Run all steps of ``circuit`` exactly, from ``weights_0``; the same bits on every device.

    ``on_boundary(step, weights)`` is called for every distinct step of ``boundaries`` with the
    weights before that step (``0``: the start, ``circuit.steps``: the end). ``progress`` gets the
    stage ``train`` with ``loss``.

    Raises ``RangeOverflow`` where a value leaves its range and ``InputError`` when records,
    weights or boundaries do not fit the circuit.
    """
    stops = sorted(set(boundaries))
    if stops and not 0 <= stops[0] <= stops[-1] <= circuit.steps:
        raise InputError(f"boundaries must lie in 0..{circuit.steps}, not {stops}")
    if test is not None:
        check_records(circuit, test)
    trajectory = Trajectory(circuit, records, weights_0, device)
    losses: list[tuple[int, float]] = []

    def on_window(_: int, values: list[float]) -> None:
        losses.extend(enumerate(values, len(losses)))
        progress("train", len(losses), circuit.steps, loss=sum(values) / len(values))

    seconds = 0.0
    progress("train", 0, circuit.steps)
    position = 0
    for stop in [*stops, *([] if circuit.steps in stops else [circuit.steps])]:
        started = time.perf_counter()
        trajectory.advance(position, stop - position, on_window=on_window)
        seconds += time.perf_counter() - started
        position = stop
        if stop in stops and on_boundary is not None:
            on_boundary(stop, trajectory.weights())
    weights = trajectory.weights()
    accuracy = None if test is None else evaluate(circuit, weights, test, device=device)
    return Trained(weights, losses, seconds, accuracy)


def evaluate(
    circuit: Circuit,
    weights: IntegerWeights,
    records: Records,
    *,
    device: torch.device | str = "cpu",
) -> float:
    """Share of ``records`` whose label is the first largest logit of the integer network.

    Forward pass as in training, except that values may leave 16 bits: nothing is trained on them.
    Raises ``InputError`` when records or weights do not fit, ``AccumulatorOverflow`` past 2^62.
    """
    check_records(circuit, records)
    check_weights(circuit, weights)
    network = Outputs(
        circuit,
        {
            name: torch.from_numpy(np.asarray(values)).to(device=device, dtype=torch.float64)
            for name, values in weights.items()
        },
        device,
    )
    correct = 0
    for inputs, labels in _chunks(records):
        found = network.logits(inputs.to(device=device, dtype=torch.float64))
        correct += int((found.argmax(dim=1).cpu() == labels).sum().item())
    return correct / len(records.labels)


def _chunks(records: Records) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(records.labels), _EVALUATION_BATCH):
        part = slice(start, start + _EVALUATION_BATCH)
        labels = torch.from_numpy(records.labels[part].astype(np.int64))
        yield torch.from_numpy(records.inputs[part]), labels


def float_optimizer(circuit: Circuit, network: FloatNetwork) -> torch.optim.SGD:
    """torch's SGD as the circuit has it, one group of parameters for each rule; see
    ``set_rates``."""
    groups: dict[Rule, list[torch.nn.Parameter]] = {}
    for layer, module in zip(circuit.layers, network.steps, strict=True):
        if isinstance(layer, AffineLayer) and layer in circuit.moving:
            rule = circuit.optimizer.of(circuit, layer.weight)
            groups.setdefault(rule, []).extend(module.parameters())
    return torch.optim.SGD(
        [
            {"params": found, "multipliers": rule.multipliers_at(circuit, 0, circuit.steps)}
            for rule, found in groups.items()
        ],
        lr=1.0,
        **circuit.optimizer.torch_options,
    )


def set_rates(circuit: Circuit, optimizer: torch.optim.SGD, step: int) -> None:
    """Those of one step, in every group of ``float_optimizer``."""
    unit = float(circuit.optimizer.unit(circuit.batch_size))
    for group in optimizer.param_groups:
        group["lr"] = group["multipliers"][step] * unit


def train_float32(
    circuit: Circuit,
    records: Records,
    weights_0: IntegerWeights,
    test: Records | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> FloatTrained:
    """The same run in float32 with ``torch.optim.SGD``: same start, order, learning rates, momentum
    (which does not restart) and weight decay.

    ``progress`` gets the stage ``train float32`` with ``loss``.
    """
    check_records(circuit, records)
    check_weights(circuit, weights_0)
    network = float_network(circuit.layers, weights_0, circuit.fixed_point.weight_bits).to(device)
    for layer, module in zip(circuit.layers, network.steps, strict=True):
        module.requires_grad_(layer.name not in circuit.frozen)
    optimizer = float_optimizer(circuit, network)
    inputs = torch.from_numpy(records.inputs).to(device)
    labels = torch.from_numpy(records.labels.astype(np.int64)).to(device)
    order = batch_indices(
        circuit.order_seed,
        len(labels),
        circuit.batch_size,
        0,
        circuit.steps,
        drop_last=circuit.drop_last,
    )
    losses: list[tuple[int, float]] = []
    started = time.perf_counter()
    for step in range(circuit.steps):
        indices = torch.from_numpy(order[step]).to(device)
        set_rates(circuit, optimizer, step)
        optimizer.zero_grad()
        logits = network(inputs[indices].to(torch.float32) / 256)
        wanted = torch.nn.functional.one_hot(labels[indices], circuit.classes).to(logits.dtype)
        loss = LOSSES[circuit.loss].per_record(logits, wanted).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append((step, loss.item()))
        progress("train float32", step + 1, circuit.steps, loss=losses[-1][1])
    seconds = time.perf_counter() - started
    accuracy = None
    if test is not None:
        check_records(circuit, test)
        correct = 0
        with torch.no_grad():
            for values, wanted in _chunks(test):
                logits = network(values.to(device=device, dtype=torch.float32) / 256)
                correct += int((logits.argmax(dim=1).cpu() == wanted).sum().item())
        accuracy = correct / len(test.labels)
    return FloatTrained(losses, seconds, accuracy)
