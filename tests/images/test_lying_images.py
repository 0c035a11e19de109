"""Provers who lie about images: every lie is told consistently, and rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from careful import careful
from harness import MAP, without
from image_run import Attempt, circuit

from zktrain.arguments.hints import Floor
from zktrain.arguments.tensors import Tensor
from zktrain.errors import LookupMismatch, OpeningMismatch, SumcheckMismatch, ZktrainError
from zktrain.operations import Linear, UnitMap, Vanish
from zktrain.operations.base import StepGraph
from zktrain.operations.maps import Reorder, Steps, Window
from zktrain.prover.operations import unit_map as prover_map
from zktrain.training import interpreter


def refuse(attempt: Attempt, error: type[ZktrainError], message: str) -> None:
    with pytest.raises(error, match=message):
        attempt.verify(attempt.prove())


def changed(name: str, output: str, change: Callable[[Any], Any]) -> StepGraph:
    """The graph of a network with another operation for one output."""
    graph = circuit(name).graph()
    operations = tuple(
        change(op) if getattr(op, "output", None) == output else op for op in graph.operations
    )
    assert operations != graph.operations
    return replace(graph, operations=operations)


def moved(steps: Steps) -> Steps:
    return replace(steps, padding=steps.padding + 1)


def moved_down(op: UnitMap) -> UnitMap:
    assert isinstance(op.map, Window)
    return replace(op, map=replace(op.map, vertical=moved(op.map.vertical)))


def moved_right(op: UnitMap) -> UnitMap:
    assert isinstance(op.map, Window)
    return replace(op, map=replace(op.map, horizontal=moved(op.map.horizontal)))


@pytest.mark.parametrize("shift", [moved_down, moved_right])
@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("maximum", "u2"),
        ("maximum", "w3"),
        ("maximum", "g2"),
        ("mean", "u3"),
        ("mean", "v3"),
        ("mean", "acc4"),
        ("mean", "bac3"),
        ("residual", "v3"),
        ("overlap", "g2"),
    ],
)
def test_shifted_windows(name: str, output: str, shift: Callable[[UnitMap], UnitMap]) -> None:
    attempt = Attempt(name, graph=changed(name, output, shift))
    refuse(attempt, SumcheckMismatch, f"map '{output}'|product 'bac")


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("maximum", "u2"), ("maximum", "w3"), ("maximum", "g2"), ("mean", "acc4"), ("mean", "bac3"),
        ("overlap", "g2"),
    ],
)  # fmt: skip
def test_shifted_windows_are_seen_by_the_map_alone(name: str, output: str) -> None:
    """Without the check of maps the proof would be accepted."""
    attempt = Attempt(name, graph=changed(name, output, moved_down))
    proofs = attempt.prove()
    with pytest.raises(SumcheckMismatch):
        attempt.verify(proofs)
    with without(MAP):
        attempt.verify(proofs)


def other_order(op: UnitMap, cells: Any, source: Tensor, output: Tensor) -> Any:
    """Rows that list the channels of a place one after the other."""
    lead = cells.shape[: cells.ndim - len(source.axes)]
    return cells.reshape(*lead, *output.axes)


def test_swapped_channels() -> None:
    """An image is flattened with the channels last, by a prover who takes that for the rule."""
    true_values, true_map = interpreter.map_values, prover_map.apply_map
    true_orders = prover_map.orders

    def values(map_: Any, cells: Any, source: Tensor, output: Tensor) -> Any:
        lie = isinstance(map_, Reorder) and source.grid
        change = other_order if lie else true_values
        return change(map_, cells, source, output)

    def arrays(map_: Any, cells: Any, source: Tensor, output: Tensor) -> Any:
        lie = isinstance(map_, Reorder) and source.grid
        change = other_order if lie else true_map
        return change(map_, cells, source, output)

    def orders(source: Tensor, output: Tensor) -> Any:
        flat, image = true_orders(source, output)
        return (flat, np.sort(image)) if source.grid else (flat, image)

    with (
        careful(),
        mock.patch.object(interpreter, "map_values", values),
        mock.patch.object(prover_map, "apply_map", arrays),
    ):
        attempt = Attempt("maximum")
        with mock.patch.object(prover_map, "orders", orders):
            proofs = attempt.prove()
    with pytest.raises(SumcheckMismatch, match="map 'a"):
        attempt.verify(proofs)


def taps_of(wins: torch.Tensor) -> torch.Tensor:
    """``(B, y, x, taps, channels)``."""
    return wins.reshape(*wins.shape[:3], -1, wins.shape[-1])


def next_tap(wins: torch.Tensor) -> torch.Tensor:
    """Another tap wins everywhere."""
    return taps_of(wins).roll(1, dims=3).reshape(wins.shape)


def one_window(change: Callable[[torch.Tensor], None]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Change the first window of the first sample in its first channel."""

    def lie(wins: torch.Tensor) -> torch.Tensor:
        out = wins.clone()
        change(taps_of(out)[0, 0, 0, :, 0])
        return out

    return lie


def nobody(window: torch.Tensor) -> None:
    window.zero_()


def everybody(window: torch.Tensor) -> None:
    window.fill_(1)


def one_more(window: torch.Tensor) -> None:
    window[int(window.argmin())] = 1


def twice(window: torch.Tensor) -> None:
    window.mul_(2)


def minus_one(window: torch.Tensor) -> None:
    """Two winners and one with -1: the sum is right."""
    window[:3] = torch.tensor([1.0, 1.0, -1.0], dtype=window.dtype)
    window[3] = 0


@pytest.mark.parametrize("name", ["maximum", "overlap"])
def test_not_the_maximum(name: str) -> None:
    refuse(Attempt(name, lies={"h3": next_tap}), LookupMismatch, "sum over all lookups")


def test_the_last_of_equal_values() -> None:
    def last(wins: torch.Tensor) -> torch.Tensor:
        return found[-1]

    found: list[torch.Tensor] = []
    true = interpreter.Step._winner

    def winner(step: interpreter.Step, wins: Tensor, source: str) -> torch.Tensor:
        seen = taps_of(step.value(source))
        highest = seen == seen.amax(dim=3, keepdim=True)
        places = torch.arange(seen.shape[3]).unsqueeze(-1)
        chosen = torch.where(highest, places, -1).amax(dim=3, keepdim=True)
        first = true(step, wins, source)
        found.append((places == chosen).to(torch.float64).reshape(first.shape))
        assert not torch.equal(found[-1], first)
        return first

    with mock.patch.object(interpreter.Step, "_winner", winner):
        attempt = Attempt("maximum", lies={"h3": last})
    refuse(attempt, LookupMismatch, "sum over all lookups")


@pytest.mark.parametrize("change", [nobody, everybody, one_more, twice, minus_one])
def test_windows_without_one_winner(change: Callable[[torch.Tensor], None]) -> None:
    attempt = Attempt("maximum", lies={"h3": one_window(change)})
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


def test_no_winner_is_seen_by_the_sum_alone() -> None:
    """All values of a window are negative and nobody wins: 0 is claimed as the maximum, and every
    looked-up distance is in its table. Only the sum of the winners forbids it: without that
    relation the proof would be accepted."""
    true = interpreter.Step._winner
    lies: list[int] = []

    def winner(step: interpreter.Step, wins: Tensor, source: str) -> torch.Tensor:
        found = true(step, wins, source)
        below = taps_of(step.value(source)).amax(dim=3, keepdim=True) < 0
        lies.append(int(below.sum()))
        return (taps_of(found) * ~below).reshape(found.shape)

    with careful(), mock.patch.object(interpreter.Step, "_winner", winner):
        attempt = Attempt("curves")
    assert sum(lies) > 0
    proofs = attempt.prove()
    with pytest.raises(OpeningMismatch):
        attempt.verify(proofs)
    with mock.patch.object(Vanish, "claim_zero"):
        attempt.verify(attempt.prove())


PADDED = {  # step, sample, place, taps, channel
    "a sample": (0, 3, 0, 0, 0, 0, 0),
    "a line": (0, 0, 3, 0, 0, 0, 0),
    "a column": (0, 0, 0, 3, 0, 0, 0),
    "a channel": (0, 0, 0, 0, 1, 1, 3),
    "a step": (3, 0, 0, 0, 0, 0, 0),
}


@pytest.mark.parametrize("where", PADDED)
def test_winners_in_padding(where: str) -> None:
    attempt = Attempt("maximum", steps=3)
    attempt.tensors["h3"] = attempt.tensors["h3"].copy()
    at = PADDED[where]
    if where == "a line" or where == "a column":  # 2 x 3 places, padded to 2 x 4
        at = (0, 0, 0, 3, 0, 0, 0)
    assert attempt.tensors["h3"][at] == 0
    attempt.tensors["h3"][at] = 1
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


@pytest.mark.parametrize("taps", [(3, 0), (3, 1)])
@pytest.mark.parametrize("instead", [False, True])
def test_a_padded_tap_wins(taps: tuple[int, int], instead: bool) -> None:
    """Windows of 3 x 2 are padded to 4 x 2: the fourth line is no part of them, and whoever let it
    win could claim any maximum above the real ones."""
    attempt = Attempt("overlap")
    wins = attempt.tensors["h3"] = attempt.tensors["h3"].copy()
    assert wins.shape[4:6] == (4, 2)
    window = wins[0, 0, 0, 0, :, :, 0]
    assert window.sum() == 1 and window[taps] == 0
    if instead:
        window[...] = 0
    window[taps] = 1
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


@pytest.mark.parametrize("name", ["z2", "q2", "z2.high", "q2.high", "s2"])
@pytest.mark.parametrize("at", [(0, 3, 0, 0, 0), (0, 0, 5, 0, 0), (0, 0, 0, 5, 0), (0, 0, 0, 0, 3)])
def test_values_in_padding(name: str, at: tuple[int, ...]) -> None:
    """Of the network ``residual``: 4 x 4 places and 2 channels do not pad, so ``mean``."""
    attempt = Attempt("mean")
    tensor = attempt.tensors[name] = attempt.tensors[name].astype(np.int64)
    if at[2] >= tensor.shape[2] or at[3] >= tensor.shape[3] or at[4] >= tensor.shape[4]:
        at = (0, 3, 0, 0, 0)
    real = attempt.circuit.graph().tensor(name).axes
    assert at[1] >= 3 or any(i >= n for i, n in zip(at[2:], real, strict=True))
    tensor[at] = 1
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


def first_cell(change: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def lie(values: torch.Tensor) -> torch.Tensor:
        out = values.clone().reshape(-1)
        out[0] += change
        return out.reshape(values.shape)

    return lie


@pytest.mark.parametrize(
    ("quotient", "unit"), [("z4", 1 << 16), ("q3", 1 << 16), ("z2", 1 << 32), ("q2", 1 << 32)]
)
@pytest.mark.parametrize("change", [1, -1])
def test_wrong_quotients(quotient: str, unit: int, change: int) -> None:
    lies = {quotient: first_cell(change), f"{quotient}.low": first_cell(-change * unit)}
    refuse(Attempt("mean", lies=lies), LookupMismatch, "sum over all lookups")


@pytest.mark.parametrize("name", ["f3", "df3", "f7", "df7", "f9", "df9"])
@pytest.mark.parametrize("change", [1, -1])
def test_other_curves(name: str, change: int) -> None:
    """A value or a slope of an activation that is not that of its table."""
    refuse(Attempt("curves", lies={name: first_cell(change)}), LookupMismatch, "sum over all")


@pytest.mark.parametrize("name", ["f3", "df3", "f7", "df7"])
def test_curves_in_padding(name: str) -> None:
    attempt = Attempt("curves", steps=3)
    tensor = attempt.tensors[name] = attempt.tensors[name].copy()
    for at in ((3, *(0,) * (tensor.ndim - 1)), (0, 3, *(0,) * (tensor.ndim - 2))):
        assert tensor[at] == 0
        tensor[at] = 1
        with pytest.raises((LookupMismatch, SumcheckMismatch)):
            attempt.verify(attempt.prove())
        tensor[at] = 0


def test_errors_without_slopes() -> None:
    """The error goes back as if the activation were a constant slope."""

    def lie(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(values)

    attempt = Attempt("curves", lies={"slope3": lie})
    with pytest.raises((LookupMismatch, SumcheckMismatch)):
        attempt.verify(attempt.prove())


def test_a_skipped_branch() -> None:
    """The sum takes one operand twice."""

    def double(op: Linear) -> Linear:
        return replace(op, terms=((2, op.terms[0][1]), op.terms[1]))

    refuse(Attempt("residual", graph=changed("residual", "z5", double)), SumcheckMismatch, ".")


def test_another_mean() -> None:
    def change(op: Linear) -> Linear:
        return replace(op, terms=((1 << 15, op.terms[0][1]), *op.terms[1:]))

    graph = changed("mean", "z4.low", change)
    tensors = tuple(
        replace(tensor, hint=replace(tensor.hint, factor=1 << 15))
        if tensor.name.startswith("z4") and isinstance(tensor.hint, Floor)
        else tensor
        for tensor in graph.tensors
    )
    assert tensors != graph.tensors
    attempt = Attempt("mean", graph=replace(graph, tensors=tensors))
    with pytest.raises(ZktrainError):
        attempt.verify(attempt.prove())


@pytest.mark.parametrize("parameter", ["c1.weight", "c2.weight", "c2.bias"])
def test_a_skipped_update(parameter: str) -> None:
    true = interpreter.Step.changed
    turns: list[int] = []

    def changed(step: interpreter.Step, name: str, moves: Any) -> torch.Tensor:
        out = true(step, name, moves)
        if name == parameter:
            turns.append(1)
            if len(turns) == 2:
                assert not torch.equal(out, step._weights[name])
                return step._weights[name]
        return out

    with careful(), mock.patch.object(interpreter.Step, "changed", changed):
        attempt = Attempt("mean")
    with pytest.raises((SumcheckMismatch, LookupMismatch)):
        attempt.verify(attempt.prove())


@pytest.mark.parametrize("parameter", ["c1.weight", "c2.bias", "fc1.weight"])
@pytest.mark.parametrize("hiding", [False, True])
def test_other_weights(parameter: str, hiding: bool) -> None:
    attempt = Attempt("mean", steps=3, hiding=hiding)
    attempt.end[parameter] = attempt.end[parameter].copy()
    attempt.end[parameter].reshape(-1)[0] += 1
    with pytest.raises(ZktrainError):
        attempt.verify(attempt.prove())


@pytest.mark.parametrize("name", ["maximum", "residual"])
def test_tampered_bytes(name: str) -> None:
    attempt = Attempt(name, steps=1, hiding=True)
    proof = attempt.prove()
    attempt.verify(proof)
    for at in np.linspace(0, len(proof) - 1, 40).astype(int):
        forged = bytearray(proof)
        forged[at] ^= 1 << (at % 8)
        with pytest.raises(ZktrainError):
            attempt.verify(bytes(forged))
    with pytest.raises(ZktrainError):
        attempt.verify(proof[:-1])
