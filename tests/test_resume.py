"""Interrupted proving begins again, keeps what is finished, and opens nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TinyBundle, write_data, write_recipe

import zktrain
from zktrain import disk
from zktrain.dataset.public_file import read_public
from zktrain.errors import InputError, StatementMismatch
from zktrain.locks import locked
from zktrain.prover.dataset import secret_file
from zktrain.prover.protocol import proof


@pytest.fixture
def run(tiny_bundle: TinyBundle, tmp_path: Path) -> Path:
    """A copy of a finished run without its proof."""
    copy = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, copy)
    for bundle in copy.glob("*.zkt"):
        bundle.unlink()
    return copy


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are really proved from now on."""
    made: list[str] = []
    honest: Callable[..., Any] = proof.prove

    def counting(statement: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(statement.digest.hex())
        return honest(statement, *args, **kwargs)

    monkeypatch.setattr(proof, "prove", counting)
    return made


def _spent(tiny_bundle: TinyBundle) -> secret_file.Secret:
    return secret_file.read(secret_file.secret_path(tiny_bundle.dataset))


def _accepted(bundle: TinyBundle, path: Path) -> None:
    assert zktrain.verify(bundle.weights, proof=path, dataset=bundle.dataset).zero_knowledge


def test_an_interruption_opens_nothing(
    tiny_bundle: TinyBundle, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is tried; no proof is left behind, and the next try finishes."""
    before = _spent(tiny_bundle)

    def stopped(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(proof, "prove", stopped)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                zktrain.prove(run)
    assert (
        not list(run.glob("*.zkt"))
        and not disk.is_waiting(run / "proof.zkt")
        and _spent(tiny_bundle) == before
    )
    _accepted(tiny_bundle, zktrain.prove(run).path)
    assert len(_spent(tiny_bundle).opened) == len(before.opened) + 1


def test_a_counted_proof_gets_its_name_later(
    tiny_bundle: TinyBundle, run: Path, monkeypatch: pytest.MonkeyPatch, proved: list[str]
) -> None:
    """Stopped when the proof was counted and had no name yet: the same bytes get it, and nothing
    is counted twice."""
    honest = disk.publish

    def stopped(path: Path, data: bytes, count: Callable[[str], None], **rest: bool) -> None:
        def count_and_stop(opened: str) -> None:
            count(opened)
            raise KeyboardInterrupt

        honest(path, data, count_and_stop, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "publish", stopped)
        with pytest.raises(KeyboardInterrupt):
            zktrain.prove(run)
    assert len(proved) == 1 and not (run / "proof.zkt").exists()
    counted = _spent(tiny_bundle)
    _accepted(tiny_bundle, zktrain.prove(run).path)
    assert len(proved) == 1 and _spent(tiny_bundle) == counted


def test_a_run_is_proved_once(tiny_bundle: TinyBundle, run: Path, proved: list[str]) -> None:
    """The same command again keeps the proof and opens nothing."""
    shutil.copy(tiny_bundle.proof, run / "proof.zkt")
    before = _spent(tiny_bundle)
    made = zktrain.prove(run).path.read_bytes()
    assert made == tiny_bundle.proof.read_bytes() and proved == []
    assert _spent(tiny_bundle) == before


@pytest.mark.parametrize("damage", ["truncated", "flipped", "in clear"])
def test_a_proof_that_is_not_accepted_is_made_again(
    tiny_bundle: TinyBundle, run: Path, proved: list[str], damage: str
) -> None:
    """One that does not verify, or proves another statement."""
    data = tiny_bundle.proof.read_bytes()
    path = run / "proof.zkt"
    if damage == "in clear":
        zktrain.prove(run, zero_knowledge=False)
        proved.clear()
    else:
        cut = (
            data[:-100] if damage == "truncated" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
        )
        path.write_bytes(cut)
    assert zktrain.prove(run).path == path
    assert len(proved) == 1
    _accepted(tiny_bundle, path)


def test_the_dataset_is_not_opened_too_often(tmp_path: Path, proved: list[str]) -> None:
    """Sized for the certificate and one proof; positions left over may do for another. That it
    cannot be opened any more is said before anything is proved."""
    data, recipe = write_data(tmp_path / "data.npz"), write_recipe(tmp_path)
    dataset, run = tmp_path / "data.zkd", tmp_path / "run"
    zktrain.commit(data, out=dataset, openings=1)
    zktrain.train(recipe, data=data, out=run, dataset=dataset)
    zktrain.prove(run)
    spent = secret_file.read(secret_file.secret_path(dataset))
    assert spent.positions > 0
    with pytest.raises(InputError, match="is used up"):
        for number in range(4):
            proved.clear()
            zktrain.prove(run, out=tmp_path / f"again-{number}.zkt")
            spent = secret_file.read(secret_file.secret_path(dataset))
    assert proved == []
    assert secret_file.read(secret_file.secret_path(dataset)) == spent
    assert spent.positions <= read_public(dataset)[0].tail


def test_broken_files_of_the_user_are_not_judged(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """A damaged dataset file or circuit says nothing about the proof."""
    broken = tmp_path / "broken"
    broken.write_bytes(tiny_bundle.dataset.read_bytes()[:50])
    arguments: dict[str, Any] = {"proof": tiny_bundle.proof, "dataset": tiny_bundle.dataset}
    for name in ("dataset", "circuit"):
        with pytest.raises(InputError, match=name):
            zktrain.verify(tiny_bundle.weights, **{**arguments, name: broken})


def test_bits_of_security_can_be_demanded(tiny_bundle: TinyBundle) -> None:
    """The tiny bundle is made for 100 bits."""
    with pytest.raises(StatementMismatch, match="fewer bits"):
        zktrain.verify(
            tiny_bundle.weights,
            proof=tiny_bundle.proof,
            dataset=tiny_bundle.dataset,
            min_security_bits=101,
        )


def test_two_processes_do_not_prove_one_run(run: Path) -> None:
    """Both would write its proof."""
    with locked(run), pytest.raises(InputError, match="another process trains or proves it"):
        zktrain.prove(run)
