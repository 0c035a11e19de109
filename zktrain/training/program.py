"""A training step of any circuit as one fixed sequence of operations on buffers.

All tensors hold integers in float64. Nothing is checked while the operations run, and nothing
waits for the device: smallest and largest values that ranges and exactness hang on, the *figures*
of a step, are gathered in one device tensor, which is fetched once for many steps. A step is
sound if by its figures every sum of products, partial sums included, stays within ``2^53``, every
parameter below ``2^52``, and every value in the range of its lookup. The checks are right although
they read figures of a possibly inexact step: before the first operation that breaks a bound
everything was exact, and so are the figures that reveal it. What is not sound is done again by
``interpreter``.

The bound of a product is ``cells max|a| max|W|``. Of products named in ``precise`` it is
``max_row sum|a| max|W|`` or ``max|a| max_column sum|W|``, whichever has fewer cells to add up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import prod
from typing import assert_never

import numpy as np
import torch

from ..arguments.hints import Column, FirstLargest, Floor, Normaliser, Sign
from ..arguments.tensors import Tensor
from ..circuit.build import INPUTS, LABELS
from ..losses import LOSSES
from ..operations import Accumulate, Affine, AffineTransposed, Linear, Lookup, Product, UnitMap
from ..operations.base import Applied
from ..operations.maps import Before, Reorder, Window
from ..tables import TABLES
from .arithmetic import LOGIT_SCALE, QUOTIENT_HIGH, QUOTIENT_LOW, WEIGHT_LIMIT, Softmax
from .figures import (
    Figures,
    Interval,
    Operation,
    Seen,
    Vector,
    after,
    before,
    constant,
    or_zero,
    size,
    spread,
)
from .interpreter import EXACT, Rules, column_of, first_range
from .windows import Frame, apart, fits, frame_of, new_frame, taps

Total = tuple[str, int, int]
"""Source, factor and offset of a rescale."""


class Program:
    """One step on the batch ``indices`` ``(B,)``, on a device.

    ``weights``, in the layout of ``Circuit.parameter_shapes``, change in place: by ``negated``,
    minus the multiplier of each of ``rules.updates``, times the gradients. Where ``left`` is given
    they do not change, and ``gradients`` are those of the weights that it names, and those of all
    biases times the scale of the activation.
    """

    def __init__(
        self,
        rules: Rules,
        weights: Mapping[str, torch.Tensor],
        softmax: Softmax,
        inputs: torch.Tensor,
        labels: torch.Tensor,
        precise: Collection[str] = (),
        left: Collection[str] | None = None,
    ) -> None:
        self.rules = rules
        self.weights = weights
        self._softmax = softmax
        self._inputs, self._labels = inputs, labels
        self._precise = precise
        self._batch = rules.circuit.batch_size
        self._device = inputs.device
        self.figures = Figures(
            4 * (len(rules.tensors) + len(weights)) + 8, self._device
        )  # fmt: skip
        self.indices = torch.zeros(self._batch, dtype=torch.int64, device=self._device)
        self.negated = self._zeros(len(rules.updates))
        self._values: dict[str, torch.Tensor] = {}
        self._totals: dict[Total, torch.Tensor] = {}
        self.gradients: dict[str, torch.Tensor] = {}
        self._gradient_sizes: dict[str, Callable[[Seen], Vector]] = {}
        self._scratch = torch.zeros(0, dtype=torch.int64, device=self._device)
        self._scratch_of: Total | None = None
        self.multiplications = 0
        self._operations: list[Operation] = []
        self._parameters: list[Operation] = []
        self._intervals: dict[str, Interval] = {}
        self._places: dict[str, torch.Tensor] = {}
        self._matrices: dict[str, torch.Tensor] = {}
        self._rows: dict[tuple[str, int], torch.Tensor] = {}
        self._best: dict[str, torch.Tensor] = {}
        self._offsets = _folded(rules)
        self._weight_places = {name: self.figures.place() for name in weights}
        for name, at in self._weight_places.items():
            self._parameters.append(self.figures.measured(weights[name], at))
            self.figures.within(after(at), 1 - WEIGHT_LIMIT, WEIGHT_LIMIT - 1)
        self._compile(left)

    def run(self) -> None:
        """One step."""
        self._scratch_of = None
        for operation in self._operations:
            operation()

    def measure(self) -> None:
        """Write the figures of the parameters."""
        for operation in self._parameters:
            operation()

    def losses(self, seen: Seen) -> list[float]:
        """The mean loss of every batch, in floating point."""
        found: list[float] = seen.after[:, self._loss, 0].tolist()
        return found

    def _compile(self, left: Collection[str] | None) -> None:
        self._gather()
        for tensor in self.rules.tensors.values():
            match tensor.hint:
                case Floor(bits=None) | Column() | FirstLargest() | Normaliser():
                    self._value(tensor.name)
                case Floor() as hint:
                    self._total(hint)
                case Sign(source):
                    self._value(source)
                case None:
                    pass
        for lookup in self.rules.lookups:
            self._looked_up(lookup)
        ends = [(op, self._matrix(op.activation), self._matrix(op.error)) for op in
                self.rules.updates]  # fmt: skip
        self._lose()
        for number, (op, activation, error) in enumerate(ends):
            self._update(number, op, activation, error, left)
        if left is None:
            self._operations += self._parameters

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self._device)

    def _buffer(self, name: str) -> torch.Tensor:
        if name in self._places:
            return self._places[name]
        return self._zeros(self._batch, *self.rules.tensors[name].axes)

    def _do(self, *operations: Operation) -> None:
        self._operations += operations

    def _gather(self) -> None:
        """Records and one-hot labels of the batch."""
        seen = torch.zeros(
            (self._batch, self._inputs.shape[1]), dtype=self._inputs.dtype, device=self._device
        )
        inputs, targets = (self._buffer(name) for name in (INPUTS, LABELS))
        classes = targets.shape[1]
        one_hot = torch.eye(classes, dtype=torch.float64, device=self._device)
        labels = torch.zeros_like(self.indices)
        self._do(
            lambda: torch.index_select(self._inputs, 0, self.indices, out=seen),
            lambda: inputs.copy_(seen),
            lambda: torch.index_select(self._labels, 0, self.indices, out=labels),
            lambda: torch.index_select(one_hot, 0, labels, out=targets),
        )
        self._values |= {INPUTS: inputs, LABELS: targets}
        self._intervals |= {INPUTS: constant(0, 255), LABELS: constant(0, 1)}

    def _lose(self) -> None:
        self._loss = self.figures.place()
        place = self.figures.now.select(0, self._loss).select(0, 0)
        logits, targets = self._value(self.rules.logits), self._values[LABELS]
        per_record = LOSSES[self.rules.circuit.loss].per_record
        self._do(lambda: place.copy_(per_record(logits / LOGIT_SCALE, targets).mean()))

    def _value(self, name: str) -> torch.Tensor:
        """A tensor ``(B, *axes)``, perhaps a view of another one."""
        if name not in self._values:
            self._values[name] = self._made(self.rules.tensors[name])
            if name in self.rules.wide:
                self.figures.within(self._interval(name), -EXACT, EXACT)
        return self._values[name]

    def _made(self, tensor: Tensor) -> torch.Tensor:
        match tensor.hint:
            case None:
                return self._defined(tensor)
            case Floor() as hint:
                return self._quotient(tensor, hint)
            case Sign(source):
                seen, out = self._value(source), self._buffer(tensor.name)
                self._do(lambda: torch.gt(seen, 0.0, out=out))
                return out
            case FirstLargest(source):
                return self._winner(tensor, self._value(source))
            case Column():
                return self._column(tensor, tensor.hint)
            case Normaliser(logits):
                softmax, z, c = self._softmax, self._value(logits), self._buffer(tensor.name)
                self._do(lambda: c.copy_(softmax.normaliser(z, softmax.estimate(z))))
                return c
            case _:
                assert_never(tensor.hint)

    def _interval(self, name: str) -> Interval:
        """Where the values of a tensor are, from as few figures as that takes."""
        if name not in self._intervals:
            self._intervals[name] = self._bounded(name) or self._measured(name)
        return self._intervals[name]

    def _measured(self, name: str) -> Interval:
        at = self.figures.place()
        self._do(self.figures.measured(self._value(name), at))
        return after(at)

    def _bounded(self, name: str) -> Interval | None:
        tensor, op = self.rules.tensors[name], self.rules.definitions.get(name)
        match tensor.hint:
            case Sign() | FirstLargest():
                return constant(0, 1)
            case Column(table, _, column):
                return constant(*TABLES[table].ranges()[column])
            case _:
                pass
        match op:
            case Product() if isinstance(self._hint(op.left), Sign | FirstLargest):
                return or_zero(self._interval(op.right))
            case Linear(_, ((1, one),), 0) if self._widened(self.rules.tensors[one], tensor):
                return self._interval(one)
            case Linear() if (won := self._won(op)) is not None:
                return self._interval(won.right)
            case UnitMap(_, source, Reorder()):
                return self._interval(source)
            case UnitMap(_, source, Window() as map_):
                taps = self.rules.tensors[source].taps
                if tensor.taps or (taps and map_.transposed and apart(map_)):
                    return or_zero(self._interval(source))
            case _:
                pass
        return None

    def _hint(self, name: str) -> object:
        return self.rules.tensors[name].hint

    def _defined(self, tensor: Tensor) -> torch.Tensor:
        op = self.rules.definitions[tensor.name]
        match op:
            case Product():
                return self._product(op)
            case Linear():
                return self._linear(op, tensor)
            case UnitMap():
                return self._unit_map(op, tensor)
            case Affine():
                return self._affine(op)
            case AffineTransposed():
                return self._transposed(op, tensor)
            case Applied():
                return self._applied(op, tensor)
            case _:
                raise TypeError(f"training has no {type(op).__name__}")

    def _applied(self, op: Applied, tensor: Tensor) -> torch.Tensor:
        out, tensors = self._buffer(tensor.name), self.rules.tensors
        seen = {name: self._value(name) for name in self.rules.definitions[tensor.name].inputs()}
        self._do(lambda: out.copy_(op.apply(tensors, seen.__getitem__)))
        return out

    def _product(self, op: Product) -> torch.Tensor:
        """A factor that is a sign or a winner chooses of the other one."""
        match self._hint(op.left):
            case Sign(source):
                right, out, seen = self._value(op.right), self._buffer(op.output), source
                if source == op.right:
                    self._do(lambda: torch.clamp_min(right, 0.0, out=out))
                    return out
                z, grad = self._value(seen), torch.ops.aten.threshold_backward.grad_input
                self._do(lambda: grad(right, z, 0, grad_input=out))
            case FirstLargest():
                wins, right, out = (self._value(op.left), self._value(op.right),
                                    self._buffer(op.output))  # fmt: skip
                for won, tap, place in zip(taps(wins), taps(right), taps(out), strict=True):
                    self._do(
                        lambda won=won, tap=tap, place=place: torch.mul(  # type: ignore[misc]
                            tap, won, out=place
                        )
                    )
            case _:
                left, right, out = (self._value(op.left), self._value(op.right),
                                    self._buffer(op.output))  # fmt: skip
                self._do(lambda: torch.mul(left, right, out=out))
        return out

    def _widened(self, term: Tensor, output: Tensor) -> bool:
        """Whether a term is the output itself, or that with its values repeated."""
        return not (term.width and not output.width) and not (term.taps and not output.taps)

    def _won(self, op: Linear) -> Product | None:
        """The product that picks the largest of every window, if that is what is added up."""
        match op:
            case Linear(_, ((1, one),), 0):
                product = self.rules.definitions.get(one)
                if isinstance(product, Product) and self.rules.tensors[one].taps:
                    hint = self._hint(product.left)
                    if isinstance(hint, FirstLargest) and hint.source == product.right:
                        return product
            case _:
                pass
        return None

    def _linear(self, op: Linear, output: Tensor) -> torch.Tensor:
        match op:
            case Linear(_, ((1, one),), 0) if self._widened(self.rules.tensors[one], output):
                return self._term(one, output)
            case _ if not output.taps and (won := self._won(op)) is not None:
                self._value(won.left)
                return self._best[won.left]
            case _:
                pass
        terms = [(float(factor), self._term(name, output)) for factor, name in op.terms]
        out = self._buffer(output.name)
        (factor, first), *rest = terms
        self._do(lambda: torch.mul(first, factor, out=out))
        for times, term in rest:
            self._do(lambda term=term, times=times: out.add_(term, alpha=times))  # type: ignore[misc]
        if op.constant:
            self._do(lambda: out.add_(op.constant))
        return out

    def _term(self, name: str, output: Tensor) -> torch.Tensor:
        """As ``Linear`` takes it: summed or repeated over axes that only one of both has."""
        term, own = self._value(name), self.rules.tensors[name]
        grid = 1 + len(own.grid)
        for axis in (-1,) if own.width and not output.width else ():
            term = self._summed(term, axis)
        if output.width and not own.width:
            term = term.unsqueeze(-1)
        if own.taps and not output.taps:
            term = self._summed(self._summed(term, grid + 1), grid)
        elif output.taps and not own.taps:
            term = term.unsqueeze(grid).unsqueeze(grid)
        return term.expand(self._batch, *output.axes)

    def _summed(self, values: torch.Tensor, axis: int) -> torch.Tensor:
        out = torch.zeros_like(values.select(axis, 0), memory_format=torch.contiguous_format)
        self._do(lambda: torch.sum(values, dim=axis, out=out))
        return out

    def _unit_map(self, op: UnitMap, output: Tensor) -> torch.Tensor:
        source = self.rules.tensors[op.source]
        match op.map:
            case Reorder():
                return self._reordered(self._value(op.source), source, output)
            case Window() if op.map.transposed:
                return self._spread(op.map, source, output)
            case Window():
                frame = self._framed(op.map, self._value(op.source))
                return frame.windows if output.taps else self._added(output.name, frame)
            case Before():
                raise TypeError("what comes before is only looked up")
            case _:
                assert_never(op.map)

    def _reordered(self, values: torch.Tensor, source: Tensor, output: Tensor) -> torch.Tensor:
        if (
            1 in (source.width, output.width)
            or (image := source if source.grid else output).width == 1
        ):
            return values.reshape(self._batch, *output.axes)
        out = self._buffer(output.name)
        planes = (self._batch, image.width, *image.grid)
        if source.grid:
            self._do(lambda: out.view(planes).copy_(values.permute(0, 3, 1, 2)))
        else:
            self._do(lambda: out.copy_(values.view(planes).permute(0, 2, 3, 1)))
        return out

    def _framed(self, map_: Window, image: torch.Tensor) -> Frame:
        if fits(map_):
            return frame_of(map_, image)
        frame = new_frame(map_, self._batch, image.shape[-1], image)
        self._do(lambda: frame.image.copy_(image))
        return frame

    def _added(self, name: str, frame: Frame) -> torch.Tensor:
        """The sum of every window."""
        out = self._buffer(name)
        first, *rest = frame.taps()
        self._do(lambda: out.copy_(first))
        for tap in rest:
            self._do(lambda tap=tap: out.add_(tap))  # type: ignore[misc]
        return out

    def _spread(self, map_: Window, source: Tensor, output: Tensor) -> torch.Tensor:
        """What windows give back to the places that they saw, added up."""
        if output.taps:
            raise TypeError("windows of errors are only multiplied by weights")
        frame = new_frame(map_, self._batch, output.width, self._inputs)
        if apart(map_) and source.taps and source.name not in self._values:
            self._places[source.name] = frame.windows
            if self._value(source.name) is frame.windows:
                return frame.image
        values = self._value(source.name)
        if not source.taps:
            values = values.unsqueeze(3).unsqueeze(3).expand(frame.windows.shape)
        self._scatter(frame, list(taps(values)), 0.0)
        return frame.image

    def _scatter(self, frame: Frame, parts: list[torch.Tensor], offset: float) -> None:
        self._do(lambda: frame.whole.fill_(offset))
        for place, part in zip(frame.taps(), parts, strict=True):
            self._do(lambda place=place, part=part: place.add_(part))  # type: ignore[misc]

    def _winner(self, tensor: Tensor, windows: torch.Tensor) -> torch.Tensor:
        """One-hot over the taps of each window, as booleans; the largest value itself is kept."""
        if not tensor.taps:
            raise TypeError("a step has no first largest unit")
        shape = (self._batch, *tensor.grid, tensor.width)
        best = self._best[tensor.name] = self._zeros(*shape)
        wins = torch.zeros((*tensor.taps, *shape), dtype=torch.bool, device=self._device)
        taken = torch.zeros(shape, dtype=torch.bool, device=self._device)
        first, *rest = taps(windows)
        self._do(lambda: best.copy_(first))
        for tap in rest:
            self._do(lambda tap=tap: torch.maximum(best, tap, out=best))  # type: ignore[misc]
        self._do(lambda: taken.zero_())
        for tap, won in zip([first, *rest], wins.view(-1, *shape), strict=True):
            self._do(
                lambda tap=tap, won=won: torch.eq(best, tap, out=won),  # type: ignore[misc]
                lambda won=won: torch.gt(won, taken, out=won),  # type: ignore[misc]
                lambda won=won: taken.logical_or_(won),  # type: ignore[misc]
            )
        return wins.permute(2, 3, 4, 0, 1, 5)

    def _column(self, tensor: Tensor, hint: Column) -> torch.Tensor:
        """Of a value without a row the nearest."""
        source, out = self._value(hint.source), self._buffer(tensor.name)
        column = column_of(hint.table, hint.column, str(self._device))
        key = (hint.source, hint.first)
        if key not in self._rows:
            place = torch.empty_like(source, memory_format=torch.contiguous_format)
            rows = self._rows[key] = torch.zeros_like(place, dtype=torch.int64)
            self._do(
                lambda: torch.sub(source, hint.first, out=place).clamp_(0.0, len(column) - 1),
                lambda: rows.copy_(place),
            )
        rows = self._rows[key]
        self._do(lambda: torch.take(column, rows, out=out))
        return out

    def _total(self, hint: Floor) -> torch.Tensor:
        """``factor source + offset``."""
        key = (hint.source, hint.factor, hint.offset)
        if key not in self._totals:
            self._totals[key] = source = self._value(hint.source)
            if hint.source not in self._offsets:
                interval = self._interval(hint.source)
                out = self._totals[key] = torch.empty_like(source)
                self._do(lambda: torch.mul(source, hint.factor, out=out).add_(hint.offset))
                self.figures.exact(lambda seen: hint.factor * size(interval, seen) + hint.offset)
        return self._totals[key]

    def _quotient(self, tensor: Tensor, hint: Floor) -> torch.Tensor:
        total, out = self._total(hint), self._buffer(tensor.name)
        self._do(lambda: torch.mul(total, 2.0**-hint.shift, out=out).floor_())
        self._values[tensor.name] = out
        self._intervals[tensor.name] = interval = self._measured(tensor.name)
        self.figures.within(interval, QUOTIENT_LOW, QUOTIENT_HIGH)
        return out

    def _looked_up(self, op: Lookup) -> None:
        """The range of a tensor that an operation defines."""
        low, high = first_range(op)
        if op.table == "winner":
            winner = self.rules.tensors[op.columns[1]].hint
            if not isinstance(winner, FirstLargest):
                raise TypeError("only winners are ahead of others")
            interval = self._interval(winner.source)  # distances are up to largest - smallest
            self.figures.require(lambda seen: spread(interval, seen) <= high)
        else:
            self._value(op.columns[0])
            self.figures.within(self._interval(op.columns[0]), low, high)

    def _matrix(self, name: str) -> torch.Tensor:
        """The units of every place as rows, taps included."""
        if name not in self._matrices:
            values, tensor = self._value(name), self.rules.tensors[name]
            units = prod(tensor.taps) * tensor.width
            if not values.is_contiguous():
                copy = self._zeros(*values.shape)
                if tensor.taps and tensor.width == 1:  # whole planes of an image are moved faster
                    planes = self._zeros(*tensor.taps, self._batch, *tensor.grid, 1)
                    copy = planes.permute(2, 3, 4, 0, 1, 5)
                seen = values
                self._do(lambda: copy.copy_(seen))
                values = copy
            rows = values.view(-1, units)
            self._matrices[name] = rows
        return self._matrices[name]

    def _affine(self, op: Affine) -> torch.Tensor:
        """With the offset of its rescale, if that alone reads it."""
        rows, weight = self._matrix(op.source), self.weights[op.weight]
        matrix = weight.view(-1, weight.shape[-1])
        out = self._buffer(op.output)
        half = float(self._offsets.get(op.output, 0))
        addend = torch.full_like(matrix.narrow(0, 0, 1), half)
        if op.bias is not None:
            bias, shift = self.weights[op.bias], float(1 << op.bias_shift)
            base, addend = addend, torch.zeros_like(addend)
            self._do(lambda: torch.add(base, bias, alpha=shift, out=addend))
        flat = out.view(-1, matrix.shape[1])
        self._do(lambda: torch.addmm(addend, rows, matrix, out=flat))
        self._multiplied(op.output, rows, self._interval(op.source), op.weight, (0,), half, op)
        return out

    def _transposed(self, op: AffineTransposed, output: Tensor) -> torch.Tensor:
        """That of the windows of an error: of the error itself, the products are added up where
        the windows meet."""
        weight, half = self.weights[op.weight], float(self._offsets.get(op.output, 0))
        windows = self.rules.definitions.get(op.source)
        taps = self.rules.tensors[op.source].taps
        if isinstance(windows, UnitMap) and isinstance(windows.map, Window) and taps:
            error, interval = self._matrix(windows.source), self._interval(windows.source)
            frame = new_frame(windows.map, self._batch, output.width, self._inputs)
            count = prod(taps)
            products = self._zeros(count, len(error), output.width)
            turned = weight.view(count, *weight.shape[-2:]).transpose(1, 2)
            factor = error.expand(count, *error.shape)
            self._do(lambda: torch.bmm(factor, turned, out=products))
            grid = (count, self._batch, *self.rules.tensors[windows.source].grid, output.width)
            self._scatter(frame, list(products.view(grid).unbind(0)), half)
            out = frame.image
        else:
            error, interval, out = (self._matrix(op.source), self._interval(op.source),
                                    self._buffer(op.output))  # fmt: skip
            addend, flat = self._zeros(1).fill_(half), out.view(-1, output.width)
            self._do(lambda: torch.addmm(addend, error, weight.t(), out=flat))
        self._multiplied(op.output, error, interval, op.weight, (1,), half)
        return out

    def _multiplied(
        self,
        name: str,
        rows: torch.Tensor,
        interval: Interval,
        weight: str,
        axes: tuple[int, ...],
        half: float,
        op: Affine | None = None,
    ) -> None:
        """What makes a product exact; over ``axes`` of the weight, and its taps, it adds up."""
        values, taken = self.weights[weight], before(self._weight_places[weight])
        stacked = values.view(-1, *values.shape[-2:])
        axes = (0, *(axis + 1 for axis in axes))
        cells = stacked.numel() // stacked.shape[3 - axes[1]]
        self.multiplications += len(rows) * stacked.numel()
        bias = op.bias if op is not None else None
        shift = op.bias_shift if op is not None else 0

        def rest(seen: Seen) -> Vector | float:
            if bias is None:
                return half
            return half + (1 << shift) * size(before(self._weight_places[bias]), seen)

        if name not in self._precise:
            self.figures.exact(
                lambda seen: cells * size(interval, seen) * size(taken, seen) + rest(seen), name
            )
            return
        at, one = self.figures.place(), len(stacked) == 1
        if one and rows.numel() < stacked.numel():
            sums = self._zeros(len(rows))
            self._do(lambda: torch.linalg.vector_norm(rows, 1, dim=1, out=sums))
            other = taken
        else:
            sums = self._zeros(stacked.numel() // cells)
            self._do(lambda: torch.linalg.vector_norm(stacked, 1, dim=axes, out=sums))
            other = interval
        self._do(self.figures.measured(sums, at))
        self.figures.exact(lambda seen: size(after(at), seen) * size(other, seen) + rest(seen))

    def _update(
        self,
        number: int,
        op: Accumulate,
        rows: torch.Tensor,
        error: torch.Tensor,
        left: Collection[str] | None,
    ) -> None:
        weight, scale = self.weights[op.weight], 1 << op.bias_shift
        negated = self.negated.select(0, number)
        matrix = weight.view(-1, weight.shape[-1])
        activations, errors = self._interval(op.activation), self._interval(op.error)
        self.multiplications += len(rows) * matrix.numel()
        self._changed(
            number, op.weight, lambda seen: len(rows) * size(activations, seen) * size(errors, seen)
        )
        if left is None and len(rows) < len(matrix):
            scaled = torch.empty_like(error)
            self._do(
                lambda: torch.mul(error, negated, out=scaled),
                lambda: matrix.addmm_(rows.t(), scaled),
            )
        elif left is None or op.weight in left:
            self._gradient(op.weight, rows, error)
        if op.bias is not None:
            total = self.gradients[op.bias] = torch.zeros_like(self.weights[op.bias])
            self._changed(number, op.bias, lambda seen: scale * len(rows) * size(errors, seen))
            self._do(lambda: torch.sum(error, 0, out=total).mul_(scale))
        for name in (op.weight, op.bias) if left is None else ():
            if name is not None and name in self.gradients:
                values, found = self.weights[name], self.gradients[name]
                self._do(lambda values=values, found=found: values.addcmul_(found, negated))  # type: ignore[misc]

    def _gradient(self, name: str, rows: torch.Tensor, error: torch.Tensor) -> None:
        shape = self.weights[name].shape
        if rows.stride(0) == 1:
            found = self._zeros(rows.shape[1], error.shape[1])
            self._do(lambda: torch.mm(rows.t(), error, out=found))
        else:  # faster as the transposed product
            turned = self._zeros(error.shape[1], rows.shape[1])
            self._do(lambda: torch.mm(error.t(), rows, out=turned))
            found = turned.t()
        self.gradients[name] = found.reshape(shape)

    def _changed(self, number: int, name: str, gradient: Callable[[Seen], Vector]) -> None:
        """What makes changes of a parameter exact: those by earlier gradients as well, and what
        weight decay takes, which is at most the first weight."""
        own = before(self._weight_places[name])
        decays = WEIGHT_LIMIT if self.rules.circuit.optimizer.start_bits else 0

        def bound(seen: Seen) -> Vector:
            most = _running(gradient(seen), seen.earlier.get(name, 0.0))
            return size(own, seen) + seen.rates[:, number] * most + decays

        self._gradient_sizes[name] = gradient
        self.figures.exact(bound)

    def grown(self, seen: Seen, count: int) -> dict[str, float]:
        """Bounds on the gradients up to the first ``count`` of these steps, and of earlier ones."""
        return {
            name: max([seen.earlier.get(name, 0.0), *gradient(seen)[:count].tolist()])
            for name, gradient in self._gradient_sizes.items()
        }

    def rows(self, name: str) -> torch.Tensor:
        """A tensor of the step that ran last."""
        return self._values[name]

    def cells(self, name: str) -> torch.Tensor:
        """The same of a tensor that has a hint; a limb is good until that of another rescale is
        asked for."""
        hint = self.rules.tensors[name].hint
        match hint:
            case Floor(source, factor, offset, shift, int() as bits):
                found = self._integers((source, factor, offset))
                if bits == 16 and shift % 16 == 0:  # a part of the integer, little-endian
                    return found.view(torch.uint16).view(*found.shape, 4).select(-1, shift // 16)
                return (found >> shift) & ((1 << bits) - 1)
            case Sign(source):
                return (self._values[source] > 0).view(torch.uint8)
            case FirstLargest():
                return self._values[name].view(torch.uint8)
            case _:
                return self._values[name]

    def _integers(self, key: Total) -> torch.Tensor:
        """What a rescale divides, as int64; good until another one is asked for."""
        total = self._totals[key]
        if self._scratch.numel() < total.numel():
            self._scratch = self._scratch.new_empty(total.numel())
        found = self._scratch.narrow(0, 0, total.numel()).view(total.shape)
        if self._scratch_of != key:
            self._scratch_of = key
            found.copy_(total)
        return found


def _running(values: Vector, first: float) -> Vector:
    most: Vector = np.maximum.accumulate(np.maximum(values, first))
    return most


def _folded(rules: Rules) -> dict[str, int]:
    """Of products that are only rescaled, what is added before that."""
    used = {name for op in rules.definitions.values() for name in op.inputs()}
    found: dict[str, set[tuple[int, int]]] = {}
    for tensor in rules.tensors.values():
        if isinstance(tensor.hint, Floor):
            hint = tensor.hint
            found.setdefault(hint.source, set()).add((hint.factor, hint.offset))
    return {
        name: next(iter(ways))[1]
        for name, ways in found.items()
        if isinstance(rules.definitions.get(name), (Affine, AffineTransposed))
        and name not in used
        and {factor for factor, _ in ways} == {1}
        and len(ways) == 1
    }
