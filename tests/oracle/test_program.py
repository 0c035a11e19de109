"""Steps as a program of buffers, against the same steps value by value, over random circuits."""

from __future__ import annotations

import numpy as np
import pytest
from careful import careful

from zktrain.errors import RangeOverflow
from zktrain.training.witness import run_witness

from . import honest
from .circuits import Case, draws

CIRCUITS = 80


def _outcome(case: Case) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | str:
    """Witness and last weights, or why it stops."""
    steps = case.circuit.steps
    try:
        return run_witness(
            case.circuit,
            honest.records(case),
            case.arrays(),
            0,
            steps,
            1 << (steps - 1).bit_length(),
        )
    except RangeOverflow as error:
        return str(error)


@pytest.mark.parametrize("case", list(draws("programs", CIRCUITS)), ids=range(CIRCUITS))
def test_every_tensor_of_every_step_is_the_same(case: Case) -> None:
    found = _outcome(case)
    with careful():
        expected = _outcome(case)
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
        return
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(theirs)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
