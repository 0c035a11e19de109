"""Workers of a Dask cluster: the same bytes as without, also when they die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from oracle.light_work import full_work
from tiny_run import TinyBundle

import zktrain
from zktrain.disk import journal_of
from zktrain.errors import InputError
from zktrain.prover import cluster, journal
from zktrain.prover.cluster import Cluster, workers_of
from zktrain.prover.commitment import code
from zktrain.prover.commitment.code import leaves_of

pytest.importorskip("distributed")
pytest.importorskip("cryptography")

SEED = bytes(range(32))
MARK = "ZKTRAIN_TEST_DIES"
"""In the environment: a file; a worker that makes it dies."""


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cluster") / "died"
    with mock.patch.dict(os.environ, {MARK: str(path)}):
        yield path


@pytest.fixture(scope="module")
def two(mark: Path) -> Iterator[Cluster]:
    """Two processes."""
    with workers_of(2) as workers:
        assert isinstance(workers, Cluster) and workers.count == 2
        yield workers


def _die_once() -> None:
    try:
        os.close(os.open(os.environ[MARK], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def leaves_after_a_death(lanes: Any, code_log: int, part: int, *given: Any) -> np.ndarray:
    """As ``code.leaves_of``; whoever is first at part 1 is killed."""
    if part == 1:
        _die_once()
    return leaves_of(lanes, code_log, part, *given)


def _squares(value: np.ndarray, factor: int, cells: np.ndarray) -> tuple[int, np.ndarray]:
    return os.getpid(), factor * value[:2] + cells[:2] ** 2


def _fails(value: np.ndarray, number: int) -> int:
    raise ValueError(f"range {number}")


def _always_dies(value: np.ndarray) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _prove(bundle: TinyBundle, folder: Path, workers: Any) -> bytes:
    """With a known seed, and no code word kept."""
    run = folder / "run"
    if not run.exists():
        shutil.copytree(bundle.run, run)
        for proof in run.glob("*.zkt"):
            proof.unlink()
    with (
        mock.patch.object(code, "KEPT_BYTES", 0),
        mock.patch.object(journal, "new_secret", return_value=SEED),
    ):
        out = folder / f"{len(list(folder.iterdir()))}.zkt"
        return zktrain.prove(run, out=out, workers=workers).path.read_bytes()


def test_ranges_in_order(two: Cluster) -> None:
    """What all have, what one of them gets, and small things."""
    value, large = np.arange(10), np.arange(1 << 14)
    shared = two.share(value)
    for _ in range(2):
        found = shared.map("squares", _squares, [(k, large + k) for k in range(8)])
        assert all(np.array_equal(x, [k * k, k + (1 + k) ** 2]) for k, (_, x) in enumerate(found))
        assert len({pid for pid, _ in found}) == 2 and os.getpid() not in dict(found)


def test_errors_of_a_range_are_its_own(two: Cluster) -> None:
    with pytest.raises(ValueError, match="range 0"):
        two.share(np.arange(3)).map("fails", _fails, [(0,)])


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What workers are asked for from now on."""
    asked: list[str] = []
    honest = cluster.Sent.map

    def listening(self: cluster.Sent, phase: str, *given: Any) -> list[Any]:
        asked.append(phase)
        return honest(self, phase, *given)

    monkeypatch.setattr(cluster.Sent, "map", listening)
    return asked


def test_the_same_bytes_as_alone(
    two: Cluster, mark: Path, tiny_bundle: TinyBundle, tmp_path: Path, phases: list[str]
) -> None:
    """With two workers, and when one of them is killed in the middle of the commitment."""
    alone = _prove(tiny_bundle, tmp_path, None)
    assert not phases and _prove(tiny_bundle, tmp_path, two.client) == alone
    assert phases == ["leaves", "rows"], "what docs/cluster.md says is computed by workers"
    before = set(two.client.run(os.getpid).values())
    with mock.patch.object(code, "leaves_of", leaves_after_a_death):
        assert _prove(tiny_bundle, tmp_path, two.client) == alone
    assert mark.exists() and phases == ["leaves", "rows"] * 2
    two.client.wait_for_workers(2, timeout=60)
    assert len(before & set(two.client.run(os.getpid).values())) == 1


def test_all_die_between_two_passes(two: Cluster) -> None:
    """What they had been sent is sent again to those that take their place."""
    shared = two.share(np.arange(10))
    large = np.arange(1 << 14)
    before = {pid for pid, _ in shared.map("squares", _squares, [(k, large) for k in range(4)])}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    after = {pid for pid, _ in shared.map("squares", _squares, [(k, large) for k in range(4)])}
    assert after and not before & after


def test_whoever_dies_again_and_again(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ATTEMPTS", 1)
    with pytest.raises(InputError, match="died"):
        two.share(np.arange(3)).map("deaths", _always_dies, [()])


def test_a_cluster_that_cannot_be_used(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """None there, without TLS, another version, no number."""
    for address in ("tcp://192.0.2.1:8786", "tcp://localhost.example.org:1", "inproc://a", "a"):
        with pytest.raises(InputError, match="TLS"), workers_of(address):
            pass
    with monkeypatch.context() as patch, pytest.raises(InputError, match="install the same"):
        patch.setattr(cluster, "__version__", "another")
        with workers_of(two.client):
            pass
    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    for address in ("tcp://127.0.0.1:9", "tls://127.0.0.1:9"):
        with pytest.raises(InputError, match="cannot be reached"), workers_of(address):
            pass
    with pytest.raises(InputError, match="from 1 to 1024"), workers_of(0):
        pass


COORDINATOR = """
import os, signal, sys
import zktrain
from zktrain.prover import cluster, journal
from zktrain.prover.commitment import code
code.KEPT_BYTES, journal.PAUSE = 0, 0.0
run, out, dies = sys.argv[1:]
journal.new_secret = lambda: bytes(range(32)) if dies else bytes(32)

def progress(stage, done, total, **figures):
    if stage == dies:
        os.kill(os.getpid(), signal.SIGKILL)

zktrain.prove(run, out=out, workers=2, progress=progress)
"""
"""Dies at a stage, with the seed that others have, or has another seed and lives."""


UNGUARDED = "import zktrain; zktrain.prove('RUN', out='OUT', workers=1)"


def test_a_script_that_workers_would_run_again(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """It is told what to do."""
    script = tmp_path / "script.py"
    text = UNGUARDED.replace("RUN", str(tiny_bundle.run)).replace("OUT", str(tmp_path / "o.zkt"))
    script.write_text(text)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "keep what it does behind if __name__" in done.stderr


def test_a_killed_coordinator(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """The same command goes on from the journal; the bytes are those of one process."""
    with full_work():  # as in other processes
        alone = _prove(tiny_bundle, tmp_path, None)
    out = tmp_path / "killed.zkt"
    command = [sys.executable, "-c", COORDINATOR, str(tmp_path / "run"), str(out)]
    done = subprocess.run([*command, "opening"], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL and not out.exists()
    assert journal_of(out).exists()
    done = subprocess.run([*command, ""], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == alone and not journal_of(out).exists()


def test_the_command(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    """Two processes of its own, which are gone afterwards."""
    run = tmp_path / "run"
    shutil.copytree(tiny_bundle.run, run)
    command = [sys.executable, "-m", "zktrain", "prove", str(run), "--json"]
    out = str(tmp_path / "proof.zkt")
    done = subprocess.run(
        [*command, "--out", out, "--workers", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    verdict = zktrain.verify(tiny_bundle.weights, proof=out, dataset=tiny_bundle.dataset)
    assert verdict.zero_knowledge
    both = [*command, "--workers", "2", "--cluster", "tls://localhost:1"]
    done = subprocess.run(both, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "give one" in done.stdout + done.stderr
