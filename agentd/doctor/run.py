"""The whole examination, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentd.config.schema import Config
from agentd.config.tried_config import load_tried_config
from agentd.doctor import host_checks, kernel_checks
from agentd.doctor.check import BAD, GOOD, Finding
from agentd.kernel.compile import Settings
from agentd.requirements.causes import known_cause
from agentd.requirements.host import REQUIREMENTS

INSTALLED = Path("/etc/agentd/agentd.toml")
"""What the unit runs with."""


def examine(path: Path | None, settings_of: Callable[[Config], Settings]) -> list[Finding]:
    """All findings. The programs are loaded as a configuration asks.

    ``path``: its file; or else the service's, if there is one.
    """
    if path is None and INSTALLED.exists():
        path = INSTALLED
    configuration = _tried("config", lambda: host_checks.configuration(path))
    config = load_tried_config(path) if configuration.level == GOOD else Config()
    host = [host_checks.look_for(need.subject, need.check, need.fine) for need in REQUIREMENTS]
    obstacle = next((finding for finding in host if finding.level == BAD), None)
    return [
        _tried("kernel", kernel_checks.kernel),
        *host_checks.python(),
        host_checks.core(),
        *host,
        _tried("privilege", host_checks.privilege),
        _tried("libbpf", host_checks.libbpf, obstacle),
        _tried("bcc", host_checks.bcc, obstacle),
        _tried("btf", kernel_checks.btf),
        _tried("fields", kernel_checks.fields),
        _tried("helpers", kernel_checks.functions),
        _tried("lockdown", kernel_checks.lockdown),
        _tried("ringbuf", kernel_checks.ring_buffer),
        _tried("perfbuf", kernel_checks.perf_events),
        _tried("memlock", kernel_checks.locked_memory),
        _tried("programs", lambda: kernel_checks.programs(settings_of(config)), obstacle),
        *host_checks.service_manager(),
        configuration,
    ]


def _tried(subject: str, look: Callable[[], Finding], obstacle: Finding | None = None) -> Finding:
    """A look that fails is a finding, too: the others are still worth reading.

    ``obstacle``: what keeps this look from starting.
    """
    if obstacle is not None:
        return Finding(subject, BAD, f"could not be tried: {obstacle.what}")
    try:
        return look()
    except Exception as error:
        cause = known_cause(error)
        if cause is None:
            return Finding(subject, BAD, f"could not be tried: {type(error).__name__}: {error}")
        return Finding(subject, BAD, cause.message, cause.hint)
