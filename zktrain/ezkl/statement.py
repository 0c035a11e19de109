"""What an ezkl bundle says: a recipe, a dataset, weights, and the circuit's few free integers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from ..circuit.circuit import Circuit
from ..dataset.commitment import DatasetHeader
from ..errors import MalformedProof, StatementMismatch
from .parameters import EZKL_VERSION, Parameters
from .reference import Srs

FORMAT = "zktrain-ezkl-1"
MAX_BYTES = 4096
MAX_STEPS = 1 << 16
_DIGESTS = ("circuit", "dataset", "final", "initial", "srs", "verifying_key")
_INTEGERS = ("scale", "lookup_log")
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class EzklStatement:
    """``initial`` and ``final`` are digests of weights at the parameters' scale, ``srs`` tells
    which set-up, ``verifying_key`` is the SHA-256 of the key."""

    circuit: Circuit
    dataset: DatasetHeader
    initial: str
    final: str
    parameters: Parameters
    srs: str
    verifying_key: str

    def to_json(self) -> bytes:
        """The canonical text."""
        fields: dict[str, str | int] = {
            "format": FORMAT,
            "ezkl": EZKL_VERSION,
            "circuit": self.circuit.id,
            "dataset": self.dataset.root.hex(),
            "initial": self.initial,
            "final": self.final,
            "srs": self.srs,
            "verifying_key": self.verifying_key,
            **{name: getattr(self.parameters, name) for name in _INTEGERS},
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_json(data: bytes, circuit: Circuit, dataset: DatasetHeader) -> EzklStatement:
        """Accepts exactly the texts of ``to_json``. Raises ``MalformedProof`` and nothing else."""
        try:
            if len(data) > MAX_BYTES:
                raise ValueError("too long")
            fields = json.loads(data)
            digests = {name: fields[name] for name in _DIGESTS}
            if any(
                not isinstance(text, str) or len(text) != 64 or set(text) - _HEX
                for text in digests.values()
            ):
                raise ValueError("a digest")
            parameters = Parameters(*(fields[name] for name in _INTEGERS))
            if problem := parameters.problem():
                raise ValueError(problem)
            version = fields["ezkl"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MalformedProof(
                f"the statement is not that of a proof by ezkl: {error}"[:200], stage="statement"
            ) from None
        if version != EZKL_VERSION:
            raise MalformedProof(
                "the proof was made with another version of ezkl",
                stage="statement",
                expected=EZKL_VERSION,
                got=ascii(version)[:40],
            )
        statement = EzklStatement(
            circuit,
            dataset,
            digests["initial"],
            digests["final"],
            parameters,
            digests["srs"],
            digests["verifying_key"],
        )
        if statement.to_json() != data:
            raise MalformedProof(
                "the statement is not canonical, or names another circuit or dataset than the "
                "bundle holds",
                stage="statement",
            )
        return statement

    def require_setup(self, srs: Srs) -> None:
        """Raise ``StatementMismatch`` unless ``srs`` is of the set-up that is stated."""
        if srs.setup != self.srs:
            raise StatementMismatch(
                "the proof was made with another set-up than that of the SRS",
                stage="SRS",
                expected=srs.setup[:16],
                got=self.srs[:16],
            )

    @property
    def instances(self) -> int:
        """Hashes of a step: each parameter before and after, x, y and rate."""
        return 2 * len(self.circuit.parameter_shapes()) + 3

    @property
    def digest(self) -> str:
        """SHA-256 of the text under a domain, in hexadecimal digits."""
        return hashlib.sha256(b"zktrain ezkl statement v1\0" + self.to_json()).hexdigest()
