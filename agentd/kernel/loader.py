"""The loader: a short-lived, privileged process that compiles, attaches, hands over and exits.

Run as ``python -m agentd.kernel.loader FD`` with one end of a socketpair as FD. It alone imports
bcc, and so LLVM, which would otherwise stay in the daemon for good. The compiler's and the
verifier's own words go to stderr, which the daemon reads.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import socket
import sys
from dataclasses import replace
from typing import Any

from agentd.errors import AgentdError
from agentd.host import system
from agentd.host.capabilities import ALL_CAPABILITIES, CAP_SYSLOG, keep_only
from agentd.kernel import loader_protocol
from agentd.kernel.btf import kernel_btf, libbpf
from agentd.kernel.compile import AUTO, PERFBUF, RINGBUF, Settings, Source, variants
from agentd.kernel.loader_protocol import Failure, Handover
from agentd.kernel.perf_event import open_event
from agentd.kernel.syscalls import ringbuf_map
from agentd.paths import bpf_dir
from agentd.requirements.causes import known_cause
from agentd.requirements.packages import BCC, load

_KEPT_MAPPED: list[mmap.mmap] = []
"""Perf buffers, which exist only while somebody has them mapped."""


class _PerfError(Exception):
    """The kernel gives us no perf buffer."""


def main() -> int:
    """Answer one request on the socket named by the first argument."""
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        _prepare()
        orders = sock.recv(loader_protocol.MESSAGE_BYTES_MAX)
        if not orders:  # nothing is to be loaded, after all
            os._exit(0)
        answer = _answer(orders)
        if isinstance(answer, Failure):
            loader_protocol.send_failure(sock, answer)
        else:
            loader_protocol.send_handover(sock, answer)
            sock.recv(1)  # perf buffers live here until the daemon has mapped them, or has died
    sys.stderr.flush()
    # bcc would detach what it attached at exit; the links now belong to the daemon
    os._exit(0)


def _prepare() -> None:
    """What takes long and needs no orders. Errors are reported when the orders are there."""
    os.chdir("/")  # clang compiles nothing in a working directory that was deleted
    # where BCC may see the kernel's symbols it sorts them all, and we need none
    keep_only(ALL_CAPABILITIES - {CAP_SYSLOG})
    with contextlib.suppress(AgentdError):
        kernel_btf()
    with contextlib.suppress(AgentdError):
        load(BCC)


def _answer(orders: bytes) -> Handover | Failure:
    try:
        return _load(loader_protocol.decode_settings(orders))
    except Exception as error:
        cause = known_cause(error)
        if cause is None:
            raise
        return Failure(loader_protocol.FAILED_REQUIREMENT, cause.message, cause.hint)


def _load(settings: Settings) -> Handover | Failure:
    """Raises AgentdError if something is missing on this host."""
    try:
        bcc = load(BCC)
    except AgentdError:
        libbpf()  # libbcc needs it: if that cannot be used, it is the cause
        raise
    kind, reason = _choose(settings.transport)
    settings = replace(settings, transport=kind)
    sources = variants(bpf_dir(), settings)
    first_failure: Failure | None = None  # of the best variant: it says most
    for source in sources:
        answer = _load_source(bcc, source, settings, reason)
        if isinstance(answer, Handover):
            return answer
        first_failure = first_failure or answer
        if answer.kind == loader_protocol.FAILED_PERMISSION:
            break
    assert first_failure is not None
    return first_failure


def _choose(kind: str) -> tuple[str, str]:
    """The transport, and why: ``auto`` is a ring buffer if one can be made here."""
    if kind != AUTO:
        return kind, "as configured"
    try:
        os.close(ringbuf_map(system.PAGE_BYTES))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return PERFBUF, "this kernel has no BPF ring buffer"
        return RINGBUF, f"a BPF ring buffer could not be tried: {error.strerror}"
    return RINGBUF, "this kernel has the BPF ring buffer"


def _load_source(bcc: Any, source: Source, settings: Settings, reason: str) -> Handover | Failure:
    if source.kernel_source is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(source.kernel_source)
    try:
        program = bcc.BPF(text=source.text, cflags=list(source.cflags))
        _number_from(program, settings)
        # before the programs are attached, or their first records would find no buffer
        perf_fds = _open_perf(program, settings) if settings.transport == PERFBUF else ()
        # exits first: whose fork is told, of that no exec and no exit may be missing
        for tracepoint, function in reversed(loader_protocol.LINKS.items()):
            program.attach_raw_tracepoint(tracepoint, function)
    except _PerfError as error:
        return Failure(loader_protocol.FAILED_PERF, str(error))
    except Exception as error:  # bcc raises nothing more specific
        return _explain(str(error))
    return Handover(
        program["events"].map_fd,
        program["counters"].map_fd,
        program["cgroups"].map_fd,
        tuple(_link_fds(program)),
        tuple(program.funcs[name.encode()].fd for name in loader_protocol.TRACEPOINTS.values()),
        perf_fds,
        transport=settings.transport,
        transport_reason=reason,
        bcc_version=bcc.__version__,
        from_btf=source.kernel_source is not None,
    )


def _number_from(program: Any, settings: Settings) -> None:
    """Begin where no other programs have been."""
    counters = program["counters"]
    for cpu in range(settings.cpus):
        values = counters[ctypes.c_int(cpu)]
        values.seq = settings.first_seq
        counters[ctypes.c_int(cpu)] = values


def _open_perf(program: Any, settings: Settings) -> tuple[int, ...]:
    """The events of the CPUs that are online, put where the programs find them."""
    fds = []
    for cpu in system.online_cpus():
        try:
            fd, mapping = open_event(cpu, settings.perf_bytes_per_cpu)
        except OSError as error:
            raise _PerfError(f"no perf buffer for CPU {cpu}: {error.strerror}") from None
        _KEPT_MAPPED.append(mapping)
        program["events"][ctypes.c_int(cpu)] = ctypes.c_int(fd)
        fds.append(fd)
    return tuple(fds)


def _link_fds(program: Any) -> list[int]:
    # a name or bytes, depending on the version of bcc
    links = {
        str(name, "ascii") if isinstance(name, bytes) else name: fd
        for name, fd in program.raw_tracepoint_fds.items()
    }
    return [links[name] for name in loader_protocol.LINKS]


def _explain(message: str) -> Failure:
    if "Need super-user" in message or "Operation not permitted" in message:
        return Failure(loader_protocol.FAILED_PERMISSION, message)
    if "compile" in message:
        return Failure(loader_protocol.FAILED_COMPILE, message)
    return Failure(loader_protocol.FAILED_LOAD, message)


if __name__ == "__main__":
    sys.exit(main())
