"""Asks a running daemon over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode

from agentd.errors import AnswerError, PermissionMissingError, UnavailableError

_SECONDS = 30.0


class _Connection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("agentd", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, question: str, **query: str) -> Any:
    """The answer to ``/v1/question?query``.

    Raises UnavailableError if no daemon answers at that socket, PermissionMissingError if we may
    not ask, AnswerError if the answer is that it cannot be answered.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", f"/v1/{question}?{urlencode(query)}")
        response = connection.getresponse()
        answer = json.loads(response.read())
    except PermissionError:
        raise PermissionMissingError(
            f"{path}: permission denied", "as root, or as a member of the socket's group"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnavailableError(
            f"no agentd answers at {path}: {reason}",
            "is it running? systemctl status agentd; --socket PATH asks another one",
        ) from None
    finally:
        connection.close()
    if response.status == http.client.FORBIDDEN:
        raise PermissionMissingError(f"{path}: {answer['error']}")
    if response.status != http.client.OK:
        raise AnswerError(answer["error"])
    return answer
