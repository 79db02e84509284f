"""A running daemon at each of its doors: requests by docs/openapi.json, and bytes that are none.

Nothing ends it or the process that serves its doors, nothing is answered that the document does not
have, and the log shows no failure. Processes of the host are not shown when a test fails.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode

from agentd.filters import parameters
from tests.certificate import make_certificate
from tests.cgroup import own_cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent, free_port, listening, users_file
from tests.fuzz.doors import WORDS
from tests.fuzz.inputs import DOORS, inputs_of, seeds, share_seconds, watched
from tests.fuzz.target import Target, corpus_of
from tests.kernel.available import need_tracing

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT: dict[str, Any] = json.loads((DOCS / "openapi.json").read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: dict[str, Any] = {path: SCHEMA[path]["GET"] for path in DOCUMENT["paths"]}
EVENTS = json.loads((DOCS / "events.schema.json").read_text())
LINES_CHECKED = 20
QUIET_SECONDS = 0.1
"""How long TLS has nothing to read before we leave: its end cannot be closed in one direction."""
Settings = settings(
    max_examples=4, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


class Door:
    """One of a running daemon's."""

    def __init__(self, name: str, agent: Agent) -> None:
        self.name = name
        self.agent = agent
        self.tls = ssl.create_default_context() if name == "tls" else None
        if self.tls is not None:
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.password = base64.b64encode(b"alice:x").decode() if name == "password" else ""

    def paths(self) -> list[str]:
        """What there is."""
        if self.name == "control":
            return [path for path in OPERATIONS if path.startswith("/v1/")]
        there = [path for path in OPERATIONS if not path.startswith("/v1/")]
        return [*there, *parameters.AT_THE_PORT]

    def send(self, data: bytes, *, plain: bool = False) -> bytes:
        """What comes back when nothing follows these bytes. ``plain``: never encrypted."""
        encrypts = self.tls is not None and not plain
        with contextlib.suppress(OSError), self._connected(encrypts=encrypts) as sock:
            sock.sendall(data)
            if not encrypts:
                sock.shutdown(socket.SHUT_WR)
            elif b"onnection: close" not in data:
                sock.settimeout(QUIET_SECONDS)
            return _read(sock)
        return b""

    def _connected(self, *, encrypts: bool) -> socket.socket:
        is_control = self.name == "control"
        sock = socket.socket(socket.AF_UNIX if is_control else socket.AF_INET)
        sock.settimeout(ENOUGH_SECONDS)
        try:
            sock.connect(self.agent.socket if is_control else ("127.0.0.1", self.agent.port))
            return self.tls.wrap_socket(sock) if encrypts and self.tls is not None else sock
        except OSError:
            sock.close()
            raise

    def ask(self, target: str, *, known: bool = True) -> http.client.HTTPResponse:
        """The answer to a GET, its body read."""
        who = f"Authorization: Basic {self.password}\r\n" if self.password and known else ""
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{who}\r\n"
        response = http.client.HTTPResponse(_Answered(self.send(head.encode())))  # type: ignore[arg-type]
        response.begin()
        return response

    def assert_well(self) -> None:
        """It lives, answers, and nothing has failed since it began."""
        assert self.agent.process.poll() is None
        answer = self.ask("/v1/status" if self.name == "control" else "/healthz")
        assert answer.status == http.client.OK
        text = answer.read() if self.name == "control" else self.ask("/v1/status").read()
        status = json.loads(text)
        assert (status["healthy"], status["front_failures"], status["snapshot_failures"]) == (
            True, 0, 0,
        )  # fmt: skip
        if self.name != "control":
            metrics = self.ask("/metrics").read().decode()
            assert re.findall(r"^agentd_http_failures_total (\S+)", metrics, re.M) == ["0.0"]
        log = self.agent.log()
        assert "Traceback" not in log
        assert "failed" not in log


class _Answered:
    """A socket of which all has been read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """As http.client wants it."""
        return io.BytesIO(self._data)


def _read(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(TimeoutError):
        while piece := sock.recv(1 << 16):
            data += piece
    return data


@pytest.fixture(scope="module", params=DOORS)
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    """A door of a daemon that runs for this module's tests."""
    need_tracing()
    folder = tmp_path_factory.mktemp("doors")
    options = ["--output", "none", "--set", "metrics.page=on"]
    if request.param in ("password", "tls"):
        web_config = folder / "web.yml"
        options += ["--set", f"metrics.web_config={web_config}"]
    if request.param == "password":
        web_config.write_text(users_file("x"))
    if request.param == "tls":
        make_certificate(folder)
        files = "cert_file: cert.pem, key_file: key.pem"
        web_config.write_text(f"tls_server_config: {{{files}}}\n")
    with (
        own_cgroup("fuzz") as cgroup,
        listening(folder, cgroup.path, free_port(), *options) as agent,
    ):
        found = Door(request.param, agent)
        agent.wait_until(lambda: _is_there(found))
        yield found


def _is_there(door: Door) -> bool:
    assert door.agent.process.poll() is None, door.agent.log()
    path = "/v1/status" if door.name == "control" else "/readyz"
    try:
        return door.ask(path).status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def test_requests_by_the_document(door: Door) -> None:
    """Whatever parameters there are, right ones and wrong: the answer is one of those described."""
    until_seconds = time.monotonic() + share_seconds()
    for number in seeds():
        for path in door.paths():
            _try_path(door, path, number)
        if time.monotonic() > until_seconds:
            break
    door.assert_well()


def _try_path(door: Door, path: str, number: int) -> None:
    operation = OPERATIONS[path]
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    cases = right | wrong if operation.query else right

    @seed(number)
    @Settings
    @given(cases, st.booleans())
    def run(case: Any, known: bool) -> None:
        query = urlencode(case.query or {}, doseq=True, errors="surrogatepass")
        target = f"{path}?{query}" if query else path
        with watched(f"door.{door.name}", target.encode()):
            _assert_described(door, path, target, known=known)

    run()


def _assert_described(door: Door, path: str, target: str, *, known: bool) -> None:
    answer = door.ask(target, known=known)
    described = DOCUMENT["paths"][path]["get"]["responses"].get(str(answer.status))
    assert described is not None, f"{target}: {answer.status}"
    assert (answer.status == http.client.UNAUTHORIZED) is (bool(door.password) and not known)
    content_type = answer.headers["content-type"]
    content = described["content"].get(content_type)
    assert content is not None, f"{target}: {answer.status} {content_type}"
    body = _body(answer, path)
    lines = [body] if content_type == "application/json" else body.splitlines()[:LINES_CHECKED]
    schema = content.get("x-line", content["schema"])
    if schema != {"type": "string"}:
        for line in lines:
            _assert_valid(schema, line, target)
    elif not content_type.startswith("text/plain; version"):
        body.decode()


def _body(answer: http.client.HTTPResponse, path: str) -> bytes:
    """All of it; of a stream what came before we had nothing more to say, which ends it."""
    try:
        return answer.read()
    except http.client.IncompleteRead as error:
        assert path in (parameters.FOLLOW.path, parameters.WORK.path)
        return error.partial


def _assert_valid(schema: Any, line: bytes, target: str) -> None:
    whole = EVENTS if schema == {"$ref": "events.schema.json"} else schema | DOCUMENT
    for error in Draft202012Validator(whole).iter_errors(json.loads(line)):
        pytest.fail(f"{target}: {error.json_path} is not as {error.validator} has it")


def test_bytes_that_are_no_requests(door: Door) -> None:
    """Each is answered with HTTP, or the connection ends; none with a failure."""
    until_seconds = time.monotonic() + share_seconds()
    corpus = [path.read_bytes() for path in corpus_of("http")]
    for data in corpus:
        _try_bytes(door, data)
    inputs = inputs_of(Target(lambda data: None, WORDS), corpus)
    for number in seeds():
        if time.monotonic() > until_seconds:
            break

        @seed(number)
        @Settings
        @given(inputs)
        def run(data: bytes) -> None:
            _try_bytes(door, data)

        run()
    door.assert_well()


def _try_bytes(door: Door, data: bytes) -> None:
    with watched(f"door.{door.name}", data):
        answer = door.send(data)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert b"HTTP/1.1 500 " not in answer
        if door.tls is not None:
            door.send(data, plain=True)
