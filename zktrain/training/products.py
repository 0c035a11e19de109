"""Matrix products and what updates weights by them, as operations on buffers, and what makes them
exact.

The bound of a product is ``cells max|a| max|W|``. Of products named in ``precise`` it is
``max_row sum|a| max|W|`` or ``max|a| max_column sum|W|``, whichever has fewer cells to add up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import prod

import numpy as np
import torch

from ..operations import Accumulate, Affine, AffineTransposed, UnitMap
from ..operations.maps import Window
from .arithmetic import WEIGHT_LIMIT
from .figures import Interval, Operation, Seen, Vector, after, before, size
from .tape import Tape
from .windows import new_frame, scattered

Bound = Callable[[Seen], Vector]


class Products:
    """Those of a step with ``weights``, which change in place. ``offsets`` are added to products,
    by their names."""

    def __init__(
        self,
        tape: Tape,
        weights: Mapping[str, torch.Tensor],
        precise: Collection[str],
        offsets: Mapping[str, int],
    ) -> None:
        self._tape = tape
        self._weights = weights
        self._precise = precise
        self._offsets = offsets
        self.negated = tape.zeros(len(tape.rules.updates))
        self.gradients: dict[str, torch.Tensor] = {}
        self.multiplications = 0
        self.parameters: list[Operation] = []
        """They write the figures of the parameters."""
        self._places: dict[str, int] = {}
        self._sizes: dict[str, Bound] = {}
        for name, values in weights.items():
            at = self._places[name] = tape.figures.place()
            self.parameters.append(tape.figures.measured(values, at))
            tape.figures.within(after(at), 1 - WEIGHT_LIMIT, WEIGHT_LIMIT - 1)

    def matrix(self, name: str) -> torch.Tensor:
        """The units of every place as rows, taps included."""
        tape, key = self._tape, ("matrix", name)
        if key not in tape.kept:
            values, tensor = tape.value(name), tape.tensors[name]
            if not values.is_contiguous():
                seen, values = values, tape.zeros(*values.shape)
                if tensor.taps and tensor.width == 1:  # whole planes of an image are moved faster
                    planes = tape.zeros(*tensor.taps, tape.batch, *tensor.grid, 1)
                    values = planes.permute(2, 3, 4, 0, 1, 5)
                tape.do(values.copy_, seen)
            tape.kept[key] = values.view(-1, prod(tensor.taps) * tensor.width)
        return tape.kept[key]

    def affine(self, op: Affine) -> torch.Tensor:
        """With the offset of its rescale, if that alone reads it."""
        tape, rows, weight = self._tape, self.matrix(op.source), self._weights[op.weight]
        matrix, out = weight.view(-1, weight.shape[-1]), tape.buffer(op.output)
        half = float(self._offsets.get(op.output, 0))
        addend = torch.full_like(matrix.narrow(0, 0, 1), half)
        if op.bias is not None:
            base, addend = addend, torch.zeros_like(addend)
            shift = float(1 << op.bias_shift)
            tape.do(torch.add, base, self._weights[op.bias], alpha=shift, out=addend)
        tape.do(torch.addmm, addend, rows, matrix, out=out.view(-1, matrix.shape[1]))
        self._multiplied(op, rows, tape.interval(op.source), half, 0)
        return out

    def transposed(self, op: AffineTransposed) -> torch.Tensor:
        """That of the windows of an error: of the error itself, the products are added up where
        the windows meet."""
        tape, weight, width = (
            self._tape,
            self._weights[op.weight],
            self._tape.tensors[op.output].width,
        )
        half = float(self._offsets.get(op.output, 0))
        windows, axes = tape.rules.definitions.get(op.source), tape.tensors[op.source].taps
        if isinstance(windows, UnitMap) and isinstance(windows.map, Window) and axes:
            name, count = windows.source, prod(axes)
            error, interval = self.matrix(name), tape.interval(name)
            frame = new_frame(windows.map, tape.batch, width, tape.device)
            products = tape.zeros(count, len(error), width)
            turned = weight.view(count, *weight.shape[-2:]).transpose(1, 2)
            tape.do(torch.bmm, error.expand(count, *error.shape), turned, out=products)
            grid = (count, tape.batch, *tape.tensors[name].grid, width)
            out = scattered(tape, frame, products.view(grid).unbind(0), half)
        else:
            error, interval = self.matrix(op.source), tape.interval(op.source)
            addend, out = tape.zeros(1).fill_(half), tape.buffer(op.output)
            tape.do(torch.addmm, addend, error, weight.t(), out=out.view(-1, width))
        self._multiplied(op, error, interval, half, 1)
        return out

    def _multiplied(
        self,
        op: Affine | AffineTransposed,
        rows: torch.Tensor,
        interval: Interval,
        half: float,
        axis: int,
    ) -> None:
        """What makes a product exact; over the ``axis`` of the weight, and its taps, it adds up."""
        tape, values = self._tape, self._weights[op.weight]
        figures, taken = tape.figures, before(self._places[op.weight])
        stacked = values.view(-1, *values.shape[-2:])
        cells = stacked.numel() // stacked.shape[2 - axis]
        self.multiplications += len(rows) * stacked.numel()
        bias, shift = (op.bias, op.bias_shift) if isinstance(op, Affine) else (None, 0)

        def rest(seen: Seen) -> Vector | float:
            if bias is None:
                return half
            return half + (1 << shift) * size(before(self._places[bias]), seen)

        if op.output not in self._precise:
            figures.exact(
                lambda seen: cells * size(interval, seen) * size(taken, seen) + rest(seen),
                op.output,
            )
            return
        if len(stacked) == 1 and rows.numel() < stacked.numel():
            added, axes, other, sums = rows, [1], taken, tape.zeros(len(rows))
        else:
            added, axes, other = stacked, [0, 1 + axis], interval
            sums = tape.zeros(stacked.numel() // cells)
        tape.do(torch.linalg.vector_norm, added, 1, dim=axes, out=sums)
        most = tape.measured(sums)
        figures.exact(lambda seen: size(most, seen) * size(other, seen) + rest(seen))

    def update(
        self,
        number: int,
        op: Accumulate,
        rows: torch.Tensor,
        error: torch.Tensor,
        left: Collection[str] | None,
    ) -> None:
        """``W += negated G``, or where ``left`` is given the gradients of what it names."""
        tape, weight, scale = self._tape, self._weights[op.weight], 1 << op.bias_shift
        negated = self.negated.select(0, number)
        matrix, count = weight.view(-1, weight.shape[-1]), len(rows)
        activations, errors = tape.interval(op.activation), tape.interval(op.error)
        self.multiplications += count * matrix.numel()
        self._changed(
            number, op.weight, lambda seen: count * size(activations, seen) * size(errors, seen)
        )
        if left is None and count < len(matrix):
            scaled = torch.empty_like(error)
            tape.do(torch.mul, error, negated, out=scaled)
            tape.do(matrix.addmm_, rows.t(), scaled)
        elif left is None or op.weight in left:
            self._gradient(op.weight, rows, error)
        if op.bias is not None:
            total = self.gradients[op.bias] = torch.zeros_like(self._weights[op.bias])
            self._changed(number, op.bias, lambda seen: scale * count * size(errors, seen))
            tape.do(torch.sum, error, 0, out=total)
            tape.do(total.mul_, scale)
        for name in op.outputs() if left is None else ():
            if name in self.gradients:
                tape.do(self._weights[name].addcmul_, self.gradients[name], negated)

    def _gradient(self, name: str, rows: torch.Tensor, error: torch.Tensor) -> None:
        tape, (width, units) = self._tape, (rows.shape[1], error.shape[1])
        if rows.stride(0) == 1:
            found = tape.zeros(width, units)
            tape.do(torch.mm, rows.t(), error, out=found)
        else:  # faster as the transposed product
            turned = tape.zeros(units, width)
            tape.do(torch.mm, error.t(), rows, out=turned)
            found = turned.t()
        self.gradients[name] = found.reshape(self._weights[name].shape)

    def _changed(self, number: int, name: str, gradient: Bound) -> None:
        """What makes changes of a parameter exact: those by earlier gradients as well, and what
        weight decay takes, which is at most the first weight."""
        own = before(self._places[name])
        decays = WEIGHT_LIMIT if self._tape.rules.circuit.optimizer.start_bits else 0

        def bound(seen: Seen) -> Vector:
            largest = np.maximum(gradient(seen), seen.earlier.get(name, 0.0))
            most: Vector = np.maximum.accumulate(largest)
            return size(own, seen) + seen.rates[:, number] * most + decays

        self._sizes[name] = gradient
        self._tape.figures.exact(bound)

    def grown(self, seen: Seen, count: int) -> dict[str, float]:
        """Bounds on the gradients up to the first ``count`` of these steps, and of earlier ones."""
        return {
            name: max([seen.earlier.get(name, 0.0), *gradient(seen)[:count].tolist()])
            for name, gradient in self._sizes.items()
        }
