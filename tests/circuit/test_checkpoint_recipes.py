"""Checkpoints in a recipe: lists of steps, and the ends of epochs."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_recipe import GOOD, write

from zktrain.circuit.bounds import MAX_CHECKPOINTS
from zktrain.circuit.order import batch_indices
from zktrain.circuit.recipe import Recipe, load_recipe
from zktrain.errors import RecipeError


def recipe(folder: Path, checkpoints: str, **more: int | str) -> Recipe:
    text = GOOD.replace("order_seed", f"checkpoints = {checkpoints}\norder_seed")
    for key, value in more.items():
        before = {"batch_size": "batch_size = 64", "steps": "steps = 1024"}[key]
        text = text.replace(before, f"{key} = {value}")
    return load_recipe(write(folder, text))


def test_steps(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, GOOD)).checkpoint_steps(100) == ()
    assert recipe(tmp_path, "[]").checkpoint_steps(100) == ()
    assert recipe(tmp_path, "[1, 256, 1023]").checkpoint_steps(100) == (1, 256, 1023)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[0, 4]", r"training.checkpoints = \[0, 4\] must increase, from 1 to 1023"),
        ("[4, 1024]", "after step 1024 is the result itself"),
        ("[4, 4]", "must increase"),
        ("[5, 4]", "must increase"),
        ("[-1]", "must increase"),
        ("[4.0]", 'must be a list of steps, such as .256, 512., or "epoch"'),
        ("[true]", "must be a list of steps"),
        ('["4"]', "must be a list of steps"),
        ("4", "must be a list of steps"),
        ('"epochs"', "must be a list of steps"),
        ("true", "must be a list of steps"),
    ],
)
def test_mistakes(tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(tmp_path, value)


def test_too_many(tmp_path: Path) -> None:
    steps = 4 * MAX_CHECKPOINTS
    most = list(range(1, MAX_CHECKPOINTS + 1))
    assert len(recipe(tmp_path, str(most), steps=steps).checkpoint_steps(1)) == MAX_CHECKPOINTS
    with pytest.raises(RecipeError, match="more than 1024 steps"):
        recipe(tmp_path, str([*most, steps - 1]), steps=steps)
    every = recipe(tmp_path, '"epoch"', steps=steps)
    assert len(every.checkpoint_steps(64 * 4)) == MAX_CHECKPOINTS - 1
    with pytest.raises(RecipeError, match="more than 1024 checkpoints on 128 records"):
        every.checkpoint_steps(64 * 2)
    with pytest.raises(RecipeError, match="more than 1024"):
        recipe(tmp_path, '"epoch"', steps=1 << 24).checkpoint_steps(1)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(
    ("records", "batch", "steps"),
    [
        (24, 4, 14),
        (24, 4, 12),
        (24, 4, 13),
        (25, 4, 40),
        (7, 3, 20),
        (3, 3, 5),
        (5, 4, 9),
        (9, 4, 2),
    ],
)
def test_ends_of_epochs(
    tmp_path: Path, records: int, batch: int, steps: int, drop_last: bool
) -> None:
    """The first steps after which the order has used all records of an epoch once more."""
    found = recipe(tmp_path, '"epoch"', batch_size=batch, steps=steps)
    if drop_last:
        text = (tmp_path / "recipe.toml").read_text()
        found = load_recipe(
            write(tmp_path, text.replace("order_seed", 'last_batch = "drop"\norder_seed'))
        )
    order = batch_indices("any public text", records, batch, 0, steps, drop_last=drop_last)
    used = records - records % batch if drop_last else records
    wanted, taken, epochs = [], 0, 0
    for step, row in enumerate(order, 1):
        taken += len(row)
        if taken // used > epochs:
            epochs = taken // used
            wanted.append(step)
    assert found.checkpoint_steps(records) == tuple(step for step in wanted if step < steps)


def test_more_records_in_a_batch_than_there_are(tmp_path: Path) -> None:
    """Every step ends an epoch at least; where no batch is whole, none does."""
    found = recipe(tmp_path, '"epoch"', batch_size=8, steps=5)
    assert found.checkpoint_steps(3) == (1, 2, 3, 4)
    text = (tmp_path / "recipe.toml").read_text()
    dropped = write(tmp_path, text.replace("order_seed", 'last_batch = "drop"\norder_seed'))
    assert load_recipe(dropped).checkpoint_steps(3) == ()
