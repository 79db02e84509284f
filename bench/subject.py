"""What is measured: an agentd, from its start to its end, which is asked for by its pid."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from load import POLL_S, STOP_TIMEOUT_S, Cgroup, end
from observe import BenchError, Metrics, parse_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Agentd:
    """An agentd that is running."""

    process: subprocess.Popen[bytes]
    port: int
    log: IO[bytes]
    started_s: float

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP request; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def metrics(self) -> Metrics:
        """One scrape."""
        status, text = self.get("/metrics")
        if status != 200:
            raise self.failure(f"its /metrics answered {status}")
        return parse_metrics(text)

    def wait_ready(self) -> float:
        """Wait until it is ready. Returns the seconds since its start."""
        while self.get("/readyz")[0] != 200:
            if self.process.poll() is not None:
                raise self.failure(f"it ended with {self.process.returncode}")
            if time.monotonic() > self.started_s + READY_TIMEOUT_S:
                raise self.failure(f"it was not ready after {READY_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)
        return time.monotonic() - self.started_s

    def stop(self) -> None:
        """Ask it to end, let it say what it has left to say, and expect success."""
        self.process.terminate()
        try:
            self.process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise self.failure(f"SIGTERM did not end it in {STOP_TIMEOUT_S:.0f} s") from None
        if self.process.returncode:
            raise self.failure(f"it ended with {self.process.returncode} after SIGTERM")

    def failure(self, what: str) -> BenchError:
        """An error that shows the end of agentd's own log."""
        self.log.seek(0)
        tail = self.log.read().decode(errors="replace").splitlines()[-15:]
        return BenchError("\n  ".join([f"agentd failed: {what}. The end of its log:", *tail]))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_agentd(
    program: Path,
    cgroup: Cgroup,
    settings: tuple[str, ...],
    stdout: int = subprocess.DEVNULL,
    more: tuple[str, ...] = (),
) -> Iterator[Agentd]:
    """An agentd that watches the cgroup and stands outside of it."""
    port = _free_port()
    own = (f"filter.cgroup={cgroup.name}", f"metrics.listen=127.0.0.1:{port}")
    options = [word for setting in own + settings for word in ("--set", setting)]
    command = [str(program), "run", "--output", "json", *options, *more]
    with tempfile.TemporaryFile() as log:
        started_s = time.monotonic()
        process = subprocess.Popen(command, stdout=stdout, stderr=log, bufsize=0, process_group=0)
        try:
            agentd = Agentd(process, port, log, started_s)
            yield agentd
            agentd.stop()
        finally:
            end(process)
