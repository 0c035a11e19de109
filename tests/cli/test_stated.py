"""A verdict shows everything that its statement holds: no field can be changed unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path as FilePath
from typing import Any, get_args

import pytest

from zktrain._verify import CheckpointVerdict
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.cli import evaluation_view, stated, wording
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.scaling import Scaling
from zktrain.layers import (
    Activation,
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool,
    Reduce,
    Unflatten,
)
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.layer_rates import LayerRates
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Checkpoint, Evaluation, Training

LAYERS: tuple[AnyLayer, ...] = (
    Unflatten("image", 1, 8, 8),
    Convolution("c1", 1, 2, (3, 3), (1, 1), (1, 1), "c1.w", "c1.b", True),
    MaxPool("max", (2, 2), (2, 2)),
    Convolution("c2", 2, 2, (3, 3), (1, 1), (1, 1), "c2.w", None, False, "max"),
    Add("sum", "max", True),
    AveragePool("mean", (2, 2), (2, 2)),
    Reduce("sums", 2, 1, 1, False),
    Flatten("flat"),
    Layer("hidden", 4, 4, "h.w", "h.b", False),
    Activation("curve", "tanh"),
    LeakyReLU("leak", 655),
    Layer("last", 4, 3, "l.w", None, False),
)
CIRCUIT = Circuit(
    LAYERS,
    "cross_entropy",
    FixedPoint(),
    4,
    9,
    Sgd(((0, 1), (3, 2))),
    "order",
    Initialisation("seed", "start"),
    frozen=("c1",),
)
FILTERED = replace(
    CIRCUIT,
    fixed_point=FilteredSgd.FORMAT,
    optimizer=FilteredSgd(((0, 1 << 20), (4, 99)), 9 << 36, True, 1 << 30, 4),
)
LAYERED = replace(
    FILTERED,
    optimizer=LayerRates(FILTERED.optimizer, (("c2", ((0, 5), (3, 77))), ("last", ((0, 6),)))),
)
HEADER = DatasetHeader(24, 64, 3, bytes(32), 7)
KEPT = (Checkpoint(3, "0d" * 32), Checkpoint(7, "0e" * 32))
STATEMENT = Statement(Training(CIRCUIT, "0a" * 32, "0b" * 32, KEPT), HEADER, 100, True)
COUNTS = ((4, 0, 2), (0, 6, 0), (4, 0, 8))
EVALUATION = Statement(Evaluation(CIRCUIT, "0c" * 32, COUNTS), HEADER, 100, True)

Path = tuple[str | int, ...]


def with_circuit(circuit: Circuit) -> Statement:
    return replace(STATEMENT, task=replace(STATEMENT.task, circuit=circuit))


def _places(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Every value that is no object, of all fields at any depth."""
    if is_dataclass(value):
        return [p for f in fields(value) for p in _places(getattr(value, f.name), (*path, f.name))]
    if isinstance(value, tuple) and value and not all(type(v) is int for v in value):
        return [p for number, item in enumerate(value) for p in _places(item, (*path, number))]
    return [(path, value)]


def _other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case None:
            return "another"
        case int():
            return 2 * value + 1
        case float():
            return value - 0.5
        case str():
            return "binary_cross_entropy" if value == "cross_entropy" else f"f{value[1:]}f"
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case tuple():
            return tuple(_other(item) for item in value) or ("last",)
    raise TypeError(type(value))


def _replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        inner = _replaced(value[first], rest, new)
        return (*value[:first], inner, *value[first + 1 :])
    return replace(value, **{first: _replaced(getattr(value, first), rest, new)})


def _rows(rows: list[tuple[str, str]], *digests: str) -> str:
    """As a text, without digests, which change with everything."""
    return "\n".join(f"{label}: {text}" for label, text in rows if label not in digests)


def _training(statement: Statement) -> str:
    rows = wording.statement_rows(statement)
    return _rows(rows, "circuit", "statement", "root")


def _evaluation(statement: Statement) -> str:
    matrix = str(statement.task.confusion)  # type: ignore[union-attr]
    return _rows(evaluation_view.statement_rows(statement), "circuit", "statement", "root") + matrix


BY_ROOT = ("merkle_root",)
"""Shown by the root alone, which binds it."""

STATEMENTS: dict[str, tuple[Any, Callable[[Any], str], Callable[[Any], dict[str, Any]]]] = {
    "training": (STATEMENT, _training, wording.statement_fields),
    "filtered": (with_circuit(FILTERED), _training, wording.statement_fields),
    "layered": (with_circuit(LAYERED), _training, wording.statement_fields),
    "evaluation": (EVALUATION, _evaluation, evaluation_view.statement_fields),
}
NETWORK = ("layers", "fixed_point")
"""What an evaluation uses of a circuit."""


def _all_places() -> list[tuple[str, Path]]:
    out = []
    for name, (statement, _, _) in STATEMENTS.items():
        for path, _ in _places(statement):
            in_circuit = path[:2] == ("task", "circuit")
            training_only = name == "evaluation" and in_circuit and path[2] not in NETWORK
            if not training_only:
                out.append((name, path))
    return out


@pytest.mark.parametrize(
    ("name", "path"),
    _all_places(),
    ids=lambda x: x if isinstance(x, str) else ".".join(map(str, x)),
)
def test_no_value_is_left_out(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed, each shows in the JSON object's ``stated`` and in what people read."""
    statement, text, json_fields = STATEMENTS[name]
    shown = _stated_of(json_fields, statement)
    monkeypatch.setattr(Circuit, "canonical_json", lambda circuit: b"")  # nothing need fit
    before = dict(_places(statement))[path]
    new = Scaling(-1.0, 2.0) if path[-1] in ("low", "high") else None
    changed = (
        _replaced(statement, path[:-1], new) if new else _replaced(statement, path, _other(before))
    )
    assert changed != statement
    assert stated.plain(changed) != stated.plain(statement)
    assert json.dumps(stated.plain(statement)) == json.dumps(shown)
    if path[-1] in BY_ROOT:
        assert changed.dataset.root != statement.dataset.root
    else:
        assert text(changed) != text(statement)


def _stated_of(json_fields: Callable[[Any], dict[str, Any]], statement: Any) -> Any:
    found = json_fields(statement)["stated"]
    return json.loads(json.dumps(found))


def test_every_kind_of_layer_is_tried() -> None:
    assert {type(layer) for layer in LAYERS} == set(get_args(AnyLayer))
    for layer in LAYERS:
        for field in fields(layer):
            changed = replace(layer, **{field.name: _other(getattr(layer, field.name))})
            assert stated.layer_text(changed) != stated.layer_text(layer)
    kinds = [layer["kind"] for layer in evaluation_view.statement_fields(EVALUATION)["layers"]]
    assert kinds == [type(layer).__name__ for layer in LAYERS]


def test_what_is_shortened_says_so() -> None:
    """And is whole in the JSON object."""
    schedule = tuple((step, step + 1) for step in range(8))
    changed = with_circuit(replace(CIRCUIT, optimizer=Sgd(schedule)))
    rates = dict(wording.statement_rows(changed))["learning rate"]
    assert "(5 more; --json shows all)" in rates
    assert len(wording.statement_fields(changed)["learning_rate"]) == 8
    many = tuple(Layer(f"d{k}", 4, 4, f"d{k}.w", None, True) for k in range(29))
    deep = replace(CIRCUIT, layers=(*many, LAYERS[-1]), frozen=())
    texts = [text for _, text in stated.layer_rows(deep)]
    assert texts[-1] == "... and 18 more; --json shows all" and len(texts) == 13


def test_frozen_layers_are_named_and_not_counted() -> None:
    rows = dict(wording.statement_rows(STATEMENT))
    assert rows["trained"].startswith("68 of 88 parameters") and "c1" in rows["trained"]
    found = wording.statement_fields(STATEMENT)
    assert (found["parameters"], found["trained_parameters"], found["frozen"]) == (88, 68, ["c1"])


def test_how_many_records_can_have_been_used() -> None:
    """36 samples of 24 records, or of 1,000."""
    said = wording.not_proven(STATEMENT, zero_knowledge=True)[0]
    assert "only that these records were used" in said
    large = replace(STATEMENT, dataset=replace(HEADER, records=1000))
    said = wording.not_proven(large, zero_knowledge=True)[0]
    assert "no more than 36 of the 1,000" in said and "only that these records" not in said
    assert wording.statement_fields(large)["distinct_records_at_most"] == 36


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "0.00 s"),
        (9.949, "9.95 s"),
        (9.96, "10.0 s"),
        (99.94, "99.9 s"),
        (119.4, "119 s"),
        (119.6, "2 min 0 s"),
        (239.7, "4 min 0 s"),
        (3599.9, "60 min 0 s"),
        (185.2, "3 min 5 s"),
    ],
)
def test_no_minute_has_sixty_seconds(seconds: float, text: str) -> None:
    assert wording.span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 bytes"), (999_400, "999 kB"), (999_600, "1 MB"), (2 << 30, "2.15 GB")],
)
def test_sizes_are_rounded_into_the_next_unit(count: int, text: str) -> None:
    assert wording.size(count) == text


def _found(*checked: int, kept: tuple[Checkpoint, ...] = KEPT) -> list[CheckpointVerdict]:
    return [
        CheckpointVerdict(one.step, one.weights, one.step in checked, FilePath(f"{one.step}.file"))
        for one in kept
    ]


def test_a_checkpoint_without_its_file_is_said_to_be_unchecked() -> None:
    """Under the heading of what is proven, too; before any verdict nothing is said of files."""
    rows = wording.statement_rows(STATEMENT, _found(7))
    said = [text for label, text in rows if label == "checkpoint"]
    assert said == [
        "after step 3, digest stated, not checked; give --checkpoint FILE",
        "after step 7, checked: the weights of 7.file",
    ]
    assert rows[rows.index(("checkpoint", said[0])) + 1] == ("", "0d" * 32)
    unverified = [
        text for label, text in wording.statement_rows(STATEMENT) if label == "checkpoint"
    ]
    assert unverified[0] == "after step 3, the weight file with this digest"
    fields = wording.statement_fields(STATEMENT)["checkpoints"]
    assert fields[1] == {"step": 7, "weights_digest": "0e" * 32}


def test_many_checkpoints_are_shortened() -> None:
    """The last one stays."""
    many = tuple(Checkpoint(step, f"{step:064x}") for step in range(1, 101))
    changed = replace(STATEMENT, task=replace(STATEMENT.task, checkpoints=many))
    rows = wording.statement_rows(changed, _found(100, kept=many))
    said = [text for label, text in rows if label == "checkpoint"]
    assert len(said) == 6 and said[-1].startswith("after step 100, checked")
    assert ("", "... 94 more; --json shows all") in rows
    assert len(wording.statement_fields(changed)["checkpoints"]) == 100
