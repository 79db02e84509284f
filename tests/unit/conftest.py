"""What all unit tests need."""

from __future__ import annotations

import pytest

from agentd.runtime import copies


@pytest.fixture(autouse=True)
def no_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that other tests load (LLVM, BLAS) have threads; they hold nothing of ours."""
    monkeypatch.setattr(copies, "threads", lambda: 1)
