"""A training step of any circuit as one fixed sequence of operations on buffers.

All tensors hold integers in float64. Nothing is checked while the operations run, and nothing
waits for the device: smallest and largest values that ranges and exactness hang on, the *figures*
of a step, are gathered in one device tensor, which is fetched once for many steps. A step is
sound if by its figures every sum of products, partial sums included, stays within ``2^53``, every
parameter below ``2^52``, and every value in the range of its lookup. The checks are right although
they read figures of a possibly inexact step: before the first operation that breaks a bound
everything was exact, and so are the figures that reveal it. What is not sound is done again by
``interpreter``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import assert_never

import torch

from ..arguments.hints import Column, FirstLargest, Floor, Normaliser, Sign
from ..arguments.tensors import Tensor
from ..circuit.build import INPUTS, LABELS
from ..losses import LOSSES
from ..operations import Affine, AffineTransposed, Linear, Lookup, Product, UnitMap
from ..operations.base import Applied
from .arithmetic import LOGIT_SCALE, Softmax
from .elementwise import applied, column, linear, product, signs
from .figures import Seen, constant, spread
from .interpreter import Rules, first_range
from .products import Products
from .rescales import Rescales
from .tape import Tape
from .windows import mapped, winner


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
        self._tape = tape = Tape(
            rules, inputs.device, 4 * (len(rules.tensors) + len(weights)) + 8, self._made
        )
        self._softmax = softmax
        self._rescales = Rescales(tape)
        self._products = products = Products(tape, weights, precise, self._rescales.offsets)
        self.indices = tape.zeros(tape.batch, dtype=torch.int64)
        self.negated, self.gradients = products.negated, products.gradients
        self.figures, self.grown = tape.figures, products.grown
        self._gather(inputs, labels)
        for tensor in rules.tensors.values():
            match tensor.hint:
                case Floor(bits=None) | Column() | FirstLargest() | Normaliser():
                    tape.value(tensor.name)
                case Floor() as hint:
                    self._rescales.total(hint)
                case Sign(source):
                    tape.value(source)
                case None:
                    pass
        for lookup in rules.lookups:
            self._looked_up(lookup)
        ends = [
            (op, products.matrix(op.activation), products.matrix(op.error)) for op in rules.updates
        ]
        self._lose()
        for number, (op, activation, error) in enumerate(ends):
            products.update(number, op, activation, error, left)
        if left is None:
            tape.operations += products.parameters
        self.multiplications = products.multiplications

    def run(self) -> None:
        """One step, by operations of the device alone: they may be captured, and replayed without
        this function."""
        for operation in self._tape.operations:
            operation()

    def ended(self) -> None:
        """A step has run: what was read of an earlier one is forgotten."""
        self._rescales.forget()

    def measure(self) -> None:
        """Write the figures of the parameters."""
        for operation in self._products.parameters:
            operation()

    def losses(self, seen: Seen) -> list[float]:
        """The mean loss of every batch, in floating point."""
        found: list[float] = seen.after[:, self._loss, 0].tolist()
        return found

    def rows(self, name: str) -> torch.Tensor:
        """A tensor of the step that ran last."""
        return self._tape.values[name]

    def cells(self, name: str) -> torch.Tensor:
        """The same of a tensor that has a hint; a limb is good until that of another rescale is
        asked for."""
        values = self._tape.values
        match self._tape.tensors[name].hint:
            case Floor(bits=int() as bits) as hint:
                return self._rescales.limb(hint, bits)
            case Sign(source):
                return (values[source] > 0).view(torch.uint8)
            case FirstLargest():
                return values[name].view(torch.uint8)
            case _:
                return values[name]

    def _gather(self, records: torch.Tensor, classes: torch.Tensor) -> None:
        """Records and one-hot labels of the batch."""
        tape = self._tape
        seen = tape.zeros(tape.batch, records.shape[1], dtype=records.dtype)
        inputs, targets = (tape.buffer(name) for name in (INPUTS, LABELS))
        one_hot = torch.eye(targets.shape[1], dtype=torch.float64, device=tape.device)
        labels = torch.zeros_like(self.indices)
        tape.do(torch.index_select, records, 0, self.indices, out=seen)
        tape.do(inputs.copy_, seen)
        tape.do(torch.index_select, classes, 0, self.indices, out=labels)
        tape.do(torch.index_select, one_hot, 0, labels, out=targets)
        tape.values |= {INPUTS: inputs, LABELS: targets}
        tape.intervals |= {INPUTS: constant(0, 255), LABELS: constant(0, 1)}

    def _lose(self) -> None:
        tape = self._tape
        self._loss = tape.figures.place()
        place = tape.figures.now.select(0, self._loss).select(0, 0)
        logits, targets = tape.value(tape.rules.logits), tape.values[LABELS]
        per_record = LOSSES[tape.rules.circuit.loss].per_record
        tape.do(lambda: place.copy_(per_record(logits / LOGIT_SCALE, targets).mean()))

    def _made(self, tensor: Tensor) -> torch.Tensor:
        tape = self._tape
        match tensor.hint:
            case None:
                return self._defined(tensor)
            case Floor() as hint:
                return self._rescales.quotient(tensor, hint)
            case Sign(source):
                return signs(tape, tensor, source)
            case FirstLargest(source):
                return winner(tape, tensor, source)
            case Column() as hint:
                return column(tape, tensor, hint)
            case Normaliser(logits):
                softmax, z, c = self._softmax, tape.value(logits), tape.buffer(tensor.name)
                tape.do(lambda: c.copy_(softmax.normaliser(z, softmax.estimate(z))))
                return c
            case _:
                assert_never(tensor.hint)

    def _defined(self, tensor: Tensor) -> torch.Tensor:
        tape, op = self._tape, self._tape.rules.definitions[tensor.name]
        match op:
            case Product():
                return product(tape, op)
            case Linear():
                return linear(tape, op)
            case UnitMap():
                return mapped(tape, op)
            case Affine():
                return self._products.affine(op)
            case AffineTransposed():
                return self._products.transposed(op)
            case Applied():
                return applied(tape, op, tensor)
            case _:
                raise TypeError(f"training has no {type(op).__name__}")

    def _looked_up(self, op: Lookup) -> None:
        """The range of a tensor that an operation defines."""
        tape, (low, high) = self._tape, first_range(op)
        if op.table == "winner":
            hint = tape.tensors[op.columns[1]].hint
            if not isinstance(hint, FirstLargest):
                raise TypeError("only winners are ahead of others")
            interval = tape.interval(hint.source)  # distances are up to largest - smallest
            tape.figures.require(lambda seen: spread(interval, seen) <= high)
        else:
            tape.value(op.columns[0])
            tape.figures.within(tape.interval(op.columns[0]), low, high)
