"""Affine forms in one-time pads: what a verifier computes with when it sees scalars only padded.

A received scalar is ``sent + pad``. Everything that a verifier does with scalars before its
checks is linear, so each of its intermediate values is ``value + sum_i c_i pad_i``. A
:class:`Form` keeps ``value``, and how it came about from other forms; the coefficients of many
forms at once follow by one sweep backwards (:func:`gradient`), as in automatic differentiation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .extension import NON_RESIDUE, ONE, ZERO, Ext, inner, reduced
from .goldilocks import P

_serial = itertools.count()


class Form:
    """``value + sum_k coefficient_k * (linear part of parent_k)``, or ``value + pad[slot]``."""

    __slots__ = ("parents", "serial", "slot", "value")

    def __init__(
        self, value: Ext, parents: tuple[tuple[Ext, Form], ...] = (), slot: int | None = None
    ) -> None:
        self.value = value
        self.parents = parents
        self.slot = slot
        self.serial = next(_serial)

    def __add__(self, other: Scalar | int) -> Form:
        if isinstance(other, Form):
            return Form(self.value + other.value, ((ONE, self), (ONE, other)))
        return Form(self.value + other, ((ONE, self),))

    __radd__ = __add__

    def __sub__(self, other: Scalar | int) -> Form:
        if isinstance(other, Form):
            return Form(self.value - other.value, ((ONE, self), (-ONE, other)))
        return Form(self.value - other, ((ONE, self),))

    def __rsub__(self, other: Ext | int) -> Form:
        return Form(other - self.value, ((-ONE, self),))

    def __neg__(self) -> Form:
        return Form(-self.value, ((-ONE, self),))

    def __mul__(self, factor: Ext | int) -> Form:
        if isinstance(factor, Form):
            raise TypeError("a product of hidden scalars goes through channel.multiply")
        factor = Ext(factor) if isinstance(factor, int) else factor
        return Form(self.value * factor, ((factor, self),))

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        raise TypeError("a hidden scalar cannot be compared: use channel.check")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("a hidden scalar cannot be tested: use channel.check")

    def __repr__(self) -> str:
        return f"Form({self.value}, hidden)"


Scalar = Ext | Form
"""What a verifier has received: a value, or a value but for a pad."""


def combine(coefficients: Sequence[Ext], values: Sequence[Scalar]) -> Scalar:
    """``sum_i coefficients_i values_i`` as one step."""
    parents = [(c, v) for c, v in zip(coefficients, values, strict=True) if isinstance(v, Form)]
    known = [v.value if isinstance(v, Form) else v for v in values]
    total = inner(coefficients, known)
    return Form(total, tuple(parents)) if parents else total


def product(left: Form, right: Form, slot: int) -> Form:
    """``left right`` for two received scalars, the product of whose pads is ``pad[slot]``."""
    if left.slot is None or right.slot is None:
        raise TypeError("only scalars as they were received can be multiplied")
    pads = Form(ZERO, slot=slot)
    return Form(left.value * right.value, ((left.value, right), (right.value, left), (ONE, pads)))


def gradient(forms: Sequence[Form], weights: Sequence[Ext]) -> dict[int, Ext]:
    """Coefficient of every pad in ``sum_k weights_k forms_k``, by slot."""
    nodes: dict[int, Form] = {}
    waiting = list(forms)
    while waiting:
        form = waiting.pop()
        if form.serial not in nodes:
            nodes[form.serial] = form
            waiting.extend(parent for _, parent in form.parents if parent.parents)
    # sums of products of residues, reduced when they are complete
    pads: dict[int, list[int]] = {}
    adjoint: dict[int, list[int]] = {serial: [0, 0] for serial in nodes}
    for form, weight in zip(forms, weights, strict=True):
        total = adjoint[form.serial]
        total[0] += weight.a
        total[1] += weight.b
    for serial in sorted(nodes, reverse=True):  # a form is younger than its parents
        form = nodes[serial]
        a, b = adjoint[serial]
        a, b = a % P, b % P
        if form.slot is not None:
            total = pads.setdefault(form.slot, [0, 0])
            total[0] += a
            total[1] += b
        for coefficient, parent in form.parents:
            c, d = coefficient.a, coefficient.b
            if parent.parents:
                total = adjoint[parent.serial]
            elif parent.slot is not None:
                total = pads.setdefault(parent.slot, [0, 0])
            else:
                continue
            total[0] += a * c + NON_RESIDUE * b * d
            total[1] += a * d + b * c
    return {slot: reduced(a % P, b % P) for slot, (a, b) in pads.items()}
