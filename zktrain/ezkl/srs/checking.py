"""Whether a file holds the powers of some tau, and nothing else.

With ``g_i`` the powers, ``l_j`` the Lagrange points, ``H`` and ``s_H`` the points of G2,
``n = 2^k``, ``omega`` of order ``n``, and one random ``z``:

    C = sum_i z^i g_i                                          i = 0 .. n - 1
    e(C - g_0, H) = e(z (C - z^(n-1) g_(n-1)), s_H)            (powers)
    C = sum_j (z^n - 1) / (z omega^j - 1) l_j                  (Lagrange)

Let ``s_H = tau H``. The two sides of (powers) differ by ``sum_i z^(i+1) (g_(i+1) - tau g_i)`` and
those of (Lagrange) by ``sum_i z^i (g_i - sum_j omega^(ij) l_j)``: polynomials in ``z`` of degree
below ``n``, whose coefficients are all zero if and only if ``g_(i+1) = tau g_i`` for all ``i`` and
the ``l_j`` are the inverse Fourier transform of the ``g_i``, which is what ``L_j(tau) G`` are.
``z`` is uniform over the more than ``r - 1 - n`` elements with ``z != 0`` and ``z^n != 1``, and
drawn by the system's generator after the file is fixed, so that a file that is wrong passes with
probability below ``n / (r - 1 - n) < 2^(k - 253)``.

[KZG10] for what the string is for, [BGR98] for such tests of many equations at once.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from ...extras import require
from ...progress import Progress, silent
from .curve import (
    GENERATOR,
    Point,
    R,
    add,
    geometric,
    inverses,
    multiply,
    multiply_sum,
    negate,
    omega,
)
from .format import opened, refused
from .insecure import S_H
from .record import CheckedSrs, write_record

_STAGE = "check SRS"


def check(path: str | Path, *, progress: Progress = silent) -> CheckedSrs:
    """Find out whether ``path`` is a string of powers, and write the record that it is.

    Nothing is shown about who knows tau. A false file passes with probability below
    ``2^(k - 253)``. Memory does not grow with the file; time does.

    Raises
    ------
    InputError
        py_ecc is missing, the file cannot be read, or its record cannot be written.
    SrsRefused
        It is malformed, or not the powers of one tau; there is no record.
    """
    found = examine(Path(path), progress=progress)
    write_record(found)
    return found


def examine(path: Path, *, progress: Progress = silent) -> CheckedSrs:
    """``check`` without a record."""
    require("ezkl", "checking an SRS", "py_ecc")
    from . import pairing

    with opened(path) as srs:
        count = 1 << srs.logrows
        z = _point_outside(count)
        end, root = pow(z, count, R), omega(srs.logrows)
        done = 0

        def step(part: int, parts: int) -> None:
            progress(_STAGE, done + len(points) * part // parts, 2 * count)

        powers: Point = None
        scalar = 1
        for points in srs.points("power"):
            if done == 0 and points[0] != GENERATOR:
                raise refused(path, "power 0 is not the generator of G1")
            scalars = geometric(scalar, z, len(points))
            powers = add(powers, multiply_sum(scalars, points, step))
            scalar, last = scalars[-1] * z % R, points[-1]
            done += len(points)

        lagrange: Point = None
        scalar = z
        for points in srs.points("Lagrange point"):
            places = geometric(scalar, root, len(points))
            distances = inverses([place - 1 for place in places], R)
            scalars = [(end - 1) * distance % R for distance in distances]
            lagrange = add(lagrange, multiply_sum(scalars, points, step))
            scalar = places[-1] * root % R
            done += len(points)

        h, s_h = srs.group2("H"), srs.group2("tau H")
        found = CheckedSrs(path, srs.logrows, srs.finish(), insecure=s_h == S_H)

    if h != pairing.generator():
        raise refused(path, "H is not the generator of G2")
    if (wrong := pairing.flaw(s_h)) is not None:
        raise refused(path, f"tau H {wrong}")
    if s_h == h:
        raise refused(path, "its tau is 1")
    if lagrange != powers:
        raise refused(path, "its Lagrange points are not those of its powers")
    ahead = add(powers, negate(GENERATOR))
    final = multiply(last, end * pow(z, -1, R) % R)
    behind = multiply(add(powers, negate(final)), z)
    if not pairing.paired_alike(ahead, h, behind, s_h):
        raise refused(path, "its powers are not those of one tau, that of tau H")
    return found


def _point_outside(count: int) -> int:
    """A uniform ``z`` with ``z != 0`` and ``z^count != 1``."""
    while True:
        z = secrets.randbelow(R)
        if z and pow(z, count, R) != 1:
            return z
