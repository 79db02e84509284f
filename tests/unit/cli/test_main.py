"""agentd.cli.main"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agentd import __version__
from agentd.cli import main
from agentd.cli.parser import make_parser
from agentd.daemon import run
from agentd.errors import PermissionMissingError, UnavailableError
from agentd.kernel.compile import Settings
from agentd.kernel.loader_client import Attached

SHIPPED = str(Path(__file__).resolve().parents[3] / "config/agentd.toml")
QUIET = ("run", "--output", "none", "--set", "metrics.listen=")


class FakeProcess:
    """A loader's process that is none."""

    made: list[FakeProcess]

    def __init__(self) -> None:
        self.closed = 0
        self.made.append(self)

    def close(self) -> None:
        """Counted."""
        self.closed += 1


class FakeLoader:
    """A loader that brings an error in place of programs, as soon as somebody waits for it."""

    error: Exception
    made: list[FakeLoader]

    def __init__(self, settings: Settings, process: FakeProcess | None) -> None:
        self.settings = settings
        self.process = process
        self.closed = 0
        self.made.append(self)

    async def attached(self) -> Attached:
        """Never brings anything."""
        raise self.error

    def close(self) -> None:
        """Counted."""
        self.closed += 1


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeLoader]]:
    """The fake in the place of the loader, and the log put back afterwards."""
    FakeLoader.made, FakeProcess.made = [], []
    FakeLoader.error = UnavailableError("not today", "try tomorrow")
    monkeypatch.setattr(run, "Loader", FakeLoader)
    monkeypatch.setattr(main, "LoaderProcess", FakeProcess)
    yield FakeLoader
    structlog.reset_defaults()


def _exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """What ``agentd ARGUMENTS`` exits with."""
    monkeypatch.setattr(sys, "argv", ["agentd", *arguments])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_the_program_runs() -> None:
    """The entry point works in a process of its own and says that a good file is good."""
    done = subprocess.run(
        [sys.executable, "-c", "from agentd.cli.main import main; main()", "check-config", SHIPPED],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{SHIPPED}: good\n", "")


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("run", "--help")])
def test_questions_about_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """--version and --help answer on standard output and exit with 0."""
    assert _exit_code(monkeypatch, *arguments) == os.EX_OK
    out, err = capsys.readouterr()
    assert (f"agentd {__version__}" if arguments == ("--version",) else "usage: agentd") in out
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "COMMAND"),
        (("bogus",), "bogus"),
        (("check-config",), "FILE"),
        (("check-config", "a", "b"), "b"),
        (("run", "extra"), "extra"),
        (("run", "--bogus"), "--bogus"),
        (("run", "--set"), "--set"),
        (("run", "--output", "xml"), "choose from"),
        (("run", "--duration", "0"), "more than 0"),
        (("run", "--duration=-1"), "more than 0"),
        (("run", "--duration", "nan"), "more than 0"),
        (("run", "--duration", "inf"), "more than 0"),
        (("run", "--duration", "soon"), "soon"),
        (("run", "--duration", "1_0"), "more than 0"),
        (("run", "--duration", "\u0661"), "more than 0"),
        (("run", "--duration", "9" * 5000), "more than 0"),
        (("tree", "1_0"), "whole number"),
        (("tree", "9" * 5000), "whole number"),
        (("tree", "--since", "1_0m"), "is no time"),
        (("top", "--seconds", "1_0"), "a number of seconds"),
        (("top", "--count", "1_0"), "whole number"),
    ],
)
def test_usage_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    word: str,
) -> None:
    """A command line that is none exits with 64, shows the usage and says what is wrong."""
    assert _exit_code(monkeypatch, *arguments) == os.EX_USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: agentd")
    assert word in err.splitlines()[-1]
    assert len(err.splitlines()[-1]) < 500


def test_a_duration_that_is_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message speaks of seconds, not of a function of ours."""
    _exit_code(monkeypatch, "run", "--duration", "soon")
    assert "_seconds" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[transport]\nring_bytes = 5000\n", ["transport.ring_bytes = 5000", "nearest is 4096"]),
        ("[transprot]\n", ["[transprot]", "did you mean transport?"]),
        ("nonsense", ["not valid TOML"]),
        ('[metrics]\nlisten = "nonsense"\n', ["metrics.listen", "address:port"]),
    ],
)
def test_a_bad_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: str,
    words: list[str],
) -> None:
    """check-config exits with 78 and one line that names the file, the key and what it may be."""
    file = tmp_path / "bad.toml"
    file.write_text(text)
    assert _exit_code(monkeypatch, "check-config", str(file)) == os.EX_CONFIG
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"agentd: {file}: ")
    assert all(word in err for word in words)
    assert err.count("\n") == 1


def test_bad_settings_load_nothing(
    monkeypatch: pytest.MonkeyPatch, loader: type[FakeLoader]
) -> None:
    """A bad --set exits with 78 before the loader has any orders, and ends it."""
    assert _exit_code(monkeypatch, *QUIET, "--set", "log.level=loud") == os.EX_CONFIG
    assert loader.made == []
    assert [process.closed for process in FakeProcess.made] == [1]


def test_kept_programs_need_no_loader(
    monkeypatch: pytest.MonkeyPatch, loader: type[FakeLoader]
) -> None:
    """Where another process left programs, a loader is begun only once it is needed."""
    pytest.importorskip("systemd.daemon")
    monkeypatch.setenv("LISTEN_FDS", "0")
    _exit_code(monkeypatch, *QUIET)
    assert FakeProcess.made == []
    assert [made.process for made in loader.made] == [None]


def test_settings_of_the_command_line_win(
    monkeypatch: pytest.MonkeyPatch, loader: type[FakeLoader], tmp_path: Path
) -> None:
    """--set goes over --config, and a later --set over an earlier one."""
    file = tmp_path / "a.toml"
    file.write_text("[transport]\nring_bytes = 8192\n")
    sizes = [f"--set=transport.ring_bytes={size}" for size in (16384, 32768)]
    for count in range(3):
        _exit_code(monkeypatch, *QUIET, "--config", str(file), *sizes[:count])
    assert [made.settings.ring_bytes for made in loader.made] == [8192, 16384, 32768]


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (UnavailableError("not today", "try tomorrow"), 69, "agentd: not today (try tomorrow)\n"),
        (PermissionMissingError("no", "as root"), 77, "agentd: no (as root)\n"),
        (ZeroDivisionError("a bug"), 1, "ZeroDivisionError: a bug\n"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loader: type[FakeLoader],
    *,
    error: Exception,
    code: int,
    word: str,
) -> None:
    """Each error has its exit code and its line; a bug has 1 and a traceback."""
    loader.error = error
    assert _exit_code(monkeypatch, *QUIET) == code
    err = capsys.readouterr().err
    assert err.endswith(word)
    assert ("Traceback" in err) == (code == 1)
    assert loader.made[0].closed == 1


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_of_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: str
) -> None:
    """One line says what failed and how to report it; the traceback is for who asks for it."""

    def fail(arguments: argparse.Namespace) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(main._COMMANDS, "status", fail)
    monkeypatch.setenv(main.DEBUG_VARIABLE, debug)
    assert _exit_code(monkeypatch, "status") == os.EX_SOFTWARE
    *before, last = capsys.readouterr().err.splitlines()
    assert last.startswith("agentd: status failed, which is a bug: ZeroDivisionError: a bug")
    assert "AGENTD_DEBUG=1 agentd status" in last
    assert (before[:1] == ["Traceback (most recent call last):"]) == bool(debug)


def test_the_cause_of_what_a_command_met(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the host lacks is no bug: the way out is told, with the code of that."""

    def fail(arguments: argparse.Namespace) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setitem(main._COMMANDS, "top", fail)
    assert _exit_code(monkeypatch, "top") == os.EX_UNAVAILABLE
    assert capsys.readouterr().err.startswith("agentd: no file descriptor is left")


def _parsers() -> Iterator[argparse.ArgumentParser]:
    waiting: list[argparse.ArgumentParser] = [make_parser()]
    while waiting:
        parser = waiting.pop()
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()


@pytest.mark.parametrize("parser", list(_parsers()), ids=lambda parser: parser.prog)
def test_help_has_examples(parser: argparse.ArgumentParser) -> None:
    """Every command's --help ends with command lines, and each of them is one that it takes."""
    first, *lines = (parser.epilog or "").splitlines()
    assert first == "examples:"
    assert lines
    for line in lines:
        words = shlex.split(re.split("[<>|]", line)[0], comments=True)
        assert " ".join(words).startswith(parser.prog)
        if "--help" in words:
            continue
        assert isinstance(make_parser().parse_args(words[1:]).command, str)
    assert parser.format_help().endswith("\n".join([first, *lines]) + "\n")
    assert all(len(line) <= 80 for line in lines)
