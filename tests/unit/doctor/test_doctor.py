"""agentd.doctor: what it makes of what it finds."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from agentd.doctor import host_checks, kernel_checks
from agentd.doctor.examine import examine
from agentd.doctor.finding import BAD, GOOD, NOTE, Finding
from agentd.doctor.report import as_json, as_text, can_run
from agentd.errors import ConfigError
from agentd.kernel.btf import Btf, BtfError
from agentd.kernel.program import OPTIONAL_MEMBERS, Settings
from agentd.settings import Config


def test_a_note_is_no_hindrance() -> None:
    """Only what is bad keeps agentd from running, and its way out is told."""
    notes = [Finding("a", GOOD, "fine"), Finding("b", NOTE, "less", "do more")]
    bad = [*notes, Finding("c", BAD, "broken", "mend it")]
    assert (can_run(notes), can_run(bad)) == (True, False)
    text = as_text(bad)
    assert "BAD  c          broken\n                → mend it\n" in text
    assert text.endswith("agentd cannot run here\n")
    assert as_text(notes).endswith("agentd can run here\n")
    assert json.loads(as_json(bad))["can_run"] is False


def test_fields_that_the_kernel_does_not_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named, with the member that is missing."""
    monkeypatch.setattr(Btf, "__init__", lambda self: None)
    monkeypatch.setattr(Btf, "has_member", lambda self, struct, path: path != "loginuid")
    found = kernel_checks.fields()
    assert found.level == NOTE
    assert found.what == (
        "no agentd.login_uid and agentd.audit_session,"
        " because the kernel has no task_struct.loginuid"
    )


def test_fields_that_headers_do_not_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without BTF every optional field is absent, and named."""

    def missing(self: Btf) -> None:
        raise BtfError("the kernel offers no BTF")

    monkeypatch.setattr(Btf, "__init__", missing)
    found = kernel_checks.fields()
    assert found.level == NOTE
    assert all(f"no {needing}" in found.what for needing in OPTIONAL_MEMBERS)


@pytest.mark.parametrize(("headers", "level"), [(True, NOTE), (False, BAD)])
def test_without_btf(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, headers: bool, level: str
) -> None:
    """The kernel's headers will do; without both it cannot run, and both ways out are named."""

    def missing(self: Btf) -> None:
        raise BtfError("the kernel offers no BTF")

    monkeypatch.setattr(Btf, "__init__", missing)
    folder = tmp_path if headers else tmp_path / "none"
    monkeypatch.setattr(kernel_checks, "kernel_headers", lambda: folder)
    found = kernel_checks.btf()
    assert found.level == level
    assert headers or ("CONFIG_DEBUG_INFO_BTF" in found.way_out and str(folder) in found.way_out)
    assert kernel_checks.fields().level == NOTE


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("[none] integrity confidentiality\n", GOOD),
        ("none [integrity] confidentiality\n", GOOD),
        ("none integrity [confidentiality]\n", BAD),
        (None, GOOD),
    ],
)
def test_lockdown(tmp_path: Path, text: str | None, level: str) -> None:
    """Only confidentiality keeps BPF from reading the kernel."""
    path = tmp_path / "lockdown"
    if text is not None:
        path.write_text(text)
    assert kernel_checks.lockdown(path).level == level


def test_perf_events(tmp_path: Path) -> None:
    """Without the file there are no perf events."""
    path = tmp_path / "paranoid"
    assert kernel_checks.perf_events(path).level == NOTE
    path.write_text("3\n")
    assert "perf_event_paranoid 3" in kernel_checks.perf_events(path).what


@pytest.mark.parametrize(
    ("output", "level", "words"),
    [
        ("systemd 252 (252.38-1)", GOOD, "252"),
        ("systemd 247 (247.3-7)", NOTE, "made for 252"),
        ("nonsense", NOTE, "not found"),
    ],
)
def test_systemd(tmp_path: Path, output: str, level: str, words: str) -> None:
    """Its version is read; without one another supervisor must do."""
    command = tmp_path / "systemctl"
    command.write_text(f"#!/bin/sh\necho '{output}'\n")
    command.chmod(0o755)
    found = host_checks.systemd(str(command))
    assert (found.level, words in found.what) == (level, True)
    assert host_checks.systemd(str(tmp_path / "none")).level == NOTE


def test_locked_memory() -> None:
    """A limit is named, with the line of a unit that lifts it."""
    assert kernel_checks.locked_memory(resource.RLIM_INFINITY).level == GOOD
    found = kernel_checks.locked_memory(8 << 20)
    assert (found.level, "8192 KiB" in found.what) == (NOTE, True)
    assert "LimitMEMLOCK" in found.way_out


def test_journald_limits(tmp_path: Path) -> None:
    """Drop-ins win over the main file, by their name and not by their folder."""
    assert "10000 lines in 30s" in host_checks.journald(tmp_path).what
    etc = tmp_path / "etc/systemd"
    (etc / "journald.conf.d").mkdir(parents=True)
    (etc / "journald.conf").write_text("[Journal]\n#RateLimitBurst=1\nRateLimitBurst=500\n")
    assert "500 lines in 30s" in host_checks.journald(tmp_path).what
    run = tmp_path / "run/systemd/journald.conf.d"
    run.mkdir(parents=True)
    (run / "90-more.conf").write_text("RateLimitIntervalSec=0\n")
    (etc / "journald.conf.d/10-less.conf").write_text("RateLimitIntervalSec=5min\n")
    assert host_checks.journald(tmp_path).level == GOOD


def test_what_the_configuration_asks_for_is_tried(tmp_path: Path) -> None:
    """A bad file, and a good one that cannot be met here, are findings."""

    def refuse(config: Config) -> Settings:
        raise ConfigError("no such cgroup", "make it")

    file = tmp_path / "agentd.toml"
    file.write_text("[nosuch]\n")
    found = {finding.subject: finding for finding in examine(file, refuse)}
    assert found["config"].level == BAD
    assert (found["programs"].what, found["programs"].way_out) == ("no such cgroup", "make it")
