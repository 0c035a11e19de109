"""The filter of momentum and weight decay twice: torch's recurrence in exact fractions, and the
integers of the documentation, one response after the other, without numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.layers import Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd

UNIT = 1 << 40


def stated(
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    *,
    nesterov: bool = False,
    restart_steps: int = 16,
) -> FilteredSgd:
    """With multipliers that no test means."""
    return FilteredSgd(
        ((0, 1 << 20),), round(momentum * UNIT), nesterov, round(weight_decay * UNIT), restart_steps
    )


def filter_of(circuit: Circuit) -> FilteredSgd | None:
    """None for plain SGD."""
    return circuit.optimizer if isinstance(circuit.optimizer, FilteredSgd) else None


def filtered(circuit: Circuit, stated: FilteredSgd, *, drop_last: bool = False) -> Circuit:
    """The circuit with its multipliers taken as whole ones, and momentum."""
    schedule = tuple((first, m << 20) for first, m in circuit.optimizer.multipliers)
    return replace(
        circuit,
        optimizer=replace(stated, multipliers=schedule),
        drop_last=drop_last,
        fixed_point=FixedPoint(rate_bits=12),
    )


def perceptron(
    steps: int, stated: FilteredSgd, multipliers: tuple[tuple[int, int], ...]
) -> Circuit:
    """3-2, batches of 64; multipliers with 20 more bits."""
    layer = Layer("fc1", 3, 2, "fc1.weight", "fc1.bias", False)
    start = Initialisation("seed", "start")
    optimizer = replace(stated, multipliers=multipliers)
    return Circuit((layer,), "mse", FixedPoint(rate_bits=12), 64, steps, optimizer, "order", start)


def fractions(
    circuit: Circuit, first: int, steps: int
) -> tuple[list[Fraction], list[list[Fraction]]]:
    """``d_t`` for ``t = 0 .. steps``, and rows ``C[t][tau] 2^q / B`` for ``tau < t``: what torch's
    SGD does with one weight and no gradient, or one gradient of size 1."""
    momentum = circuit.optimizer
    assert isinstance(momentum, FilteredSgd)
    mu, decay = Fraction(momentum.momentum, UNIT), Fraction(momentum.weight_decay, UNIT)
    scale = Fraction(circuit.batch_size, 1 << circuit.fixed_point.rate_bits)
    rates = [Fraction(m, 1 << 20) * scale for m in momentum.multipliers_at(circuit, first, steps)]

    def run(start: Fraction, gradient_at: int | None) -> list[Fraction]:
        weight, velocity, seen = start, Fraction(0), [start]
        for t, rate in enumerate(rates):
            gradient = decay * weight + (t == gradient_at)
            velocity = mu * velocity + gradient
            weight -= rate * (gradient + mu * velocity if momentum.nesterov else velocity)
            seen.append(weight)
        return seen

    responses = [run(Fraction(0), tau) for tau in range(steps)]
    rows = [[-responses[tau][t] / scale for tau in range(t)] for t in range(steps + 1)]
    return run(Fraction(1), None), rows


def dithers(restart_steps: int) -> list[Fraction]:
    bits = restart_steps.bit_length() - 1
    out = []
    for tau in range(restart_steps):
        reverse = sum(1 << (bits - 1 - i) for i in range(bits) if tau >> i & 1)
        out.append(Fraction(2 * reverse + 1, 2 * restart_steps))
    return out


def integers(circuit: Circuit, first: int, steps: int) -> tuple[list[int], list[list[int]]]:
    """``D[t]`` for ``t = 0 .. steps`` and rows ``M[t][tau]`` for ``tau < t``."""
    momentum = circuit.optimizer
    assert isinstance(momentum, FilteredSgd)
    mu, peak = momentum.momentum, max(m for _, m in momentum.multipliers)
    shift = 0
    while Fraction(peak, 1 << 20) / (1 - Fraction(mu, UNIT)) > 1 << shift:
        shift += 1
    back = (momentum.weight_decay * circuit.batch_size << shift) >> circuit.fixed_point.rate_bits
    rates = [m << (20 - shift) for m in momentum.multipliers_at(circuit, first, steps)]

    def advance(v: int, c: int, rate: int) -> tuple[int, int]:
        pull = c * back >> 40
        v = (v * mu >> 40) - pull
        step = (v * mu >> 40) - pull if momentum.nesterov else v
        return v, c + (step * rate >> 40)

    def run(v: int, c: int, rates: Sequence[int]) -> list[int]:
        seen = [c]
        for rate in rates:
            v, c = advance(v, c, rate)
            seen.append(c)
        return seen

    start = [(c + (1 << 27)) >> 28 for c in run(0, UNIT, rates)]
    phi = dithers(momentum.restart_steps)
    rows: list[list[int]] = [[] for _ in range(steps + 1)]
    for tau, rate in enumerate(rates):
        first_push = UNIT + mu if momentum.nesterov else UNIT
        seen = run(UNIT, first_push * rate >> 40, rates[tau + 1 :])
        for t, c in enumerate(seen, tau + 1):
            rows[t].append((Fraction(c << shift, UNIT) + phi[tau]).__floor__())
    return start, rows
