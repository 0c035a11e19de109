"""What each change of each field of the wire format must raise; ``test_tamper_manifest`` finds the
fields and compares.

Errors are exact types. A tuple stands where chance decides: new challenges open other positions,
whose Merkle paths may need more bytes than the proof has.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zktrain.errors import (
    CommitmentMismatch,
    HiddenMismatch,
    InputError,
    LookupMismatch,
    MalformedProof,
    OpeningMismatch,
    Rejected,
    StatementMismatch,
    SumcheckMismatch,
    ZktrainError,
)

Errors = type[ZktrainError] | tuple[type[ZktrainError], ...]


@dataclass(frozen=True)
class Entry:
    """A message: how it is read, and what one changed bit raises with the challenges of the honest
    proof and with challenges drawn again."""

    kind: str
    kept: Errors
    drawn: Errors


PATHS = (CommitmentMismatch, MalformedProof)
"""The last rows that are opened stand at other positions."""
WORK = (Rejected, *PATHS)
"""Hardly ever does the nonce prove work for another seed."""

MESSAGES: dict[str, dict[str, dict[str, Entry]]] = {
    "hiding": {
        "certificate": {
            "hidden/root": Entry("hash", CommitmentMismatch, Rejected),
            "work": Entry("nonce", Rejected, Rejected),
            "lookup/root": Entry("elements", HiddenMismatch, Rejected),
            "lookup/nonzero": Entry("elements", HiddenMismatch, Rejected),
            "lookup/layer/round": Entry("elements", HiddenMismatch, Rejected),
            "lookup/children": Entry("elements", HiddenMismatch, Rejected),
            "lookup/columns": Entry("elements", HiddenMismatch, Rejected),
            "opening/batch/round": Entry("elements", HiddenMismatch, Rejected),
            "opening/fold/work": Entry("nonce", Rejected, Rejected),
            "opening/epsilon/work": Entry("nonce", Rejected, Rejected),
            "opening/value": Entry("elements", HiddenMismatch, Rejected),
            "opening/work": Entry("nonce", Rejected, Rejected),
            "opening/root": Entry("hash", CommitmentMismatch, Rejected),
            "opening/rows": Entry("cells", CommitmentMismatch, CommitmentMismatch),
            "opening/path": Entry("hash", CommitmentMismatch, CommitmentMismatch),
            "opening/fold/round": Entry("elements", HiddenMismatch, Rejected),
            "opening/mask": Entry("elements", HiddenMismatch, Rejected),
            "opening/tail": Entry("cells", OpeningMismatch, Rejected),
            "opening/clear": Entry("cells", OpeningMismatch, Rejected),
            "hidden/openings": Entry("elements", HiddenMismatch, WORK),
            "hidden/proximity": Entry("cells", HiddenMismatch, WORK),
            "hidden/relation": Entry("cells", HiddenMismatch, WORK),
            "hidden/work": Entry("nonce", Rejected, Rejected),
            "hidden/columns": Entry("cells", CommitmentMismatch, CommitmentMismatch),
            "hidden/path": Entry("hash", CommitmentMismatch, CommitmentMismatch),
        },
        "run": {
            "hidden/root": Entry("hash", CommitmentMismatch, Rejected),
            "commitment": Entry("hash", CommitmentMismatch, Rejected),
            "lookup/root": Entry("elements", HiddenMismatch, Rejected),
            "lookup/nonzero": Entry("elements", HiddenMismatch, Rejected),
            "lookup/layer/round": Entry("elements", HiddenMismatch, Rejected),
            "lookup/children": Entry("elements", HiddenMismatch, Rejected),
            "lookup/columns": Entry("elements", HiddenMismatch, Rejected),
            "affine/*/bias": Entry("elements", HiddenMismatch, Rejected),
            "affine/*/round": Entry("elements", HiddenMismatch, Rejected),
            "affine/*/factors": Entry("elements", HiddenMismatch, Rejected),
            "linear/*": Entry("elements", HiddenMismatch, Rejected),
            "transposed/*/round": Entry("elements", HiddenMismatch, Rejected),
            "transposed/*/factors": Entry("elements", HiddenMismatch, Rejected),
            "weights/*/round": Entry("elements", HiddenMismatch, Rejected),
            "weights/*/factors": Entry("elements", HiddenMismatch, Rejected),
            "product/*/round": Entry("elements", HiddenMismatch, Rejected),
            "product/*/factors": Entry("elements", HiddenMismatch, Rejected),
            "batch/*/round": Entry("elements", HiddenMismatch, Rejected),
            "batch/*/records": Entry("elements", HiddenMismatch, Rejected),
            "opening/batch/round": Entry("elements", HiddenMismatch, Rejected),
            "opening/value": Entry("elements", HiddenMismatch, Rejected),
            "opening/work": Entry("nonce", Rejected, Rejected),
            "opening/root": Entry("hash", CommitmentMismatch, Rejected),
            "opening/rows": Entry("cells", CommitmentMismatch, CommitmentMismatch),
            "opening/path": Entry("hash", CommitmentMismatch, CommitmentMismatch),
            "opening/fold/round": Entry("elements", HiddenMismatch, Rejected),
            "opening/mask": Entry("elements", HiddenMismatch, Rejected),
            "opening/clear": Entry("cells", OpeningMismatch, Rejected),
            "opening/tail": Entry("cells", OpeningMismatch, Rejected),
            "hidden/openings": Entry("elements", HiddenMismatch, WORK),
            "hidden/proximity": Entry("cells", HiddenMismatch, WORK),
            "hidden/relation": Entry("cells", HiddenMismatch, WORK),
            "hidden/work": Entry("nonce", Rejected, Rejected),
            "hidden/columns": Entry("cells", CommitmentMismatch, CommitmentMismatch),
            "hidden/path": Entry("hash", CommitmentMismatch, CommitmentMismatch),
        },
    },
    "clear": {
        "certificate": {
            "work": Entry("nonce", Rejected, Rejected),
            "lookup/root": Entry("elements", LookupMismatch, LookupMismatch),
            "lookup/layer/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "lookup/children": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "lookup/columns": Entry("elements", LookupMismatch, LookupMismatch),
            "opening/batch/round": Entry("elements", OpeningMismatch, (OpeningMismatch, Rejected)),
            "opening/batch/work": Entry("nonce", Rejected, Rejected),
            "opening/value": Entry("elements", OpeningMismatch, OpeningMismatch),
            "opening/work": Entry("nonce", Rejected, Rejected),
            "opening/clear": Entry("cells", OpeningMismatch, Rejected),
            "opening/rows": Entry("cells", CommitmentMismatch, CommitmentMismatch),
            "opening/path": Entry("hash", CommitmentMismatch, CommitmentMismatch),
        },
        "run": {
            "commitment": Entry("hash", CommitmentMismatch, SumcheckMismatch),
            "lookup/root": Entry("elements", LookupMismatch, LookupMismatch),
            "lookup/layer/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "lookup/children": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "lookup/columns": Entry("elements", LookupMismatch, LookupMismatch),
            "affine/*/bias": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "affine/*/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "affine/*/factors": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "linear/*": Entry("elements", (SumcheckMismatch, OpeningMismatch), SumcheckMismatch),
            "transposed/*/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "transposed/*/factors": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "weights/*/checkpoints": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "weights/*/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "weights/*/factors": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "product/*/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "product/*/factors": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "batch/*/round": Entry("elements", SumcheckMismatch, SumcheckMismatch),
            "batch/*/records": Entry("elements", OpeningMismatch, SumcheckMismatch),
            "opening/batch/round": Entry("elements", OpeningMismatch, OpeningMismatch),
            "opening/value": Entry("elements", OpeningMismatch, OpeningMismatch),
            "opening/work": Entry("nonce", Rejected, Rejected),
            "opening/root": Entry("hash", CommitmentMismatch, Rejected),
            "opening/rows": Entry("cells", CommitmentMismatch, CommitmentMismatch),
            "opening/path": Entry("hash", CommitmentMismatch, CommitmentMismatch),
            "opening/fold/round": Entry("elements", OpeningMismatch, Rejected),
            "opening/clear": Entry("cells", OpeningMismatch, Rejected),
        },
    },
}


BUNDLE: dict[str, Errors] = {
    "magic": MalformedProof,
    "version": MalformedProof,
    "statement length": MalformedProof,
    "statement": MalformedProof,
    "circuit length": MalformedProof,
    "circuit": MalformedProof,
    "dataset header length": MalformedProof,
    "dataset header": MalformedProof,
    "dataset certificate length": MalformedProof,
    "proof length": MalformedProof,
    "proof": CommitmentMismatch,
}
"""Sections and numbers in the order of the file."""

DATASET_FILE: dict[str, Errors] = {
    "magic": MalformedProof,
    "version": MalformedProof,
    "header length": MalformedProof,
    "header": MalformedProof,
    "certificate length": MalformedProof,
    "certificate": CommitmentMismatch,
}

JSON: dict[str, dict[str, Errors]] = {
    "statement": {
        "circuit": MalformedProof,
        "dataset": MalformedProof,
        "final": StatementMismatch,
        "format": MalformedProof,
        "initial": StatementMismatch,
        "security_bits": WORK,
        "task": MalformedProof,
        "zero_knowledge": LookupMismatch,
    },
    "dataset": {
        "classes": StatementMismatch,
        "features": StatementMismatch,
        "format": MalformedProof,
        "high": StatementMismatch,
        "low": StatementMismatch,
        "merkle_root": StatementMismatch,
        "openings": StatementMismatch,
        "records": StatementMismatch,
    },
    "circuit": dict.fromkeys(
        [
            "batch_size",
            "cells_per_step",
            "fixed_point",
            "fixed_point.activation_bits",
            "fixed_point.error_bits",
            "format",
            "initialisation",
            "initialisation.kind",
            "initialisation.value",
            "layers",
            "layers[Layer]",
            "layers[Layer].bias",
            "layers[Layer].inputs",
            "layers[Layer].kind",
            "layers[Layer].name",
            "layers[Layer].outputs",
            "layers[Layer].relu",
            "layers[Layer].weight",
            "lookups_per_step",
            "loss",
            "no_wrap_bound_bits",
            "operations",
            "operations[Accumulate]",
            "operations[Accumulate].activation",
            "operations[Accumulate].bias",
            "operations[Accumulate].bias_shift",
            "operations[Accumulate].error",
            "operations[Accumulate].kind",
            "operations[Accumulate].weight",
            "operations[AffineTransposed]",
            "operations[AffineTransposed].kind",
            "operations[AffineTransposed].output",
            "operations[AffineTransposed].source",
            "operations[AffineTransposed].weight",
            "operations[Affine]",
            "operations[Affine].bias",
            "operations[Affine].bias_shift",
            "operations[Affine].kind",
            "operations[Affine].output",
            "operations[Affine].source",
            "operations[Affine].weight",
            "operations[Batch]",
            "operations[Batch].kind",
            "operations[Batch].output",
            "operations[Batch].source",
            "operations[Linear]",
            "operations[Linear].constant",
            "operations[Linear].kind",
            "operations[Linear].output",
            "operations[Linear].terms",
            "operations[Linear].terms[]",
            "operations[Linear].terms[][]",
            "operations[Lookup]",
            "operations[Lookup].columns",
            "operations[Lookup].columns[]",
            "operations[Lookup].kind",
            "operations[Lookup].offset",
            "operations[Lookup].table",
            "operations[Product]",
            "operations[Product].kind",
            "operations[Product].left",
            "operations[Product].output",
            "operations[Product].right",
            "optimizer",
            "optimizer.kind",
            "optimizer.multipliers",
            "optimizer.multipliers[]",
            "optimizer.multipliers[][]",
            "optimizer.rate_bits",
            "order_seed",
            "parameters",
            "shifts",
            "shifts.backward",
            "shifts.forward",
            "steps",
            "tensors",
            "tensors[]",
            "tensors[].committed",
            "tensors[].grid",
            "tensors[].high",
            "tensors[].low",
            "tensors[].name",
            "tensors[].taps",
            "tensors[].width",
        ],
        MalformedProof,
    ),
}
"""Another value of the same type, and nothing else changed. Of another type, or without the key, a
text is always ``MalformedProof``."""

JSON_CLEAR: dict[str, dict[str, Errors]] = {
    "statement": {
        "checkpoints": SumcheckMismatch,
        "checkpoints[]": MalformedProof,
        "checkpoints[][]": SumcheckMismatch,
        "security_bits": SumcheckMismatch,
        "zero_knowledge": MalformedProof,
    }
}
"""Where it matters that the dataset does not hide, and that the run has checkpoints."""

OPTIONAL: dict[str, Errors] = {
    "checkpoints": SumcheckMismatch,
    "checkpoints[]": SumcheckMismatch,
}
"""What need not be there: without it a text is another statement."""

FIXED = {
    "fixed_point.activation_bits",
    "fixed_point.error_bits",
    "format",
    "layers[Layer].kind",
    "layers[Layer].relu",
    "optimizer.kind",
    "optimizer.rate_bits",
}
"""Stated keys of a circuit that can have one value only."""


def _wider(circuit: dict[str, Any]) -> None:
    first, second = circuit["layers"]
    first["outputs"] = second["inputs"] = 3


def _without_biases(circuit: dict[str, Any]) -> None:
    for layer in circuit["layers"]:
        layer["bias"] = None


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        *above, last = path
        for key in above:
            document = document[key]
        assert document[last] != to
        document[last] = to

    return change


FITTED: dict[str, dict[str, tuple[Callable[[dict[str, Any]], None], Errors]]] = {
    "circuit": {
        "batch_size": (_set("batch_size", to=3), Rejected),
        "initialisation.kind": (
            lambda c: c.update(initialisation={"kind": "file", "value": "00" * 32}),
            InputError,
        ),
        "initialisation.value": (_set("initialisation", "value", to="x"), StatementMismatch),
        "layers[Layer].bias": (_without_biases, StatementMismatch),
        "layers[Layer].inputs": (_set("layers", 0, "inputs", to=7), MalformedProof),
        "layers[Layer].name": (_set("layers", 0, "name", to="first"), Rejected),
        "layers[Layer].outputs": (_wider, StatementMismatch),
        "layers[Layer].weight": (_set("layers", 0, "weight", to="w"), StatementMismatch),
        "loss": (_set("loss", to="mse"), Rejected),
        "optimizer.multipliers[][]": (
            _set("optimizer", "multipliers", 0, 1, to=33),
            Rejected,
        ),
        "order_seed": (_set("order_seed", to="another order"), Rejected),
        "steps": (_set("steps", to=5), Rejected),
    },
    "statement": {
        "final": (_set("final", to="00" * 32), StatementMismatch),
        "initial": (_set("initial", to="00" * 32), StatementMismatch),
        "security_bits": (_set("security_bits", to=101), WORK),
        "zero_knowledge": (_set("zero_knowledge", to=False), LookupMismatch),
    },
    "dataset": {
        "classes": (_set("classes", to=4), MalformedProof),
        "features": (_set("features", to=7), MalformedProof),
        "format": (lambda d: d.pop("openings"), MalformedProof),
        "high": (_set("high", to="4070000000000000"), WORK),
        "low": (_set("low", to="bff0000000000000"), WORK),
        "merkle_root": (_set("merkle_root", to="00" * 32), WORK),
        "openings": (_set("openings", to=63), WORK),
        "records": (_set("records", to=23), WORK),
    },
}
"""One value changed and everything else made to fit: what is left are the proofs, and the files
that the verifier was given."""


def _tensor(**changes: Any) -> Callable[[dict[str, Any], bytearray, str], None]:
    def change(header: dict[str, Any], cells: bytearray, name: str) -> None:
        assert header[name] != {**header[name], **changes}
        header[name].update(changes)

    return change


def _cell(value: float) -> Callable[[dict[str, Any], bytearray, str], None]:
    def change(header: dict[str, Any], cells: bytearray, name: str) -> None:
        struct.pack_into("<d", cells, header[name]["data_offsets"][1] - 8, value)

    return change


def _next_float(header: dict[str, Any], cells: bytearray, name: str) -> None:
    at = header[name]["data_offsets"][0]
    (value,) = struct.unpack_from("<d", cells, at)
    struct.pack_into("<d", cells, at, value + 2.0**-32)


def _renamed(header: dict[str, Any], cells: bytearray, name: str) -> None:
    header[f"{name}x"] = header.pop(name)


def _dropped(header: dict[str, Any], cells: bytearray, name: str) -> None:
    start, end = header.pop(name)["data_offsets"]
    del cells[start:end]
    for key, entry in header.items():
        if key != "__metadata__" and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [at - (end - start) for at in entry["data_offsets"]]


def _added(header: dict[str, Any], cells: bytearray, name: str) -> None:
    header["more"] = {"dtype": "F64", "shape": [1], "data_offsets": [len(cells), len(cells) + 8]}
    cells += bytes(8)


def _shape(header: dict[str, Any], cells: bytearray, name: str) -> None:
    header[name]["shape"] = [1, *header[name]["shape"]]


def _offsets(header: dict[str, Any], cells: bytearray, name: str) -> None:
    header[name]["data_offsets"] = [at + 8 for at in header[name]["data_offsets"]]


def _metadata(key: str) -> Callable[[dict[str, Any], bytearray, str], None]:
    def change(header: dict[str, Any], cells: bytearray, name: str) -> None:
        header["__metadata__"][key] = "another"

    return change


def _header_length(more: int) -> Callable[[dict[str, Any], bytearray, str], bytes]:
    def change(header: dict[str, Any], cells: bytearray, name: str) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", (len(text) + more) % (1 << 64)) + text + bytes(cells)

    return change


def _damaged_header(header: dict[str, Any], cells: bytearray, name: str) -> bytes:
    text = json.dumps(header).encode()[:-1] + b"]"
    return struct.pack("<Q", len(text)) + text + bytes(cells)


WeightChange = Callable[[dict[str, Any], bytearray, str], bytes | None]

WEIGHT_FILE: dict[tuple[str, str], tuple[WeightChange, Errors | None]] = {
    ("header length", "larger"): (_header_length(8), InputError),
    ("header length", "smaller"): (_header_length(-8), InputError),
    ("header length", "above 1 MiB"): (_header_length(1 << 20), InputError),
    ("header length", "largest"): (_header_length(-1 << 20), InputError),
    ("header", "no JSON"): (_damaged_header, InputError),
    ("name", "another"): (_renamed, StatementMismatch),
    ("name", "missing"): (_dropped, StatementMismatch),
    ("name", "one more"): (_added, StatementMismatch),
    ("tensor.dtype", "integers"): (_tensor(dtype="I64"), StatementMismatch),
    ("tensor.dtype", "smaller"): (_tensor(dtype="F32"), InputError),
    ("tensor.dtype", "unknown"): (_tensor(dtype="F65"), InputError),
    ("tensor.shape", "one more axis"): (_shape, StatementMismatch),
    ("tensor.shape", "larger"): (_tensor(shape=[1 << 40]), InputError),
    ("tensor.shape", "negative"): (_tensor(shape=[-1]), InputError),
    ("tensor.data_offsets", "moved"): (_offsets, InputError),
    ("tensor.data_offsets", "huge"): (_tensor(data_offsets=[0, 1 << 62]), InputError),
    ("tensor.data_offsets", "reversed"): (_tensor(data_offsets=[8, 0]), InputError),
    ("cells", "one unit more"): (_next_float, StatementMismatch),
    ("cells", "half a unit"): (_cell(2.0**-33), StatementMismatch),
    ("cells", "2^20"): (_cell(2.0**20), StatementMismatch),
    ("cells", "infinite"): (_cell(math.inf), StatementMismatch),
    ("cells", "no number"): (_cell(math.nan), StatementMismatch),
    ("metadata.format", "another"): (_metadata("format"), None),
    ("metadata.circuit_id", "another"): (_metadata("circuit_id"), None),
    ("metadata.dataset_root", "another"): (_metadata("dataset_root"), None),
    ("metadata.statement_digest", "another"): (_metadata("statement_digest"), None),
    ("metadata.input_low", "another"): (_metadata("input_low"), None),
    ("metadata.input_high", "another"): (_metadata("input_high"), None),
}
"""Field and change. ``None``: metadata are for readers, and the file is accepted."""

SECRET_FILE: dict[str, list[Any]] = {
    "format": ["zktrain-secret-3", "zktrain-dataset-4"],
    "root": ["00" * 31, "00" * 32, "00" * 33, "zz" * 32],
    "records": ["", "00" * 31, "zz" * 32],
    "secret": ["00" * 31, "00" * 32, "zz" * 32],
    "opened": [["zz" * 16], ["00" * 15]],
    "openings": [-1, 63, 1 << 13],
    "positions": [-1, 1 << 40],
}
"""Values that a prover refuses with ``InputError``. Counters that are too small cannot be told from
those of a copy."""
