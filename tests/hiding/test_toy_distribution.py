"""Exact distributions in tiny fields: all pads are enumerated, and what a verifier sees is the same
multiset for two witnesses with one public claim.

Scalars, forms, sumcheck, the sending of padded scalars and the verifier's relation are the
project's own code with another ``p``. Kernels and vectors are made for the real field only, so
sumcheck tables, the committed products and the rows of ZK-Ligero are models of their own here.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from probing import Frozen

from zktrain.arguments import sumcheck
from zktrain.commitment import ligero
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.errors import SumcheckMismatch
from zktrain.field import extension, forms
from zktrain.field import multilinear as ml
from zktrain.field.extension import Ext
from zktrain.prover.arguments import sumcheck as prover_sumcheck
from zktrain.prover.commitment.hiding import HidingProver
from zktrain.prover.transcript.channel import ProverChannel
from zktrain.transcript import channel as channel_module


@contextmanager
def toy_field(p: int, non_residue: int) -> Iterator[None]:
    """Arithmetic of ``E = F_p[x]/(x^2 - non_residue)``; the commitment to pads is left out."""
    made_for_p = (sumcheck.lagrange_polynomials, sumcheck._claim_polynomials)
    for function in made_for_p:
        function.cache_clear()
    with ExitStack() as patches:
        for module in (extension, forms, ml, sumcheck):
            patches.enter_context(mock.patch.object(module, "P", p))
            patches.enter_context(mock.patch.object(module, "NON_RESIDUE", non_residue))
        patches.enter_context(mock.patch.object(channel_module, "P", p))
        patches.enter_context(mock.patch.object(ligero, "parameters", return_value=None))
        yield
    for function in made_for_p:
        function.cache_clear()


class ToyProver(HidingProver):
    """``HidingProver`` with the given pads; it commits to nothing."""

    def __init__(self, challenger: Frozen, layout: Layout, pads: tuple[Ext, ...]) -> None:
        ProverChannel.__init__(self, challenger)
        self._layout = layout
        self._pads = extension.vector(pads)
        self._used = 0
        self.send_digest("hidden/root", bytes(32))


@dataclass
class Tables:
    """Sumcheck prover of ``sum_x f(x) g(x)`` in scalars."""

    f: list[Ext]
    g: list[Ext]
    degree: int = 2

    @property
    def rounds(self) -> int:
        return (len(self.f) - 1).bit_length()

    def message(self) -> list[Ext]:
        total = [Ext(0), Ext(0)]
        for k in range(0, len(self.f), 2):
            for out, x in enumerate((0, 2)):
                f = self.f[k] + x * (self.f[k + 1] - self.f[k])
                g = self.g[k] + x * (self.g[k + 1] - self.g[k])
                total[out] = total[out] + f * g
        return total

    def bind(self, challenge: Ext) -> None:
        for name in ("f", "g"):
            table = getattr(self, name)
            pairs = zip(table[::2], table[1::2], strict=True)
            setattr(self, name, [a + challenge * (b - a) for a, b in pairs])


CLAIM = 1
"""The public value of every sum."""

View = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Toy:
    """A padded sumcheck over ``f g``. With ``product``, both final values are hidden scalars which
    the verifier multiplies; else ``g`` is public."""

    p: int
    non_residue: int
    product: bool
    witnesses: tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]
    base_only: bool = False

    @property
    def rounds(self) -> int:
        return (len(self.witnesses[0][0]) - 1).bit_length()

    @property
    def layout(self) -> Layout:
        finals = 2 * self.rounds
        return Layout(finals + 1 + self.product, ((finals, finals + 1),) if self.product else ())

    @property
    def elements(self) -> list[Ext]:
        """The domain of pads: E, or F_p where E is too many."""
        second = 1 if self.base_only else self.p
        return [Ext(a, b) for b in range(second) for a in range(self.p)]

    def challenges(self) -> Frozen:
        """In F_p where pads are; none is a node of a round polynomial."""
        labels = ("sum/point", "hidden/product", "hidden/gamma")
        fixed = {label: Ext(3, 0) if self.base_only else Ext(2, 1) for label in labels}
        return Frozen("toy", fixed=fixed)

    def view(self, witness: tuple[list[int], list[int]], random: tuple[Ext, ...]) -> View:
        """All that the verifier sees: padded scalars, ``u``, and the relation's target, which the
        pads satisfy."""
        layout = self.layout
        pads, blinds = random[: layout.scalars], random[layout.scalars :]
        f, g = ([Ext(v) for v in table] for table in witness)
        prover = ToyProver(self.challenges(), layout, pads)
        machine = Tables(f, g)
        prover_sumcheck.prove(prover, "sum", machine)
        prover.send("finals", [machine.f[0], machine.g[0]][: 1 + self.product])

        verifier = HidingVerifier(self.challenges(), prover.proof(), layout, 1.0)
        reduced, point = sumcheck.verify(verifier, "sum", Ext(CLAIM), self.rounds, 2)
        finals = verifier.receive("finals", 1 + self.product)
        if self.product:
            value = verifier.multiply(*finals)
        else:
            table = [ml.eq_index(point, k) * v for k, v in enumerate(g)]
            value = finals[0] * extension.inner(table, [Ext(1)] * len(table))
        verifier.check(lambda: value - reduced, SumcheckMismatch("toy"))
        verifier.finish()

        c = verifier.challenger.element("hidden/product")
        gamma = verifier.challenger.element("hidden/gamma")
        openings = [c * pads[i] + a for (i, _), a in zip(layout.products, blinds, strict=True)]
        relation, target = verifier.relation(c, openings, gamma)
        vector = [*pads]
        vector += [pads[i] * pads[j] for i, j in layout.products]
        vector += blinds
        vector += [a * pads[j] for (_, j), a in zip(layout.products, blinds, strict=True)]
        assert extension.inner(extension.scalars(relation), vector) == target
        proof = np.frombuffer(prover.proof()[32:], dtype="<u8").reshape(-1, 2).tolist()
        seen = [(a, b) for a, b in proof]
        return (*seen, *((x.a, x.b) for x in (*openings, target)))

    def views(self, witness: tuple[list[int], list[int]]) -> Counter[View]:
        random = itertools.product(
            self.elements, repeat=self.layout.scalars + len(self.layout.products)
        )
        return Counter(self.view(witness, values) for values in random)


TOYS = {
    "one round, public factor": Toy(3, 2, False, (([1, 2], [2, 1]), ([0, 1], [2, 1]))),
    "one round, F_7": Toy(7, 3, False, (([1, 0], [1, 5]), ([3, 1], [1, 5])), base_only=True),
    "product": Toy(5, 2, True, (([1, 2], [3, 4]), ([0, 3], [4, 2])), base_only=True),
    "two rounds": Toy(
        5, 2, False, (([1, 2, 0, 1], [1, 1, 2, 3]), ([4, 2, 3, 3], [1, 1, 2, 3])), base_only=True
    ),
}


@pytest.mark.parametrize("name", TOYS)
def test_two_witnesses_give_one_distribution(name: str) -> None:
    """Padded scalars, ``u`` and target: equal multisets, and every padded scalar and ``u`` uniform
    and independent of the others."""
    toy = TOYS[name]
    with toy_field(toy.p, toy.non_residue):
        for f, g in toy.witnesses:
            assert sum(a * b for a, b in zip(f, g, strict=True)) % toy.p == CLAIM
        first, second = (toy.views(witness) for witness in toy.witnesses)
    assert toy.witnesses[0] != toy.witnesses[1]
    assert first == second
    free = toy.layout.scalars + len(toy.layout.products)
    assert len(first) == len({view[:free] for view in first}) == len(toy.elements) ** free


def test_a_pad_used_twice_gives_two_distributions() -> None:
    """The enumeration sees what the first and the last scalar share."""
    toy = TOYS["one round, F_7"]

    def views(witness: tuple[list[int], list[int]]) -> Counter[View]:
        found: Counter[View] = Counter()
        for pads in itertools.product(toy.elements, repeat=2):
            found[toy.view(witness, (*pads, pads[0]))] += 1
        return found

    with toy_field(toy.p, toy.non_residue):
        assert views(toy.witnesses[0]) != views(toy.witnesses[1])


def test_a_false_claim_has_no_pads_that_satisfy_the_relation() -> None:
    """The relation is about the claim: with another sum it fails for all pads."""
    toy = TOYS["one round, F_7"]
    with toy_field(toy.p, toy.non_residue):
        for pads in itertools.product(toy.elements, repeat=toy.layout.scalars):
            with pytest.raises(AssertionError):
                toy.view(([2, 0], [1, 5]), pads)


# rows of committed pads: a model of ``commitment.ligero`` in Python integers over F_p


def _evaluate(coefficients: NDArray[np.int64], x: int, p: int) -> NDArray[np.int64]:
    total = np.zeros(coefficients.shape[0], dtype=np.int64)
    for column in range(coefficients.shape[1] - 1, -1, -1):
        total = (total * x + coefficients[:, column]) % p
    return total


def _all(p: int, count: int) -> NDArray[np.int64]:
    """All vectors of ``count`` elements: ``(p^count, count)``."""
    return np.stack(np.meshgrid(*[np.arange(p)] * count, indexing="ij"), axis=-1).reshape(-1, count)


def _keys(columns: list[NDArray[np.int64]], p: int) -> NDArray[np.int64]:
    """One number per outcome, sorted."""
    key = np.zeros_like(columns[0])
    for column in columns:
        key = key * p + column
    return np.sort(key)


def _row(slots: tuple[int, int], blind: NDArray[np.int64], p: int) -> NDArray[np.int64]:
    """``P = P_0 + (X^2 - 1) R`` with ``P_0`` through the slots at 1 and -1."""
    half = pow(2, -1, p)
    count, t = blind.shape
    out = np.zeros((count, 2 + t), dtype=np.int64)
    out[:, 0] = (slots[0] + slots[1]) * half
    out[:, 1] = (slots[0] - slots[1]) * half
    out[:, :t] -= blind
    out[:, 2 : 2 + t] += blind
    return out % p


@pytest.mark.parametrize("slots", [(0, 0), (1, 2), (4, 3)])
@pytest.mark.parametrize(("p", "points"), [(7, (3, 5)), (5, (2, 3)), (7, (2, 3, 4))])
def test_opened_values_of_a_row_are_uniform(
    p: int, points: tuple[int, ...], slots: tuple[int, int]
) -> None:
    """As many random coefficients as opened points: each outcome occurs once, whatever the slots;
    with one coefficient fewer the outcomes depend on the slots."""
    blind = _all(p, len(points))
    row = _row(slots, blind, p)
    assert (_evaluate(row, 1, p) == slots[0] % p).all()
    assert (_evaluate(row, p - 1, p) == slots[1] % p).all()
    seen = _keys([_evaluate(row, x, p) for x in points], p)
    assert np.array_equal(seen, np.arange(p ** len(points)))

    fewer = _all(p, len(points) - 1)
    few = [_keys([_evaluate(_row(s, fewer, p), x, p) for x in points], p) for s in (slots, (2, 0))]
    assert not np.array_equal(*few)


MODULUS = 5
RELATION = (2, 3)
POINT, CHALLENGES = 2, (3, 1, 4, 2)
"""Where the rows are opened; factors of both rows, ``B_0`` and ``B_1`` in the proximity test."""


def _whole_proof(vector: tuple[int, int], blinded: bool = True) -> NDArray[np.int64]:
    """Outcomes of two rows with one slot each, at 1, and one opened point, all blinds enumerated:
    ``u`` (2 coefficients), ``p`` (3), opened values of the rows, ``T``, ``B_0`` and ``B_1``."""
    p = MODULUS
    random = _all(p, 7)
    first, second = (
        np.stack([v - random[:, i], random[:, i]], axis=1) for i, v in enumerate(vector)
    )
    t, b0, b1 = random[:, 2:4], np.zeros_like(random[:, :2]), random[:, -2:]
    b0[:, 1] = random[:, 4]
    if not blinded:
        t = np.zeros_like(t)
    b0[:, 0] = -(b0[:, 1] + b1.sum(axis=1))  # B is 0 at the slot
    rows = [first, second, b0, b1]
    u = t + sum(c * row for c, row in zip(CHALLENGES, rows, strict=True))
    product = np.pad(b0 + RELATION[0] * first + RELATION[1] * second, ((0, 0), (0, 1)))
    product[:, 1:] += b1
    target = (RELATION[0] * vector[0] + RELATION[1] * vector[1]) % p
    assert (product.sum(axis=1) % p == target).all()
    opened = [_evaluate(part % p, POINT, p) for part in (*rows, t)]
    return _keys([*(u % p).T, *(product % p).T, *opened], p)


def test_a_whole_toy_proof_depends_on_the_relation_alone() -> None:
    """Two vectors with ``2 x + 3 y = 1`` give one distribution, a vector with another sum gives
    another one; without ``T`` the two vectors differ."""
    vectors = [(3, 0), (1, 3)]
    first, second = (_whole_proof(vector) for vector in vectors)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, _whole_proof((0, 0)))
    first, second = (_whole_proof(vector, blinded=False) for vector in vectors)
    assert not np.array_equal(first, second)


def test_forms_know_the_toy_field() -> None:
    """The patched modulus reaches what the verifier computes with."""
    with toy_field(5, 2):
        x = forms.Form(Ext(4), slot=0)
        assert (x * 3 + 4).value == Ext(1)
        assert Ext(0, 1) * Ext(0, 1) == Ext(2)
