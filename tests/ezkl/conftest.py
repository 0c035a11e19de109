"""Two steps on irises, proved by ezkl once, with a cache of keys of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from iris_run import Exports, Foreign, IrisProof, make_foreign, make_iris

from zktrain.circuit.circuit import Circuit
from zktrain.ezkl.native import Native
from zktrain.ezkl.step import fingerprint


@pytest.fixture(scope="session", autouse=True)
def ezkl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def exports() -> Iterator[Exports]:
    """Each step is exported by torch once, which takes seconds, and not once for every key."""
    known: dict[str, bytes] = {}
    honest = Native.export

    def export(self: Native, circuit: Circuit) -> bytes:
        name = json.dumps(fingerprint(circuit))
        if name not in known:
            known[name] = honest(self, circuit)
        return known[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Native, "export", export)
        yield Exports(honest, known)


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> IrisProof:
    pytest.importorskip("ezkl", reason="needs the extra ezkl")
    return make_iris(tmp_path_factory.mktemp("iris"))


@pytest.fixture(scope="session")
def foreign(iris: IrisProof, tmp_path_factory: pytest.TempPathFactory) -> Foreign:
    return make_foreign(iris, tmp_path_factory.mktemp("foreign"))
