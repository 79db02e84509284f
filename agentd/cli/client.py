"""Asks a running daemon over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from agentd.errors import AgentdError, AnswerError, PermissionMissingError, UnavailableError
from agentd.terminal.escape import printable, printable_path

_SECONDS = 20.0
"""For a whole answer, or for the head of one that has no end. The daemon takes 14 at most."""
_ANSWER_MAX_BYTES, _LINE_MAX_BYTES = 1 << 30, 64 << 20
"""Many times what agentd writes: 131,072 processes are 100 MB."""
_REFUSAL_MAX_BYTES = _PIECE_BYTES = 1 << 20
_NOT_AGENTD = "is this the socket of a running agentd, and of this version?"


class _Socket(socket.socket):
    """A Unix socket that ends all waiting at one moment, however little comes at a time."""

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX)
        self._until_seconds = time.monotonic() + _SECONDS
        self._waits = False

    def wait_forever(self) -> None:
        """From now on: what comes next comes when something happens."""
        self._waits = True
        self.settimeout(None)

    def connect(self, path: Any) -> None:
        self._hurry()
        super().connect(path)

    def sendall(self, *data: Any) -> None:
        self._hurry()
        super().sendall(*data)

    def recv_into(self, *buffer: Any) -> int:
        self._hurry()
        return super().recv_into(*buffer)

    def _hurry(self) -> None:
        if not self._waits:
            left_seconds = self._until_seconds - time.monotonic()
            if left_seconds <= 0:
                raise TimeoutError
            self.settimeout(left_seconds)


class _Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("agentd")
        self._path = path

    def connect(self) -> None:
        self._socket = self.sock = _Socket()
        self._socket.connect(self._path)

    def wait_forever(self) -> None:
        """From now on: the next line of a stream comes when something happens."""
        self._socket.wait_forever()  # ``sock`` is None already where the answer is the last


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
        while line := response.readline(_LINE_MAX_BYTES):
            if len(line) == _LINE_MAX_BYTES:
                raise _too_long(path)
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
        text = bytearray()
        while piece := response.read(_PIECE_BYTES):
            text += piece
            if len(text) > _ANSWER_MAX_BYTES:
                raise _too_long(path)
        if response.length:  # ``read`` does not say so when it is given a length
            raise http.client.IncompleteRead(piece, response.length)
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(path, error) from None
    finally:
        connection.close()
    return [value_of(line) for line in bytes(text).splitlines()]


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
    if isinstance(error, TimeoutError):
        reason = f"there was no answer within {_SECONDS:g} s"
    return UnavailableError(
        f"no agentd answers at {printable_path(path)}: {reason}",
        "is it running? systemctl status agentd; --socket PATH asks another one",
    )


def _too_long(path: str) -> AnswerError:
    return AnswerError(f"{printable_path(path)}: the answer is too long", _NOT_AGENTD)


def _refusal(path: str, response: http.client.HTTPResponse) -> AgentdError:
    """What an answer other than 200 says, in the daemon's words if it has any."""
    words = f"{response.status} {printable(response.reason)}"
    try:
        reason = str(json.loads(response.read(_REFUSAL_MAX_BYTES))["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return AnswerError(f"{printable_path(path)}: the answer is {words}", _NOT_AGENTD)
    if response.status == http.client.FORBIDDEN:
        return PermissionMissingError(f"{printable_path(path)}: {reason}")
    if response.status == http.client.INTERNAL_SERVER_ERROR:
        return AnswerError(
            f"{printable_path(path)}: the answer is {words}: {reason}", "agentd's log has more"
        )
    return AnswerError(reason)
