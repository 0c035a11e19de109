"""The backward pass of a step graph: reverse-mode differentiation, one rule per operation.

The error of a tensor is dLoss of its real value, with ``error_bits`` fractional bits. An operation
that gives an output of ``g`` fractional bits from an input of ``f`` passes on an error that has ``g
- f`` bits too many for that scale: it is carried as an :class:`Error`, and rescaled where it leaves
its layer. What a layer says more than its operations is in the hints of its tensors: a rescale is
passed straight through, signs and winners are constants, a looked-up curve has a slope.

Names: the error of a tensor within a layer is called as ``Build.error_names`` says. Towards the
output of layer ``l`` it is ``bac{l}`` before and ``q{l}`` after a rescale, ``g{l}`` where none is
needed; ``{l}.{m}`` stands for ``{l}`` where several layers read the output and this comes from
layer ``m``. ``g{l}`` is also the sum of what arrives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from ..arguments.hints import Column, FirstLargest, Floor, Hint, Normaliser, Sign
from ..arguments.tensors import Tensor
from .affine import Affine
from .base import Defining
from .build import MEAN_BITS, Build
from .extent import Extent
from .fixed import Fixed
from .linear import Linear
from .product import Product


@dataclass(frozen=True, slots=True)
class Error:
    """``factor / 2**excess`` times the tensor ``name``."""

    name: str
    factor: int = 1
    excess: int = 0

    @property
    def plain(self) -> bool:
        return self.factor == 1 and not self.excess

    def scaled(self, factor: int, bits: int) -> Error:
        """Times ``factor / 2**bits``."""
        excess = self.excess + bits
        return Error(self.name, self.factor * factor << max(0, -excess), max(0, excess))


class Reverse:
    """Goes through the tensors of a forward pass from the last to the first.

    ``readers`` is how often layers read the output of a layer, ``frozen`` the weights that are
    held.
    """

    def __init__(self, build: Build, readers: Mapping[str, int], frozen: Collection[str]) -> None:
        self.build = build
        self._readers = readers
        self.frozen = frozen
        self._forward = list(build.tensors.values())
        self.needed: set[str] = set()
        for tensor in self._forward:
            self._need(tensor)
        self._arrived: dict[str, list[Error]] = {}
        self._leaving: dict[str, list[Error]] = {}
        self._layer: int | None = None

    def _need(self, tensor: Tensor) -> None:
        """Errors go to every tensor below which something is trained."""
        op = self.build.definitions.get(tensor.name)
        trains = isinstance(op, Affine) and op.weight not in self.frozen
        if trains or any(name in self.needed for name in _sources(op, tensor.hint)):
            self.needed.add(tensor.name)

    def run(self, logits: str, error: str) -> None:
        """All operations from the error of the logits to the updates. ``ValueError`` where
        something is trained that no error reaches."""
        self._arrived[logits] = [Error(error)]
        for tensor in reversed(self._forward):
            if tensor.layer != self._layer:
                self._leave()
                self._layer = tensor.layer
            op = self.build.definitions.get(tensor.name)
            found = self._arrived.pop(tensor.name, [])
            if isinstance(op, Affine) and tensor.name not in self.needed:
                self.build.operations.append(Fixed(op.weight, op.bias))
            elif tensor.name in self.needed and found:
                total = self._sum(tensor, found)
                if op is not None:
                    op.reverse(self, total)
                elif tensor.hint is not None:
                    self._hinted(tensor, tensor.hint, total)
            elif isinstance(op, Affine):
                raise ValueError(f"no error arrives at {tensor.name!r}, which is trained or above")
        self._leave()

    def multiplied(self, towards: str, output: str, by: str, error: Error) -> None:
        """Give ``towards`` the error of ``output`` times the tensor ``by``."""
        own, factor = self.build.tensors[towards], self.build.tensors[by]
        name = self.build.error_names.get(towards if self._inside(own) else output)
        result = self.like(own, name or self.name(own, error), error, factor.fraction)
        self.build.define(Product(result, by, error.name))
        self.give(towards, replace(error, name=result).scaled(1, factor.fraction))

    def _hinted(self, tensor: Tensor, hint: Hint, error: Error) -> None:
        match hint:
            case Floor():
                bits = hint.shift - self.build.tensors[hint.source].fraction + tensor.fraction
                self.give(hint.source, error.scaled(hint.factor, bits))
            case Column():
                if hint.slope is not None:
                    self.multiplied(hint.source, tensor.name, hint.slope, error)
            case Sign() | FirstLargest() | Normaliser():
                pass  # constants
            case _:
                assert_never(hint)

    def _inside(self, tensor: Tensor) -> bool:
        return tensor.layer == self._layer

    def _below(self, tensor: Tensor) -> str:
        """How names call the output of a layer, seen from this layer."""
        several = self._readers.get(tensor.name, 0) > 1
        return f"{tensor.layer}.{self._layer}" if several else f"{tensor.layer}"

    def name(self, tensor: Tensor, error: Error) -> str:
        if self._inside(tensor):
            return self.build.error_names.get(tensor.name, f"{tensor.name}.error")
        return f"{'bac' if error.excess else 'g'}{self._below(tensor)}"

    def like(self, tensor: Tensor, name: str, error: Error, more: int = 0) -> str:
        """A new error with the axes of ``tensor``, ``more`` bits finer than this one."""
        bits = self.build.tensors[error.name].fraction + more
        self.build.layer = tensor.layer
        extent = Extent(tensor.grid, tensor.width)
        return self.build.virtual(name, extent, tensor.taps, fraction=bits)

    def give(self, name: str, error: Error) -> None:
        """To a tensor of this layer, or of another one, once all of this layer is done."""
        if name in self.needed:
            inside = self._inside(self.build.tensors[name])
            (self._arrived if inside else self._leaving).setdefault(name, []).append(error)

    def _leave(self) -> None:
        """What goes from this layer to others; what has bits too many is added up and rescaled."""
        leaving, self._leaving = self._leaving, {}
        for name, errors in leaving.items():
            tensor = self.build.tensors[name]
            arrived = self._arrived.setdefault(name, [])
            arrived += [error for error in errors if error.plain]
            rest = [error for error in errors if not error.plain]
            if rest:
                below = self._below(tensor)
                total = self._added(tensor, f"bac{below}", rest)
                arrived.append(self.settled(total, tensor, f"q{below}"))

    def _sum(self, tensor: Tensor, errors: list[Error]) -> Error:
        """What arrives at the output of a layer, or at a tensor within one, added up."""
        own = self._readers.get(tensor.name, 0) > 0
        name = f"g{tensor.layer}" if own else self.name(tensor, errors[0])
        return self._added(tensor, name, errors)

    def _added(self, tensor: Tensor, name: str, errors: list[Error]) -> Error:
        if len(errors) == 1:
            return errors[0]
        most = max(error.excess for error in errors)
        terms = tuple((e.factor << (most - e.excess), e.name) for e in errors)
        result = self.like(tensor, name, errors[0], most - errors[0].excess)
        self.build.define(Linear(result, terms))
        return Error(result, 1, most)

    def settled(self, error: Error, tensor: Tensor, name: str) -> Error:
        """The same with no factor and no bits too many. ``ValueError`` where no rescale has so
        many."""
        if error.plain:
            return error
        if not error.excess:
            result = self.like(tensor, name, error)
            self.build.define(Linear(result, ((error.factor, error.name),)))
            return Error(result)
        shift = MEAN_BITS if error.excess <= MEAN_BITS else self.build.fixed_point.shift
        if error.excess > shift:
            raise ValueError(f"the error {error.name!r} has {error.excess} bits too many")
        self.build.layer = tensor.layer
        return Error(
            self.build.rescale(
                error.name,
                name,
                Extent(tensor.grid, tensor.width),
                factor=error.factor << (shift - error.excess),
                shift=shift,
                fraction=self.build.fixed_point.error_bits,
            )
        )


def _sources(op: Defining | None, hint: Hint | None) -> tuple[str, ...]:
    """What a tensor depends on as far as errors go."""
    if op is not None:
        return op.inputs()
    match hint:
        case Floor(bits=None) | Column(slope=str()):
            return (hint.source,)
        case _:
            return ()
