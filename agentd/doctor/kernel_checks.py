"""Looks at the kernel: what it offers to agentd, found out by trying, never by its version."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

from agentd.doctor.check import BAD, GOOD, NOTE, Finding
from agentd.errors import AgentdError
from agentd.host import system
from agentd.kernel import bpf_helpers
from agentd.kernel.btf import BtfError, kernel_btf, kernel_headers
from agentd.kernel.compile import OPTIONAL_MEMBERS, Settings, lacking
from agentd.kernel.loader_client import Loader
from agentd.kernel.loader_process import check_capabilities
from agentd.kernel.loader_protocol import Handover
from agentd.kernel.syscalls import ringbuf_map


def kernel() -> Finding:
    """Which it is."""
    this = os.uname()
    return Finding("kernel", GOOD, f"{this.sysname} {this.release} {this.machine}")


def btf() -> Finding:
    """Whether the offsets of its structs can be had."""
    try:
        kernel_btf()
    except BtfError as error:
        if kernel_headers().is_dir():
            return Finding("btf", NOTE, f"{error.message}; the kernel's headers serve instead")
        return Finding("btf", BAD, error.message, error.hint)
    return Finding("btf", GOOD, "offsets of the kernel's structs are known")


def fields() -> Finding:
    """Which fields of events this kernel does not offer."""
    try:
        types = kernel_btf()
    except BtfError as error:
        if not kernel_headers().is_dir():
            return Finding("fields", NOTE, f"could not be tried: {error.message}")
        absent = "; ".join(f"no {needing}" for needing in OPTIONAL_MEMBERS)
        return Finding("fields", NOTE, f"{absent}: the kernel's headers do not have what it takes")
    missing = {needing: lacking(types, group) for needing, group in OPTIONAL_MEMBERS.items()}
    absent = "; ".join(
        f"no {needing}, because the kernel has no {' and no '.join(members)}"
        for needing, members in missing.items()
        if members
    )
    if not absent:
        return Finding("fields", GOOD, "events have every field")
    return Finding("fields", NOTE, absent)


def functions(offers: Callable[[int], bool] = bpf_helpers.offers) -> Finding:
    """Whether the kernel has the helpers that the programs call."""
    try:
        check_capabilities()
        there = {name for name, number in bpf_helpers.EVERY.items() if offers(number)}
    except AgentdError as error:
        return Finding("helpers", NOTE, f"could not be tried: {error.message}")
    except OSError as error:
        return Finding("helpers", NOTE, f"could not be tried: {error.strerror}")
    missing = [name for name in bpf_helpers.EVERY if name not in there]
    if not missing:
        return Finding("helpers", GOOD, f"all there: {', '.join(bpf_helpers.EVERY)}")
    what = f"not there: {', '.join(missing)}"
    transports = {
        "the ring buffer": bpf_helpers.OF_THE_RING.keys() <= there,
        "perf buffers": bpf_helpers.OF_PERF_BUFFERS.keys() <= there,
    }
    if not bpf_helpers.NEEDED.keys() <= there or not any(transports.values()):
        return Finding(
            "helpers", BAD, what, "Linux 5.5 or later, and raw tracepoints that may call them"
        )
    if not all(transports.values()):
        what += "".join(f"; {name} can be used" for name, can in transports.items() if can)
    if not bpf_helpers.OF_TYPED_READS.keys() <= there:
        what += "; the programs take longer in the kernel"
    return Finding("helpers", NOTE, what)


def ring_buffer() -> Finding:
    """Whether there is a BPF ring buffer."""
    try:
        os.close(ringbuf_map(system.PAGE_BYTES))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return Finding("ringbuf", NOTE, "not in this kernel: perf buffers are used")
        return Finding("ringbuf", NOTE, f"could not be tried: {error.strerror}")
    return Finding("ringbuf", GOOD, "the kernel has the BPF ring buffer")


def perf_events(path: Path = Path("/proc/sys/kernel/perf_event_paranoid")) -> Finding:
    """What perf buffers need, where they are used."""
    try:
        level = int(path.read_text())
    except (OSError, ValueError) as error:
        if not path.parent.is_dir():
            return Finding("perfbuf", NOTE, f"could not be tried: {error}")
        return Finding("perfbuf", NOTE, "no perf events in this kernel: only the ring buffer")
    return Finding("perfbuf", GOOD, f"perf events are there (kernel.perf_event_paranoid {level})")


def locked_memory(limit_bytes: int | None = None) -> Finding:
    """How much may be locked: older kernels count BPF maps, and all of them perf buffers."""
    if limit_bytes is None:
        limit_bytes = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit_bytes == resource.RLIM_INFINITY:
        return Finding("memlock", GOOD, "no limit")
    what = f"{limit_bytes >> 10} KiB may be locked; kernels before 5.11 count BPF maps"
    return Finding("memlock", NOTE, what, "LimitMEMLOCK=infinity, as the packaged unit has it")


def lockdown(path: Path = Path("/sys/kernel/security/lockdown")) -> Finding:
    """Whether the kernel is locked against tracing (kernel_lockdown(7))."""
    try:
        modes = path.read_text()
    except OSError:
        return Finding("lockdown", GOOD, "none")
    mode = re.search(r"\[(\w+)\]", modes)
    if mode and mode[1] == "confidentiality":
        way_out = "boot without lockdown=confidentiality; integrity is no hindrance"
        return Finding("lockdown", BAD, "confidentiality: BPF may not read the kernel", way_out)
    return Finding("lockdown", GOOD, mode[1] if mode else "none")


def programs(settings: Settings) -> Finding:
    """Whether the programs load and attach: they run for a moment, and nobody reads them."""
    try:
        loader = Loader(settings)
    except AgentdError as error:
        return Finding("programs", BAD, error.message, error.hint)
    try:
        attached = asyncio.run(loader.attached())
    except AgentdError as error:
        return Finding("programs", BAD, error.message, error.hint)
    finally:
        loader.close()
    handover = attached.handover
    _close(handover)
    what = f"BCC {handover.bcc_version} loads them, over {handover.transport}"
    return Finding("programs", GOOD, f"{what} ({handover.transport_reason})")


def _close(handover: Handover) -> None:
    maps = (handover.events_fd, handover.counters_fd, handover.cgroups_fd)
    for fd in (*maps, *handover.link_fds, *handover.perf_fds):
        os.close(fd)
