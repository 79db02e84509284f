"""Whoever reaches a door: the metrics port, or the control socket. The storm goes on meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent
from tests.hostile.siege import PAUSE_SECONDS_MAX, Siege, besieged
from tests.programs import compile_c

RSS_BYTES_MAX = 160 << 20
FRONT_BYTES_MAX = 256 << 20
GARBAGE = (
    b"\0" * 40_000,
    bytes(range(256)) * 100,
    b"GET /metrics?x=%C3%A9&name[]=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /metrics?x=\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: \xff\xfe\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: \xff,gzip;q=\x80\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: " + b"9" * 8000 + b"\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost:" + b"9" * 8000 + b"\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: [::1%\xff]\r\nOrigin: \xff\r\nSec-Fetch-Site: \xff\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic \xff\xff==\r\n\r\n",
    b"GET /v1/explain?id=" + b"9" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/explain?id=%00%FF HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/processes?filter=" + b"%28" * 2000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/processes?filter=" + b"not+" * 1200 + b"live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/processes?filter=args+~+%22a%7B99999999999%7D%22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/work?seconds=nan HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/work?seconds=1e999 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/follow?filter=pid=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
)


_BACKTRACKS = "a" * 60 + "!"
_EXECS = 300
_CHILDREN = 4000
_SEEN_INSIDE = """
import json, os, sys, urllib.error, urllib.request
def get(path):
    url = f"http://127.0.0.1:{sys.argv[1]}{path.removeprefix('open:')}"
    accept = "application/openmetrics-text" if path.startswith("open:") else "*/*"
    try:
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
pids = [name for name in os.listdir("/proc") if name.isdigit()]
print(json.dumps({"pids": pids, "answers": [get(path) for path in sys.argv[2:]]}))
"""
_FAMILY = f"""
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int child(void *none) {{ for (;;) pause(); return 0; }}
int main(void) {{
    char *stacks = calloc({_CHILDREN} + 1, 4096);
    for (int i = 1; i <= {_CHILDREN}; i++)
        if (clone(child, stacks + 4096 * i, CLONE_VM | SIGCHLD, NULL) < 0) return 1;
    puts("all");
    fflush(stdout);
    for (;;) pause();
}}
"""
"""Children that share one memory: thousands of them take little."""


@pytest.fixture
def siege(cgroup: Cgroup, loadgen: Path, tmp_path: Path) -> Iterator[Siege]:
    """One with a page at the port, so that all paths are there."""
    with besieged(tmp_path, cgroup, loadgen, "--set", "metrics.page=on") as under_way:
        yield under_way


def _tcp(agent: Agent) -> socket.socket:
    return socket.create_connection(("127.0.0.1", agent.port), ENOUGH_SECONDS)


def _unix(agent: Agent) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(ENOUGH_SECONDS)
    sock.connect(agent.socket)
    return sock


def _front(agent: Agent) -> int:
    """The pid of the front, once there is one."""
    pid = agent.process.pid
    deadline = time.monotonic() + ENOUGH_SECONDS
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"agentd.front" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    return int(child)
    raise AssertionError("no front")


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _healthy(agent: Agent) -> bool:
    with contextlib.suppress(OSError):
        return agent.get("/healthz") == (200, "ok\n")
    return False


def _assert_nothing_suffered(siege: Siege, own_events: int = 0) -> None:
    """No event is missing, none came late, and the daemon is small and ends well.

    ``own_events``: those of the attacker, beside the storm's.
    """
    outcome = siege.finish()
    assert (outcome.missing + own_events, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX
    assert outcome.peak_rss_bytes < RSS_BYTES_MAX
    assert "Traceback" not in siege.agent.log()


def test_bytes_that_are_no_request(siege: Siege) -> None:
    """Whatever bytes come at either door: an error for that one, and the front goes on."""
    agent = siege.agent
    front = _front(agent)
    for connect in (_tcp, _unix):
        for data in GARBAGE:
            with connect(agent) as sock, contextlib.suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 16):
                    pass
    assert _healthy(agent)
    assert _front(agent) == front
    assert agent.metrics()["agentd_http_failures_total", ()] == 0
    _assert_nothing_suffered(siege)


def test_thousands_of_requests_at_once(siege: Siege) -> None:
    """8 connections with 6,000 HEAD /metrics each: health is answered meanwhile."""
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(_tcp(siege.agent))
            sock.setblocking(False)
            request = b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 6000
            with contextlib.suppress(BlockingIOError):
                sock.send(request)
        begun = time.monotonic()
        assert _healthy(siege.agent)
        assert time.monotonic() - begun < 5
    _assert_nothing_suffered(siege)


def test_connections_that_say_nothing(siege: Siege) -> None:
    """Twice as many as there are places, some with half a request: who asks is answered."""
    with contextlib.ExitStack() as stack:
        for number in range(128):
            sock = stack.enter_context(_tcp(siege.agent))
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHo"[: number % 20])
        for _ in range(3):
            begun = time.monotonic()
            assert _healthy(siege.agent)
            assert time.monotonic() - begun < 8
    _assert_nothing_suffered(siege)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_front_that_dies(siege: Siege, number: signal.Signals) -> None:
    """It is counted and begun again; the daemon does not notice otherwise."""
    agent = siege.agent
    os.kill(_front(agent), number)
    agent.wait_until(lambda: _healthy(agent))
    assert agent.metrics()["agentd_front_failures_total", ()] == 1
    assert "the front failed" in agent.log()
    _assert_nothing_suffered(siege)


def test_a_front_that_stands_still(siege: Siege) -> None:
    """Nothing waits for it."""
    agent = siege.agent
    front = _front(agent)
    os.kill(front, signal.SIGSTOP)
    with _unix(agent) as sock:
        sock.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
        time.sleep(3)
    os.kill(front, signal.SIGCONT)
    assert _healthy(agent)
    _assert_nothing_suffered(siege)


def test_an_expression_that_backtracks(siege: Siege, cgroup: Cgroup) -> None:
    """Over a process that it matches for ever: no answer for whoever asks, and no other harm."""
    with cgroup.popen(["/bin/sleep", "1000", "#" + "a" * 60 + "!"]) as sleeping:
        try:
            query = "filter=args%20~%20%22%5E(.*%20)%3F%23(a%2B)%2B%24%22"
            with contextlib.ExitStack() as stack:
                for _ in range(8):
                    sock = stack.enter_context(_unix(siege.agent))
                    sock.sendall(f"GET /v1/processes?{query} HTTP/1.0\r\n\r\n".encode())
                assert _healthy(siege.agent)
                time.sleep(5)
            siege.agent.wait_until(lambda: _healthy(siege.agent))
        finally:
            sleeping.kill()
    _assert_nothing_suffered(siege, own_events=2)


def test_followers_whose_filters_backtrack(siege: Siege, cgroup: Cgroup) -> None:
    """Ten, over arguments made for that: health is answered, and what they had no time for comes,
    flagged.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            sock = stack.enter_context(_unix(siege.agent))
            sock.sendall(b"GET /v1/follow?filter=args~%22(a%2B)%2B%24%22 HTTP/1.0\r\n\r\n")
        lines = stack.enter_context(sock.makefile("rb"))
        assert b" 200 " in lines.readline()
        loop = f"for i in {{1..{_EXECS}}}; do /bin/true {_BACKTRACKS!r}; done"
        attack = stack.enter_context(cgroup.popen(["/bin/bash", "-c", loop]))
        begun = time.monotonic()
        for asked in range(1, 6):
            assert _healthy(siege.agent)
            assert time.monotonic() - begun < 5 * asked
        assert any(b'"undecided":["follow.filter"]' in line for line in lines)
        assert attack.wait(ENOUGH_SECONDS) == 0
    _assert_nothing_suffered(siege, own_events=2 + 3 * _EXECS)


def test_a_pid_namespace_with_the_network_of_the_host(siege: Siege, cgroup: Cgroup) -> None:
    """Whoever sees only itself in /proc sees no process of the host at the port, either."""
    outside = cgroup.popen(["/bin/sleep", "1000", "#private-argument"])
    paths = (
        "/metrics", "open:/metrics", "/v1/status", "/",
        "/v1/processes", "/v1/processes?exited=1", "/v1/follow",
        "/v1/work", f"/v1/explain?id={outside.pid}", f"/v1/explain?id={siege.agent.process.pid}",
    )  # fmt: skip
    with outside:
        try:
            command = ["unshare", "-pf", "--mount-proc", sys.executable, "-c", _SEEN_INSIDE]
            done = subprocess.run(
                [*command, str(siege.agent.port), *paths], capture_output=True, check=True
            )
        finally:
            outside.kill()
    seen = json.loads(done.stdout)
    assert seen["pids"] == ["1"]
    statuses = [status for status, _ in seen["answers"]]
    assert statuses == [200, 200, 200, 200, 403, 403, 404, 404, 403, 403]
    for _, body in seen["answers"]:
        assert "private-argument" not in body
        assert not re.search(r"[0-9a-f]{16}-\d+-\d+", body)  # an entity id
    assert (
        re.search(r'"entity_id"|"args"', "".join(body for _, body in seen["answers"][3:])) is None
    )
    _assert_nothing_suffered(siege, own_events=2)


def test_answers_that_nobody_reads(siege: Siege, cgroup: Cgroup, tmp_path: Path) -> None:
    """64 who ask for a parent with 4,000 children, and for all processes, and read nothing."""
    program = compile_c(tmp_path, "family", _FAMILY)
    parent = cgroup.popen([program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "all\n"
    with parent, contextlib.ExitStack() as stack:
        stack.callback(parent.kill)
        for number in range(64):
            sock = stack.enter_context(_unix(siege.agent))
            path = f"explain?id={parent.pid}" if number % 2 else "processes?exited=1"
            with contextlib.suppress(OSError):
                sock.sendall(f"GET /v1/{path} HTTP/1.0\r\n\r\n".encode())
        for _ in range(5):
            time.sleep(1)
            assert _resident_bytes(_front(siege.agent)) < FRONT_BYTES_MAX
        assert _healthy(siege.agent)
        for child in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    # the parent's exec and exit; fork and exit of each child
    _assert_nothing_suffered(siege, own_events=2 + 2 * _CHILDREN)


def test_followers_that_read_nothing(siege: Siege) -> None:
    """32 of them in a storm: each has a bounded queue, and the daemon has none of it."""
    with contextlib.ExitStack() as stack:
        for _ in range(32):
            sock = stack.enter_context(_unix(siege.agent))
            sock.sendall(b"GET /v1/follow HTTP/1.0\r\n\r\n")
        for _ in range(5):
            time.sleep(1)
            assert _resident_bytes(_front(siege.agent)) < FRONT_BYTES_MAX
        assert _healthy(siege.agent)
    _assert_nothing_suffered(siege)
