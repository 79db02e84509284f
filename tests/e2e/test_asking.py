"""``agentd status``, ``tree``, ``ps`` and ``follow`` ask a running agentd."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import stat
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyte
import pytest

from agentd.cli.query_parser import COLUMNS
from agentd.filters.fields import FIELDS
from agentd.terminal.width import width
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running
from tests.unprivileged import readable_agentd, unused_uid

FAMILY = "bash -c 'sleep 1000 & sleep 1000 & sleep 1000 & (exit 3); kill -9 $BASHPID' kin; :"


@pytest.fixture
def agent(cgroup: Cgroup, tmp_path: Path) -> Iterator[Agent]:
    """One that has seen a family: a shell that was killed, a child that failed, three that live."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/sh", "-c", FAMILY, "head"], stdout=subprocess.DEVNULL)
        agent.wait_for_events(13)
        yield agent


def _ask(agent: Agent, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AGENTD, command, "--socket", agent.socket, *arguments],
        capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False,
    )  # fmt: skip


def _rows(agent: Agent, command: str, *arguments: str) -> list[dict[str, Any]]:
    done = _ask(agent, command, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_status(agent: Agent) -> None:
    """One screen for people, one object for programs, and an exit code."""
    done = _ask(agent, "status")
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first.startswith("● good  agentd ")
    assert [line.split()[0] for line in rest if line] == [
        "events", "lost", "transport", "latency", "tree", "sink", "costs",
    ]  # fmt: skip
    (answer,) = _rows(agent, "status")
    assert answer["healthy"] is True
    assert sum(answer["events"].values()) == agent.events_total()
    assert (answer["lost"], answer["imbalance"]) == (0, 0)
    assert answer["sinks"][0]["written"] == agent.events_total()
    assert answer["pid"] == agent.process.pid


def test_tree(agent: Agent, cgroup: Cgroup) -> None:
    """Who started whom, those alike as one, the exited with how they ended."""
    lines = _ask(agent, "tree", "--filter", f"cgroup = {cgroup.path}").stdout.splitlines()
    head, kin, *children = lines
    assert head.endswith("[with status 0]")
    assert "kill -9" in kin
    assert kin.startswith("└─ ")
    assert kin.endswith("[by signal 9]")
    assert len(children) == 2
    assert any(" 3 × " in line and line.endswith("/usr/bin/sleep 1000") for line in children)
    assert any(line.endswith("[with status 3]") for line in children)
    sleepers = f"name = sleep and cgroup = {cgroup.path}"
    everybody = _ask(agent, "tree", "--all", "--live", "--filter", sleepers).stdout
    assert sorted(int(line.split()[0]) for line in everybody.splitlines()) == sorted(
        cgroup.processes()
    )


def test_tree_of_one(agent: Agent, cgroup: Cgroup) -> None:
    """From a pid down; one that nobody knows is told."""
    pid = cgroup.processes()[0]
    assert _ask(agent, "tree", str(pid)).stdout == f"{pid} /usr/bin/sleep 1000\n"
    done = _ask(agent, "tree", "4194305")
    assert (done.returncode, done.stdout) == (65, "")
    assert "nothing is known of 4194305" in done.stderr
    (row,) = _rows(agent, "tree", str(pid))
    assert row["pid"] == pid
    above = row["creator"]["pid"]
    below = {row["pid"] for row in _rows(agent, "tree", str(above))}
    assert below >= {above, *cgroup.processes()}
    done = _ask(agent, "tree", "--json", "4194305")
    assert (done.returncode, done.stdout) == (65, "")


def test_tree_of_a_user_and_of_a_container(agent: Agent, cgroup: Cgroup) -> None:
    """By name, by uid, by the first digits; what is none of them is said to be."""
    container = Cgroup(f"{cgroup.path}/docker-{'ab' * 32}.scope".lstrip("/"))
    container.folder.mkdir()
    command = ["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/bin/sleep", "1002"]
    inside = container.popen(command)
    ours = ("--filter", f'cgroup ~ "^{cgroup.path}/"')
    try:
        agent.wait_until(lambda: "/sleep 1002\n" in _ask(agent, "tree", *ours).stdout)
        for wanted in (("--container", "abab"), ("--user", "nobody"), ("--user", "65534")):
            shown = _ask(agent, "tree", *wanted, *ours).stdout
            assert shown == f"{inside.pid} /usr/bin/sleep 1002\n"
            assert [row["pid"] for row in _rows(agent, "tree", *wanted, *ours)] == [inside.pid]
        for unlike in ("nobod", "obody", ".*"):
            assert "sleep 1002" not in _ask(agent, "tree", "--user", unlike, *ours).stdout
        for unlike in ("a(", "b", "a.", 'a"', "a\\"):
            done = _ask(agent, "tree", "--container", unlike)
            assert (done.returncode, done.stdout) == (0, "")
            assert done.stderr == "agentd: no process that is known is one of these\n"
    finally:
        inside.kill()
        inside.wait()
        container.end()
    for form in ([], ["--json"]):
        done = _ask(agent, "tree", "--user", "bogususer", *form)
        assert (done.returncode, done.stdout) == (65, "")
        assert done.stderr == "agentd: there is no user bogususer\n"


def test_json_ends_its_lines(agent: Agent, cgroup: Cgroup) -> None:
    """Each command that answers with JSON."""
    pid = str(cgroup.processes()[0])
    for command in (["status"], ["explain", pid], ["ps"], ["tree", pid], ["top", "--count", "1"]):
        done = _ask(agent, *command, "--json")
        assert done.stdout.endswith("}\n"), command
        assert all(json.loads(line) for line in done.stdout.splitlines())


def test_ps(agent: Agent, cgroup: Cgroup) -> None:
    """A table of those that are wanted, and the same as JSON."""
    sleepers = f"name = sleep and cgroup = {cgroup.path}"
    heading, *rows = _ask(agent, "ps", "--filter", sleepers).stdout.splitlines()
    assert heading.split() == [name.upper() for name in COLUMNS]
    assert len(rows) == 3
    assert all(" root " in row and " live " in row for row in rows)
    narrow = _ask(agent, "ps", "--filter", sleepers, "--columns", "entity,pid").stdout
    assert {line.split()[0].split("-")[1] for line in narrow.splitlines()[1:]} == {
        row.split()[0] for row in rows
    }
    done = _ask(agent, "ps", "--columns", "pid,color")
    assert (done.returncode, done.stdout) == (64, "")
    assert "no column 'color': pid, parent" in done.stderr
    ended = _rows(agent, "ps", "--exited", "--filter", "not live and (signal = 9 or status = 3)")
    assert sorted((row["signal"], row["exit_code"]) for row in ended if row["signal"]) == [
        (9, None)
    ]
    assert [row["exit_code"] for row in ended if not row["signal"]] == [3]
    assert {row["cgroup"] for row in ended} == {cgroup.path}
    assert {row["user"]["name"] for row in ended} == {"root"}


def test_depth_is_that_of_the_whole_tree(agent: Agent, cgroup: Cgroup) -> None:
    """Whatever a filter leaves out, and though creators have exited."""
    every = {row["pid"]: row for row in _rows(agent, "ps", "--exited")}
    sleepers = _rows(agent, "ps", "--filter", f"name = sleep and cgroup = {cgroup.path}")
    assert len(sleepers) == 3
    for row in sleepers:
        above = every[row["creator"]["pid"]]
        assert not above["live"]
        assert row["depth"] == above["depth"] + 1 == every[above["creator"]["pid"]]["depth"] + 2


def test_a_filter_that_is_none(agent: Agent) -> None:
    """The error shows the place, and what there is."""
    for command in ("tree", "ps", "follow", "top"):
        user = ["--user", "0"] if command == "tree" else []
        done = _ask(agent, command, "--filter", "uid = 0 and exee", *user)
        assert (done.returncode, done.stdout) == (65, "")
        first, text, caret, *fields = done.stderr.splitlines()
        assert first == "agentd: filter, column 13: there is no field exee; did you mean exe?"
        assert text.strip() == "uid = 0 and exee"
        assert caret.strip() == "^"
        assert caret.index("^") == text.index("exee")
        assert " ".join(fields) == f"the fields are {', '.join(FIELDS)}"
        assert max(map(len, fields)) < 80


@contextlib.contextmanager
def _following(agent: Agent, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    # whoever runs the tests may have SIGINT ignored, as a shell does in the background
    command = ["env", "--default-signal=INT", AGENTD, "follow", "--socket", agent.socket]
    command += arguments
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _until_heard(cgroup: Cgroup, process: subprocess.Popen[bytes]) -> bytes:
    """Run a command again and again until the follower has told of one."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    heard = b""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not heard.endswith(b"\n"):
        assert time.monotonic() < deadline
        cgroup.run(["/bin/true", "heard"])
        time.sleep(0.1)
        heard += process.stdout.read() or b""
    return heard


def test_follow(agent: Agent, cgroup: Cgroup) -> None:
    """Events that a filter wants, as they leave."""
    wanted = 'action = exec and args ~ "heard" and uid = 0'
    with (
        _following(agent, "--filter", wanted) as text,
        _following(agent, "--json", "--filter", wanted) as lines,
    ):
        assert b" /usr/bin/true heard\n" in _until_heard(cgroup, text)
        events = [json.loads(line) for line in _until_heard(cgroup, lines).splitlines()]
        assert {event["event"]["action"] for event in events} == {"exec"}
        assert {event["process"]["args"][1] for event in events} == {"heard"}
        told = {json.loads(line)["event"]["sequence"] for line in agent.text().splitlines()}
        assert {event["event"]["sequence"] for event in events} <= told


def test_followed_times_are_in_the_zone_of_the_reader(
    agent: Agent, cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of all commands: not in that of the daemon."""
    monkeypatch.setenv("TZ", "XYZ-5:30")
    with _following(agent, "--filter", "args ~ heard and action = exec") as text:
        shown = {line[:15] for line in _until_heard(cgroup, text).decode().splitlines()}
    stamps = (json.loads(line)["@timestamp"][:26] for line in agent.text().splitlines())
    ahead = timedelta(hours=5, minutes=30)
    assert shown <= {f"{datetime.fromisoformat(stamp) + ahead:%H:%M:%S.%f}" for stamp in stamps}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_streams_end_with_the_daemon(agent: Agent, cgroup: Cgroup, number: signal.Signals) -> None:
    """Stopped or killed: whoever follows is told, and the exit code says it."""
    top = [AGENTD, "top", "--socket", agent.socket, "--seconds", "0.1"]
    with (
        _following(agent) as events,
        subprocess.Popen(top, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sums,
    ):
        _until_heard(cgroup, events)
        assert sums.stdout is not None
        sums.stdout.readline()
        agent.stop(number)
        for process in (events, sums):
            _, said = process.communicate(timeout=ENOUGH_SECONDS)
            assert process.returncode == 69
            assert said.decode() == (
                f"agentd: the agentd that answered at {agent.socket} has ended"
                " (systemctl status agentd)\n"
            )


def test_ctrl_c_ends_following_quietly(agent: Agent, cgroup: Cgroup) -> None:
    """Without a traceback; and so does a reader that leaves."""
    with _following(agent) as process:
        _until_heard(cgroup, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENOUGH_SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_slow_follower_is_told_what_it_missed(agent: Agent, cgroup: Cgroup) -> None:
    """It holds up nobody; missed and seen together are all that happened."""
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(agent.socket)
        slow.sendall(b"GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 200"
        before = agent.events_total()
        while agent.events_total() - before < 14_000:
            cgroup.run(["/bin/bash", "-c", "for i in {1..1000}; do (:); done"])
        slow.settimeout(2)
        data = b""
        with contextlib.suppress(TimeoutError):
            while some := slow.recv(1 << 20):
                data += some
        cgroup.run(["/bin/true", "after"])
        with contextlib.suppress(TimeoutError):
            while some := slow.recv(1 << 20):
                data += some
    made = agent.events_total() - before
    lines = [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]
    missed = sum(line["agentd"]["lost"]["count"] for line in lines if "lost" in line["agentd"])
    assert missed > 0
    assert sum("process" in line for line in lines) + missed == made
    assert lines[-2]["process"]["args"] == ["/bin/true", "after"]


@pytest.mark.parametrize("columns", [80, 44, 40])
def test_everything_fits_a_terminal(agent: Agent, cgroup: Cgroup, columns: int) -> None:
    """No line of what people see is wider than the terminal, whatever a process is called."""
    wide = cgroup.popen(["/bin/sleep", "1003.0" + "0" * 200])
    try:
        agent.wait_until(lambda: "sleep 1003" in _ask(agent, "tree").stdout)
        ours = ["--filter", f"cgroup = {cgroup.path}"]
        once = ["--count", "1", "--seconds", "0.1"]
        for command in (
            ["status"], ["tree", *ours], ["ps", *ours], ["ps", "--exited", *ours],
            ["explain", str(wide.pid)], ["top", *once],
        ):  # fmt: skip
            shown = _on_a_terminal(agent, columns, *command)
            assert shown
            assert all(width(line) <= columns for line in shown.splitlines()), command
            if command[0] in ("tree", "ps", "explain"):
                assert "sleep" in shown
    finally:
        wide.kill()
        wide.wait()


def test_follow_on_a_narrow_terminal(agent: Agent, cgroup: Cgroup) -> None:
    """Its lines fit, and what was run is to be seen."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 40))
    os.set_blocking(leader, False)
    seen = b""
    with subprocess.Popen(
        [AGENTD, "follow", "--socket", agent.socket],
        stdout=follower, stdin=subprocess.DEVNULL, env=_environment(),
    ) as process:  # fmt: skip
        os.close(follower)

        def is_seen() -> bool:
            nonlocal seen
            cgroup.run(["/bin/true", "0123456789" * 5])
            with contextlib.suppress(BlockingIOError):
                seen += os.read(leader, 65536)
            return b"/usr/bin/true 0" in seen and seen.endswith(b"\n")

        agent.wait_until(is_seen)
        process.kill()
    os.close(leader)
    lines = seen.decode().replace("\r", "").splitlines()
    assert [line for line in lines if width(line) > 40] == []


def _environment() -> dict[str, str]:
    """Ours, but that a terminal's size is what it says, and that it has colours."""
    ours = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")
    }
    return ours | {"TERM": "xterm"}


def test_no_colour(agent: Agent) -> None:
    """NO_COLOR and a dumb terminal are heeded; on others there is some in each of these."""
    pid = str(next(row for row in _rows(agent, "ps", "--exited") if row["signal"])["pid"])
    for command in (["status"], ["tree", pid], ["ps", "--exited"], ["explain", pid]):
        assert "\x1b[" in _on_a_terminal(agent, 80, *command)
        assert "\x1b[" not in _on_a_terminal(agent, 80, *command, NO_COLOR="1")
        assert "\x1b[" not in _on_a_terminal(agent, 80, *command, TERM="dumb")


def _on_a_terminal(agent: Agent, columns: int, *command: str, **environment: str) -> str:
    """What a command that ends by itself writes to one; its input is none."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    seen = b""
    with subprocess.Popen(
        [AGENTD, *command, "--socket", agent.socket],
        stdin=subprocess.DEVNULL, stdout=follower, env=_environment() | environment,
    ) as process:  # fmt: skip
        os.close(follower)
        with contextlib.suppress(OSError):
            while some := os.read(leader, 65536):
                seen += some
        assert process.wait(ENOUGH_SECONDS) == 0
    os.close(leader)
    return seen.decode().replace("\r\n", "\n")


def test_a_terminal_shows_and_never_obeys(agent: Agent, cgroup: Cgroup) -> None:
    """On a terminal lines are cut and coloured; escapes in names are shown."""
    cgroup.run(["/bin/bash", "-c", "exec -a $'evil\\e]0;x' /bin/sh -c 'exit 1' $'\\e[2J'"])
    agent.wait_for_events(15)
    leader, follower = pty.openpty()
    command = [AGENTD, "tree", "--socket", agent.socket, "--filter", "status = 1"]
    with subprocess.Popen(command, stdout=follower, env=os.environ | {"COLUMNS": "60"}) as process:
        assert process.wait(ENOUGH_SECONDS) == 0
    os.close(follower)
    seen = b""
    with contextlib.suppress(OSError):
        while some := os.read(leader, 65536):
            seen += some
    os.close(leader)
    assert b"\x1b[2J" not in seen
    assert b"\x1b]0" not in seen
    assert b"\\x1b[2J" in seen
    assert b"\x1b[31m" in seen


ASKING: list[list[str]] = [["status"], ["tree"], ["ps"], ["explain", "1"], ["follow"], ["top"]]


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_nobody_answers(tmp_path: Path, command: list[str], form: list[str]) -> None:
    """One sentence, and what to do."""
    path = str(tmp_path / "none")
    done = subprocess.run(
        [AGENTD, *command, *form, "--socket", path],
        capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == (
        f"agentd: no agentd answers at {path}: No such file or directory"
        " (is it running? systemctl status agentd; --socket PATH asks another one)\n"
    )


def test_permission_missing(cgroup: Cgroup) -> None:
    """To a user in none of its groups the socket is shut: a sentence, and what to do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        uid = unused_uid()
        with (
            readable_agentd() as readable,
            running(folder, cgroup.path, "--output", "none") as agent,
        ):
            assert stat.S_IMODE(os.stat(agent.socket).st_mode) == 0o660
            for command in ASKING:
                for form in ([], ["--json"]):
                    done = subprocess.run(
                        [*readable.command, *command, *form, "--socket", agent.socket],
                        env=readable.environment, timeout=ENOUGH_SECONDS,
                        capture_output=True, text=True, check=False,
                        user=uid, group=uid, extra_groups=[],
                    )  # fmt: skip
                    assert (done.returncode, done.stdout) == (77, "")
                    assert done.stderr == (
                        f"agentd: {agent.socket}: permission denied"
                        " (as root, or as a member of the socket's group)\n"
                    )


def test_tree_since(agent: Agent, cgroup: Cgroup) -> None:
    """Those that began since then, below who made them; a time that is none is named."""
    begun = datetime.now(UTC).isoformat()
    young = cgroup.popen(["/bin/bash", "-c", "sleep 1001 & wait"])
    try:
        agent.wait_until(lambda: "sleep 1001" in _ask(agent, "tree").stdout)
        drawn = _ask(agent, "tree", "--since", begun, "--filter", f'cgroup = "{cgroup.path}"')
        assert drawn.stdout.endswith("└─ " + drawn.stdout.splitlines()[-1].split("─ ")[1] + "\n")
        assert [line.split(" ", 1)[1] for line in drawn.stdout.replace("└─ ", "").splitlines()] == [
            "/usr/bin/bash -c 'sleep 1001 & wait'",
            "/usr/bin/sleep 1001",
        ]
        assert "sleep 1000" in _ask(agent, "tree", "--since", "1d").stdout
        done = _ask(agent, "tree", "--since", "soon")
        assert (done.returncode, done.stdout) == (64, "")
        assert "'soon' is no time" in done.stderr
    finally:
        young.kill()
        young.wait()


def test_cpu_of_those_that_finished(agent: Agent, cgroup: Cgroup) -> None:
    """A process has what all below it took that have exited, through those between."""
    work = "i=0; while ((i++ < 150000)); do :; done"
    cgroup.run(["/bin/bash", "-c", f"bash -c 'bash -c \"{work}\"; true'; exit 5"])
    agent.wait_until(lambda: bool(_rows(agent, "ps", "--exited", "--filter", "status = 5")))
    (top,) = _rows(agent, "ps", "--exited", "--filter", "status = 5")
    middle = _rows(agent, "ps", "--exited", "--filter", f"parent = {top['pid']}")
    assert top["finished_cpu_seconds"] >= middle[0]["finished_cpu_seconds"] > 0
    heading, *rows = _ask(agent, "ps", "--exited", "--sort", "finished").stdout.splitlines()
    shown = [float(row.split()[6]) for row in rows]
    assert shown == sorted(shown)
    assert heading.split()[5] == "FINISHED"


def test_top_in_a_pipe(agent: Agent, cgroup: Cgroup) -> None:
    """A table for each interval, with all that was executed meanwhile."""
    command = [AGENTD, "top", "--socket", agent.socket, "--seconds", "0.5"]
    with (
        subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE) as lines,
        subprocess.Popen([*command, "--count", "6"], stdout=subprocess.PIPE) as table,
    ):
        assert lines.stdout is not None
        assert table.stdout is not None
        lines.stdout.readline()  # from here on it counts
        before = agent.events_total()
        cgroup.run(["/bin/bash", "-c", "for i in {1..70}; do /bin/true; done"])
        agent.wait_until(lambda: agent.events_total() >= before + 212)
        execs = 0
        while execs < 70:
            line = json.loads(lines.stdout.readline())
            execs += line["executables"].get("/usr/bin/true", {"execs": 0})["execs"]
            assert set(line) >= {"units", "containers", "status", "events"}
        assert execs == 70
        lines.terminate()
        text = table.stdout.read().decode()
        assert text.count("EXECUTABLE\n") == 6
        assert table.wait(ENOUGH_SECONDS) == 0
    done = _ask(agent, "top", "--count", "-1")
    assert (done.returncode, done.stdout) == (64, "")
    assert "more than 0" in done.stderr
    done = _ask(agent, "top", "--seconds", "0")
    assert (done.returncode, done.stdout) == (65, "")
    assert "seconds=0.0: not from 0.1 to 3600" in done.stderr


def test_top_of_some(agent: Agent, cgroup: Cgroup) -> None:
    """With a filter only what it wants is summed up."""
    command = [AGENTD, "top", "--json", "--socket", agent.socket, "--seconds", "0.1"]
    command += ["--filter", 'exe = /usr/bin/true and args ~ "wanted"']
    with subprocess.Popen(command, stdout=subprocess.PIPE) as lines:
        assert lines.stdout is not None
        lines.stdout.readline()  # from here on it counts
        for wanted in ("wanted", "other", "wanted"):
            cgroup.run(["/bin/true", wanted])
            cgroup.run(["/bin/echo", wanted])
        seen = {"execs": 0, "exits": 0}
        while min(seen.values()) < 2:
            sums = json.loads(lines.stdout.readline())["executables"]
            assert set(sums) <= {"/usr/bin/true"}
            for name in seen:
                seen[name] += sums.get("/usr/bin/true", {name: 0})[name]
        assert seen == {"execs": 2, "exits": 2}
        lines.kill()


def test_top_on_a_terminal(agent: Agent, cgroup: Cgroup) -> None:
    """Keys do what the last line says, a new size is taken up, q leaves the screen as it was."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    screen = pyte.Screen(80, 24)
    feed = pyte.ByteStream(screen)

    def shown() -> str:
        with contextlib.suppress(BlockingIOError, OSError):
            feed.feed(os.read(leader, 1 << 16))
        return "\n".join(screen.display)

    os.set_blocking(leader, False)
    command = [AGENTD, "top", "--socket", agent.socket, "--seconds", "0.2"]
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        env=os.environ | {"TERM": "xterm"},
    ) as process:  # fmt: skip
        try:
            agent.wait_until(lambda: "EXECUTABLE" in shown() and "well" in shown())
            cgroup.run(["/bin/bash", "-c", "for i in {1..9}; do /bin/true; done"])
            agent.wait_until(lambda: "/usr/bin/true" in shown())
            os.write(leader, b"\t")
            agent.wait_until(lambda: "PEAK MIB  UNIT" in shown() and cgroup.path in shown())
            os.write(leader, b"s")
            agent.wait_until(lambda: "by execs" in shown())
            os.write(leader, b"3")
            agent.wait_until(lambda: "No process in a container has" in shown())
            os.write(leader, b"?")
            agent.wait_until(lambda: "pause; again to go on" in shown())
            os.write(leader, b"h1")
            agent.wait_until(lambda: "PEAK MIB  EXECUTABLE" in shown())
            os.write(leader, b"p")
            agent.wait_until(lambda: "PAUSED" in shown())
            screen.resize(10, 40)
            termios.tcsetwinsize(leader, (10, 40))
            os.kill(process.pid, signal.SIGWINCH)
            agent.wait_until(lambda: "by execs" in shown().splitlines()[-2])
            agent.wait_until(lambda: "EXECUTABLE" in shown() and "PEAK" not in shown())
            assert "/usr/bin/true" in shown()
            os.write(leader, b"q")
            agent.wait_until(lambda: (shown(), process.poll())[1] is not None)
            assert process.returncode == 0
            assert "Traceback" not in shown()
        finally:
            process.kill()
    os.close(leader)
    os.close(follower)
