"""The layers of a network in a row, built from the values of a graph one after the other.

Every layer reads the one before it, but for the two that residual blocks need: a convolution may
read an earlier image, and an ``Add`` reads one beside the layer before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ...layers import Add, AnyLayer, Flatten, MaxPool, Unflatten
from ...layers.geometry import MAX_READERS
from .constants import Constant, Unsupported
from .layers import Draft

NO_BRANCHES = (
    "use a network without other branches than those of residual blocks: an image and the "
    "convolutions over it, added up"
)


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the graph: the draft whose output it is, as it was after ``changes`` of it;
    ``shape`` is that of a sample."""

    name: str
    draft: int
    shape: tuple[int, ...]
    changes: int = 0


class Sequence:
    """Drafts of layers. Every method raises ``Unsupported``."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.drafts = [Draft(None, (prod(shape),))]

    def value(self, number: int, shape: tuple[int, ...]) -> Value:
        """The output of the draft ``number`` as it is now, its samples regrouped to ``shape``."""
        return Value("", number, shape, self.drafts[number].changes)

    def draft(self, value: Value) -> Draft:
        """The draft of ``value``, which must be what it was when the value was made."""
        draft = self.drafts[value.draft]
        if draft.changes != value.changes:
            raise _branch(value)
        return draft

    def flat(self, value: Value) -> int:
        """The draft to read ``value`` from as a row, flattened first if it is an image."""
        draft = self.draft(value)
        if len(value.shape) != 1:
            raise Unsupported(
                f"its input has shape (batch, {', '.join(map(str, value.shape))})",
                "flatten the samples in front of the first layer (torch.nn.Flatten)",
            )
        self._require_last(value)
        if len(draft.shape) == 3:
            flatten = Flatten("")
            return self._append(
                Draft(flatten, value.shape, draft.node, value.draft, relu=draft.relu)
            )
        return value.draft

    def image(self, value: Value) -> tuple[int, tuple[int, int, int]]:
        """The draft to read ``value`` from as an image, and its channels, height and width."""
        draft = self.draft(value)
        if len(value.shape) != 3:
            raise Unsupported(
                f"its input has shape (batch{''.join(f', {size}' for size in value.shape)}), not "
                "(batch, channels, height, width)",
                "give it images: export the network with such an example input, or reshape a "
                "flat one (torch.nn.Unflatten)",
            )
        channels, height, width = value.shape
        number = value.draft
        if draft.layer is None:
            number = self._unflattened(value, Unflatten("", channels, height, width))
        elif draft.shape != value.shape:
            raise Unsupported(
                f"its input is a sample of shape {draft.shape} reshaped to {value.shape}",
                "make images of the network's input only",
            )
        return number, (channels, height, width)

    def _unflattened(self, value: Value, layer: Unflatten) -> int:
        if len(self.drafts) == 1:
            shape = (layer.channels, layer.height, layer.width)
            return self._append(Draft(layer, shape, value.name))
        if self.drafts[1].layer != layer:
            raise _branch(value)
        return 1

    def affine(self, value: Value, draft: Draft, weight: Constant) -> Value:
        """Appends a dense layer or a convolution that reads ``value``."""
        if any(draft.weight and draft.weight.name == weight.name for draft in self.drafts):
            raise Unsupported(
                f"the weight {weight.name!r} is shared with an earlier layer",
                "give each layer its own weights",
            )
        if self.drafts[draft.source].readers >= MAX_READERS:
            raise _branch(value)
        draft.weight = weight
        return self._appended(draft)

    def pool(self, value: Value, draft: Draft) -> Value:
        """Appends a pool over ``value``, which must be the output of the draft before it."""
        self._require_last(value, draft.source)
        draft.relu = self.drafts[draft.source].relu
        return self._appended(draft)

    def add(self, left: Value, right: Value, node: str) -> Value:
        """The sum of two images of one shape, one of them the output of the draft before it."""
        for value in (left, right):
            if len(value.shape) != 3:
                earlier = min(left, right, key=lambda operand: operand.draft)
                raise Unsupported(
                    f"the value {earlier.name!r} is used more than once, so the graph branches "
                    "here, and what it adds are not images",
                    NO_BRANCHES,
                )
        if left.shape != right.shape:
            raise Unsupported(
                f"it adds samples of shape {left.shape} and {right.shape}",
                "add images of the same shape",
            )
        numbers = sorted((self.image(left)[0], self.image(right)[0]))
        if numbers[0] == numbers[1]:
            raise _branch(left)
        if numbers[1] != len(self.drafts) - 1 or self.drafts[numbers[0]].readers >= MAX_READERS:
            raise _branch(min(left, right, key=lambda operand: operand.draft))
        other, source = numbers
        return self._appended(Draft(Add("", "", False), left.shape, node, source, other))

    def bias(self, value: Value, constant: Constant, *, own: bool = False) -> Value:
        """Folds ``constant`` into the affine layer whose output ``value`` is.

        A ``Gemm`` or ``Conv`` brings its ``own`` bias as a row; an ``Add`` broadcasts it over the
        axes that follow the channels.
        """
        draft = self.draft(value)
        fresh = draft.affine and draft.bias is None and not draft.relu and draft.readers == 0
        if not fresh or draft.shape != value.shape:
            raise Unsupported(
                "it is not the bias of the affine layer in front of it",
                "add a constant only once, right after a MatMul or a Conv",
            )
        width = draft.shape[0]
        row = (width,) if own else (width,) + (1,) * (len(draft.shape) - 1)
        shapes = [row] if own and len(draft.shape) == 3 else [row, (1, *row)]
        if constant.shape not in shapes:
            raise Unsupported(
                f"the bias {constant.name!r} has shape {constant.shape}, not {row}",
                "a bias has one number per output",
            )
        if any(other.bias and other.bias.name == constant.name for other in self.drafts):
            raise Unsupported(
                f"the bias {constant.name!r} is shared with an earlier layer",
                "give each layer its own bias",
            )
        draft.bias = constant.reshaped((width,))
        draft.changes += 1
        return self.value(value.draft, value.shape)

    def rectified(self, value: Value) -> Value:
        """Folds a ReLU into the layer that computes ``value``.

        Maxima and regrouping commute with it, in values and in gradients, so that it moves in
        front of them.
        """
        self.draft(value)
        number, readers = value.draft, 0
        while True:
            draft = self.drafts[number]
            if draft.readers != readers:
                raise _branch(value)
            moves = isinstance(draft.layer, MaxPool)
            if draft.relu or not (moves or draft.affine or isinstance(draft.layer, Add)):
                raise Unsupported(
                    "a ReLU must follow an affine layer, a convolution or an Add, or a MaxPool "
                    "over one of them",
                    "remove it, or put a layer before it",
                )
            if not moves:
                break
            number, readers = draft.source, 1
        for draft in self.drafts[number : value.draft + 1]:
            draft.relu = True
            draft.changes += 1
        return self.value(value.draft, value.shape)

    def curved(self, value: Value, layer: AnyLayer, node: str) -> Value:
        """Appends an activation that is no ReLU."""
        draft = self.draft(value)
        self._require_last(value)
        number = self._append(Draft(layer, draft.shape, node, value.draft))
        return self.value(number, value.shape)

    def _require_last(self, value: Value, number: int | None = None) -> None:
        if (value.draft if number is None else number) != len(self.drafts) - 1:
            raise _branch(value)

    def _appended(self, draft: Draft) -> Value:
        return self.value(self._append(draft), draft.shape)

    def _append(self, draft: Draft) -> int:
        self.drafts[draft.source].readers += 1
        if draft.other is not None:
            self.drafts[draft.other].readers += 1
        self.drafts.append(draft)
        return len(self.drafts) - 1


def _branch(value: Value) -> Unsupported:
    return Unsupported(
        f"the value {value.name!r} is used more than once, so the graph branches here",
        NO_BRANCHES,
    )
