"""The public order is drawn once for all that needs it, and only if all else of a proof holds."""

from __future__ import annotations

import harness as h
import numpy as np
import pytest
from numpy.typing import NDArray

from zktrain.circuit import order
from zktrain.errors import ZktrainError

EPOCHS = -(-h.STEPS * h.BATCH // h.RECORDS)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Epochs, as they are drawn."""
    epochs: list[int] = []
    true = order.epoch_permutation

    def noted(seed: str, records: int, epoch: int) -> NDArray[np.int64]:
        epochs.append(epoch)
        return true(seed, records, epoch)

    monkeypatch.setattr(order, "epoch_permutation", noted)
    return epochs


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
def test_an_order_is_drawn_once_after_everything_else(drawn: list[int], hiding: bool) -> None:
    run = h.honest("mse", hiding=hiding)
    proof = h.prove(run)
    drawn.clear()
    for at in range(0, len(proof), len(proof) // 40):
        for false in (proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :], proof[:at]):
            with pytest.raises(ZktrainError):
                h.accept(run, false)
    with pytest.raises(ZktrainError, match="goes on after its end"):
        h.accept(run, proof + bytes(8))
    assert not drawn
    h.accept(run, proof)
    assert drawn == list(range(EPOCHS))
