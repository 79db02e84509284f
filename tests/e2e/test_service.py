"""How agentd starts, answers, and stops."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, free_port, running
from tests.e2e.manager import managing
from tests.kernel.loadgen import loadgen_command
from tests.requirements import need_bpf, need_program
from tests.unprivileged import readable_agentd, unused_uid

ROOT = Path(__file__).resolve().parents[2]


def _agentd(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [AGENTD, *arguments]
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False, **options
    )


def test_metrics_agree_with_the_output(cgroup: Cgroup, tmp_path: Path) -> None:
    """The counters say what the stream holds, and the account balances."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/bash", "-c", "/bin/true; /bin/true; :"])
        agent.wait_for_events(8)
        metrics = agent.metrics()
        agent.stop()
        lines = agent.lines()
    for kind in ("fork", "exec", "exit"):
        count = sum(line["event"]["action"] == kind for line in lines)
        assert metrics["agentd_events_total", (("kind", kind),)] == count
        assert metrics["agentd_kernel_attempts_total", (("kind", kind),)] == count
    assert metrics["agentd_accounting_imbalance", ()] == 0
    assert metrics["agentd_event_latency_seconds_count", ()] == len(lines)
    assert metrics["agentd_ring_bytes", (("state", "size"),)] == 4 << 20


def test_metrics_agree_with_losses(cgroup: Cgroup, tmp_path: Path) -> None:
    """With a ring too small, events and losses of each kind together are the attempts."""
    options = ("--output", "json", "--set", "transport.ring_bytes=4096")
    with running(tmp_path, cgroup.path, *options) as agent:
        cgroup.run(["/bin/bash", "-c", "for i in {1..400}; do (:); done"])
        while (metrics := agent.metrics())["agentd_ring_bytes", (("state", "used"),)]:
            pass
        cgroup.run(["/bin/true"])
        agent.wait_for_events(int(_sum(metrics, "agentd_events_total")) + 2)
        metrics = agent.metrics()
        assert agent.stop() == 0
        lines = [line for line in agent.lines() if line["agentd"]["flags"] != ["inferred"]]
    for kind, expected in (("fork", 400), ("exec", 2), ("exit", 402)):
        out = sum(line["event"]["action"] == kind for line in lines)
        lost = metrics["agentd_lost_events_total", (("kind", kind), ("stage", "reserve"))]
        assert metrics["agentd_events_total", (("kind", kind),)] == out
        assert metrics["agentd_kernel_attempts_total", (("kind", kind),)] == expected == out + lost
    told = sum(line["agentd"]["lost"]["count"] for line in lines if "process" not in line)
    assert told == _sum(metrics, "agentd_lost_events_total") > 0
    assert metrics["agentd_accounting_imbalance", ()] == 0


def _sum(metrics: dict[tuple[str, tuple[tuple[str, str], ...]], float], family: str) -> float:
    return sum(value for (name, _), value in metrics.items() if name == family)


def test_promtool_finds_nothing_to_say(cgroup: Cgroup, tmp_path: Path) -> None:
    """Live metrics follow Prometheus's conventions."""
    promtool = need_program("promtool")
    with running(tmp_path, cgroup.path) as agent:
        _, text = agent.get("/metrics")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_health(cgroup: Cgroup, tmp_path: Path) -> None:
    """A ready agentd is healthy, and says what else it would answer."""
    with running(tmp_path, cgroup.path) as agent:
        assert agent.get("/healthz") == (200, "ok\n")
        assert agent.get("/readyz") == (200, "attached and seeded\n")
        assert agent.get("/nothing")[0] == 404


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_an_account(
    cgroup: Cgroup, tmp_path: Path, number: signal.Signals
) -> None:
    """SIGTERM and SIGINT end it with exit code 0 and the last event out."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/true"])
        assert agent.stop(number) == 0
        assert [line["event"]["action"] for line in agent.lines()] == ["exec", "exit"]
        account = json.loads(agent.log().splitlines()[-1])
    assert account["event"] == "stopped"
    assert (account["exec"], account["exit"], account["lost"], account["imbalance"]) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET /met", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ids=["silent", "half a request", "kept alive"],
)
def test_a_client_cannot_hold_up_the_end(
    cgroup: Cgroup, tmp_path: Path, request_bytes: bytes
) -> None:
    """SIGTERM ends it though somebody keeps a connection open."""
    with (
        running(tmp_path, cgroup.path) as agent,
        socket.create_connection(("127.0.0.1", agent.port), ENOUGH_SECONDS) as client,
    ):
        client.sendall(request_bytes)
        if request_bytes.endswith(b"\r\n\r\n"):
            assert client.recv(64).startswith(b"HTTP/1.1 200")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(5.0) == 0
        assert "Traceback" not in agent.log()


@pytest.mark.parametrize("transport", ["ringbuf", "perfbuf"])
def test_stopped_in_a_storm(cgroup: Cgroup, tmp_path: Path, loadgen: Path, transport: str) -> None:
    """SIGTERM while both CPUs are flat out: all that the final account names has been written."""
    command = loadgen_command(loadgen, cgroup.folder, "--seconds", "60")
    options = ("--output", "json", "--set", f"transport.kind={transport}")
    with running(tmp_path, cgroup.path, *options) as agent:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as storm:
            agent.wait_for_events(5000)
            agent.process.send_signal(signal.SIGTERM)
            assert agent.process.wait(5.0) == 0
            storm.send_signal(signal.SIGTERM)
        account = json.loads(agent.log().splitlines()[-1])
        lines = agent.lines()
    assert agent.text().endswith("}\n")
    assert [line["event"]["sequence"] for line in lines] == list(range(len(lines)))
    # events that a full queue let go too early make agentd compare its tree with /proc
    lines = [line for line in lines if "inferred" not in line["agentd"]["flags"]]
    for kind in ("fork", "exec", "exit"):
        assert sum(line["event"]["action"] == kind for line in lines) == account[kind]
    assert (account["lost"], account["not_written"], account["imbalance"]) == (0, 0, 0)
    numbers = [(line["agentd"]["cpu"], line["agentd"]["seq"]) for line in lines]
    first = min(seq for _, seq in numbers)
    for cpu in {cpu for cpu, _ in numbers}:
        own = sorted(seq for number, seq in numbers if number == cpu)
        assert own == list(range(first, first + len(own)))


def test_two_signals(cgroup: Cgroup, tmp_path: Path) -> None:
    """A second signal while it ends changes nothing."""
    with running(tmp_path, cgroup.path) as agent:
        agent.process.send_signal(signal.SIGINT)
        agent.process.send_signal(signal.SIGTERM)
        assert agent.stop(signal.SIGINT) == 0
        assert "Traceback" not in agent.log()


def test_two_at_once(cgroup: Cgroup, tmp_path: Path) -> None:
    """Two agentd on one host do not disturb each other."""
    (tmp_path / "other").mkdir()
    with (
        running(tmp_path, cgroup.path, "--output", "json") as one,
        running(tmp_path / "other", cgroup.path, "--output", "json") as other,
    ):
        cgroup.run(["/bin/true"])
        for agent in (one, other):
            agent.wait_for_events(2)
            assert agent.stop() == 0
    first, second = one.lines(), other.lines()
    ids = [[line["process"]["entity_id"] for line in lines] for lines in (first, second)]
    assert ids[0] == ids[1]
    assert [line["event"]["action"] for line in first] == ["exec", "exit"]


def test_duration_ends_it(cgroup: Cgroup) -> None:
    """--duration ends it by itself, with exit code 0."""
    done = _agentd(
        "run", "--duration", "0.2", "--set", f"filter.cgroup={cgroup.path}", "--set",
        "metrics.listen=",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_ends_it_quietly(cgroup: Cgroup) -> None:
    """A broken pipe on standard output is no error, and no traceback."""
    command = [AGENTD, "run", "--set", f"filter.cgroup={cgroup.path}", "--set", "metrics.listen="]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"TIME")
        process.stdout.close()
        cgroup.run(["/bin/true"])
        assert process.wait(ENOUGH_SECONDS) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_does_not_read(cgroup: Cgroup, tmp_path: Path) -> None:
    """While standard output is stuck health answers, and SIGTERM still ends it."""
    port = free_port()
    command = [AGENTD, "run", "--output", "json", "--set", f"filter.cgroup={cgroup.path}"]
    command += ["--set", f"metrics.listen=127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        Agent(process, port, tmp_path).wait_until_ready()
        cgroup.run(["/bin/bash", "-c", "for i in {1..300}; do (:); done"])
        with socket.create_connection(("127.0.0.1", port), ENOUGH_SECONDS) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert sock.recv(64).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_SECONDS) == 0
        assert process.stderr is not None
        account = json.loads(process.stderr.read().splitlines()[-1])
    assert account["not_written"] > 0


def test_full_disk_is_an_error(cgroup: Cgroup) -> None:
    """Output that cannot be written by the end makes exit code 74, and the reason is told."""
    command = [AGENTD, "run", "--duration", "0.2", "--set", f"filter.cgroup={cgroup.path}"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "--set", "metrics.listen="],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=ENOUGH_SECONDS, check=False,
        )  # fmt: skip
    assert done.returncode == os.EX_IOERR
    assert done.stderr.splitlines()[-1] == "agentd: cannot write events: No space left on device"
    assert done.stderr.count('"a sink fails"') == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "--set", "transport.ring_bytes=5000"], 78, ["transport.ring_bytes", "4096"]),
        (["run", "--set", "filter.cgroup=/no/such"], 78, ["filter.cgroup", "mkdir"]),
        (["run", "--set", "metrics.listen=nonsense"], 78, ["metrics.listen", "address:port"]),
        (["run", "--config", "/no/such/file"], 78, ["/no/such/file", "No such file"]),
        (["run", "--no-such-option"], 64, ["--no-such-option"]),
        (["run", "--duration", "0"], 64, ["--duration"]),
        (["check-config", "/no/such/file"], 78, ["/no/such/file"]),
        ([], 64, ["COMMAND"]),
    ],
)
def test_bad_input_is_named(arguments: list[str], code: int, words: list[str]) -> None:
    """Bad input gets a sysexits code and a message that names it, never a traceback."""
    need_bpf()
    done = _agentd(*arguments)
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_port_in_use(cgroup: Cgroup) -> None:
    """A metrics port that somebody else has is named, with a way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = _agentd(
            "run", "--set", f"metrics.listen={listen}", "--set", f"filter.cgroup={cgroup.path}"
        )
    assert done.returncode == os.EX_TEMPFAIL
    assert listen in done.stderr


# a host of its own, as far as ports and sockets go
_TWO = """
mount -t tmpfs tmpfs /run && ip link set lo up || exit
"$@" 2>"$0/first" &
until grep -q '"ready"' "$0/first" || ! kill -0 $!; do sleep 0.1; done
"$@" --duration 0.1 2>"$0/second"
echo $?
kill $!
wait $!
echo $?
"""


def test_two_on_one_host(cgroup: Cgroup, tmp_path: Path) -> None:
    """Neither names a port or a socket, so the second one does without those of the first."""
    alone = [need_program("unshare"), "--mount", "--net", "sh", "-c", _TWO, str(tmp_path)]
    command = [AGENTD, "run", "--set", f"filter.cgroup={cgroup.path}", "--output", "none"]
    done = subprocess.run(
        [*alone, *command], stdout=subprocess.PIPE, text=True, check=True, timeout=ENOUGH_SECONDS
    )
    first, second = ((tmp_path / name).read_text() for name in ("first", "second"))
    assert done.stdout == "0\n0\n", f"{first}{second}"
    assert "taken" not in first
    assert "the metrics port is taken" in second
    assert "another agentd has the control socket" in second


def test_a_service_waits_for_its_port(cgroup: Cgroup, tmp_path: Path) -> None:
    """Who takes the port in a restart keeps agentd from nothing else, and not for good."""
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    settings = (
        f"metrics.listen=127.0.0.1:{port}",
        f"filter.cgroup={cgroup.path}",
        "control.socket=",
    )
    options = [word for setting in settings for word in ("--set", setting)]
    with managing(tmp_path, "--output", "json", *options) as manager:
        manager.start()
        assert manager.process is not None
        lines = map(json.loads, manager.log().splitlines())
        (taken_line,) = [line for line in lines if line["event"] == "the metrics port is taken"]
        assert taken_line["listen"] == f"127.0.0.1:{port}"
        taken.close()
        agent = Agent(manager.process, port, tmp_path)
        agent.wait_until_ready()
        assert agent.metrics()["agentd_accounting_imbalance", ()] == 0
        assert manager.end(signal.SIGTERM) == 0


def test_without_privilege() -> None:
    """Without root it says in one sentence what is missing, and exits with 77."""
    need_bpf()
    uid = unused_uid()
    with readable_agentd() as agentd:
        done = subprocess.run(
            [*agentd.command, "run"], env=agentd.environment, user=uid, group=uid, extra_groups=[],
            capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False,
        )  # fmt: skip
    assert done.returncode == os.EX_NOPERM
    assert len(done.stderr.splitlines()) == 1
    assert "CAP_BPF" in done.stderr
    assert done.stdout == ""


def test_the_shipped_configuration_is_good() -> None:
    """check-config accepts config/agentd.toml."""
    done = _agentd("check-config", str(ROOT / "config/agentd.toml"))
    assert (done.returncode, done.stderr) == (0, "")


def test_llvm_is_not_in_the_daemon(cgroup: Cgroup, tmp_path: Path) -> None:
    """The resident process maps neither LLVM nor BCC, and its loader is gone."""
    with running(tmp_path, cgroup.path) as agent:
        maps = Path(f"/proc/{agent.process.pid}/maps").read_text()
        task = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}")
        agent.wait_until(lambda: _modules_of_children(task) == {"agentd.front", "agentd.helpers"})
    assert "LLVM" not in maps
    assert "libbcc" not in maps


def _modules_of_children(task: Path) -> set[str]:
    """Which modules the children of a thread run, as ``python -m``; those that leave have none."""
    found = set()
    for child in (task / "children").read_text().split():
        with contextlib.suppress(FileNotFoundError):
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            found.add(words[words.index("-m") + 1] if "-m" in words else "")
    return found
