"""agentd/errors.py: what users read and scripts see."""

from __future__ import annotations

import os

import pytest

from agentd.errors import (
    AgentdError,
    ConfigError,
    PermissionMissingError,
    TakenError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [(ConfigError("wrong"), "wrong"), (ConfigError("wrong", "do right"), "wrong (do right)")],
)
def test_an_error_says_the_way_out(error: AgentdError, text: str) -> None:
    """The hint, where there is one, stands in parentheses behind the message."""
    assert str(error) == text


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (AgentdError, os.EX_SOFTWARE),
        (ConfigError, os.EX_CONFIG),
        (TakenError, os.EX_TEMPFAIL),
        (PermissionMissingError, os.EX_NOPERM),
        (UnavailableError, os.EX_UNAVAILABLE),
    ],
)
def test_errors_have_their_exit_codes(kind: type[AgentdError], code: int) -> None:
    """Each kind of error has its own code of sysexits.h."""
    assert kind("").exit_code == code
