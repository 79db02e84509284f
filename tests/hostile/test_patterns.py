"""Whoever may start a process chooses the text that an operator's patterns are searched in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running
from tests.hostile.siege import NOBODY, PAUSE_SECONDS_MAX, Outcome, besieged

ATTACKS = 300
ARGUMENT = "a" * 16_000 + "!"
ENDLESS = "^(a+)+$"
_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "bash", "-c")


def _attack(cgroup: Cgroup, name: str, *arguments: str, times: int = ATTACKS) -> None:
    """As a user without rights, run something under that name, again and again."""
    script = 'for i in $(seq "$1"); do (exec -a "$2" /bin/true "${@:3}"); done'
    cgroup.run([*_AS_NOBODY, script, "bash", str(times), name, *arguments])


def _besiege(
    folder: Path, cgroup: Cgroup, loadgen: Path, attack: Sequence[str], *options: str
) -> tuple[Outcome, dict[str, float]]:
    """What an attack did to a storm, and what could not be decided, by where."""
    with besieged(folder, cgroup, loadgen, *options) as siege:
        _attack(cgroup, *attack)
        seen = siege.agent.events_total() + 1
        siege.agent.wait_until(lambda: siege.agent.events_total() > seen)
        undecided = {
            dict(labels)["where"]: value
            for (name, labels), value in siege.agent.metrics().items()
            if name == "agentd_matches_undecided_total"
        }
        return siege.finish(), undecided


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("output.filter", f'args ~ "{ENDLESS}" or uid >= 0 and not args ~ "{ENDLESS}"'),
        ("output.filter", 'not args ~ ".*.*.*[=:]$" or args ~ ".*.*.*[=:]$"'),
    ],
)
def test_a_filter_that_backtracks(
    cgroup: Cgroup, loadgen: Path, tmp_path: Path, key: str, text: str
) -> None:
    """Nothing is lost or left out, nobody waits, and what was not decided is counted."""
    outcome, undecided = _besiege(tmp_path, cgroup, loadgen, [ARGUMENT, "x"], f"--set={key}={text}")
    assert outcome.missing <= -3 * ATTACKS  # those of the attack, which the storm does not count
    assert (outcome.lost, outcome.exit_code) == (0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX
    assert undecided[key] > 0


@pytest.mark.parametrize(
    ("pattern", "attack"),
    [
        ("[]", ["x", *["@"] * 8000]),
        ("[]", ["x", *["key"] * 4000]),
        (f"['{ENDLESS}']", [ARGUMENT]),
        (r"['(?:a+)+\x00[bc]']", [ARGUMENT]),
    ],
)
def test_redaction_that_takes_long(
    cgroup: Cgroup, loadgen: Path, tmp_path: Path, pattern: str, attack: list[str]
) -> None:
    """Default patterns over many arguments, and own ones that backtrack, hold up nobody."""
    own = [] if pattern == "[]" else [f"--set=redact.patterns={pattern}"]
    outcome, undecided = _besiege(tmp_path, cgroup, loadgen, attack, *own)
    assert outcome.missing <= -3 * ATTACKS
    assert (outcome.lost, outcome.exit_code) == (0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX
    assert own == [] or undecided["redact.patterns"] > 0


def test_undecided_events_are_flagged_and_replayed(cgroup: Cgroup, tmp_path: Path) -> None:
    """Each is written with what could not be decided, hides what was not searched, and a replay,
    which has all the time it wants, gives the same bytes."""
    record = tmp_path / "recording"
    filter_ = f'args ~ "{ENDLESS}" or args ~ "^/bin/true plain"'
    options = (f"--set=output.filter={filter_}", "--set=redact.patterns=['^(?:b+)+$', 'hunter']")
    with running(
        tmp_path, cgroup.path, "--output", "json", "--record", str(record), *options
    ) as agent:
        _attack(cgroup, ARGUMENT, "x", times=30)
        _attack(cgroup, "x", "b" * 16_000 + "!", "hunter2", times=30)
        agent.wait_until(lambda: _is_told(cgroup, agent, "plain"))  # once there is time again
        assert agent.stop() == 0
        written = agent.text()
    lines = [json.loads(line) for line in written.splitlines()]
    hidden = [line for line in lines if line["agentd"].get("redaction") == "incomplete"]
    undecided = [line for line in lines if line["agentd"].get("undecided")]
    assert "hunter" not in written
    assert any(_arguments(line)[1:] == ["[redacted]", "[redacted]"] for line in hidden)
    assert any(_arguments(line) == [ARGUMENT, "x"] for line in undecided)
    assert all(line["agentd"]["undecided"] == ["output.filter"] for line in undecided)
    assert all("plain" in _arguments(line) for line in lines if line not in undecided)
    done = subprocess.run(
        [AGENTD, "replay", str(record), "--output", "json"],
        capture_output=True, timeout=ENOUGH_SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == written


def _is_told(cgroup: Cgroup, agent: Agent, word: str) -> bool:
    cgroup.run(["/bin/true", word])
    return word in agent.text()


def _arguments(line: dict[str, Any]) -> list[str]:
    return list(line.get("process", {}).get("args", []))
