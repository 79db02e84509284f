"""Every command that prints, on terminals of other encodings: no traceback, and the same facts."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running
from tests.fixtures.make import recording_of

NAME = "naïve-日本-\udcff"
"""Latin, Japanese, and a byte that is no UTF-8."""
ENCODINGS = ("ascii:strict", "iso-8859-1", "euc-jp", "utf-8:strict")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording to be replayed."""
    path = tmp_path_factory.mktemp("recording") / "life"
    path.write_bytes(gzip.decompress(recording_of("life").read_bytes()))
    return path


@pytest.fixture
def agent(cgroup: Cgroup, tmp_path: Path) -> Iterator[Agent]:
    """An agentd that knows a process whose name most encodings lack."""
    file = tmp_path / NAME
    file.write_text("")
    with (
        running(tmp_path, cgroup.path, "--output", "none") as agent,
        cgroup.popen(["/usr/bin/tail", "-f", str(file)], stdout=subprocess.DEVNULL) as follower,
    ):
        agent.wait_for_events(1)
        yield agent
        follower.kill()


def _run(
    *command: str, encoding: str = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [AGENTD, *command],
        capture_output=True,
        timeout=ENOUGH_SECONDS,
        env={**os.environ, "PYTHONIOENCODING": encoding, **environment},
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_commands_that_ask(agent: Agent, cgroup: Cgroup, encoding: str) -> None:
    """What cannot be shown as it is, is shown as an escape; drawings are in ASCII."""
    ours = ("--socket", agent.socket)
    only = (*ours, "--filter", f"cgroup = {cgroup.path}")
    name = encoding.partition(":")[0]
    (pid,) = cgroup.processes()
    commands: list[tuple[str, ...]] = [("tree", *only), ("ps", *only), ("explain", str(pid), *ours)]
    for command in commands:
        text = _run(*command, encoding=encoding).stdout.decode(name)
        assert "na" in text, command
        assert str(pid) in text
        assert ("日本" in text) == (name in ("euc-jp", "utf-8"))
        assert ("naïve" in text) == (name != "ascii")
    for command in [("status", *ours), ("top", "--count=1", "--seconds=0.1", *ours)]:
        assert _run(*command, encoding=encoding).stdout.decode(name)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_follow(agent: Agent, cgroup: Cgroup, tmp_path: Path, encoding: str) -> None:
    """Events that come from the daemon as UTF-8 are shown in the terminal's encoding."""
    command = [AGENTD, "follow", "--socket", agent.socket]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as following:
        assert following.stdout is not None
        agent.wait_until(lambda: _hears(cgroup, tmp_path, following))
        line = following.stdout.readline()
        following.terminate()
    assert line.decode(encoding.partition(":")[0])


def _hears(cgroup: Cgroup, folder: Path, following: subprocess.Popen[bytes]) -> bool:
    """Run something, and see whether it has been told."""
    import select

    (folder / "ï日").unlink(missing_ok=True)
    (folder / "ï日").symlink_to("/bin/true")
    cgroup.run([str(folder / "ï日")])
    assert following.stdout is not None
    return bool(select.select([following.stdout], [], [], 0.1)[0])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_commands_without_a_daemon(recording: Path, tmp_path: Path, encoding: str) -> None:
    """The doctor's arrows, names of files, and a recording of other names."""
    config = tmp_path / NAME
    config.write_text("")
    name = encoding.partition(":")[0]
    for command in (
        ("doctor", "--config", str(config)),
        ("check-config", str(config)),
        ("replay", str(recording)),
        ("replay", "--output", "json", str(recording)),
        ("--help",),
        ("tree", "--help"),
    ):
        assert _run(*command, encoding=encoding).stdout.decode(name)


@pytest.mark.parametrize("locale", ["C", "xx_XX.nonsense"])
def test_locales(recording: Path, locale: str) -> None:
    """So it is whatever the locale says."""
    for command in (("doctor",), ("replay", str(recording))):
        assert _run(*command, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0").stdout
