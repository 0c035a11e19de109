"""Everything that zktrain raises on purpose."""

from __future__ import annotations


class ZktrainError(Exception):
    """Base of all deliberate errors.

    ``stage`` names the part of the proof or pipeline, ``step`` its number
    where each step has a proof, ``expected`` and ``got`` the two sides of a failed comparison.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: str | None = None,
        step: int | None = None,
        expected: object = None,
        got: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.stage = stage
        self.step = step
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        where = ", ".join(
            part
            for part in (
                f"stage {self.stage}" if self.stage is not None else "",
                f"step {self.step}" if self.step is not None else "",
            )
            if part
        )
        text = f"{self.message} [{where}]" if where else self.message
        if self.expected is not None or self.got is not None:
            text += f" (expected {self.expected}, got {self.got})"
        return text


class InputError(ZktrainError):
    """A file or an argument given by the user cannot be used; the message says what to do."""


class SrsRefused(InputError):
    """A file is no string of powers of tau: nothing may be proved or verified with it."""


class RecipeError(ZktrainError):
    """The recipe or the network cannot be compiled; names node, reason and remedy."""


class RangeOverflow(ZktrainError):
    """A value left its fixed-point range or float64 exactness; names step, layer, value, remedy."""


class MalformedProof(ZktrainError):
    """The bytes are not a canonical encoding of a proof."""


class Rejected(ZktrainError):
    """The proof is well formed and does not prove the statement."""


class CommitmentMismatch(Rejected):
    """A Merkle path or an opened code word does not belong to its commitment."""


class SumcheckMismatch(Rejected):
    """The final evaluation of a sumcheck differs from the reduced claim."""


class LookupMismatch(Rejected):
    """The lookup argument does not balance: some value is outside its table."""


class OpeningMismatch(Rejected):
    """An evaluation of a committed polynomial is not the claimed one."""


class HiddenMismatch(Rejected):
    """The padded scalars of a zero-knowledge proof do not satisfy the verifier's checks."""


class ChainBroken(Rejected):
    """Proofs of single steps are missing, repeated, reordered or from another run."""


class StatementMismatch(Rejected):
    """The proof is about other weights, another dataset, recipe or circuit."""
