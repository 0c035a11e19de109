"""Before proving: what is in memory, and what is in files or computed again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import machine
from ..cost.estimate import estimate
from ..errors import InputError
from ..profile import resident_bytes
from ..protocol.statement import Statement
from ..scratch import IN_MEMORY, Scratch
from .needs import needs

_POSITION = 160
"""Bytes of a position of the code: digests, salts, and the state of a hash."""
_BUFFER = 1 << 28
"""Lanes that are encoded at once, and what else a commitment takes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``memory`` bytes are for what is computed from the witness (None: as many as it takes), which
    is in memory itself, or in ``files``. The proof does not depend on either."""

    memory: int | None = None
    files: bool = False

    def scratch(self, folder: Path) -> Scratch:
        """Where the witness goes."""
        return Scratch(folder) if self.files else IN_MEMORY


def plan(path: Path, statement: Statement, memory: int | None, *, certified: bool) -> Plan:
    """What a proof keeps in ``memory`` bytes (None: what the machine has left). Raises
    :class:`InputError` where even the least does not fit."""
    available = _available() if memory is None else memory
    known = estimate(statement, certified=certified)
    if available is None or known.peak_bytes <= available:
        return Plan()
    fixed = known.stage_memory["commit dataset"] + _BUFFER
    fixed += _POSITION << statement.packing.code_log
    relations = needs(statement.graph, statement.shape, None, statement.dataset.log_records)
    resident = max(need.resident for need in relations)
    least = fixed + resident + 2 * max(need.least for need in relations)
    if least > available:
        raise InputError(
            f"proving {path} needs at least {_size(least)} of memory and {_size(available)} are "
            "available; use a machine with more memory, or give --memory if more is there"
        )
    left = available - fixed - resident
    witness = witness_bytes(statement)
    files = 2 * witness > left
    # what is kept is there one and a half times while it is bound
    return Plan(2 * (left if files else left - witness) // 3, files)


def witness_bytes(statement: Statement) -> int:
    """Of committed tensors, low limbs, and columns of lookups that are computed."""
    shape, graph = statement.shape, statement.graph
    looked_up = {name for entry in statement.entries for name in entry.columns}
    return sum(
        (np.dtype(tensor.cell_type).itemsize << shape.log_size(tensor) - shape.log_steps)
        * shape.steps
        for tensor in graph.tensors
        if tensor.hint is not None or tensor.name in looked_up
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 9.5e8 else f"{count / 1e6:.0f} MB"


def _available() -> int | None:
    """What this process has and may still take."""
    left = machine.available_memory()
    return None if left is None else left + resident_bytes()
