"""Products, sums and tables, cell by cell, as operations on buffers."""

from __future__ import annotations

import torch

from ..arguments.hints import Column, FirstLargest, Sign
from ..arguments.tensors import Tensor
from ..operations import Linear, Product
from ..operations.base import Applied
from .interpreter import column_of
from .tape import Tape, picked, repeated
from .windows import taps


def signs(tape: Tape, tensor: Tensor, source: str) -> torch.Tensor:
    """1 where the source is above 0."""
    seen, out = tape.value(source), tape.buffer(tensor.name)
    tape.do(torch.gt, seen, 0.0, out=out)
    return out


def column(tape: Tape, tensor: Tensor, hint: Column) -> torch.Tensor:
    """Of a value without a row the nearest."""
    source, out = tape.value(hint.source), tape.buffer(tensor.name)
    cells = column_of(hint.table, hint.column, str(tape.device))
    key = ("rows", hint.source, str(hint.first))
    if key not in tape.kept:
        place = torch.empty_like(source, memory_format=torch.contiguous_format)
        rows = tape.kept[key] = torch.zeros_like(place, dtype=torch.int64)
        tape.do(torch.sub, source, hint.first, out=place)
        tape.do(place.clamp_, 0.0, len(cells) - 1)
        tape.do(rows.copy_, place)
    tape.do(torch.take, cells, tape.kept[key], out=out)
    return out


def product(tape: Tape, op: Product) -> torch.Tensor:
    """A factor that is a sign or a winner chooses of the other one."""
    match tape.tensors[op.left].hint:
        case Sign(source):
            right, out = tape.value(op.right), tape.buffer(op.output)
            if source == op.right:
                tape.do(torch.clamp_min, right, 0.0, out=out)
            else:
                grad = torch.ops.aten.threshold_backward.grad_input
                tape.do(grad, right, tape.value(source), 0, grad_input=out)
        case FirstLargest():
            wins, right, out = _factors(tape, op)
            for won, tap, place in zip(taps(wins), taps(right), taps(out), strict=True):
                tape.do(torch.mul, tap, won, out=place)
        case _:
            left, right, out = _factors(tape, op)
            tape.do(torch.mul, left, right, out=out)
    return out


def _factors(tape: Tape, op: Product) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tape.value(op.left), tape.value(op.right), tape.buffer(op.output)


def linear(tape: Tape, op: Linear) -> torch.Tensor:
    """A sum, or what is one already."""
    output = tape.tensors[op.output]
    if (one := repeated(tape.rules, op)) is not None:
        return _term(tape, one, output)
    if not output.taps and (won := picked(tape.rules, op)) is not None:
        tape.value(won.left)
        return tape.kept["largest", won.left]
    terms = [(float(factor), _term(tape, name, output)) for factor, name in op.terms]
    out = tape.buffer(op.output)
    (factor, first), *rest = terms
    tape.do(torch.mul, first, factor, out=out)
    for times, term in rest:
        tape.do(out.add_, term, alpha=times)
    if op.constant:
        tape.do(out.add_, op.constant)
    return out


def _term(tape: Tape, name: str, output: Tensor) -> torch.Tensor:
    """As ``Linear`` takes it: summed or repeated over axes that only one of both has."""
    term, own = tape.value(name), tape.tensors[name]
    grid = 1 + len(own.grid)
    if own.width and not output.width:
        term = _summed(tape, term, -1)
    elif output.width and not own.width:
        term = term.unsqueeze(-1)
    if own.taps and not output.taps:
        term = _summed(tape, _summed(tape, term, grid + 1), grid)
    elif output.taps and not own.taps:
        term = term.unsqueeze(grid).unsqueeze(grid)
    return term.expand(tape.batch, *output.axes)


def _summed(tape: Tape, values: torch.Tensor, axis: int) -> torch.Tensor:
    out = torch.zeros_like(values.select(axis, 0), memory_format=torch.contiguous_format)
    tape.do(torch.sum, values, dim=axis, out=out)
    return out


def applied(tape: Tape, op: Applied, tensor: Tensor) -> torch.Tensor:
    """Of an operation that says it itself."""
    out, rule = tape.buffer(tensor.name), tape.rules.definitions[tensor.name]
    seen = {name: tape.value(name) for name in rule.inputs()}
    tape.do(lambda: out.copy_(op.apply(tape.tensors, seen.__getitem__)))
    return out
