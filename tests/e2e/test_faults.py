"""What goes wrong around agentd: it says so, and the account and the tree come out right."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running

# many short processes, and in the end one that stays, running what it was not made with
SLEEPER = "(exec sleep 1000) >/dev/null 2>&1 &"
STORM = f"for i in $(seq 300); do /bin/true $i; done; {SLEEPER}"


@pytest.mark.parametrize("transport", ["ringbuf", "perfbuf"])
def test_suspended_under_load(cgroup: Cgroup, tmp_path: Path, transport: str) -> None:
    """Stopped while a buffer overflows, it tells every loss, and finds who came in the meantime."""
    options = ["--output", "json", "--set", f"transport.kind={transport}"]
    for key in ("ring_bytes", "perf_bytes_per_cpu"):
        options += ["--set", f"transport.{key}=4096"]
    with running(tmp_path, cgroup.path, *options) as agent:
        agent.process.send_signal(signal.SIGSTOP)
        cgroup.run(["/bin/bash", "-c", STORM])
        (survivor,) = cgroup.processes()
        agent.process.send_signal(signal.SIGCONT)
        agent.wait_until(lambda: agent.metrics()["agentd_reconciliations_total", ()] >= 1)
        agent.wait_until(lambda: survivor in agent.pids("fork", "exec"))
        cgroup.run(["/bin/true"])
        agent.wait_until(lambda: _lost_in_metrics(agent) == _lost_in_lines(agent))
        assert agent.metrics()["agentd_accounting_imbalance", ()] == 0
        assert _lost_in_lines(agent) > 0
        known = [line for line in agent.lines() if line.get("process", {}).get("pid") == survivor]
        assert os.path.basename(known[-1]["process"]["executable"]) == "sleep"
        assert agent.stop() == 0
        lost, imbalance = re.search(r'"lost": (\d+).*"imbalance": (\d+)', agent.log()).groups()  # type: ignore[union-attr]
        assert (int(lost), int(imbalance)) == (_lost_in_lines(agent), 0)


def test_without_descriptors(cgroup: Cgroup, tmp_path: Path) -> None:
    """While no file can be opened nobody is taken for gone; afterwards all is found out."""
    options = ["--output", "json", "--set", "transport.ring_bytes=4096"]
    cgroup.run(["/bin/bash", "-c", SLEEPER])
    (sleeper,) = cgroup.processes()
    with running(tmp_path, cgroup.path, *options) as agent:
        agent.process.send_signal(signal.SIGSTOP)
        cgroup.run(["/bin/bash", "-c", STORM])
        pid = agent.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        agent.process.send_signal(signal.SIGCONT)
        agent.wait_until(lambda: "/proc could not be read" in agent.log())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        agent.wait_until(lambda: _tree(agent, cgroup) == set(cgroup.processes()))
        assert sleeper in cgroup.processes()
        assert agent.pids("exit").isdisjoint(cgroup.processes())
        agent.wait_until(lambda: _lost_in_metrics(agent) == _lost_in_lines(agent))
        assert agent.metrics()["agentd_accounting_imbalance", ()] == 0
        assert agent.stop() == 0


def _tree(agent: Agent, cgroup: Cgroup) -> set[int]:
    """The live processes of the cgroup, by the tree, that are in no doubt."""
    wanted = ["--filter", f"cgroup = {cgroup.path}"]
    command = [AGENTD, "ps", "--json", "--socket", agent.socket, *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = map(json.loads, done.stdout.splitlines())
    return {process["pid"] for process in found if not process["suspect"]}


def _lost_in_metrics(agent: Agent) -> int:
    name = "agentd_lost_events_total"
    return int(sum(value for (metric, _), value in agent.metrics().items() if metric == name))


def _lost_in_lines(agent: Agent) -> int:
    whole = agent.text()[: agent.text().rfind("\n")]
    return sum(int(count) for count in re.findall(r'"lost":\{"count":(\d+)', whole))


def test_far_above_its_bounds(cgroup: Cgroup, tmp_path: Path) -> None:
    """With room for 16 processes and no past, every event of 100 is told, and who was dropped."""
    bounds = ("live_capacity=16", "exited_capacity=0", "ancestor_capacity=0")
    options = [word for bound in bounds for word in ("--set", f"tree.{bound}")]
    with running(tmp_path, cgroup.path, "--output", "json", *options) as agent:
        cgroup.run(
            ["/bin/bash", "-c", "for i in $(seq 100); do sleep 1000 & done; kill $(jobs -p); wait"]
        )
        agent.wait_until(lambda: len(agent.pids("exit")) == 103)  # and seq, a subshell, bash
        metrics = agent.metrics()
        live = metrics["agentd_tree_processes", (("state", "live"),)]
        evicted = metrics["agentd_tree_evictions_total", (("reason", "live_capacity"),)]
        assert agent.stop() == 0
        lines = agent.lines()
    assert live <= 16
    assert evicted > 100
    actions = [line["event"]["action"] for line in lines]
    assert (actions.count("fork"), actions.count("exit"), actions.count("lost")) == (102, 103, 0)


@pytest.mark.parametrize(
    ("wrapper", "words"),
    [
        (("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "sh"), "/proc"),
        (("unshare", "--pid", "--fork", "--mount-proc"), "--pid=host"),
        (("unshare", "--time", "--fork", "--boottime", "1000"), "time namespace"),
    ],
)
def test_not_the_hosts_world(wrapper: tuple[str, ...], words: str) -> None:
    """Where /proc, pids or the clock are not the host's, it refuses in one line with a way out."""
    command = [*wrapper, AGENTD, "run", "--duration", "1", "--set", "metrics.listen="]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
    assert words in done.stderr
