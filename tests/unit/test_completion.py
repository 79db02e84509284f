"""packaging/completion.py: what shells offer for a command line that is not whole."""

from __future__ import annotations

import contextlib
import os
import pty
import runpy
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest

from agentd.cli.query_parser import COLUMNS
from agentd.filters.fields import FIELDS
from tests.requirements import need_program

ROOT = Path(__file__).resolve().parents[2]
MADE: dict[str, Any] = runpy.run_path(str(ROOT / "packaging/completion.py"))
COMMANDS = {
    "run", "replay", "status", "tree", "ps", "explain", "follow", "top", "doctor", "bench", "scan",
    "check-config",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files, and a folder with one file in it."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_text(MADE[shell]())
    (folder / "files").mkdir()
    (folder / "files/some.toml").touch()
    return folder


def _bash(folder: Path, *words: str) -> list[str]:
    """What bash itself offers after these words, of which the last is not whole."""
    line = shlex.join(words)
    script = f"""
        source {folder}/bash
        cd {folder}/files
        COMP_WORDS=({line}) COMP_CWORD={len(words) - 1} COMP_LINE={shlex.quote(line)}
        _agentd agentd
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["/bin/bash", "--norc", "-u", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [offered for offered in done.stdout.splitlines() if offered]


def test_every_command_and_every_option(folder: Path) -> None:
    """Bash offers each that the parser has, and no other."""
    assert set(_bash(folder, "agentd", "")) - {"--help", "--version"} == COMMANDS
    seen = set()
    for words, parser in MADE["commands"](MADE["make_parser"]()):
        options = [name for action in parser._actions for name in action.option_strings]
        offered = _bash(folder, "agentd", *words, "--")
        assert sorted(offered) == sorted(name for name in options if name.startswith("--"))
        seen.add(words[:1])
    assert seen == {(), *((command,) for command in COMMANDS)}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ps", "--sort", ""), list(COLUMNS)),
        (("ps", "--sort", "st"), ["start", "state", "status"]),
        (("ps", "--sort", "=", "fin"), ["finished"]),
        (("ps", "--columns", "pid,st"), ["pid,start", "pid,state", "pid,status"]),
        (("top", "--filter", ""), list(FIELDS)),
        (("follow", "--filter", "--"), []),
        (("tree", "--since", ""), []),
        (("tree", "--user", "roo"), ["root"]),
        (("run", "--set", "transport.r"), ["transport.ring_bytes=", "transport.round_bytes="]),
        (("run", "--output", "j"), ["json"]),
        (("run", "--config", ""), ["some.toml"]),
        (("check-config", "so"), ["some.toml"]),
        (("bench", ""), ["transport", "--help"]),
        (("bench", "transport", "--plot", "s"), ["some.toml"]),
        (("nonsense", ""), []),
    ],
    ids=str,
)
def test_values(folder: Path, words: tuple[str, ...], offered: list[str]) -> None:
    """Each option has the values it takes, and none has options for values."""
    assert _bash(folder, "agentd", *words) == offered


@pytest.mark.parametrize("command", ["tree", "explain"])
def test_pids(folder: Path, command: str) -> None:
    """The processes that there are."""
    pid = str(os.getpid())
    assert pid in _bash(folder, "agentd", command, pid[:-1])
    assert pid in _bash(folder, "agentd", command, "--json", pid)


@contextlib.contextmanager
def _terminal(command: list[str], folder: Path) -> Iterator[tuple[pyte.Screen, Any, Any]]:
    screen = pyte.Screen(100, 24)
    feed = pyte.ByteStream(screen)
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)

    def until(text: str) -> bool:
        deadline = time.monotonic() + 30
        while text not in "\n".join(screen.display):
            if time.monotonic() > deadline:
                return False
            with contextlib.suppress(BlockingIOError):
                feed.feed(os.read(leader, 65536))
            time.sleep(0.01)
        return True

    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        cwd=folder / "files", env={"TERM": "xterm", "PATH": "/usr/bin", "HOME": str(folder)},
    ) as process:  # fmt: skip
        try:
            yield screen, until, lambda text: os.write(leader, text.encode())
        finally:
            process.kill()
    os.close(leader)
    os.close(follower)


def test_a_person_at_bash(folder: Path) -> None:
    """The key that completes does, in a bash that has nothing else to complete with."""
    with _terminal(["/bin/bash", "--norc", "--noprofile", "-i"], folder) as (screen, until, type_):
        type_(f"source {folder}/bash; PS1=rea''dy:\n")
        assert until("ready:")
        type_("agentd ps --sor\tfin\t--rev\t--columns pid,ent\t")
        assert until("agentd ps --sort finished --reverse --columns pid,entity"), screen.display


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("agentd ", COMMANDS),
        ("agentd ps --sort ", set(COLUMNS)),
        ("agentd follow --filter ", set(FIELDS)),
        ("agentd bench ", {"transport"}),
        ("agentd run --output ", {"text", "json", "none"}),
    ],
)
def test_fish(folder: Path, line: str, offered: set[str]) -> None:
    """What fish itself offers."""
    fish = need_program("fish")
    script = f"source {folder}/fish; complete -C {shlex.quote(line)}"
    done = subprocess.run(
        [fish, "--no-config", "-c", script], capture_output=True, text=True, check=False,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    assert {text.split("\t")[0] for text in done.stdout.splitlines()} == offered


def test_a_person_at_zsh(folder: Path) -> None:
    """The key that completes does there, too."""
    (folder / "_agentd").write_text(MADE["zsh"]())
    with _terminal([need_program("zsh"), "-f", "-i"], folder) as (screen, until, type_):
        load = f"fpath=({folder} $fpath); autoload -Uz compinit && compinit -u -d {folder}/dump"
        type_(f"{load}; PS1=rea''dy:\n")
        assert until("ready:"), screen.display
        type_("agentd foll\t--fil\tacti\t")
        assert until("agentd follow --filter action"), screen.display
