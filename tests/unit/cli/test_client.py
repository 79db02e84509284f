"""agentd.cli.client: whatever answers at the socket, a command ends with one sentence."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.cli import client, main
from agentd.errors import AgentdError, AnswerError, PermissionMissingError, UnavailableError

OK = b"HTTP/1.1 200 OK\r\n"
COMMANDS = (
    ("status",), ("status", "--json"), ("tree",), ("tree", "1"), ("ps",), ("explain", "1"),
    ("follow",), ("follow", "--json"), ("top", "--count", "1"), ("top", "--json"),
)  # fmt: skip


@contextlib.contextmanager
def _answering(folder: Path, answer: bytes) -> Iterator[str]:
    """A server that gives everybody the same bytes, and hangs up."""
    path = folder / "socket"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        peer.recv(65536)
                        peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield str(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _with_body(body: bytes, status: bytes = OK) -> bytes:
    return status + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"", UnavailableError, "no agentd answers"),
        (b"\xff\xfe garbage\n\n", UnavailableError, "no agentd answers"),
        (_with_body(b""), AnswerError, "the answer is empty"),
        (_with_body(b"<html>"), AnswerError, "the answer is no JSON"),
        (_with_body(b"[" * 100_000), AnswerError, "the answer is no JSON"),
        (OK + b"Content-Length: 100\r\n\r\n{", UnavailableError, "no agentd answers"),
        (_with_body(b"oops", b"HTTP/1.1 500 Internal\r\n"), AnswerError, "500 Internal"),
        (_with_body(b'{"error": "busy"}', b"HTTP/1.1 503 No\r\n"), AnswerError, "^busy$"),
        (_with_body(b'{"error": "no pid"}', b"HTTP/1.1 404 No\r\n"), AnswerError, "no pid"),
        (_with_body(b'{"error": "no"}', b"HTTP/1.1 403 No\r\n"), PermissionMissingError, "no"),
        (_with_body(b"[]", b"HTTP/1.1 400 Bad\r\n"), AnswerError, "400 Bad"),
    ],
)
def test_an_answer_that_is_none(
    tmp_path: Path, answer: bytes, kind: type[AgentdError], words: str
) -> None:
    """What answers in place of the daemon, or is broken, is named as what it is."""
    with _answering(tmp_path, answer) as path:
        with pytest.raises(kind, match=words):
            client.ask(path, "status")
        if answer.partition(b" ")[2].startswith((b"4", b"5")):
            with pytest.raises(kind, match=words):
                next(client.stream(path, "follow"))


def test_an_argument_that_is_no_text(tmp_path: Path) -> None:
    """It is asked for as it is, and the answer is the daemon's."""
    answer = _with_body(b'{"error": "x"}', b"HTTP/1.1 404 No\r\n")
    with _answering(tmp_path, answer) as path, pytest.raises(AnswerError, match="x"):
        client.ask(path, "explain", id="\udcff")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("trickle", [b"", b"HTTP/1.1 200 OK\r\nX: ", OK + b"\r\n"])
def test_a_server_that_never_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trickle: bytes
) -> None:
    """Neither silence nor a byte now and then holds a command for longer than the limit."""
    monkeypatch.setattr(client, "_SECONDS", 0.3)
    path, stop = str(tmp_path / "socket"), threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.sendall(trickle)
                while not stop.wait(0.05):
                    peer.sendall(b"x" if trickle else b"")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(UnavailableError, match=r"no answer within 0\.3 s"):
                client.ask(path, "status")
        finally:
            stop.set()
            thread.join()


def test_an_answer_without_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read up to a limit only, as is a line of one that goes on."""
    monkeypatch.setattr(client, "_ANSWER_MAX_BYTES", 1000)
    monkeypatch.setattr(client, "_LINE_MAX_BYTES", 1000)
    with _answering(tmp_path, OK + b"\r\n" + b"x" * 2000) as path:
        with pytest.raises(AnswerError, match="the answer is too long"):
            client.ask(path, "status")
        with pytest.raises(AnswerError, match="the answer is too long"):
            next(client.stream(path, "follow"))


HOSTILE = "\x1b[2J\x07\u202e"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    "answer",
    [
        _with_body(json.dumps({"error": HOSTILE}).encode(), b"HTTP/1.1 404 No\r\n"),
        _with_body(b"x", b"HTTP/1.1 500 " + HOSTILE.encode() + b"\r\n"),
        _with_body(HOSTILE.encode() + b"\n"),
        _with_body(
            json.dumps(
                {"healthy": False, "reason": HOSTILE, "version": HOSTILE, "sinks": []}
            ).encode()
            + b"\n"
        ),
    ],
    ids=["error", "status line", "lines", "values"],
)
def test_no_server_commands_the_terminal(
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    answer: bytes,
) -> None:
    """Whatever answers at the socket: no control character of it is written."""
    with _answering(tmp_path, answer) as path:
        monkeypatch.setattr(sys, "argv", ["agentd", *command, "--socket", path])
        with pytest.raises(SystemExit):
            main.main()
    written = "".join(part.decode() for part in capsysbinary.readouterr())
    assert [c for c in written if not c.isprintable() and c != "\n"] == []


@pytest.mark.parametrize("option", ["--socket", ""])
def test_a_name_begins_no_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
) -> None:
    """A path with a line end and an escape in it stays within the one line of the error."""
    path = str(tmp_path / "a\nagentd: good\x1b[2J")
    command = ["status", option, path] if option else ["replay", path]
    monkeypatch.setattr(sys, "argv", ["agentd", *command])
    with pytest.raises(SystemExit):
        main.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "a\\nagentd: good\\x1b[2J" in line


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@given(
    body=st.one_of(
        st.binary(max_size=80),
        st.builds(lambda value: json.dumps(value).encode() + b"\n", VALUES),
    ),
    status=st.sampled_from([b"200 OK", b"500 Internal Server Error", b"404 Not Found"]),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_shows_a_traceback(
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
    command: tuple[str, ...],
    body: bytes,
    status: bytes,
) -> None:
    """A server that answers anything at all: the command ends, with at most one line of error."""
    answer = _with_body(body, b"HTTP/1.1 " + status + b"\r\n")
    with _answering(tmp_path, answer) as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["agentd", *command, "--socket", path])
        with pytest.raises(SystemExit) as caught:
            main.main()
    errors = capsysbinary.readouterr().err.decode()
    assert "Traceback" not in errors
    assert errors.count("\n") == (caught.value.code != 0) or "no process that is known" in errors
