"""Asks a running daemon over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from agentd.errors import AgentdError, AnswerError, PermissionMissingError, UnavailableError
from agentd.terminal.escape import printable, printable_path

_SECONDS = 30.0
_NOT_AGENTD = "is this the socket of a running agentd, and of this version?"


class _Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("agentd", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
        self._socket = self.sock

    def wait_forever(self) -> None:
        """From now on: the next line of a stream comes when something happens."""
        self._socket.settimeout(None)  # ``sock`` is None already where the answer is the last


def stream(path: str, question: str, **query: str | list[str]) -> Iterator[bytes]:
    """The lines of ``/v1/question?query`` as they come, for as long as somebody wants them.

    Raises as ``ask``, and UnavailableError when the daemon has gone.
    """
    connection = _Connection(path)
    try:
        response = _responded(connection, path, question, query)
        if response.status != http.client.OK:
            raise _refusal(path, response)
        connection.wait_forever()
        while line := response.readline():
            yield line
    except (OSError, http.client.HTTPException):
        pass  # it was killed, or cut us off as it stopped
    finally:
        connection.close()
    raise UnavailableError(
        f"the agentd that answered at {printable_path(path)} has ended", "systemctl status agentd"
    )


def ask_lines(path: str, question: str, **query: str | list[str]) -> list[Any]:
    """The values of an answer that has one on each line. Raises as ``ask``."""
    connection = _Connection(path)
    try:
        response = _responded(connection, path, question, query)
        if response.status != http.client.OK:
            raise _refusal(path, response)
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(path, error) from None
    finally:
        connection.close()
    return [value_of(line) for line in text.splitlines()]


def ask(path: str, question: str, **query: str | list[str]) -> Any:
    """The answer to ``/v1/question?query``.

    Raises UnavailableError if no daemon answers at that socket, PermissionMissingError if we may
    not ask, AnswerError if the answer is that it cannot be answered.
    """
    values = ask_lines(path, question, **query)
    if not values:
        raise AnswerError(f"{printable_path(path)}: the answer is empty", _NOT_AGENTD)
    return values[0]


def value_of(line: bytes) -> Any:
    """The value of one line of an answer. Raises AnswerError if it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the answer is no JSON: {error}", _NOT_AGENTD) from None


def _responded(
    connection: _Connection, path: str, question: str, query: dict[str, str | list[str]]
) -> http.client.HTTPResponse:
    try:
        # an argument that is no UTF-8 reaches the daemon as the bytes that it is
        text = urlencode(query, doseq=True, errors="surrogateescape")
        connection.request("GET", f"/v1/{question}?{text}")
        return connection.getresponse()
    except PermissionError:
        raise PermissionMissingError(
            f"{printable_path(path)}: permission denied",
            "as root, or as a member of the socket's group",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(path, error) from None


def _unavailable(path: str, error: Exception) -> UnavailableError:
    reason = getattr(error, "strerror", None) or str(error)
    return UnavailableError(
        f"no agentd answers at {printable_path(path)}: {reason}",
        "is it running? systemctl status agentd; --socket PATH asks another one",
    )


def _refusal(path: str, response: http.client.HTTPResponse) -> AgentdError:
    """What an answer other than 200 says, in the daemon's words if it has any."""
    words = f"{response.status} {printable(response.reason)}"
    try:
        reason = str(json.loads(response.read())["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return AnswerError(f"{printable_path(path)}: the answer is {words}", _NOT_AGENTD)
    if response.status == http.client.FORBIDDEN:
        return PermissionMissingError(f"{printable_path(path)}: {reason}")
    if response.status == http.client.INTERNAL_SERVER_ERROR:
        return AnswerError(
            f"{printable_path(path)}: the answer is {words}: {reason}", "agentd's log has more"
        )
    return AnswerError(reason)
