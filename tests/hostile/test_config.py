"""Files that nobody can mean, as configurations of a command and of a running daemon."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running
from tests.fuzz.target import corpus_of
from tests.hostile.siege import besieged

CONFIG_ERROR = 78
FIFO, FOLDER, DEVICE = "fifo", "folder", "/dev/zero"


def _odd(folder: Path) -> dict[str, Path]:
    """What is no file, or takes more than anybody has to read."""
    os.mkfifo(folder / FIFO)
    (folder / FOLDER).mkdir()
    large = folder / "large"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    slow = folder / "slow"
    slow.write_text(".".join(["a"] * 100_000) + " = 1\n")
    return {path.name: path for path in (folder / FIFO, folder / FOLDER, large, slow)} | {
        "device": Path(DEVICE)
    }


def _check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [AGENTD, "check-config", str(path)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False
    )


def test_check_config_takes_or_refuses_every_file(tmp_path: Path) -> None:
    """With exit code 0 or 78 and the file's name; never a traceback, never for ever."""
    for path in (*corpus_of("config"), *_odd(tmp_path).values()):
        done = _check(path)
        assert done.returncode in (0, CONFIG_ERROR), (path, done)
        assert "Traceback" not in done.stderr, path
        assert str(path) in done.stderr + done.stdout, (path, done)


def test_check_config_takes_or_refuses_every_web_config(tmp_path: Path) -> None:
    """Likewise the file that it names."""
    config = tmp_path / "a.toml"
    for path in (*corpus_of("web_config"), *_odd(tmp_path).values()):
        config.write_text(f'[metrics]\nweb_config = "{path}"\n')
        done = _check(config)
        assert done.returncode in (0, CONFIG_ERROR), (path, done)
        assert "Traceback" not in done.stderr, path


def test_a_reload_of_any_file_changes_nothing(
    cgroup: Cgroup, loadgen: Path, tmp_path: Path
) -> None:
    """Whatever the file is, the daemon goes on during a storm, says one line, and loses nothing."""
    config = tmp_path / "a.toml"
    config.write_text("")
    bad = [path for path in corpus_of("config") if path.name not in ("good.toml", "empty.toml")]
    odd = _odd(tmp_path)
    with besieged(tmp_path, cgroup, loadgen, f"--config={config}") as siege:
        for number, path in enumerate((*bad, *odd.values()), 1):
            _replace(config, path)
            siege.agent.process.send_signal(signal.SIGHUP)
            siege.agent.wait_until(lambda n=number: _lines(siege.agent) == n)  # type: ignore[misc]
        _replace(config, next(path for path in corpus_of("config") if path.name == "empty.toml"))
        siege.agent.process.send_signal(signal.SIGHUP)
        siege.agent.wait_until(lambda: '"reloaded"' in siege.agent.log())
        outcome = siege.finish()
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert "Traceback" not in siege.agent.log()


def _lines(agent: Agent) -> int:
    return agent.log().count('"not reloaded"')


def _replace(config: Path, path: Path) -> None:
    """The next reload reads that."""
    config.unlink()
    if path.is_file() and path.stat().st_size < 1 << 20:
        shutil.copy(path, config)
    else:
        config.symlink_to(path)


@pytest.mark.parametrize("text", ['[redact]\npatterns = ["(a{1000}){1000}"]\n'])
def test_a_pattern_that_takes_a_gigabyte_keeps_nobody_from_starting(
    cgroup: Cgroup, tmp_path: Path, text: str
) -> None:
    """It is refused at the start, and at a reload costs the daemon nothing."""
    config = tmp_path / "a.toml"
    config.write_text("")
    with running(tmp_path, cgroup.path, "--config", str(config)) as agent:
        before = _resident_bytes(agent)
        config.write_text(text)
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_until(lambda: _lines(agent) == 1)
        assert "repeats that come to more than" in agent.log()
        assert _resident_bytes(agent) < before + (32 << 20)
    assert _check(config).returncode == CONFIG_ERROR


def _resident_bytes(agent: Agent) -> int:
    pages = Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
