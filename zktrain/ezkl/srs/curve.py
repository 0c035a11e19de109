"""BN254 in plain Python integers: sums and multi-scalar products of many points of G1.

``G1`` is the curve ``y^2 = x^3 + 3`` over ``F_q``. It has prime order ``r``, so a point on the
curve is a point of the group. Points are affine pairs of integers, the identity is ``None``.
Additions are done side by side: those of one round share one inversion [Mon87], which
leaves six multiplications for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""The field of coordinates."""

R = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The order of the groups, and the field of scalars."""

TWO_ADICITY = 28
ROOT_OF_UNITY = pow(7, (R - 1) >> TWO_ADICITY, R)
"""Of order ``2^28``. Its powers are the domains that the Lagrange points belong to."""

Affine = tuple[int, int]
Point = Affine | None

GENERATOR: Affine = (1, 2)

_SCALAR_BITS = R.bit_length()


def on_curve(x: int, y: int) -> bool:
    """Whether ``(x, y)``, both below ``q``, is a point of G1 other than the identity."""
    return (y * y - x * x * x - 3) % Q == 0


def add(first: Point, second: Point) -> Point:
    return sums([[point for point in (first, second) if point]])[0]


def negate(point: Point) -> Point:
    return None if point is None else (point[0], -point[1] % Q)


def multiply(point: Point, scalar: int) -> Point:
    """``scalar point`` for a scalar below ``r``."""
    return None if point is None else multiply_sum([scalar], [point])


def omega(logrows: int) -> int:
    """The element of order ``2^logrows`` whose powers are the domain of that size."""
    return pow(ROOT_OF_UNITY, 1 << (TWO_ADICITY - logrows), R)


def geometric(first: int, ratio: int, count: int) -> list[int]:
    """``first ratio^i`` modulo ``r`` for ``i = 0 .. count - 1``."""
    terms = [first]
    while len(terms) < count:
        terms.append(terms[-1] * ratio % R)
    return terms


def inverses(values: Sequence[int], modulus: int) -> list[int]:
    """``1 / v`` of every ``v``; none may be 0 modulo the prime ``modulus``."""
    before, product = [], 1
    for value in values:
        before.append(product)
        product = product * value % modulus
    inverse = pow(product, -1, modulus)
    for at in range(len(values) - 1, -1, -1):
        before[at] = inverse * before[at] % modulus
        inverse = inverse * values[at] % modulus
    return before


def add_pairs(pairs: Sequence[tuple[Affine, Affine]]) -> list[Point]:
    """``P + P'`` of every pair, whichever points they are."""
    slopes = []
    denominators = []
    for (x, y), (x2, y2) in pairs:
        if x != x2:
            slopes.append(y2 - y)
            denominators.append(x2 - x)
        elif y == y2:  # doubled; no point of odd order has y = 0
            slopes.append(3 * x * x)
            denominators.append(2 * y)
        else:  # opposite points
            slopes.append(-1)
            denominators.append(1)
    sums: list[Point] = []
    for ((x, y), (x2, y2)), slope, inverse in zip(
        pairs, slopes, inverses(denominators, Q), strict=True
    ):
        if x == x2 and y != y2:
            sums.append(None)
            continue
        slope = slope * inverse % Q
        x3 = (slope * slope - x - x2) % Q
        sums.append((x3, (slope * (x - x3) - y) % Q))
    return sums


def sums(groups: Sequence[list[Affine]]) -> list[Point]:
    """The sum of every group of points. All groups are halved side by side until each has one
    point at most; the lists are used up."""
    while True:
        pairs: list[tuple[Affine, Affine]] = []
        for group in groups:
            half = len(group) // 2
            pairs += zip(group[:half], group[half : 2 * half], strict=True)
        if not pairs:
            return [group[0] if group else None for group in groups]
        added = iter(add_pairs(pairs))
        for group in groups:
            half = len(group) // 2
            group[: 2 * half] = [p for _, p in zip(range(half), added, strict=False) if p]


def scaled_powers(points: Sequence[Point]) -> Point:
    """``sum_t 2^t points[t]``."""
    total: Point = None
    for point in reversed(points):
        total = add(add(total, total), point)
    return total


def multiply_sum(
    scalars: Sequence[int],
    points: Sequence[Affine],
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Point:
    """``sum_i scalars[i] points[i]`` for scalars below ``r``, by buckets [Pip76].

    The ``w`` bits of all scalars at one place sort the points into ``2^w`` buckets. The sum of the
    buckets whose number has bit ``b`` is then what bit ``b`` of that place contributes, which
    leaves one point for every bit of a scalar. ``step(done, total)`` is called after each place.
    """
    width = max(1, len(points).bit_length() - 6)
    places = -(-_SCALAR_BITS // width)
    mask = (1 << width) - 1
    of_bits: list[Point] = []
    for place in range(places):
        shift = place * width
        buckets: list[list[Affine]] = [[] for _ in range(mask + 1)]
        for scalar, point in zip(scalars, points, strict=True):
            buckets[scalar >> shift & mask].append(point)
        buckets[0] = []
        totals = sums(buckets)
        of_bits += sums(
            [[p for at, p in enumerate(totals) if p and at >> bit & 1] for bit in range(width)]
        )
        step(place + 1, places)
    return scaled_powers(of_bits)


class Multiples:
    """Multiples of the generator, from a table of those by ``d 2^(width place)``, ``d < 2^width``.

    A table for ``2^logrows`` multiples or more takes a part of the time that they take.
    """

    def __init__(self, logrows: int) -> None:
        self._width = min(12, max(4, logrows - 3))
        places = -(-_SCALAR_BITS // self._width)
        powers: list[Affine] = [GENERATOR]
        while len(powers) < places * self._width:
            powers += (p for p in add_pairs([(powers[-1], powers[-1])]) if p)
        self._table = [
            sums(
                [
                    [p for bit, p in enumerate(powers[start : start + self._width]) if d >> bit & 1]
                    for d in range(1 << self._width)
                ]
            )
            for start in range(0, len(powers), self._width)
        ]

    def of(self, scalars: Sequence[int]) -> list[Point]:
        """``s G`` of every scalar ``s`` below ``r``."""
        width, mask = self._width, (1 << self._width) - 1
        return sums(
            [
                [
                    point
                    for place, row in enumerate(self._table)
                    if (point := row[s >> place * width & mask])
                ]
                for s in scalars
            ]
        )
