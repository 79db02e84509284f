"""agentd.web.web_config"""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from agentd.errors import ConfigError
from agentd.settings import Metrics
from agentd.web.web_config import WebConfig, load_web_config, web_config_of
from tests.certificate import make_certificate
from tests.requirements import need_program

HASH = "$2b$04$IgUI.cYmaSqBkCzQPiNCmOHCIhYBOFJIbgvxwxfW2XUL9Bo9Gk4Za"


def _file(folder: Path, text: str) -> Path:
    path = folder / "web-config.yml"
    path.write_text(text)
    return path


def test_without_a_file_it_is_plain_http_for_everybody() -> None:
    """The default asks for nothing."""
    assert web_config_of(Metrics()) == WebConfig(None, {})


def test_tls_and_users(tmp_path: Path) -> None:
    """Files are found beside the file; users have their hashes; promtool's toolkit agrees."""
    make_certificate(tmp_path)
    path = _file(
        tmp_path,
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n"
        f'basic_auth_users:\n  alice: "{HASH}"\n',
    )
    found = web_config_of(Metrics(web_config=str(path)))
    assert found.tls is not None
    assert found.tls.cert_file == str(tmp_path / "cert.pem")
    assert found.tls.client_ca_file == str(tmp_path / "cert.pem")
    assert found.tls.verify_mode == ssl.CERT_REQUIRED
    assert found.users == {"alice": HASH.encode()}
    promtool = need_program("promtool")
    done = subprocess.run([promtool, "check", "web-config", path], capture_output=True, check=False)
    assert done.returncode == 0, done


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    """As Prometheus takes it."""
    assert load_web_config(_file(tmp_path, "")) == WebConfig(None, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", ["it", "keys and values"]),
        ("a: [", ["not YAML"]),
        ("http_server_config: {}", ["http_server_config", "agentd knows"]),
        ("tls_server_config: {cipher_suites: []}", ["tls_server_config.cipher_suites"]),
        ("tls_server_config: {}", ["cert_file and key_file"]),
        ("tls_server_config: {cert_file: a, key_file: b}", ["a, ", "b", "No such file"]),
        ("tls_server_config: {cert_file: 1, key_file: b}", ["cert_file", "a path"]),
        ("tls_server_config: {min_version: TLS10}", ["min_version", "TLS12"]),
        ("tls_server_config: {client_auth_type: RequireAnyClientCert}", ["client_auth_type"]),
        (
            "tls_server_config: {client_auth_type: RequireAndVerifyClientCert}",
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
