"""What the kernel shows of others, and what helpers, the loader and former processes hand over."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from agentd.core.cgroup_identity import identify
from agentd.core.loss.tracker import Progress as Position
from agentd.core.tree.ancestry import ancestors, children
from agentd.core.tree.tree import Tree
from agentd.daemon.restart import fdstore
from agentd.daemon.restart.recovery import open_ledger
from agentd.daemon.restart.saved_state import Moment, Past, PastError, read_past
from agentd.errors import ConfigError
from agentd.helpers import frames
from agentd.helpers.cgroup_paths import CgroupPaths
from agentd.helpers.client import HelperError, Helpers
from agentd.helpers.jobs import cgroup_paths
from agentd.helpers.links import Link
from agentd.helpers.proc_scan import Found, Scanner
from agentd.helpers.user_names import HostNames
from agentd.helpers.worker import Answers, Progress
from agentd.host.cgroups import cgroup2_mount
from agentd.host.proc_codec import plain_observed
from agentd.host.procfs import Look
from agentd.kernel import loader_protocol
from agentd.kernel.compile import Settings
from agentd.kernel.loader_protocol import Failure, Handover
from agentd.runtime import checksummed
from agentd.systemd.rate_limit import own_unit
from tests.fuzz.target import Target
from tests.records import TICK_NS, tree_limits

BETWEEN = b"\n%%%%\n"
"""Between the parts of an input: files, packets, messages."""
_FILES = ("stat", "status", "cgroup", "cmdline", "exe")
_CPUS, _CAUSES = 2, 6
_NONE = (0,) * _CPUS
_MOMENT = Moment(1024, 9)
_SETTINGS = Settings(
    cpus=2, page_bytes=4096, cgroup=None, transport="auto", ring_bytes=4096, perf_bytes_per_cpu=4096
)  # fmt: skip

_MSGPACK = (
    b"\x92", b"\x93", b"\x95", b"\x9a", b"\x80", b"\x81", b"\xa4part", b"\xa4done", b"\xa6failed",
    b"\xa4user", b"\xa5group", b"\xc0", b"\xc2", b"\xc3", b"\xc4\x01x", b"\xc4\x00", b"\xa0",
    b"\xa1x", b"\xa1\xff", b"\xa1\n", b"\xcf" + b"\xff" * 8, b"\xd3" + b"\x80" + bytes(7),
    b"\xcb" + b"\x7f\xf8", b"\xff", b"\x00", b"\x7f", b"\xdd\xff\xff\xff\xff",
    b"\xdb\x7f\xff\xff\xff", b"\xc7\x0c\xff",
    b"\x91" * 600,
)  # fmt: skip
_JSON = (
    b"{", b"}", b"[", b"]", b",", b":", b'"failure"', b'"kind"', b'"load"', b'"message"', b'"fds"',
    b'"transport"', b'"ringbuf"', b'"from_btf"', b"null", b"true", b"1", b"9", b"1e999", b"NaN",
    b'"\\ud800"', b"\xff", b"[" * 5000,
)  # fmt: skip
_PROC = (
    b"77 (", b") ", b"S ", b"Z ", b"X ", b"0 ", b"1 ", b"78 ", b"-1 ", b"9" * 25, b"9" * 5000, b"_",
    b"Uid:\t", b"Gid:\t", b"\n", b"0::/", b"1:name=systemd:/", b"\0", b"\xff", b"\xd9\xa3", b"/a",
    b"a" * 5000, b" (deleted)", b"\t",
)  # fmt: skip


def _parts(data: bytes) -> list[bytes]:
    return data.split(BETWEEN)


def read_proc(data: bytes) -> None:
    """Whatever the files of a process say, a look at /proc ends, and the daemon takes it."""
    parts = dict(zip(_FILES, _parts(data), strict=False))
    target = b"/bin/" + parts.pop("exe", b"x")[:200].replace(b"\0", b"")
    with tempfile.TemporaryDirectory() as proc:
        for tgid in ("1", "77", "77/task/78"):
            folder = Path(proc, tgid)
            folder.mkdir(parents=True)
            for name, content in parts.items():
                (folder / name).write_bytes(content)
            os.symlink(target, folder / "exe")
        found = Found()
        for observed in Look(proc, "/a"):
            packet = frames.pack([frames.PART, [[plain_observed(observed)], True, ""]])
            found.take(frames.read_answer(packet)[1])
    _live([one.process for one in found.processes()])


def read_mountinfo(data: bytes) -> None:
    """Whatever a mountinfo says, there is a mount in it, or a ConfigError. Likewise a cgroup."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        try:
            assert isinstance(cgroup2_mount(file.name), Path)
        except ConfigError as error:
            str(error).encode()
        own_unit(data).encode()


class _Said(Link):
    """A coordinator whose workers send these packets."""

    def __init__(self, packets: list[bytes]) -> None:
        super().__init__()
        self._packets = packets

    def send(self, request: bytes, fd: int) -> None:
        """Answer at once."""
        with socket.socket(fileno=os.dup(fd)) as sock:
            sock.setblocking(False)
            for packet in self._packets[:50]:
                sock.send(packet[: frames.FRAME_BYTES_MAX + 1])

    def _open(self) -> socket.socket:
        raise OSError("not used")


class _Log:
    def warning(self, event: str, **values: Any) -> None:
        """Failures are counted."""


def hear_helpers(data: bytes) -> None:
    """Whatever helpers send is an answer or a HelperError; a daemon can live with an answer."""
    asyncio.run(_hear(_parts(data)))


async def _hear(packets: list[bytes]) -> None:
    helpers = Helpers((), "", _Log())
    helpers.child = _Said(packets)  # type: ignore[assignment]
    scanned = await Scanner("", helpers).scan()
    _live([one.process for one in scanned.processes])
    scanned.failure.encode()
    names = HostNames(helpers)
    await names.load()
    for known in (names.users, names.groups):
        for name in known._names.values():
            name.encode()
    paths = CgroupPaths(helpers)
    await paths.load()
    for path in list(paths._paths._paths.values()):
        _named(path)
    for job in ("journal", "canary"):
        try:
            await helpers.ask(job, [], 5.0, lambda part: None)
        except HelperError as error:
            str(error).encode()


def _live(found: list[Any]) -> None:
    """A tree of these processes can be asked about each of them."""
    tree = Tree(tree_limits(), TICK_NS)
    tree.seed(found, 1 << 40)
    for process in list(tree.living.values()):
        assert len(ancestors(tree, process)) <= len(found)
        list(children(tree, process))


class _Kept(Answers):
    """Answers that go nowhere but here."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def part(self, value: Any) -> None:
        """As the daemon would have it."""
        self.parts.append(frames.read_answer(frames.pack([frames.PART, value]))[1])

    def done(self, value: Any = None) -> None:
        """The end."""


def name_cgroup(data: bytes) -> None:
    """Whatever a cgroup is called, the walk finds it, and its path is text that says whose."""
    name = data.replace(b"/", b"").replace(b"\0", b"")[:255]
    if name in (b"", b".", b".."):
        name = b"x"
    with tempfile.TemporaryDirectory() as mount:
        os.mkdir(os.fsencode(mount) + b"/" + name)
        answers = _Kept()
        cgroup_paths.run(answers, [mount, []], Progress())
    paths = CgroupPaths()
    for part in answers.parts:
        paths._take(part)
    found = list(paths._paths._paths.values())
    assert len(found) == 2
    for path in found:
        _named(path)


def _named(path: str) -> None:
    path.encode()
    whose = identify(path)
    for value in (whose.unit, whose.slice, whose.container_id, whose.runtime, whose.pod_uid):
        value.encode()


def hear_loader(data: bytes) -> None:
    """Whatever a loader says is a handover, a failure of a known kind, or nothing."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open(os.devnull, os.O_RDONLY)
    ours.settimeout(30)
    with ours:
        with theirs:
            for message in _parts(data)[:20]:
                socket.send_fds(
                    theirs, [message[: loader_protocol.MESSAGE_BYTES_MAX] or b" "], [null] * 9
                )
        os.close(null)
        answer = loader_protocol.receive(ours)
    if isinstance(answer, Handover):
        fds = (answer.events_fd, answer.counters_fd, answer.cgroups_fd, *answer.link_fds)
        for fd in (*fds, *answer.program_fds, *answer.perf_fds):
            os.close(fd)
    else:
        assert answer is None or (
            isinstance(answer, Failure) and answer.kind in loader_protocol.KINDS
        )


def _memory(data: bytes) -> int:
    fd = os.memfd_create("fuzz")
    os.write(fd, data)
    return fd


def read_ledger(data: bytes) -> None:
    """Whatever stands in a ledger is a position, nothing yet, or damage; then it is new."""
    ledger, progress, damaged = open_ledger(_memory(data), _CPUS, _CAUSES)
    assert not (damaged and progress)
    if damaged:
        assert ledger.read() is None
    else:
        ledger.write(progress or Position(_NONE, (_NONE,) * _CAUSES, 0, 0))
    ledger.close()


def read_what_is_left(data: bytes) -> None:
    """Whatever stands in the memory of a planned end is that of this moment, or a PastError.

    Once as it is, and once with the checksum that it should have.
    """
    for fd in (_memory(data), checksummed.write("fuzz", [data])):
        try:
            past = read_past(fd, _MOMENT)
        except PastError as error:
            str(error).encode()
        else:
            assert isinstance(past, Past)
            assert past.moment == _MOMENT


def take_kept(data: bytes) -> None:
    """Whatever is said about programs that are none, they are refused, for a reason, and closed."""
    names = ("events", "counters", "cgroups", "progress", *(f"link-{i}" for i in range(4)))
    before = os.listdir("/proc/self/fd")
    for about in (_memory(data), checksummed.write("fuzz", [data])):
        fds = {f"{name}@7": _memory(b"x") for name in names} | {"about@7": about}
        reasons, gone = list[str](), list[str]()
        assert fdstore.take(fds, _SETTINGS, gone.extend, reasons.append) is None
        assert sorted(gone) == sorted(fds)
        assert len(reasons) == 1
    assert os.listdir("/proc/self/fd") == before


TARGETS = {
    "about": Target(
        take_kept, (b'{"', b'"settings": ', b'"wire": ', b"null", b"[", b"{", b"9" * 20)
    ),
    "cgroup": Target(
        name_cgroup, (b"docker-", b".scope", b".slice", b"\xff", b"\n", b"kubepods", b"0" * 64)
    ),
    "helper": Target(hear_helpers, (BETWEEN, *_MSGPACK)),
    "ledger": Target(read_ledger, (bytes(8), b"\xff" * 8, b"\x01" + bytes(7))),
    "loader": Target(hear_loader, (BETWEEN, *_JSON)),
    "mountinfo": Target(
        read_mountinfo, (b" - cgroup2 ", b" ", b"\n", b"/sys", b"\\040", b"\\777", b"\0", b"\xff")
    ),
    "past": Target(read_what_is_left, _MSGPACK),
    "proc": Target(read_proc, (BETWEEN, *_PROC)),
}
