"""Files that are no powers of one tau: one attack per test, each refused in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from py_ecc.optimized_bn128 import curve_order, field_modulus
from srs_oracle import (
    IDENTITY,
    Srs,
    outside_of_the_group,
    plus,
    secret_tau,
    shifted_out_of_the_group,
    times,
    times2,
)

from zktrain import SrsRefused
from zktrain.ezkl.srs import check, checked

LOGROWS = 3
COUNT = 1 << LOGROWS


@pytest.fixture(scope="module")
def honest() -> Srs:
    return Srs.of(secret_tau(), LOGROWS)


@pytest.fixture
def forged(honest: Srs) -> Srs:
    return deepcopy(honest)


Refuses = Callable[[Srs | bytes, str], None]


@pytest.fixture
def refuses(tmp_path: Path, records: Path) -> Refuses:
    def judge(given: Srs | bytes, reason: str) -> None:
        path = tmp_path / "forged.srs"
        path.write_bytes(given if isinstance(given, bytes) else given.to_bytes())
        with pytest.raises(SrsRefused, match=reason) as refusal:
            check(path)
        assert str(refusal.value).count("\n") == 0
        assert checked(path) is None and not list(records.glob("*"))

    return judge


def test_the_file_that_the_attacks_begin_with_is_good(forged: Srs, tmp_path: Path) -> None:
    found = check(forged.write(tmp_path))
    assert found.logrows == LOGROWS and not found.insecure


def test_one_power_replaced(forged: Srs, refuses: Refuses) -> None:
    forged.powers[5] = times(5)
    refuses(forged, "Lagrange points are not those of its powers")


def test_one_power_replaced_and_the_lagrange_points_with_it(forged: Srs, refuses: Refuses) -> None:
    """The other half of the file agrees, so that the pairing alone can tell."""
    other = Srs.of(forged.tau + 1, LOGROWS)
    forged.powers, forged.lagrange = other.powers, other.lagrange
    refuses(forged, "not those of one tau")


def test_the_last_power_replaced_and_the_lagrange_points_with_it(
    forged: Srs, refuses: Refuses
) -> None:
    """What is added to the last power is transformed and added to the Lagrange points."""
    root = pow(
        0x03DDB9F5166D18B798865EA93DD31F743215CF6DD39329C8D34F1ED960C37C9C,
        1 << (28 - LOGROWS),
        curve_order,
    )
    forged.powers[-1] = plus(forged.powers[-1], times(7))
    inverse = pow(COUNT, -1, curve_order)
    for j, point in enumerate(forged.lagrange):
        share = 7 * inverse * pow(root, -(COUNT - 1) * j, curve_order)
        forged.lagrange[j] = plus(point, times(share))
    refuses(forged, "not those of one tau")


def test_powers_of_two_taus(forged: Srs, refuses: Refuses) -> None:
    other = Srs.of(secret_tau(), LOGROWS)
    forged.powers[COUNT // 2 :] = other.powers[COUNT // 2 :]
    refuses(forged, "Lagrange points are not those of its powers")


def test_lagrange_points_of_another_tau(forged: Srs, refuses: Refuses) -> None:
    forged.lagrange = Srs.of(secret_tau(), LOGROWS).lagrange
    refuses(forged, "Lagrange points are not those of its powers")


def test_powers_of_another_generator(forged: Srs, refuses: Refuses) -> None:
    """All of G1 multiplied by 5: every other equation holds."""
    forged.powers = [times(5, point) for point in forged.powers]
    forged.lagrange = [times(5, point) for point in forged.lagrange]
    refuses(forged, "power 0 is not the generator of G1")


def test_another_generator_of_g2(forged: Srs, refuses: Refuses) -> None:
    forged.h, forged.tau_h = times2(5), times2(5 * forged.tau)
    refuses(forged, "H is not the generator of G2")


def test_tau_h_of_another_tau(forged: Srs, refuses: Refuses) -> None:
    forged.tau_h = times2(forged.tau + 1)
    refuses(forged, "not those of one tau")


def test_tau_h_of_the_opposite_tau(forged: Srs, refuses: Refuses) -> None:
    forged.tau_h = times2(-forged.tau)
    refuses(forged, "not those of one tau")


def test_tau_h_outside_of_the_group(forged: Srs, refuses: Refuses) -> None:
    forged.tau_h = outside_of_the_group()
    refuses(forged, "tau H is outside the group of order r")


def test_tau_h_plus_a_point_of_another_order(forged: Srs, refuses: Refuses) -> None:
    """Pairings are not linear there: the argument for the equations needs the group."""
    forged.tau_h = shifted_out_of_the_group(forged.tau_h)
    refuses(forged, "tau H is outside the group of order r")


def test_tau_h_off_the_curve(forged: Srs, refuses: Refuses) -> None:
    forged.tau_h[3] = (forged.tau_h[3] + 1) % field_modulus
    refuses(forged, "tau H is not on the curve")


def test_a_tau_of_one(refuses: Refuses) -> None:
    """It is in every domain: all Lagrange points but one are the identity."""
    refuses(Srs.of(1, LOGROWS), "Lagrange point 1 is the identity")


def test_tau_h_is_the_generator(forged: Srs, refuses: Refuses) -> None:
    forged.tau_h = list(forged.h)
    refuses(forged, "its tau is 1")


def test_a_tau_of_zero(refuses: Refuses) -> None:
    forged = Srs.of(2, LOGROWS)
    forged.powers[1:] = [IDENTITY] * (COUNT - 1)
    refuses(forged, "power 1 is the identity")


def test_a_power_is_the_identity(forged: Srs, refuses: Refuses) -> None:
    forged.powers[3] = IDENTITY
    refuses(forged, "power 3 is the identity")


def test_a_lagrange_point_is_the_identity(forged: Srs, refuses: Refuses) -> None:
    forged.lagrange[2] = IDENTITY
    refuses(forged, "Lagrange point 2 is the identity")


def test_tau_h_is_the_identity(forged: Srs, refuses: Refuses) -> None:
    forged.tau_h = [0, 0, 0, 0]
    refuses(forged, "tau H is the identity")


def test_a_power_off_the_curve(forged: Srs, refuses: Refuses) -> None:
    x, y = forged.powers[6]
    forged.powers[6] = (x, (y + 1) % field_modulus)
    refuses(forged, "power 6 is not on the curve")


def test_a_lagrange_point_off_the_curve(forged: Srs, refuses: Refuses) -> None:
    x, y = forged.lagrange[6]
    forged.lagrange[6] = (x, (y + 1) % field_modulus)
    refuses(forged, "Lagrange point 6 is not on the curve")


@pytest.mark.parametrize("element", [6, 2 * COUNT + 5, 4 * COUNT + 7], ids=["g", "l", "tau H"])
def test_a_coordinate_that_is_not_reduced(forged: Srs, refuses: Refuses, element: int) -> None:
    """The same element plus q, which names the same point."""
    data = forged.to_bytes()
    at = 4 + 32 * element
    stored = int.from_bytes(data[at : at + 32], "little")
    forged.raw[element] = stored + field_modulus
    refuses(forged, "is not below q")


def test_a_coordinate_that_is_the_modulus(forged: Srs, refuses: Refuses) -> None:
    forged.raw[0] = field_modulus
    refuses(forged, "a coordinate of power 0 is not below q")


def test_coordinates_as_plain_integers(forged: Srs, refuses: Refuses) -> None:
    """Not in Montgomery's form, as other programs write them."""
    for number, value in enumerate(c for pair in forged.powers for c in pair):
        forged.raw[number] = value
    refuses(forged, "power 0 is not on the curve")


def test_two_lagrange_points_swapped(forged: Srs, refuses: Refuses) -> None:
    points = forged.lagrange
    points[1], points[4] = points[4], points[1]
    refuses(forged, "Lagrange points are not those of its powers")


def test_lagrange_points_of_the_opposite_order(forged: Srs, refuses: Refuses) -> None:
    """Of the inverse root of unity."""
    forged.lagrange[1:] = forged.lagrange[:0:-1]
    refuses(forged, "Lagrange points are not those of its powers")


def test_one_lagrange_point_wrong(forged: Srs, refuses: Refuses) -> None:
    forged.lagrange[7] = times(7)
    refuses(forged, "Lagrange points are not those of its powers")


def test_all_points_alike(forged: Srs, refuses: Refuses) -> None:
    """Every addition of the check doubles or cancels."""
    forged.powers = [(1, 2)] * COUNT
    forged.lagrange = [(1, 2), (1, field_modulus - 2)] * (COUNT // 2)
    refuses(forged, "Lagrange points are not those of its powers")


def test_k_larger_than_the_file(forged: Srs, refuses: Refuses) -> None:
    forged.logrows += 1
    refuses(forged, r"it has 1284 bytes, and k = 4 takes 2308")


def test_k_beyond_the_field(forged: Srs, refuses: Refuses) -> None:
    forged.logrows = 2**32 - 1
    refuses(forged, "its first bytes say k = 4294967295, not 1 to 28")


def test_k_of_zero(forged: Srs, refuses: Refuses) -> None:
    forged.logrows = 0
    refuses(forged, "its first bytes say k = 0, not 1 to 28")


def test_a_trailing_byte(forged: Srs, refuses: Refuses) -> None:
    refuses(forged.to_bytes() + b"\0", "it has 1285 bytes, and k = 3 takes 1284")


def test_a_missing_byte(forged: Srs, refuses: Refuses) -> None:
    refuses(forged.to_bytes()[:-1], "it has 1283 bytes, and k = 3 takes 1284")


def test_an_empty_file(refuses: Refuses) -> None:
    refuses(b"", "it has 0 bytes, fewer than the smallest one")


def test_a_text_file(refuses: Refuses) -> None:
    refuses(b"The powers of tau are in another file.\n" * 40, "its first bytes say k = 543516756")


def test_who_guesses_z_can_forge(
    forged: Srs, refuses: Refuses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``z`` added to one power and 1 taken from the next cancel for this z, and for no other."""
    z = secret_tau()
    forged.powers[1] = plus(forged.powers[1], times(z))
    forged.powers[2] = plus(forged.powers[2], times(-1))
    refuses(forged, "Lagrange points are not those of its powers")
    checking = sys.modules["zktrain.ezkl.srs.checking"]
    monkeypatch.setattr(checking, "_point_outside", lambda count: z)
    check(forged.write(tmp_path))
