"""The whole examination, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentd.config import load_config
from agentd.doctor import host_checks, kernel_checks
from agentd.doctor.finding import BAD, GOOD, Finding
from agentd.errors import AgentdError
from agentd.kernel.program import Settings
from agentd.settings import Config

INSTALLED = Path("/etc/agentd/agentd.toml")
"""What the unit runs with."""


def examine(path: Path | None, settings_of: Callable[[Config], Settings]) -> list[Finding]:
    """All findings. The programs are loaded as a configuration asks.

    ``path``: its file; or else the service's, if there is one.
    """
    if path is None and INSTALLED.exists():
        path = INSTALLED
    configuration = host_checks.configuration(path)
    config = load_config(path) if configuration.level == GOOD else Config()
    return [
        kernel_checks.kernel(),
        host_checks.world(),
        host_checks.privilege(),
        host_checks.bcc(),
        kernel_checks.btf(),
        kernel_checks.fields(),
        kernel_checks.functions(),
        kernel_checks.lockdown(),
        kernel_checks.ring_buffer(),
        kernel_checks.perf_events(),
        kernel_checks.locked_memory(),
        _programs(config, settings_of),
        host_checks.systemd(),
        host_checks.journald(),
        configuration,
    ]


def _programs(config: Config, settings_of: Callable[[Config], Settings]) -> Finding:
    try:
        settings = settings_of(config)
    except AgentdError as error:
        return Finding("programs", BAD, error.message, error.hint)
    return kernel_checks.programs(settings)
