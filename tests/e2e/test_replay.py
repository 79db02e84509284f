"""``agentd run --record`` and ``agentd replay``: the same output, byte for byte."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running


def _replay(file: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [AGENTD, "replay", str(file), *options]
    return subprocess.run(command, capture_output=True, timeout=ENOUGH_SECONDS, check=False)


@pytest.mark.parametrize("transport", ["ringbuf", "perfbuf"])
@pytest.mark.parametrize("output", ["json", "text"])
def test_a_recording_gives_the_same_output(
    cgroup: Cgroup, tmp_path: Path, transport: str, output: str
) -> None:
    """Events, losses, what was inferred after them and redacted secrets come out again."""
    record = tmp_path / "recording"
    options = ["--output", output, "--record", str(record), "--set", f"transport.kind={transport}"]
    for key in ("ring_bytes", "perf_bytes_per_cpu"):
        options += ["--set", f"transport.{key}=4096"]
    script = "for i in $(seq 150); do sleep 1000 & done; /bin/true --token hunter2; kill $(jobs -p)"
    with running(tmp_path, cgroup.path, *options) as agent:
        cgroup.run(["/bin/bash", "-c", script])
        agent.wait_until(lambda: agent.metrics()["agentd_reconciliations_total", ()] >= 1)
        agent.wait_until(lambda: _tells_of(cgroup, agent, "the end"))
        assert agent.stop() == 0
        written = agent.text().encode()
    assert b"lost" in written
    assert b"hunter" not in written
    done = _replay(record, "--output", output)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == written
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def _tells_of(cgroup: Cgroup, agent: Agent, word: str) -> bool:
    """Whether a command that says it is told; one of them may be lost, as much else is here."""
    cgroup.run(["/bin/true", word])
    return word in agent.text()


def test_a_recording_that_was_cut_off(cgroup: Cgroup, tmp_path: Path) -> None:
    """What is whole of it is replayed: it may be of a run that was killed."""
    record = tmp_path / "recording"
    with running(tmp_path, cgroup.path, "--record", str(record), "--output", "json") as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        agent.stop()
        written = agent.text().encode()
    record.write_bytes(record.read_bytes()[:-1])
    done = _replay(record, "--output", "json")
    assert done.returncode == 0
    assert done.stdout == written


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "is no recording"), (b"\xc1", "is damaged")],
)
def test_what_is_no_recording(tmp_path: Path, content: bytes | None, words: str) -> None:
    """It is one sentence, and exit code 78."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    done = _replay(file)
    assert done.returncode == os.EX_CONFIG
    assert words in done.stderr.decode()
    assert str(file) in done.stderr.decode()


def test_recording_to_where_nothing_can_be_written(cgroup: Cgroup, tmp_path: Path) -> None:
    """It is told by name, and nothing runs."""
    command = [AGENTD, "run", "--record", str(tmp_path / "none/file"), "--set", "metrics.listen="]
    done = subprocess.run(command, capture_output=True, timeout=ENOUGH_SECONDS, check=False)
    assert done.returncode == os.EX_CONFIG
    assert "none/file: cannot be written" in done.stderr.decode()
