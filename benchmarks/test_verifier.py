"""Times of the verifier, part by part: ``pytest benchmarks/test_verifier.py``.

The checked-in proofs are small. Figures of a real run need its files ``weights.safetensors``,
``proof.zkt`` and ``dataset.zkd`` in one folder: ``ZKTRAIN_VERIFIED=FOLDER pytest
benchmarks/test_verifier.py``. Sizes that are derived once in a process, such as those of the proof
about pads, are known after the first round of each benchmark; the last one starts a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zktrain._verify import verify
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.weights import read_weights
from zktrain.dataset.public_file import read_public
from zktrain.protocol import closing, segment
from zktrain.protocol.bundle import parse, parse_statement
from zktrain.protocol.certificate import verify_certificate

PROOFS = Path(__file__).resolve().parent.parent / "proofs" / "accepted"
GIVEN = os.environ.get("ZKTRAIN_VERIFIED")
FOLDERS = [Path(GIVEN)] if GIVEN else [PROOFS / "hiding-two-segments", PROOFS / "mse-batch-of-five"]


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    """Weights, proof and dataset file of one run that starts from a seed."""
    assert isinstance(request.param, Path)
    return request.param


def files(folder: Path) -> dict[str, Path]:
    return {
        "weights": folder / "weights.safetensors",
        "proof": folder / "proof.zkt",
        "dataset": folder / "dataset.zkd",
    }


def test_parse(benchmark: Any, folder: Path) -> None:
    """Bundle, circuit and statement, with its soundness."""
    data = (folder / "proof.zkt").read_bytes()
    statement = benchmark(lambda: parse_statement(parse(data)))
    assert statement.union_bits >= statement.security_bits


def test_certificate(benchmark: Any, folder: Path) -> None:
    header, certificate = read_public(folder / "dataset.zkd")
    benchmark(verify_certificate, header, certificate)


def test_first_segment(benchmark: Any, folder: Path) -> None:
    bundle = parse((folder / "proof.zkt").read_bytes())
    statement = parse_statement(bundle)
    start, end = ends(folder, statement)
    part = bundle.segments[0]
    claims = benchmark(segment.verify, statement, part.header, part.proof, start, end)
    assert claims


def test_closing(benchmark: Any, folder: Path) -> None:
    bundle = parse((folder / "proof.zkt").read_bytes())
    statement = parse_statement(bundle)
    start, end = ends(folder, statement)
    if end is None:
        pytest.skip("claims of one segment are not all claims")
    (part,) = bundle.segments
    claims = segment.verify(statement, part.header, part.proof, start, end)
    benchmark(closing.verify, statement, [part.header], claims, bundle.closing)


def test_whole(benchmark: Any, folder: Path) -> None:
    assert benchmark(verify, **files(folder)).proof_bytes


def test_process(benchmark: Any, folder: Path) -> None:
    """The command, imports included."""
    given = files(folder)
    command = [sys.executable, "-m", "zktrain", "verify", str(given["weights"])]
    command += ["--proof", str(given["proof"]), "--dataset", str(given["dataset"]), "--json"]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


def ends(folder: Path, statement: Any) -> tuple[Any, Any]:
    """Padded weights at both ends of the run; the last ones only where the first segment has
    them."""
    circuit = statement.circuit
    shapes, bits = circuit.parameter_shapes(), circuit.fixed_point.weight_bits
    last = read_weights(folder / "weights.safetensors", shapes, bits)
    whole = len(statement.segments) == 1
    return (
        segment.pad_weights(seeded_weights(circuit)),
        segment.pad_weights(last) if whole else None,
    )
