"""Claims on the records of a dataset."""

from __future__ import annotations

from dataclasses import dataclass

from ..field.extension import Point
from ..field.forms import Scalar


@dataclass(frozen=True, slots=True)
class DatasetClaim:
    """``source`` (``inputs`` or ``labels``) of the dataset has ``value`` at ``point``: variables of
    the record first, then those of the column."""

    source: str
    point: Point
    value: Scalar
