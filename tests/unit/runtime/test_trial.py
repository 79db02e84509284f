"""agentd.runtime.trial: work that may end its process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from agentd.errors import AgentdError, ConfigError, UnavailableError
from agentd.runtime import copies
from agentd.runtime.trial import Bounds, TrialError, Work, run_in_child, run_in_child_async


def _fail() -> NoReturn:
    raise UnavailableError("nothing is there", "look elsewhere")


def _break() -> NoReturn:
    raise ZeroDivisionError("by design")


def _grow() -> int:
    return len([bytes(1 << 20) for _ in range(2000)])


def _spin() -> NoReturn:
    while True:
        pass


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _children() -> set[str]:
    """Ours that are not waited for; other tests may have some, too."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def _ends_of_children(before: set[str]) -> list[int]:
    """Exit codes of children that were not there before: on a busy host an end takes its time."""
    new = _children() - before
    return [os.waitstatus_to_exitcode(os.waitpid(int(pid), 0)[1]) for pid in new]


def _run(work: Work) -> tuple[Any, Any]:
    """What it gives in either way."""
    return run_in_child("x", work), asyncio.run(run_in_child_async("x", work))


def test_what_it_returns() -> None:
    """Plain values, also many; and the child has nothing of ours open but what it needs."""
    assert _run(lambda: {"a": ("b", 1, True, None)}) == ({"a": ("b", 1, True, None)},) * 2
    assert _run(lambda: "x" * (4 << 20)) == ("x" * (4 << 20),) * 2
    with open("/dev/null") as ours:
        number = ours.fileno()
        open_fds, _ = _run(lambda: os.listdir("/proc/self/fd"))
    assert len(open_fds) <= 5
    assert os.path.exists(f"/proc/self/fd/{0}")
    assert number >= 3


def test_a_descriptor_that_it_needs() -> None:
    """It can write there, and to no other of ours."""
    ours, others = os.memfd_create("ours"), os.memfd_create("others")

    def write() -> list[bool]:
        os.write(ours, b"seen")
        return [os.path.exists(f"/proc/self/fd/{fd}") for fd in (ours, others)]

    assert run_in_child("x", write, fds=[ours]) == [True, False]
    assert os.pread(ours, 10, 0) == b"seen"
    os.close(ours)
    os.close(others)


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        (_fail, UnavailableError, r"nothing is there \(look elsewhere\)"),
        (_break, ConfigError, "x: ZeroDivisionError: by design"),
        (_grow, TrialError, "x: takes too much time or memory"),
        (_spin, TrialError, "x: takes too much time or memory"),
        (_crash, TrialError, "x: takes too much time or memory"),
        (lambda: os._exit(3), TrialError, "x: takes too much time or memory"),
    ],
)
def test_whatever_becomes_of_it_is_an_error(
    work: Work, kind: type[AgentdError], words: str
) -> None:
    """Of the kind that it raised, or about the input; nothing else happens to us."""
    before = _children()
    with pytest.raises(kind, match=words):
        run_in_child("x", work)
    with pytest.raises(kind, match=words):
        asyncio.run(run_in_child_async("x", work))
    _ends_of_children(before)
    assert _children() == before


def test_what_hangs_is_ended(tmp_path: Path) -> None:
    """At the limit, and the loop goes on meanwhile."""
    bounds = Bounds(seconds=0.3)
    os.mkfifo(tmp_path / "fifo")

    def hang() -> None:
        (tmp_path / "fifo").read_text()

    with pytest.raises(TrialError, match="x: could not be read within"):
        run_in_child("x", hang, bounds)

    async def main() -> int:
        trying, turns = asyncio.ensure_future(run_in_child_async("x", hang, bounds)), 0
        while not trying.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(ConfigError, match="within"):
            trying.result()
        return turns

    assert asyncio.run(main()) > 2


def test_a_cancelled_one_is_ended() -> None:
    """A daemon that stops waits for no trial."""

    async def main() -> None:
        trying = asyncio.ensure_future(run_in_child_async("x", lambda: time.sleep(60)))
        await asyncio.sleep(0.05)
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying

    before = _children()
    asyncio.run(main())
    assert set(_ends_of_children(before)) <= {-signal.SIGKILL}


def test_without_proc_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child can be made only where /proc shows our threads; the error has the way out."""

    def threads() -> int:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self/task")

    monkeypatch.setattr(copies, "threads", threads)
    with pytest.raises(TrialError, match=r"^a file: cannot be tried: /proc is not mounted \(mount"):
        run_in_child("a file", lambda: 1)
