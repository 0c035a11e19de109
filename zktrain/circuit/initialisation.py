"""Where the first weights come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Initialisation:
    """``kind`` is ``"seed"`` (value: the public text) or ``"file"`` (value: hex digest of the
    integer weights, see ``circuit.weights.digest``)."""

    kind: str
    value: str
