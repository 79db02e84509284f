"""The errors that a user can meet. Anything else is a bug and ends the daemon with a traceback."""

from __future__ import annotations

import os


class AgentdError(Exception):
    """Something that its reader can put right: what is wrong, and the way out of it."""

    exit_code = os.EX_SOFTWARE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(AgentdError):
    """The configuration or the command line asks for what cannot be."""

    exit_code = os.EX_CONFIG


class TakenError(ConfigError):
    """Somebody else has what the configuration asks for; perhaps not for long."""

    exit_code = os.EX_TEMPFAIL


class PermissionMissingError(AgentdError):
    """A privilege is missing."""

    exit_code = os.EX_NOPERM


class AnswerError(AgentdError):
    """A running daemon has no answer to a question."""

    exit_code = os.EX_DATAERR


class UnavailableError(AgentdError):
    """This kernel or host does not offer what is needed."""

    exit_code = os.EX_UNAVAILABLE
