"""Segments of networks on images: true ones are accepted."""

from __future__ import annotations

import pytest
from image_run import NETWORKS, Attempt


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_true_segment_is_accepted(name: str, hiding: bool) -> None:
    attempt = Attempt(name, steps=3, hiding=hiding)
    attempt.verify(attempt.prove())
