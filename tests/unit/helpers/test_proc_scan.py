"""agentd.helpers.proc_scan"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.tree.proc_compare import Observed
from agentd.core.tree.process import Image, Notes, Process
from agentd.helpers import proc_scan
from agentd.helpers.client import HelperError, Helpers
from agentd.helpers.proc_scan import Found, Scanned, Scanner
from agentd.host import procfs
from agentd.host.capabilities import CAP_SYS_PTRACE
from agentd.host.proc_codec import checked_observed, plain_observed
from tests.helpers import FakeHelpers, with_helpers
from tests.requirements import need_root
from tests.unprivileged import readable_agentd, unused_uid


def test_a_scan_finds_whom_a_look_finds() -> None:
    """The parts of a helper's answer are the processes that live, each with what it runs."""

    async def scan(helpers: Helpers) -> Scanned:
        return await Scanner("", helpers).scan()

    with subprocess.Popen(["sleep", "100"]) as sleeper:
        scanned = with_helpers(scan, keeps=(CAP_SYS_PTRACE,))
        (look,) = (o for o in procfs.Look() if o.process.key[0] == sleeper.pid)
        sleeper.kill()
    assert (scanned.complete, scanned.failure) == (True, "")
    tgids = [observed.process.key[0] for observed in scanned.processes]
    assert tgids == sorted(set(tgids))
    (seen,) = (o for o in scanned.processes if o.process.key[0] == sleeper.pid)
    assert seen.process.image == look.process.image
    assert (seen.process.key, seen[1:]) == (look.process.key, look[1:])


def test_a_scan_that_fails_closes_nobody() -> None:
    """What was sent before is there; who is not there is not gone, and it says why."""
    plain = plain_observed(_observed(5))
    helpers = FakeHelpers([HelperError("Too many open files")])
    scanned = asyncio.run(Scanner("", helpers).scan())
    assert scanned == Scanned([], complete=False, failure="Too many open files")
    helpers = FakeHelpers([[((plain,), True, ""), "nonsense"]])
    scanned = asyncio.run(Scanner("", helpers).scan())
    assert [observed.process.key[0] for observed in scanned.processes] == [5]
    assert (scanned.complete, scanned.failure) == (False, "not a part of a scan")


def _observed(tgid: int, args: bytes = b"") -> Observed:
    image = Image(b"x", b"/x", args, args.count(b"\0"))
    process = Process((tgid, 7), (1, 0), image, executed=True, coarse=True, uid=0)
    return Observed(process, 0, 0)


def _sent(*processes: Observed) -> Found:
    found = Found()
    found.take((tuple(map(plain_observed, processes)), True, ""))
    return found


def test_the_younger_look_stands() -> None:
    """A part that was sent twice is there once."""
    (seen,) = _sent(_observed(5, b"a\0"), _observed(5, b"b\0")).processes()
    assert seen.process.image.args == b"b\0"


def test_text_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What many share counts once; without room a process has a name, and no text."""
    monkeypatch.setattr(proc_scan, "TEXT_BYTES_MAX", 1000)
    found = Found()
    many = [_observed(tgid, b"x" * 400 + b"\0") for tgid in range(1, 50)]
    other = [_observed(tgid, b"y" * 700 + b"\0") for tgid in range(50, 60)]
    found.take((tuple(map(plain_observed, many + other)), True, ""))
    images = [seen.process.image for seen in found.processes()]
    assert [image.notes for image in images] == [0] * 49 + [Notes.ARGS_FORGOTTEN] * 10
    assert [bool(image.args) for image in images] == [True] * 49 + [False] * 10
    assert all((image.name, image.args_count) == (b"x", 1) for image in images)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
))  # fmt: skip
def test_whatever_is_sent_is_a_part_or_a_value_error(part: Any) -> None:
    """And nothing else that could end the daemon."""
    with contextlib.suppress(ValueError):
        Found().take(part)
    with contextlib.suppress(ValueError):
        Found().take(((part,), True, ""))


@pytest.mark.parametrize(
    ("place", "value"),
    [((0, 0, 0), -1), ((0, 0, 1), 1 << 63), ((0, 1), (1,)), ((0, 2, 0), "x"),
     ((0, 2, 1), b"/" * 4097), ((0, 2, 2), b"x" * 16385), ((0, 2, 3), True), ((0, 2, 4), b"x"),
     ((0, 2, 5), 1),
     ((0, 3), 1), ((0, 9), b"/"), ((0, 9), "/" * 5000), ((1,), 1 << 32),
     ((3,), 1 << 64), ((4,), None)],
)  # fmt: skip
def test_each_value_of_a_process_is_checked(place: tuple[int, ...], value: Any) -> None:
    """A value of another kind, or out of its range, is none of a process."""
    whole = _listed(plain_observed(_observed(5)))
    checked_observed(whole)
    inner = whole
    for index in place[:-1]:
        inner = inner[index]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match=r"none|not a process"):
        checked_observed(whole)


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, list | tuple) else value


HIDDEN = """
mount -t proc -o hidepid=$1 proc /proc && exec setpriv --reuid "$3" --regid "$3" --clear-groups \\
"$2" -P -c '
from agentd.host import procfs
look = procfs.Look()
print(len(list(look)), look.complete, repr(look.failure))'
"""


@pytest.mark.parametrize("hidepid", [0, 1, 2])
def test_where_processes_are_hidden(hidepid: int) -> None:
    """With hidepid (proc(5)) a user sees its own processes only, and knows that this is not all."""
    need_root()
    with readable_agentd() as agentd:
        command = ["unshare", "-m", "sh", "-c", HIDDEN, "sh"]
        command += [str(hidepid), agentd.command[0], str(unused_uid())]
        done = subprocess.run(
            command, env=agentd.environment, capture_output=True, text=True, timeout=60, check=True
        )
    count, complete, failure = done.stdout.split(maxsplit=2)
    assert (complete, failure.strip()) == (str(hidepid == 0), "''")
    assert (int(count) == 1) == (hidepid != 0)
