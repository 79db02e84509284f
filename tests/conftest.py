"""Settings of all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests import heartbeat

settings.register_profile("agentd", deadline=None, max_examples=150)
settings.load_profile("agentd")


def pytest_configure(config: pytest.Config) -> None:
    """No run is silent for long."""
    heartbeat.watch(config)
