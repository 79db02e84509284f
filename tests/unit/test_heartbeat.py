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
    while seen.count(" s: a long one\n") < 2:
        seen += capfd.readouterr().err
    heartbeat.ends()
    assert "short" not in seen
