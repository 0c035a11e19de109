"""Initial weights from a public text.

With ``le8(v)`` the 8 bytes of ``v``, least significant first, the parameter called ``name`` with
``n`` cells in a layer of ``inputs`` inputs is, in row-major order of the internal layout,

    u      = n little-endian uint32 of
             SHAKE-256("zktrain init v1" || le8(len(seed)) || seed || le8(len(name)) || name)
    bound  = floor(2^weight_bits / sqrt(inputs))          exact, by integer square root
    value  = floor(u * (2 bound + 1) / 2^32) - bound      in [-bound, bound]

and under weight decay the value is rounded down to a multiple of ``2^12``. ``inputs`` of a
convolution are its input channels times the taps of its kernel. This is torch's default of
``nn.Linear`` and ``nn.Conv2d``, uniform in ``+-1/sqrt(inputs)`` for weights and biases.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..layers.network import parameters
from .circuit import Circuit

_DOMAIN = b"zktrain init v1"


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(8, "little") + data


def uniform_integers(seed: str, name: str, cells: int, bound: int) -> npt.NDArray[np.int64]:
    """``cells`` integers in ``[-bound, bound]``, as the module says; ``bound < 2^62``."""
    stream = hashlib.shake_256(_DOMAIN + _prefixed(seed) + _prefixed(name)).digest(4 * cells)
    u = np.frombuffer(stream, dtype="<u4").astype(np.uint64)
    # The factor is split in 32-bit halves so that no product leaves 64 bits.
    high, low = divmod(2 * bound + 1, 1 << 32)
    scaled = u * np.uint64(high) + ((u * np.uint64(low)) >> np.uint64(32))
    return scaled.astype(np.int64) - np.int64(bound)


def seeded_weights(circuit: Circuit) -> dict[str, npt.NDArray[np.int64]]:
    """``W_0`` of a circuit whose initialisation is a seed: integers with ``weight_bits``
    fractional bits, weights ``(inputs, outputs)``, biases ``(outputs,)``.

    Raises ``InputError`` when the circuit starts from a file instead.
    """
    if circuit.initialisation.kind != "seed":
        raise InputError(
            "this circuit starts from a weight file, not from a seed: give the file that its "
            "recipe names"
        )
    seed = circuit.initialisation.value
    weight_bits = circuit.fixed_point.weight_bits
    unit = circuit.optimizer.start_bits
    weights = {}
    for name, parameter in parameters(circuit.layers).items():
        bound = math.isqrt((1 << (2 * weight_bits)) // parameter.inputs)
        cells = math.prod(parameter.shape)
        values = uniform_integers(seed, name, cells, bound).reshape(parameter.shape)
        weights[name] = values >> unit << unit
    return weights


def start_violation(circuit: Circuit, weights: Mapping[str, npt.NDArray[np.int64]]) -> str | None:
    """Why a run under the circuit's weight decay cannot start from ``weights``."""
    held = circuit.parameter_shapes().keys() - circuit.trained_shapes().keys()
    unit = circuit.optimizer.start_bits
    for name, values in weights.items():  # decay does not act on what is frozen
        if name not in held and (values & ((1 << unit) - 1)).any():
            bits = circuit.fixed_point.weight_bits - unit
            return f"parameter {name!r} has a value that is no multiple of 2^-{bits}"
    return None
