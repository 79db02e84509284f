"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("agentd", deadline=None, max_examples=150)
settings.load_profile("agentd")
