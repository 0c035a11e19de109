"""Logistic regression as ``benchmarks/logistic.py`` measures it, at the size of a test."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import zktrain
from zktrain.dataset.readers import Records, read_dataset
from zktrain.errors import StatementMismatch
from zktrain.prover.dataset import commitment
from zktrain.prover.dataset.commitment import commit_records
from zktrain.prover.protocol.certificate import certify

ROOT = Path(__file__).parents[2]
RECORDS, BATCH = 512, 128


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """``benchmarks/logistic_data.py``."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import logistic_data

    return logistic_data


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose lower half is bright where the label is a kind of footwear."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count).astype(np.uint8)
    images = random.integers(0, 128, (count, 28, 28)).astype(np.uint8)
    images[:, 14:] += 100 * np.isin(labels, (5, 7, 9)).astype(np.uint8)[:, None, None]
    return images, labels


def test_records_are_shifted_copies(maker: ModuleType) -> None:
    """Every frame holds its image at one offset, an eighth as bright, and nothing else."""
    images, labels = pictures(30, 1)
    frames, wanted = maker.shifted(images, labels, 0, 75)
    places: dict[int, set[tuple[int, int]]] = {}
    for n, frame in enumerate(frames):
        rows, columns = (np.flatnonzero(frame.any(axis=axis)) for axis in (1, 0))
        row, column = int(rows[0]), int(columns[0])
        assert np.array_equal(frame[row : row + 28, column : column + 28], images[n % 30] // 8)
        assert frame.sum() == (images[n % 30] // 8).sum(dtype=np.int64)
        assert wanted[n] == (labels[n % 30] in (5, 7, 9))
        places.setdefault(n % 30, set()).add((row, column))
    copies = [places[image] for image in range(15)]
    assert all(len(offsets) == 3 for offsets in copies)
    assert len(set().union(*places.values())) == 25
    later, _ = maker.shifted(images, labels, 40, 20)
    assert np.array_equal(later, frames[40:60])


@dataclass(frozen=True)
class Files:
    """What a run leaves."""

    folder: Path
    data: Path
    recipe: Path
    dataset: Path


@pytest.fixture(scope="module")
def files(maker: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("logistic")
    data = folder / "data"
    data.mkdir()
    maker.write(data, "train", *pictures(200, 2), RECORDS)
    maker.write(data, "t10k", *pictures(100, 3), 256)
    text = (ROOT / "circuits" / "logistic-1024.toml").read_text()
    text = text.replace("../models", str(ROOT / "models")).replace("steps = 64", "steps = 4")
    recipe = folder / "recipe.toml"
    recipe.write_text(text.replace("batch_size = 4096", f"batch_size = {BATCH}"))
    public = folder / "data.zkd"
    zktrain.commit(data, out=public)
    return Files(folder, data, recipe, public)


@pytest.mark.slow("a run on thousands of records")
def test_a_small_pass(files: Files) -> None:
    """Committed, trained, proved, verified; as accurate as float32."""
    records = read_dataset(str(files.data))
    assert (records.inputs.shape, records.classes) == ((RECORDS, 1024), 2)
    run = files.folder / "run"
    trained = zktrain.train(
        files.recipe, data=files.data, out=run, dataset=files.dataset, compare_float=True
    )
    assert trained.test_accuracy is not None and trained.float_test_accuracy is not None
    assert trained.test_accuracy > 0.8
    assert abs(trained.test_accuracy - trained.float_test_accuracy) < 0.02
    pairs = zip(trained.losses, trained.float_losses, strict=True)
    assert max(abs(a - b) for (_, a), (_, b) in pairs) < 0.05
    proved = zktrain.prove(run)
    verdict = zktrain.verify(trained.weights, proof=proved.path, dataset=files.dataset)
    assert verdict.zero_knowledge and verdict.security_bits >= 100


def test_a_commitment_of_these_records_is_not_made_again(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret file knows the records; a public file alone or other records do not pass."""

    def refuse(*_: object) -> None:
        raise AssertionError("committed again")

    run = files.folder / "again"
    with monkeypatch.context() as patch:
        patch.setattr(commitment, "commit_records", refuse)
        trained = zktrain.train(files.recipe, data=files.data, out=run, dataset=files.dataset)
        assert (
            trained.dataset_root
            == zktrain.dataset.public_file.given_dataset(files.dataset).root.hex()
        )
        other = files.folder / "other.npz"
        records = read_dataset(str(files.data))
        np.savez(other, inputs=records.inputs[::-1], labels=records.labels[::-1], classes=2)
        with pytest.raises(AssertionError, match="committed again"):
            zktrain.train(files.recipe, data=other, out=files.folder / "no", dataset=files.dataset)
    with pytest.raises(StatementMismatch, match="is not the committed dataset"):
        zktrain.train(files.recipe, data=other, out=files.folder / "no", dataset=files.dataset)


def test_a_certificate_does_not_depend_on_how_the_indicator_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where every cell is real the public column of ones takes no memory; the bytes are the same
    as with all of it, which a dataset with padding has."""
    random = np.random.default_rng(5)
    inputs = random.integers(0, 256, (256, 1024), dtype=np.uint8)
    labels = random.integers(0, 2, 256).astype(np.uint8)
    dataset = commit_records(Records(inputs, labels, 2, "random"))
    values = commitment.lookup_values

    def written(*arguments: object) -> list[object]:
        found = values(*arguments)  # type: ignore[arg-type]
        assert any(value.columns[1].strides == (0,) for value in found)
        columns = [tuple(np.ascontiguousarray(c) for c in value.columns) for value in found]
        return [type(value)(c) for value, c in zip(found, columns, strict=True)]

    expected = certify(dataset)
    monkeypatch.setattr(commitment, "lookup_values", written)
    assert certify(dataset) == expected
