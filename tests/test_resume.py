"""Interrupted proving goes on where it stopped, and does not trust what it finds."""

from __future__ import annotations

import json
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
from zktrain.protocol.bundle import Bundle, parse
from zktrain.protocol.statement import BOUNDARY_OPENINGS
from zktrain.prover.dataset import secret_file
from zktrain.prover.protocol import segment


@pytest.fixture
def run(tiny_bundle: TinyBundle, tmp_path: Path) -> Path:
    """A copy of a finished run of two proved segments, without its bundle."""
    copy = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, copy)
    for bundle in copy.glob("*.zkt"):
        bundle.unlink()
    assert _segments(copy) == ["segment-00000.bin", "segment-00001.bin"]
    return copy


def _segments(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "segments").glob("segment-*.bin"))


def _accepted(bundle: TinyBundle, proof: Path) -> Bundle:
    """The bundle, which verifies; hiding ones never have the same bytes again."""
    verdict = zktrain.verify(bundle.weights, proof=proof, dataset=bundle.dataset)
    assert verdict.zero_knowledge
    return parse(proof.read_bytes())


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The segments that are really proved from now on."""
    indices: list[int] = []
    honest: Callable[..., Any] = segment.prove

    def counting(statement: Any, header: Any, *args: Any, **kwargs: Any) -> Any:
        indices.append(header.index)
        return honest(statement, header, *args, **kwargs)

    monkeypatch.setattr(segment, "prove", counting)
    return indices


def test_proved_segments_are_kept(tiny_bundle: TinyBundle, run: Path, proved: list[int]) -> None:
    """The first segment is the one that was proved before."""
    (run / "segments" / "segment-00001.bin").unlink()
    made = zktrain.prove(run)
    assert proved == [1]
    before = parse(tiny_bundle.proof.read_bytes()).segments
    after = _accepted(tiny_bundle, made.path).segments
    assert before[0] == after[0] and before[1].proof != after[1].proof


@pytest.mark.parametrize("damage", ["truncated", "flipped", "another segment"])
def test_a_damaged_segment_is_proved_again(
    tiny_bundle: TinyBundle, run: Path, proved: list[int], damage: str
) -> None:
    """A file that does not verify is not used."""
    path = run / "segments" / "segment-00000.bin"
    data = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(data[:-100])
    elif damage == "flipped":
        path.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    else:
        shutil.copy(run / "segments" / "segment-00001.bin", path)
    made = zktrain.prove(run)
    assert proved == [0]
    _accepted(tiny_bundle, made.path)


def test_an_interruption_loses_one_segment_at_most(
    tiny_bundle: TinyBundle, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped inside the second segment; no bundle is left behind, and the next try finishes."""
    shutil.rmtree(run / "segments")
    honest: Callable[..., Any] = segment.prove

    def stopped(statement: Any, header: Any, *args: Any, **kwargs: Any) -> Any:
        if header.index == 1:
            raise KeyboardInterrupt
        return honest(statement, header, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(segment, "prove", stopped)
        with pytest.raises(KeyboardInterrupt):
            zktrain.prove(run)
    assert not list(run.glob("*.zkt*"))
    assert _segments(run) == ["segment-00000.bin"]
    _accepted(tiny_bundle, zktrain.prove(run).path)


def test_boundary_weights_are_not_opened_too_often(
    tiny_bundle: TinyBundle, run: Path, proved: list[int]
) -> None:
    """The weights between the two segments may be opened four times: twice for the first bundle,
    and once for each time that one of the segments is proved anew. Then they get new randomness,
    and both segments are proved with it."""
    roots = []
    for _ in range(BOUNDARY_OPENINGS - 1):
        (run / "segments" / "segment-00001.bin").unlink()
        roots.append(_accepted(tiny_bundle, zktrain.prove(run).path).segments[0].header.end)
    assert proved == [1] * (BOUNDARY_OPENINGS - 2) + [0, 1]
    assert roots[0] == roots[-2] != roots[-1]


def _openings_of_the_boundary(run: Path) -> list[str]:
    known = json.loads((run / "segments" / "secrets.json").read_text())
    opened: list[str] = known["boundaries"]["1"][1]
    return opened


def test_what_was_interrupted_is_not_counted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that was never finished has opened nothing, however often it is tried."""
    before = _openings_of_the_boundary(run)
    (run / "segments" / "segment-00001.bin").unlink()

    def stopped(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(segment, "prove", stopped)
        for _ in range(BOUNDARY_OPENINGS + 1):
            with pytest.raises(KeyboardInterrupt):
                zktrain.prove(run)
    assert _openings_of_the_boundary(run) == before
    zktrain.prove(run)
    assert len(_openings_of_the_boundary(run)) == len(before) + 1


def test_a_counted_segment_gets_its_name_later(
    run: Path, monkeypatch: pytest.MonkeyPatch, proved: list[int]
) -> None:
    """Stopped when a segment was counted and had no name yet: the same bytes get it, and nothing
    is counted twice."""
    (run / "segments" / "segment-00001.bin").unlink()
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
    assert proved == [1] and _segments(run) == ["segment-00000.bin"]
    counted = _openings_of_the_boundary(run)
    zktrain.prove(run)
    assert proved == [1] and _openings_of_the_boundary(run) == counted


def test_a_run_is_proved_once(tiny_bundle: TinyBundle, run: Path, proved: list[int]) -> None:
    """The same command again gives the same bundle and opens nothing."""
    path = secret_file.secret_path(tiny_bundle.dataset)
    secret = secret_file.read(path)
    made = zktrain.prove(run, out=run / "again.zkt").path.read_bytes()
    assert made == tiny_bundle.proof.read_bytes() and proved == []
    assert secret_file.read(path) == secret


def test_a_lost_secret_of_a_boundary_costs_its_segments(run: Path, proved: list[int]) -> None:
    """Nothing is proved against a boundary that nobody can open any more."""
    (run / "segments" / "secrets.json").write_text("{")
    zktrain.prove(run)
    assert proved == [0, 1]


def test_the_dataset_is_not_opened_too_often(tmp_path: Path, proved: list[int]) -> None:
    """Sized for the certificate and one bundle; positions left over may do for another. That it
    cannot be opened any more is said before anything is proved."""
    data, recipe = write_data(tmp_path / "data.npz"), write_recipe(tmp_path)
    dataset, run = tmp_path / "data.zkd", tmp_path / "run"
    zktrain.commit(data, out=dataset, openings=1)
    zktrain.train(recipe, data=data, out=run, dataset=dataset)
    first = zktrain.prove(run)
    spent = secret_file.read(secret_file.secret_path(dataset))
    assert spent.segments == 2 and spent.positions > 0
    with pytest.raises(InputError, match="is used up"):
        for _ in range(3):
            shutil.rmtree(run / "segments")
            proved.clear()
            zktrain.prove(run)
            spent = secret_file.read(secret_file.secret_path(dataset))
    assert proved == []
    assert secret_file.read(secret_file.secret_path(dataset)) == spent
    assert spent.positions <= read_public(dataset)[0].tail
    assert first.path.is_file()


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
    """They would count openings of its boundaries apart."""
    with locked(run), pytest.raises(InputError, match="another process trains or proves it"):
        zktrain.prove(run)
