"""Zero knowledge for scalars: each is sent minus a one-time pad, and the verifier's checks are
proved about the pads.

The pads are committed before anything else, with the products of those pads whose scalars the
verifier multiplies. Its checks are then linear in the committed vector; one random combination of
all of them is proved with ``commitment.ligero``. The committed vector is

    pads x | products z_k = x_i x_j | random a_k | d_k = a_k x_j

and a product is proved by a challenge ``c``: ``u_k = c x_i + a_k`` is sent, and

    u_k - c x_i - a_k = 0,     c z_k + d_k - u_k x_j = 0

are two more linear relations; they hold for at most one ``c`` if ``z_k`` is wrong.

How many scalars there are and which of them are multiplied follows from the statement: a dry run of
the verifier (:class:`DryChannel`) writes it down as a :class:`Layout`. What the relations are, the
prover learns from a run of the verifier on its own messages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..errors import ZktrainError
from ..field import extension as ext
from ..field.extension import ONE, ZERO, Ext, ExtVec
from ..field.forms import Form, Scalar, gradient, product
from ..spans import Bytes
from ..transcript.challenger import Challenger
from ..transcript.channel import Difference, VerifierChannel, several
from . import ligero


@dataclass(frozen=True, slots=True)
class Layout:
    """How many scalars are padded, and which pairs of them are multiplied, in order."""

    scalars: int
    products: tuple[tuple[int, int], ...] = ()

    @property
    def count(self) -> int:
        """Elements of the committed vector."""
        return self.scalars + 3 * len(self.products)

    def proof_bytes(self, bits: float) -> int:
        """Size of the proof about the pads, Merkle paths aside."""
        return ligero.parameters(self.count, bits).proof_bytes + 16 * len(self.products)

    def more(self, scalars: int) -> Layout:
        """With further scalars, not multiplied, after these."""
        return Layout(self.scalars + scalars, self.products)


Late = tuple[Difference, ZktrainError]
"""A check that is not evaluated yet."""


def hidden_part(difference: Difference, error: ZktrainError) -> list[Form]:
    """What of a check is to be proved about pads; the rest is judged. Raises ``error``."""
    hidden = []
    for found in several(difference()):
        if isinstance(found, Form):
            hidden.append(found)
        elif found:
            raise error
    return hidden


class HidingVerifier(VerifierChannel):
    """Receives padded scalars as forms in the pads and collects checks on them."""

    hiding = True

    def __init__(self, challenger: Challenger, proof: Bytes, layout: Layout, bits: float) -> None:
        super().__init__(challenger, proof)
        self._layout = layout
        self._parameters = ligero.parameters(layout.count, bits)
        self._used = 0
        self._products: list[tuple[int, int]] = []
        self._checks: list[Form | Late] = []
        self._root = self.receive_digest("hidden/root")  # P -> V

    def receive(self, label: str, count: int) -> list[Scalar]:
        """P -> V: ``sent + pad``."""
        first, self._used = self._used, self._used + count
        sent = self.receive_clear(label, count)
        return [Form(value, slot=first + i) for i, value in enumerate(sent)]

    def multiply(self, left: Scalar, right: Scalar) -> Scalar:
        if not isinstance(left, Form):  # public
            return right * left
        if not isinstance(right, Form):
            return left * right
        slot = self._layout.scalars + len(self._products)
        out = product(left, right, slot)
        self._products.append((left.slot or 0, right.slot or 0))
        return out

    def check(self, difference: Difference, error: ZktrainError, *, late: bool = False) -> None:
        """What has no hidden part is judged at once; of the rest only the sum is, at the end. What
        is ``late`` keeps its place."""
        self._checks += [(difference, error)] if late else hidden_part(difference, error)

    def check_nonzero(self, label: str, left: Scalar, right: Scalar, error: ZktrainError) -> None:
        """The product has an inverse: both are received, hidden."""
        value, inverse = self.receive(label, 2)  # P -> V
        first, second = self.multiply(left, right), self.multiply(value, inverse)
        self.check(lambda: first - value, error)
        self.check(lambda: second - ONE, error)

    def layout(self) -> Layout:
        """What was received and multiplied so far."""
        return Layout(self._used, tuple(self._products))

    def relation(self, c: Ext, openings: list[Ext], gamma: Ext) -> tuple[ExtVec, Ext]:
        """All checks as one: coefficients of the committed vector, and what they must give."""
        if self.layout() != self._layout:
            raise ValueError("the verifier has received other scalars than its dry run")
        checks, first = [], self._layout.scalars
        for check in self._checks:
            checks += [check] if isinstance(check, Form) else hidden_part(*check)
        many = len(self._layout.products)
        if len(checks) + 2 * many >= self._layout.count:
            raise ValueError("there are more checks than the error of their combination allows for")
        for k, ((i, j), u) in enumerate(zip(self._layout.products, openings, strict=True)):
            x, y = Form(ZERO, slot=i), Form(ZERO, slot=j)
            z, a, d = (Form(ZERO, slot=first + k + part * many) for part in range(3))
            checks.append(Form(u, ((-c, x), (-ONE, a))))
            checks.append(Form(ZERO, ((c, z), (ONE, d), (-u, y))))
        weights = ext.powers(gamma, len(checks) + 1)[1:]
        coefficients = np.zeros((2, self._layout.count), dtype=np.uint64)
        found = gradient(checks, weights)
        coefficients[:, list(found)] = ext.vector(found.values())
        target = -ext.inner(weights, [check.value for check in checks])
        return coefficients, target

    def close(self) -> None:
        """Judge everything that was collected. Raises ``HiddenMismatch``."""
        openings: list[Ext] = []
        if self._layout.products:
            c = self.challenger.element("hidden/product")  # V -> P
            openings = self.receive_clear("hidden/openings", len(self._layout.products))  # P -> V
        else:
            c = ZERO
        gamma = self.challenger.element("hidden/gamma")  # V -> P

        def relation() -> tuple[ExtVec, Ext]:
            self._ended()
            return self.relation(c, openings, gamma)

        ligero.verify(self, "hidden", self._root, self._parameters, relation)


class _NoChallenger(Challenger):
    """Different, meaningless challenges."""

    def __init__(self) -> None:
        super().__init__("dry run")
        self._next = 1 << 32
        self.errors: Counter[str] = Counter()

    def elements(self, label: str, count: int, degree: int = 1) -> list[Ext]:
        self.errors[label.partition("/")[0]] += count * degree
        first, self._next = self._next, self._next + count
        return [Ext(first + i, 1) for i in range(count)]

    def powers(self, label: str, count: int) -> list[Ext]:
        return self.elements(label, 1, count) * count


class DryChannel(HidingVerifier):
    """Counts what a verifier would receive and multiply; checks are not computed. ``scalars`` are
    all, those in clear too, ``inverses`` the checks that take two more where they are hidden,
    ``errors`` the degrees of all challenges, by the first part of their labels."""

    dry = True

    def __init__(self) -> None:
        challenger = _NoChallenger()
        VerifierChannel.__init__(self, challenger, b"")
        self.errors = challenger.errors
        self._layout = Layout(0)
        self._used = 0
        self._products = []
        self._checks = []
        self.scalars = 0
        self.inverses = 0

    def receive_clear(self, label: str, count: int) -> list[Ext]:
        self.scalars += count
        return [ZERO] * count

    def check_nonzero(self, label: str, left: Scalar, right: Scalar, error: ZktrainError) -> None:
        self.inverses += 1
        super().check_nonzero(label, left, right, error)

    def check(self, difference: Difference, error: ZktrainError, *, late: bool = False) -> None:
        pass


def verifier_channel(
    challenger: Challenger, proof: Bytes, layout: Layout | None, bits: float
) -> VerifierChannel:
    """The other end of :func:`prover_channel`."""
    if layout is None:
        return VerifierChannel(challenger, proof)
    return HidingVerifier(challenger, proof, layout, bits)
