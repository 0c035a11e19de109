"""From a recipe to its circuit and initial weights."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import disk
from ..errors import InputError, RecipeError
from ..layers import AnyLayer
from ..layers.network import affine_layers
from ..optimizers import Optimizer
from ..recipe_values import unknown
from .bounds import FILE_WEIGHT_MAX
from .canonical import MAX_BYTES, violation
from .circuit import Circuit, parameter_shapes
from .initial import seeded_weights, start_violation
from .initialisation import Initialisation
from .onnx.constants import Origin
from .onnx.importer import Imported, read_network
from .recipe import Recipe, load_recipe

IntegerWeights = dict[str, npt.NDArray[np.int64]]
FloatWeights = dict[str, npt.NDArray[np.float64]]

_DIGEST_ROOM = 64
_EXACT = Fraction(1, 10**6)
"""Relative difference between a number asked for and the one used that is not worth a word."""
_NOTABLE = Fraction(1, 50)
"""One that is worth a warning."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A circuit with the recipe it comes from. ``initial_float`` are the network file's own
    weights, ``(outputs, inputs)``, where the recipe starts from them (``init.onnx = true``)."""

    circuit: Circuit
    recipe: Recipe
    initial_float: FloatWeights | None
    changes: tuple[str, ...] = ()
    """What is trained otherwise than recipe and network file say, in sentences."""
    warnings: tuple[str, ...] = ()
    """Those of them that may change the outcome by more than rounding does."""


def compile_recipe(path: str | Path) -> Compiled:
    """Compile the recipe at ``path``.

    Raises ``InputError`` for files that cannot be read, ``RecipeError`` for everything that cannot
    be trained or proved, with what to change.
    """
    recipe = load_recipe(path)
    fixed_point = recipe.optimizer.fixed_point
    network = read_network(recipe.model)
    layers, floats = network.layers, network.weights
    constant = _constant_layers(recipe, network)
    frozen = _frozen(recipe, layers, constant)
    moving = tuple(layer.name for layer in affine_layers(layers) if layer.name not in frozen)
    optimizer = recipe.optimizer.quantised(recipe.learning_rate, recipe.batch_size, moving)
    changes, warnings = _changes(recipe, network, constant, optimizer)

    def circuit(initialisation: Initialisation) -> Circuit:
        return Circuit(
            layers=layers,
            loss=recipe.loss,
            fixed_point=fixed_point,
            batch_size=recipe.batch_size,
            steps=recipe.steps,
            optimizer=optimizer,
            order_seed=recipe.order_seed,
            initialisation=initialisation,
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
        return Compiled(stated, recipe, None, changes, warnings)

    from .weights import digest

    weights = _given_weights(recipe, layers, floats, stated)
    _require_constants(recipe, network, constant, weights, stated)
    if problem := start_violation(stated, weights):
        raise RecipeError(
            f"{recipe.init_weights}: {problem}, as first weights under weight decay are; start "
            "from a seed or a network file (init.onnx = true), or leave training.weight_decay out"
        )
    return Compiled(
        circuit(Initialisation("file", digest(weights))),
        recipe,
        floats if recipe.init_onnx else None,
        changes,
        warnings,
    )


def _constant_layers(recipe: Recipe, network: Imported) -> tuple[str, ...]:
    """Layers whose parameters are constants of the network (buffers of a module): they stay as
    they are. Raises ``RecipeError`` where they would not, or where the file does not tell."""
    found = []
    for layer in affine_layers(network.layers):
        names = [name for name in (layer.weight, layer.bias) if name is not None]
        kinds = {name: network.origins[name] for name in names}
        constants = [told for kind, told in kinds.values() if kind is Origin.CONSTANT]
        unknown = [told for kind, told in kinds.values() if kind is Origin.UNKNOWN]
        where = f"{recipe.model.name}: layer {layer.name!r:.80}"
        if unknown and layer.name not in recipe.frozen:
            raise RecipeError(
                f"{where}: the file does not tell whether {unknown[0]!r:.80} is trained: torch "
                "writes parameters and constants (buffers) alike here. Export the module with "
                "dynamo=True and use the tensor itself, not one computed of it; or build the "
                "layer from torch.nn.Linear or Conv2d if it is trained; or name it in "
                f'training.frozen = ["{layer.name:.80}"] with init.onnx = true if it is not'
            )
        if (
            constants
            and len(constants) + len(unknown) < len(names)
            and (layer.name not in recipe.frozen)
        ):
            raise RecipeError(
                f"{where}: {constants[0]!r:.80} is a constant of the network (a buffer), and the "
                "layer's other parameter is trained; a layer is trained or frozen as a whole: "
                "make both torch.nn.Parameter or both buffers"
            )
        if not constants:
            continue
        if recipe.init_seed is not None:
            raise RecipeError(
                f"{where}: {constants[0]!r:.80} is a constant of the network (a buffer), and "
                "init.seed would draw it anew; start from the network file (init.onnx = true), "
                "which keeps it, or make it a torch.nn.Parameter if it is to be trained"
            )
        found.append(layer.name)
    return tuple(found)


def _require_constants(
    recipe: Recipe,
    network: Imported,
    constant: tuple[str, ...],
    weights: IntegerWeights,
    circuit: Circuit,
) -> None:
    """Raise ``RecipeError`` where a weight file has other values for constants of the network."""
    if recipe.init_weights is None or not constant:
        return
    layers = tuple(layer for layer in affine_layers(network.layers) if layer.name in constant)
    wanted = _rounded(network.weights, layers, recipe, circuit)
    for name, values in wanted.items():
        if not np.array_equal(values, weights[name]):
            raise RecipeError(
                f"{recipe.init_weights}: {name!r:.80} has other values than the network file, "
                "where it is a constant (a buffer); start from init.onnx = true, or make it a "
                "torch.nn.Parameter"
            )


def _changes(
    recipe: Recipe,
    network: Imported,
    constant: tuple[str, ...],
    optimizer: Optimizer,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is trained otherwise than asked for, and the part of it that needs attention."""
    changes, warnings = list(network.changes), []
    for layer in affine_layers(network.layers):
        computed = [
            name
            for name in (layer.weight, layer.bias)
            if name is not None and network.origins[name][0] is Origin.COMPUTED
        ]
        if computed:
            warnings.append(
                f"layer {layer.name!r:.80}: the exporter has computed its parameters of several, "
                "as it does with a BatchNorm after the layer; what is trained is the layer alone, "
                "without the normalisation"
            )
    changes += [
        f"layer {name!r:.80} is a constant of the network (buffers): it is frozen, and keeps the "
        "values of the file"
        for name in constant
    ]
    unit = optimizer.unit(recipe.batch_size)
    own = dict(recipe.optimizer.own)
    schedules = [("", recipe.learning_rate, optimizer.multipliers)]
    schedules += [(f" of layer {name!r:.80}", own[name], found) for name, found in optimizer.own]
    for whose, first, asked, times in (
        (whose, *wanted, times)
        for whose, rates, found in schedules
        for wanted, (_, times) in zip(rates, found, strict=True)
    ):
        rate = times * unit
        off = abs(rate / Fraction(asked) - 1)
        if off <= _EXACT:
            continue
        text = (
            f"the learning rate{whose} from step {first:,} on is {float(rate):g} instead of "
            f"{asked:g}, {float(off):.1%} off: rates are whole multiples of {float(unit):g}"
        )
        (warnings if off > _NOTABLE else changes).append(text)
    return (*warnings, *changes), tuple(warnings)


def _frozen(
    recipe: Recipe, layers: tuple[AnyLayer, ...], constant: tuple[str, ...]
) -> tuple[str, ...]:
    """The frozen layers in the network's order: those of the recipe, and constants."""
    names = [layer.name for layer in affine_layers(layers)]
    for name in recipe.frozen:
        if name not in names:
            raise unknown("training.frozen", name, "layer with parameters", names)
    return tuple(name for name in names if name in recipe.frozen or name in constant)


def initial_weights(compiled: Compiled) -> IntegerWeights:
    """``W_0`` by parameter name: integers with ``weight_bits`` fractional bits, internal layout.

    Raises ``InputError`` if a weight file is no longer the one that was compiled.
    """
    circuit = compiled.circuit
    if circuit.initialisation.kind == "seed":
        return seeded_weights(circuit)

    from .weights import digest

    weights = _given_weights(compiled.recipe, circuit.layers, compiled.initial_float or {}, circuit)
    if digest(weights) != circuit.initialisation.value:
        raise InputError(
            f"{compiled.recipe.init_weights or compiled.recipe.model} has changed since the recipe "
            "was compiled; compile it again"
        )
    return weights


def compile_to_file(recipe_path: str | Path, out: str | Path) -> Compiled:
    """Compile the recipe and write the circuit's canonical text to ``out``, whole or not at all."""
    disk.require_writable(out, "circuit", b"{")
    compiled = compile_recipe(recipe_path)
    disk.write(out, compiled.circuit.canonical_json())
    return compiled


def _given_weights(
    recipe: Recipe, layers: tuple[AnyLayer, ...], floats: FloatWeights, circuit: Circuit
) -> IntegerWeights:
    """Initial weights from the weight file or the network file of ``recipe``."""
    shapes = parameter_shapes(layers)
    if recipe.init_weights is None:
        return _rounded(floats, layers, recipe, circuit)

    from .weights import read_weights

    read = read_weights(recipe.init_weights, shapes, circuit.fixed_point.weight_bits)
    return {name: read[name] for name in shapes}


def _rounded(
    floats: FloatWeights, layers: tuple[AnyLayer, ...], recipe: Recipe, circuit: Circuit
) -> IntegerWeights:
    """``round(w * 2**weight_bits)``, ties to even, in the internal layout; under weight decay to
    the nearest multiple of ``2**12``."""
    from .weights import as_internal

    weights: IntegerWeights = {}
    for name, shape in parameter_shapes(layers).items():
        if name not in floats:
            raise RecipeError(
                f"init.onnx = true, but {recipe.model.name} gives only the shape of {name!r}; "
                'export the network with its weights, or use init.seed = "..."'
            )
        with np.errstate(over="ignore"):
            unit, bits = circuit.optimizer.start_bits, circuit.fixed_point.weight_bits
            scaled = np.ldexp(as_internal(floats[name]), bits - unit)
            scaled = np.ldexp(np.rint(scaled), unit)
        if np.abs(scaled).max() > FILE_WEIGHT_MAX:
            raise RecipeError(
                f"{recipe.model.name}: the parameter {name!r} has a value of "
                f"{np.abs(floats[name]).max():g}, too large for exact training; initial weights "
                f"must stay below {(FILE_WEIGHT_MAX + 1) >> bits}"
            )
        weights[name] = np.ascontiguousarray(scaled.astype(np.int64)).reshape(shape)
    return weights
