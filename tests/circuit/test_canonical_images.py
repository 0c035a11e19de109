"""Canonical texts of networks over images: read back, and refused where they say something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from odd_values import odd_texts

from zktrain.circuit import canonical
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.errors import MalformedProof
from zktrain.layers import (
    Activation,
    Add,
    AnyLayer,
    AveragePool,
    Convolution,
    Flatten,
    Layer,
    MaxPool,
    Unflatten,
)
from zktrain.layers.geometry import geometry
from zktrain.layers.limits import GeometryError
from zktrain.operations import Accumulate, Linear
from zktrain.operations.extent import Extent
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd

CIRCUITS = Path(__file__).resolve().parents[2] / "circuits"

IMAGE = Unflatten("image", 2, 8, 6)
CONV = Convolution("c1", 2, 3, (3, 3), (2, 1), (1, 1), "c1.w", "c1.b", True)
SKIP = Convolution("skip", 2, 3, (1, 1), (2, 1), (0, 0), "skip.w", None, False, "image")
ADD = Add("sum", "c1", True)
LAYERS: tuple[AnyLayer, ...] = (
    IMAGE, CONV, SKIP, ADD, MaxPool("max", (2, 2), (1, 2)), AveragePool("mean", (3, 1), (1, 1)),
    Flatten("flat"), Layer("fc", 9, 4, "fc.w", None, False),
)  # fmt: skip


def circuit(layers: tuple[AnyLayer, ...] = LAYERS) -> Circuit:
    start = Initialisation("seed", "start")
    return Circuit(layers, "cross_entropy", FixedPoint(), 4, 6, Sgd(((0, 3),)), "order", start)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(circuit().canonical_json())
    return found


def text(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_the_text_is_read_back() -> None:
    data = circuit().canonical_json()
    assert json.loads(data)["format"] == "zktrain-circuit-3"
    assert text(document()) == data
    assert Circuit.from_json(data) == circuit()


def test_dense_layers_state_their_kind() -> None:
    """As all others do."""
    dense = json.loads(circuit((Layer("fc", 9, 4, "fc.w", None, False),)).canonical_json())
    assert [layer.pop("kind") for layer in dense["layers"]] == ["Layer"]
    with pytest.raises(MalformedProof, match="kind"):
        Circuit.from_json(text(dense))


def test_sizes_follow_from_the_layers() -> None:
    plan = geometry(LAYERS)
    assert plan.extents == (
        Extent((), 96), Extent((8, 6), 2), Extent((4, 6), 3), Extent((4, 6), 3), Extent((4, 6), 3),
        Extent((3, 3), 3), Extent((1, 3), 3), Extent((), 9), Extent((), 4),
    )  # fmt: skip
    assert plan.sources == ((), (0,), (1,), (1,), (3, 2), (4,), (5,), (6,), (7,))
    assert circuit().parameter_shapes() == {
        "c1.w": (3, 3, 2, 3), "c1.b": (3,), "skip.w": (1, 1, 2, 3), "fc.w": (9, 4),
    }  # fmt: skip
    assert circuit().parameters == 54 + 3 + 6 + 36
    assert (circuit().features, circuit().classes) == (96, 4)


def with_layer(index: int, **fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["layers"][index] |= fields

    return change


def without(index: int, field: str) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        del value["layers"][index][field]

    return change


def tensor_with(**fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["tensors"][-1] |= fields

    return change


def other_map(value: dict[str, Any]) -> None:
    (op, *_) = [op for op in value["operations"] if op["kind"] == "UnitMap"]
    op["map"] = {"kind": "Before"}


def other_padding(value: dict[str, Any]) -> None:
    op = next(op for op in value["operations"] if op.get("map", {}).get("kind") == "Window")
    op["map"]["vertical"]["padding"] += 1


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no kind": (without(1, "kind"), "kind"),
    "other kind": (with_layer(1, kind="Deconvolution"), "kind"),
    "kind is a list": (with_layer(1, kind=[]), "kind"),
    "kind is an object": (with_layer(1, kind={}), "kind"),
    "kind is a number": (with_layer(1, kind=0), "kind"),
    "kind is nothing": (with_layer(1, kind=None), "kind"),
    "more": (with_layer(1, groups=1), "keys"),
    "less": (without(1, "padding"), "keys"),
    "pair": (with_layer(1, kernel=[3]), "pair"),
    "no pair": (with_layer(1, kernel=3), "pair"),
    "pair of texts": (with_layer(1, kernel=["3", "3"]), "integer"),
    "flag": (with_layer(1, relu=1), "true or false"),
    "source": (with_layer(2, source=3), "string"),
    "kernel 0": (with_layer(1, kernel=[0, 3]), "kernel"),
    "large kernel": (with_layer(1, kernel=[257, 3]), "kernel"),
    "stride 0": (with_layer(1, stride=[0, 1]), "stride"),
    "negative stride": (with_layer(4, stride=[1, -1]), "stride"),
    "padding as the kernel": (with_layer(1, padding=[3, 1]), "padding"),
    "negative padding": (with_layer(1, padding=[-1, 1]), "padding"),
    "channels": (with_layer(1, inputs=3), "channels"),
    "no channels": (with_layer(0, channels=0), "widths"),
    "huge image": (with_layer(0, height=65536), "along an axis"),
    "later source": (with_layer(2, source="mean"), "no layer before"),
    "own source": (with_layer(2, source="skip"), "no layer before"),
    "unknown operand": (with_layer(3, other="c9"), "no layer before"),
    "operand of another size": (with_layer(3, other="image"), "adds"),
    "unread output": (with_layer(3, other="skip"), "never read"),
    "inputs of the row": (with_layer(7, inputs=10), "inputs"),
    "ReLU at the end": (with_layer(7, relu=True), "without ReLU"),
    "one name twice": (with_layer(5, name="max"), "same name"),
    "one parameter twice": (with_layer(2, weight="c1.w"), "same name"),
    "parameter of a tensor's name": (with_layer(2, weight="u2"), "tensor of the step"),
    "unprintable": (with_layer(2, source="\n"), "name of layer 2"),
    "other grid": (tensor_with(grid=[1, 1]), "canonical"),
    "other taps": (tensor_with(taps=[2, 2]), "canonical"),
    "other map": (other_map, "canonical"),
    "other padding of a map": (other_padding, "canonical"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    change, message = REFUSED[name]
    value = document()
    change(value)
    with pytest.raises(MalformedProof, match=message):
        Circuit.from_json(text(value))


FIT: dict[str, tuple[tuple[AnyLayer, ...], str]] = {
    "no layer": ((), "no layer"),
    "image first": ((CONV,), "takes no records"),
    "row into a convolution": ((Layer("a", 4, 4, "a", None, True), CONV), "takes an image"),
    "image into a row": ((IMAGE, Layer("a", 96, 4, "a", None, True)), "an image of"),
    "flat twice": ((IMAGE, Flatten("f"), Flatten("g")), "takes an image"),
    "window too large": ((IMAGE, MaxPool("m", (16, 1), (1, 1))), "larger than its input"),
    "another image": ((Layer("a", 4, 4, "a", None, True), IMAGE), "takes a row of 96"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIT)
def test_layers_that_do_not_fit(name: str) -> None:
    layers, message = FIT[name]
    with pytest.raises(GeometryError, match=message):
        geometry(layers)


def test_windows_that_would_take_a_verifier_long() -> None:
    """A verifier's work for a map is the product of places and taps along an axis."""
    layers = (
        Unflatten("image", 1, 1, 1 << 16),
        replace(CONV, inputs=1, kernel=(1, 256), stride=(1, 1), padding=(0, 0)),
        Flatten("flat"), Layer("fc", 3 * 65281, 4, "fc.w", None, False),
    )  # fmt: skip
    with pytest.raises(GeometryError, match="along an axis"):
        geometry(layers)


def test_too_many_outputs() -> None:
    wide = replace(CONV, inputs=1, outputs=2, kernel=(1, 1), stride=(1, 1), padding=(0, 0))
    small = MaxPool("m", (2, 2), (2, 2))
    end = (Flatten("flat"), Layer("fc", 1 << 15, 4, "fc.w", None, False))
    large = (Unflatten("image", 1, 256, 256), wide, small, *end)
    assert "more than 65536 outputs" in str(canonical.violation(circuit(large)))


def test_four_readers_are_too_many() -> None:
    branches = [replace(SKIP, name=f"b{i}", weight=f"b{i}.w", source="image") for i in range(1, 4)]
    adds = [Add("s1", "b1", False), Add("s2", "b2", False)]
    end = (Flatten("flat"), Layer("fc", 72, 4, "fc.w", None, False))
    three = (IMAGE, *branches, *adds, *end)
    assert canonical.violation(circuit(three)) is None
    fourth = replace(SKIP, name="b4", weight="b4.w", source="image")
    four = (IMAGE, *branches, fourth, *adds, Add("s3", "b3", False), *end)
    assert "more than 3 layers read" in str(canonical.violation(circuit(four)))


def test_errors_pass_through_an_image_in_the_middle() -> None:
    """Every trained layer has its update, and errors are not lost on one of two ways back."""
    layers = (
        Layer("a", 4, 9, "a.w", "a.b", True), Unflatten("i", 1, 3, 3),
        Convolution("c", 1, 1, (3, 3), (1, 1), (1, 1), "c.w", None, False), Flatten("f"),
        Add("s", "a", True), Layer("o", 9, 3, "o.w", None, False),
    )  # fmt: skip
    graph = circuit(layers).graph()
    assert [op.weight for op in graph.operations if isinstance(op, Accumulate)] == [
        "o.w", "c.w", "a.w",
    ]  # fmt: skip
    (arrived,) = [op for op in graph.operations if getattr(op, "output", "") == "g1"]
    assert isinstance(arrived, Linear) and len(arrived.terms) == 2
    assert canonical.violation(circuit(layers)) is None


def test_a_trained_layer_without_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a backward pass with a gap would make of a circuit is refused."""
    base = circuit()
    other = replace(base, frozen=("c1",)).graph()
    monkeypatch.setattr(Circuit, "graph", lambda self: other)
    assert "no gradient reaches layer 'c1'" in str(canonical.violation(base))


@pytest.mark.parametrize(("side", "fits"), [(256, True), (209, False), (128, True), (200, False)])
def test_means_of_very_many_values(side: int, *, fits: bool) -> None:
    """``2^16 / taps`` is rounded: of 40,000 values the mean would be 22 % too large."""
    layers = (
        Unflatten("i", 1, 256, 256), AveragePool("mean", (side, side), (side, side)),
        Flatten("f"), Layer("fc", (256 // side) ** 2, 4, "fc.w", None, False),
    )  # fmt: skip
    problem = canonical.violation(circuit(layers))
    assert problem is None if fits else "would be off by" in str(problem)


def test_softmax_over_one_class() -> None:
    layers = (Layer("fc", 9, 1, "fc.w", None, False),)
    assert "a softmax over one class is constant" in str(canonical.violation(circuit(layers)))
    for loss in ("mse", "binary_cross_entropy"):
        assert canonical.violation(replace(circuit(layers), loss=loss)) is None


def test_a_curve_that_there_is_not() -> None:
    problem = Activation("g", "softplus").violation(1)
    assert problem is not None and "the function of layer 'g' must be one of" in problem


def test_odd_values_anywhere() -> None:
    """A value of any other type, in any place, in circuits of all layers and optimizers."""
    curves = (IMAGE, Activation("g", "gelu"), *LAYERS[1:])
    filtered = replace(
        circuit(curves), fixed_point=FilteredSgd.FORMAT, frozen=("c1",), drop_last=True,
        optimizer=FilteredSgd(((0, 3 << 20), (2, 1 << 20)), 1 << 39, True, 0, 2),
    )  # fmt: skip
    for data in (circuit((LAYERS[-1],)).canonical_json(), filtered.canonical_json()):
        assert Circuit.from_json(data).canonical_json() == data
        value = json.loads(data)
        for derived in ("tensors", "operations"):  # their middle is compared as bytes alone
            value[derived] = value[derived][:1]
        for odd in odd_texts(value):
            with pytest.raises(MalformedProof):
                Circuit.from_json(odd)


def test_a_dense_layer_before_others_has_a_relu() -> None:
    layers = (Layer("a", 4, 96, "a.w", None, False), IMAGE, CONV, Flatten("f"),
              Layer("fc", 72, 4, "fc.w", None, False))  # fmt: skip
    assert "has no activation" in str(canonical.violation(circuit(layers)))
    fixed = (replace(layers[0], relu=True), *layers[1:])
    assert canonical.violation(circuit(fixed)) is None
