"""The canonical JSON text of a circuit: its encoder, its strict decoder and its limits.

The text has a stated part, from which a circuit is made, and a derived part for readers
(tensors and operations of a step, sizes, bounds), which is never read back: whoever decodes
encodes the result again and compares bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from .. import optimizers
from ..layers import LAYERS, AnyLayer
from ..layers import network as networks
from ..layers.network import MAX_LAYERS
from ..losses import LOSSES
from ..operations import Accumulate, Fixed
from ..operations.fixed_point import FixedPoint
from ..optimizers.schedule import MAX_STEPS
from ..strict_json import MAX_BYTES as MAX_BYTES
from ..strict_json import boolean, integer, keyed, listed, malformed, parse, string
from . import bounds
from .initialisation import Initialisation

if TYPE_CHECKING:
    from .circuit import Circuit

FORMAT = "zktrain-circuit-3"
MAX_BATCH = 1 << 14
MAX_STRING = 1024

_STATED = (
    "batch_size",
    "fixed_point",
    "format",
    "initialisation",
    "layers",
    "loss",
    "optimizer",
    "order_seed",
    "steps",
)
_OF_TENSORS = ("name", "width", "committed", "low", "high", "grid", "taps")
_DERIVED = (
    "cells_per_step",
    "lookups_per_step",
    "no_wrap_bound_bits",
    "operations",
    "parameters",
    "shifts",
    "tensors",
)


def encode(circuit: Circuit) -> bytes:
    """The canonical text of ``circuit``."""
    graph = circuit.graph()
    fixed_point = circuit.fixed_point
    document = {
        "format": FORMAT,
        "layers": [_kind(layer) for layer in circuit.layers],
        "loss": circuit.loss,
        "optimizer": circuit.optimizer.stated(),
        "fixed_point": {
            "activation_bits": fixed_point.activation_bits,
            "error_bits": fixed_point.error_bits,
        },
        "batch_size": circuit.batch_size,
        "steps": circuit.steps,
        "order_seed": circuit.order_seed,
        "initialisation": _plain(circuit.initialisation),
        "tensors": [
            {name: getattr(tensor, name) for name in _OF_TENSORS} for tensor in graph.tensors
        ],
        "operations": [_kind(operation) for operation in graph.operations],
        "shifts": {"forward": fixed_point.shift, "backward": fixed_point.shift},
        "cells_per_step": circuit.cells_per_step,
        "lookups_per_step": circuit.lookups_per_step,
        "parameters": circuit.parameters,
        "no_wrap_bound_bits": circuit.no_wrap_bound_bits,
    }
    if circuit.drop_last:
        document["last_batch"] = "drop"
    if circuit.frozen:
        document["frozen"] = circuit.frozen
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _plain(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _kind(record: Any) -> dict[str, Any]:
    """The fields of an operation, a map or a layer, and which one it is."""
    plain = {
        name: _kind(value) if is_dataclass(value) else value
        for name, value in _plain(record).items()
    }
    return {"kind": type(record).__name__, **plain}


def decode(data: bytes) -> dict[str, Any]:
    """The arguments of ``Circuit`` that ``data`` states, each of the right type but not yet
    checked by ``violation``. Raises ``MalformedProof`` and nothing else. A key that is there twice
    or another ``last_batch`` than the encoder's are seen when the bytes are compared."""
    document = parse(data)
    known = document if isinstance(document, dict) else {}
    sometimes = tuple(key for key in ("last_batch", "frozen") if key in known)
    document = keyed(document, "the circuit", _STATED + _DERIVED + sometimes)
    if document["format"] != FORMAT:
        malformed(f"the format is not {FORMAT}: compile the circuit again")
    optimizer = optimizers.read(document["optimizer"])
    fixed_point = keyed(document["fixed_point"], "fixed_point", ("activation_bits", "error_bits"))
    initialisation = keyed(document["initialisation"], "initialisation", ("kind", "value"))
    return {
        "layers": listed(document["layers"], "layers", MAX_LAYERS, _layer),
        "loss": string(document["loss"], "loss"),
        "fixed_point": FixedPoint(
            integer(fixed_point["activation_bits"], "activation_bits"),
            integer(fixed_point["error_bits"], "error_bits"),
            integer(document["optimizer"]["rate_bits"], "rate_bits"),
        ),
        "batch_size": integer(document["batch_size"], "batch_size"),
        "steps": integer(document["steps"], "steps"),
        "optimizer": optimizer,
        "order_seed": string(document["order_seed"], "order_seed"),
        "initialisation": Initialisation(
            string(initialisation["kind"], "initialisation.kind"),
            string(initialisation["value"], "initialisation.value"),
        ),
        "drop_last": "last_batch" in document,
        "frozen": listed(document.get("frozen", []), "frozen", MAX_LAYERS, _frozen),
    }


def _frozen(value: Any) -> str:
    return string(value, "a frozen layer")


_KINDS: dict[str, type[AnyLayer]] = {kind.__name__: kind for kind in LAYERS}


def _layer(value: Any) -> AnyLayer:
    """Its kind, and the fields of that kind."""
    kind = value.get("kind") if isinstance(value, dict) else None
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        malformed(f"the kind of a layer is none of {', '.join(_KINDS)}")
    return _record(known, value, "kind")


def _record(kind: type[AnyLayer], value: Any, *more: str) -> AnyLayer:
    declared = fields(kind)
    entry = keyed(value, "a layer", (*more, *(field.name for field in declared)))
    given = {
        field.name: _FIELDS[str(field.type)](entry[field.name], f"a layer's {field.name}")
        for field in declared
    }
    return kind(**given)


def _pair(value: Any, name: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        malformed(f"{name} is not a pair of integers")
    return integer(value[0], name), integer(value[1], name)


def _optional(value: Any, name: str) -> str | None:
    return None if value is None else string(value, name)


_FIELDS: dict[str, Callable[[Any, str], Any]] = {
    "str": string,
    "str | None": _optional,
    "int": integer,
    "bool": boolean,
    "tuple[int, int]": _pair,
}


def text_violation(text: str) -> str | None:
    """Why ``text`` cannot be a name or a seed: these are printed and hashed as UTF-8."""
    if not text or len(text) > MAX_STRING:
        return f"must have 1 to {MAX_STRING} characters"
    return None if text.isprintable() else "must have printable characters only"


def violation(circuit: Circuit) -> str | None:
    """The first limit that ``circuit`` breaks, as a clause; ``None`` if it is valid."""
    problem = _network_violation(circuit) or _training_violation(circuit)
    if problem is not None:
        return problem
    if problem := _update_violation(circuit) or bounds.size_violation(circuit):
        return problem
    clash = set(circuit.parameter_shapes()) & {tensor.name for tensor in circuit.graph().tensors}
    if clash:
        return f"the parameter name {min(clash)!r} is the name of a tensor of the step"
    return None


def _update_violation(circuit: Circuit) -> str | None:
    """Every layer with parameters has exactly one update, or is held fixed, as stated."""
    operations = circuit.graph().operations
    updates = Counter(op.weight for op in operations if isinstance(op, Accumulate))
    held = Counter(op.weight for op in operations if isinstance(op, Fixed))
    for layer in circuit.trained:
        still = layer.name in circuit.frozen
        found = updates[layer.weight], held[layer.weight]
        if found != (not still, still):
            return f"no gradient reaches layer {layer.name!r}, which is not frozen"
    return None


def _network_violation(circuit: Circuit) -> str | None:
    layers = circuit.layers
    if problem := networks.violation(layers):
        return problem
    if circuit.loss not in LOSSES:
        return f"the loss must be one of {', '.join(LOSSES)}"
    if problem := LOSSES[circuit.loss].violation(layers[-1].name, circuit.classes):
        return problem
    order = [layer.name for layer in circuit.trained]
    if list(circuit.frozen) != [name for name in order if name in circuit.frozen]:
        return "frozen layers must be dense layers or convolutions, each once, in their order"
    if not circuit.trained_shapes():
        return "all layers are frozen, so there is nothing to train"
    return None


def _training_violation(circuit: Circuit) -> str | None:
    wanted = circuit.optimizer.FORMAT
    if circuit.fixed_point != wanted:
        return f"there is one fixed-point format for this optimizer, {wanted}"
    if not 1 <= circuit.batch_size <= MAX_BATCH:
        return f"batch_size must be from 1 to {MAX_BATCH}"
    if not 1 <= circuit.steps <= MAX_STEPS:
        return f"steps must be from 1 to {MAX_STEPS}"
    if problem := circuit.optimizer.violation(circuit):
        return problem
    if problem := text_violation(circuit.order_seed):
        return f"order_seed {problem}"
    return _initialisation_violation(circuit.initialisation)


def _initialisation_violation(initialisation: Initialisation) -> str | None:
    if initialisation.kind == "seed":
        problem = text_violation(initialisation.value)
        return None if problem is None else f"the initialisation seed {problem}"
    if initialisation.kind != "file":
        return "the initialisation must be a seed or a file"
    digest = initialisation.value
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        return "the digest of the initial weights must be 64 lower-case hexadecimal digits"
    return None
