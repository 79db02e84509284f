"""Whether the programs can run here, asked once and precisely."""

from __future__ import annotations

import importlib.util
import os

from agentd.errors import PermissionMissingError
from agentd.host.cgroups import cgroup2_mount
from agentd.kernel.loader_process import check_capabilities
from tests.requirements import do_without, need_bpf


def need_tracing() -> None:
    """Skip, with the reason, where nothing can be traced; fail if AGENTD_REQUIRE_BPF=1.

    Beyond root and BTF: a container's root often has neither the capabilities nor a cgroup
    hierarchy that it may write to.
    """
    need_bpf()
    reason = _what_is_missing()
    if reason:
        do_without(reason)


def _what_is_missing() -> str:
    try:
        check_capabilities()
    except PermissionMissingError:
        return "needs CAP_BPF and CAP_PERFMON"
    if not os.access(cgroup2_mount(), os.W_OK):
        return "needs a cgroup v2 hierarchy that it may write to"
    if importlib.util.find_spec("bcc") is None:
        return "needs BCC for Python (python3-bpfcc)"
    return ""
