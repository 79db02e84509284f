"""``tls_server_config`` of a ``web-config.yml``, as far as Python's ssl can serve it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from ssl import (
    CERT_NONE,
    CERT_OPTIONAL,
    CERT_REQUIRED,
    OP_CIPHER_SERVER_PREFERENCE,
    OP_NO_COMPRESSION,
    Purpose,
    SSLContext,
    SSLError,
    TLSVersion,
    VerifyMode,
    create_default_context,
)
from typing import Any

from agentd.http.yaml_section import Section

NAME = "tls_server_config"
KEYS = {
    "cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type",
    "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites",
    "curve_preferences",
}  # fmt: skip
REFUSED = {
    "client_allowed_sans": "names in client certificates are not compared; let client_ca_file"
    " be an authority of the scrapers' own",
}
_CLIENTS = {
    "NoClientCert": CERT_NONE,
    "RequestClientCert": CERT_NONE,  # it asks for one that nobody then looks at
    "VerifyClientCertIfGiven": CERT_OPTIONAL,
    "RequireAndVerifyClientCert": CERT_REQUIRED,
}
"""RequireAnyClientCert, which believes any certificate, cannot be had of Python's ssl."""
_VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}
_CURVES = {
    "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1",
    "X25519": "X25519",
}  # fmt: skip
_DEFAULT_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_CIPHERS_OF_13 = {
    "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
}  # fmt: skip
"""Go does not let anybody choose among them either."""
_CIPHERS = {
    f"TLS_ECDHE_{kind}_WITH_{go}": f"ECDHE-{kind}-{openssl}"
    for kind in ("ECDSA", "RSA")
    for go, openssl in {
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
    }.items()
}
"""Go's names of what it takes for secure (crypto/tls.CipherSuites), and OpenSSL's."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server shows, and what it wants of its clients: contents, not names of files.

    So those that are equal are so although a file has been written anew, and the other way round.
    """

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None
    verify_mode: VerifyMode = CERT_NONE
    minimum: TLSVersion = TLSVersion.TLSv1_2
    maximum: TLSVersion = TLSVersion.TLSv1_3
    ciphers: str = _DEFAULT_CIPHERS
    curve: str | None = None
    own_order: bool = True

    def plain(self) -> tuple[Any, ...]:
        """As plain values, for another process."""
        return tuple(
            int(value) if isinstance(value, VerifyMode | TLSVersion) else value
            for value in (getattr(self, field.name) for field in fields(self))
        )

    @property
    def needs_certificate(self) -> bool:
        """Whether nobody comes in without one."""
        return self.verify_mode == CERT_REQUIRED

    def context(self) -> SSLContext:
        """For a server. Raises OSError, SSLError, ValueError."""
        context = create_default_context(Purpose.CLIENT_AUTH)
        context.minimum_version, context.maximum_version = self.minimum, self.maximum
        context.set_ciphers(self.ciphers)
        context.options |= OP_NO_COMPRESSION
        if not self.own_order:
            context.options &= ~OP_CIPHER_SERVER_PREFERENCE
        if self.curve is not None:
            context.set_ecdh_curve(self.curve)
        context.set_alpn_protocols(["http/1.1"])
        with _as_file(self.certificate) as certificate, _as_file(self.key) as key:
            context.load_cert_chain(certificate, key, password=_no_password)
        if self.client_ca is not None:
            context.load_verify_locations(cadata=self.client_ca.decode("ascii"))
        context.verify_mode = self.verify_mode
        return context


def from_plain(plain: Sequence[Any]) -> Tls:
    """What such values were made of."""
    certificate, key, client_ca, verify_mode, minimum, maximum, *others = plain
    versions = TLSVersion(minimum), TLSVersion(maximum)
    return Tls(certificate, key, client_ca, VerifyMode(verify_mode), *versions, *others)


def read_tls(section: Section) -> Tls:
    """What the section says. Raises ConfigError naming the key, and what may stand there."""
    certificate, key = section.pem("cert", "cert_file"), section.pem("key", "key_file")
    if certificate is None or key is None:
        raise section.wrong("", "needs cert_file and key_file, or cert and key")
    minimum = section.choice("min_version", _VERSIONS, "TLS12")
    maximum = section.choice("max_version", _VERSIONS, "TLS13")
    if minimum > maximum:
        raise section.wrong("max_version", "is below min_version")
    tls = Tls(
        certificate,
        key,
        section.pem("client_ca", "client_ca_file"),
        section.choice("client_auth_type", _CLIENTS, "NoClientCert"),
        minimum,
        maximum,
        _ciphers(section),
        _curve(section),
        section.flag("prefer_server_cipher_suites", default=True),
    )
    if tls.client_ca is None and tls.verify_mode != CERT_NONE:
        kind = section.value("client_auth_type")
        raise section.wrong("client_ca_file", f"is needed for {kind}")
    _try(section, tls)
    return tls


def _ciphers(section: Section) -> str:
    names = section.texts("cipher_suites")
    for name in names:
        if name not in _CIPHERS and name not in _CIPHERS_OF_13:
            known = ", ".join([*_CIPHERS, *sorted(_CIPHERS_OF_13)])
            raise section.wrong("cipher_suites", f"{name} is none of {known}")
    return ":".join(_CIPHERS[name] for name in names if name in _CIPHERS) or _DEFAULT_CIPHERS


def _curve(section: Section) -> str | None:
    names = section.texts("curve_preferences")
    if not names:
        return None
    if len(names) > 1 or names[0] not in _CURVES:
        words = f"must be one of {', '.join(_CURVES)}, and no more than one: Python's ssl"
        raise section.wrong(
            "curve_preferences", f"{words} takes one, or all if the key is left out"
        )
    return _CURVES[names[0]]


def _try(section: Section, tls: Tls) -> None:
    """Whether TLS can be served with these."""
    try:
        tls.context()
    except SSLError as error:
        reason = error.reason or str(error)
        raise section.wrong("", f"certificate, key or authority: {reason}") from None
    except (OSError, ValueError) as error:
        raise section.wrong("", f"certificate, key or authority: {error}") from None


@contextmanager
def _as_file(contents: bytes) -> Iterator[str]:
    """A path for those who take nothing else."""
    with open(os.memfd_create("agentd-pem", os.MFD_CLOEXEC), "wb") as file:
        file.write(contents)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _no_password() -> bytes:
    """Without this, OpenSSL would ask a terminal."""
    return b""
