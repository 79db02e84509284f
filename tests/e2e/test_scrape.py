"""What a scrape of a running agentd answers, byte by byte."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from tests.cgroup import Cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent, running

CAPACITY = 2
NAMES = ("\x1b[2Jred.service", "b.service", "c.service", "d.service")
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def _scrape(agent: Agent, accept: str) -> tuple[str, bytes]:
    """Content type and body."""
    url = f"http://127.0.0.1:{agent.port}/metrics"
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=ENOUGH_SECONDS) as answer:
        return answer.headers["Content-Type"], answer.read()


def _work(agent: Agent, label: str) -> dict[str, float]:
    """Execs by the label."""
    name = "agentd_exec_total" if label == "unit" else f"agentd_{label}_exec_total"
    return {
        dict(labels)[label]: value
        for (series, labels), value in agent.metrics().items()
        if series == name
    }


def test_series_are_unique_bounded_and_printable(tmp_path: Path, cgroup: Cgroup) -> None:
    """More units and programs than may have series, one with an escape in its name."""
    bounds = ["--set", f"metrics.units={CAPACITY}", "--set", f"metrics.executables={CAPACITY}"]
    for name in NAMES:
        (cgroup.folder / name).mkdir()
    with running(tmp_path, cgroup.path, "--output", "json", *bounds) as agent:
        for name in NAMES:
            for program in ("true", "false", "id"):
                Cgroup(f"{cgroup.path}/{name}".lstrip("/")).run([f"/usr/bin/{program}"])
        agent.wait_for_events(2 * len(NAMES) * 3)
        _, body = _scrape(agent, "text/plain")
        assert not any(byte < 32 and byte != 10 for byte in body)
        families = text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
        series = Counter(
            (sample.name, frozenset(sample.labels.items()))
            for family in families
            for sample in family.samples
        )
        assert [name for name, count in series.items() if count > 1] == []
        for label in ("unit", "executable"):
            execs = _work(agent, label)
            assert sum(execs.values()) == len(NAMES) * 3
            assert len(execs) == CAPACITY + 1
            assert agent.metrics()["agentd_work_capacity", (("by", label),)] == CAPACITY
        assert "\\x1b[2Jred.service" in _work(agent, "unit")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (OPEN_METRICS, "application/openmetrics-text; version="),
        ("text/plain", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
    ],
)
def test_the_format_is_negotiated(
    tmp_path: Path, cgroup: Cgroup, accept: str, expected: str
) -> None:
    """OpenMetrics for who asks for it, Prometheus's text for all others."""
    with running(tmp_path, cgroup.path, "--output", "none") as agent:
        content_type, body = _scrape(agent, accept)
        assert content_type.startswith(expected)
        assert body.endswith(b"# EOF\n") == (accept == OPEN_METRICS)
        if accept == OPEN_METRICS:
            names = {family.name for family in open_families(body.decode())}  # type: ignore[no-untyped-call]
            assert "agentd_exec" in names


STATS = Path("/proc/sys/kernel/bpf_stats_enabled")


@pytest.fixture
def counting() -> Iterator[None]:
    """The kernel counts runs of BPF programs; as before in the end."""
    before = STATS.read_text()
    try:
        STATS.write_text("1")
    except OSError:
        pytest.skip("needs to write kernel.bpf_stats_enabled")
    try:
        yield
    finally:
        STATS.write_text(before)


@pytest.mark.usefixtures("counting")
def test_what_the_programs_cost_where_the_kernel_counts_it(tmp_path: Path, cgroup: Cgroup) -> None:
    """Runs and seconds of each program move, and a run takes between a ns and a ms."""
    with running(tmp_path, cgroup.path, "--output", "none") as agent:
        before = agent.metrics()
        cgroup.run(["/bin/sh", "-c", "/bin/true; /bin/true"])
        agent.wait_for_events(6)
        after = agent.metrics()
        for kind in ("fork", "exec", "exit"):
            labels = (("tracepoint", f"sched_process_{kind}"),)
            runs, seconds = (
                after[name, labels] - before[name, labels]
                for name in ("agentd_program_runs_total", "agentd_program_seconds_total")
            )
            assert runs >= 2
            assert 1e-9 < seconds / runs < 1e-3
