"""Records of a dataset: their variables, and claims on them."""

from __future__ import annotations

from dataclasses import dataclass

from ..field.extension import ONE, Ext, Point


@dataclass(frozen=True, slots=True)
class RecordAxis:
    """The record variables of a dataset: ``log_records``, and where it hides ``blinding_log`` for
    the blinding records (else -1); the shorter of both is padded with zeros, and one more variable
    chooses."""

    log_records: int
    blinding_log: int = -1

    @property
    def shared(self) -> int:
        """Variables before the choice."""
        return max(self.log_records, self.blinding_log)

    @property
    def variables(self) -> int:
        return self.shared + (self.blinding_log >= 0)

    def parts(self, record: Point) -> tuple[tuple[Point, Ext], tuple[Point, Ext] | None]:
        """Point and factor of the real records, and of the blinding ones."""
        if self.blinding_log < 0:
            return (record, ONE), None
        *shared, choice = record
        real, blinding = 1 - choice, choice
        for x in shared[self.log_records :]:
            real = real * (1 - x)
        for x in shared[self.blinding_log :]:
            blinding = blinding * (1 - x)
        return (
            (tuple(shared[: self.log_records]), real),
            (tuple(shared[: self.blinding_log]), blinding),
        )


@dataclass(frozen=True, slots=True)
class DatasetClaim:
    """``source`` (``inputs`` or ``labels``) of the dataset, at ``point`` (record variables
    first)."""

    source: str
    point: Point
    value: Ext
