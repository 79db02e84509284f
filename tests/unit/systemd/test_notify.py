"""agentd.service: what the service manager hears, over a socket of the test's own"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.systemd.notify import Service


@pytest.fixture(autouse=True)
def _started_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYSTEMD_EXEC_PID", raising=False)


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """What systemd listens on."""
    path = str(tmp_path / "notify")
    address, name = (f"\0{path}", f"@{path}") if request.param == "abstract" else (path, path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listening


def test_what_is_said(manager: socket.socket) -> None:
    """States as sd_notify(3) has them, and file descriptors with their names."""
    said = Service()
    said.ready("all is well")
    assert manager.recv(4096) == b"READY=1\nSTATUS=all is well"
    reading, writing = os.pipe()
    assert said.keep([("pipe", writing)])
    message, fds, _, _ = socket.recv_fds(manager, 4096, 1)
    assert message == b"FDSTORE=1\nFDNAME=pipe\nFDPOLL=0"
    os.write(fds[0], b"the same")
    assert os.read(reading, 100) == b"the same"
    for fd in (reading, writing, *fds):
        os.close(fd)


@pytest.mark.parametrize("count", ["9999", "99999999999999999999", "-1", "x"])
def test_descriptors_that_are_not_there(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    """There are none then, and it is said why; nothing fails."""
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    reasons: list[str] = []
    assert Service().kept(reasons.append) == {}
    (reason,) = reasons
    assert reason.startswith(f"LISTEN_FDS={count}: ")


def test_one_name_twice(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one counts, the other is closed, and no child inherits it."""
    first, last = os.memfd_create("first", 0), os.memfd_create("last", 0)
    monkeypatch.setenv("LISTEN_FDS", "2")
    names = {first: "past", last: "past"}
    monkeypatch.setattr("systemd.daemon.listen_fds_with_names", lambda **_: names)
    assert Service().kept(pytest.fail) == {"past": last}
    assert not os.get_inheritable(last)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
    os.close(last)


def test_nobody_reads(manager: socket.socket) -> None:
    """A service manager that has frozen does not stop agentd, which knows that it was not heard."""
    room = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    said = Service()
    for _ in range(room + 2):
        said.alive("well")
    assert not said.keep([("nothing", 0)])
    with contextlib.suppress(BlockingIOError):
        while manager.recv(4096):
            pass
    said.status("heard again")
    assert manager.recv(4096) == b"STATUS=heard again"


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a service manager, or with one that has gone, nothing is said and nothing fails."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Service().stopping()
    assert "NOTIFY_SOCKET" not in os.environ
    silent = Service()
    silent.ready("well")
    assert not silent.keeps


@pytest.mark.parametrize(("started", "ours"), [("", True), ("own", True), ("other", False)])
def test_an_inherited_socket_is_not_ours(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, started: str, ours: bool
) -> None:
    """In the shell of another service agentd is no service; nor are its own children."""
    pids = {"": "", "own": str(os.getpid()), "other": str(os.getppid())}
    monkeypatch.setenv("SYSTEMD_EXEC_PID", pids[started])
    service = Service()
    service.ready("well")
    assert service.keeps == ours
    assert "NOTIFY_SOCKET" not in os.environ
    if ours:
        assert manager.recv(4096).startswith(b"READY=1")
    else:
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def test_who_ends_by_itself_keeps_nothing(manager: socket.socket) -> None:
    """With a duration there is no next process; the manager still hears how it is going."""
    service = Service(ends=True)
    assert not service.keeps
    service.stopping()
    assert manager.recv(4096) == b"STOPPING=1"
