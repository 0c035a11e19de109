"""The run directory: all that proving needs of a training run.

    run.json               format, circuit id, dataset, proof options, boundaries, results
    circuit.json           the canonical circuit
    dataset-inputs.npy     uint8 (N, features)
    dataset-labels.npy     uint8 or uint16 (N,)
    boundary-00000000.npz  integer weights before that step: ``arr_0``, ``arr_1``, ... int64 in the
                           internal layout and in the order of ``Circuit.parameter_shapes``
    weights.safetensors    the trained weights
    checkpoint-000256.safetensors  weights after that step, where the recipe has checkpoints

Each file appears complete or not at all. ``results`` are written last: a directory without them
holds an interrupted run. ``digest`` of the dataset in ``run.json`` tells nothing of the records to
those who do not have the secret of a commitment that hides: it is keyed by it. The folder and all
in it but weights, checkpoints, circuit, and the public files of the dataset are for their owner
alone.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from .. import disk, files
from ..circuit.canonical import MAX_BYTES
from ..circuit.circuit import Circuit
from ..circuit.weights import WEIGHT_LIMIT, digest, read_weights
from ..dataset.arrays import read_npy, read_npz
from ..dataset.commitment import DatasetHeader
from ..dataset.readers import Records
from ..errors import InputError, MalformedProof, StatementMismatch
from ..protocol.tasks import Checkpoint
from ..scratch import IN_MEMORY, Scratch
from .weight_file import write_weights

FORMAT = "zktrain-run-4"
_DESCRIPTION_BYTES = 1 << 20
"""Of ``run.json`` beside what it has for every step."""
_BYTES_PER_STEP = 256
"""Of ``run.json``: a boundary and two losses, written with room around them."""
_DEPTH = 8
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]')
_DATASET_KEYS = dict.fromkeys(("root", "header", "digest", "source", "secret"), str)
_TRAIN_AGAIN = "run zktrain train again"

IntegerWeights = Mapping[str, npt.NDArray[np.int64]]


@dataclass(slots=True)
class Run:
    """An open run directory.

    ``boundaries`` are the steps at which weights are kept, increasing, from 0 to the last;
    ``proof`` are the recipe's proof options; ``results`` is ``None`` until ``finish``.
    """

    path: Path
    circuit: Circuit
    dataset: dict[str, Any]
    proof: dict[str, Any]
    boundaries: tuple[int, ...]
    results: dict[str, Any] | None

    @classmethod
    def create(
        cls,
        path: str | Path,
        circuit: Circuit,
        records: Records,
        *,
        header: DatasetHeader,
        dataset_secret: str = "",
        seed: bytes | None = None,
        proof: Mapping[str, Any],
        boundaries: Sequence[int],
    ) -> Run:
        """Begin a run in a new or empty directory, or in that of an interrupted run.

        Raises ``InputError`` when ``path`` holds a finished run or something else, or cannot be
        written.
        """
        folder = Path(path)
        disk.make_folder(folder, private=True)
        if not _free(folder, circuit.steps):
            raise InputError(
                f"{folder} is not empty and not an interrupted run; choose another directory "
                f"or remove it"
            )
        dataset = {
            "root": header.root.hex(),
            "header": header.to_json().decode(),
            "digest": keyed_digest(records, seed),
            "source": records.source,
            "secret": dataset_secret,
        }
        if not _are_boundaries(list(boundaries), circuit.steps):
            raise InputError(f"boundaries must increase from 0 to {circuit.steps}")
        run = cls(folder, circuit, dataset, dict(proof), tuple(boundaries), None)
        run._write_description()
        for old in sorted(folder.iterdir()):
            if old.name != "run.json" and _is_of_a_run(old):
                disk.remove(old)
        disk.write(folder / "circuit.json", circuit.canonical_json())
        _write_array(folder / "dataset-inputs.npy", records.inputs)
        _write_array(folder / "dataset-labels.npy", records.labels)
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a finished run. Raises ``InputError`` with what is missing or wrong."""
        folder = Path(path)
        _require_description(folder)
        circuit_path = folder / "circuit.json"
        try:
            circuit = Circuit.from_json(_read(circuit_path, MAX_BYTES))
        except MalformedProof as error:
            _unusable(circuit_path, f"is not a circuit of this version: {error}")
        description = _read_description(folder, circuit.steps)
        if circuit.id != description["circuit_id"]:
            _unusable(circuit_path, "is not the circuit that run.json names")
        if not _are_boundaries(description["boundaries"], circuit.steps):
            _unusable(folder / "run.json", "has boundaries that do not go from 0 to the last step")
        run = cls(
            folder,
            circuit,
            description["dataset"],
            description["proof"],
            tuple(description["boundaries"]),
            description["results"],
        )
        if run.results is None:
            _unusable(folder, "holds a training run that was not finished")
        kept = [run.checkpoint_path(found.step) for found in run.checkpoints]
        for needed in (run.weights_path, *map(run._boundary_path, run.boundaries), *kept):
            if not needed.is_file():
                _unusable(needed, "is missing")
        return run

    @property
    def weights_path(self) -> Path:
        """Where the trained weights are."""
        return self.path / "weights.safetensors"

    def checkpoint_path(self, step: int) -> Path:
        """Where the weights after a step are, if they are published."""
        return self.path / f"checkpoint-{step:06d}.safetensors"

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Those of a finished run. Raises ``InputError``."""
        found = (self.results or {}).get("checkpoints", [])
        try:
            return tuple(map(Checkpoint.read, found))
        except (ValueError, TypeError):
            _unusable(self.path / "run.json", "has checkpoints that are none")

    @property
    def dataset_root(self) -> str:
        """The commitment to the dataset, as text."""
        return str(self.dataset["root"])

    def header(self) -> DatasetHeader:
        """The dataset's public description. Raises ``InputError``."""
        path = self.path / "run.json"
        try:
            header = DatasetHeader.from_json(str(self.dataset["header"]).encode())
        except MalformedProof:
            _unusable(path, "has no valid description of the dataset")
        if header.root.hex() != self.dataset_root:
            _unusable(path, "describes another dataset than the one whose root it has")
        return header

    @property
    def public_dataset(self) -> Path:
        """Where the public file of the dataset is, from the first proof on at the latest."""
        return self.path / "dataset.zkd"

    @property
    def dataset_secret(self) -> Path | None:
        """The secret file of the commitment, None if it does not hide."""
        secret = str(self.dataset["secret"])
        return self.path / secret if secret else None

    def _boundary_path(self, step: int) -> Path:
        return self.path / f"boundary-{step:08d}.npz"

    def _write_description(self) -> None:
        description = {
            "format": FORMAT,
            "circuit_id": self.circuit.id,
            "dataset": self.dataset,
            "proof": self.proof,
            "boundaries": self.boundaries,
            "results": self.results,
        }
        text = json.dumps(description, indent=2) + "\n"
        disk.write(self.path / "run.json", text.encode(), private=True)

    def write_boundary(self, step: int, weights: IntegerWeights) -> None:
        """Keep the weights before ``step``; suits ``train``'s ``on_boundary``."""
        buffer = io.BytesIO()
        np.savez(buffer, *(weights[name] for name in self.circuit.parameter_shapes()))
        disk.write(self._boundary_path(step), buffer.getbuffer(), private=True)

    def boundary(self, step: int) -> dict[str, npt.NDArray[np.int64]]:
        """The weights before ``step``, one of ``boundaries``. Raises ``InputError``."""
        path = self._boundary_path(step)
        shapes = self.circuit.parameter_shapes()
        names = [f"arr_{position}" for position in range(len(shapes))]
        with _train_again():
            by_name, there = read_npz(path, "file", tuple(names))
        arrays = list(by_name.values())
        found = [(array.dtype, array.shape) for array in arrays]
        if there != set(names) or found != [
            (np.dtype(np.int64), shape) for shape in shapes.values()
        ]:
            _unusable(path, "does not have the parameters of the circuit")
        if any(a.size and max(-int(a.min()), int(a.max())) >= WEIGHT_LIMIT for a in arrays):
            _unusable(path, "has weights that are not below 2^52")
        return dict(zip(shapes, arrays, strict=True))

    def write_checkpoint(
        self, step: int, weights: IntegerWeights, metadata: Mapping[str, str]
    ) -> Checkpoint:
        """Publish the weights after ``step``."""
        bits = self.circuit.fixed_point.weight_bits
        write_weights(self.checkpoint_path(step), weights, bits, metadata)
        return Checkpoint(step, digest(weights))

    def checkpoint(
        self, step: int, names: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[np.int64]]:
        """The weights after ``step``, or some of them. Raises ``InputError``."""
        path, shapes = self.checkpoint_path(step), self.circuit.parameter_shapes()
        try:
            with _train_again():
                return read_weights(path, shapes, self.circuit.fixed_point.weight_bits, names)
        except StatementMismatch:
            _unusable(path, "does not have the weights that training wrote")

    def require_checkpoints(self) -> None:
        """Raises ``InputError`` unless all files are as training wrote them."""
        for kept in self.checkpoints:
            if digest(self.checkpoint(kept.step)) != kept.weights:
                path = self.checkpoint_path(kept.step)
                _unusable(path, "does not have the weights that training wrote")

    def seed(self) -> bytes | None:
        """What hides the dataset, None if nothing does. Raises ``InputError``."""
        from ..prover.dataset import secret_file

        secret = self.dataset_secret
        return None if secret is None else secret_file.read(secret, self.dataset_root).seed

    def records(self, scratch: Scratch = IN_MEMORY) -> Records:
        """The records that the run was trained on, in ``scratch``. Raises ``InputError``,
        also where the secret of their commitment is missing."""
        inputs_path = self.path / "dataset-inputs.npy"
        labels_path = self.path / "dataset-labels.npy"
        inputs, labels = _read_array(inputs_path, scratch), _read_array(labels_path)
        if inputs.dtype != np.uint8 or inputs.ndim != 2 or len(inputs) == 0:
            _unusable(inputs_path, "is not a table of bytes")
        if inputs.shape[1] != self.circuit.features:
            _unusable(inputs_path, "has not as many columns as the network has inputs")
        if labels.dtype not in (np.uint8, np.uint16) or labels.shape != inputs.shape[:1]:
            _unusable(labels_path, "is not one label per record")
        header = self.header()
        if int(labels.max()) >= min(header.classes, self.circuit.classes):
            _unusable(labels_path, "has a label that the dataset or the network does not have")
        found = Records(inputs, labels, header.classes, self.dataset["source"], header.scaling)
        if keyed_digest(found, self.seed()) != self.dataset["digest"]:
            raise InputError(
                f"the records in {self.path} are not those that the run was trained on; "
                f"{_TRAIN_AGAIN}"
            )
        return found

    def finish(
        self, weights: IntegerWeights, results: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> None:
        """Write the trained weights with ``metadata``, then ``results``: the run is complete."""
        write_weights(self.weights_path, weights, self.circuit.fixed_point.weight_bits, metadata)
        self.results = dict(results)
        self._write_description()


def _unusable(path: Path, problem: str) -> NoReturn:
    raise InputError(f"{path} {problem}; {_TRAIN_AGAIN}") from None


@contextmanager
def _train_again() -> Iterator[None]:
    """What to do where a file cannot be read."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error.message}; {_TRAIN_AGAIN}") from None


def _read(path: Path, limit: int) -> bytes:
    with _train_again():
        return files.read_bytes(path, "file", limit)


def _write_array(path: Path, array: npt.NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    disk.write(path, buffer.getbuffer(), private=True)


def _read_array(path: Path, scratch: Scratch = IN_MEMORY) -> npt.NDArray[Any]:
    with _train_again():
        return np.ascontiguousarray(read_npy(path, "file", scratch))


def _are_boundaries(values: Sequence[int], steps: int) -> bool:
    return (
        len(values) >= 2
        and values[0] == 0
        and values[-1] == steps
        and all(before < after for before, after in itertools.pairwise(values))
    )


def keyed_digest(records: Records, seed: bytes | None) -> str:
    """Tells other records from these, but not to who does not know ``seed``."""
    state = hashlib.sha256(b"zktrain run records v1\0" + (seed or b""))
    state.update(bytes.fromhex(records.digest))
    return state.hexdigest()


def run_folder(path: str | Path) -> Path:
    """The folder of a run, for whoever wants its lock. Raises ``InputError``."""
    folder = Path(path)
    if not os.path.isdir(folder):
        _unusable(folder, "is no run directory: it has no run.json")
    return folder


def _free(folder: Path, steps: int) -> bool:
    """Whether a run may begin here: in an empty folder, or in place of an interrupted run, of so
    many steps if it has no circuit yet."""
    if not any(folder.iterdir()):
        return True
    with suppress(InputError, MalformedProof):
        steps = Circuit.from_json(_read(folder / "circuit.json", MAX_BYTES)).steps
    try:
        return _read_description(folder, steps)["results"] is None
    except InputError:
        return False


_OF_A_RUN = re.compile(
    r"boundary-\d{8}\.npz|checkpoint-\d{6,8}\.safetensors|dataset-(inputs|labels)\.npy|circuit\.json|(weights|initial)\.safetensors"
    r"|dataset\.zkd(\.secret)?"
)


def _is_of_a_run(path: Path) -> bool:
    return _OF_A_RUN.fullmatch(path.name) is not None and path.is_file()


def _require_description(folder: Path) -> None:
    if not (folder / "run.json").is_file():
        _unusable(folder, "is no run directory: it has no run.json")


def _is_nested(text: bytes) -> bool:
    """Whether lists and objects are in one another deeper than in any description."""
    depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in b"[{":
            depth += 1
            if depth > _DEPTH:
                return True
        elif token[0] in b"]}":
            depth -= 1
    return False


def _read_description(folder: Path, steps: int) -> dict[str, Any]:
    """``run.json`` of a run of at most so many steps; its size is limited by them."""
    _require_description(folder)
    path = folder / "run.json"
    text = _read(path, _DESCRIPTION_BYTES + _BYTES_PER_STEP * (steps + 1))
    if _is_nested(text):
        _unusable(path, "is nested as no description of a run is")
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        _unusable(path, "is not JSON")
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        _unusable(path, f"is not of the format {FORMAT}")
    dataset, boundaries = description.get("dataset"), description.get("boundaries")
    if not (
        set(description) == {"format", "circuit_id", "dataset", "proof", "boundaries", "results"}
        and isinstance(description["circuit_id"], str)
        and isinstance(description["proof"], dict)
        and isinstance(description["results"], dict | None)
        and isinstance(dataset, dict)
        and set(dataset) == set(_DATASET_KEYS)
        and all(type(dataset[name]) is kind for name, kind in _DATASET_KEYS.items())
        and isinstance(boundaries, list)
        and all(type(step) is int for step in boundaries)
    ):
        _unusable(path, "lacks an entry, has an unknown one, or one of the wrong type")
    return description
