"""tests/heartbeat.py: a long test is reported."""

from __future__ import annotations

import pytest

from tests.heartbeat import Heartbeat


def test_a_long_test_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """Again and again until the next one begins; a short one is not."""
    heartbeat = Heartbeat(1)
    heartbeat.begins("a short one")
    heartbeat.begins("a long one")
    seen = ""
    while "  2 s: a long one\n" not in seen:
        seen += capfd.readouterr().err
    heartbeat.ends()
    assert "  1 s: a long one\n" in seen
    assert "short" not in seen
