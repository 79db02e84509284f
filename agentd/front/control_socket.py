"""The control socket: for its owner and group, and gone with the daemon."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentd.errors import ConfigError, TakenError
from agentd.terminal.escape import printable_path

_SOCKET_MODE = 0o660
_FOLDER_MODE = 0o750
_ANSWER_SECONDS = 1.0


@contextmanager
def listening(path: str, log: Any) -> Iterator[socket.socket]:
    """A listening socket at that path. Raises ConfigError if it cannot be had.

    One that nobody listens at any more is replaced.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            _bind(sock, path)
        except OSError as error:
            problem = f"cannot listen there: {error.strerror or error}"
            raise ConfigError(
                f'control.socket = "{printable_path(path)}": {problem}',
                "another path, or --set control.socket= to do without",
            ) from None
        try:
            yield sock
        finally:
            _remove(path, log)


def _remove(path: str, log: Any) -> None:
    """At the end we have no capability any more, and the folder may be another user's."""
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        log.warning("the control socket stays behind", socket=path, problem=error.strerror)


def _bind(sock: socket.socket, path: str) -> None:
    Path(path).parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    if _is_socket(path):
        if _answers(path):
            raise TakenError(
                f'control.socket = "{printable_path(path)}": another agentd listens there',
                "stop it, or --set control.socket= to do without",
            )
        os.unlink(path)
    before = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    sock.listen()


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        try:
            asking.connect(path)
        except TimeoutError:
            return True  # somebody, who is busy
        except ConnectionRefusedError:
            return False
    return True
