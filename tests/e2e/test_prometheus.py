"""A real Prometheus and agentd: what config/prometheus and config/grafana ask for is there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cgroup import Cgroup, own_cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent, free_port, running, users_file
from tests.kernel.available import need_tracing
from tests.requirements import need_program
from tests.shown.pages import PAGES, all_blocks

CONFIG = Path(__file__).resolve().parents[2] / "config"
RULES = CONFIG / "prometheus/agentd.rules.yml"
DASHBOARD = CONFIG / "grafana/agentd.json"
GRAFANA_VARIABLES = {
    "$instance": ".*",
    "$__rate_interval": "5s",
    "$__range": "1m",
}
QUIET = {"agentd_program_seconds_total"}
"""What does not move without kernel.bpf_stats_enabled, so that a ratio of it has no value."""
PASSWORD = "open sesame"


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=ENOUGH_SECONDS) as answer:
            value = json.load(answer)
        assert value["status"] == "success", value
        return value["data"]

    def query(self, expression: str) -> list[Any]:
        """The samples that it selects."""
        result: list[Any] = self.get("query", query=expression)["result"]
        return result

    def wait_for(self, expression: str) -> list[Any]:
        """The samples, once there are some."""
        deadline = time.monotonic() + ENOUGH_SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if samples := self.query(expression):
                    return samples
            assert time.monotonic() < deadline, f"never anything for {expression}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def module_cgroup() -> Iterator[Cgroup]:
    """The cgroup that agentd watches."""
    need_tracing()
    with own_cgroup("e2e-prometheus") as cgroup:
        yield cgroup


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, module_cgroup: Cgroup) -> Iterator[Agent]:
    """An agentd that has seen something, and asks who comes."""
    folder = tmp_path_factory.mktemp("agent")
    web_config = folder / "web-config.yml"
    web_config.write_text(users_file(PASSWORD))
    options = ("--output", "json", "--set", f"metrics.web_config={web_config}")
    with running(folder, module_cgroup.path, *options, password=PASSWORD) as agent:
        yield agent


@pytest.fixture(scope="module")
def prometheus(
    agent: Agent, tmp_path_factory: pytest.TempPathFactory, module_cgroup: Cgroup
) -> Iterator[Prometheus]:
    """Scrapes it each second, as config/prometheus/prometheus.yml says otherwise."""
    program = need_program("prometheus")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = yaml.safe_load((CONFIG / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{agent.port}"]
    config["scrape_configs"][0]["basic_auth"] = {"username": "alice", "password": PASSWORD}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [
            program, f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    server = Prometheus(port)
    try:
        server.wait_for('up{job="agentd"} == 1')
        for _ in range(4):  # a rate needs more than one scrape with something between
            module_cgroup.run(["/bin/bash", "-c", "for i in {1..50}; do /bin/true; done"])
            time.sleep(1)
        server.wait_for('sum(rate(agentd_events_total{kind="exec"}[5s])) > 0')
        yield server
    finally:
        process.kill()
        process.wait()


def _expressions(value: Any) -> Iterator[str]:
    """Every query of a dashboard."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "expr":
                yield inner
            else:
                yield from _expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner)


def _filled(expression: str) -> str:
    for name, value in GRAFANA_VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_it_is_scraped(prometheus: Prometheus, agent: Agent) -> None:
    """Nothing is said against it, and what it holds is what agentd exports."""
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    names = set(prometheus.get("label/__name__/values"))
    exported = {name for name, _ in agent.metrics() if name.startswith("agentd_")}
    assert exported <= names


def test_the_answer_is_true(prometheus: Prometheus, agent: Agent) -> None:
    """Prometheus says as many events as agentd does once nothing moves."""
    (sample,) = prometheus.wait_for(f"sum(agentd_events_total) == {agent.events_total()}")
    assert int(sample["value"][1]) == agent.events_total()
    (execs,) = prometheus.query('agentd_executable_exec_total{executable="/usr/bin/true"}')
    assert int(execs["value"][1]) == 200


def test_exemplars_name_a_process(prometheus: Prometheus, agent: Agent) -> None:
    """The latency's buckets lead to a process that ``agentd explain`` knows."""
    ids = {line["process"]["entity_id"] for line in agent.lines() if "process" in line}
    now = time.time()
    (series, *_) = prometheus.get(
        "query_exemplars", query="agentd_event_latency_seconds_bucket",
        start=str(now - 60), end=str(now + 60),
    )  # fmt: skip
    found = {exemplar["labels"]["entity_id"] for exemplar in series["exemplars"]}
    assert found
    assert found <= ids


def test_rules_and_alerts(prometheus: Prometheus) -> None:
    """Each rule is evaluated without an error, recordings have values, and no alert fires."""
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
    for rule in rules:
        if rule["type"] == "recording":
            prometheus.wait_for(rule["name"])


def test_every_query_of_the_dashboard_has_an_answer(prometheus: Prometheus) -> None:
    """It parses; it names what is exported; and, but for what is quiet or lost, it has values."""
    dashboard = json.loads(DASHBOARD.read_text())
    known = set(prometheus.get("label/__name__/values"))
    expressions = [_filled(expression) for expression in _expressions(dashboard)]
    assert len(expressions) > 20
    for expression in expressions:
        used = set(re.findall(r"\b(?:agentd_\w+|process_\w+|up|instance:[\w:]+)\b", expression))
        assert used
        assert used <= known | {"process_start_time_seconds"}, expression
        samples = prometheus.query(expression)
        conditional = "> 0" in expression or used & QUIET
        assert samples or conditional, expression


def _of_pages() -> list[str]:
    """Queries of the pages: in blocks, and between words those that select or compute."""
    lines = [block.text.splitlines() for block in all_blocks() if block.kind == "promql"]
    inline = r"`((?:\w+\()?agentd_\w+\{\w+=[^`]*)`"
    return [*chain(*lines), *(q for page in PAGES for q in re.findall(inline, page.read_text()))]


@pytest.mark.parametrize("expression", _of_pages())
def test_queries_of_the_pages(prometheus: Prometheus, expression: str) -> None:
    """Each has an answer, unless it is of what is quiet."""
    quiet = [name for name in QUIET if name in expression]
    assert bool(prometheus.query(expression)) or quiet


@pytest.mark.parametrize(
    "panel", json.loads(DASHBOARD.read_text())["panels"], ids=lambda p: p["title"]
)
def test_panels_do_not_overlap(panel: Any) -> None:
    """Each has a place of its own on the grid of 24 columns."""
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    for other in json.loads(DASHBOARD.read_text())["panels"]:
        theirs = other["gridPos"]
        apart = (
            place["x"] >= theirs["x"] + theirs["w"] or theirs["x"] >= place["x"] + place["w"]
            or place["y"] >= theirs["y"] + theirs["h"] or theirs["y"] >= place["y"] + place["h"]
        )  # fmt: skip
        assert apart or other["id"] == panel["id"]


def test_every_alert_has_a_case() -> None:
    """``promtool test rules`` passes, and has one that fires for each alert."""
    promtool = need_program("promtool")
    cases = RULES.with_name("agentd.rules.test.yml")
    for check in (["check", "rules", RULES.name], ["test", "rules", cases.name]):
        done = subprocess.run(
            [promtool, *check], cwd=RULES.parent, capture_output=True, text=True, check=False,
            env=os.environ | {"TZ": "UTC"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    rules = yaml.safe_load(RULES.read_text())
    alerts = {
        rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule
    }
    fires = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    assert fires == alerts


def test_the_scrape_config_is_one() -> None:
    """``promtool check config`` finds no fault."""
    promtool = need_program("promtool")
    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"], cwd=RULES.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
