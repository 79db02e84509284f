"""The wire contract that is compiled into the programs, ``bpf/agentd.h``."""

from __future__ import annotations

from agentd.core.wire.header import Wire, parse_wire
from agentd.paths import bpf_dir


def wire_text() -> str:
    """The text of the wire contract."""
    return (bpf_dir() / "agentd.h").read_text()


def read_wire() -> Wire:
    """The contract that is compiled into the programs."""
    return parse_wire(wire_text())
