"""The loader's failures reach the user as what they are, in the words of whoever refused."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from agentd.host.capabilities import CAP_SYSLOG
from agentd.kernel.loader_client import LoaderError
from agentd.kernel.loader_process import LoaderProcess
from tests.cgroup import Cgroup
from tests.kernel.altered import LoaderSwap, before
from tests.kernel.available import need_tracing
from tests.kernel.tracer import attached, events, shape

PROGRAMS = "bpf/agentd.bpf.c"
FORK_PROBE = "int on_fork("
FORK_BODY = "void *child = (void *)ctx->args[1];"


def _children() -> list[str]:
    return Path("/proc/thread-self/children").read_text().split()


def _failure(cgroup: Cgroup) -> LoaderError:
    with pytest.raises(LoaderError) as caught, attached(cgroup.path):
        pass
    return caught.value


def test_compiler_error(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """What does not compile is told by the compiler's first error, and the log has all of it."""
    swap_loader(PROGRAMS, before(FORK_PROBE, "static int x = no_such_name;\n"))
    error = _failure(cgroup)
    assert error.exit_code == os.EX_UNAVAILABLE
    assert "the compiler says: " in error.hint
    assert "use of undeclared identifier 'no_such_name'" in error.hint
    assert "\n" not in str(error)
    assert "static int x = no_such_name;" in error.log


def test_verifier_error(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """What the kernel refuses is told by the verifier's last word, and the log has its path."""
    access = "{ char *c = (char *)cpu_counters(); if (c) c[4096] = 1; }"
    swap_loader(PROGRAMS, lambda text: text.replace(FORK_BODY, FORK_BODY + access))
    error = _failure(cgroup)
    assert error.exit_code == os.EX_UNAVAILABLE
    assert "the kernel says: " in error.hint
    assert "outside of the allowed memory range" in error.hint
    assert "\n" not in str(error)
    assert "invalid access to map value" in error.log


def test_contract_that_python_reads_otherwise(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """A layout that the compiler sees otherwise than Python does not load."""
    swap_loader("agentd/core/wire/header.py", before('("I", 4)', '("Q", 8) if True else '))
    assert "agentd.h and its reader disagree" in _failure(cgroup).hint


def test_loader_that_dies_before_it_listens(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """A loader that is killed before it has read its orders is a LoaderError with its log."""
    swap_loader(
        "agentd/kernel/loader.py",
        before("import ctypes\n", "raise SystemExit('died of old age')\n"),
    )
    error = _failure(cgroup)
    assert "ended with status 1" in error.message
    assert "died of old age" in error.message
    assert "died of old age" in error.log


def test_loader_that_dies_at_work(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """A loader that crashes while it compiles is a LoaderError, not a hang."""
    crash = f"os.kill(os.getpid(), {signal.SIGKILL.value})\n    "
    swap_loader("agentd/kernel/loader.py", before("kind, reason = _choose", crash))
    error = _failure(cgroup)
    assert "was ended by SIGKILL" in error.message
    assert "memory" in error.hint


def test_next_variant_where_the_best_does_not_load(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """A kernel that refuses the best variant gets the next, in the same loader."""
    refusal = "#ifdef HAVE_ATOMIC_FETCH\n#error too new\n#endif\n"
    swap_loader(PROGRAMS, before(FORK_PROBE, refusal))
    with attached(cgroup.path) as tracer:
        cgroup.run(["/bin/true"])
        assert shape(events(tracer.collect())) == ["exec", "exit"]


def test_message_is_that_of_the_best_variant(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """When no variant loads, the reason given is the best variant's, not the last one's."""
    refusal = "#ifdef HAVE_ATOMIC_FETCH\n#error first\n#else\n#error second\n#endif\n"
    swap_loader(PROGRAMS, before(FORK_PROBE, refusal))
    error = _failure(cgroup)
    assert "first" in error.hint
    assert "second" in error.log


def test_nothing_of_bcc_in_this_process(cgroup: Cgroup) -> None:
    """Loading leaves neither BCC nor LLVM in the process that asked for it."""
    with attached(cgroup.path):
        maps = Path("/proc/self/maps").read_text()
    assert "bcc" not in sys.modules
    assert "libbcc" not in maps
    assert "LLVM" not in maps


def test_programs_detach_with_their_links(cgroup: Cgroup) -> None:
    """When the link fds are closed, the programs run no more."""
    with attached(cgroup.path) as tracer:
        cgroup.run(["/bin/true"])
        assert shape(events(tracer.collect())) == ["exec", "exit"]
        tracer.capture.detach()
        cgroup.run(["/bin/true"])
        assert tracer.collect() == []
        assert tracer.counters().attempts_total == 2


def test_loader_without_orders() -> None:
    """It gets BCC into its memory, sees no kernel symbols, and ends when there are no orders."""
    need_tracing()
    others = set(_children())
    process = LoaderProcess()
    try:
        (pid,) = set(_children()) - others
        while "libbcc" not in Path(f"/proc/{pid}/maps").read_text():
            time.sleep(0.01)
        status = Path(f"/proc/{pid}/status").read_text()
        (effective,) = re.findall(r"^CapEff:\s+(\w+)$", status, re.M)
        assert not int(effective, 16) >> CAP_SYSLOG & 1
        process.socket.close()
        process.wait()
    finally:
        process.close()
    assert not Path(f"/proc/{pid}").exists()
