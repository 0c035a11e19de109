"""There is one version of everything that is written, and it says so."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import TinyBundle

from zktrain.circuit.circuit import Circuit
from zktrain.dataset.commitment import DatasetHeader
from zktrain.dataset.public_file import read_public
from zktrain.errors import MalformedProof, RecipeError
from zktrain.protocol.bundle import parse, parse_statement
from zktrain.protocol.parameters import parameter_digest
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training
from zktrain.prover.protocol.bundle import require_provable
from zktrain.wire import VERSION

ROOT = Path(__file__).parents[1]


def test_parameter_digests_in_the_documentation() -> None:
    """Written down as they are: in clear and hiding."""
    text = (ROOT / "docs" / "format.md").read_text()
    found = {parameter_digest(hiding).hex() for hiding in (False, True)}
    assert len(found) == 2 and all(digest in text for digest in found)


def test_everything_is_of_one_version(tiny_bundle: TinyBundle) -> None:
    """Proof, statement, protocol string and dataset file."""
    data, dataset = tiny_bundle.proof.read_bytes(), tiny_bundle.dataset.read_bytes()
    assert data[:8] == b"ZKTRAIN" + bytes([VERSION])
    assert dataset[:8] == b"ZKTDATA" + bytes([VERSION])
    bundle = parse(data)
    assert json.loads(bundle.statement_json)["format"] == f"zktrain-statement-{VERSION}"
    statement = parse_statement(bundle)
    assert statement.protocol == f"zktrain hiding training v{VERSION}"
    assert replace(statement, zero_knowledge=False).protocol == f"zktrain training v{VERSION}"


@pytest.mark.parametrize("version", [2, 3, 4])
def test_older_files_are_refused_by_name(
    version: int, tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    """Which version they are of, which one is read, and what to do."""
    wanted = f"version {version} of the format and this zktrain reads version {VERSION}: make it"
    with pytest.raises(MalformedProof, match=f"proof is of {wanted}"):
        parse(b"ZKTRAIN" + bytes([version]) + tiny_bundle.proof.read_bytes()[8:])
    with pytest.raises(MalformedProof, match="not a zktrain proof"):
        parse(b"ZKTEVAL" + bytes([version]) + bytes(40))
    old = tmp_path / "old.zkd"
    old.write_bytes(b"ZKTDATA" + bytes([version]) + tiny_bundle.dataset.read_bytes()[8:])
    with pytest.raises(MalformedProof, match=f"dataset file .*old.zkd is of {wanted}"):
        read_public(old)


def _long_run(batch: int, steps: int, **changes: int) -> Statement:
    """784-128-10 on 60,000 hidden records."""
    circuit = Circuit.from_json((ROOT / "circuits" / "fashion-mlp-128.circuit.json").read_bytes())
    circuit = replace(circuit, batch_size=batch, steps=steps)
    header = DatasetHeader(60000, 784, 10, bytes(32), 64)
    statement = Statement(Training(circuit, "00" * 32, "00" * 32), header, 100, True)
    return replace(statement, **changes)


@pytest.mark.parametrize(("batch", "steps"), [(128, 8192), (256, 8192), (64, 1 << 18)])
def test_long_runs_reach_the_usual_target(batch: int, steps: int) -> None:
    """Two million samples and sixteen: work before folding grows with them."""
    assert _long_run(batch, steps).union_bits >= 100


def test_what_misses_its_target_says_how_far_to_go() -> None:
    """Lower one of two numbers by so much, and it is reached; by less, and it is not."""
    missed = _long_run(64, 1 << 18, security_bits=113)
    problem = missed.problem()
    assert missed.weakness() == problem and problem is not None
    with pytest.raises(RecipeError) as caught:
        require_provable(missed)
    message = caught.value.message
    assert message.startswith(problem)
    bits = int(re.findall(r"security_bits to at most (\d+)", message)[0])
    assert missed.with_bits(bits).weakness() is None


def test_bits_that_no_run_reaches_are_refused_with_those_that_one_does() -> None:
    """More than the certificate has."""
    with pytest.raises(RecipeError, match=r"120 are asked: set security_bits to at most \d+$"):
        require_provable(_long_run(64, 1024, security_bits=120))
