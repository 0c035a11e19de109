"""The constants of SHA-256. [FIPS 180-4]"""

from __future__ import annotations

import numpy as np

_primes = [p for p in range(2, 312) if all(p % q for q in range(2, int(p**0.5) + 1))]


def _root_bits(value: int, power: int) -> int:
    """First 32 bits of the fractional part of ``value ** (1 / power)`` in integers."""
    shifted = value << (32 * power)
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**power <= shifted else (low, middle - 1)
    return low & 0xFFFFFFFF


ROUND_CONSTANTS = np.array([_root_bits(p, 3) for p in _primes[:64]], dtype=np.uint32)
INITIAL_STATE = np.array([_root_bits(p, 2) for p in _primes[:8]], dtype=np.uint32)
