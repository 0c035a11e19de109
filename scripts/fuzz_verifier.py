"""Coverage-guided fuzzing of everything that reads files of others.

    python scripts/fuzz_verifier.py [--seconds 60] [--artifacts FOLDER]

Needs atheris, which the ``test`` extra installs where there is one (Linux on x86-64).
The first byte of an input chooses the entry point, the rest is the file. Seeds are the proofs in
proofs/. Only ``ZktrainError`` may escape; anything else, an input that takes longer than ten
seconds and one that takes more than 1 GB end the run with a failure, and the input is kept in
FOLDER, by default runs/fuzz. (The fuzzer's own memory grows with the length of the run.)
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris")

with atheris.instrument_imports(include=["zktrain"]):
    from zktrain._inspect import inspect
    from zktrain._verify import verify, verify_eval
    from zktrain.circuit.circuit import Circuit
    from zktrain.circuit.weights import read_weights
    from zktrain.dataset.commitment import DatasetHeader
    from zktrain.dataset.public_file import read_public
    from zktrain.errors import ZktrainError
    from zktrain.protocol.bundle import parse, parse_statement
    from zktrain.protocol.certificate import verify_certificate
    from zktrain.protocol.statement import Statement
    from zktrain.prover.dataset.public_file import write_public

PROOFS = Path(__file__).resolve().parent.parent / "proofs"
TIMEOUT_SECONDS, MEMORY_BYTES = 10, 1 << 30
MAX_SIZE = 1 << 20


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    """The most they ever were."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


class Target:
    """The entry points, with one honest run to compare with."""

    def __init__(self, run: Path, scratch: Path) -> None:
        self.weights, self.file = run / "weights.safetensors", scratch / "input"
        self.public, self.certificate = scratch / "public", read_public(run / "dataset.zkd")[1]
        self.bundle = parse((run / "proof.zkt").read_bytes())
        self.statement = parse_statement(self.bundle)
        self.entries: tuple[Callable[[bytes], object], ...] = (
            self.verify_bundle,
            self.verify_evaluation,
            self.inspect,
            self.read_public,
            Circuit.from_json,
            self.read_statement,
            DatasetHeader.from_json,
            self.read_weights,
            self.verify_certificate,
            self.verify_proof,
        )

    def __call__(self, data: bytes) -> None:
        if not data:
            return
        before, peak_before = _resident(), _peak()
        with suppress(ZktrainError):
            self.entries[data[0] % len(self.entries)](data[1:])
        if _peak() > max(peak_before, before + MEMORY_BYTES):
            raise MemoryError(f"the input took {(_peak() - before) >> 20} MiB")

    def _written(self, data: bytes) -> Path:
        self.file.write_bytes(data)
        return self.file

    def verify_bundle(self, data: bytes) -> None:
        """The dataset that the bundle itself names is asked for, so that more of it is read."""
        self._judge(verify, data)

    def verify_evaluation(self, data: bytes) -> None:
        """The same, of an evaluation."""
        self._judge(verify_eval, data)

    def _judge(self, verb: Callable[..., object], data: bytes) -> None:
        header = DatasetHeader.from_json(parse(data).dataset_json)
        write_public(self.public, header, self.certificate)
        path = self._written(data)
        verb(self.weights, proof=path, dataset=self.public, min_security_bits=80)

    def verify_certificate(self, data: bytes) -> None:
        verify_certificate(self.statement.dataset, data)

    def verify_proof(self, data: bytes) -> None:
        """The proof in the honest bundle."""
        self.verify_bundle(replace(self.bundle, proof=data).to_bytes())

    def inspect(self, data: bytes) -> None:
        inspect(self._written(data))

    def read_public(self, data: bytes) -> None:
        verify_certificate(*read_public(self._written(data)))

    def read_statement(self, data: bytes) -> None:
        Statement.from_json(data, self.statement.circuit, self.statement.dataset)

    def read_weights(self, data: bytes) -> None:
        circuit = self.statement.circuit
        read_weights(
            self._written(data), circuit.parameter_shapes(), circuit.fixed_point.weight_bits
        )

    def seeds(self) -> list[bytes]:
        """Inputs that reach every entry point."""
        found: list[tuple[Callable[[bytes], object], bytes]] = [
            (self.read_weights, self.weights.read_bytes())
        ]
        for path in sorted(PROOFS.glob("*/**/*.zkd")):
            found.append((self.read_public, path.read_bytes()))
            with suppress(ZktrainError):
                found.append((self.verify_certificate, read_public(path)[1]))
        for path in sorted(PROOFS.glob("*/**/*.zkt")):
            data = path.read_bytes()
            judges = (self.verify_bundle, self.verify_evaluation, self.inspect)
            found += [(judge, data) for judge in judges]
            with suppress(ZktrainError):
                bundle = parse(data)
                found += [
                    (Circuit.from_json, bundle.circuit_json),
                    (self.read_statement, bundle.statement_json),
                    (DatasetHeader.from_json, bundle.dataset_json),
                    (self.verify_proof, bytes(bundle.proof)),
                ]
        out = [bytes([self.entries.index(entry)]) + data for entry, data in found]
        return [seed for seed in dict.fromkeys(out) if len(seed) <= MAX_SIZE]


def _honest() -> Path:
    """The example whose proof is the smallest."""
    runs = [path.parent for path in PROOFS.glob("accepted/*/expected.json")]
    return min(runs, key=lambda run: (run / "proof.zkt").stat().st_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--artifacts", type=Path, default=Path("runs/fuzz"))
    asked = parser.parse_args()
    asked.artifacts.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="zktrain-fuzz-"))
    corpus = scratch / "corpus"
    corpus.mkdir()
    target = Target(_honest(), scratch)
    seeds = target.seeds()
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number:03d}").write_bytes(seed)
    words = [json.dumps(key) for key in json.loads(target.bundle.circuit_json)]
    (scratch / "dictionary").write_text("\n".join(f"key{i}={w}" for i, w in enumerate(words)))
    options = [
        f"-max_total_time={asked.seconds}",
        f"-timeout={TIMEOUT_SECONDS}",
        "-rss_limit_mb=0",
        f"-max_len={MAX_SIZE}",
        f"-dict={scratch / 'dictionary'}",
        f"-artifact_prefix={asked.artifacts}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
