"""Files of any size and kind are judged in the memory and time of their statement."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TinyBundle

import zktrain
from zktrain import files
from zktrain._inspect import inspect
from zktrain.errors import InputError
from zktrain.protocol.bundle import MAGIC, parse
from zktrain.spans import whole

pytestmark = pytest.mark.full_work

HUGE = 2 << 30
SECTIONS = 5
MEMORY, SECONDS = 64 << 20, 10.0
"""Beyond what judging the honest files takes, in bytes; and for each file."""


@pytest.fixture(scope="module")
def evaluated(tiny_bundle: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated") / "eval.zkt"
    zktrain.prove_eval(
        tiny_bundle.weights,
        circuit=tiny_bundle.circuit,
        data=tiny_bundle.data,
        dataset=tiny_bundle.dataset,
        out=out,
    )
    return out


def _stretched(data: bytes, section: int, more: int) -> list[tuple[int, bytes]]:
    """Pieces of a file, by place, in which a section is longer by so many bytes that nobody
    wrote."""
    place = len(MAGIC)
    for _ in range(section):
        place += 8 + struct.unpack_from("<Q", data, place)[0]
    (size,) = struct.unpack_from("<Q", data, place)
    end = place + 8 + size
    return [(0, data[:place] + struct.pack("<Q", size + more) + data[place + 8 : end]),
            (end + more, data[end:])]  # fmt: skip


def _sparse(path: Path, pieces: list[tuple[int, bytes]], size: int = 0) -> Path:
    with path.open("wb") as file:
        for place, data in pieces:
            file.seek(place)
            file.write(data)
        file.truncate(max(size, file.tell()))
    return path


JUDGE = """
import json, resource, sys, time, zktrain
rows = []
for verb, weights, options in json.load(sys.stdin):
    started = time.perf_counter()
    try:
        getattr(zktrain, verb)(weights, **options)
        outcome = "accepted"
    except zktrain.ZktrainError as error:
        outcome = type(error).__name__
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    rows.append([outcome, time.perf_counter() - started, peak])
print(json.dumps(rows))
"""


def _judged(cases: list[tuple[str, Path, dict[str, Path]]]) -> list[tuple[str, float, int]]:
    """Outcome, seconds, and the peak of memory so far."""
    asked = [(verb, str(w), {k: str(v) for k, v in o.items()}) for verb, w, o in cases]
    done = subprocess.run(
        [sys.executable, "-c", JUDGE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [tuple(row) for row in json.loads(done.stdout)]


def test_two_gigabytes_of_nothing(tiny_bundle: TinyBundle, evaluated: Path, tmp_path: Path) -> None:
    """In every section of both bundles, after them, and as every other file."""
    weights, names = tiny_bundle.weights, {"dataset": tiny_bundle.dataset}
    verbs = {"verify": tiny_bundle.proof, "verify_eval": evaluated}
    honest: list[Any] = [(verb, weights, {**names, "proof": p}) for verb, p in verbs.items()]
    cases, wanted = list(honest), ["accepted"] * 2
    for verb, proof in verbs.items():
        data = proof.read_bytes()
        for section in range(SECTIONS):
            path = tmp_path / f"{verb}-{section}"
            _sparse(path, _stretched(data, section, HUGE))
            cases.append((verb, weights, {**names, "proof": path}))
            wanted.append("refused")
        for name, pieces in (("after", [(0, data)]), ("alone", []), ("magic", [(0, data[:8])])):
            path = _sparse(tmp_path / f"{verb}-{name}", pieces, HUGE)
            cases.append((verb, weights, {**names, "proof": path}))
            wanted.append("refused")
    everywhere = {
        "weights": tiny_bundle.weights,
        "dataset": tiny_bundle.dataset,
        "certificate": tiny_bundle.dataset,
        "circuit": tiny_bundle.circuit,
        "initial": tiny_bundle.weights,
    }
    for option, path in everywhere.items():
        for name, pieces in (("zeros", []), ("after", [(0, path.read_bytes())])):
            large = _sparse(tmp_path / f"{option}-{name}", pieces, HUGE)
            changed = {**names, "proof": tiny_bundle.proof, option: large}
            cases.append(("verify", changed.pop("weights", weights), changed))
            wanted.append("InputError")
    found = _judged(cases)
    usual = found[1][2]
    for case, (outcome, seconds, peak), expected in zip(cases, found, wanted, strict=True):
        if expected == "refused":
            assert outcome not in ("accepted", "InputError"), case
        else:
            assert outcome == expected, case
        assert seconds < SECONDS and peak < usual + MEMORY, (case, seconds, peak - usual)


def test_what_is_no_file_is_refused_at_once(tiny_bundle: TinyBundle, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    names: dict[str, Any] = {"proof": tiny_bundle.proof, "dataset": tiny_bundle.dataset}
    for path in (pipe, tmp_path, Path("/dev/zero"), Path("/dev/full")):
        for option in ("proof", "dataset", "circuit", "initial", "certificate"):
            with pytest.raises(InputError):
                zktrain.verify(tiny_bundle.weights, **{**names, option: path})
        with pytest.raises(InputError):
            zktrain.verify(path, **names)
        with pytest.raises(InputError):
            inspect(path)
        for arguments in (["inspect", path], ["verify", path, "--proof", path, "--dataset", path]):
            done = subprocess.run(
                [sys.executable, "-m", "zktrain", *map(str, arguments)],
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 2 and b"Traceback" not in done.stderr


def test_a_proof_that_is_cut_short_while_it_is_judged(
    tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    """Is no verdict."""
    path = tmp_path / "proof.zkt"
    path.write_bytes(tiny_bundle.proof.read_bytes())

    def progress(stage: str, done: int, total: int, **figures: float) -> None:
        if stage == "proof":
            os.truncate(path, 1000)

    with pytest.raises(InputError, match="it ends too early"):
        zktrain.verify(
            tiny_bundle.weights, proof=path, dataset=tiny_bundle.dataset, progress=progress
        )


def test_a_file_in_pieces_is_the_file_in_memory(tiny_bundle: TinyBundle) -> None:
    data = tiny_bundle.proof.read_bytes()
    with files.opened(tiny_bundle.proof, "bundle") as file:
        bundle = parse(whole(file))
        assert bundle.to_bytes() == data
        assert bytes(bundle.proof) == parse(data).proof
