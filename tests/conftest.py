"""Profiles of hypothesis, and the one proof that many tests read."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from tiny_run import TinyBundle, make_bundle

settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> TinyBundle:
    """A committed, compiled, trained and proved run. Its files must not be changed."""
    return make_bundle(tmp_path_factory.mktemp("tiny"))
