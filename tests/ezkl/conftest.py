"""Two steps on irises, proved by ezkl once, with a cache of keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from iris_run import Foreign, IrisProof, make_foreign, make_iris


@pytest.fixture(scope="session", autouse=True)
def ezkl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> IrisProof:
    pytest.importorskip("ezkl", reason="needs the extra ezkl")
    return make_iris(tmp_path_factory.mktemp("iris"))


@pytest.fixture(scope="session")
def foreign(iris: IrisProof, tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    return make_foreign(iris, tmp_path_factory.mktemp("foreign"))
