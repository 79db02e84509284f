"""The metrics port behind TLS and a password."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import time
from pathlib import Path

import bcrypt

from tests.certificate import make_certificate
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, free_port
from tests.requirements import need_program

_LIMIT = ["--max-time", str(ENOUGH_SECONDS)]


def _command(cgroup: Cgroup, port: int, web_config: Path) -> list[str | Path]:
    """An agentd that lets in at that port who the file says."""
    settings = (
        f"filter.cgroup={cgroup.path}", f"metrics.listen=127.0.0.1:{port}",
        f"metrics.web_config={web_config}",
    )  # fmt: skip
    given = [word for setting in settings for word in ("--set", setting)]
    return [AGENTD, "run", "--output", "none", "--set", "control.socket=", *given]


def test_tls_and_a_password(cgroup: Cgroup, tmp_path: Path) -> None:
    """curl with certificate and password gets metrics and the page; without either it does not."""
    curl = need_program("curl")
    make_certificate(tmp_path)
    web_config = tmp_path / "web-config.yml"
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    web_config.write_text(
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
        f"basic_auth_users: {{alice: {hashed!r}}}\n"
    )
    port = free_port()
    command = _command(cgroup, port, web_config)

    def ask(*options: str, scheme: str = "https", path: str = "/metrics") -> str:
        url = f"{scheme}://127.0.0.1:{port}{path}"
        asked = [curl, "-sS", *_LIMIT, "-w", "%{http_code}", *options, url]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout

    trust = ("--cacert", str(tmp_path / "cert.pem"), "--retry", "60", "--retry-connrefused")
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            answer = ask(*trust, "--retry-delay", "1", "-u", "alice:open sesame")
            assert answer.endswith("200")
            assert "agentd_accounting_imbalance 0.0" in answer
            assert ask(*trust[:2]) == "a password is needed\n401"
            assert ask(*trust[:2], "-u", "alice:wrong").endswith("401")
            for path in ("/", "/v1/status", "/v1/processes"):
                assert ask(*trust[:2], path=path).endswith("401")
                assert ask(*trust[:2], "-u", "alice:open sesame", path=path).endswith("200")
            assert ask("-u", "alice:open sesame") == "000"
            assert ask("-u", "alice:open sesame", scheme="http") == "000"
        finally:
            process.terminate()
            assert process.stderr is not None
            process.stderr.read()


def test_a_password_that_comes_early(cgroup: Cgroup, tmp_path: Path) -> None:
    """Who asks while agentd is still starting waits for the answer, and does no harm."""
    web_config = tmp_path / "web-config.yml"
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    web_config.write_text(f"basic_auth_users: {{alice: {hashed!r}}}\n")
    port = free_port()
    command = _command(cgroup, port, web_config)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + ENOUGH_SECONDS
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                asking = socket.create_connection(("127.0.0.1", port), ENOUGH_SECONDS)
                break
            assert time.monotonic() < deadline
        with asking:
            credentials = base64.b64encode(b"alice:open sesame").decode()
            head = f"GET /readyz HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\r\n"
            asking.sendall(head.encode())
            assert asking.recv(1000).startswith(b"HTTP/1.1 200")
        process.terminate()
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(ENOUGH_SECONDS) == 0


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    """A mistake ends it before anything is attached, with the file and the key."""
    web_config = tmp_path / "web-config.yml"
    web_config.write_text("basic_auth_users: {alice: open}\n")
    command = [AGENTD, "run", "--set", f"metrics.web_config={web_config}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78
    assert f"{web_config}: basic_auth_users.alice: must be a bcrypt hash" in done.stderr
