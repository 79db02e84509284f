"""All that is fuzzed, by name. The name is that of its folder in ``corpus``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agentd.config.load import load_config
from agentd.errors import AgentdError, ConfigError
from agentd.filters.fields import FIELDS, Facts
from agentd.filters.language import FilterError, parse_filter
from agentd.filters.patterns import QuestionSearch
from agentd.http.web_config import load_web_config
from tests.fuzz.doors import WORDS as HTTP
from tests.fuzz.doors import try_doors
from tests.fuzz.foreign import TARGETS as FOREIGN
from tests.fuzz.recordings import replay_mutated
from tests.fuzz.target import Target

_FACTS: Facts = {
    "pid": 12, "exe": "/usr/bin/curl", "args": 'curl -H "a" ' + "a" * 40 + "!", "uid": 1000,
    "user": "alice", "live": True, "container": None, "action": "exec",
}  # fmt: skip


def _config(data: bytes) -> None:
    """Whatever a configuration file holds is accepted, or refused with its name, on short lines."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        Path(file.name).write_bytes(data)
        try:
            load_config(Path(file.name))
        except ConfigError as error:
            _is_shown(error, file.name)


def _web_config(data: bytes) -> None:
    """Likewise a web-config."""
    with tempfile.NamedTemporaryFile(suffix=".yml") as file:
        Path(file.name).write_bytes(data)
        try:
            load_web_config(Path(file.name))
        except ConfigError as error:
            _is_shown(error, file.name)


def _filter(data: bytes) -> None:
    """Whatever somebody asks for is a filter, which has an answer, or a FilterError."""
    try:
        wanted = parse_filter(data.decode("utf-8", "surrogateescape"))
    except FilterError as error:
        _is_shown(error, "filter, column ")
    else:
        wanted.verdict(_FACTS, QuestionSearch())
        wanted.verdict({}, QuestionSearch())


def _is_shown(error: AgentdError, place: str) -> None:
    """An error names the place, can be written anywhere, and has no control character."""
    text = str(error)
    assert place in text
    text.encode()
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text) < 10_000


_TOML = (
    b"[filter]", b"[transport]", b"[redact]", b"[output]", b"[metrics]", b"[control]", b"[tree]",
    b"\ncgroup = ", b"\nring_bytes = ", b"\npatterns = ", b"\nfilter = ", b"\nlisten = ",
    b"\nsocket = ", b"\nlive_capacity = ", b"'''", b'"', b"'", b"[", b"]", b"{", b"}", b".", b"\n",
    b"=", b"#", b"\\u0000", b"\\ud800", b"0x", b"99999999999999999999", b"1979-05-27T07:32:00Z",
    b"inf", b"true", b"\xff", b"\x00", b"127.0.0.1:", b"(a+)+$", b"{1000}", b"(?i)", b"uid = 0",
)  # fmt: skip
_YAML = (
    b"tls_server_config:", b"http_server_config:", b"basic_auth_users:", b"cert_file: ", b"key: ",
    b"headers:", b"http2: ", b"\n  ", b"\n- ", b": ", b"{", b"}", b"[", b"]", b"&a ", b"*a",
    b"<<: ",
    b"!!int ", b"!!bool ", b"!!timestamp ", b"!!python/name:os.system ", b"!!binary ", b"!x ",
    b"2026-13-45", b"0x_", b"1:99", b"? ", b"| ", b"> ", b"---\n", b"...\n", b"%YAML 1.1\n", b"#",
    b'"', b"'", b"\\uD800", b"\\x00", b"\t", b"\xff", b"\xfe\xff", b"$2y$05$", b"null", b"~",
)  # fmt: skip
_FILTER = (
    *(name.encode() for name in FIELDS), b" and ", b" or ", b"not ", b"(", b")", b" = ", b" != ",
    b" ~ ", b" !~ ", b" < ", b" in (", b", ", b'"', b"'", b"/", b"0", b"999", b"true", b"(a+)+$",
    b".*", b"{1000}", b"(?i)", b"(?P<a>", b"(?R)", b"{e<=1}", b"\\", b"\x00", b"\xff", b"[", b"]",
    b"\xed\xa0\x80", b"\xd9\xa3", b"\n",
)  # fmt: skip

TARGETS = FOREIGN | {
    "config": Target(_config, _TOML),
    "filter": Target(_filter, _FILTER),
    "recording": Target(replay_mutated),
    "http": Target(try_doors, HTTP),
    "web_config": Target(_web_config, _YAML),
}
