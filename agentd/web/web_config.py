"""Prometheus's own file for TLS and passwords of an exporter, ``web-config.yml``.

The format is that of the exporter toolkit (github.com/prometheus/exporter-toolkit,
docs/web-configuration.md). What agentd does not know in it is refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from ssl import (
    CERT_NONE,
    CERT_OPTIONAL,
    CERT_REQUIRED,
    SSLError,
    VerifyMode,
    create_default_context,
)
from typing import Any

from agentd.errors import ConfigError
from agentd.settings import Metrics

_CLIENTS = {
    "NoClientCert": CERT_NONE,
    "VerifyClientCertIfGiven": CERT_OPTIONAL,
    "RequireAndVerifyClientCert": CERT_REQUIRED,
}
"""What ``client_auth_type`` may be. Those that ask for a certificate and believe any are not."""

_TLS_KEYS = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}
_HASH_STARTS = ("$2a$", "$2b$", "$2y$")
_WAY_OUT = "docs/metrics.md shows one"


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of the server, and what it wants of its clients."""

    cert_file: str
    key_file: str
    client_ca_file: str | None
    verify_mode: VerifyMode

    @property
    def needs_certificate(self) -> bool:
        """Whether nobody comes in without one."""
        return self.verify_mode == CERT_REQUIRED


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says; plain HTTP for everybody if there is none."""

    tls: Tls | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    """The bcrypt hash of each user's password."""


def web_config_of(metrics: Metrics) -> WebConfig:
    """What the configuration names. Raises ConfigError naming what is wrong in the file."""
    return load_web_config(Path(metrics.web_config)) if metrics.web_config else WebConfig()


def load_web_config(path: Path) -> WebConfig:
    """Read and check a file. Raises ConfigError naming what is wrong."""
    import yaml  # noqa: PLC0415 (memory)

    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}", _WAY_OUT) from None
    return _Checked(path).web_config(found if found is not None else {})


class _Checked:
    """Reads values, and names what is wrong with one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def web_config(self, found: Any) -> WebConfig:
        self._only("", found, {"tls_server_config", "basic_auth_users"})
        tls = self._tls(found["tls_server_config"]) if "tls_server_config" in found else None
        return WebConfig(tls, self._users(found.get("basic_auth_users", {})))

    def _tls(self, found: Any) -> Tls:
        section = "tls_server_config"
        self._only(section, found, _TLS_KEYS)
        version = found.get("min_version", "TLS12")
        if version != "TLS12":
            raise self._wrong(f"{section}.min_version", "must be TLS12: 1.2 and later are offered")
        kind = found.get("client_auth_type", "NoClientCert")
        if kind not in _CLIENTS:
            raise self._wrong(
                f"{section}.client_auth_type", f"must be one of {', '.join(_CLIENTS)}"
            )
        authority = self._file(section, found, "client_ca_file")
        if authority is None and kind != "NoClientCert":
            raise self._wrong(f"{section}.client_ca_file", f"is needed for {kind}")
        certificate = self._file(section, found, "cert_file")
        key = self._file(section, found, "key_file")
        if certificate is None or key is None:
            raise self._wrong(section, "needs cert_file and key_file")
        self._try(certificate, key, authority)
        return Tls(certificate, key, authority, _CLIENTS[kind])

    def _file(self, section: str, found: dict[str, Any], key: str) -> str | None:
        """A path, relative to the file's folder."""
        value = found.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self._wrong(f"{section}.{key}", "must be a path")
        return str(self._path.parent / value)

    def _try(self, certificate: str, key: str, authority: str | None) -> None:
        """Whether TLS can be served with these."""
        context = create_default_context()
        self._load(f"{certificate}, {key}", lambda: context.load_cert_chain(certificate, key))
        if authority is not None:
            self._load(authority, lambda: context.load_verify_locations(authority))

    def _load(self, files: str, load: Callable[[], None]) -> None:
        try:
            load()
        except (OSError, SSLError) as error:
            reason = error.reason if isinstance(error, SSLError) else error.strerror
            raise self._wrong("tls_server_config", f"{files}: {reason}") from None

    def _users(self, found: Any) -> dict[str, bytes]:
        section = "basic_auth_users"
        if not isinstance(found, dict):
            raise self._wrong(section, "must be users and their bcrypt hashes")
        for user, hashed in found.items():
            if not isinstance(user, str) or ":" in user:
                raise self._wrong(section, f"{user!r} is no name of a user")
            if not isinstance(hashed, str) or not hashed.startswith(_HASH_STARTS):
                raise self._wrong(f"{section}.{user}", "must be a bcrypt hash (htpasswd -nB USER)")
        return {user: hashed.encode() for user, hashed in found.items()}

    def _only(self, section: str, found: Any, known: set[str]) -> None:
        if not isinstance(found, dict):
            raise self._wrong(section or "it", "must be keys and values")
        for key in found:
            if key not in known:
                name = f"{section}.{key}" if section else key
                raise self._wrong(name, f"agentd knows {', '.join(sorted(known))}")

    def _wrong(self, name: str, problem: str) -> ConfigError:
        return ConfigError(f"{self._path}: {name}: {problem}", _WAY_OUT)
