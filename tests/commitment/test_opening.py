"""Openings of random tensors in several commitments; wrong claims, roots and proofs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from field_oracle import P, extension, random_pairs

from zktrain.commitment import opening
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.errors import (
    CommitmentMismatch,
    MalformedProof,
    OpeningMismatch,
    Rejected,
    ZktrainError,
)
from zktrain.field.extension import Ext
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.commitment.ligerito import code_point
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript.challenger import Challenger
from zktrain.transcript.channel import VerifierChannel

BITS = 45.0
KINDS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64]


@dataclass
class Case:
    """Commitments with true claims on their tensors, and an honest proof."""

    committed: list[Committed]
    tensors: list[dict[str, np.ndarray]]
    claims: list[Claim]
    proof: bytes
    trace: list[tuple[str, str, int]]

    @property
    def roots(self) -> list[bytes]:
        return [c.root for c in self.committed]

    @property
    def packings(self) -> list[Packing]:
        return [c.packing for c in self.committed]


def truth(tensor: np.ndarray, coordinates: list[tuple[int, int]]) -> Ext:
    return Ext(*extension(tensor.reshape(-1).tolist(), coordinates))


def random_case(seed: int, lane_log: int, sizes: list[list[int]], claims_each: int = 2) -> Case:
    """``sizes[c]`` are the log sizes of the tensors of commitment ``c``."""
    rng = np.random.default_rng(seed)
    committed, tensors, claims = [], [], []
    low = random_pairs(rng, 30)
    for number, logs in enumerate(sizes):
        here: dict[str, np.ndarray] = {}
        shapes = []
        for i, n in enumerate(logs):
            kind = KINDS[int(rng.integers(len(KINDS)))]
            limits = np.iinfo(kind)
            cells = rng.integers(limits.min // 2, limits.max // 2, size=1 << n, dtype=kind)
            used = int(rng.integers(1, (1 << n) + 1))
            cells[used:] = 0
            here[f"t{i}"] = cells
            shapes.append((f"t{i}", n, used))
            for k in range(claims_each):
                # every second claim shares its low coordinates with others
                coordinates = low[:n] if k % 2 else random_pairs(rng, n)
                value = truth(cells, coordinates)
                claims.append(claim_on(number, f"t{i}", tuple(Ext(*x) for x in coordinates), value))
        committed.append(commit(pack(shapes, lane_log), here))
        tensors.append(here)
    trace: list[tuple[str, str, int]] = []
    channel = ProverChannel(Challenger("opening", trace))
    prover_opening.prove(channel, "opening", committed, claims, BITS)
    return Case(committed, tensors, claims, channel.proof(), trace)


def check(
    case: Case,
    *,
    claims: list[Claim] | None = None,
    roots: list[bytes] | None = None,
    proof: bytes | None = None,
) -> None:
    channel = VerifierChannel(Challenger("opening"), case.proof if proof is None else proof)
    opening.verify(
        channel, "opening", roots or case.roots, case.packings, claims or case.claims, BITS
    )
    channel.finish()


@pytest.fixture(scope="module")
def case() -> Case:
    """Two commitments, three levels of folding."""
    return random_case(1, 12, [[13, 12, 5, 0], [10, 3]])


@pytest.mark.parametrize(
    ("lane_log", "sizes", "claims_each"),
    [
        (10, [[0]], 1),
        (10, [[3]], 3),
        (10, [[10]], 1),
        (11, [[10]], 2),
        (10, [[13]], 2),
        (10, [[12, 11, 4, 0, 10, 10]], 2),
        (12, [[5, 12], [13], [0, 1, 2]], 1),
        (10, [[1], [11, 11], [2]], 1),
        (14, [[13, 12], [9]], 3),
    ],
)
def test_true_claims_are_accepted(lane_log: int, sizes: list[list[int]], claims_each: int) -> None:
    for seed in (7, 8):
        check(random_case(seed, lane_log, sizes, claims_each))


def test_every_single_wrong_value(case: Case) -> None:
    for k, claim in enumerate(case.claims):
        for wrong in (claim.value + 1, claim.value + Ext(0, 1), Ext(0)):
            claims = [*case.claims]
            claims[k] = replace(claim, value=wrong)
            with pytest.raises(OpeningMismatch):
                check(case, claims=claims)


def test_errors_of_two_values_that_cancel(case: Case) -> None:
    claims = [*case.claims]
    claims[0] = replace(claims[0], value=claims[0].value + 1)
    claims[1] = replace(claims[1], value=claims[1].value - 1)
    with pytest.raises(OpeningMismatch):
        check(case, claims=claims)


def test_proof_of_a_wrong_claim_made_for_it(case: Case) -> None:
    """The prover runs the protocol on the wrong claim itself, challenges bound to it."""
    claim = case.claims[3]
    claims = [replace(claim, value=claim.value + 1)]

    def challenger() -> Challenger:
        out = Challenger("opening")
        out.absorb("claim", repr(claims).encode())
        return out

    prover = ProverChannel(challenger())
    prover_opening.prove(prover, "opening", case.committed, claims, BITS)
    with pytest.raises(OpeningMismatch):
        opening.verify(
            VerifierChannel(challenger(), prover.proof()),
            "opening", case.roots, case.packings, claims, BITS,
        )  # fmt: skip


def test_true_value_at_another_point(case: Case) -> None:
    for k, claim in enumerate(case.claims):
        for i in range(len(claim.terms[0].point)):
            moved = [*claim.terms[0].point]
            moved[i] = moved[i] + 1
            claims = [*case.claims]
            claims[k] = replace(claim, terms=(replace(claim.terms[0], point=tuple(moved)),))
            with pytest.raises(OpeningMismatch):
                check(case, claims=claims)


def test_true_value_of_another_tensor() -> None:
    case = random_case(3, 10, [[6, 6], [6]], 1)
    for number, name in ((0, "t1"), (1, "t0")):
        term = replace(case.claims[0].terms[0], commitment=number, name=name)
        claims = [replace(case.claims[0], terms=(term,)), *case.claims[1:]]
        with pytest.raises(OpeningMismatch):
            check(case, claims=claims)


def test_claims_in_another_order(case: Case) -> None:
    with pytest.raises(OpeningMismatch):
        check(case, claims=case.claims[::-1])


def test_wrong_roots(case: Case) -> None:
    for k in range(2):
        for at in (0, 31):
            wrong = bytearray(case.roots[k])
            wrong[at] ^= 1
            roots = [*case.roots]
            roots[k] = bytes(wrong)
            with pytest.raises(CommitmentMismatch):
                check(case, roots=roots)
    with pytest.raises(CommitmentMismatch):
        check(case, roots=case.roots[::-1])


def test_commitment_to_other_cells(case: Case) -> None:
    """One cell of a large tensor differs under the root that the verifier holds."""
    tensors = dict(case.tensors[0])
    tensors["t0"] = tensors["t0"].copy()
    tensors["t0"][5] ^= 1
    other = commit(case.packings[0], tensors)
    with pytest.raises(CommitmentMismatch):
        check(case, roots=[other.root, case.roots[1]])


def test_truncated_proofs(case: Case) -> None:
    size = len(case.proof)
    for keep in [0, 1, 15, 16, size // 3, size // 2, size - 33, size - 1]:
        with pytest.raises(MalformedProof, match="ends inside"):
            check(case, proof=case.proof[:keep])


def test_extended_proofs(case: Case) -> None:
    for tail in (b"\0", bytes(8), bytes(32), case.proof):
        with pytest.raises(MalformedProof, match="goes on after its end"):
            check(case, proof=case.proof + tail)


def sites(case: Case) -> list[tuple[str, int, int]]:
    """Label, offset and size of every part of the proof."""
    out, at = [], 0
    for action, label, size in case.trace:
        if action == "absorb":
            out.append((label, at, size))
            at += size
    assert at == len(case.proof)
    return out


def test_a_changed_bit_anywhere_is_rejected(case: Case) -> None:
    parts = sites(case)
    kinds = {label for label, _, _ in parts}
    assert kinds == {
        f"opening/{name}"
        for name in ("batch/round", "value", "root", "work", "rows", "path", "fold/round", "clear")
    }
    chosen = [p for p in parts if not p[0].endswith("/path")]
    chosen += [p for p in parts if p[0].endswith("/path")][::40]
    for _, at, size in chosen:
        for position in {at, at + size // 2, at + size - 8}:
            wrong = bytearray(case.proof)
            wrong[position] ^= 1
            # changed positions need other siblings, which may shift what follows
            with pytest.raises((Rejected, MalformedProof)):
                check(case, proof=bytes(wrong))


def test_field_elements_not_below_p_are_malformed(case: Case) -> None:
    for kind in ("batch/round", "value", "rows", "fold/round", "clear"):
        at = next(at for label, at, _ in sites(case) if label == f"opening/{kind}")
        for cell in (P, 2**64 - 1):
            wrong = case.proof[:at] + cell.to_bytes(8, "little") + case.proof[at + 8 :]
            with pytest.raises(MalformedProof, match="not below p"):
                check(case, proof=wrong)


def test_random_bytes_are_no_proof(case: Case) -> None:
    rng = np.random.default_rng(4)
    for _ in range(3):
        with pytest.raises(ZktrainError):
            check(case, proof=rng.bytes(len(case.proof)))


def test_code_words_are_evaluations_of_the_lanes() -> None:
    """Position ``i`` of a lane's column is its polynomial at the position's point."""
    rng = np.random.default_rng(6)
    tensors = {"a": rng.integers(-9, 9, size=2048), "b": rng.integers(0, 99, size=8)}
    packing = pack([("a", 11, 1500), ("b", 3, 8)], 10)
    committed = commit(packing, tensors)
    lanes = [tensors["a"][:1024], tensors["a"][1024:].copy(), tensors["b"]]
    lanes[1][1500 - 1024 :] = 0
    assert committed.code.shape == (2048, 3) and packing.live_lanes == (0, 1, 2)
    points = [code_point(i, 11) for i in range(2048)]
    assert len(set(points)) == 2048 and all(pow(x, 2048, P) == 1 for x in points)
    for i in [0, 1, 2, 1023, 1024, 2047]:
        for column, lane in enumerate(lanes):
            value = 0
            for cell in reversed(lane.tolist()):
                value = (value * points[i] + cell) % P
            assert int(committed.code[i, column]) == value
