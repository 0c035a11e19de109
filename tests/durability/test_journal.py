"""A proof that was interrupted goes on from its journal, with the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from commands import prepare

import zktrain
from zktrain.disk import journal_of
from zktrain.prover import journal as journals
from zktrain.prover.arguments import lookup
from zktrain.prover.commitment import opening
from zktrain.prover.journal import Journal, Make, Read
from zktrain.prover.transcript.channel import ProverChannel

SEED = bytes(range(32))
Prove = Callable[[Path], Path]


class Killed(BaseException):
    """In the place of a signal."""


def training(root: Path) -> Path:
    return zktrain.prove(root / "run").path


def training_in_clear(root: Path) -> Path:
    return zktrain.prove(root / "run", zero_knowledge=False).path


def evaluation(root: Path) -> Path:
    return zktrain.prove_eval(
        root / "run" / "weights.safetensors",
        circuit=root / "tiny.circuit.json",
        data=root / "test.npz",
        dataset=root / "test.zkd",
        out=root / "eval.zkt",
    ).path


PROOFS: dict[Prove, str] = {
    training: "run/proof.zkt",
    training_in_clear: "run/proof.zkt",
    evaluation: "eval.zkt",
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("journal")
    prepare(root)
    zktrain.commit(root / "test.npz", out=root / "test.zkd", like=root / "data.zkd")
    return root


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "root"))


@pytest.fixture(autouse=True)
def _known_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "new_secret", lambda: SEED)
    monkeypatch.setattr(journals, "PAUSE", 0.0)


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Prove, bytes]:
    """Bytes of every proof with the known seed."""
    out = {}
    for number, prove in enumerate(PROOFS):
        folder = tmp_path_factory.mktemp("undisturbed") / str(number)
        root = Path(shutil.copytree(prepared, folder))
        with mock.patch.object(journals, "new_secret", return_value=SEED):
            out[prove] = prove(root).read_bytes()
    return out


def interrupted(root: Path, prove: Prove, stages: int) -> Path:
    """The journal of a proof that was killed when so many stages were kept."""
    keep, kept = Journal._keep, []

    def killing(self: Journal, stage: bytes) -> None:
        if len(kept) == stages:
            raise Killed
        kept.append(stage)
        keep(self, stage)

    with mock.patch.object(Journal, "_keep", killing), pytest.raises(Killed):
        prove(root)
    return journal_of(root / PROOFS[prove])


@pytest.mark.parametrize("stages", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("prove", PROOFS, ids=lambda prove: prove.__name__)
def test_it_goes_on_with_the_same_bytes(
    root: Path, undisturbed: dict[Prove, bytes], prove: Prove, stages: int
) -> None:
    journal = interrupted(root, prove, stages)
    assert stat.S_IMODE(os.stat(journal).st_mode) == 0o600
    with mock.patch.object(lookup, "prove", side_effect=lookup.prove) as looked_up:
        found = prove(root)
    assert looked_up.called == (stages < 2)
    assert found.read_bytes() == undisturbed[prove]
    assert not journal.exists()


def test_every_stage_is_read_back(root: Path, undisturbed: dict[Prove, bytes]) -> None:
    """Killed in the opening: lookups and all operations are read."""
    with mock.patch.object(opening, "prove", side_effect=Killed), pytest.raises(Killed):
        training(root)
    made: list[bool] = []
    stage = Journal.stage

    def staged(journal: Journal, channel: ProverChannel, make: Make, read: Read | None) -> None:
        before = journal.recalled
        stage(journal, channel, make, read)
        made.append(journal.recalled == before)

    with mock.patch.object(Journal, "stage", staged):
        assert training(root).read_bytes() == undisturbed[training]
    assert made[0] and not any(made[1:]) and len(made) > 15


def test_what_was_cut_off_is_made_again(root: Path, undisturbed: dict[Prove, bytes]) -> None:
    journal = interrupted(root, training, 4)
    whole = journal.read_bytes()
    for left in (0, 40, 63, 64, 70, 200, len(whole) - 33, len(whole) - 1):
        journal.write_bytes(whole[:left])
        assert training(root).read_bytes() == undisturbed[training]
        (root / "run/proof.zkt").unlink()
    more = bytearray(whole)
    more[-40] ^= 1
    journal.write_bytes(more)
    assert training(root).read_bytes() == undisturbed[training]


def _stages(data: bytes) -> list[bytes]:
    at, out = 64, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        out.append(data[at + 8 : at + 8 + size])
        at += 8 + size + 32
    return out


def _framed(stage: bytes) -> bytes:
    return len(stage).to_bytes(8, "little") + stage + hashlib.sha256(stage).digest()


@pytest.mark.parametrize("prove", PROOFS, ids=lambda prove: prove.__name__)
@pytest.mark.parametrize("damaged", [0, 1, 2, 5])
def test_other_messages_under_a_seed_are_thrown_away_with_it(
    root: Path, undisturbed: dict[Prove, bytes], prove: Prove, damaged: int
) -> None:
    """A seed answers one transcript: whoever finds another one begins with a new seed."""
    journal = interrupted(root, prove, 9)
    data = journal.read_bytes()
    stages = [bytearray(stage) for stage in _stages(data)]
    while not stages[damaged]:
        damaged += 1
    stages[damaged][8 if damaged else 0] ^= 1
    journal.write_bytes(data[:64] + b"".join(_framed(bytes(stage)) for stage in stages))
    seeds = [bytes(32)]
    with mock.patch.object(journals, "new_secret", seeds.pop):
        found = prove(root).read_bytes()
    assert not seeds
    assert (found == undisturbed[prove]) == (prove is training_in_clear)


def test_another_statement_has_another_seed(root: Path) -> None:
    journal = interrupted(root, training, 3)
    seeds = [bytes(32)]
    with mock.patch.object(journals, "new_secret", seeds.pop):
        assert training_in_clear(root)
    assert not seeds and not journal.exists()


def test_the_seed_is_gone_before_the_proof_has_its_name(root: Path) -> None:
    journal, proof, replace = journal_of(root / "run/proof.zkt"), root / "run/proof.zkt", os.replace
    seen: list[bool] = []

    def replacing(source: str, target: str) -> None:
        if os.path.realpath(target) == os.path.realpath(proof):
            seen.append(journal.exists())
        replace(source, target)

    with mock.patch.object(os, "replace", replacing):
        training(root)
    assert seen == [False]


def test_no_two_proofs_have_one_seed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    first = training(root).read_bytes()
    (root / "run/proof.zkt").unlink()
    assert training(root).read_bytes() != first
