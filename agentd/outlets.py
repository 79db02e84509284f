"""What the daemon writes to, made as the configuration asks: the sink, and a recording."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from agentd import host
from agentd.capture import read_wire, wire_text
from agentd.cgroups import CgroupPaths
from agentd.core.event import kind_names
from agentd.core.journal import Journal
from agentd.kernel.attach import Attached
from agentd.kernel.transport import room_stage
from agentd.names import HostNames
from agentd.settings import Config
from agentd.sinks.ecs import EcsRenderer
from agentd.sinks.renderer import Names
from agentd.sinks.stdout import Stdout
from agentd.sinks.text import HEADING, TextRenderer

if TYPE_CHECKING:
    from agentd.recording import Recorder


def make_sink(config: Config, journal: Journal, names: HostNames) -> Stdout | None:
    """The sink that the configuration asks for. Raises ConfigError if there is no stdout."""
    wire = read_wire()
    if config.output.format == "json":
        known = Names(CgroupPaths(journal).path, names.users.name, names.groups.name)
        return Stdout(EcsRenderer(wire, host.boot_id(), host.PAGE_BYTES, known))
    if config.output.format == "text":
        return Stdout(TextRenderer(kind_names(wire), colour=sys.stdout.isatty()), heading=HEADING)
    return None


def make_recorder(config: Config, attached: Attached, path: Path) -> Recorder:
    """A recording of this run. Raises ConfigError if the file cannot be had."""
    from agentd.recording import Head, Recorder, wire_sha256  # noqa: PLC0415 (memory)

    head = Head(
        wire_sha256=wire_sha256(wire_text()),
        cpus=attached.settings.cpus,
        tick_ns=host.TICK_NS,
        page_bytes=host.PAGE_BYTES,
        boot_id=host.boot_id(),
        room_stage=room_stage(attached.handover),
        config=asdict(config),
    )
    return Recorder(path, head)
