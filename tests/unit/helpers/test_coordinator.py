"""agentd.helpers.coordinator and client: workers that are stuck, die, or say something else"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentd.helpers import coordinator
from agentd.helpers.client import CANARY, CGROUPS, PROCESSES, USERS, HelperError, Helpers
from agentd.helpers.coordinator import Coordinator, Kind
from agentd.helpers.links import Link
from tests.helpers import Log, with_helpers

ENOUGH_SECONDS = 30.0
MODULE = '''
import os, signal, time
def run(answers, asked, progress):
    """Numbers, one a part; what is done at some of them is asked for."""
    for number in range(1, 21):
        if number <= progress.delivered:
            continue
        progress.begin(number)
        progress.identify(number * 100)
        stuck = (number, number * 100) in map(tuple, asked["stuck"])
        deed = "" if stuck or asked["bare"] else asked["deeds"].get(str(number), "")
        if deed == "stick":
            signal.pause()
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "raise":
            raise RuntimeError("a bug")
        if deed == "leave":
            os._exit(3)
        progress.end()
        answers.part([number, stuck])
        progress.deliver(number)
    answers.done(asked["bare"])
'''


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    """A coordinator whose only job, the scan, sends numbers."""
    (tmp_path / "numbers_job.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kinds = {PROCESSES: Kind("numbers_job", stuck_max=3, item_seconds=0.2)}
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            Coordinator(theirs, kinds).run()
        finally:
            os._exit(0)
    theirs.close()
    ours.setblocking(False)

    class Ready(Link):
        def _open(self) -> socket.socket:
            return ours

    yield Ready()
    ours.close()
    os.waitpid(pid, 0)


def _scan(link: Link, deeds: dict[str, str]) -> tuple[list[tuple[int, bool]], Any]:
    """The numbers that came, whether each was known to be stuck, and what it ended with."""
    parts: list[tuple[int, bool]] = []

    async def main() -> Any:
        helpers = Helpers((), "", Log())
        helpers.child = link  # type: ignore[assignment]
        return await helpers.ask(PROCESSES, {"deeds": deeds}, ENOUGH_SECONDS, parts.append)

    done = asyncio.run(main())
    return parts, done


ALL = [(number, False) for number in range(1, 21)]


def test_nothing_special(numbers: Link) -> None:
    """All parts come, in order, and the end."""
    assert _scan(numbers, {}) == (ALL, False)


def test_another_worker_goes_on(numbers: Link) -> None:
    """Nothing that was delivered comes again, and nothing is left out."""
    parts, bare = _scan(numbers, {"7": "stick", "8": "stick"})
    assert parts == [(number, number in {7, 8}) for number in range(1, 21)]
    assert bare is False


def test_a_worker_that_is_killed_has_a_successor(numbers: Link) -> None:
    """For want of memory, perhaps; one that is killed again and again reads less."""
    assert _scan(numbers, {"7": "die"}) == (ALL, True)


def test_who_is_stuck_is_remembered(numbers: Link) -> None:
    """The next scan does not wait for it again."""
    _scan(numbers, {"7": "stick"})
    begun = time.monotonic()
    parts, _ = _scan(numbers, {"7": "stick"})
    assert parts[6] == (7, True)
    assert time.monotonic() - begun < ENOUGH_SECONDS


def test_after_some_it_reads_no_more_than_it_must(numbers: Link) -> None:
    """With more stuck ones than workers may be left, the rest is read bare, and it says so."""
    parts, bare = _scan(numbers, {str(number): "stick" for number in (2, 4, 6, 8, 10)})
    assert [number for number, _ in parts] == list(range(1, 21))
    assert bare is True


@pytest.mark.parametrize(
    ("deed", "problem"),
    [("raise", "RuntimeError: a bug"), ("leave", "it ended without an answer")],
)
def test_a_worker_that_fails(numbers: Link, deed: str, problem: str) -> None:
    """It is one failed answer with its reason; the next request is answered."""
    with pytest.raises(HelperError, match=problem):
        _scan(numbers, {"3": deed})
    assert _scan(numbers, {}) == (ALL, False)


def _nothing(part: Any) -> None:
    """Nobody wants to know."""


def _raises(job: str, arguments: Any, seconds: float) -> tuple[str, int, list[str]]:
    log = Log()

    async def ask(helpers: Helpers) -> tuple[str, int]:
        with pytest.raises(HelperError) as caught:
            await helpers.ask(job, arguments, seconds, _nothing)
        with pytest.raises(HelperError):
            await helpers.ask(job, arguments, seconds, _nothing)
        assert await helpers.ask(CANARY, "/bin/true", ENOUGH_SECONDS, _nothing) is None
        return str(caught.value), helpers.failures[job]

    problem, failures = with_helpers(ask, log=log)
    return problem, failures, [event for event, _ in log.warnings]


@pytest.mark.parametrize(
    ("job", "arguments", "problem"),
    [(CANARY, "/no/such/program", "No such file or directory"),
     (USERS, 7, "AttributeError: 'int' object has no attribute 'get'"),
     (CGROUPS, ["/no/such/mount", []], "No such file or directory"),
     (PROCESSES, None, "TypeError: unsupported operand type(s) for |: 'NoneType' and 'dict'")],
)  # fmt: skip
def test_a_job_that_cannot_be_done(job: str, arguments: Any, problem: str) -> None:
    """It is counted each time, logged once a minute, and the coordinator goes on."""
    assert _raises(job, arguments, ENOUGH_SECONDS) == (problem, 2, ["a helper failed"])


def test_a_worker_that_takes_too_long() -> None:
    """It is ended at its time, and the reason is given."""
    command = "/usr/bin/yes"  # which never ends
    problem, failures, _ = _raises(CANARY, command, 0.3)
    assert (problem, failures) == ("it took too long", 2)


def test_without_descriptors_nothing_is_asked() -> None:
    """That is a failure like any other."""
    program = """
import asyncio, os, resource
from agentd.helpers.client import CANARY, HelperError, Helpers
from tests.helpers import Log
async def main():
    helpers = Helpers((), "", Log())
    helpers.begin()
    free = os.open("/", os.O_PATH)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, 4096))
    try:
        await helpers.ask(CANARY, "/bin/true", 10.0, int)
    except HelperError as error:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        print(error)
    helpers.close()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "Too many open files\n"


def test_it_is_begun_again_when_it_was_killed() -> None:
    """The next request has another one; a third, at once, has to wait a second."""

    async def ask(helpers: Helpers) -> list[int]:
        pids = []
        for _ in range(2):
            await helpers.ask(CANARY, "/bin/true", ENOUGH_SECONDS, _nothing)
            pids.append(helpers.child.pid)
            os.kill(helpers.child.pid, signal.SIGKILL)
            await asyncio.sleep(0.1)
        return pids

    first, second = with_helpers(ask)
    assert first != second


def test_it_ends_with_its_daemon() -> None:
    """So do its workers."""

    async def ask(helpers: Helpers) -> list[int]:
        pids: list[int] = []
        asking = asyncio.create_task(helpers.ask(CANARY, "/bin/cat", ENOUGH_SECONDS, pids.append))
        while not pids:
            await asyncio.sleep(0.01)
        asking.cancel()
        return [*pids, helpers.child.pid]

    pids = with_helpers(ask)
    _wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_is_idle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a service manager starts another for the next request."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    Coordinator(theirs, coordinator.SCAN, idle_seconds=0.05).run()
    ours.close()
    theirs.close()
