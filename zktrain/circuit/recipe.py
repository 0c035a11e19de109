"""The recipe: a strict TOML file that says what to train, on which graph, and how to prove it."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from itertools import count, islice, pairwise, takewhile
from pathlib import Path
from typing import Any

from .. import optimizers
from ..errors import RecipeError
from ..files import read_bytes
from ..losses import LOSSES
from ..optimizers import Asked, schedule
from ..optimizers.schedule import MAX_STEPS, Rates
from ..recipe_values import bad, boolean, choice, is_integer, required, shown, whole
from .bounds import MAX_CHECKPOINTS
from .canonical import MAX_BATCH, MAX_BYTES, text_violation
from .order import records_used

OPTIMIZERS = ("sgd",)
"""Words of ``training.optimizer``; its other keys say which kind of it."""
LAST_BATCH = ("wrap", "drop")
SECURITY_BITS = (80, 120)
EPOCH = "epoch"
"""Checkpoints after every epoch."""

_KEYS = {
    "model": ("onnx",),
    "training": (
        "loss",
        "optimizer",
        "learning_rate",
        "batch_size",
        "steps",
        "order_seed",
        "last_batch",
        "frozen",
        "checkpoints",
        *optimizers.KEYS,
    ),
    "init": ("seed", "weights", "onnx"),
    "proof": ("security_bits", "zero_knowledge"),
}


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """How to prove: the target in bits, and whether the proof hides the data."""

    security_bits: int = 100
    zero_knowledge: bool = True


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe; paths are already relative to the recipe's folder.

    ``learning_rate`` is the schedule ``((first_step, rate), ...)`` as asked for. Exactly one of
    ``init_seed``, ``init_weights`` and ``init_onnx`` is set. ``checkpoints`` are the steps after
    which weights are published too, or ``EPOCH``.
    """

    path: Path
    model: Path
    loss: str
    optimizer: Asked
    learning_rate: Rates
    batch_size: int
    steps: int
    order_seed: str
    init_seed: str | None = None
    init_weights: Path | None = None
    init_onnx: bool = False
    proof: ProofOptions = field(default_factory=ProofOptions)
    drop_last: bool = False
    frozen: tuple[str, ...] = ()
    checkpoints: tuple[int, ...] | str = ()

    def checkpoint_steps(self, records: int) -> tuple[int, ...]:
        """The steps of ``checkpoints`` in a run on so many records. Raises ``RecipeError``."""
        if not isinstance(self.checkpoints, str):
            return self.checkpoints
        found = _epoch_ends(
            records,
            self.batch_size,
            self.steps,
            drop_last=self.drop_last,
            most=MAX_CHECKPOINTS + 1,
        )
        if len(found) > MAX_CHECKPOINTS:
            raise RecipeError(
                f'training.checkpoints = "{EPOCH}" gives more than {MAX_CHECKPOINTS} checkpoints '
                f"on {records} records; list the steps instead"
            )
        return found


def _epoch_ends(
    records: int, batch_size: int, steps: int, *, drop_last: bool, most: int
) -> tuple[int, ...]:
    """The steps of a run, the last one left out, after which all records of an epoch have been in
    batches, at most ``most`` of them."""
    used = records_used(records, batch_size, drop_last=drop_last)
    if used <= batch_size:
        return tuple(range(1, min(steps, most + 1))) if used else ()
    ends = (-(-epoch * used // batch_size) for epoch in count(1))
    return tuple(islice(takewhile(lambda end: end < steps, ends), most))


def load_recipe(path: str | Path) -> Recipe:
    """Read the recipe at ``path``.

    Raises ``InputError`` if there is no such file, ``RecipeError`` naming section, key, value
    and remedy for everything that is wrong in it.
    """
    path = Path(path)
    data = read_bytes(path, "recipe", MAX_BYTES)
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path} is not a TOML file: {error}") from error
    return parse_recipe(document, path)


def parse_recipe(document: dict[str, Any], path: Path) -> Recipe:
    """Check a decoded TOML document; ``path`` is where it was read, for relative paths."""
    _known(document, tuple(_KEYS), "section")
    model = _section(document, "model")
    training = _section(document, "training")
    init = _section(document, "init")
    proof = _section(document, "proof") if "proof" in document else {}

    steps = whole(training, "training", "steps", 1, MAX_STEPS)
    given = [key for key in _KEYS["init"] if key in init and init[key] is not False]
    if len(given) != 1:
        raise RecipeError(
            "[init] needs exactly one of seed, weights and onnx = true, "
            f"not {' and '.join(given) if given else 'none of them'}"
        )
    return Recipe(
        path=path,
        model=path.parent / _text(model, "model", "onnx"),
        loss=choice(training, "training", "loss", tuple(LOSSES)),
        optimizer=_optimizer(training, steps),
        learning_rate=schedule.from_recipe(
            required(training, "training", "learning_rate"), "training", "learning_rate", steps
        ),
        batch_size=whole(training, "training", "batch_size", 1, MAX_BATCH),
        steps=steps,
        order_seed=_text(training, "training", "order_seed"),
        init_seed=_text(init, "init", "seed") if "seed" in init else None,
        init_weights=path.parent / _text(init, "init", "weights") if "weights" in init else None,
        init_onnx=boolean(init, "init", "onnx", False),
        proof=_proof(proof),
        frozen=_names(training.get("frozen", []), "frozen"),
        checkpoints=_checkpoints(training.get("checkpoints", []), steps),
        drop_last="last_batch" in training
        and choice(training, "training", "last_batch", LAST_BATCH) == "drop",
    )


def _optimizer(training: dict[str, Any], steps: int) -> Asked:
    choice(training, "training", "optimizer", OPTIMIZERS)
    return optimizers.from_recipe(training, steps)


def _names(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise bad("training", key, value, 'must be a list of names of layers, such as ["conv1"]')
    return tuple(value)


def _checkpoints(value: Any, steps: int) -> tuple[int, ...] | str:
    if value == EPOCH:
        return EPOCH
    if not isinstance(value, list) or not all(map(is_integer, value)):
        remedy = f'must be a list of steps, such as [256, 512], or "{EPOCH}"'
        raise bad("training", "checkpoints", value, remedy)
    if not all(before < after for before, after in pairwise((0, *value, steps))):
        remedy = f"must increase, from 1 to {steps - 1}: after step {steps} is the result itself"
        raise bad("training", "checkpoints", value, remedy)
    if len(value) > MAX_CHECKPOINTS:
        raise bad("training", "checkpoints", value, f"has more than {MAX_CHECKPOINTS} steps")
    return tuple(value)


def _proof(section: dict[str, Any]) -> ProofOptions:
    default = ProofOptions()
    bits = default.security_bits
    if "security_bits" in section:
        bits = whole(section, "proof", "security_bits", *SECURITY_BITS)
    return ProofOptions(
        bits,
        boolean(section, "proof", "zero_knowledge", default.zero_knowledge),
    )


def _known(table: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    """Refuse a key that is not in ``known``; suggest its own section, or the nearest known key."""
    for key in table:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        homes = [section for section, keys in _KEYS.items() if key in keys]
        if homes:
            remedy = f"it belongs in section {' or '.join(f'[{home}]' for home in homes)}"
        elif near:
            remedy = f"did you mean {near[0]}?"
        else:
            remedy = f"known are {', '.join(known)}"
        raise RecipeError(f"unknown {what} {shown(key)}; {remedy}")


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    if table is None:
        raise RecipeError(f"the section [{name}] is missing; it has {', '.join(_KEYS[name])}")
    if not isinstance(table, dict):
        raise RecipeError(f"{name} = {shown(table)} must be a section: write [{name}]")
    _known(table, _KEYS[name], f"key in section [{name}]:")
    return table


def _text(table: dict[str, Any], section: str, key: str) -> str:
    value = required(table, section, key)
    if not isinstance(value, str):
        raise bad(section, key, value, "must be a text in quotes")
    if problem := text_violation(value):
        raise bad(section, key, value, problem)
    return value
