"""Proofs of evaluations, end to end: verbs, verdicts, and everything that must be refused."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import conv_networks
import numpy as np
import pytest
from tiny_run import TinyBundle, make_bundle, write_data

import zktrain
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.circuit.weights import read_weights
from zktrain.dataset.readers import Records, read_dataset
from zktrain.errors import (
    InputError,
    MalformedProof,
    RangeOverflow,
    RecipeError,
    Rejected,
    StatementMismatch,
)
from zktrain.layers import AnyLayer, Layer
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol.bundle import parse, parse_statement
from zktrain.protocol.tasks import Evaluation
from zktrain.training.evaluation import confusion, evaluation_witness
from zktrain.training.trainer import evaluate
from zktrain.training.weight_file import write_weights

ROOT = Path(__file__).parents[1]
REFUSED = (MalformedProof, Rejected)


@dataclass(frozen=True)
class Evaluated:
    """A tiny test set, committed, and two proofs about it: one that hides, and one in clear."""

    tiny: TinyBundle
    data: Path
    dataset: Path
    root: str
    hiding: Path
    clear: Path

    def proof(self, kind: str) -> Path:
        return self.hiding if kind == "hiding" else self.clear


@pytest.fixture(scope="module")
def evaluated(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = tmp_path_factory.mktemp("evaluation")
    data = write_data(folder / "test.npz", seed=7, records=19)
    dataset = folder / "test.zkd"
    hiding, clear = folder / "eval.zkt", folder / "clear.zkt"
    first = zktrain.prove_eval(
        tiny_bundle.weights, circuit=tiny_bundle.circuit, data=data, dataset_out=dataset, out=hiding
    )
    zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=data,
        dataset=dataset,
        out=clear,
        zero_knowledge=False,
    )
    return Evaluated(tiny_bundle, data, dataset, first.dataset_root, hiding, clear)


def _verify(evaluated: Evaluated, proof: Path, **changes: Any) -> zktrain.EvaluationVerdict:
    given = {
        "weights": evaluated.tiny.weights,
        "dataset": evaluated.root,
        "circuit": evaluated.tiny.circuit,
        **changes,
    }
    return zktrain.verify_eval(given.pop("weights"), proof=proof, **given)


def _circuit(path: Path) -> Circuit:
    return Circuit.from_json(path.read_bytes())


def _weights(path: Path, circuit: Circuit) -> dict[str, np.ndarray]:
    return read_weights(path, circuit.parameter_shapes(), circuit.fixed_point.weight_bits)


@pytest.mark.parametrize("kind", ["hiding", "clear"])
def test_the_verdict_is_what_the_network_does(evaluated: Evaluated, kind: str) -> None:
    verdict = _verify(evaluated, evaluated.proof(kind))
    circuit = _circuit(evaluated.tiny.circuit)
    weights = _weights(evaluated.tiny.weights, circuit)
    records = read_dataset(str(evaluated.data))
    assert verdict.accuracy == evaluate(circuit, weights, records)
    assert np.array_equal(verdict.confusion, confusion(circuit, weights, records, 0, 19))
    assert verdict.correct == round(verdict.accuracy * 19) and verdict.records == 19
    assert verdict.dataset_root == evaluated.root
    assert verdict.zero_knowledge == (kind == "hiding")
    assert verdict.security_bits >= 100
    assert sum(map(sum, verdict.confusion)) == 19


def test_the_file_of_the_commitment_is_as_good_as_its_root(evaluated: Evaluated) -> None:
    assert _verify(evaluated, evaluated.hiding, dataset=evaluated.dataset).warnings == ()
    unpinned = _verify(evaluated, evaluated.clear, circuit=None).warnings
    assert len(unpinned) == 3 and "no circuit" in unpinned[0]
    assert "hide" in unpinned[1] and "revealed" in unpinned[2]


def test_digits(tmp_path: Path) -> None:
    """The shipped circuit, trained, on the held-out digits: accuracy is that of the trainer."""
    pytest.importorskip("sklearn")
    recipe, circuit = ROOT / "circuits" / "digits-mlp-64.toml", tmp_path / "digits.circuit.json"
    zktrain.compile(recipe, out=circuit)
    trained = zktrain.train(recipe, data="digits", out=tmp_path / "run", test="digits:test")
    dataset, out = tmp_path / "test.zkd", tmp_path / "eval.zkt"
    proved = zktrain.prove_eval(
        trained.weights, circuit=circuit, data="digits", dataset_out=dataset, out=out
    )
    verdict = zktrain.verify_eval(trained.weights, proof=out, dataset=dataset, circuit=circuit)
    assert verdict.accuracy == proved.accuracy == trained.test_accuracy
    assert verdict.accuracy is not None and verdict.accuracy > 0.8
    labels = read_dataset("digits", "test").labels
    assert [sum(row) for row in verdict.confusion] == np.bincount(labels, minlength=10).tolist()


def test_a_public_dataset_without_zero_knowledge(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """Nothing but the data is needed, and everybody gets the same root."""
    out = tmp_path / "eval.zkt"
    proved = zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        out=out,
        zero_knowledge=False,
    )
    public = zktrain.commit(tiny_bundle.data, public=True).root
    assert proved.dataset_root == public and proved.dataset is None
    verdict = zktrain.verify_eval(tiny_bundle.weights, proof=out, dataset=public)
    assert not verdict.zero_knowledge and verdict.accuracy == proved.accuracy
    again = zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        dataset=public,
        out=tmp_path / "again.zkt",
        zero_knowledge=False,
    )
    assert again.path.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    "records", [1, 2, 5], ids=["one record", "a power of two", "something else"]
)
def test_any_number_of_records(tiny_bundle: TinyBundle, tmp_path: Path, records: int) -> None:
    data = write_data(tmp_path / "few.npz", seed=3, records=records)
    out = tmp_path / "eval.zkt"
    proved = zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=data,
        dataset_out=tmp_path / "few.zkd",
        out=out,
    )
    verdict = zktrain.verify_eval(tiny_bundle.weights, proof=out, dataset=tmp_path / "few.zkd")
    assert verdict.records == records and verdict.accuracy == proved.accuracy


def test_openings_are_counted(evaluated: Evaluated) -> None:
    """The certificate and two proofs."""
    secret = json.loads(Path(f"{evaluated.dataset}.secret").read_text())
    assert len(secret["opened"]) == 3 and secret["positions"] > 0


def test_terms_of_the_soundness_error(evaluated: Evaluated) -> None:
    """8-4-3 on 19 records: one claim on every output, and two bits of class on either side."""
    field = 2 * math.log2((1 << 64) - (1 << 32) + 1)
    samples = 5
    for kind in ("hiding", "clear"):
        statement = parse_statement(parse(evaluated.proof(kind).read_bytes()))
        terms = {t.name: t.bits for t in statement.soundness_terms if t.part == "evaluation"}
        expected = {
            "counts": 2 + 2 + 2 * samples,
            "maps of units": 1 + 2 * 2 + samples,
            "element-wise products": 2 * 1 + 3 * (2 + samples) + 3 * (2 + samples),
            "matrix products": 3 * 3 + 3 * 2,
        }
        for name, numerator in expected.items():
            assert terms[name] == pytest.approx(field - math.log2(numerator), abs=1e-6), name
        assert "weight updates" not in terms
        parts = {t.part for t in statement.soundness_terms}
        assert parts == {"evaluation", "dataset certificate", "all"}
        assert statement.union_bits >= statement.security_bits == 100


# What is refused


def test_other_weights_dataset_and_circuit(
    evaluated: Evaluated, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    circuit = _circuit(tiny_bundle.circuit)
    weights = _weights(tiny_bundle.weights, circuit)
    weights["fc2.bias"] = weights["fc2.bias"].copy()
    weights["fc2.bias"][0] += 1
    other = tmp_path / "other.safetensors"
    write_weights(other, weights, circuit.fixed_point.weight_bits, {})
    network = (
        replace(circuit.layers[0], outputs=circuit.layers[0].outputs + 1),
        replace(circuit.layers[1], inputs=circuit.layers[1].inputs + 1),
    )
    wider = tmp_path / "wider.circuit.json"
    wider.write_bytes(replace(circuit, layers=network).canonical_json())
    changes: tuple[dict[str, Any], ...] = (
        {"weights": other},
        {"dataset": tiny_bundle.root},
        {"dataset": tiny_bundle.dataset},
        {"circuit": wider},
    )
    for change in changes:
        with pytest.raises(StatementMismatch):
            _verify(evaluated, evaluated.hiding, **change)
    with pytest.raises(StatementMismatch, match="fewer bits"):
        _verify(evaluated, evaluated.hiding, min_security_bits=110)


def test_the_recipe_of_the_pinned_circuit_does_not_matter(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    """Only network and fixed-point format are pinned."""
    circuit = _circuit(evaluated.tiny.circuit)
    other = tmp_path / "longer.circuit.json"
    other.write_bytes(replace(circuit, steps=circuit.steps + 1).canonical_json())
    assert _verify(evaluated, evaluated.hiding, circuit=other).records == 19


def test_kinds_of_proofs_are_told_apart(evaluated: Evaluated, tiny_bundle: TinyBundle) -> None:
    with pytest.raises(MalformedProof, match="use zktrain verify-eval"):
        zktrain.verify(tiny_bundle.weights, proof=evaluated.hiding, dataset=evaluated.root)
    with pytest.raises(MalformedProof, match="use zktrain verify "):
        _verify(evaluated, tiny_bundle.proof, dataset=tiny_bundle.dataset)
    found = zktrain.inspect(evaluated.clear)
    task = found.statement.task
    assert isinstance(task, Evaluation)
    assert task.accuracy == _verify(evaluated, evaluated.clear).accuracy
    assert sum(found.sections.values()) < found.proof_bytes == evaluated.clear.stat().st_size


def _refused(evaluated: Evaluated, data: bytes, folder: Path) -> None:
    path = folder / "forged.zkt"
    path.write_bytes(data)
    with pytest.raises(REFUSED):
        _verify(evaluated, path)


@pytest.mark.parametrize("kind", ["hiding", "clear"])
def test_a_changed_byte_anywhere(evaluated: Evaluated, kind: str, tmp_path: Path) -> None:
    """All of the beginning, every length, and a sample of what follows."""
    data = evaluated.proof(kind).read_bytes()
    places = set(range(24)) | set(random.Random(1).sample(range(len(data)), 24))
    places |= {len(data) - 1, data.index(b'"confusion"') + 15, data.index(b'"weights"') + 12}
    for place in sorted(places):
        forged = bytearray(data)
        forged[place] ^= 1 << (place % 8)
        _refused(evaluated, bytes(forged), tmp_path)


@pytest.mark.parametrize("kind", ["hiding", "clear"])
def test_truncated_extended_and_empty(evaluated: Evaluated, kind: str, tmp_path: Path) -> None:
    data = evaluated.proof(kind).read_bytes()
    for size in (0, 7, 8, 15, 400, len(data) // 2, len(data) - 1):
        _refused(evaluated, data[:size], tmp_path)
    _refused(evaluated, data + b"\0", tmp_path)


def test_huge_lengths_allocate_nothing(evaluated: Evaluated, tmp_path: Path) -> None:
    data = evaluated.clear.read_bytes()
    for size in (len(data), 1 << 40, (1 << 64) - 1):
        _refused(evaluated, data[:8] + struct.pack("<Q", size) + data[16:], tmp_path)


def _move(fields: dict[str, Any]) -> None:
    """One more right answer."""
    matrix = fields["confusion"]
    i, k = next((i, k) for i in range(3) for k in range(3) if i != k and matrix[i][k])
    matrix[i][k] -= 1
    matrix[i][i] += 1


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.update({name: value})


def _count(value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(fields: dict[str, Any]) -> None:
        fields["confusion"][0][0] = value

    return edit


def _compensated(fields: dict[str, Any]) -> None:
    """The sum is right, one count is negative."""
    fields["confusion"][0][0] += fields["confusion"][1][1] + 1
    fields["confusion"][1][1] = -1


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "one more right answer": (_move, "does not match"),
    "a count too large": (_count(20), "is not from 0 to 19"),
    "a count too many": (_count(19), "do not add up"),
    "a negative count": (_compensated, "is not from 0 to 19"),
    "a fraction": (_count(1.0), "not valid"),
    "a truth value": (_count(True), "not valid"),
    "a text": (_count("1"), "not valid"),
    "a number beyond 64 bits": (_count(1 << 70), "is not from 0 to 19"),
    "a row less": (lambda f: f["confusion"].pop(), "is not 3 by 3"),
    "a column less": (lambda f: f["confusion"][0].pop(), "is not 3 by 3"),
    "no matrix": (_set("confusion", 5), "not valid"),
    "a training": (_set("task", "training"), "not valid"),
    "hiding": (_set("zero_knowledge", True), "."),
    "a number for hiding": (_set("zero_knowledge", 0), "not valid"),
    "too few bits": (_set("security_bits", 79), "from 80 to 120"),
    "fewer bits": (_set("security_bits", 80), "fewer bits"),
    "more bits": (_set("security_bits", 110), "."),
    "other weights": (_set("weights", "00" * 32), "does not hold the weights"),
    "no digest": (_set("weights", "AB" * 32), "not valid"),
    "another circuit": (_set("circuit", "00" * 32), "another circuit"),
    "another dataset": (_set("dataset", "00" * 32), "another circuit or dataset"),
    "another format": (_set("format", "zktrain-statement-2"), "not canonical"),
    "one field more": (_set("accuracy", 1), "not canonical"),
    "one field less": (lambda f: f.pop("weights"), "not valid"),
}


@pytest.mark.parametrize("name", EDITS)
def test_changed_statement(evaluated: Evaluated, name: str, tmp_path: Path) -> None:
    edit, message = EDITS[name]
    bundle = parse(evaluated.clear.read_bytes())
    fields = json.loads(bundle.statement_json)
    edit(fields)
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    path = tmp_path / "forged.zkt"
    path.write_bytes(replace(bundle, statement_json=text).to_bytes())
    with pytest.raises(REFUSED, match=message):
        _verify(evaluated, path)


def test_statement_that_is_no_canonical_text(evaluated: Evaluated, tmp_path: Path) -> None:
    bundle = parse(evaluated.clear.read_bytes())
    text = bundle.statement_json
    for forged in (b"", b"[]", b"null", text + b" ", b"[" * 100_000, text.replace(b":", b": ", 1)):
        _refused(evaluated, replace(bundle, statement_json=forged).to_bytes(), tmp_path)


# What cannot be proved


def _prove(tiny: TinyBundle, folder: Path, **changes: Any) -> zktrain.ProvedEvaluation:
    given: dict[str, Any] = {
        "weights": tiny.weights,
        "circuit": tiny.circuit,
        "data": tiny.data,
        "out": folder / "eval.zkt",
        "zero_knowledge": False,
        **changes,
    }
    return zktrain.prove_eval(given.pop("weights"), **given)


def test_arguments_that_cannot_be_used(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    zkd = tmp_path / "new.zkd"
    cases: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
        ({"zero_knowledge": True}, InputError, "--dataset-out"),
        ({"dataset": tiny_bundle.dataset, "dataset_out": zkd}, InputError, "give one"),
        ({"dataset": "11" * 32}, StatementMismatch, "not the dataset with this root"),
        ({"circuit": tiny_bundle.weights}, InputError, "cannot be used"),
        ({"circuit": tmp_path / "none.json"}, InputError, "cannot be read"),
        ({"weights": tiny_bundle.circuit}, InputError, "safetensors"),
        ({"data": tmp_path / "none.npz"}, InputError, "does not exist"),
        ({"security_bits": 60}, RecipeError, "from 80 to 120"),
        ({"device": "abacus"}, InputError, "abacus"),
    )
    for changes, error, message in cases:
        with pytest.raises(error, match=message):
            _prove(tiny_bundle, tmp_path, **changes)
    assert not (tmp_path / "eval.zkt").exists() and not zkd.exists()


def test_a_public_commitment_cannot_hide(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    zkd = tmp_path / "public.zkd"
    zktrain.commit(tiny_bundle.data, out=zkd, public=True)
    with pytest.raises(RecipeError, match="does not hide"):
        _prove(tiny_bundle, tmp_path, dataset=zkd, zero_knowledge=True)
    assert _prove(tiny_bundle, tmp_path, dataset=zkd).records == 24


def test_classes_of_network_and_dataset(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """A set with fewer classes says so; one with more has labels that the network lacks."""
    data = tmp_path / "classes.npz"
    inputs = np.zeros((4, 8), dtype=np.uint8)
    np.savez(data, inputs=inputs, labels=np.array([0, 1, 0, 1]), classes=2)
    with pytest.raises(RecipeError, match="2 classes, the network 3"):
        _prove(tiny_bundle, tmp_path, data=data)
    np.savez(data, inputs=inputs, labels=np.array([0, 1, 2, 3]))
    with pytest.raises(InputError, match="from 0 to 3"):
        _prove(tiny_bundle, tmp_path, data=data)


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (200, r"records 0 to 23, layer fc2: the value 5.* is outside the 16-bit range"),
        (-200, r"records 0 to 23, layer fc2: the value -5.* is outside the 16-bit range"),
    ],
)
def test_values_beyond_16_bits(
    tiny_bundle: TinyBundle, tmp_path: Path, bias: int, message: str
) -> None:
    """Training never gets there; an evaluation of any file may."""
    circuit = _circuit(tiny_bundle.circuit)
    weights = _weights(tiny_bundle.weights, circuit)
    weights["fc2.bias"] = np.full(3, bias << 32, dtype=np.int64)
    path = tmp_path / "large.safetensors"
    write_weights(path, weights, 32, {})
    with pytest.raises(RangeOverflow, match=message):
        _prove(tiny_bundle, tmp_path, weights=path)


def _fixed_logits(tiny: TinyBundle, logits: list[int]) -> tuple[Circuit, dict[str, np.ndarray]]:
    """Weights whose logits are these on every record."""
    circuit = _circuit(tiny.circuit)
    weights = {n: np.zeros(s, dtype=np.int64) for n, s in circuit.parameter_shapes().items()}
    weights["fc2.bias"] = np.array(logits, dtype=np.int64) << 24
    return circuit, weights


@pytest.mark.parametrize(
    ("logits", "winner"),
    [
        ([5, 5, 5], 0),
        ([4, 5, 5], 1),
        ([-7, -9, -7], 0),
        ([-32768, 32766, 32766], 1),
        ([32766, -32768, 0], 0),
        ([-32768, -32768, -32768], 0),
        ([32767, 32767, 32767], 0),
        ([0, -1, 0], 0),
    ],
)
def test_ties_and_extreme_logits(
    tiny_bundle: TinyBundle, tmp_path: Path, logits: list[int], winner: int
) -> None:
    """The first of the largest wins, up to the ends of 16 bits."""
    circuit, weights = _fixed_logits(tiny_bundle, logits)
    path, out = tmp_path / "fixed.safetensors", tmp_path / "eval.zkt"
    write_weights(path, weights, 32, {})
    proved = _prove(tiny_bundle, tmp_path, weights=path)
    verdict = zktrain.verify_eval(path, proof=out, dataset=proved.dataset_root)
    predicted = np.array(verdict.confusion).sum(axis=0)
    assert predicted[winner] == predicted.sum() == 24
    assert evaluate(circuit, weights, read_dataset(str(tiny_bundle.data))) == verdict.accuracy


def test_logits_too_far_apart(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """The one spread of 16-bit logits that the table has no row for."""
    _, weights = _fixed_logits(tiny_bundle, [32767, -32768, 0])
    path = tmp_path / "far.safetensors"
    write_weights(path, weights, 32, {})
    with pytest.raises(RangeOverflow, match="layer fc2, two logits: the value 65535 is"):
        _prove(tiny_bundle, tmp_path, weights=path)


def test_the_witness_does_not_depend_on_chunks() -> None:
    """More records than are computed at once."""
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (2500, 4), dtype=np.uint8)
    labels = generator.integers(0, 3, 2500).astype(np.uint8)
    data = Records(inputs, labels, 3, "tests")
    layer = Layer("fc1", 4, 3, "w", "b", relu=False)
    circuit = Circuit(
        (layer,), "mse", FixedPoint(), 1, 1, Sgd(((0, 1),)), "order", Initialisation("seed", "s")
    )
    weights = {
        "w": generator.integers(-(1 << 32), 1 << 32, (4, 3)),
        "b": generator.integers(-(1 << 32), 1 << 32, 3),
    }
    first, count = 100, 2300
    arrays = evaluation_witness(circuit, weights, data, first, count)
    part = slice(first, first + count)
    accumulator = inputs[part].astype(np.int64) @ weights["w"] + (weights["b"] << 8) + (1 << 31)
    z, high, low = (arrays[f"z1{s}"].astype(np.int64) for s in ("", ".high", ".low"))
    assert arrays["z1"].shape == (1, 4096, 4)
    assert np.array_equal(((z << 32) + (high << 16) + low)[0, :count, :3], accumulator)
    assert not z[0, count:].any() and not z[..., 3:].any() and not low[0, count:].any()
    winners = (accumulator >> 32).argmax(axis=1)
    assert np.array_equal(arrays["h"][0, :count].argmax(axis=1), winners)
    assert arrays["h"].sum() == count
    counts = confusion(circuit, weights, data, first, count)
    expected = np.zeros((3, 3), dtype=np.int64)
    np.add.at(expected, (labels[part], winners), 1)
    assert np.array_equal(counts, expected)


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy"])
def test_a_network_trained_otherwise_is_evaluated_too(tmp_path: Path, loss: str) -> None:
    """Loss and schedule play no part."""
    bundle = make_bundle(tmp_path / loss, loss=loss)
    out = tmp_path / "eval.zkt"
    proved = zktrain.prove_eval(
        bundle.weights, circuit=bundle.circuit, data=bundle.data, dataset=bundle.dataset, out=out
    )
    verdict = zktrain.verify_eval(bundle.weights, proof=out, dataset=bundle.root)
    assert verdict.accuracy == proved.accuracy


def _round_trip(
    folder: Path,
    layers: tuple[AnyLayer, ...],
    weights: dict[str, np.ndarray] | None,
    records: int,
    *,
    hiding: bool,
) -> None:
    """Prove and verify on random records: the accuracy is the trainer's."""
    generator = np.random.default_rng(records)
    start = Initialisation("seed", "none")
    circuit = Circuit(layers, "cross_entropy", FixedPoint(), 1, 1, Sgd(((0, 1),)), "order", start)
    weights = weights or {
        name: generator.integers(-(1 << 31), 1 << 31, shape)
        for name, shape in circuit.parameter_shapes().items()
    }
    names = ("c.json", "w.safetensors", "d.npz", "d.zkd", "e.zkt")
    text, file, data, dataset, out = (folder / name for name in names)
    text.write_bytes(circuit.canonical_json())
    write_weights(file, weights, 32, {})
    inputs = generator.integers(0, 256, (records, circuit.features), dtype=np.uint8)
    labels = generator.integers(0, circuit.classes, records)
    np.savez(data, inputs=inputs, labels=labels, classes=circuit.classes)
    proved = zktrain.prove_eval(
        file,
        circuit=text,
        data=data,
        dataset_out=dataset,
        out=out,
        zero_knowledge=hiding,
    )
    verdict = zktrain.verify_eval(file, proof=out, dataset=dataset, circuit=text)
    assert verdict.accuracy == evaluate(circuit, weights, read_dataset(str(data)))
    assert verdict.confusion == proved.confusion and verdict.security_bits >= 100
    assert verdict.zero_knowledge is hiding


@pytest.mark.parametrize(
    ("widths", "records", "bias"),
    [
        ((1, 2), 3, False),
        ((3, 2), 9, True),
        ((2, 1, 2), 8, False),
        ((5, 3, 7, 4), 17, True),
        ((4, 300), 10, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
def test_networks_of_all_shapes(
    tmp_path: Path, widths: tuple[int, ...], records: int, *, bias: bool, hiding: bool
) -> None:
    """One class, no hidden layer, three of them, labels of two bytes; with and without biases."""
    last = len(widths) - 1
    layers = tuple(
        Layer(f"l{i}", widths[i - 1], widths[i], f"w{i}", f"b{i}" if bias else None, i < last)
        for i in range(1, len(widths))
    )
    _round_trip(tmp_path, layers, None, records, hiding=hiding)


@pytest.mark.parametrize("name", conv_networks.NETWORKS)
@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
def test_networks_over_images(tmp_path: Path, name: str, *, hiding: bool) -> None:
    """Convolutions, pools, residual blocks."""
    layers = conv_networks.NETWORKS[name]
    weights = conv_networks.integer_weights(layers)
    _round_trip(tmp_path, layers, weights, 11, hiding=hiding)
