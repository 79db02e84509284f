"""SIGHUP reads the configuration again."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cgroup import Cgroup
from tests.e2e.agent import Agent, running

SECRETS = '[redact]\npatterns = ["^hush-(?P<secret>.*)"]\n'


def _reload(agent: Agent, times: int, word: str = '"reloaded"') -> None:
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_until(lambda: agent.log().count(word) == times)


def _arguments(agent: Agent) -> list[str]:
    lines = [line for line in agent.lines() if line["event"]["action"] == "exec"]
    return [line["process"]["args"][1] for line in lines if len(line["process"]["args"]) > 1]


def test_what_can_change_does(cgroup: Cgroup, tmp_path: Path) -> None:
    """New patterns hold from then on; what needs a restart is named, and stays as it was."""
    file = tmp_path / "agentd.toml"
    file.write_text("")
    with running(tmp_path, cgroup.path, "--output", "json", "--config", str(file)) as agent:
        cgroup.run(["/bin/true", "hush-1"])
        agent.wait_for_events(2)
        file.write_text(SECRETS + "[tree]\nexited_capacity = 7\n")
        _reload(agent, 1)
        cgroup.run(["/bin/true", "hush-2"])
        agent.wait_for_events(4)
        assert '"keys": ["tree.exited_capacity"]' in agent.log()
        assert '"changed": ["redact.patterns"]' in agent.log()
        capacity = agent.metrics()["agentd_tree_capacity", (("state", "exited"),)]
        assert capacity == 4096
        agent.stop()
        assert _arguments(agent) == ["hush-1", "hush-[redacted]"]


def test_a_bad_file_changes_nothing(cgroup: Cgroup, tmp_path: Path) -> None:
    """It is told, and agentd goes on as before."""
    file = tmp_path / "agentd.toml"
    file.write_text(SECRETS)
    with running(tmp_path, cgroup.path, "--output", "json", "--config", str(file)) as agent:
        file.write_text("[redact]\npatterns = [7]\n")
        _reload(agent, 1, '"not reloaded"')
        assert f"{file}: redact.patterns" in agent.log()
        cgroup.run(["/bin/true", "hush-1"])
        agent.wait_for_events(2)
        agent.stop()
        assert _arguments(agent) == ["hush-[redacted]"]


def test_what_the_command_line_set_stays(cgroup: Cgroup, tmp_path: Path) -> None:
    """--set goes over the file, also when that is read again."""
    file = tmp_path / "agentd.toml"
    file.write_text("")
    options = ["--config", str(file), "--set", "reorder.slack_us=5"]
    with running(tmp_path, cgroup.path, *options) as agent:
        file.write_text("[reorder]\nslack_us = 900\ncapacity = 9\n")
        _reload(agent, 1)
        assert '"changed": ["reorder.capacity"]' in agent.log()
        assert agent.metrics()["agentd_reorder_capacity", ()] == 9
