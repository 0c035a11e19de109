"""The protocol's constants, as one digest that every challenger absorbs first."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from ..commitment import ligero, merkle, packing, parameters
from ..commitment.parameters import SCHEME
from ..dataset.commitment import CERTIFICATE_BITS
from ..field.extension import NON_RESIDUE
from ..field.goldilocks import GENERATOR, P
from ..tables import MAX_COLUMNS, TABLES
from ..wire import VERSION
from . import soundness


@lru_cache(maxsize=2)
def _lane_logs(lanes_log: int) -> list[int]:
    return [parameters.lane_log_for(cells, False, lanes_log) for cells in range(10, 40)]


def parameter_digest(hiding: bool = False) -> bytes:
    """SHA-256 of the canonical JSON of all constants. Proofs that hide have some more."""
    fields: dict[str, object] = {
        "protocol": f"zktrain-{VERSION}",
        "field": P,
        "generator": GENERATOR,
        "non_residue": NON_RESIDUE,
        "hash": "sha256",
        "leaf": merkle.LEAF.rstrip(b"\0").decode(),
        "node": merkle.NODE.rstrip(b"\0").decode(),
        "rate_log": SCHEME.rate_log,
        "dataset_rate_log": SCHEME.dataset_rate_log,
        "deeper_rate_logs": SCHEME.deeper,
        "clear_log": SCHEME.clear_log,
        "opening_work_bits": SCHEME.work_bits,
        "fold_log": parameters.FOLD_LOG,
        "lane_log_min": parameters.LANE_LOG_MIN,
        "lane_logs": _lane_logs(SCHEME.lanes_log),
        "dataset_lane_logs": _lane_logs(SCHEME.dataset_lanes_log),
        "max_work_bits": parameters.MAX_WORK_BITS,
        "margin_bits": soundness.MARGIN_BITS,
        "fold_margin_bits": parameters.FOLD_MARGIN_BITS,
        "certificate_bits": CERTIFICATE_BITS,
        "block_log_min": packing.BLOCK_LOG_MIN,
        "tables": {name: [table.number, table.log_size] for name, table in TABLES.items()},
        "max_columns": MAX_COLUMNS,
        **{table.digest: table.sha256() for table in TABLES.values() if table.digest},
    }
    if hiding:
        fields["hiding"] = {
            "lane_log_min": parameters.HIDING_LANE_LOG_MIN,
            "rate_slack": parameters.RATE_SLACK,
            "salt_cells": merkle.SALT_CELLS,
            "blinding_rows": ligero.BLINDS,
            "work_bits": ligero.WORK_BITS,
        }
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()
