"""The file of a proof: made, counted, and given its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ... import disk, files
from ...dataset.public_file import parse_public
from ...errors import RecipeError, ZktrainError
from ...protocol import proof as proofs
from ...protocol.bundle import MAX_PROOF_BYTES, Bundle, parse
from ...protocol.certificate import verify_certificate
from ...protocol.proof import Padded
from ...protocol.statement import MIN_SECURITY_BITS, Statement
from ..dataset import secret_file
from ..dataset.commitment import CommittedDataset
from ..journal import Journal


def require_provable(statement: Statement) -> None:
    """Raises :class:`RecipeError` with the problem, and with what helps if bits are missing."""
    if problem := statement.misfit():
        raise RecipeError(problem)
    if problem := statement.weakness():
        reached = int(statement.union_bits)
        if reached >= MIN_SECURITY_BITS:
            problem += f": set security_bits to at most {reached}"
        raise RecipeError(problem)


def published(
    path: Path,
    statement: Statement,
    public: Padded,
    secret: Path | None,
    make: Callable[[Journal], Bundle],
) -> bytes:
    """The bytes of the proof at ``path``: one that is there and proves the statement, or one that
    waits for its name, or what ``make`` gives with a journal of its stages.

    What it opens of the dataset is counted in the ``secret`` file when it waits, whole and on the
    disk, for its name. Raises ``InputError`` where the dataset cannot be opened once more.
    """
    positions = statement.dataset_positions
    spend, journal = (
        secret_file.spending(secret, statement.dataset, positions),
        disk.journal_of(path),
    )

    def count(digest: str) -> None:
        spend(digest)
        disk.remove(journal)

    found = files.read_bytes(path, "proof", MAX_PROOF_BYTES) if path.exists() else None
    for left in (found, disk.waiting(path, MAX_PROOF_BYTES)):
        if left is not None and _proves(left, statement, public):
            if left is not found:
                disk.publish(path, left, count)
            return left
    if secret is not None:
        secret_file.require_left(secret, statement.dataset, positions)
    data = make(Journal(journal, statement)).to_bytes()
    disk.publish(path, data, count)
    return data


def _proves(data: bytes, statement: Statement, public: Padded) -> bool:
    """Whether these bytes are what proving would give: an accepted proof of the statement."""
    wanted = statement.to_json(), statement.circuit.canonical_json(), statement.dataset.to_json()
    try:
        bundle = parse(data)
        if (bundle.statement_json, bundle.circuit_json, bundle.dataset_json) != wanted:
            return False
        if len(bundle.certificate):
            verify_certificate(statement.dataset, bundle.certificate)
        proofs.verify(statement, bundle.proof, public)
    except ZktrainError:
        return False
    return True


def certificate_in(data: bytes | None, path: Path, dataset: CommittedDataset) -> bytes | None:
    """The certificate in the bytes of a public file, if it is one of this dataset and good."""
    try:
        header, certificate = parse_public(data or b"", path)
        if header == dataset.header:
            verify_certificate(header, certificate)
            return certificate
    except ZktrainError:
        pass  # made anew
    return None
