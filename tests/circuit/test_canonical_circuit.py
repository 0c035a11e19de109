"""The canonical text of a circuit: round trip, pinned ids, and a strict decoder."""

from __future__ import annotations

import copy
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from circuit_networks import circuit_of
from hypothesis import given, settings
from hypothesis import strategies as st

from zktrain.circuit import canonical
from zktrain.circuit.canonical import MAX_BYTES
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.dataset.commitment import DatasetHeader
from zktrain.errors import MalformedProof
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training

CIRCUITS = Path(__file__).resolve().parents[2] / "circuits"
PINNED = {
    "digits-mlp-64": "d1c9c79a39549d32ed4d2ef407c55686abd097607c8bef62ed8038b5a21d0ae5",
    "fashion-mlp-128": "d835d2247cc3ce3273d0b9121e3e6a3774ec1581aeaf12c69d5a85c47c0e72cc",
    "fashion-mlp-1024x1024": "5d6adf9d5d0a49374bee9a15339fabd7fcc4c763b0a2f416010428244105741b",
}
SAMPLE = circuit_of(6, 5, 3, steps=20, multipliers=((0, 2), (7, 1)))


def encoded(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", PINNED)
def test_ids_are_pinned(name: str) -> None:
    data = (CIRCUITS / f"{name}.circuit.json").read_bytes()
    circuit = Circuit.from_json(data)
    assert circuit.canonical_json() == data
    assert circuit.id == PINNED[name]


@pytest.mark.parametrize(
    "circuit",
    [
        SAMPLE,
        circuit_of(3, 2, loss="mse", bias=False),
        circuit_of(3, 4, 2, loss="binary_cross_entropy"),
        circuit_of(2, 7, 4, 1, loss="mse", initialisation=Initialisation("file", "0a" * 32)),
        circuit_of(3, 2, order_seed='näive "Ordnung" \U0001f980'),
    ],
)
def test_round_trip(circuit: Circuit) -> None:
    data = circuit.canonical_json()
    assert Circuit.from_json(data) == circuit
    assert data == encoded(json.loads(data))
    assert b"." not in data.replace(b"weight", b"").translate(None, b'"') or b"e+" not in data


@pytest.mark.parametrize("old", ["zktrain-circuit-1", "zktrain-circuit-2"])
def test_an_older_text_is_refused(old: str) -> None:
    """With what to do about it."""
    document = json.loads(circuit_of(3, 2).canonical_json())
    document["format"] = old
    with pytest.raises(MalformedProof, match="compile the circuit again"):
        Circuit.from_json(encoded(document))


def test_text_has_no_floats() -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    json.loads(SAMPLE.canonical_json(), parse_float=refuse, parse_constant=refuse)


def test_every_stated_field_changes_the_id() -> None:
    variants = [
        SAMPLE,
        replace(SAMPLE, loss="mse"),
        replace(SAMPLE, loss="binary_cross_entropy"),
        replace(SAMPLE, batch_size=5),
        replace(SAMPLE, steps=21),
        replace(SAMPLE, optimizer=Sgd(((0, 2), (8, 1)))),
        replace(SAMPLE, order_seed="other"),
        replace(SAMPLE, initialisation=Initialisation("seed", "other")),
        replace(SAMPLE, layers=(replace(SAMPLE.layers[0], bias=None), SAMPLE.layers[1])),
    ]
    assert len({circuit.id for circuit in variants}) == len(variants)


def change(*path: str | int, to: Any) -> Callable[[Any], None]:
    def apply(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return apply


def remove(*path: str | int) -> Callable[[Any], None]:
    def apply(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return apply


def layer(**fields: Any) -> dict[str, Any]:
    return {
        "name": "l", "inputs": 1, "outputs": 1, "weight": "w", "bias": None, "relu": True
    } | fields  # fmt: skip


many_layers = [layer(name=f"l{i}", weight=f"w{i}") for i in range(65)]
MULTIPLIERS = ("optimizer", "multipliers")

MALFORMED: list[tuple[Callable[[Any], None], str]] = [
    (change("format", to="zktrain-circuit-9"), "format"),
    (change("format", to=1), "format"),
    (remove("format"), "keys"),
    (change("extra", to=1), "keys"),
    (remove("tensors"), "keys"),
    (change("layers", to=[]), "1 to 64 layers"),
    (change("layers", to={}), "list"),
    (change("layers", to=many_layers), "list of at most 64"),
    (change("layers", 0, to=7), "the kind of a layer"),
    (remove("layers", 0, "bias"), "a layer is not an object"),
    (change("layers", 0, "extra", to=0), "a layer is not an object"),
    (change("layers", 0, "inputs", to=0), "widths"),
    (change("layers", 0, "inputs", to=-3), "widths"),
    (change("layers", 0, "inputs", to=(1 << 16) + 1), "widths"),
    (change("layers", 0, "outputs", to=(1 << 16) + 1), "widths"),
    (change("layers", 0, "inputs", to=True), "not an integer"),
    (change("layers", 0, "inputs", to="6"), "not an integer"),
    (change("layers", 0, "inputs", to=None), "not an integer"),
    (change("layers", 0, "inputs", to=6.0), "not an integer"),
    (change("layers", 0, "inputs", to=float("nan")), "not an integer"),
    (change("layers", 0, "inputs", to=float("inf")), "not an integer"),
    (change("layers", 0, "inputs", to=[6]), "not an integer"),
    (change("layers", 0, "outputs", to=4), "takes 5 inputs"),
    (change("layers", 0, "relu", to=False), "activation"),
    (change("layers", 1, "relu", to=True), "ReLU"),
    (change("layers", 0, "relu", to=1), "true or false"),
    (change("layers", 0, "name", to="fc2"), "same name"),
    (change("layers", 0, "weight", to="fc2.weight"), "same name"),
    (change("layers", 0, "bias", to="fc1.weight"), "same name"),
    (change("layers", 0, "weight", to="z1.high"), "name of a tensor"),
    (change("layers", 0, "weight", to=""), "1 to 128 ASCII characters"),
    (change("layers", 0, "weight", to="w" * 129), "1 to 128 ASCII characters"),
    (change("layers", 0, "weight", to="w\u00e9"), "1 to 128 ASCII characters"),
    (change("layers", 0, "weight", to="\x1b[2J"), "printable"),
    (change("layers", 0, "weight", to="\ud800"), "1 to 128 ASCII characters"),
    (change("layers", 0, "bias", to=0), "not a string"),
    (change("layers", 1, "outputs", to=(1 << 14) + 1), "classes"),
    (change("loss", to="hinge"), "loss"),
    (change("loss", to=None), "not a string"),
    (change("fixed_point", "activation_bits", to=7), "fixed-point"),
    (change("fixed_point", "error_bits", to=10**19), "fixed-point"),
    (change("fixed_point", to=[]), "fixed_point is not an object"),
    (change("optimizer", "kind", to="adam"), "sgd"),
    (change("optimizer", "rate_bits", to=-1), "fixed-point"),
    (change("optimizer", to=None), "the kind of the optimizer is none of"),
    (change(*MULTIPLIERS, to=[]), "schedule"),
    (change(*MULTIPLIERS, to=[[1, 1]]), "first at step 0"),
    (change(*MULTIPLIERS, to=[[0, 1], [0, 1]]), "increase"),
    (change(*MULTIPLIERS, to=[[0, 1], [9, 1], [5, 1]]), "increase"),
    (change(*MULTIPLIERS, to=[[0, 1], [20, 1]]), "before the last step"),
    (change(*MULTIPLIERS, to=[[0, 0]]), "multipliers must"),
    (change(*MULTIPLIERS, to=[[0, -1]]), "multipliers must"),
    (change(*MULTIPLIERS, to=[[0, (1 << 20) + 1]]), "multipliers must"),
    (change(*MULTIPLIERS, to=[[0, 1, 2]]), "pair"),
    (change(*MULTIPLIERS, to=[0, 1]), "pair"),
    (change(*MULTIPLIERS, to=[[i, 1] for i in range(4097)]), "at most 4096"),
    (change("batch_size", to=0), "batch_size"),
    (change("batch_size", to=(1 << 14) + 1), "batch_size"),
    (change("batch_size", to=True), "not an integer"),
    (change("steps", to=0), "steps"),
    (change("steps", to=(1 << 24) + 1), "steps"),
    (change("steps", to=10**30), "digits"),
    (change("order_seed", to="s" * 1025), "order_seed"),
    (change("order_seed", to="a\nb"), "order_seed"),
    (change("order_seed", to=5), "not a string"),
    (change("initialisation", "kind", to="zero"), "seed or a file"),
    (change("initialisation", "value", to=""), "seed"),
    (change("initialisation", to={"kind": "file", "value": "A" * 64}), "digest"),
    (change("initialisation", to={"kind": "file", "value": "ab"}), "digest"),
    (change("no_wrap_bound_bits", to=62), "does not follow"),
    (change("cells_per_step", to=1), "does not follow"),
    (change("lookups_per_step", to=None), "does not follow"),
    (change("parameters", to=[]), "does not follow"),
    (change("shifts", "forward", to=16), "does not follow"),
    (change("operations", to=[]), "does not follow"),
    (change("operations", 3, "constant", to=0), "does not follow"),
    (change("tensors", 3, "committed", to=False), "does not follow"),
    (change("layers", 0, "bias", to=None), "does not follow"),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "reason"), MALFORMED)
def test_malformed_document(mutate: Callable[[Any], None], reason: str) -> None:
    document = copy.deepcopy(json.loads(SAMPLE.canonical_json()))
    mutate(document)
    with pytest.raises(MalformedProof, match=reason):
        Circuit.from_json(encoded(document))


TEXT = SAMPLE.canonical_json()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b"\xff\xfe",
        b"NaN",
        b'"' + b"a" * 100,
        TEXT[:-1],
        TEXT + b"\n",
        b" " + TEXT,
        TEXT + TEXT,
        b"\xef\xbb\xbf" + TEXT,
        TEXT.replace(b'"order"', '"ö"'.encode()),
        TEXT.replace(b'"order"', b'"\\u006frder"'),
        TEXT.replace(b'"steps":20', b'"steps":20,"steps":20'),
        TEXT.replace(b'"steps":20', b'"steps":2e1'),
        TEXT.replace(b'"steps":20', b'"steps":-0'),
        TEXT.replace(b'"steps":20', b'"steps":020'),
        TEXT.replace(b'"steps":20', b'"steps":Infinity'),
        TEXT.replace(b'"steps":20', b'"steps":1' + b"0" * 400_000),
        TEXT.replace(b'"steps":20', b'"steps":' + b"[" * 300_000 + b"]" * 300_000),
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"0" * (MAX_BYTES + 1),
    ],
)
def test_malformed_text(data: bytes) -> None:
    assert data != TEXT
    with pytest.raises(MalformedProof):
        Circuit.from_json(data)


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, len(TEXT) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_changed_byte_gives_another_canonical_circuit_or_none(
    position: int, byte: int, cut: bool
) -> None:
    data = TEXT[:position] + (b"" if cut else bytes([byte])) + TEXT[position + 1 :]
    try:
        circuit = Circuit.from_json(data)
    except MalformedProof:
        return
    assert circuit.canonical_json() == data


@settings(max_examples=100, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_other_json_is_refused(document: Any) -> None:
    with pytest.raises(MalformedProof):
        Circuit.from_json(json.dumps(document).encode())
    stated = json.loads(TEXT)
    for key in stated:
        if stated[key] != document or isinstance(document, bool | float):
            with pytest.raises(MalformedProof):
                Circuit.from_json(encoded(stated | {key: {"x": document}}))


LARGE = {
    "widths": circuit_of(1 << 16, 1 << 16, 1 << 14, batch_size=1, steps=1 << 15),
    "batch": circuit_of(1, 1, batch_size=1 << 14, steps=1 << 13, loss="mse"),
    "steps": circuit_of(1, 1, batch_size=1 << 3, steps=1 << 24, loss="mse"),
}
"""Each is as large as circuits get somewhere, and one proof still takes it."""


@pytest.mark.parametrize("what", LARGE)
def test_large_circuits_are_accepted(what: str) -> None:
    circuit = LARGE[what]
    assert Circuit.from_json(circuit.canonical_json()) == circuit


@pytest.mark.parametrize(
    ("circuit", "problem"),
    [
        (
            circuit_of(1 << 16, 1 << 16, 1 << 14, batch_size=1 << 14, steps=3),
            "49152 samples with [0-9]* cells are more than one proof takes",
        ),
        (replace(LARGE["batch"], steps=(1 << 13) + 1), "134234112 samples with"),
        (replace(LARGE["steps"], batch_size=(1 << 3) + 1), "150994944 samples with"),
        (replace(LARGE["widths"], steps=(1 << 15) + 1), "32769 samples with"),
    ],
    ids=["few steps", "batch", "steps", "widths"],
)
def test_what_no_proof_can_hold_is_refused(circuit: Circuit, problem: str) -> None:
    """No dataset makes it provable, so nothing would train it."""
    assert re.search(problem, str(canonical.violation(circuit)))
    with pytest.raises(MalformedProof, match=problem):
        Circuit.from_json(circuit.canonical_json())


def test_sizes_are_refused_where_every_statement_is() -> None:
    """The clause of circuits and the limits of statements are the same."""
    for batch, steps in itertools.product((1, 1 << 10, 1 << 12, 1 << 14), (1, 1 << 17, 1 << 22)):
        circuit = circuit_of(600, 4000, 10, batch_size=batch, steps=steps)
        header = DatasetHeader(1 << 20, 600, 10, bytes(32), 0)
        with mock.patch.object(Statement, "union_bits", 200.0):
            problem = Statement(Training(circuit, "0" * 64, "0" * 64), header, 80).problem()
        assert (canonical.violation(circuit) is None) == (problem is None), (batch, steps)


def test_decoding_needs_only_the_standard_library_and_numpy() -> None:
    code = (
        "import sys\n"
        "blocked = ['torch', 'onnx', 'onnxscript', 'numba', 'safetensors', 'scipy', 'sklearn']\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "from zktrain.circuit.circuit import Circuit\n"
        "import zktrain.circuit.recipe\n"
        "import zktrain.circuit.compile\n"
        "print(Circuit.from_json(sys.stdin.buffer.read()).id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=TEXT,
        capture_output=True,
        check=True,
        cwd=CIRCUITS.parent,
    )
    assert done.stdout.decode().strip() == SAMPLE.id
