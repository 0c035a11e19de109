"""What differs between bundles of version 1 and of version 3, and what does not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import TinyBundle, first_version, make_bundle

import zktrain
from zktrain.circuit.circuit import Circuit
from zktrain.dataset.commitment import DatasetHeader
from zktrain.parameters import SCHEMES, parameter_digest
from zktrain.transcript.bundle import inspect_bundle, parse, parse_statement
from zktrain.transcript.statement import NEWEST, Statement, newest

DIGESTS = {
    (1, False): "e3183a866895f296d3b9bc9ca4235c88571fdbc3e32d996f14cb87a3ad70f6e6",
    (1, True): "f0a046152f8672135a812a3fceaf2ee79a25c516ac9e77b4b8bb55cbf8831ee0",
    (2, False): "9c7e3969973e3d3f8ab60be491a348d0f226ca5f9470c44a7a7f8a67c9ccda80",
    (2, True): "5f62dbdb4c13636b0969f05223f1a06bd92ba3ddfe174ff8468b12cd21468947",
}
"""Those that docs/format.md published before there was a version 3."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    """The tiny bundle, of version 1."""
    folder = tmp_path_factory.mktemp("first")
    with first_version():
        return make_bundle(folder)


@pytest.mark.parametrize(("version", "hiding"), DIGESTS)
def test_parameter_digest_is_the_published_one(version: int, hiding: bool) -> None:
    assert parameter_digest(hiding, version).hex() == DIGESTS[version, hiding]


def test_parameter_digests_of_version_3_are_others() -> None:
    """In clear, hiding, and of all versions before."""
    found = {parameter_digest(hiding, 3).hex() for hiding in (False, True)}
    assert len(found) == 2 and not found & set(DIGESTS.values())


@pytest.mark.parametrize("version", [0, 4])
def test_there_is_no_other_version_of_the_parameters(version: int) -> None:
    with pytest.raises(KeyError):
        parameter_digest(False, version)


def test_parameter_digest_in_the_documentation() -> None:
    """Written down as it is."""
    text = (Path(__file__).parents[1] / "docs" / "format.md").read_text()
    for version, hiding in [*DIGESTS, (3, False), (3, True)]:
        assert parameter_digest(hiding, version).hex() in text


def test_new_statements_are_of_version_3(tiny_bundle: TinyBundle) -> None:
    assert NEWEST == 3 and tiny_bundle.proof.read_bytes()[:8] == b"ZKTRAIN\x03"
    bundle = parse(tiny_bundle.proof.read_bytes())
    assert bundle.certificate is None
    assert json.loads(bundle.statement_json)["format"] == "zktrain-statement-3"
    statement = parse_statement(bundle)
    assert statement.protocol == "zktrain hiding proof v3"
    assert replace(statement, zero_knowledge=False).protocol == "zktrain proof v3"
    assert statement.scheme is SCHEMES[3]


def test_version_1_is_as_it_was(first: TinyBundle) -> None:
    """Frame, statement and protocol strings; its bundle verifies with nothing but a root."""
    data = first.proof.read_bytes()
    bundle = parse(data)
    assert data[:8] == b"ZKTRAIN\x01" and bundle.certificate is not None
    assert bundle.to_bytes() == data
    assert json.loads(bundle.statement_json)["format"] == "zktrain-statement-1"
    statement = parse_statement(bundle)
    assert statement.protocol == "zktrain hiding proof v1" and statement.scheme is SCHEMES[1]
    verdict = zktrain.verify(first.weights, proof=first.proof, dataset=first.root)
    assert verdict.segments == 2 and verdict.zero_knowledge
    assert "dataset certificate" in inspect_bundle(first.proof).sections


def test_statements_of_two_versions_have_two_digests(tiny_bundle: TinyBundle) -> None:
    """The same run: the version is in the text and before it."""
    statement = parse_statement(parse(tiny_bundle.proof.read_bytes()))
    old = replace(statement, version=1)
    assert old.digest != statement.digest
    for one in (old, statement):
        again = Statement.from_json(one.to_json(), one.circuit, one.dataset)
        assert again == one and again.version == one.version


@pytest.mark.parametrize("hiding", [True, False], ids=["hiding", "clear"])
def test_version_3_is_smaller(
    tiny_bundle: TinyBundle, first: TinyBundle, tmp_path: Path, hiding: bool
) -> None:
    """Two segments: the bundle by more than its certificate, and each proof in it."""
    proofs = {1: first.proof, 3: tiny_bundle.proof}
    if not hiding:
        clear = {1: tmp_path / "1.zkt", 3: tmp_path / "3.zkt"}
        runs = {1: tmp_path / "first", 3: tmp_path / "third"}
        for version, made in ((1, first), (3, tiny_bundle)):
            ignored = shutil.ignore_patterns("segments", "*.zkt")
            shutil.copytree(made.run, runs[version], ignore=ignored)
        with first_version():
            zktrain.prove(runs[1], out=clear[1], zero_knowledge=False)
        zktrain.prove(runs[3], out=clear[3], zero_knowledge=False)
        proofs = clear
    files = {1: first, 3: tiny_bundle}
    for version, proof in proofs.items():
        verdict = zktrain.verify(
            files[version].weights, proof=proof, dataset=files[version].dataset
        )
        assert verdict.segments == 2 and verdict.zero_knowledge is hiding
        assert verdict.security_bits >= 100
    old, new = (parse(proofs[version].read_bytes()) for version in (1, 3))
    assert old.certificate is not None
    assert len(new.to_bytes()) < len(old.to_bytes()) - len(old.certificate)
    for one, other in zip(new.segments, old.segments, strict=True):
        assert len(one.proof) < 0.8 * len(other.proof)
    assert len(new.closing) < len(old.closing)


def _long_run(batch: int, steps: int, **changes: int) -> Statement:
    """784-128-10 on 60,000 hidden records in segments of 1,024 steps."""
    root = Path(__file__).parents[1]
    circuit = Circuit.from_json((root / "circuits" / "fashion-mlp-128.circuit.json").read_bytes())
    circuit = replace(circuit, batch_size=batch, steps=steps)
    header = DatasetHeader(60000, 784, 10, bytes(32), 64)
    statement = Statement(circuit, header, "00" * 32, "00" * 32, 1024, 100, True)
    return replace(statement, **changes)


def test_a_million_samples_are_stated_in_version_3() -> None:
    found = newest(_long_run(128, 8192))
    assert found.version == NEWEST and found.union_bits >= 100


def test_two_million_samples_are_stated_in_version_1() -> None:
    """Where version 3 misses the target by its error of folding."""
    statement = _long_run(256, 8192)
    assert statement.union_bits < 100
    found = newest(statement)
    assert found == replace(statement, version=1) and found.union_bits >= 100


def test_what_no_version_proves_stays_as_it_is() -> None:
    statement = _long_run(64, 1024, security_bits=120)
    assert newest(statement) == statement and statement.problem() is not None


def test_a_run_that_only_version_1_reaches_is_proved_in_it(first: TinyBundle) -> None:
    """Its bundle has the certificate, so that the root is enough to verify it."""
    assert first.proof.read_bytes()[:8] == b"ZKTRAIN\x01"
    verdict = zktrain.verify(first.weights, proof=first.proof, dataset=first.root)
    assert verdict.statement.version == 1
