"""Interrupted proving goes on where it stopped, and does not trust what it finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TinyBundle

import zktrain
from zktrain.errors import InputError, StatementMismatch
from zktrain.transcript import segment


@pytest.fixture
def run(tiny_bundle: TinyBundle, tmp_path: Path) -> Path:
    """A copy of a finished run of two proved segments, without its bundle."""
    copy = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, copy)
    for bundle in copy.glob("*.zkt"):
        bundle.unlink()
    assert len(list((copy / "segments").iterdir())) == 2
    return copy


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
    """The bundle is the same as if nothing had happened."""
    (run / "segments" / "segment-00001.bin").unlink()
    made = zktrain.prove(run)
    assert proved == [1]
    assert made.path.read_bytes() == tiny_bundle.proof.read_bytes()


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
    assert made.path.read_bytes() == tiny_bundle.proof.read_bytes()


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
    assert [path.name for path in (run / "segments").iterdir()] == ["segment-00000.bin"]
    assert zktrain.prove(run).path.read_bytes() == tiny_bundle.proof.read_bytes()


def test_broken_files_of_the_user_are_not_judged(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """A damaged dataset file or circuit says nothing about the proof."""
    broken = tmp_path / "broken"
    broken.write_bytes(tiny_bundle.dataset.read_bytes()[:50])
    arguments: dict[str, Any] = {"proof": tiny_bundle.proof, "dataset": tiny_bundle.root}
    for name in ("dataset", "circuit"):
        with pytest.raises(InputError, match=name):
            zktrain.verify(tiny_bundle.weights, **{**arguments, name: broken})


def test_bits_of_security_can_be_demanded(tiny_bundle: TinyBundle) -> None:
    """The tiny bundle is made for 100 bits."""
    with pytest.raises(StatementMismatch, match="fewer bits"):
        zktrain.verify(
            tiny_bundle.weights,
            proof=tiny_bundle.proof,
            dataset=tiny_bundle.root,
            min_security_bits=101,
        )
