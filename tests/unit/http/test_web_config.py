"""agentd.http.web_config"""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import pytest

from agentd.config.schema import Metrics
from agentd.errors import ConfigError
from agentd.http.web_config import WebConfig, load_web_config, web_config_of
from tests.certificate import make_certificate
from tests.requirements import need_program

TLS = "tls_server_config: {cert: a, key: b"
HASH = "$2b$04$IgUI.cYmaSqBkCzQPiNCmOHCIhYBOFJIbgvxwxfW2XUL9Bo9Gk4Za"


def _file(folder: Path, text: str) -> Path:
    path = folder / "web-config.yml"
    path.write_text(text)
    return path


def test_without_a_file_it_is_plain_http_for_everybody() -> None:
    """The default asks for nothing."""
    assert web_config_of(Metrics()) == WebConfig()


def test_tls_and_users(tmp_path: Path) -> None:
    """Files are found beside the file; users have their hashes; promtool agrees."""
    make_certificate(tmp_path)
    path = _file(
        tmp_path,
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n"
        f'basic_auth_users:\n  alice: "{HASH}"\n',
    )
    found = web_config_of(Metrics(web_config=str(path)))
    assert found.tls is not None
    assert found.tls.certificate == found.tls.client_ca == (tmp_path / "cert.pem").read_bytes()
    assert found.tls.verify_mode == ssl.CERT_REQUIRED
    assert found.users == {"alice": HASH.encode()}
    _promtool_agrees(path)


def _promtool_agrees(path: Path) -> None:
    promtool = need_program("promtool")
    done = subprocess.run([promtool, "check", "web-config", path], capture_output=True, check=False)
    assert done.returncode == 0, done


def test_all_that_can_be_served(tmp_path: Path) -> None:
    """Versions, ciphers by Go's names, a curve and headers; promtool agrees."""
    make_certificate(tmp_path)
    path = _file(
        tmp_path,
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
        "  client_auth_type: RequestClientCert\n"
        "  min_version: TLS12\n  max_version: TLS12\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n"
        "  prefer_server_cipher_suites: false\n  curve_preferences: [CurveP384]\n"
        "http_server_config:\n  http2: false\n  headers: {X-Frame-Options: deny}\n",
    )
    found = load_web_config(path)
    assert found.headers == {"X-Frame-Options": "deny"}
    assert found.tls is not None
    assert not found.tls.needs_certificate
    context = found.tls.context()
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2
    ciphers = [c["name"] for c in context.get_ciphers() if c["protocol"] != "TLSv1.3"]
    assert ciphers == ["ECDHE-ECDSA-AES256-GCM-SHA384"]
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    _promtool_agrees(path)


def test_certificates_inline(tmp_path: Path) -> None:
    """What stands in the file itself is the same as what stands beside it."""
    make_certificate(tmp_path)
    beside = _file(tmp_path, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}")
    from_files = load_web_config(beside)
    certificate, key = ((tmp_path / name).read_text() for name in ("cert.pem", "key.pem"))
    inside = _file(tmp_path, json.dumps({"tls_server_config": {"cert": certificate, "key": key}}))
    assert load_web_config(inside) == from_files


def test_a_key_with_a_password(tmp_path: Path) -> None:
    """Is an error, not a question on a terminal."""
    make_certificate(tmp_path)
    key = tmp_path / "key.pem"
    command = [
        "openssl",
        "ec",
        "-aes128",
        "-passout",
        "pass:sesame",
        "-in",
        str(key),
        "-out",
        str(key),
    ]
    subprocess.run(command, check=True, capture_output=True)
    path = _file(tmp_path, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}")
    with pytest.raises(ConfigError, match="tls_server_config: certificate, key or authority"):
        load_web_config(path)


def test_what_was_written_anew_is_another(tmp_path: Path) -> None:
    """A certificate that was renewed in place makes another configuration; a touch does not."""
    make_certificate(tmp_path)
    path = _file(tmp_path, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}")
    before = load_web_config(path)
    path.touch()
    assert load_web_config(path) == before
    make_certificate(tmp_path)
    assert load_web_config(path) != before


@pytest.mark.parametrize("cost", ["00", "03", "16", "31", "99"])
def test_a_check_of_a_password_takes_seconds_at_most(tmp_path: Path, cost: str) -> None:
    """Whoever connects can ask for one; bcrypt itself takes none below 4."""
    path = _file(tmp_path, f'basic_auth_users:\n  alice: "{HASH[:4]}{cost}{HASH[6:]}"\n')
    with pytest.raises(ConfigError, match=f"basic_auth_users.alice: bcrypt cost {cost}: must be"):
        load_web_config(path)


@pytest.mark.parametrize("cost", ["04", "10", "15"])
def test_costs_that_people_use(tmp_path: Path, cost: str) -> None:
    """From htpasswd's own to the highest that is bearable."""
    path = _file(tmp_path, f'basic_auth_users:\n  alice: "{HASH[:4]}{cost}{HASH[6:]}"\n')
    assert load_web_config(path).users


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    """As Prometheus takes it."""
    assert load_web_config(_file(tmp_path, "")) == WebConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", ["it", "keys and values"]),
        ("a: [", ["not YAML"]),
        ("rate_limit: {interval: 1s}", ["rate_limit", "not limited"]),
        ("http_config: {}", ["http_config", "agentd knows"]),
        ("http_server_config: {http2: yep}", ["http_server_config.http2", "true or false"]),
        ("http_server_config: {headers: {X-Mine: a}}", ["headers.X-Mine", "X-Frame-Options"]),
        (
            'http_server_config: {headers: {X-Frame-Options: "a\\nb"}}',
            ["headers.X-Frame-Options", "a line"],
        ),
        ("tls_server_config: {}", ["cert_file and key_file"]),
        ("tls_server_config: {cert_file: a, key_file: b}", ["cert_file", "a: No such file"]),
        ("tls_server_config: {cert_file: [1], key_file: b}", ["cert_file", "a path"]),
        ("tls_server_config: {cert: a, cert_file: a}", ["cert", "beside cert_file"]),
        ("tls_server_config: {cert: a, key: b}", ["tls_server_config", "certificate"]),
        (
            "tls_server_config: {client_allowed_sans: [a]}",
            ["client_allowed_sans", "client_ca_file"],
        ),
        (f"{TLS}, min_version: TLS10}}", ["min_version", "TLS12, TLS13"]),
        (f"{TLS}, min_version: TLS13, max_version: TLS12}}", ["max_version", "below"]),
        (f"{TLS}, client_auth_type: RequireAnyClientCert}}", ["client_auth_type", "RequireAndV"]),
        (f"{TLS}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}", ["cipher_suites", "RC4", "GCM"]),
        (f"{TLS}, cipher_suites: TLS_AES_128_GCM_SHA256}}", ["cipher_suites", "a list"]),
        (f"{TLS}, curve_preferences: [X25519, CurveP256]}}", ["curve_preferences", "one"]),
        (
            f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}",
            ["client_ca_file", "needed"],
        ),
        ("basic_auth_users: [a]", ["basic_auth_users", "hashes"]),
        ("basic_auth_users: {a: secret}", ["basic_auth_users.a", "bcrypt"]),
        ("basic_auth_users: {'a:b': secret}", ["'a:b'"]),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    """What is wrong, where, and never the secret itself."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_web_config(path)
    message = str(caught.value)
    assert all(word in message for word in (str(path), *words)), message
    assert "secret" not in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is named."""
    with pytest.raises(ConfigError, match=r"none\.yml: No such file"):
        load_web_config(tmp_path / "none.yml")
