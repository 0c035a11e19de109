"""Profiles of hypothesis, light proofs of work, and the one proof that many tests read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, settings
from oracle.light_work import full_work, light_work
from tiny_run import TinyBundle, make_bundle

settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is left out of the quick tier says why."""
    for item in items:
        for mark in item.iter_markers("slow"):
            if len(mark.args) != 1 or not isinstance(mark.args[0], str) or mark.kwargs:
                raise pytest.UsageError(f"{item.nodeid}: pytest.mark.slow needs a reason")


@pytest.fixture(scope="module", autouse=True)
def work(request: pytest.FixtureRequest) -> Iterator[None]:
    """Proofs of work are light, but in modules marked ``full_work``."""
    full = request.node.get_closest_marker("full_work") is not None
    with nullcontext() if full else light_work():
        yield


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    """A committed, compiled, trained and proved run. Its files must not be changed."""
    with full_work():  # for other processes
        return make_bundle(tmp_path_factory.mktemp("tiny"))
