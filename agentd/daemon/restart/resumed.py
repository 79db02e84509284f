"""Programs that another process had attached, in the place of a loader."""

from __future__ import annotations

import os

from agentd.core.wire.header import WireError, parse_wire
from agentd.kernel.compile import PERFBUF, RINGBUF
from agentd.kernel.counters import Counters
from agentd.kernel.loader_client import Attached
from agentd.kernel.loader_protocol import LINKS, TRACEPOINTS, Handover
from agentd.kernel.new_cgroups import MadeCgroups
from agentd.kernel.ringbuf import Ringbuf

_RINGBUF_MAP, _PERF_MAP = "27", "4"
"""BPF_MAP_TYPE_RINGBUF and BPF_MAP_TYPE_PERF_EVENT_ARRAY, include/uapi/linux/bpf.h"""
_RAW_TRACEPOINT = "17"
"""BPF_PROG_TYPE_RAW_TRACEPOINT"""
_PERF_EVENT = "anon_inode:[perf_event]"
_MEMORY = "/memfd:"


class ForeignError(Exception):
    """A descriptor is not what it was kept as."""


class KeptPrograms:
    """They run already. ``progress_fd``: of the ledger of how far their stream was handed on."""

    def __init__(self, attached: Attached, progress_fd: int) -> None:
        self.progress_fd = progress_fd
        self.first_seq = attached.settings.first_seq
        self._attached = attached

    async def attached(self) -> Attached:
        """At once."""
        return self._attached

    def dismiss(self) -> None:
        """Nobody is there to be dismissed."""

    def close(self) -> None:
        """Nobody is there to be ended."""


def check_kept(attached: Attached, progress_fd: int, wire_text: str) -> None:
    """Find out whether all descriptors are what a daemon will take them for.

    A service manager gives back what it was given under a name, whoever gave it. What is mapped or
    cleared later must be what we think it is. Raises ForeignError. ``wire_text``: the contract of
    the records and counters.
    """
    handover = attached.handover
    _check_programs(handover)
    _need(_target(progress_fd).startswith(_MEMORY), "progress is no memory")
    _check_events(handover, attached.settings.ring_bytes)
    try:
        wire = parse_wire(wire_text)
        layout, kinds = wire.layout("agentd_counters"), wire.constant("AGENTD_KINDS")
        cgroup, cgroups = wire.layout("agentd_cgroup"), wire.constant("AGENTD_CGROUPS")
    except WireError as error:
        raise ForeignError(str(error)) from None
    cpus = attached.settings.cpus
    _check_array(handover.counters_fd, "counters", layout.size, cpus)
    _check_array(handover.cgroups_fd, "cgroups", cgroup.size, cgroups)
    try:
        counters = Counters(os.dup(handover.counters_fd), layout, cpus, kinds)
        counters.read()
        counters.close()
        MadeCgroups(os.dup(handover.cgroups_fd), wire).close()
    except (OSError, ValueError, KeyError) as error:
        raise ForeignError(f"counters or cgroups cannot be read: {error}") from None


def _check_programs(handover: Handover) -> None:
    for fd, tracepoint in zip(handover.link_fds, LINKS, strict=True):
        about = _about(fd)
        _need("link_type" in about, f"the link of {tracepoint} is no link")
        # named since Linux 5.9
        is_its_own = about.get("tp_name", tracepoint) == tracepoint
        _need(is_its_own, f"the link of {tracepoint} is of another tracepoint")
    _need(len(handover.program_fds) == len(TRACEPOINTS), "not all programs are there")
    for fd in handover.program_fds:
        _need(_about(fd).get("prog_type") == _RAW_TRACEPOINT, "a program is none of a tracepoint")


def _check_events(handover: Handover, ring_bytes: int) -> None:
    about = _about(handover.events_fd)
    if handover.transport == PERFBUF:
        _need(about.get("map_type") == _PERF_MAP, "events is no map of perf events")
        _need(all(_target(fd) == _PERF_EVENT for fd in handover.perf_fds), "perf is no perf event")
        return
    _need(handover.transport == RINGBUF, "the transport is none that is known")
    is_ring = about.get("map_type") == _RINGBUF_MAP and about.get("max_entries") == str(ring_bytes)
    _need(is_ring, f"events is no ring buffer of {ring_bytes} bytes")
    try:
        Ringbuf(os.dup(handover.events_fd), ring_bytes).close()
    except OSError as error:
        raise ForeignError(f"events cannot be mapped: {error}") from None


def _check_array(fd: int, name: str, value_bytes: int, entries: int) -> None:
    about = _about(fd)
    size = about.get("value_size"), about.get("max_entries")
    _need(size == (str(value_bytes), str(entries)), f"{name} is no map of that size")


def _about(fd: int) -> dict[str, str]:
    """What the kernel says of a descriptor (proc_pid_fdinfo(5))."""
    try:
        with open(f"/proc/self/fdinfo/{fd}") as file:
            pairs = (line.split(":", 1) for line in file if ":" in line)
            return {name: value.strip() for name, value in pairs}
    except OSError as error:
        raise ForeignError(str(error)) from None


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError as error:
        raise ForeignError(str(error)) from None


def _need(good: bool, problem: str) -> None:
    if not good:
        raise ForeignError(problem)
