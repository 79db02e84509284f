"""Prometheus's own file for TLS and passwords of an exporter, ``web-config.yml``.

The format is that of the exporter toolkit (github.com/prometheus/exporter-toolkit,
docs/web-configuration.md). What agentd cannot serve in it is refused by name, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.config.files import UnreadableFileError, read_file
from agentd.config.schema import Metrics
from agentd.errors import ConfigError
from agentd.http import tls
from agentd.http.tls import Tls
from agentd.http.yaml_section import WAY_OUT, Section
from agentd.terminal.escape import printable_path, shortened

_SERVER, _USERS = "http_server_config", "basic_auth_users"
_KEYS = {tls.NAME, _SERVER, _USERS}
_REFUSED = {"rate_limit": "requests are not limited; a firewall may do that"}
_HEADERS = {
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
}
"""Those that the toolkit lets one set."""
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
"""As bcrypt writes it: version, cost, salt and hash."""
_COST_MIN, _COST_MAX = 4, 15
"""bcrypt takes none below. Each one more doubles the time of a check, which whoever connects can
ask for: about 0.1 s of CPU at 10, 3 s at 15, two days at 31."""


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says; plain HTTP for everybody if there is none."""

    tls: Tls | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    """The bcrypt hash of each user's password."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of every answer that has none of that name."""

    @property
    def protection(self) -> list[str]:
        """What keeps others out, in words."""
        needs_certificate = self.tls is not None and self.tls.needs_certificate
        asked = {
            "TLS": self.tls is not None,
            "passwords": bool(self.users),
            "client certificates": needs_certificate,
        }
        return [word for word, is_asked in asked.items() if is_asked]

    def plain(self) -> dict[str, Any]:
        """Its sections as plain values, for another process."""
        return {
            tls.NAME: None if self.tls is None else self.tls.plain(),
            _USERS: dict(self.users),
            _SERVER: dict(self.headers),
        }


def from_plain(plain: Mapping[str, Any]) -> WebConfig:
    """The web-config that such values were made of."""
    found = plain[tls.NAME]
    return WebConfig(
        None if found is None else tls.from_plain(found), plain[_USERS], plain[_SERVER]
    )


def web_config_of(metrics: Metrics) -> WebConfig:
    """What the configuration names. Raises ConfigError naming what is wrong in the file."""
    return load_web_config(Path(metrics.web_config)) if metrics.web_config else WebConfig()


def load_web_config(path: Path) -> WebConfig:
    """Read and check a file. Raises ConfigError naming what is wrong."""
    from agentd.http.yaml_tree import NotYamlError, parse_yaml  # noqa: PLC0415 (memory)

    try:
        found = parse_yaml(read_file(path).decode())
    except UnreadableFileError as error:
        raise ConfigError(f"{printable_path(path)}: {error}") from None
    except (NotYamlError, UnicodeDecodeError) as error:
        raise ConfigError(f"{printable_path(path)}: not YAML: {error}", WAY_OUT) from None
    whole = Section(path, "", found if found is not None else {}, _KEYS, _REFUSED)
    headers = _http_headers(path, whole)
    users = _users(path, whole)
    if tls.NAME not in whole:
        return WebConfig(None, users, headers)
    section = Section(path, tls.NAME, whole.value(tls.NAME), tls.KEYS, tls.REFUSED)
    return WebConfig(tls.read_tls(section), users, headers)


def _http_headers(path: Path, whole: Section) -> dict[str, str]:
    section = Section(path, _SERVER, whole.value(_SERVER) or {}, {"http2", "headers"})
    headers = Section(path, f"{_SERVER}.headers", section.value("headers") or {}, _HEADERS)
    named = {key: headers.value(key) for key in sorted(_HEADERS) if key in headers}
    for key, value in named.items():
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise headers.wrong(key, "must be a line of ASCII")
    section.flag("http2", default=True)  # an offer to clients, which need not be made
    return named


def _users(path: Path, whole: Section) -> dict[str, bytes]:
    found = whole.value(_USERS)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise whole.wrong(_USERS, "must be users and their bcrypt hashes")
    section = Section(path, _USERS, found, set(found))
    for user, hashed in found.items():
        if ":" in user:
            raise whole.wrong(_USERS, f"{shortened(user)!r} is no name of a user")
        found_hash = _HASH.fullmatch(hashed) if isinstance(hashed, str) else None
        if found_hash is None:
            raise section.wrong(user, "must be a bcrypt hash (htpasswd -nB USER)")
        if not _COST_MIN <= int(found_hash[1]) <= _COST_MAX:
            raise section.wrong(
                user,
                f"bcrypt cost {found_hash[1]}: must be from {_COST_MIN} to {_COST_MAX}; each one"
                " more doubles the time of a check, for strangers too (htpasswd -nBC 10 USER)",
            )
    return {user: hashed.encode() for user, hashed in found.items()}
