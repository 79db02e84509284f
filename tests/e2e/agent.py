"""Starts ``agentd`` beside the running Python, and asks it questions."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
from prometheus_client.parser import text_string_to_metric_families

AGENTD = str(Path(sys.executable).with_name("agentd"))
CPU_SECONDS = ("process_cpu_seconds_total", ())
ENOUGH_SECONDS = 30.0
"""A safety net for whatever should happen at once."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def basic(password: str) -> str:
    """What alice's browser sends."""
    return "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()


def users_file(password: str) -> str:
    """A web configuration that asks for it."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    return f"basic_auth_users: {{alice: {hashed!r}}}\n"


def whole_lines(output: Path) -> list[dict[str, Any]]:
    """What was written there as JSON; what a kill cut off, or is still to come, is none."""
    lines = output.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n") and line != "\n"]


class Agent:
    """A running agentd. ``password``: alice's, if one is asked for."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, output: Path, password: str = ""
    ) -> None:
        self.headers = {"Authorization": basic(password)} if password else {}
        self.socket = str(output.with_suffix(".sock"))
        self.process = process
        self.port = port
        self._output = output

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a GET."""
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=ENOUGH_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All samples by name and labels, as they were after this call began.

        A scrape may be a second old. One that has newer numbers than the one before was asked for
        in between: what the daemon has used of the CPU never stays the same.
        """
        before = self._scraped()[CPU_SECONDS]
        while (now := self._scraped())[CPU_SECONDS] == before:
            time.sleep(0.02)
        return now

    def _scraped(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        _, text = self.get("/metrics")
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
            for sample in family.samples
        }

    def events_total(self) -> int:
        """Events that went out, of all kinds."""
        return int(
            sum(v for (name, _), v in self.metrics().items() if name == "agentd_events_total")
        )

    def lost_total(self) -> int:
        """Events that were lost, at all stages."""
        lost = [v for (name, _), v in self.metrics().items() if name == "agentd_lost_events_total"]
        return int(sum(lost))

    def wait_until_ready(self) -> None:
        """Wait for /readyz."""
        deadline = time.monotonic() + ENOUGH_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "agentd ended early"
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if self.get("/readyz")[0] == 200:
                    return
            time.sleep(0.02)
        raise AssertionError("agentd did not become ready")

    def wait_for_events(self, count: int) -> None:
        """Wait until so many events have gone out."""
        self.wait_until(lambda: self.events_total() >= count)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + ENOUGH_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"never so: {self.log()}"
            time.sleep(0.02)

    def pids(self, *actions: str) -> set[int]:
        """The processes of which the JSON output has one of these events."""
        lines = whole_lines(self._output)
        events = [line for line in lines if line["event"]["action"] in actions]
        return {line["process"]["pid"] for line in events}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(ENOUGH_SECONDS)

    def text(self) -> str:
        """What has been written to standard output."""
        return self._output.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The same as JSON, line by line."""
        return [json.loads(line) for line in self.text().splitlines()]

    def log(self) -> str:
        """What has been written to standard error."""
        return self._output.with_suffix(".err").read_text()


@contextlib.contextmanager
def running(folder: Path, cgroup_path: str, *options: str, password: str = "") -> Iterator[Agent]:
    """An agentd that is ready, its output in a file of ``folder``; ended in the end."""
    with listening(folder, cgroup_path, free_port(), *options, password=password) as agent:
        agent.wait_until_ready()
        yield agent


@contextlib.contextmanager
def listening(
    folder: Path,
    cgroup_path: str,
    port: int,
    *options: str,
    password: str = "",
    stdout: int | None = None,
) -> Iterator[Agent]:
    """The same, but whether it is ready is for others to ask.

    ``stdout``: a descriptor to write events to, instead of the file.
    """
    output = folder / "agentd.out"
    command = [AGENTD, "run", "--set", f"metrics.listen=127.0.0.1:{port}"]
    command += ["--set", f"control.socket={output.with_suffix('.sock')}"]
    command += ["--set", f"filter.cgroup={cgroup_path}", *options]
    with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
        events = out if stdout is None else stdout
        process = subprocess.Popen(command, stdout=events, stderr=err, stdin=subprocess.DEVNULL)
    try:
        yield Agent(process, port, output, password)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
