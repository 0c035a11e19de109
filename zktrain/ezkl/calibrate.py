"""A run in ezkl's arithmetic, and tables as wide as its own values need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import disk
from ..circuit.circuit import Circuit
from ..dataset.readers import Records
from ..errors import RangeOverflow
from ..progress import Progress
from . import keys, values
from .native import EzklFailure, Native
from .parameters import LOGROWS, MAX_LOOKUP_LOG, Parameters
from .values import IntegerWeights

LOOKUP_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A run in ezkl's arithmetic: ``weights[t]`` before step ``t``, ``instances[t]`` the hashes of
    step ``t``, and the least input of the exponential's table."""

    weights: tuple[IntegerWeights, ...]
    instances: tuple[tuple[str, ...], ...]
    least_lookup: int


def trajectory(
    circuit: Circuit,
    records: Records,
    first: IntegerWeights,
    scale: int,
    native: Native,
    progress: Progress,
) -> Trajectory:
    """Run every step, without a proof. Raises ``RangeOverflow`` where a value leaves its range."""
    folder = _folder(native)
    widest = Parameters(scale, MAX_LOOKUP_LOG)
    compiled = keys.compiled(circuit, widest, LOGROWS[1], native, folder)
    weights, instances, least = [first], [], 0
    for step in range(circuit.steps):
        progress("calibrate", step, circuit.steps)
        inputs = [*values.flat(weights[-1]), *values.batch(circuit, records, step, scale)]
        try:
            found = native.call(
                "forward", circuit=compiled, inputs=inputs, scale=scale, folder=folder
            )
        except EzklFailure as error:
            raise RangeOverflow(
                f"step {step} cannot be calibrated at scale {scale}: a value leaves the 28 bits of "
                f"ezkl's fixed point, or {error.message}; lower the learning rate, or give a "
                "smaller --scale"
            ) from None
        low, high = found["lookups"]
        if high > 0 or LOOKUP_MARGIN * -low > 1 << MAX_LOOKUP_LOG:
            raise RangeOverflow(
                f"step {step} cannot be calibrated at scale {scale}: logits are "
                f"{-low / 2**scale:.3g} apart, more than tables hold; lower the learning rate, or "
                "give a smaller --scale"
            )
        least = min(least, low)
        weights.append(values.shaped(circuit, found["outputs"]))
        instances.append(tuple(found["instances"]))
    progress("calibrate", circuit.steps, circuit.steps)
    return Trajectory(tuple(weights), tuple(instances), least)


def calibrate(run: Trajectory, scale: int) -> Parameters:
    """The smallest table with a margin, a power of two so that runs share keys."""
    return Parameters(scale, max(1, (LOOKUP_MARGIN * -run.least_lookup - 1).bit_length()))


def _folder(native: Native) -> Path:
    folder = native.folder / "calibration"
    disk.make_folder(folder, private=True)
    return folder
