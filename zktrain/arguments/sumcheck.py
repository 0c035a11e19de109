"""The sumcheck protocol, lowest variable first.

Claim: ``sum_{x in {0,1}^n} g(x) = v`` for a polynomial ``g`` of degree ``d`` in each variable.
After ``n`` rounds it is reduced to ``g(r) = v'`` at a random ``r``, which the caller still has
to check. Error: ``n d / |E|``. [LFKN92]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul

from ..field.extension import NON_RESIDUE, Ext, Point, reduced
from ..field.forms import Scalar, combine
from ..field.goldilocks import P
from ..transcript.channel import VerifierChannel


@lru_cache(maxsize=16)
def lagrange_polynomials(degree: int) -> tuple[tuple[int, ...], ...]:
    """Coefficients, lowest first, of the polynomials that are 1 at one of ``0, 1, ..., degree`` and
    0 at the others."""
    out = []
    for i in range(degree + 1):
        polynomial, denominator = [1], 1
        for j in range(degree + 1):
            if j != i:  # times X - j
                pairs = zip([0, *polynomial], [*polynomial, 0], strict=True)
                polynomial = [low - j * high for low, high in pairs]
                denominator = denominator * (i - j) % P
        inverse = pow(denominator, -1, P)
        out.append(tuple(c * inverse % P for c in polynomial))
    return tuple(out)


@lru_cache(maxsize=16)
def _claim_polynomials(degree: int) -> tuple[tuple[int, ...], ...]:
    """Weights of ``message(0), claim, message(2), ...`` as polynomials in the challenge: the value
    at 1 is ``claim - message(0)``."""
    at0, at1, *others = lagrange_polynomials(degree)
    return (tuple((x - y) % P for x, y in zip(at0, at1, strict=True)), at1, *others)


def values_at(polynomials: tuple[tuple[int, ...], ...], x: Ext) -> list[Ext]:
    """Polynomials over F_p of one degree, at ``x``."""
    a, b = 1, 0
    first, second = [], []
    for _ in polynomials[0]:
        first.append(a)
        second.append(b)
        a, b = (a * x.a + NON_RESIDUE * b * x.b) % P, (a * x.b + b * x.a) % P
    return [
        reduced(sum(map(mul, row, first)) % P, sum(map(mul, row, second)) % P)
        for row in polynomials
    ]


def next_claim(claim: Scalar, message: Sequence[Scalar], challenge: Ext) -> Scalar:
    """Value at the challenge, the value at 1 being ``claim - message(0)``."""
    weights = values_at(_claim_polynomials(len(message)), challenge)
    return combine(weights, [message[0], claim, *message[1:]])


@dataclass(frozen=True, slots=True)
class Work:
    """Proofs of work of ``bits`` before every challenge but the first ``free`` ones."""

    bits: int = 0
    free: int = 0

    def before(self, number: int) -> int:
        """Bits of work before the challenge with this number."""
        return self.bits if number >= self.free else 0


NO_WORK = Work()


def verify(
    channel: VerifierChannel,
    label: str,
    claim: Scalar,
    rounds: int,
    degree: int,
    *,
    clear: bool = False,
    work: Work = NO_WORK,
) -> tuple[Scalar, Point]:
    """Returns ``(v', r)``; the caller must check ``g(r) = v'``."""
    if channel.dry:
        (channel.receive_clear if clear else channel.receive)(f"{label}/round", degree * rounds)
        return claim, tuple(channel.challenger.elements(f"{label}/point", rounds, degree))
    point: list[Ext] = []
    message: Sequence[Scalar]
    for number in range(rounds):
        if clear:
            message = channel.receive_clear(f"{label}/round", degree)  # P -> V
        else:
            message = channel.receive(f"{label}/round", degree)  # P -> V
        channel.receive_work(f"{label}/work", work.before(number))  # P -> V
        challenge = channel.challenger.element(f"{label}/point")  # V -> P
        claim = next_claim(claim, message, challenge)
        point.append(challenge)
    return claim, tuple(point)
