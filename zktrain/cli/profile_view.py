"""What ``prove --profile`` and ``compile --estimate`` print: trees and tables of stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import wording
from .screens import console, show_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..cost.estimate import Estimate
    from ..cost.parts import Work
    from ..profile import Node

LEAST_SHARE = 0.002
"""Parts below this share of the whole are not shown."""


@dataclass(slots=True)
class Row:
    """One node of a profile with what was counted for it; ``None`` where nothing is known."""

    name: str
    seconds: float
    share: float
    bytes: float
    multiplications: float
    budget: float | None
    parts: list[Row] = field(default_factory=list)

    @property
    def distance(self) -> float | None:
        """How many times its budget it takes."""
        return self.seconds / self.budget if self.budget else None

    def to_json(self) -> dict[str, Any]:
        distance = self.distance
        return {
            "name": self.name,
            "seconds": round(self.seconds, 6),
            "share": round(self.share, 4),
            "bytes": round(self.bytes),
            "multiplications": round(self.multiplications),
            "budget_seconds": None if self.budget is None else round(self.budget, 6),
            "times_budget": None if distance is None else round(distance, 2),
            "parts": [part.to_json() for part in self.parts],
        }


def rows(root: Node, work: Iterable[Work]) -> Row:
    """The profile with counts by place. A node whose parts have no budget has none of its own, so
    that a distance never compares more time than was budgeted; what is unbudgeted counts beside
    budgeted parts, as it should cost nothing."""
    from ..cost.parts import by_place
    from ..machine import thread_count

    counted = by_place(work)
    whole = root.seconds or 1.0

    def build(node: Node, place: tuple[str, ...]) -> Row:
        parts = [build(part, (*place, part.name)) for part in node.parts.values()]
        own = counted.get(place, [])
        budgets = [w.budget * 2 / thread_count() for w in own if w.budget is not None]
        budgets += [part.budget for part in parts if part.budget is not None]
        return Row(
            node.name,
            node.seconds,
            node.seconds / whole,
            sum(w.bytes for w in own) + sum(part.bytes for part in parts),
            sum(w.multiplications for w in own) + sum(part.multiplications for part in parts),
            sum(budgets) if budgets else None,
            parts,
        )

    return build(root, ())


def show_profile(root: Row) -> None:
    """A tree with one line per part."""
    from rich.text import Text

    out, cells = console(), list[tuple[str | Text, ...]]()

    def add(row: Row, lead: str, branch: str) -> None:
        distance = row.distance
        cells.append(
            (
                Text.assemble((f"{lead}{branch}", "dim"), (row.name, "" if branch else "bold")),
                f"{row.seconds:.3f}",
                f"{row.share:.1%}",
                wording.size(round(row.bytes)) if row.bytes else "-",
                _many(row.multiplications) if row.multiplications else "-",
                "-" if distance is None else f"{distance:.1f}",
            )
        )
        shown = [part for part in row.parts if part.share >= LEAST_SHARE]
        deeper = lead + ({"": "", "├ ": "│ ", "└ ": "  "}[branch])
        for number, part in enumerate(shown):
            add(part, deeper, "└ " if number + 1 == len(shown) else "├ ")

    add(root, "", "")
    headers = ("stage", "seconds", "share", "moved", "products", "budgets")
    show_table(out, headers, cells, ruled=True)
    out.print(
        "Bytes moved through memory and products in F_p are counted from the sizes; a budget is "
        "what the part should take (docs/bench.md), and as many of them it took.",
        style="dim",
    )


def _many(count: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f}"


def show_estimate(found: Estimate) -> None:
    """Seconds and memory by stage, what each layer costs, then the totals."""
    out = console()
    out.print("\n[bold]Estimate[/]")
    total = found.seconds or 1.0
    stages = [
        (stage, f"{seconds:.2f}", f"{seconds / total:.0%}", _size(found.stage_memory.get(stage)))
        for stage, seconds in found.stages.items()
    ]
    show_table(out, ("stage", "seconds", "share", "memory"), stages, ruled=True)
    layers = []
    for layer in found.layers:
        counts = (f"{count:,}" if count else "" for count in (layer.cells, layer.lookups))
        layers.append((layer.name, layer.kind, *counts, f"{layer.seconds:.2f}"))
    headers = ("layer", "kind", "cells per step", "lookups per step", "seconds")
    show_table(out, headers, layers, left=2, ruled=True)
    steps = found.statement.task.checkpoint_steps
    files = wording.several(len(steps), "weight file")
    each = wording.size(8 * found.statement.circuit.parameters)
    kept = [("checkpoints", f"{files} of {each} beside the result")] if steps else []
    totals = (
        *kept,
        ("prove", wording.span(found.seconds)),
        ("peak memory", wording.size(found.peak_bytes)),
        ("proof", wording.size(found.proof_bytes)),
        ("verify", wording.span(found.verify_seconds)),
        ("figures", found.calibration.remark()),
    )
    for label, text in totals:
        out.print(f" [dim]{label:<14}[/] {text}")


def _size(count: int | None) -> str:
    return "" if count is None else wording.size(count)
