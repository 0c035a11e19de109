"""Linear combinations: a claim on the output is a claim on the inputs, at the matching points.

``out(r) = sum_i c_i T_i(r_i) + c I(r)``. A per-sample input is broadcast over the real units:
factor ``LT_width(r_j)``; a per-unit input is summed over its units: ``2^n T(1/2, ..., 1/2, r)``.
Values that are claimed already are reused, one unknown follows from the equation, others are
sent. Exact; no error term.
"""

from __future__ import annotations

from ..circuit.operations import Linear, StepGraph
from ..errors import SumcheckMismatch
from ..field import multilinear as ml
from ..field.extension import HALF, Ext, Point
from .claims import Check, Exchange, Ledger, Shape, judge, log_width


def reduce(
    op: Linear,
    graph: StepGraph,
    shape: Shape,
    ledger: Ledger,
    exchange: Exchange,
    check: Check = judge,
) -> None:
    """Prover and verifier differ in ``exchange`` and ``check`` only."""
    width = graph.tensor(op.output).width
    for point, value in ledger.of(op.output):
        rest = value - shape.indicator(width, point) * op.constant
        unknown: list[tuple[Ext, str, Point, bool]] = []
        for coefficient, name in op.terms:
            factor, at, solvable = _map(shape, width, graph.tensor(name).width, coefficient, point)
            known = ledger.find(name, at)
            if known is None:
                unknown.append((factor, name, at, solvable))
            else:
                rest = rest - factor * known
        solved = _choose(unknown, graph)
        asked = [item for item in unknown if item is not solved]
        values = exchange(f"linear/{op.output}", [(name, at) for _, name, at, _ in asked])
        for (factor, name, at, _), sent in zip(asked, values, strict=True):
            ledger.add(name, at, sent)
            rest = rest - factor * sent
        if solved is not None:
            factor, name, at, _ = solved
            ledger.add(name, at, rest * factor.inverse())
        else:
            check(
                lambda: rest,  # noqa: B023
                SumcheckMismatch(
                    f"the linear relation of '{op.output}' does not hold", stage="linear"
                ),
            )


def _map(
    shape: Shape, out: int, width: int, coefficient: int, point: Point
) -> tuple[Ext, Point, bool]:
    """Factor and point of one term, and whether the factor is a nonzero constant."""
    j, b, t = shape.split(point)
    if width == out:
        return Ext(coefficient), point, True
    if width == 0:
        return ml.less_than(j, out) * coefficient, b + t, False
    n = log_width(width)
    return Ext(coefficient << n), (HALF,) * n + b + t, True


def _choose(
    unknown: list[tuple[Ext, str, Point, bool]], graph: StepGraph
) -> tuple[Ext, str, Point, bool] | None:
    """A virtual tensor can only be solved for; else the last one that can be."""
    virtual = [item for item in unknown if not graph.tensor(item[1]).committed]
    if virtual:
        return virtual[-1]
    solvable = [item for item in unknown if item[3]]
    return solvable[-1] if solvable else None
