"""py_ecc is loaded here first, in the way that leaves the recursion limit of all tests alone, and
records of checks are kept away from those of whoever runs the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import zktrain.ezkl.srs.pairing  # noqa: F401


@pytest.fixture(autouse=True)
def records(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of records, which need not exist."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache / "zktrain" / "srs"
