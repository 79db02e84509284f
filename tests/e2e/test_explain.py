"""``agentd explain`` asks a running agentd."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running
from tests.kernel.c_programs import FAR_SUBREAPER
from tests.programs import compile_c


def _explain(agent: Agent, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [AGENTD, "explain", "--socket", agent.socket, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False
    )


def _explained(agent: Agent, *arguments: str) -> dict[str, Any]:
    done = _explain(agent, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_daemon_leads_back_to_who_made_it(cgroup: Cgroup, tmp_path: Path) -> None:
    """Orphaned, adopted and changed, it has its creators with their arguments, though they left."""
    script = "sh -c 'setsid sh -c \"exec sleep 1000\" >/dev/null 2>&1 & exit 7' maker; :"
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/sh", "-c", script, "outer"])
        agent.wait_for_events(8)
        (orphan,) = cgroup.processes()
        agent.wait_until(lambda: "sleep" in _explain(agent, str(orphan)).stdout)
        answer = _explained(agent, str(orphan))
        images = [(image["executable"].rpartition("/")[2]) for image in answer["images"]]
        assert images[0] == "dash"
        assert images[-1] == "sleep"
        above = answer["ancestors"]
        assert above[0]["args"][-1] == "maker"
        assert (above[0]["exit_code"], above[0]["live"]) == (7, False)
        assert above[1]["args"][-1] == "outer"
        process = answer["process"]
        assert process["parent"]["pid"] != process["creator"]["pid"] == above[0]["pid"]
        assert process["session"] == orphan
        by_entity = _explained(agent, above[0]["entity_id"])
        assert [child["pid"] for child in by_entity["children"]] == [orphan]
        text = _explain(agent, above[0]["entity_id"])
        assert "with status 7" in text.stdout


def test_an_orphan_far_below_its_subreaper(cgroup: Cgroup, tmp_path: Path) -> None:
    """Its parent is never the one that has exited: nobody that is known, or who adopted it."""
    above = 200
    program = compile_c(tmp_path, "far_subreaper", FAR_SUBREAPER)
    with (
        running(tmp_path, cgroup.path, "--output", "json") as agent,
        cgroup.popen([program, str(above)], stdin=subprocess.PIPE) as top,
    ):
        agent.wait_until(lambda: "exit" in {line["event"]["action"] for line in agent.lines()})
        forked = [line for line in agent.lines() if line["event"]["action"] == "fork"]
        orphan = str(forked[-1]["process"]["pid"])
        met = set()

        def is_known() -> bool:
            parent = _explained(agent, orphan)["process"]["parent"]
            met.add(parent and parent["pid"])
            return parent is not None

        agent.wait_until(is_known)
        assert met <= {None, top.pid}
        assert top.pid in met
        top.communicate("")


def test_a_gap_near_a_process(cgroup: Cgroup, tmp_path: Path) -> None:
    """Of a shell whose children were lost, it is told that events were, where, and how many."""
    script = "read; for i in {1..150}; do (:); done; echo done; read"
    small = ("--output", "none", "--set", "transport.ring_bytes=4096")
    with (
        running(tmp_path, cgroup.path, *small) as agent,
        cgroup.popen(
            ["/bin/bash", "-c", script, "lossy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as shell,
    ):
        assert shell.stdin is not None
        assert shell.stdout is not None
        pid = str(shell.pid)
        agent.wait_until(lambda: "lossy" in _explain(agent, pid).stdout)
        before = _explained(agent, pid)
        assert before["gaps"] == []
        assert before["gaps_known_since"] <= before["process"]["start"]
        agent.process.send_signal(signal.SIGSTOP)
        shell.stdin.write("\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == "done\n"
        agent.process.send_signal(signal.SIGCONT)
        agent.wait_until(lambda: _missing(agent, pid) == agent.lost_total() > 100)
        shown = _explain(agent, pid).stdout
        assert re.search(r"^gap +\S+ \S+ to \S+: [\d,]+ .*events lost on CPU \d", shown, re.M)
        shell.stdin.close()
        status = [AGENTD, "status", "--socket", agent.socket]
        done = subprocess.run(status, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout.startswith("● good, with losses  agentd ")
        lost = (
            f"lost       {agent.lost_total():,} events ({agent.lost_total():,} reserve; the last "
        )
        assert lost in done.stdout
        assert "ringbuf, 4 KiB, " in done.stdout


def _missing(agent: Agent, pid: str) -> int:
    """Events that the gaps near a process have lost."""
    return sum(gap["count"] for gap in _explained(agent, pid)["gaps"])


def test_what_nobody_knows(cgroup: Cgroup, tmp_path: Path) -> None:
    """One line that says so, and an exit code of its own."""
    with running(tmp_path, cgroup.path, "--output", "none") as agent:
        done = _explain(agent, "nonsense")
        assert (done.returncode, done.stdout) == (65, "")
        assert done.stderr == "agentd: 'nonsense' is no pid and no entity id\n"
        agent.stop()
        assert not Path(agent.socket).exists()
        done = _explain(agent, "1")
        assert done.returncode == 69
        assert done.stderr.startswith(f"agentd: no agentd answers at {agent.socket}")
