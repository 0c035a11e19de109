"""One fault each: what only this check refuses, and what is accepted when it alone is gone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from check_sites import refused_by
from iris_run import LOGROWS, IrisProof

from zktrain.circuit.circuit import Circuit
from zktrain.errors import InputError, MalformedProof, RecipeError
from zktrain.ezkl import bundle as wire
from zktrain.ezkl import field, keys, memory, native, reference, step
from zktrain.ezkl.folders import private_folder
from zktrain.ezkl.native import EzklFailure, Native
from zktrain.ezkl.parameters import LOGROWS as ROWS
from zktrain.ezkl.parameters import Parameters
from zktrain.ezkl.reference import open_srs
from zktrain.ezkl.srs.curve import R
from zktrain.ezkl.statement import MAX_BYTES, MAX_STEPS, EzklStatement

ROOT = Path(__file__).resolve().parents[2]
IRIS = Circuit.from_json((ROOT / "circuits" / "iris-mlp-8.circuit.json").read_bytes())
LENET = Circuit.from_json((ROOT / "circuits" / "fashion-lenet5.circuit.json").read_bytes())
PARAMETERS = Parameters(12, 12)
Attack = Callable[[], object]


def missing(name: str, patch: pytest.MonkeyPatch) -> None:
    """As if a library was not installed."""
    patch.setattr("zktrain.extras.is_there", lambda module: module != name)


# Elements, parameters, statements, bundles.


@pytest.mark.parametrize("data", [bytes(31), R.to_bytes(32, "little")], ids=["short", "r"])
def test_elements_that_are_not_canonical(data: bytes) -> None:
    with pytest.raises(ValueError, match="canonical"):
        field.integer(data)


def described(iris: IrisProof, **changes: Any) -> Attack:
    """The statement's text with other fields, sorted as the canonical one is."""
    statement = iris.bundle.statement
    fields = {**json.loads(statement.to_json()), **changes}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return lambda: EzklStatement.from_json(text, statement.circuit, statement.dataset)


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("isinstance(text, str)", {"initial": ["0"] * 64}),
        ("len(text) != 64", {"final": "00" * 31}),
        ("set(text) - _HEX", {"srs": "G" * 64}),
        ("parameters.problem()", {"scale": 17}),
    ],
    ids=["no text", "short", "no digits", "parameters"],
)
def test_statements(iris: IrisProof, check: str, changes: dict[str, Any]) -> None:
    refused_by(
        f"ezkl.statement.EzklStatement.from_json: {check}",
        described(iris, **changes),
        MalformedProof,
    )


def test_a_statement_of_another_version(iris: IrisProof) -> None:
    with pytest.raises(MalformedProof, match="another version of ezkl"):
        described(iris, ezkl="1.0")()


def test_a_statement_that_is_not_canonical(iris: IrisProof) -> None:
    refused_by(
        "ezkl.statement.EzklStatement.from_json: statement.to_json() != data",
        described(iris, circuit="00" * 32),
        MalformedProof,
    )


def test_a_statement_that_is_too_long(iris: IrisProof) -> None:
    statement = iris.bundle.statement
    with pytest.raises(MalformedProof, match="too long"):
        EzklStatement.from_json(bytes(MAX_BYTES + 1), statement.circuit, statement.dataset)


def test_a_statement_that_is_no_text(iris: IrisProof) -> None:
    statement = iris.bundle.statement
    for data in (b"{", b"[" * 4000, b"{}", b"3", b"\xff"):
        with pytest.raises(MalformedProof):
            EzklStatement.from_json(data, statement.circuit, statement.dataset)


@pytest.mark.parametrize("scale", [9, 17, 12.0], ids=str)
def test_parameters_out_of_range(scale: int) -> None:
    assert PARAMETERS.problem() is None
    assert Parameters(scale, 12).problem() is not None


def unprovable(iris: IrisProof, name: str) -> bytes:
    statement = iris.bundle.statement
    circuit, dataset = statement.circuit, statement.dataset
    if name == "frozen":
        circuit = replace(circuit, frozen=("fc1",))
    elif name == "steps":
        circuit = replace(circuit, steps=MAX_STEPS + 1)
    elif name == "sizes":
        dataset = replace(dataset, features=5)
    elif name == "hiding":
        dataset = replace(dataset, openings=64)
    return replace(
        iris.bundle, statement=replace(statement, circuit=circuit, dataset=dataset)
    ).to_bytes()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("frozen", "has frozen layers"),
        ("steps", "more than 65,536 steps"),
        ("sizes", "dataset and network have other sizes"),
        ("hiding", "commitment hides"),
    ],
)
def test_bundles_that_no_prover_writes(iris: IrisProof, name: str, said: str) -> None:
    with pytest.raises(MalformedProof, match=f"no such bundle is made: .*{said}"):
        wire.parse(unprovable(iris, name))


# Keys and what ezkl says of a circuit.


def said_by_ezkl(**changes: Any) -> dict[str, Any]:
    count = 2 * len(IRIS.parameter_shapes()) + 3
    return {"scales": [12, 12], "instances": count, "plain_instances": [], **changes}


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("scales !=", {"scales": [12, 13]}),
        ("['instances'] != count", {"instances": 3}),
        ("['plain_instances']", {"plain_instances": [[1]]}),
    ],
    ids=["scales", "instances", "plain"],
)
def test_circuits_whose_steps_do_not_chain(check: str, changes: dict[str, Any]) -> None:
    refused_by(
        f"ezkl.keys._check: {check}",
        lambda: keys._check(said_by_ezkl(**changes), IRIS, PARAMETERS),
        RecipeError,
    )


class Told:
    """In the place of ``Native``: ezkl says this of every circuit."""

    def __init__(self, **changes: Any) -> None:
        self.said = said_by_ezkl(rows=1000, **changes)

    def export(self, circuit: Circuit) -> bytes:
        return b"onnx"

    def call(self, name: str, **arguments: Any) -> Any:
        return self.said


def test_settings_are_looked_at(tmp_path: Path) -> None:
    refused_by(
        "ezkl.keys._settings: call _check",
        lambda: keys._settings(IRIS, PARAMETERS, 12, Told(scales=[1]), tmp_path),  # type: ignore[arg-type]
        RecipeError,
    )


def test_a_step_of_more_rows_than_any_set_up(tmp_path: Path) -> None:
    told: Any = Told()
    assert keys.rows_of(IRIS, PARAMETERS, told, tmp_path) == 11
    told.said["rows"] = (1 << ROWS[1]) + 1
    refused_by(
        "ezkl.keys.rows_of: found > LOGROWS[1]",
        lambda: keys.rows_of(IRIS, PARAMETERS, told, tmp_path),
        RecipeError,
    )


@pytest.fixture
def making(iris: IrisProof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache, and keys that are made in no time, of nothing."""
    made: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    iris.remember()
    monkeypatch.setattr(keys, "_make", lambda *_: made.append("keys"))
    monkeypatch.setattr(keys, "rows_of", lambda *_: LOGROWS)
    return made


def derived(iris: IrisProof, circuit: Circuit | None = None, **changes: Any) -> Attack:
    def derive() -> object:
        with Native() as ezkl:
            return keys.derive(
                circuit or iris.bundle.statement.circuit,
                PARAMETERS,
                open_srs(iris.srs, unchecked=False),
                ezkl,
                **{"proving": True, **changes},
            )

    return derive


CHANGED = "were changed while they were made"


def test_keys_that_are_changed_while_they_are_made(iris: IrisProof, making: list[str]) -> None:
    with pytest.raises(InputError, match=CHANGED):
        derived(iris)()
    assert making


def test_keys_of_a_circuit_that_cannot_be_proved(iris: IrisProof, making: list[str]) -> None:
    with pytest.raises(RecipeError, match="not dense"):
        derived(iris, LENET)()
    assert not making


def test_keys_that_take_a_longer_srs(
    iris: IrisProof, making: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "rows_of", lambda *_: LOGROWS + 1)
    with pytest.raises(InputError, match=rf"needs 2\^{LOGROWS + 1}"):
        derived(iris)()
    assert not making


def test_keys_that_take_more_memory(iris: IrisProof, making: list[str]) -> None:
    with pytest.raises(InputError, match=r"GB of memory, and 0\.1 GB are available"):
        derived(iris, memory=10**8)()
    assert not making


def test_memory_that_there_is_not() -> None:
    refused_by(
        "ezkl.memory.require_memory: available is not None",
        lambda: memory.require_memory(20, 10**9, proving=True),
        InputError,
    )


# The process that runs ezkl.


@pytest.mark.parametrize("version", ["1.2.3", "23.0.4"])
def test_no_process_runs_another_version(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ezkl")
    monkeypatch.setattr(native, "EZKL_VERSION", version)
    with pytest.raises(InputError, match=f"needs ezkl {version}"):
        Native()


def test_the_version_is_looked_at_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zktrain.ezkl import verify

    monkeypatch.setattr(native, "EZKL_VERSION", "1.2.3")
    nothing = tmp_path / "nothing"
    with pytest.raises(InputError, match=r"pip install"):
        verify(nothing, proof=nothing, dataset="00" * 32, data=nothing, srs=nothing)


def test_ezkl_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing("ezkl", monkeypatch)
    with pytest.raises(InputError, match=r"needs ezkl, which is not installed"):
        native.require_ezkl()


def test_numba_is_named_where_it_is_missing(
    iris: IrisProof, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing("numba", monkeypatch)
    with pytest.raises(InputError, match="computing the dataset's root needs numba"):
        iris.verify()


@pytest.mark.parametrize("circuit", ["native", "step"])
def test_no_step_of_other_layers_is_exported(circuit: str) -> None:
    pytest.importorskip("ezkl")
    with pytest.raises(RecipeError, match="not dense"), Native() as ezkl:
        ezkl.export(LENET) if circuit == "native" else step.export(LENET)


@pytest.mark.parametrize("caller", ["native", "step"])
def test_torch_is_named_where_it_is_missing(caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ezkl")
    missing("torch", monkeypatch)
    monkeypatch.setattr("zktrain.ezkl.step_module.export_step", lambda *_: b"", raising=False)
    with pytest.raises(InputError, match="exporting the step needs torch"), Native() as ezkl:
        monkeypatch.setattr(ezkl, "call", lambda *_, **__: None)
        ezkl.export(IRIS) if caller == "native" else step.export(IRIS)


def test_a_process_that_ends_without_an_answer() -> None:
    pytest.importorskip("ezkl")
    with Native() as ezkl:
        ezkl.call("hashes", tensors=[[1]])
        assert ezkl.pid is not None
        os.kill(ezkl.pid, signal.SIGKILL)
        with pytest.raises(EzklFailure, match="was killed"):
            ezkl.call("hashes", tensors=[[1]])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_is_an_exception(tmp_path: Path, number: int) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended, private_folder(tmp_path):
            signal.raise_signal(number)
            signal.raise_signal(number)
        assert ended.value.code == 128 + number
    finally:
        signal.signal(number, before)


# The reference string.


def test_a_copy_of_the_srs_that_cannot_be_written(iris: IrisProof, tmp_path: Path) -> None:
    found = open_srs(iris.srs, unchecked=False)
    with pytest.raises(InputError, match="cannot be copied to"):
        found.copied(tmp_path / "missing" / "copy")


def srs_of(path: Path, logrows: int, size: int) -> Path:
    path.write_bytes(logrows.to_bytes(4, "little"))
    os.truncate(path, size)
    return path


def test_an_srs_of_one_power(tmp_path: Path) -> None:
    path = srs_of(tmp_path / "x", 0, reference.file_bytes(0))
    refused_by(
        "ezkl.reference.open_srs: not 1 <= logrows",
        lambda: open_srs(path, unchecked=True),
        InputError,
    )


def test_an_srs_of_another_size(tmp_path: Path) -> None:
    path = srs_of(tmp_path / "x", 3, reference.file_bytes(3) + 1)
    refused_by(
        "ezkl.reference.open_srs: found.size",
        lambda: open_srs(path, unchecked=True),
        InputError,
    )


def test_an_srs_that_says_it_is_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No number of its size is computed."""
    path = srs_of(tmp_path / "x", 1 << 31, 1000)
    sizes: list[int] = []
    monkeypatch.setattr(reference, "file_bytes", lambda logrows: sizes.append(logrows) or 1)
    with pytest.raises(InputError, match="is no SRS"):
        open_srs(path, unchecked=True)
    assert not sizes
