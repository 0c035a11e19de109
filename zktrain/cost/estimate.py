"""Seconds, memory and bytes of a proof before it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ..dataset.commitment import DatasetHeader
from ..protocol.statement import Statement
from ..prover.dataset.commitment import DEFAULT_OPENINGS
from . import calibration as calibrations
from . import memory, sizes
from .calibration import Calibration
from .counts import prover_work, verifier_work
from .layers import LayerCost, layer_costs, stage_seconds
from .parts import Work


@dataclass(frozen=True)
class Estimate:
    """What proving ``statement`` costs; ``certified``: the dataset has its certificate already."""

    statement: Statement
    calibration: Calibration
    certified: bool = False

    @cached_property
    def work(self) -> list[Work]:
        return prover_work(self.statement, certified=self.certified)

    @cached_property
    def timed(self) -> list[tuple[Work, float]]:
        """All work with its seconds."""
        return [(work, self.calibration.time(work)) for work in self.work]

    @cached_property
    def stages(self) -> dict[str, float]:
        """Seconds by stage of ``prove``."""
        return stage_seconds(self.timed)

    @cached_property
    def layers(self) -> list[LayerCost]:
        """What each layer costs; see ``cost.layers``."""
        return layer_costs(self.statement, self.timed)

    @property
    def seconds(self) -> float:
        return sum(self.stages.values())

    @cached_property
    def stage_memory(self) -> dict[str, int]:
        """Resident bytes by stage."""
        held = memory.stages(self.statement, certified=self.certified)
        return {stage: round(self.calibration.held(amounts)) for stage, amounts in held}

    @property
    def peak_bytes(self) -> int:
        return max(self.stage_memory.values())

    @cached_property
    def proof_parts(self) -> dict[str, int]:
        """Bytes of the proof by kind."""
        return {name: round(size) for name, size in sizes.proof_parts(self.statement).items()}

    @property
    def proof_bytes(self) -> int:
        return sum(self.proof_parts.values())

    @cached_property
    def verify_seconds(self) -> float:
        return self.calibration.price("verify", verifier_work(self.statement))

    def to_json(self) -> dict[str, Any]:
        circuit, header = self.statement.circuit, self.statement.dataset
        return {
            "prove_seconds": round(self.seconds, 3),
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "peak_bytes": self.peak_bytes,
            "stage_memory": self.stage_memory,
            "proof_bytes": self.proof_bytes,
            "proof_parts": self.proof_parts,
            "verify_seconds": round(self.verify_seconds, 3),
            "layers": [
                {**asdict(layer), "seconds": round(layer.seconds, 3)} for layer in self.layers
            ],
            "cells": circuit.cells_per_step * circuit.steps,
            "lookups": circuit.lookups_per_step * circuit.steps,
            "multiplications": round(sum(work.multiplications for work in self.work)),
            "bytes_moved": round(sum(work.bytes for work in self.work)),
            "records": header.records,
            "checkpoints": len(self.statement.task.checkpoint_steps),
            "calibration": self.calibration.remark(),
        }


def estimate(
    statement: Statement, *, certified: bool = False, calibration: Calibration | None = None
) -> Estimate:
    """The estimate with this machine's calibration."""
    return Estimate(statement, calibration or calibrations.load(), certified)


def header_to_be(
    records: int, features: int, classes: int, *, hiding: bool, openings: int = DEFAULT_OPENINGS
) -> DatasetHeader:
    """The header that committing to so many records gives, but for the root."""
    return DatasetHeader(records, features, classes, bytes(32), openings if hiding else 0)
