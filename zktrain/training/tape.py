"""Operations on buffers, one after the other, and the tensors that they leave."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from ..arguments.hints import Column, FirstLargest, Sign
from ..arguments.tensors import Tensor
from ..operations import Linear, Product, UnitMap
from ..operations.maps import Reorder, Window
from ..tables import TABLES
from .figures import Figures, Interval, Operation, after, constant, or_zero
from .interpreter import EXACT, Rules


class Tape:
    """Whoever needs a tensor asks for its ``value``: ``make`` then issues what computes it. All are
    float64 or boolean, ``(B, *axes)``, perhaps views of one another."""

    def __init__(
        self,
        rules: Rules,
        device: torch.device,
        figures: int,
        make: Callable[[Tensor], torch.Tensor],
    ) -> None:
        self.rules = rules
        self.tensors = rules.tensors
        self.batch = rules.circuit.batch_size
        self.device = device
        self.figures = Figures(figures, device)
        self.operations: list[Operation] = []
        self.values: dict[str, torch.Tensor] = {}
        self.intervals: dict[str, Interval] = {}
        self.places: dict[str, torch.Tensor] = {}
        """Where tensors are written that have no buffer of their own."""
        self.kept: dict[tuple[str, ...], torch.Tensor] = {}
        """What is made of tensors on the way, by what it is and of which it is made."""
        self._make = make

    def do(self, operation: Callable[..., object], *given: object, **named: object) -> None:
        """Issue it as the next one."""
        self.operations.append(partial(operation, *given, **named))

    def zeros(self, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """A buffer."""
        return torch.zeros(shape, dtype=dtype, device=self.device)

    def buffer(self, name: str) -> torch.Tensor:
        """Of a tensor."""
        if name in self.places:
            return self.places[name]
        return self.zeros(self.batch, *self.tensors[name].axes)

    def value(self, name: str) -> torch.Tensor:
        """A tensor."""
        if name not in self.values:
            self.values[name] = self._make(self.tensors[name])
            if name in self.rules.wide:
                self.figures.within(self.interval(name), -EXACT, EXACT)
        return self.values[name]

    def interval(self, name: str) -> Interval:
        """Where the values of a tensor are, from as few figures as that takes."""
        if name not in self.intervals:
            known = _bounded(self.rules, name, self.interval)
            self.intervals[name] = known or self.measured(self.value(name))
        return self.intervals[name]

    def measured(self, values: torch.Tensor) -> Interval:
        """By a figure of its own."""
        at = self.figures.place()
        self.do(self.figures.measured(values, at))
        return after(at)


def _bounded(rules: Rules, name: str, interval: Callable[[str], Interval]) -> Interval | None:
    """From its hint, or from the interval of what it is made of; None where neither says it."""
    tensor, op = rules.tensors[name], rules.definitions.get(name)
    match tensor.hint:
        case Sign() | FirstLargest():
            return constant(0, 1)
        case Column(table, _, column):
            return constant(*TABLES[table].ranges()[column])
        case _:
            pass
    match op:
        case Product() if isinstance(rules.tensors[op.left].hint, Sign | FirstLargest):
            return or_zero(interval(op.right))
        case Linear():
            if (one := repeated(rules, op)) is not None:
                return interval(one)
            return None if (won := picked(rules, op)) is None else interval(won.right)
        case UnitMap(_, source, Reorder()):
            return interval(source)
        case UnitMap(_, source, Window() as map_):
            taps = rules.tensors[source].taps
            if tensor.taps or (taps and map_.transposed and map_.apart):
                return or_zero(interval(source))
        case _:
            pass
    return None


def repeated(rules: Rules, op: Linear) -> str | None:
    """The tensor that is the output itself, or that with its values repeated."""
    match op:
        case Linear(output, ((1, one),), 0) if not _summed(rules.tensors, one, output):
            return one
        case _:
            return None


def _summed(tensors: dict[str, Tensor], one: str, output: str) -> bool:
    term, out = tensors[one], tensors[output]
    return bool(term.width and not out.width) or bool(term.taps and not out.taps)


def picked(rules: Rules, op: Linear) -> Product | None:
    """The product that picks the largest of every window, if that is what is added up."""
    match op:
        case Linear(_, ((1, one),), 0) if rules.tensors[one].taps:
            product = rules.definitions.get(one)
            if isinstance(product, Product):
                hint = rules.tensors[product.left].hint
                if isinstance(hint, FirstLargest) and hint.source == product.right:
                    return product
        case _:
            pass
    return None
