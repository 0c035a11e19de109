"""The recipe: a strict TOML file that says what to train, on which graph, and how to prove it."""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RecipeError
from ..files import read_bytes
from ..losses import LOSSES
from .canonical import MAX_BATCH, MAX_BYTES, MAX_SCHEDULE, MAX_STEPS, text_violation

OPTIMIZERS = ("sgd",)
LAST_BATCH = ("wrap", "drop")
SECURITY_BITS = (80, 120)

_KEYS = {
    "model": ("onnx",),
    "training": (
        "loss",
        "optimizer",
        "learning_rate",
        "batch_size",
        "steps",
        "order_seed",
        "momentum",
        "nesterov",
        "weight_decay",
        "restart_steps",
        "last_batch",
        "frozen",
    ),
    "init": ("seed", "weights", "onnx"),
    "proof": ("security_bits", "zero_knowledge", "segment_steps"),
}


@dataclass(frozen=True, slots=True)
class ProofOptions:
    """How to prove: the target in bits, whether the proof hides the data, and how many steps one
    segment has (a power of two; ``None``: chosen by the prover)."""

    security_bits: int = 100
    zero_knowledge: bool = True
    segment_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe; paths are already relative to the recipe's folder.

    ``learning_rate`` is the schedule ``((first_step, rate), ...)`` as asked for. Exactly one of
    ``init_seed``, ``init_weights`` and ``init_onnx`` is set. ``restart_steps`` is how many steps
    velocities last, by default the whole run; ``None`` for plain SGD.
    """

    path: Path
    model: Path
    loss: str
    optimizer: str
    learning_rate: tuple[tuple[int, float], ...]
    batch_size: int
    steps: int
    order_seed: str
    init_seed: str | None = None
    init_weights: Path | None = None
    init_onnx: bool = False
    proof: ProofOptions = field(default_factory=ProofOptions)
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    restart_steps: int | None = None
    drop_last: bool = False
    frozen: tuple[str, ...] = ()


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

    steps = _integer(training, "training", "steps", 1, MAX_STEPS)
    given = [key for key in _KEYS["init"] if key in init and init[key] is not False]
    if len(given) != 1:
        raise RecipeError(
            "[init] needs exactly one of seed, weights and onnx = true, "
            f"not {' and '.join(given) if given else 'none of them'}"
        )
    return Recipe(
        path=path,
        model=path.parent / _text(model, "model", "onnx"),
        loss=_choice(training, "training", "loss", tuple(LOSSES)),
        optimizer=_choice(training, "training", "optimizer", OPTIMIZERS),
        learning_rate=_schedule(_required(training, "training", "learning_rate"), steps),
        batch_size=_integer(training, "training", "batch_size", 1, MAX_BATCH),
        steps=steps,
        order_seed=_text(training, "training", "order_seed"),
        init_seed=_text(init, "init", "seed") if "seed" in init else None,
        init_weights=path.parent / _text(init, "init", "weights") if "weights" in init else None,
        init_onnx=_boolean(init, "init", "onnx", False),
        proof=_proof(proof),
        frozen=_names(training.get("frozen", []), "frozen"),
        **_filter(training, steps),
    )


def _names(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _bad("training", key, value, 'must be a list of names of layers, such as ["conv1"]')
    return tuple(value)


def _filter(training: dict[str, Any], steps: int) -> dict[str, Any]:
    """The keys of momentum, weight decay and last batches."""
    found: dict[str, Any] = {
        "momentum": _share(training, "momentum"),
        "nesterov": _boolean(training, "training", "nesterov", False),
        "weight_decay": _share(training, "weight_decay"),
    }
    if "last_batch" in training:
        found["drop_last"] = _choice(training, "training", "last_batch", LAST_BATCH) == "drop"
    if found["nesterov"] and not found["momentum"]:
        raise RecipeError("training.nesterov = true needs training.momentum above 0")
    if not found["momentum"] and not found["weight_decay"]:
        if "restart_steps" in training:
            raise RecipeError(
                "training.restart_steps is about momentum and weight decay, and plain SGD has "
                "neither; remove it, or set proof.segment_steps"
            )
        return found
    whole = 1 << (steps - 1).bit_length()
    found["restart_steps"] = whole
    if "restart_steps" in training:
        restart = _integer(training, "training", "restart_steps", 1, MAX_STEPS)
        if restart & (restart - 1):
            down = 1 << (restart.bit_length() - 1)
            remedy = f"must be a power of two: use {down} or {2 * down}"
            raise _bad("training", "restart_steps", restart, remedy)
        found["restart_steps"] = min(restart, whole)
    return found


def _share(training: dict[str, Any], key: str) -> float:
    """A number from 0 to below 1; 0 where the key is missing."""
    value = training.get(key, 0)
    number = isinstance(value, float) or _is_integer(value)
    if not number or not 0 <= value < 1:
        raise _bad("training", key, value, "must be a number from 0 to below 1")
    return float(value)


def _proof(section: dict[str, Any]) -> ProofOptions:
    default = ProofOptions()
    bits = default.security_bits
    if "security_bits" in section:
        bits = _integer(section, "proof", "security_bits", *SECURITY_BITS)
    segment_steps = section.get("segment_steps", "auto")
    if segment_steps == "auto":
        segment_steps = None
    elif isinstance(segment_steps, str):
        raise _bad("proof", "segment_steps", segment_steps, 'must be "auto" or a number')
    else:
        segment_steps = _integer(section, "proof", "segment_steps", 1, MAX_STEPS)
        if segment_steps & (segment_steps - 1):
            down = 1 << (segment_steps.bit_length() - 1)
            remedy = f"must be a power of two: use {down} or {2 * down}"
            raise _bad("proof", "segment_steps", segment_steps, remedy)
    return ProofOptions(
        bits,
        _boolean(section, "proof", "zero_knowledge", default.zero_knowledge),
        segment_steps,
    )


def _schedule(value: Any, steps: int) -> tuple[tuple[int, float], ...]:
    """A rate, or ``[[first_step, rate], ...]`` with first steps from 0 on, strictly increasing."""
    name = ("training", "learning_rate")
    if not isinstance(value, list):
        return ((0, _rate(value, value)),)
    if not 1 <= len(value) <= MAX_SCHEDULE:
        raise _bad(*name, f"{len(value)} entries", f"must have 1 to {MAX_SCHEDULE} entries")
    entries: list[tuple[int, float]] = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 2 or not _is_integer(entry[0]):
            raise _bad(*name, entry, "must be a rate or a list of [first_step, rate]")
        first, rate = entry[0], _rate(entry[1], entry)
        if not entries and first != 0:
            raise _bad(*name, entry, "must begin at step 0: add [0, rate] in front")
        if entries and first <= entries[-1][0]:
            raise _bad(*name, entry, "must have increasing first steps: sort the entries")
        if first >= steps:
            remedy = f"is never reached in {steps} steps: remove the entry or raise training.steps"
            raise _bad(*name, entry, remedy)
        entries.append((first, rate))
    return tuple(entries)


def _rate(value: Any, shown: Any) -> float:
    number = isinstance(value, float) or _is_integer(value)
    try:
        if number and math.isfinite(value) and value > 0:
            return float(value)
    except OverflowError:
        pass
    raise _bad("training", "learning_rate", shown, "must be a positive number, such as 0.125")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bad(section: str, key: str, value: Any, remedy: str) -> RecipeError:
    return RecipeError(f"{section}.{key} = {_shown(value)} {remedy}")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 256:
        return "(a huge number)"
    text = str(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 80 else text[:77] + "..."


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
        raise RecipeError(f"unknown {what} {_shown(key)}; {remedy}")


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    if table is None:
        raise RecipeError(f"the section [{name}] is missing; it has {', '.join(_KEYS[name])}")
    if not isinstance(table, dict):
        raise RecipeError(f"{name} = {_shown(table)} must be a section: write [{name}]")
    _known(table, _KEYS[name], f"key in section [{name}]:")
    return table


def _required(table: dict[str, Any], section: str, key: str) -> Any:
    if key not in table:
        raise RecipeError(f"{section}.{key} is missing; add it to section [{section}]")
    return table[key]


def _integer(table: dict[str, Any], section: str, key: str, low: int, high: int) -> int:
    value = _required(table, section, key)
    if not _is_integer(value) or not low <= value <= high:
        raise _bad(section, key, value, f"must be a whole number from {low} to {high}")
    return int(value)


def _boolean(table: dict[str, Any], section: str, key: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise _bad(section, key, value, "must be true or false")
    return value


def _text(table: dict[str, Any], section: str, key: str) -> str:
    value = _required(table, section, key)
    if not isinstance(value, str):
        raise _bad(section, key, value, "must be a text in quotes")
    if problem := text_violation(value):
        raise _bad(section, key, value, problem)
    return value


def _choice(table: dict[str, Any], section: str, key: str, choices: tuple[str, ...]) -> str:
    value = _required(table, section, key)
    if value not in choices:
        known = " or ".join(f'"{choice}"' for choice in choices)
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" (did you mean {near[0]}?)" if near and len(choices) > 1 else ""
        raise _bad(section, key, value, f"must be {known}{hint}")
    return str(value)
