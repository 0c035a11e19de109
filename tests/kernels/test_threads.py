"""Work is partitioned exactly, and the number of threads changes no byte of a proof."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from zktrain import InputError, machine
from zktrain.prover.kernels import threads

ROOT = Path(__file__).parents[2]

SMALL_PROOF = """
import hashlib
import numpy as np
from zktrain.arguments.lookup import Entry
from zktrain.machine import thread_count
from zktrain.prover.arguments import lookup
from zktrain.transcript.challenger import Challenger
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.prover.commitment import opening
from zktrain.prover.commitment.commit import commit
from zktrain.commitment.packing import Claim, claim_on, pack
from zktrain.prover.kernels import field as kf

rng = np.random.default_rng(1)
cells = rng.integers(0, 1 << 16, size=1 << 16, dtype=np.uint16)
entries = [Entry("range16", ("v",), 16)]
values = [lookup.Values((cells,))]
counts = lookup.count_lookups(entries, values)
(count,) = counts
committed = commit(pack([("v", 16, 1 << 16), (count, 16, 1 << 16)], 11), {"v": cells, **counts})
channel = ProverChannel(Challenger("threads"))
channel.send_digest("commitment", committed.root)
claims = [claim_on(0, *claim) for claim in lookup.prove(channel, "lookup", entries, values, counts)]
point = tuple(channel.challenger.elements("point", 16))
claims.append(claim_on(0, "v", point, kf.evaluate(cells, point)))
opening.prove(channel, "opening", [committed], claims, 30.0)
proof = channel.proof()
print(thread_count(), len(proof), hashlib.sha256(proof).hexdigest())
"""


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 64, 65, 1000, 4097])
@pytest.mark.parametrize("grain", [1, 3, 64, 4096])
def test_partitions_cover_the_range_once_and_in_order(
    count: int, grain: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "thread_count", lambda: workers)
    pieces = threads.run(count, lambda lo, hi: (lo, hi), grain=grain)
    assert 1 <= len(pieces) <= workers
    assert pieces[0][0] == 0 and pieces[-1][1] == count
    assert all(stop == start for (_, stop), (start, _) in pairwise(pieces))
    assert all(hi - lo >= min(grain, count) for lo, hi in pieces)


def test_small_work_stays_on_the_calling_thread() -> None:
    assert threads.run(10, lambda lo, hi: threading.get_ident(), grain=100) == [
        threading.get_ident()
    ]


def test_errors_of_a_piece_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "thread_count", lambda: 2)

    def task(lo: int, hi: int) -> None:
        if lo:
            raise ArithmeticError("in the second piece")

    with pytest.raises(ArithmeticError, match="second piece"):
        threads.run(10, task, grain=1)


def small_proof(count: str) -> list[str]:
    environment = {**os.environ, "ZKTRAIN_THREADS": count, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SMALL_PROOF],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout.split()


def test_one_thread_and_three_give_the_same_proof() -> None:
    one, three = small_proof("1"), small_proof("3")
    assert (one[0], three[0]) == ("1", "3")
    assert one[1:] == three[1:] and int(one[1]) > 10_000


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("5", 5), ("1024", 1024)])
def test_threads_as_stated(value: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZKTRAIN_THREADS", value)
    assert machine.thread_count.__wrapped__() == expected


@pytest.mark.parametrize("value", ["0", "-2", "1025", "two", "1.5"])
def test_threads_are_a_number_of_threads(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZKTRAIN_THREADS", value)
    with pytest.raises(InputError, match="give a number from 1 to 1024"):
        machine.thread_count.__wrapped__()
