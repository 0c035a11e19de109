"""Whatever is given to a public function, only a ``ZktrainError`` or a ``TypeError`` that names the
argument comes back."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.mark.structures import ParameterSet
from tiny_run import TinyBundle, write_data

import zktrain
import zktrain.ezkl
from zktrain.errors import InputError, ZktrainError

FUNCTIONS = {
    **{name: getattr(zktrain, name) for name in zktrain.__all__},
    **{f"ezkl.{name}": getattr(zktrain.ezkl, name) for name in zktrain.ezkl.__all__},
}
FUNCTIONS = {name: verb for name, verb in FUNCTIONS.items() if inspect.isfunction(verb)}
ODD: dict[str, Any] = {
    "None": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "three": 3,
    "huge": 10**30,
    "half": 0.5,
    "no number": float("nan"),
    "no text": "",
    "word": "nonsense",
    "size": "8GB",
    "null byte": "a\0b",
    "surrogate": "\ud800",
    "long name": "x" * 300,
    "long path": "x/" * 3000,
    "parent": "..",
    "device": "/dev/zero",
    "colon": ":test",
    "root": "00" * 32,
    "bytes": b"x.npz",
    "list": [],
    "dict": {"a": 1},
    "tuple": ("x", "y"),
    "array": np.zeros(3),
    "number of numpy": np.int64(3),
    "object": object(),
    "class": Path,
    "function": print,
    "set": {1},
}


def test_the_functions_are_those_of_the_package() -> None:
    assert set(FUNCTIONS) == {
        *("bench", "commit", "compile", "inspect"),
        *("prove", "prove_eval", "train", "verify", "verify_eval"),
        *("ezkl.inspect", "ezkl.prove", "ezkl.verify"),
    }


def good(tiny: TinyBundle, folder: Path) -> dict[str, dict[str, Any]]:
    """Arguments that work, or fail late, for every function."""
    data = folder / "data.npz"
    write_data(data, seed=9, records=10)
    verifying = {"weights": tiny.weights, "proof": tiny.proof, "dataset": tiny.dataset}
    return {
        "bench": {"plan": "nothing", "out": folder / "bench"},
        "commit": {"data": data, "out": folder / "x.zkd", "public": True},
        "compile": {"recipe": tiny.recipe, "out": folder / "x.json"},
        "inspect": {"path": tiny.proof},
        "ezkl.inspect": {"path": tiny.proof},
        "prove": {"run": tiny.run, "out": folder / "x.zkt"},
        "prove_eval": {
            "weights": tiny.weights,
            "circuit": tiny.circuit,
            "data": data,
            "zero_knowledge": False,
            "out": folder / "eval.zkt",
        },
        "ezkl.prove": {"run": tiny.run, "srs": tiny.proof, "out": folder / "x.zkt"},
        "train": {"recipe": tiny.recipe, "data": tiny.data, "out": folder / "run"},
        "verify": verifying,
        "verify_eval": verifying,
        "ezkl.verify": {**verifying, "data": tiny.data, "srs": tiny.proof},
    }


LONG = ("bench", "prove", "prove_eval", "train")
"""With values that they take, they run as a whole."""


def odd_arguments() -> Iterator[ParameterSet]:
    for function in FUNCTIONS:
        marks = [pytest.mark.slow("runs for every value that fits")] if function in LONG else []
        for name in inspect.signature(FUNCTIONS[function]).parameters:
            yield pytest.param(function, name, marks=marks)


@pytest.mark.parametrize(("function", "name"), list(odd_arguments()))
def test_odd_values(
    function: str,
    name: str,
    tiny_bundle: TinyBundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One argument at a time; values that the function takes are no matter."""
    verb: Callable[..., Any] = FUNCTIONS[function]
    annotation = str(inspect.signature(verb).parameters[name].annotation)
    monkeypatch.chdir(tmp_path)
    for label, value in ODD.items():
        folder = tmp_path / label
        folder.mkdir()
        if function == "bench" and annotation != "Plan | str" and label in ("word", "three"):
            continue
        if annotation in ("Progress", "Planned") and label in ("class", "function"):
            continue  # what a callback raises is its own
        with suppress(ZktrainError):
            try:
                verb(**{**good(tiny_bundle, folder)[function], name: value})
            except TypeError as error:
                text = str(error)
                assert f"{verb.__name__}: {name} must be" in text, (label, text)
        shutil.rmtree(folder)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_missing_and_unknown_arguments_are_named(function: str) -> None:
    verb = FUNCTIONS[function]
    with pytest.raises(TypeError, match="'nonsense'"):
        verb(**dict.fromkeys(inspect.signature(verb).parameters, None), nonsense=1)
    for name, parameter in inspect.signature(verb).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            with pytest.raises(TypeError, match=f"'{name}'"):
                verb()
            break


def test_the_cases_that_were_found(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    compiled = zktrain.compile(tiny_bundle.recipe)
    with pytest.raises(TypeError, match="verify: circuit must be a str or a Path or None, not Com"):
        zktrain.verify(
            tiny_bundle.weights,
            proof=tiny_bundle.proof,
            dataset=tiny_bundle.dataset,
            circuit=compiled,  # type: ignore[arg-type]
        )
    with pytest.raises(TypeError, match="prove: memory must be an int or None, not str"):
        zktrain.prove(tiny_bundle.run, memory="8GB")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="progress must be a function"):
        zktrain.commit(tiny_bundle.data, public=True, progress=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data must be a str or a Path, not ndarray"):
        zktrain.commit(np.zeros((2, 2)), public=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="compile: out is empty"):
        zktrain.compile(tiny_bundle.recipe, out="")


@pytest.mark.parametrize("threads", ["abc", "0", "-1", "1.5", "9" * 20, "\u0663"])
def test_threads_that_are_no_number(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from zktrain.machine import thread_count

    monkeypatch.setenv("ZKTRAIN_THREADS", threads)
    with pytest.raises(InputError, match="ZKTRAIN_THREADS is"):
        thread_count.__wrapped__()
