"""From a recipe to its circuit and initial weights."""

from __future__ import annotations

import difflib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError, RecipeError
from .bounds import FILE_WEIGHT_MAX
from .canonical import MAX_BYTES, violation
from .circuit import Circuit, parameter_shapes, trained
from .fixed_point import quantise_filtered, quantise_momentum, quantise_schedule
from .momentum import FORMAT, START_BITS, Momentum, start_violation
from .network import AnyLayer, FixedPoint, Initialisation
from .onnx_import import import_onnx
from .recipe import Recipe, load_recipe

IntegerWeights = dict[str, npt.NDArray[np.int64]]
FloatWeights = dict[str, npt.NDArray[np.float64]]

_DIGEST_ROOM = 64


@dataclass(frozen=True, slots=True)
class Compiled:
    """A circuit with the recipe it comes from. ``initial_float`` are the network file's own
    weights, ``(outputs, inputs)``, where the recipe starts from them (``init.onnx = true``)."""

    circuit: Circuit
    recipe: Recipe
    initial_float: FloatWeights | None


def compile_recipe(path: str | Path) -> Compiled:
    """Compile the recipe at ``path``.

    Raises ``InputError`` for files that cannot be read, ``RecipeError`` for everything that cannot
    be trained or proved, with what to change.
    """
    recipe = load_recipe(path)
    fixed_point = FixedPoint() if recipe.restart_steps is None else FORMAT
    layers, floats = import_onnx(recipe.model)
    momentum = _momentum(recipe)
    schedule = (recipe.learning_rate, recipe.batch_size, fixed_point.rate_bits)
    if momentum is None:
        multipliers = quantise_schedule(*schedule)
    else:
        multipliers = quantise_filtered(*schedule, momentum)

    frozen = _frozen(recipe, layers)

    def circuit(initialisation: Initialisation) -> Circuit:
        return Circuit(
            layers=layers,
            loss=recipe.loss,
            fixed_point=fixed_point,
            batch_size=recipe.batch_size,
            steps=recipe.steps,
            multipliers=multipliers,
            order_seed=recipe.order_seed,
            initialisation=initialisation,
            momentum=momentum,
            frozen=frozen,
            drop_last=recipe.drop_last,
        )

    # Weights are read only for a valid network.
    stated = circuit(Initialisation("seed", recipe.init_seed or "file"))
    problem = violation(stated)
    if problem is None and len(stated.canonical_json()) > MAX_BYTES - _DIGEST_ROOM:
        problem = (
            f"the circuit has more than {MAX_BYTES} bytes, because of its names or its schedule"
        )
    if problem is not None:
        raise RecipeError(f"{recipe.path}: {problem}; change the recipe or the network")
    if recipe.init_seed is not None:
        return Compiled(stated, recipe, None)

    from ..training.weights import digest

    weights = _given_weights(recipe, layers, floats, fixed_point)
    if problem := start_violation(stated, weights):
        raise RecipeError(
            f"{recipe.init_weights}: {problem}, as first weights under weight decay are; start "
            "from a seed or a network file (init.onnx = true), or leave training.weight_decay out"
        )
    return Compiled(
        circuit(Initialisation("file", digest(weights))),
        recipe,
        floats if recipe.init_onnx else None,
    )


def _frozen(recipe: Recipe, layers: tuple[AnyLayer, ...]) -> tuple[str, ...]:
    """The frozen layers in the network's order."""
    names = [layer.name for layer in trained(layers)]
    for name in recipe.frozen:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise RecipeError(
                f"training.frozen names {name!r}, which is no layer with parameters; "
                + (f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}")
            )
    return tuple(name for name in names if name in recipe.frozen)


def _momentum(recipe: Recipe) -> Momentum | None:
    """The filter of the recipe, ``None`` for plain SGD."""
    restart, wanted = recipe.restart_steps, recipe.proof.segment_steps
    if restart is None:
        return None
    if wanted not in (None, restart):
        raise RecipeError(
            f"proof.segment_steps = {wanted}, but with momentum or weight_decay a segment is as "
            f"long as velocities last, {restart} steps: remove it, or set "
            f"training.restart_steps = {wanted}"
        )
    return quantise_momentum(recipe.momentum, recipe.nesterov, recipe.weight_decay, restart)


def initial_weights(compiled: Compiled) -> IntegerWeights:
    """``W_0`` by parameter name: integers with ``weight_bits`` fractional bits, internal layout.

    Raises ``InputError`` if a weight file is no longer the one that was compiled.
    """
    circuit = compiled.circuit
    if circuit.initialisation.kind == "seed":
        from ..training.initial import seeded_weights

        return seeded_weights(circuit)

    from ..training.weights import digest

    weights = _given_weights(
        compiled.recipe, circuit.layers, compiled.initial_float or {}, circuit.fixed_point
    )
    if digest(weights) != circuit.initialisation.value:
        raise InputError(
            f"{compiled.recipe.init_weights or compiled.recipe.model} has changed since the recipe "
            "was compiled; compile it again"
        )
    return weights


def compile_to_file(recipe_path: str | Path, out: str | Path) -> Circuit:
    """Compile the recipe and write the circuit's canonical text to ``out``, whole or not at all."""
    circuit = compile_recipe(recipe_path).circuit
    out = Path(out)
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(circuit.canonical_json())
        part.replace(out)
    except OSError as error:
        raise InputError(f"the circuit {out} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return circuit


def _given_weights(
    recipe: Recipe, layers: tuple[AnyLayer, ...], floats: FloatWeights, fixed_point: FixedPoint
) -> IntegerWeights:
    """Initial weights from the weight file or the network file of ``recipe``."""
    shapes = parameter_shapes(layers)
    if recipe.init_weights is None:
        return _rounded(floats, layers, recipe, fixed_point)

    from ..training.weights import read_weights

    read = read_weights(recipe.init_weights, shapes, fixed_point.weight_bits)
    return {name: read[name] for name in shapes}


def _rounded(
    floats: FloatWeights, layers: tuple[AnyLayer, ...], recipe: Recipe, fixed_point: FixedPoint
) -> IntegerWeights:
    """``round(w * 2**weight_bits)``, ties to even, in the internal layout; under weight decay to
    the nearest multiple of ``2**START_BITS``."""
    from ..training.weights import as_internal

    weights: IntegerWeights = {}
    for name, shape in parameter_shapes(layers).items():
        if name not in floats:
            raise RecipeError(
                f"init.onnx = true, but {recipe.model.name} gives only the shape of {name!r}; "
                'export the network with its weights, or use init.seed = "..."'
            )
        with np.errstate(over="ignore"):
            unit = START_BITS if recipe.weight_decay else 0
            scaled = np.ldexp(as_internal(floats[name]), fixed_point.weight_bits - unit)
            scaled = np.ldexp(np.rint(scaled), unit)
        if np.abs(scaled).max() > FILE_WEIGHT_MAX:
            raise RecipeError(
                f"{recipe.model.name}: the parameter {name!r} has a value of "
                f"{np.abs(floats[name]).max():g}, too large for exact training; initial weights "
                f"must stay below {(FILE_WEIGHT_MAX + 1) >> fixed_point.weight_bits}"
            )
        weights[name] = np.ascontiguousarray(scaled.astype(np.int64)).reshape(shape)
    return weights
