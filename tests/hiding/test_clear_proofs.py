"""A proof in clear on a commitment that hides leaves a mark, and later proofs hear of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_run import write_data, write_recipe

import zktrain
import zktrain.prove
from zktrain.dataset import secret_file


@pytest.fixture
def run(tmp_path: Path) -> Path:
    recipe, data = write_recipe(tmp_path), write_data(tmp_path / "data.npz")
    zktrain.commit(data, out=tmp_path / "data.zkd")
    zktrain.train(recipe, data=data, out=tmp_path / "run", dataset=tmp_path / "data.zkd")
    return tmp_path / "run"


def _clear(run: Path) -> bool:
    return secret_file.read(secret_file.secret_path(run.parent / "data.zkd")).clear


def test_proofs_after_one_in_clear_are_warned_of(run: Path) -> None:
    first = zktrain.prove(run, out=run / "first.zkt")
    assert first.zero_knowledge and not first.warnings and not _clear(run)
    clear = zktrain.prove(run, out=run / "clear.zkt", zero_knowledge=False)
    assert _clear(run) and "no later proof on this commitment can hide" in clear.warnings[0]
    hidden = zktrain.prove(run, out=run / "hidden.zkt")
    assert hidden.zero_knowledge and "was made on this commitment before" in hidden.warnings[0]


def test_an_evaluation_in_clear_is_remembered_too(run: Path) -> None:
    asked = {
        "circuit": run / "circuit.json",
        "data": run.parent / "data.npz",
        "dataset": run.parent / "data.zkd",
    }
    weights = run / "weights.safetensors"
    clear = zktrain.prove_eval(weights, **asked, out=run / "clear.zkt", zero_knowledge=False)
    assert clear.warnings and _clear(run)
    hidden = zktrain.prove_eval(weights, **asked, out=run / "hidden.zkt")
    assert "was made on this commitment before" in hidden.warnings[0]
    for made, said in ((clear, True), (hidden, False)):
        verdict = zktrain.verify_eval(weights, proof=made.path, dataset=asked["dataset"])
        found = any("cannot take that back" in warning for warning in verdict.warnings)
        assert found is said


def test_the_mark_is_there_before_anything_is_revealed(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["zktrain.prove"], "_segments", stop)
    with pytest.raises(KeyboardInterrupt):
        zktrain.prove(run, zero_knowledge=False)
    assert _clear(run)
