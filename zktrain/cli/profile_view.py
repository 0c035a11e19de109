"""What ``prove --profile`` and ``compile --estimate`` print: trees and tables of stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import wording
from .screens import console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

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
    from ..machine import thread_count

    counted: dict[tuple[str, ...], list[Work]] = {}
    for part in work:
        counted.setdefault(part.place, []).append(part)
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
    from rich import box
    from rich.table import Table

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for name in ("seconds", "share", "moved", "products", "budgets"):
        table.add_column(name, justify="right", no_wrap=True)

    def add(row: Row, lead: str, branch: str) -> None:
        distance = row.distance
        table.add_row(
            f"[dim]{lead}{branch}[/]{row.name}" if branch else f"[bold]{row.name}[/]",
            f"{row.seconds:.3f}",
            f"{row.share:.1%}",
            wording.size(round(row.bytes)) if row.bytes else "-",
            _many(row.multiplications) if row.multiplications else "-",
            "-" if distance is None else f"{distance:.1f}",
        )
        shown = [part for part in row.parts if part.share >= LEAST_SHARE]
        deeper = lead + ({"": "", "├ ": "│ ", "└ ": "  "}[branch])
        for number, part in enumerate(shown):
            add(part, deeper, "└ " if number + 1 == len(shown) else "├ ")

    add(root, "", "")
    out.print(table, soft_wrap=False)
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


def _layers(found: Estimate) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer")
    table.add_column("kind")
    for name in ("cells per step", "lookups per step", "seconds"):
        table.add_column(name, justify="right")
    for layer in found.layers:
        counts = (f"{count:,}" if count else "" for count in (layer.cells, layer.lookups))
        table.add_row(layer.name, layer.kind, *counts, f"{layer.seconds:.2f}")
    return table


def show_estimate(found: Estimate) -> None:
    """Seconds and memory by stage, what each layer costs, then the totals."""
    from rich import box
    from rich.table import Table

    out = console()
    out.print("\n[bold]Estimate[/]")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    for name in ("seconds", "share", "memory"):
        table.add_column(name, justify="right")
    total = found.seconds or 1.0
    for stage, seconds in found.stages.items():
        memory = found.stage_memory.get(stage)
        table.add_row(
            stage,
            f"{seconds:.2f}",
            f"{seconds / total:.0%}",
            "" if memory is None else wording.size(memory),
        )
    out.print(table, soft_wrap=False)
    out.print(_layers(found), soft_wrap=False)
    for label, text in (
        ("prove", wording.span(found.seconds)),
        ("peak memory", wording.size(found.peak_bytes)),
        ("bundle", wording.size(found.proof_bytes)),
        ("verify", wording.span(found.verify_seconds)),
        ("figures", found.calibration.remark()),
    ):
        out.print(f" [dim]{label:<14}[/] {text}")
