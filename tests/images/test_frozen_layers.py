"""Layers that no step changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from check_sites import refused_by
from image_run import Attempt, circuit, records

import zktrain
from zktrain.circuit import canonical
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import read_weights
from zktrain.errors import (
    HiddenMismatch,
    RecipeError,
    StatementMismatch,
    SumcheckMismatch,
    ZktrainError,
)
from zktrain.field.extension import ExtVec
from zktrain.operations import Accumulate, AffineTransposed, Fixed
from zktrain.operations.base import Context, StepGraph
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.protocol import proof as proofs
from zktrain.prover.arguments import time_filter as time_filters
from zktrain.prover.operations import matrix
from zktrain.training.interpreter import Step
from zktrain.training.trainer import train, train_float32
from zktrain.training.trajectory import Trajectory
from zktrain.training.weight_file import write_weights

FROZEN = [("mean", ("c1",)), ("mean", ("c1", "c2")), ("mean", ("c2", "fc2")), ("maximum", ("fc",)),
          ("residual", ("c1", "skip"))]  # fmt: skip


@pytest.mark.parametrize(("name", "frozen"), FROZEN, ids=str)
@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
def test_a_true_run_is_accepted(name: str, frozen: tuple[str, ...], hiding: bool) -> None:
    attempt = Attempt(name, steps=3, hiding=hiding, frozen=frozen)
    for layer in attempt.circuit.trained:
        same = np.array_equal(attempt.start[layer.weight], attempt.end[layer.weight])
        assert same == (layer.name in frozen)
    attempt.verify(attempt.prove())


def test_errors_stop_where_nothing_is_trained() -> None:
    """Below the first trained layer there is no backward pass."""
    kinds = [type(op) for op in replace(circuit("mean"), frozen=("c1", "c2")).graph().operations]
    assert kinds.count(Fixed) == 2 and kinds.count(Accumulate) == 2
    assert kinds.count(AffineTransposed) == 1
    assert [type(op) for op in circuit("mean").graph().operations].count(AffineTransposed) == 3


def test_others_train_as_if_the_frozen_ones_were_constants() -> None:
    run = replace(circuit("mean"), frozen=("c1",))
    start = seeded_weights(run)
    frozen, all_trained = (
        train(run, records("mean"), start),
        train(circuit("mean"), records("mean"), start),
    )
    assert frozen.losses[0] == all_trained.losses[0]
    assert frozen.losses[-1] != all_trained.losses[-1]
    real = train_float32(run, records("mean"), start)
    assert abs(real.losses[-1][1] - frozen.losses[-1][1]) < 0.05


@contextmanager
def claiming(graph: StepGraph) -> Iterator[None]:
    """Whoever proves meanwhile makes his claims on weights as if they moved as in ``graph``."""
    of_this = partial(matrix.update_of, graph)
    with mock.patch.object(matrix, "update_of", lambda _, weight: of_this(weight)):
        yield


def test_a_frozen_layer_that_was_trained() -> None:
    """The prover trains the layer, and publishes its first weights as the last ones. What he says
    of the weights at a step is true of those that he used."""
    lying = circuit("mean").graph()
    trained = Attempt("mean", frozen=("c2",), graph=lying)
    assert not np.array_equal(trained.start["c2.weight"], trained.end["c2.weight"])
    attempt = Attempt("mean", frozen=("c2",))
    attempt.tensors = trained.tensors
    attempt.end = {**trained.end, "c2.weight": trained.start["c2.weight"],
                   "c2.bias": trained.start["c2.bias"]}  # fmt: skip
    with claiming(lying):
        proofs = attempt.prove()
    refused_by("operations.fixed.Fixed.verify: not those in use", lambda: attempt.verify(proofs))


def test_a_trained_layer_that_was_left_out() -> None:
    """The prover leaves a layer as it is, and says so of its weights at every step."""
    lying = replace(circuit("mean"), frozen=("c2",)).graph()
    attempt = Attempt("mean", graph=lying)
    assert np.array_equal(attempt.start["c2.weight"], attempt.end["c2.weight"])
    attempt.graph = None
    with claiming(lying):
        proofs = attempt.prove()
    refused_by(
        "operations.accumulate.Accumulate.verify: does not match", lambda: attempt.verify(proofs)
    )


@pytest.mark.parametrize("hiding", [False, True])
def test_other_frozen_weights(hiding: bool) -> None:
    """The verifier's own copy of the frozen weights counts."""
    attempt = Attempt("mean", steps=3, frozen=("c1",), hiding=hiding)
    proof, statement, public = attempt.prove(), attempt.statement(), attempt.public
    fixed = public["fixed"]
    assert set(fixed) == {"c1.weight"}
    assert np.array_equal(attempt.start["c1.weight"], attempt.end["c1.weight"])
    proofs.verify(statement, proof, public)
    fixed["c1.weight"] = fixed["c1.weight"].copy()
    fixed["c1.weight"].reshape(-1)[0] += 1
    with pytest.raises(ZktrainError):
        proofs.verify(statement, proof, public)


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (("c2", "c1"), "in their order"),
        (("c1", "c1"), "in their order"),
        (("image",), "in their order"),
        (("c1", "c2", "fc1", "fc2"), "nothing to train"),
    ],
)
def test_limits(frozen: tuple[str, ...], message: str) -> None:
    assert message in str(canonical.violation(replace(circuit("mean"), frozen=frozen)))


def test_the_text_names_them() -> None:
    run = replace(circuit("mean"), frozen=("c1",))
    assert b'"frozen":["c1"]' in run.canonical_json()
    assert Circuit.from_json(run.canonical_json()) == run
    assert b"frozen" not in circuit("mean").canonical_json()


def write_network(folder: Path) -> Path:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 5), torch.nn.ReLU(),
        torch.nn.Linear(5, 3),
    )  # fmt: skip
    path = folder / "network.onnx"
    torch.onnx.export(module, (torch.zeros(1, 8),), str(path), dynamo=False)
    return path


def write_recipe(folder: Path, frozen: str, start: str = 'seed = "s"') -> Path:
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"""
[model]
onnx = "network.onnx"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = 0.125
batch_size = 4
steps = 7
order_seed = "o"
frozen = {frozen}
[init]
{start}
"""
    )
    return recipe


def test_fine_tuning_from_a_file(tmp_path: Path) -> None:
    """A base file, its first layer frozen; the verdict needs the base file, and a
    changed frozen layer is refused."""
    write_network(tmp_path)
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "data.npz", inputs=rng.integers(0, 256, (24, 8), dtype=np.uint8),
             labels=rng.integers(0, 3, 24).astype(np.uint8))  # fmt: skip
    recipe = write_recipe(tmp_path, '["0"]', "onnx = true")
    run = zktrain.train(recipe, data=tmp_path / "data.npz", out=tmp_path / "run")
    proof = zktrain.prove(tmp_path / "run")
    initial = tmp_path / "run" / "initial.safetensors"
    verdict = zktrain.verify(
        run.weights, proof=proof.path, dataset=run.path / "dataset.zkd", initial=initial
    )
    assert verdict.statement.circuit.frozen == ("0",)
    shapes = verdict.statement.circuit.parameter_shapes()
    weights = read_weights(run.weights, shapes, 32)
    first = read_weights(initial, shapes, 32)
    assert np.array_equal(weights["0.weight"], first["0.weight"])
    assert not np.array_equal(weights["2.weight"], first["2.weight"])
    weights["0.weight"][0, 0] += 1
    write_weights(tmp_path / "other.safetensors", weights, 32, {})
    with pytest.raises(StatementMismatch):
        zktrain.verify(
            tmp_path / "other.safetensors", proof=proof.path, dataset=run.path / "dataset.zkd",
            initial=initial,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        ('["fc"]', "no layer with parameters"),
        ('"0"', "must be a list of names"),
        ('["0", "2", "4"]', "nothing to train"),
    ],
)
def test_recipes_are_refused(tmp_path: Path, frozen: str, message: str) -> None:
    write_network(tmp_path)
    with pytest.raises(RecipeError, match=message):
        zktrain.compile(write_recipe(tmp_path, frozen))


DECAYING = FilteredSgd((), 1 << 39, False, 1 << 37, 4)


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
def test_nothing_acts_on_a_frozen_layer_under_weight_decay(hiding: bool) -> None:
    attempt = Attempt("mean", hiding=hiding, frozen=("c1", "fc1"), momentum=DECAYING)
    assert np.array_equal(attempt.start["fc1.weight"], attempt.end["fc1.weight"])
    assert not np.array_equal(attempt.start["fc2.weight"], attempt.end["fc2.weight"])
    attempt.verify(attempt.prove())


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
def test_a_frozen_layer_that_decays_inside_the_run(
    monkeypatch: pytest.MonkeyPatch, hiding: bool
) -> None:
    """Forward and backward pass see ``D[t] W_0``, while ``W_0`` is published: consistent in every
    relation but the one that compares claims on frozen weights."""
    true_after, true_weights = Trajectory._after, Trajectory.weights

    def after(self: Trajectory, step: Step, multipliers: np.ndarray) -> dict[str, torch.Tensor]:
        out = true_after(self, step, multipliers)
        past = self._past
        assert past is not None
        factor = float(past.known("fc2.weight").start[past._next + 1])
        return out | {name: w * factor for name, w in past._start.items() if name not in out}

    def weights(self: Trajectory) -> dict[str, np.ndarray]:
        moved, past = set(self.circuit.trained_shapes()), self._past
        assert past is not None
        first = {
            name: (w * 4096).to(torch.int64).numpy()
            for name, w in past._start.items() if name not in moved
        }  # fmt: skip
        return true_weights(self) | first

    def history(context: Context, weight: str, first: ExtVec, gradients: ExtVec | None) -> ExtVec:
        if gradients is None:
            cells = first.shape[1] << context.shape.log_steps
            gradients = np.zeros((2, cells), dtype=np.uint64)
        return time_filters.history(context.time_filters(weight), first, gradients)

    monkeypatch.setattr(Trajectory, "attempt", lambda *_: [])
    monkeypatch.setattr(Trajectory, "_after", after)
    monkeypatch.setattr(Trajectory, "weights", weights)
    monkeypatch.setattr(matrix, "history", history)
    attempt = Attempt("mean", hiding=hiding, frozen=("fc1",), momentum=DECAYING)
    assert np.array_equal(attempt.start["fc1.weight"], attempt.end["fc1.weight"])
    with pytest.raises(HiddenMismatch if hiding else SumcheckMismatch) as caught:
        attempt.verify(attempt.prove())
    assert hiding or "'fc1." in str(caught.value)
