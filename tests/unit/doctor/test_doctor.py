"""agentd.doctor: what it makes of what it finds."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import pytest

from agentd.config.schema import Config
from agentd.doctor import host_checks, kernel_checks, run
from agentd.doctor.check import BAD, GOOD, NOTE, Finding
from agentd.doctor.report import as_json, as_text, can_run
from agentd.doctor.run import examine
from agentd.errors import ConfigError
from agentd.kernel import bpf_helpers, btf
from agentd.kernel.btf import Btf, BtfError
from agentd.kernel.compile import OPTIONAL_MEMBERS, Settings

BPF = Path(__file__).resolve().parents[3] / "bpf"


def test_a_note_is_no_hindrance() -> None:
    """Only what is bad keeps agentd from running, and its way out is told."""
    notes = [Finding("a", GOOD, "fine"), Finding("b", NOTE, "less", "do more")]
    bad = [*notes, Finding("c", BAD, "broken", "mend it")]
    assert (can_run(notes), can_run(bad)) == (True, False)
    text = as_text(bad)
    assert "BAD  c          broken\n                → mend it\n" in text
    assert text.endswith("agentd cannot run here\n")
    assert as_text(notes).endswith("agentd can run here\n")
    assert max(map(len, as_text([Finding("d", GOOD, "word " * 100)]).splitlines())) <= 120
    assert json.loads(as_json(bad))["can_run"] is False


def test_the_form_of_the_core() -> None:
    """Source is no hindrance, and the finding names what compiles it."""
    found = host_checks.core()
    assert found.level == GOOD
    assert "compiled for this Python" in found.what or "make deb" in found.what


class WithoutLogins:
    """The types of a kernel that lacks one member."""

    def has_member(self, struct: str, path: str) -> bool:
        """All others are there."""
        return (struct, path) != ("task_struct", "loginuid")


def _no_btf() -> Btf:
    raise BtfError("the kernel offers no BTF")


def test_fields_that_the_kernel_does_not_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named, with the member that is missing."""
    monkeypatch.setattr(kernel_checks, "kernel_btf", WithoutLogins)
    found = kernel_checks.fields()
    assert found.level == NOTE
    assert found.what == (
        "no agentd.login_uid and agentd.audit_session,"
        " because the kernel has no task_struct.loginuid"
    )


def test_fields_that_headers_do_not_offer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With headers in place of BTF every optional field is absent, and named."""
    monkeypatch.setattr(kernel_checks, "kernel_headers", lambda: tmp_path)
    monkeypatch.setattr(kernel_checks, "kernel_btf", _no_btf)
    found = kernel_checks.fields()
    assert found.level == NOTE
    assert all(f"no {needing}" in found.what for needing in OPTIONAL_MEMBERS)


@pytest.mark.parametrize(("headers", "level"), [(True, NOTE), (False, BAD)])
def test_without_btf(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, headers: bool, level: str
) -> None:
    """The kernel's headers will do; without both it cannot run, and both ways out are named."""
    monkeypatch.setattr(kernel_checks, "kernel_btf", _no_btf)
    folder = tmp_path if headers else tmp_path / "none"
    for module in (btf, kernel_checks):
        monkeypatch.setattr(module, "kernel_headers", lambda: folder)
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
    found, *journald = host_checks.service_manager(str(command), booted=tmp_path)
    assert (found.level, words in found.what) == (level, True)
    assert bool(journald) == ("version" in found.what)
    assert host_checks.service_manager(str(tmp_path / "none"))[0].level == NOTE


def test_systemd_that_does_not_run(tmp_path: Path) -> None:
    """Where systemd is installed and another init runs, there is no advice on journald."""
    command = tmp_path / "systemctl"
    command.write_text("#!/bin/sh\necho 'systemd 252 (252.38-1)'\n")
    command.chmod(0o755)
    (found,) = host_checks.service_manager(str(command), booted=tmp_path / "none")
    assert (found.level, "does not run" in found.what) == (NOTE, True)


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


def test_a_drop_in_masks_its_namesakes(tmp_path: Path) -> None:
    """One in /etc holds instead of one below /usr, whatever it says; so does /dev/null."""
    usr, etc = (tmp_path / top / "systemd/journald.conf.d" for top in ("usr/lib", "etc"))
    usr.mkdir(parents=True)
    (usr / "50-limit.conf").write_text("RateLimitBurst=7\nRateLimitIntervalSec=1s\n")
    assert "7 lines in 1s" in host_checks.journald(tmp_path).what
    etc.mkdir(parents=True)
    (etc / "50-limit.conf").write_text("RateLimitBurst=8\n")
    assert "8 lines in 30s" in host_checks.journald(tmp_path).what
    (etc / "50-limit.conf").unlink()
    (etc / "50-limit.conf").symlink_to("/dev/null")
    assert "10000 lines in 30s" in host_checks.journald(tmp_path).what


def test_a_main_file_below_usr(tmp_path: Path) -> None:
    """It holds where there is none in /etc (systemd 255 and later)."""
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/journald.conf").write_text("RateLimitBurst=7\n")
    assert "7 lines" in host_checks.journald(tmp_path).what
    (tmp_path / "etc/systemd").mkdir(parents=True)
    (tmp_path / "etc/systemd/journald.conf").write_text("")
    assert "10000 lines" in host_checks.journald(tmp_path).what


def test_the_helpers_that_are_tried_are_those_that_are_called() -> None:
    """The lists have what stands in the source of the programs, and nothing else."""
    sources = [path for path in BPF.glob("*.[ch]") if path.name != "throughput.bpf.c"]
    text = "".join(path.read_text() for path in sources)
    called = set(re.findall(r"(?:\bbpf_(?=get_|ktime_)|BPF_FUNC_)(\w+)", text))
    called |= {f"ringbuf_{name}" for name in re.findall(r"\.ringbuf_(\w+)\(", text)}
    called |= {"map_lookup_elem"} if ".lookup(" in text else set()
    called |= {"perf_event_output"} if ".perf_submit(" in text else set()
    assert called == {*bpf_helpers.EVERY}


@pytest.mark.parametrize(
    ("missing", "level", "words"),
    [
        ((), GOOD, "ringbuf_reserve"),
        (("ringbuf_reserve", "ktime_get_boot_ns"), NOTE, "perf buffers can be used"),
        (("perf_event_output",), NOTE, "the ring buffer can be used"),
        (("ringbuf_submit", "perf_event_output"), BAD, "ringbuf_submit, perf_event_output"),
        (("get_current_task_btf",), NOTE, "get_current_task_btf; the programs take longer"),
        (("probe_read_kernel",), BAD, "not there: probe_read_kernel"),
    ],
)
def test_helpers(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], level: str, words: str
) -> None:
    """Without those of one transport the other must do; without both it cannot run."""
    monkeypatch.setattr(kernel_checks, "check_capabilities", lambda: None)
    numbers = {bpf_helpers.EVERY[name] for name in missing}
    found = kernel_checks.functions(lambda number: number not in numbers)
    assert (found.level, words in found.what) == (level, True)


def test_helpers_without_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is claimed of what could not be tried."""

    def refuse() -> None:
        raise ConfigError("no CAP_BPF")

    monkeypatch.setattr(kernel_checks, "check_capabilities", refuse)
    assert kernel_checks.functions().what == "could not be tried: no CAP_BPF"


def test_the_installed_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without --config the service's is examined, where there is one."""
    file = tmp_path / "agentd.toml"
    monkeypatch.setattr(run, "INSTALLED", file)

    def refuse(config: Config) -> Settings:
        raise ConfigError("not now")

    def said() -> str:
        return next(found.what for found in examine(None, refuse) if found.subject == "config")

    assert said() == "none given or installed, every key at its default"
    file.write_text("[tree]\nlive_capacity = 99\n")
    assert said() == f"{file}: good"


def test_what_the_configuration_asks_for_is_tried(tmp_path: Path) -> None:
    """A bad file, and a good one that cannot be met here, are findings."""

    def refuse(config: Config) -> Settings:
        raise ConfigError("no such cgroup", "make it")

    file = tmp_path / "agentd.toml"
    file.write_text("[nosuch]\n")
    found = {finding.subject: finding for finding in examine(file, refuse)}
    assert found["config"].level == BAD
    assert (found["programs"].what, found["programs"].way_out) == ("no such cgroup", "make it")
