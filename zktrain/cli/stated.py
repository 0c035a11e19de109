"""Statements rendered from their own data, field by field, so that none can be forgotten.

For machines everything is given in full. For people long parts are shortened, and say so.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..layers import LAYERS, AnyLayer

if TYPE_CHECKING:
    from ..circuit.circuit import Circuit
    from ..dataset.commitment import DatasetHeader
    from ..protocol.statement import Statement

IN_FULL = "--json shows all"
_LAYERS = 12


def plain(value: Any) -> Any:
    """Every field of a dataclass, at any depth, as JSON has it; layers also say their kind."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **found} if isinstance(value, LAYERS) else found
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def result_fields(result: Any, *, left_out: tuple[str, ...] = (), **others: Any) -> dict[str, Any]:
    """A verb's result as a JSON object: its fields but for those left out, and ``others``."""
    names = [field.name for field in fields(result) if field.name not in (*left_out, *others)]
    return {**{name: plain(getattr(result, name)) for name in names}, **others}


def layer_text(layer: AnyLayer) -> str:
    """``conv1: Convolution, inputs 1, outputs 6, kernel 5x5, ..., relu, reads the layer before``"""
    parts = [
        _field(field.name, getattr(layer, field.name))
        for field in fields(layer)
        if field.name != "name"
    ]
    return ", ".join([f"{layer.name}: {type(layer).__name__}", *parts])


def _field(name: str, value: Any) -> str:
    if name == "source":
        return "reads the layer before" if value is None else f"reads {value}"
    if name == "other":
        return f"adds {value} to the layer before"
    if value is None or value is False:
        return f"no {name}"
    if value is True:
        return name
    if isinstance(value, tuple):
        return f"{name} {'x'.join(map(str, value))}"
    return f"{name} {value}"


def layer_rows(circuit: Circuit) -> list[tuple[str, str]]:
    """A row for every layer, which of them are trained, and how much of them that is."""
    texts = [
        layer_text(layer) + (", frozen" if layer.name in circuit.frozen else "")
        for layer in circuit.layers
    ]
    if len(texts) > _LAYERS:
        texts = [*texts[:_LAYERS], f"... and {len(texts) - _LAYERS} more; {IN_FULL}"]
    rows = [("layers" if number == 0 else "", text) for number, text in enumerate(texts)]
    if circuit.frozen:
        names = shortened(list(circuit.frozen))
        rows.append(
            (
                "trained",
                f"{trained_parameters(circuit):,} of {circuit.parameters:,} parameters; "
                f"frozen, the same before and after: {names}",
            )
        )
    return rows


def shortened(parts: list[str]) -> str:
    """A list, of which the middle of a long one is left out."""
    if len(parts) > 4:
        parts = [*parts[:2], f"... ({len(parts) - 3} more; {IN_FULL})", parts[-1]]
    return ", ".join(parts)


def trained_parameters(circuit: Circuit) -> int:
    """Integers that steps change."""
    from math import prod

    return sum(prod(shape) for shape in circuit.trained_shapes().values())


def arithmetic(circuit: Circuit) -> str:
    """The fixed-point format."""
    bits = circuit.fixed_point
    return (
        f"integers with {bits.activation_bits} fractional bits of activations, "
        f"{bits.error_bits} of errors, {bits.rate_bits} of rates, {bits.weight_bits} of weights"
    )


def commitment(header: DatasetHeader) -> str:
    """Whether it hides the records."""
    if not header.hiding:
        return "does not hide the records: everybody who has them can recompute the root"
    return f"hides the records, in up to {header.openings:,} proofs"


def distinct_records(statement: Statement) -> int:
    """No run of so many steps can have used more distinct records."""
    circuit = statement.circuit
    return min(statement.dataset.records, circuit.steps * circuit.batch_size)
