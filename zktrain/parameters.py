"""The protocol's constants, as one digest that every challenger absorbs first."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from . import soundness
from .arguments.tables import MAX_COLUMNS, TABLES
from .circuit.curves import CURVES, curve
from .circuit.exp_table import exp_table
from .circuit.sigmoid_table import sigmoid_table
from .commitment import ligero, merkle, packing, parameters
from .commitment.parameters import FIRST_SCHEME, SMALL_SCHEME
from .field.extension import NON_RESIDUE
from .field.goldilocks import GENERATOR, P

_TABLES = {
    1: ("range16", "relu", "exp", "byte"),
    2: ("winner", "sigmoid", "range18", *(f"curve.{name}" for name in CURVES)),
}
"""The lookup tables that each version adds."""
SCHEMES = {1: FIRST_SCHEME, 2: FIRST_SCHEME, 3: SMALL_SCHEME}
"""What openings are like."""


@lru_cache(maxsize=4)
def parameter_digest(hiding: bool = False, version: int = 1) -> bytes:
    """SHA-256 of the canonical JSON of all constants: a version with other constants has another
    digest. Proofs that hide have some more.

    A table added later is one of a later version.
    """
    scheme = SCHEMES[version]
    at, before = exp_table()
    exp = hashlib.sha256(at.astype("<i8").tobytes() + before.astype("<i8").tobytes()).hexdigest()
    fields: dict[str, object] = {
        "protocol": f"zktrain-{version}",
        "field": P,
        "generator": GENERATOR,
        "non_residue": NON_RESIDUE,
        "hash": "sha256",
        "leaf": merkle.LEAF.rstrip(b"\0").decode(),
        "node": merkle.NODE.rstrip(b"\0").decode(),
        "rate_log": scheme.rate_log,
        "clear_log": scheme.clear_log,
        "fold_log": parameters.FOLD_LOG,
        "lane_log_min": parameters.LANE_LOG_MIN,
        "row_log": parameters.ROW_LOG,
        "max_work_bits": soundness.MAX_WORK_BITS,
        "margin_bits": soundness.MARGIN_BITS,
        "certificate_bits": soundness.CERTIFICATE_BITS,
        "block_log_min": packing.BLOCK_LOG_MIN,
        "tables": {
            name: [table.number, table.log_size]
            for name, table in TABLES.items()
            if any(name in _TABLES[known] for known in range(1, version + 1))
        },
        "max_columns": MAX_COLUMNS,
        "exp_table": exp,
    }
    if version > 1:
        sigmoid = sigmoid_table().astype("<i8").tobytes()
        fields["sigmoid_table"] = hashlib.sha256(sigmoid).hexdigest()
        for name in CURVES:
            known = curve(name)
            both = known.values.astype("<i8").tobytes() + known.slopes.astype("<i8").tobytes()
            fields[f"curve_{name}"] = hashlib.sha256(both).hexdigest()
    if version > 2:
        fields["deeper_rate_logs"] = scheme.deeper
        fields["opening_work_bits"] = scheme.work_bits
    if hiding:
        fields["hiding"] = {
            "lane_log_min": parameters.HIDING_LANE_LOG_MIN,
            "rate_slack": parameters.RATE_SLACK,
            "salt_cells": merkle.SALT_CELLS,
            "blinding_rows": ligero.BLINDS,
            "work_bits": ligero.WORK_BITS,
        }
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()
