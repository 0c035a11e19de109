"""Mutated inputs for every reader: nothing but a ``ZktrainError`` comes out, soon and in little
memory.

    python scripts/fuzz_readers.py [--count 10000] [--reader NAME]... [--seed 0] [--keep FOLDER]

Inputs are made of honest ones: bits, words and lengths changed, pieces cut, doubled and moved, JSON
of other types, nested deeply, with huge numbers and with keys that come twice. A line per reader
says how many were refused by what, and the worst time and memory. An input that ends otherwise, or
is accepted where nothing but the honest one may be, is kept in FOLDER, and the exit code is 1.

A reader is a function in ``READERS``: of a folder for its files it makes a :class:`Reader`, honest
inputs in parts and the call that reads one. Inputs follow from the seed, the reader's name and
their number alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zktrain.errors import ZktrainError
from zktrain.optimizers.sgd import Sgd

ROOT = Path(__file__).resolve().parent.parent
PROOFS = ROOT / "proofs"
SECONDS = 30
ADDRESS_SPACE = 12 << 30
NUMBERS = [0, 1, -1, 2, 7, 79, 120, 255, 256, 1 << 14, 1 << 16, (1 << 24) + 1, 1 << 31, 1 << 32]
NUMBERS += [(1 << 53) + 1, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, 10**4000]
WORDS = [n for n in NUMBERS if 0 <= n < 1 << 64] + [(1 << 64) - 1, 0xFFFFFFFF00000001]
TEXTS = [
    "",
    "x",
    "\0",
    "\ud800",
    "é" * 9,
    "0" * 64,
    "zz" * 32,
    "A" * 64,
    "x" * 2000,
    "../x",
    "null",
]


@dataclass(frozen=True)
class Part:
    """A piece of an input: ``json``, or ``bytes``, which nothing is known of."""

    data: bytes
    kind: str = "bytes"


def joined(parts: Sequence[bytes]) -> bytes:
    """One after the other."""
    return b"".join(parts)


@dataclass(frozen=True)
class Reader:
    """``inputs`` are honest, in parts; ``join`` makes one file of the data of all parts (with the
    right lengths, where it has any); ``read`` reads it. ``strict``: nothing that differs from all
    honest inputs may be accepted."""

    inputs: list[list[Part]]
    read: Callable[[bytes], object]
    join: Callable[[Sequence[bytes]], bytes] = joined
    strict: bool = False


# Mutations


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """One change of one place, which is often near the beginning."""
    if not data:
        return rng.randbytes(rng.randrange(1, 40))
    near = min(len(data), 256)
    at = rng.randrange(len(data) if rng.random() < 0.6 else near)
    size = rng.choice([1, 2, 4, 8, 8, 8, 32, rng.randrange(1, 1 + len(data))])
    before, after = data[:at], data[at:]
    match rng.randrange(9):
        case 0:
            return before + bytes([after[0] ^ 1 << rng.randrange(8)]) + after[1:]
        case 1:
            return before + rng.choice(WORDS).to_bytes(8, "little") + after[8:]
        case 2:
            return before + (rng.choice(WORDS) & 0xFFFFFFFF).to_bytes(4, "little") + after[4:]
        case 3:
            return before
        case 4:
            return before + after[size:]
        case 5:
            return before + after[:size] + after
        case 6:
            return data + rng.randbytes(rng.randrange(1, 40))
        case 7:
            piece = rng.choice([b"\0", b"\xff", b"{", b"[", b'"', b"9"])
            return before + piece * rng.choice([1, 8, 100, 100_000]) + after
        case _:
            place = rng.randrange(len(data))
            return before + data[place : place + size] + after[size:]


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """Of any JSON type."""
    match rng.randrange(9 if depth < 3 else 6):
        case 0:
            return rng.choice([None, True, False])
        case 1 | 2:
            return rng.choice(NUMBERS)
        case 3:
            return rng.choice([0.5, 1e308, -0.0, float("nan"), float("inf"), 1.0])
        case 4 | 5:
            return rng.choice(TEXTS)
        case 6:
            return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
        case 7:
            keys = [rng.choice([*TEXTS, "kind", "name"]) for _ in range(rng.randrange(4))]
            return {key: any_value(rng, depth + 1) for key in keys}
        case _:
            return [any_value(rng, 3)] * rng.choice([2, 3, 100, 1000])


def change_value(rng: random.Random, value: Any) -> Any:
    """The value with a place in it changed, kept apart or doubled."""
    inner = isinstance(value, (dict, list)) and value
    if not inner or rng.random() < 0.1:
        if type(value) is int and abs(value) < 1 << 64 and rng.random() < 0.5:
            real = float(value) if abs(value) < 1 << 1000 else 1e308
            text = str(value) if abs(value) < 1 << 10_000 else "9" * 4000
            return rng.choice([value + 1, value - 1, -value, 2 * value, real, text])
        if isinstance(value, str) and rng.random() < 0.5:
            long = (value * 100)[:10_000]
            return rng.choice([value + "x", value[:-1], value.upper(), [value], long])
        return any_value(rng)
    out = value.copy()
    keys = list(out) if isinstance(out, dict) else list(range(len(out)))
    key = rng.choice(keys)
    match rng.randrange(12):
        case 0:
            del out[key]
        case 1 if isinstance(out, dict):
            out[rng.choice(TEXTS)] = any_value(rng)
        case 1:
            out.insert(key, any_value(rng))
        case 2 if isinstance(out, list):
            out *= min(rng.choice([2, 50, 5000]), max(1, 5000 // len(out)))
        case 3:
            other = rng.choice(keys)
            out[key], out[other] = out[other], out[key]
        case _:
            out[key] = change_value(rng, out[key])
    return out


def change_json(rng: random.Random, data: bytes) -> bytes:
    """The text with other values, in canonical writing mostly; or its writing changed."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return change_bytes(rng, data)
    match rng.randrange(12):
        case 0:
            return change_bytes(rng, data)
        case 1:
            depth = rng.choice([10, 500, 5000, 200_000])
            bracket = rng.choice(["[", '{"a":'])
            text = bracket * depth + "0" + {"[": "]"}.get(bracket, "}") * depth
            return (
                data.replace(b":", f":{text},".encode(), 1) if rng.random() < 0.5 else text.encode()
            )
        case 2:  # a key twice
            at = data.find(b'"', rng.randrange(len(data)))
            end = data.find(b",", at)
            return data[: end + 1] + data[at : end + 1] + data[end + 1 :] if end > at >= 0 else data
        case 3:
            return json.dumps(value, indent=rng.choice([None, 1])).encode()
        case _:
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                value = change_value(rng, value)
    sort = not isinstance(value, dict) or rng.random() < 0.9
    return dumps(value, sort=sort)


def dumps(value: Any, *, sort: bool = True) -> bytes:
    """Numbers of any length; keys in the canonical order."""
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value, sort_keys=sort, separators=(",", ":")).encode()
    finally:
        sys.set_int_max_str_digits(4300)


def change(rng: random.Random, reader: Reader) -> bytes:
    """An honest input with one to three changes: in one of its parts, in their order, or in the
    file."""
    honest = rng.choice(reader.inputs)
    data = [part.data for part in honest]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        number = rng.randrange(len(data))
        if honest[number].kind == "json":
            data[number] = change_json(rng, data[number])
        else:
            data[number] = change_bytes(rng, data[number])
        match rng.randrange(20):
            case 0:
                data[number] = data[rng.randrange(len(data))]
            case 1:
                return change_bytes(rng, reader.join(data))
    if rng.random() < 0.2:
        return change_bytes(rng, reader.join([part.data for part in honest]))
    return reader.join(data)


# Readers


def sections(parts: Sequence[bytes], counted: int | None = None) -> bytes:
    """The first part as it is, the others after their lengths; before the part ``counted`` stands
    the number of those that follow, but the last one."""
    out = [parts[0]]
    for number, part in enumerate(parts[1:], 1):
        if number == counted:
            out.append(struct.pack("<I", len(parts) - number - 1))
        out += [struct.pack("<Q", len(part)), part]
    return b"".join(out)


def _runs() -> list[Path]:
    """The golden proofs, the smallest first."""
    runs = [path.parent for path in PROOFS.glob("accepted/*/expected.json")]
    return sorted(runs, key=lambda run: (run / "proof.zkt").stat().st_size)


def _written(folder: Path, name: str) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return write


def bundle(folder: Path) -> Reader:
    """``zktrain.verify``, asked for the dataset that the bundle names."""
    from zktrain._verify import verify
    from zktrain.circuit.circuit import Circuit
    from zktrain.dataset.commitment import DatasetHeader
    from zktrain.dataset.public_file import read_public
    from zktrain.protocol.bundle import parse
    from zktrain.prover.dataset.public_file import write_public

    write, public = _written(folder, "proof.zkt"), folder / "dataset.zkd"
    run = _runs()[0]
    honest = parse((run / "proof.zkt").read_bytes())
    certificate = read_public(run / "dataset.zkd")[1]
    texts = [honest.statement_json, honest.circuit_json, honest.dataset_json]
    assert Circuit.from_json(texts[1])

    def join(parts: Sequence[bytes]) -> bytes:
        made = replace(
            honest,
            statement_json=parts[0],
            circuit_json=parts[1],
            dataset_json=parts[2],
            proof=parts[3],
        )
        return made.to_bytes()

    def read(data: bytes) -> object:
        header = DatasetHeader.from_json(honest.dataset_json)
        with suppress(ZktrainError):
            header = DatasetHeader.from_json(parse(data).dataset_json)
        write_public(public, header, certificate)
        weights = run / "weights.safetensors"
        return verify(weights, proof=write(data), dataset=public, min_security_bits=80)

    parts = [*(Part(text, "json") for text in texts), Part(bytes(honest.proof))]
    return Reader([parts], read, join, strict=True)


def inspected(folder: Path) -> Reader:
    """``zktrain inspect`` of the same inputs."""
    from zktrain._inspect import inspect

    write = _written(folder, "proof.zkt")
    return replace(bundle(folder), read=lambda data: inspect(write(data)), strict=False)


def evaluation(folder: Path) -> Reader:
    """``zktrain.verify_eval`` and ``inspect`` of a proof of an evaluation."""
    import zktrain
    from zktrain._inspect import inspect
    from zktrain.dataset.commitment import DatasetHeader
    from zktrain.protocol.bundle import parse

    weights, proof = _evaluated(folder)
    honest, write = parse(proof.read_bytes()), _written(folder, "mutated.zkt")

    def join(parts: Sequence[bytes]) -> bytes:
        made = replace(
            honest,
            statement_json=parts[0],
            circuit_json=parts[1],
            dataset_json=parts[2],
            certificate=parts[3],
            proof=parts[4],
        )
        return made.to_bytes()

    def read(data: bytes) -> object:
        path = write(data)
        root = DatasetHeader.from_json(honest.dataset_json).root.hex()
        with suppress(ZktrainError):
            root = DatasetHeader.from_json(parse(data).dataset_json).root.hex()
        with suppress(ZktrainError):
            inspect(path)
        return zktrain.verify_eval(weights, proof=path, dataset=root, min_security_bits=80)

    texts = (honest.statement_json, honest.circuit_json, honest.dataset_json)
    parts = [Part(text, "json") for text in texts]
    parts += [Part(bytes(section)) for section in (honest.certificate, honest.proof)]
    return Reader([parts], read, join, strict=True)


def _evaluated(folder: Path) -> tuple[Path, Path]:
    """Weights of the smallest golden proof, and a proof of what they answer on records of zeros."""
    import numpy as np

    import zktrain
    from zktrain.protocol.bundle import statement_of

    run = _runs()[0]
    circuit = statement_of(run / "proof.zkt").circuit
    path, data = folder / "circuit.json", folder / "data.npz"
    path.write_bytes(circuit.canonical_json())
    inputs = np.zeros((6, circuit.features), dtype=np.uint8)
    labels = np.arange(6) % circuit.classes
    np.savez(data, inputs=inputs, labels=labels, classes=circuit.classes)
    public, out = folder / "evaluated.zkd", folder / "eval.zkt"
    if not out.exists():
        zktrain.commit(data, out=public, public=True)
        zktrain.prove_eval(
            run / "weights.safetensors",
            circuit=path,
            data=data,
            dataset=public,
            out=out,
            zero_knowledge=False,
            security_bits=80,
        )
    return run / "weights.safetensors", out


def circuits() -> list[Any]:
    """Circuits that have every kind of layer, optimizer, schedule and start between them."""
    from zktrain.circuit.circuit import Circuit
    from zktrain.circuit.initialisation import Initialisation
    from zktrain.layers import (
        Activation,
        Add,
        AveragePool,
        Convolution,
        Flatten,
        Layer,
        LeakyReLU,
        MaxPool,
        Reduce,
        Unflatten,
    )
    from zktrain.operations.fixed_point import FixedPoint
    from zktrain.optimizers.filtered_sgd import FilteredSgd
    from zktrain.optimizers.layer_rates import LayerRates

    def conv(name: str, inputs: int, *, relu: bool = True) -> Convolution:
        pairs = ((3, 3), (1, 1), (1, 1))
        return Convolution(name, inputs, 2, *pairs, f"{name}.w", f"{name}.b", relu)

    image = (
        Unflatten("image", 1, 8, 8),
        conv("c1", 1),
        MaxPool("max", (2, 2), (2, 2)),
        conv("c2", 2),
        conv("c3", 2, relu=False),
        Add("sum", "max", True),
        AveragePool("mean", (2, 2), (2, 2)),
        Reduce("lines", 1, 2, 1, False),
        Flatten("flat"),
        Layer("hidden", 4, 4, "h.w", "h.b", False),
        Activation("curve", "tanh"),
        LeakyReLU("leak", 655),
        Layer("last", 4, 3, "l.w", None, False),
    )
    dense = (Layer("a", 6, 4, "a.w", "a.b", True), Layer("b", 4, 3, "b.w", "b.b", False))
    seed, file = Initialisation("seed", "é start"), Initialisation("file", "0f" * 32)
    plain = Circuit(dense, "mse", FixedPoint(), 4, 9, Sgd(((0, 1), (3, 2))), "order", seed)
    smooth = (
        replace(dense[0], relu=False),
        Activation("bend", "gelu"),
        Layer("m", 4, 4, "m.w", None, False),
        Activation("squash", "sigmoid"),
        dense[1],
    )
    schedule = ((0, 1 << 20), (4, 99))
    filtered = replace(plain, fixed_point=FilteredSgd.FORMAT)
    made = [
        plain,
        replace(plain, loss="binary_cross_entropy", initialisation=file, drop_last=True),
        replace(plain, layers=image, loss="cross_entropy", frozen=("c1",)),
        replace(plain, layers=smooth),
        replace(filtered, optimizer=FilteredSgd(schedule, 9 << 36, True, 0, 4)),
        replace(filtered, optimizer=FilteredSgd(schedule, 9 << 36, False, 1 << 20, 16)),
        replace(plain, optimizer=LayerRates(plain.optimizer, (("a", ((0, 3),)),))),
    ]
    return [Circuit.from_json(circuit.canonical_json()) for circuit in made]


def circuit(folder: Path) -> Reader:
    """``Circuit.from_json``, and what a statement derives of it."""
    from zktrain.circuit.circuit import Circuit
    from zktrain.dataset.commitment import DatasetHeader
    from zktrain.protocol.statement import Statement
    from zktrain.protocol.tasks import Training

    def read(data: bytes) -> object:
        found = Circuit.from_json(data)
        header = DatasetHeader(24, found.features, found.classes, bytes(32))
        ends = "00" * 32, "00" * 32
        return Statement(Training(found, *ends), header, 100).misfit()

    return Reader([[Part(found.canonical_json(), "json")] for found in circuits()], read)


def dataset(folder: Path) -> Reader:
    """A public file, and its certificate."""
    from zktrain.dataset.public_file import MAGIC, read_public
    from zktrain.protocol.certificate import verify_certificate

    write, inputs = _written(folder, "dataset.zkd"), []
    for run in _runs():
        header, certificate = read_public(run / "dataset.zkd")
        if len(inputs) < 4 and len(certificate) < 1 << 18:
            inputs.append([Part(MAGIC), Part(header.to_json(), "json"), Part(certificate)])

    def read(data: bytes) -> object:
        header, certificate = read_public(write(data))
        verify_certificate(header, certificate)
        return header

    return Reader(inputs, read, sections, strict=True)


def weights(folder: Path) -> Reader:
    """A weight file, for the network that it is of."""
    from zktrain.circuit.weights import read_weights
    from zktrain.protocol.bundle import statement_of

    write, run = _written(folder, "weights.safetensors"), _runs()[0]
    found = statement_of(run / "proof.zkt").circuit
    shapes, bits = found.parameter_shapes(), found.fixed_point.weight_bits
    data = (run / "weights.safetensors").read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    parts = [Part(data[8:size], "json"), Part(data[size:])]

    def join(parts: Sequence[bytes]) -> bytes:
        return struct.pack("<Q", len(parts[0])) + parts[0] + parts[1]

    return Reader([parts], lambda data: read_weights(write(data), shapes, bits), join)


def arrays(folder: Path) -> Reader:
    """Data in ``.npz`` files, with a range and without."""
    import io

    import numpy as np

    from zktrain.dataset.readers import Like, read_dataset
    from zktrain.dataset.scaling import Scaling

    write, inputs = _written(folder, "data.npz"), []
    labels = np.arange(6) % 3
    for save in (np.savez, np.savez_compressed):
        for given in (
            {"inputs": np.arange(24, dtype=np.uint8).reshape(6, 4), "classes": 3},
            {"inputs": np.linspace(-1, 1, 24).reshape(6, 2, 2), "low": -1.0, "high": 1.0},
        ):
            file = io.BytesIO()
            save(file, labels=labels, **given)
            data = file.getvalue()
            cuts = [0, *(at for at in range(1, len(data)) if data[at : at + 2] == b"PK"), len(data)]
            ends = itertools.pairwise(cuts)
            inputs.append([Part(data[first:last]) for first, last in ends])

    def read(data: bytes) -> object:
        path = str(write(data))
        with suppress(ZktrainError):
            read_dataset(path, "test", Like(Scaling(-1, 1), 3))
        return read_dataset(path)

    return Reader(inputs, read)


def idx(folder: Path) -> Reader:
    """Folders of IDX files; the first byte says which of the files is another, and whether it is
    gzipped."""
    import gzip

    from zktrain.dataset.readers import read_dataset

    images = b"\0\0\x08\3" + struct.pack(">3I", 6, 2, 3) + bytes(range(36))
    labels = b"\0\0\x08\1" + struct.pack(">I", 6) + bytes([0, 1, 2, 0, 1, 2])
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    honest = [[bytes([kind]), (images, labels)[kind & 1]] for kind in range(4)]
    for made in honest[2:]:
        made[1] = gzip.compress(made[1], mtime=0)

    def read(data: bytes) -> object:
        kind = data[0] & 3 if data else 0
        for number, (name, whole) in enumerate(zip(names, (images, labels), strict=True)):
            other = number == kind & 1
            (folder / f"{name}.gz").unlink(missing_ok=True)
            (folder / name).unlink(missing_ok=True)
            path = folder / (f"{name}.gz" if other and kind & 2 else name)
            path.write_bytes(data[1:] if other else whole)
        return read_dataset(str(folder))

    return Reader([[Part(part) for part in made] for made in honest], read)


def _cut(data: bytes, size: int) -> list[Part]:
    return [Part(data[at : at + size]) for at in range(0, len(data), size)]


def network(folder: Path) -> Reader:
    """ONNX files, the smallest of ``models``."""
    from zktrain.circuit.onnx.importer import read_network

    write = _written(folder, "net.onnx")
    files = sorted((ROOT / "models").glob("*.onnx"), key=lambda path: path.stat().st_size)
    inputs = [_cut(path.read_bytes(), 200) for path in files[:6]]
    return Reader(inputs, lambda data: read_network(write(data)))


def recipe(folder: Path) -> Reader:
    """Recipes, of a network of ``models``, compiled where they can be read."""
    import shutil

    from zktrain.circuit.compile import compile_recipe

    shutil.copytree(ROOT / "models", folder / "models")
    (folder / "circuits").mkdir()
    write = _written(folder / "circuits", "recipe.toml")
    inputs = []
    for name in ("iris-mlp-8", "digits-mlp-16", "fashion-mlp-128-momentum"):
        text = (ROOT / "circuits" / f"{name}.toml").read_bytes()
        inputs.append([Part(line) for line in text.splitlines(keepends=True)])
    return Reader(inputs, lambda data: compile_recipe(write(data)))


def secret(folder: Path) -> Reader:
    """Secret files of a commitment."""
    import numpy as np

    import zktrain
    from zktrain.prover.dataset import secret_file

    data, public = folder / "data.npz", folder / "data.zkd"
    np.savez(data, inputs=np.zeros((6, 4), np.uint8), labels=np.arange(6) % 3)
    if not public.exists():
        zktrain.commit(data, out=public)
    write = _written(folder, "data.zkd.secret")
    honest = (folder / "data.zkd.secret").read_bytes()
    return Reader([[Part(honest, "json")]], lambda data: secret_file.read(write(data)))


def run_directory(folder: Path) -> Reader:
    """``run.json`` of a finished run, and what it makes of the other files."""
    import numpy as np

    import zktrain
    from zktrain.training.run import Run

    data, place = folder / "data.npz", folder / "run"
    np.savez(data, inputs=np.zeros((6, 4), np.uint8), labels=np.arange(6) % 3)
    text = (ROOT / "circuits" / "iris-mlp-8.toml").read_text().replace("../models", "models")
    (folder / "recipe.toml").write_text(text)
    if not place.exists():
        (folder / "models").symlink_to(ROOT / "models")
        zktrain.train(folder / "recipe.toml", data=data, out=place)
    honest, write = (place / "run.json").read_bytes(), _written(place, "run.json")

    def read(data: bytes) -> object:
        write(data)
        found = Run.open(place)
        found.header()
        found.records()
        for step in found.boundaries:
            found.boundary(step)
        return found

    return Reader([[Part(honest, "json")]], read)


READERS: dict[str, Callable[[Path], Reader]] = {
    "npz": arrays,
    "idx": idx,
    "onnx": network,
    "recipe": recipe,
    "secret": secret,
    "run": run_directory,
    "bundle": bundle,
    "inspect": inspected,
    "evaluation": evaluation,
    "circuit": circuit,
    "zkd": dataset,
    "weights": weights,
}


# Runs


class Slow(BaseException):
    """An input took longer than it may; no reader catches it."""


@dataclass
class Found:
    """What became of the inputs of a reader; times in seconds, memory in bytes."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str, bytes]] = field(default_factory=list)
    worst_seconds: float = 0.0
    slowest: int = -1
    worst_bytes: int = 0
    largest: int = -1


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) << 10
    return 0


def _forget_peak() -> int:
    """The memory now, from which on the peak is counted; 0 where nothing tells."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return 0


def _alarm(signum: int, frame: object) -> None:
    raise Slow(f"longer than {SECONDS} s")


def mutated(name: str, reader: Reader, seed: int, number: int) -> bytes:
    """Input ``number`` of a run."""
    return change(random.Random(f"{seed} {name} {number}"), reader)


def run(name: str, reader: Reader, count: int, seed: int, first: int = 0) -> Found:
    """Read the honest inputs, then ``count`` mutated ones."""
    found = Found()
    honest = {reader.join([part.data for part in parts]) for parts in reader.inputs}
    for data in honest:
        reader.read(data)
    signal.signal(signal.SIGALRM, _alarm)
    for number in range(first, first + count):
        data = mutated(name, reader, seed, number)
        before, started = _forget_peak(), time.process_time()
        signal.alarm(SECONDS)
        try:
            reader.read(data)
            outcome = "accepted" if data not in honest else "honest"
            if outcome == "accepted" and reader.strict:
                found.failures.append((number, "accepted", data))
        except ZktrainError as error:
            outcome = type(error).__name__
            try:
                str(error).encode()
            except UnicodeEncodeError:
                found.failures.append((number, "a message that cannot be written", data))
        except (Exception, Slow) as error:
            outcome = f"{type(error).__name__}: {error}"[:80]
            found.failures.append((number, outcome, data))
        finally:
            signal.alarm(0)
        found.outcomes[outcome] += 1
        seconds = time.process_time() - started
        if seconds > found.worst_seconds:
            found.worst_seconds, found.slowest = seconds, number
        taken = _status("VmHWM") - before if before else 0
        if taken > found.worst_bytes:
            found.worst_bytes, found.largest = taken, number
    return found


def line(name: str, count: int, found: Found) -> str:
    """One reader's row."""
    outcomes = ", ".join(f"{n} {what}" for what, n in found.outcomes.most_common())
    return (
        f"{name:<12} {count:>6}  {1000 * found.worst_seconds:>7.0f} ms (#{found.slowest})  "
        f"{found.worst_bytes / (1 << 20):>6.1f} MiB (#{found.largest})  {outcomes}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--reader", action="append", choices=sorted(READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"))
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    print(f"{'reader':<12} {'inputs':>6}  worst time, worst memory, outcomes", flush=True)
    failed = False
    for name in asked.reader or sorted(READERS):
        with tempfile.TemporaryDirectory(prefix="zktrain-fuzz-") as folder:
            reader = READERS[name](Path(folder))
            found = run(name, reader, asked.count, asked.seed, asked.first)
        print(line(name, asked.count, found), flush=True)
        for number, outcome, data in found.failures:
            failed = True
            asked.keep.mkdir(parents=True, exist_ok=True)
            path = asked.keep / f"{name}-{asked.seed}-{number}"
            path.write_bytes(data)
            print(f"  #{number}: {outcome}: {os.fspath(path)}")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
