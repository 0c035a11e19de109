"""The two integers that a prover chooses about an ezkl circuit; all else follows from the recipe.

``scale`` is the number of fractional bits: a verdict prints it. ``lookup_log`` is the size of a
table, and a wrong one makes proving impossible, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EZKL_VERSION = "23.0.5"
"""The one version that settings and keys are derived with: another may lay a circuit out otherwise,
and its verifying key would be another."""

SCALES = (10, 16)
"""Learning rates over batch size are multiples of ``2^-10``, inputs of ``2^-8``: from 10 bits on
both are exact."""
DEFAULT_SCALE = 14
MAX_LOOKUP_LOG = 21
LOGROWS = (10, 22)
SPARE_ROWS = 128
"""For what blinds a column; ezkl says how many rows are used besides."""
BASE, LEGS = 1 << 14, 2
"""Every rescaled value has ``LEGS`` digits to ``BASE``: it is below 2^28 in absolute value."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """``scale`` fractional bits of every value, and inputs of the exponential's table from
    ``-2^lookup_log`` to 0."""

    scale: int
    lookup_log: int

    def problem(self) -> str | None:
        """What is out of range, None if nothing is."""
        for name, value, (low, high) in (
            ("scale", self.scale, SCALES),
            ("lookup_log", self.lookup_log, (1, MAX_LOOKUP_LOG)),
        ):
            if type(value) is not int or not low <= value <= high:
                return f"{name} is not from {low} to {high}"
        return None

    def run_args(self, logrows: int) -> dict[str, Any]:
        """ezkl's arguments for ``2^logrows`` rows, every one stated: no default counts.

        Products of matrices are constrained one by one (no Freivalds check), weights and data are
        hashed to one public value per tensor, and constants stand in the circuit.
        """
        return {
            "input_visibility": "hashed/public",
            "output_visibility": "hashed/public",
            "param_visibility": "fixed",
            "input_scale": self.scale,
            "param_scale": self.scale,
            "scale_rebase_multiplier": 1,
            "lookup_range": [-(1 << self.lookup_log), 0],
            "logrows": logrows,
            "num_inner_cols": 2,
            "variables": [["batch_size", 1]],
            "rebase_frac_zero_constants": False,
            "check_mode": "unsafe",
            "decomp_base": BASE,
            "decomp_legs": LEGS,
            "bounded_log_lookup": False,
            "ignore_range_check_inputs_outputs": False,
            "epsilon": 2.0**-52,
            "disable_freivalds": True,
        }


def logrows_for(rows: int, parameters: Parameters) -> int:
    """The least that holds so many rows, and the table in three columns; above ``LOGROWS`` if none
    does."""
    return max(LOGROWS[0], (rows + SPARE_ROWS - 1).bit_length(), parameters.lookup_log - 1)
