"""The scenes: what is done, and the blocks of the pages that it makes, by name."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from tests.cgroup import Cgroup
from tests.e2e.agent import Agent
from tests.shown.stage import CGROUP, Stage

DEMO = "date -u | cat; ls /nonexistent; kill -11 $$"
METRICS = (
    "curl -s http://127.0.0.1:9847/metrics | grep -E '^agentd_(events|lost|accounting)';"
    " curl -s http://127.0.0.1:9847/readyz"
)
WORKER = (
    'sh -c "exit 4"; sleep 300 & sleep 300 & sleep 300 &'
    " cat /etc/hostname | sort >/dev/null; kill -9 $$"
)
DEPLOY = 'bash -c "setsid sh -c \\"exec sleep 999\\" & exit 7" deploy; true'
LOAD = (
    "while :; do for i in {1..20}; do /bin/true; done;"
    " gzip -9 -c /bin/bash >/dev/null; git --version >/dev/null; done"
)
INNER = "/bin/true --x; sh -c 'kill -9 $$'"
KILLED = "bash -c \"/bin/true --x; sh -c 'kill -9 \\$\\$'\"; /bin/true \udcff b; :"
BURST = "for i in {1..400}; do (:); done"

_IN_TREE = re.compile(r"^(\S+ \S+  )( *)")
"""When it began, and how deep it stands."""


def all_scenes(stage: Stage) -> dict[str, str]:
    """Each block by its name."""
    return {**_readme(stage), **_control(stage), **_explain(stage), **_events(stage)}


def _bash(cgroup: Cgroup, command: str, *arguments: str) -> None:
    """Something that happens in the cgroup."""
    cgroup.run(
        ["/usr/bin/bash", "-c", command, *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip


def _readme(stage: Stage) -> dict[str, str]:
    """What somebody does first."""
    with stage.agentd("--output", "text", "--set", "log.format=console") as agent:
        _bash(stage.cgroup, DEMO)
        agent.wait_for_events(11)
        metrics = stage.console(METRICS)
        agent.stop(signal.SIGINT)
    stopped = agent.log().splitlines(True)[-1]
    return {"demo-text": agent.text(), "demo-metrics": metrics, "demo-stopped": stopped}


def _control(stage: Stage) -> dict[str, str]:
    """Questions to one that has seen something."""
    with stage.agentd("--output", "none") as agent:
        _bash(stage.cgroup, WORKER, "worker")
        _bash(stage.cgroup, DEPLOY)
        agent.wait_for_events(26)
        shown = {
            "control-status": stage.console("agentd status"),
            "control-tree": stage.console(f"agentd tree --filter 'cgroup = /{CGROUP}'"),
            "control-ps": stage.console("agentd ps --exited --filter 'status != 0'"),
            "control-follow": _follow(stage, agent),
        }
        load = stage.cgroup.popen(["/usr/bin/bash", "-c", LOAD], stdout=subprocess.DEVNULL)
        try:
            agent.wait_for_events(agent.events_total() + 60)  # its own exec is not in the table
            shown["control-top"] = stage.console("agentd top --seconds 2 --count 1")
        finally:
            load.kill()
            load.wait()
    return shown


def _follow(stage: Stage, agent: Agent) -> str:
    """Live events; the first ones only show that it listens."""
    command = "agentd follow --filter 'action = exit and status != 0'"
    output = stage.folder / "follow"
    with output.open("w") as file:
        following = stage.popen(f"exec {command} >{file.name}")
        try:
            agent.wait_until(lambda: _heard(stage, output.read_text))
            _bash(stage.cgroup, "ls /nonexistent; grep -q nobody: /etc/hostname; exit 3")
            agent.wait_until(lambda: "status 3" in output.read_text())
        finally:
            following.terminate()
            following.communicate()
    lines = output.read_text().splitlines(True)
    return f"$ {command}\n" + "".join(line for line in lines if "false" not in line)


def _heard(stage: Stage, output: Callable[[], str]) -> bool:
    _bash(stage.cgroup, "/bin/false; :")
    return "false" in output()


def _explain(stage: Stage) -> dict[str, str]:
    """One process in a unit, and a loss while it lives."""
    unit = Cgroup(f"{CGROUP}/system.slice/deploy.service")
    unit.folder.mkdir(parents=True)
    with stage.agentd("--output", "none", "--set", "transport.ring_bytes=65536") as agent:
        _bash(unit, DEPLOY)
        agent.wait_for_events(9)
        _lose(agent, stage.cgroup)
        found = stage.console("agentd ps --columns pid --filter 'args = \"sleep 999\"'")
        console = stage.console(f"agentd explain {found.split()[-1]}")
    return {"control-explain": _from("deploy; true'", console)}


def _lose(agent: Agent, cgroup: Cgroup) -> None:
    """More events than the ring holds, while nobody reads."""
    agent.process.send_signal(signal.SIGSTOP)
    _bash(cgroup, BURST)
    agent.process.send_signal(signal.SIGCONT)
    agent.wait_until(lambda: _lost(agent) > 0)


def _lost(agent: Agent) -> float:
    return sum(v for (name, _), v in agent.metrics().items() if name == "agentd_lost_events_total")


def _from(words: str, console: str) -> str:
    """Without what stands above a line of the tree: that is none of a reader's business."""
    command, *lines = console.splitlines()
    first = next(place for place, line in enumerate(lines) if words in line)
    until = lines.index("", first)
    margin = len(_IN_TREE.match(lines[first])[2])  # type: ignore[index]
    tree = [_IN_TREE.sub(lambda f: f[1] + f[2][margin:], line) for line in lines[first:until]]
    return "".join(f"{line}\n" for line in (command, *tree, *lines[until:]))


def _events(stage: Stage) -> dict[str, str]:
    """Lines of JSON, one of each kind."""
    with stage.agentd("--output", "json") as agent:
        _bash(stage.cgroup, KILLED)
        agent.wait_for_events(12)
        agent.stop()
        lines = agent.text().splitlines(True)
    with stage.agentd("--output", "json", "--set", "transport.ring_bytes=4096") as agent:
        _lose(agent, stage.cgroup)
        agent.stop()
        lines += [line for line in agent.text().splitlines(True) if '"action":"lost"' in line][:1]
    examples = [line for line in lines if _is_example(json.loads(line))]
    executed = next(line for line in examples if '"--x"' in line and '"action":"exec"' in line)
    parts = json.dumps(json.loads(executed), ensure_ascii=False)
    for section in ("event", "process", "agentd"):
        parts = parts.replace(f', "{section}": {{', f',\n "{section}": {{', 1)
    return {"events": "".join(examples), "demo-event": f"{parts}\n"}


def _is_example(event: dict[str, Any]) -> bool:
    """What happened to ``true`` and to the shell that was killed, and what is missing."""
    action, args = event["event"]["action"], event.get("process", {}).get("args", [])
    return (
        action == "lost"
        or (action == "fork" and args == ["bash", "-c", INNER])
        or (action != "fork" and args in (["/bin/true", "--x"], ["sh", "-c", "kill -9 $$"]))
        or (action == "exec" and "raw" in event["agentd"] and args[0] == "/bin/true")
    )
