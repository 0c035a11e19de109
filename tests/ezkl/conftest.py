"""Two steps on irises, proved by ezkl once, with a cache of keys of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from iris_run import IrisProof, make_iris


@pytest.fixture(scope="session")
def ezkl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("ezkl", reason="needs the extra ezkl")
    before = os.environ.get("XDG_CACHE_HOME")
    folder = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def iris(ezkl_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> IrisProof:
    return make_iris(tmp_path_factory.mktemp("iris"))
