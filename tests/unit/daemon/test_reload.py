"""agentd.daemon.reload"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agentd.config.schema import Config, Journal, Metrics
from agentd.daemon.batch_delay import Pace
from agentd.daemon.reload import Changeable, Reloading
from agentd.errors import ConfigError
from agentd.front.checking import checked
from agentd.front.listeners import CheckedWebConfig
from agentd.http.web_config import WebConfig, from_plain, load_web_config
from agentd.log import setup
from agentd.runtime import trial
from agentd.runtime.packing import unpack
from tests.certificate import make_certificate


class _Parts:
    """All that can be changed, and what it was told."""

    def __init__(self) -> None:
        self.chosen: list[Config] = []
        self.orders: list[tuple[int, int]] = []
        self.front: list[tuple[dict[str, Any], WebConfig]] = []

    def set_pace(self, pace: Pace, round_bytes: int) -> None:
        """As Rounds has it."""

    def set_order(self, capacity: int, slack_ns: int) -> None:
        """As Pipeline has it."""
        self.orders.append((capacity, slack_ns))

    def choose(self, config: Config) -> None:
        """As Outlets has it."""
        self.chosen.append(config)

    def change(self, settings: dict[str, Any], web_config: int | None) -> None:
        """As FrontKeeper has it, and as a front reads what it gets."""
        assert web_config is not None
        contents = os.pread(web_config, os.fstat(web_config).st_size, 0)
        self.front.append((settings, from_plain(unpack(contents))))


class _Log:
    """Remembers what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **values: Any) -> None:
        """As structlog has it."""
        self.lines.append((event, values))

    warning = error = info


@pytest.fixture(autouse=True)
def level_as_it_was() -> Iterator[None]:
    """The log's level is the process's."""
    yield
    setup.set_level("info")


def _reload(
    before: Config, asked: Config | ConfigError, web_config: CheckedWebConfig | None = None
) -> _Reloaded:
    async def load() -> Config:
        if isinstance(asked, ConfigError):
            raise asked
        return asked

    parts, told = _Parts(), _Log()
    every = cast(Any, parts)
    changeable = Changeable(every, every, every, every, every)
    if web_config is None:
        web_config = asyncio.run(checked(before))
    asyncio.run(Reloading(before, load, changeable, told, web_config).reload())
    return parts, told.lines


_Reloaded = tuple[_Parts, list[tuple[str, dict[str, Any]]]]

EXECS = Config(journal=Journal(actions=("exec",)))
EXITS = Config(journal=Journal(actions=("exit",)))


def test_other_actions_for_the_journal() -> None:
    """Where events go to the journal others can; whether any do is decided at the start."""
    parts, lines = _reload(EXECS, EXITS)
    assert parts.chosen == [EXITS]
    assert lines == [("reloaded", {"changed": ["journal.actions"]})]
    for before, asked in ((Config(), EXECS), (EXECS, Config())):
        parts, lines = _reload(before, asked)
        assert not parts.chosen
        assert lines[0][1]["keys"] == ["journal.actions"]
        assert lines[1] == ("reloaded", {"changed": []})


def test_what_is_not_good_changes_nothing(tmp_path: Path) -> None:
    """Neither a bad file, nor a good one that names a bad web_config."""
    bad = replace(EXITS, metrics=Metrics(web_config=str(tmp_path / "none.yml")))
    for asked in (ConfigError("no"), bad):
        parts, ((event, values),) = _reload(EXECS, asked)
        assert event == "not reloaded"
        assert values["problem"] in ("no", f"{tmp_path}/none.yml: No such file or directory")
        assert not parts.chosen
        assert not parts.orders


def test_a_check_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there can be no process for it nothing changes, and nothing ends."""

    def no_process(*_: object) -> int:
        raise BlockingIOError

    web_config = asyncio.run(checked(EXECS))
    monkeypatch.setattr(trial, "copied", no_process)
    parts, ((event, values),) = _reload(EXECS, EXITS, web_config)
    assert event == "not reloaded"
    assert "it could not be checked" in values["problem"]
    assert not parts.chosen


HASH = "$2b$04$IgUI.cYmaSqBkCzQPiNCmOHCIhYBOFJIbgvxwxfW2XUL9Bo9Gk4Za"
TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
CLIENTS = (
    "tls_server_config: {cert_file: cert.pem, key_file: key.pem, client_ca_file: cert.pem,"
    " client_auth_type: RequireAndVerifyClientCert}\n"
)
USERS = f'basic_auth_users: {{alice: "{HASH}"}}\n'
HEADERS = "http_server_config: {headers: {X-Frame-Options: deny}}\n"


@pytest.fixture
def web(tmp_path: Path) -> Config:
    """A configuration with a web-config that has everything in it."""
    make_certificate(tmp_path)
    file = tmp_path / "web-config.yml"
    file.write_text(TLS + USERS + HEADERS)
    return Config(metrics=Metrics(web_config=str(file)))


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (TLS + USERS + HEADERS, []),
        (HEADERS + USERS + "# the same\n" + TLS, []),
        (TLS + USERS, ["http_server_config"]),
        (TLS + USERS.replace("alice", "bob") + HEADERS, ["basic_auth_users"]),
        (CLIENTS + USERS, ["http_server_config", "tls_server_config"]),
    ],
)
def test_what_stands_in_web_config(web: Config, text: str, changed: list[str]) -> None:
    """Each section with other contents is named, and reaches the front; others are no change."""
    before = asyncio.run(checked(web))
    Path(web.metrics.web_config).write_text(text)
    expected = load_web_config(Path(web.metrics.web_config))
    parts, lines = _reload(web, web, before)
    names = [f"metrics.web_config:{name}" for name in changed]
    assert lines == [("reloaded", {"changed": names})]
    assert [found for _, found in parts.front] == ([expected] if changed else [])


def test_a_certificate_that_was_renewed(web: Config) -> None:
    """Is a change of its section, though the file is the same."""
    before = asyncio.run(checked(web))
    make_certificate(Path(web.metrics.web_config).parent)
    _, lines = _reload(web, web, before)
    assert lines == [("reloaded", {"changed": ["metrics.web_config:tls_server_config"]})]


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        (TLS + USERS, "", "TLS and passwords"),
        (TLS + USERS, TLS, "passwords"),
        (TLS + USERS, USERS, "TLS"),
        (TLS + USERS, TLS + "basic_auth_users:\n", "passwords"),
        (CLIENTS, TLS, "client certificates"),
        (CLIENTS + USERS, "# being written\n", "TLS and client certificates and passwords"),
        (USERS, HEADERS, "passwords"),
    ],
)
def test_a_web_config_that_is_half_written(web: Config, before: str, after: str, gone: str) -> None:
    """What would open the port to others is refused: nothing changes, and a line says how to."""
    file = Path(web.metrics.web_config)
    file.write_text(before)
    held = asyncio.run(checked(web))
    file.write_text(after)
    asked = replace(web, journal=EXITS.journal)
    parts, lines = _reload(replace(web, journal=EXECS.journal), asked, held)
    ((event, values),) = lines
    assert event == "not reloaded"
    assert values["problem"] == (
        f"{file}: asks no longer for {gone}, and the port would be open without"
        " (if that is meant, restart agentd)"
    )
    assert not parts.front
    assert not parts.chosen


def test_a_configuration_that_names_no_web_config_any_more(web: Config) -> None:
    """It is refused likewise: a configuration can be half written, too."""
    _, ((event, values),) = _reload(web, Config(), asyncio.run(checked(web)))
    assert event == "not reloaded"
    assert "metrics.web_config: asks no longer for TLS and passwords" in values["problem"]


def test_a_refused_one_holds_no_descriptor(web: Config) -> None:
    """However often somebody tries."""
    held = asyncio.run(checked(web))
    before = len(os.listdir("/proc/self/fd"))
    for text in ("", ": [", TLS):
        Path(web.metrics.web_config).write_text(text)
        _reload(web, web, held)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_was_checked_is_what_is_served(web: Config) -> None:
    """Whoever holds it cannot change it, and the file may be gone."""
    held = asyncio.run(checked(web))
    Path(web.metrics.web_config).unlink()
    assert held.fd is not None
    assert held.protection == {"TLS", "passwords"}
    with pytest.raises(PermissionError):
        os.pwrite(held.fd, b"x", 0)
    contents = from_plain(unpack(os.pread(held.fd, os.fstat(held.fd).st_size, 0)))
    assert contents.users == {"alice": HASH.encode()}
    held.close()
