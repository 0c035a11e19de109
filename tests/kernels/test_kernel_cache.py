"""Compiled kernels are run as they are found: only from where nobody else could put them."""

from __future__ import annotations

from pathlib import Path

import pytest
from numba import config

from zktrain.notices import Notice
from zktrain.prover.kernels.arithmetic import kernel


def added(first, second):  # type: ignore[no-untyped-def]
    return first + second


def test_a_cache_of_ones_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    assert Path(str(kernel(added).stats.cache_path)).is_relative_to(tmp_path)


def test_a_cache_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    with pytest.warns(Notice, match="compiled kernels are not kept.*NUMBA_CACHE_DIR"):
        made = kernel(added)
    assert made.stats.cache_path is None and made(1, 2) == 3
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_damaged_cache_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A write that was cut short must not fail every command from then on."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    assert kernel(added)(1, 2) == 3
    kept = [path for path in tmp_path.rglob("*") if path.suffix == suffix]
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:10])
    assert kernel(added)(1, 2) == 3
