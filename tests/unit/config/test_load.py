"""agentd.config.load"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.config.load import default_toml, load_config
from agentd.config.schema import Config
from agentd.errors import ConfigError
from agentd.terminal.escape import shortened

SHIPPED = Path(__file__).resolve().parents[3] / "config/agentd.toml"
BOUNDS = [
    (f"{section.name}.{key.name}", key.metadata["low"], key.metadata["high"])
    for section in dataclasses.fields(Config)
    for key in dataclasses.fields(section.default)  # type: ignore[arg-type]
    if key.metadata["low"] is not None
]
CHOICES = [
    (f"{section.name}.{key.name}", choice)
    for section in dataclasses.fields(Config)
    for key in dataclasses.fields(section.default)  # type: ignore[arg-type]
    for choice in key.metadata["choices"]
]


def _value(config: Config, name: str) -> Any:
    section, key = name.split(".")
    return getattr(getattr(config, section), key)


def test_the_shipped_file_is_made_from_the_code() -> None:
    """config/agentd.toml holds every key at the code's default, to the byte."""
    assert SHIPPED.read_text() == default_toml()
    assert load_config(SHIPPED) == Config()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    """Keys that a file does not name keep their defaults."""
    file = tmp_path / "a.toml"
    file.write_text("[reorder]\ncapacity = 5\n")
    config = load_config(file)
    assert config.reorder.capacity == 5
    assert config.transport == Config().transport


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("metrics.listen=", ""),
        ("metrics.listen=[::1]:80", "[::1]:80"),
        ('metrics.listen="a:1"', "a:1"),
        (" metrics . listen = b:2 ", "b:2"),
    ],
)
def test_assignments_are_toml_or_plain_text(assignment: str, value: str) -> None:
    """--set takes a TOML value, or text as it stands; later ones win."""
    assert load_config(None, ["metrics.listen=x:1", assignment]).metrics.listen == value


def test_assignments_go_over_the_file(tmp_path: Path) -> None:
    """What a file says gives way to --set, key by key."""
    file = tmp_path / "a.toml"
    file.write_text("[tree]\nlive_capacity = 50\nexited_capacity = 60\n")
    tree = load_config(file, ["tree.live_capacity=70"]).tree
    assert (tree.live_capacity, tree.exited_capacity) == (70, 60)


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_bounds_are_inclusive(name: str, low: int, high: int) -> None:
    """Each number may be its bounds, and nothing beyond, and the message says so."""
    for bound in (low, high):
        assert _value(load_config(None, [f"{name}={bound}"]), name) == bound
    for beyond in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=f"{name} = {beyond}: must be from {low} to {high}"):
            load_config(None, [f"{name}={beyond}"])


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_each_choice_can_be_made(name: str, choice: str) -> None:
    """Each word that an error would offer is accepted."""
    assert _value(load_config(None, [f"{name}={choice}"]), name) == choice


def test_the_default_file_says_what_is_allowed() -> None:
    """Each key stands there once, below its meaning and its bounds."""
    lines = default_toml().splitlines()
    for name, low, high in BOUNDS:
        (line,) = (i for i, line in enumerate(lines) if line.startswith(f"{name.split('.')[1]} ="))
        assert lines[line - 1].endswith(f"({low} to {high})")


def test_a_configuration_cannot_be_changed() -> None:
    """What was checked once stays as it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().tree.live_capacity = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("nosuch.key=1", ["[nosuch]", "known: control, filter"]),
        ("metric.listen=", ["[metric]", "did you mean metrics?"]),
        ("transport.ring_byte=1", ["transport.ring_byte", "did you mean ring_bytes?"]),
        ("transport.ring_bytes=abc", ["ring_bytes", "a whole number"]),
        ("transport.zzz=1", ["transport.zzz", "known: batch_delay_max_ms"]),
        ("transport.ring.bytes=1", ["transport.ring.bytes", "did you mean ring_bytes?"]),
        ("transport.ring_bytes=true", ["ring_bytes = true", "a whole number"]),
        ("transport.ring_bytes=4096.0", ["ring_bytes = 4096.0", "a whole number"]),
        ("transport.ring_bytes=[4096]", ["ring_bytes", "a whole number"]),
        ('transport.ring_bytes="4096"', ['ring_bytes = "4096"', "a whole number"]),
        ("transport.ring_bytes=", ["ring_bytes", "a whole number"]),
        ("transport.ring_bytes=1024", ["ring_bytes", "from 4096 to"]),
        ("transport.ring_bytes=12289", ["ring_bytes", "power of two", "16384"]),
        ("transport.ring_bytes=12287", ["ring_bytes", "power of two", "8192"]),
        ("output.format=xml", ["output.format", "text, json, none"]),
        ("output.format=true", ["output.format = true", "a text"]),
        ("output.format=", ["output.format", "text, json, none"]),
        ("output.format=JSON", ["output.format", "text, json, none"]),
        ("filter.cgroup=3", ["filter.cgroup", "a text"]),
        ("log.level=loud", ["log.level", "debug, info, warning, error"]),
        ("justakey", ["section.key=value"]),
        ("", ["section.key=value"]),
        ("=1", ["section.key=value"]),
        ("key=1", ["section.key=value"]),
        ("a.b", ["section.key=value"]),
        (".a=1", ["section.key=value"]),
        ("a.=1", ["section.key=value"]),
    ],
)
def test_bad_values_say_what_is_allowed(assignment: str, words: list[str]) -> None:
    """An error names the key and what it may be."""
    with pytest.raises(ConfigError) as caught:
        load_config(None, [assignment])
    assert all(word in str(caught.value) for word in [*words, f"--set {assignment}"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[transport]\nring_bytes = 5000", ["ring_bytes = 5000", "4096"]),
        ("[transport]\nring_bytes = true", ["transport.ring_bytes = true", "a whole number"]),
        ("[output]\nformat = 'xml'", ['output.format = "xml"', "text, json, none"]),
        ("[reorder]\ncapacity = 0", ["reorder.capacity = 0", "from 1 to"]),
        ("[reorder]\ncapacit = 1", ["reorder.capacit", "did you mean capacity?"]),
        ("[reorder.capacity]\nx = 1", ["reorder.capacity", "a whole number"]),
        ("[[reorder]]\ncapacity = 1", ["reorder must be a section"]),
        ("[reorder]\n[reorder]", ["not valid TOML"]),
        ("x = 1", ["unknown section [x]"]),
        ("filter = 1", ["filter must be a section"]),
        ("[filter", ["not valid TOML"]),
        ('[filter]\ncgroup = "/\\u0000"', ["filter.cgroup", "NUL"]),
        ('[metrics]\nweb_config = "/\\u0000"', ["metrics.web_config", "NUL"]),
        ('[control]\nsocket = "/\\u0000"', ["control.socket", "the absolute path"]),
        ("[tree]\nlive_capacity = 0x" + "f" * 5000, ["live_capacity = a very large number"]),
        (f"[tree]\nlive_capacity = {'[' * 300}{']' * 300}", ["live_capacity = [[…]]"]),
        (f"[tree]\n{'k' * 5000} = 1", ["unknown key tree.kkk", "…"]),
        ("\xff", ["not valid TOML"]),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    """An error names the file."""
    file = tmp_path / "bad.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert all(word in str(caught.value) for word in [*words, str(file)])


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file"), ("", "Is a directory")])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """A file that cannot be read is an error with the reason."""
    with pytest.raises(ConfigError, match=f"{tmp_path / name}: cannot be read: {reason}"):
        load_config(tmp_path / name)


def _accept_or_refuse(source: str, path: Path | None, assignments: list[str]) -> None:
    try:
        load_config(path, assignments)
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert source in message


def _load_or_refuse(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        _accept_or_refuse(file.name, Path(file.name), [])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_is_good_or_refused(content: bytes) -> None:
    """Whatever a file holds is a configuration or a ConfigError that names it."""
    _load_or_refuse(content)


@pytest.mark.parametrize("content", [b"x = " + b"9" * 5000, b"x = " + b"[" * 5000])
def test_extreme_files_are_refused(content: bytes) -> None:
    """A number of 5000 digits and 5000 nested arrays are bad input like any other."""
    _load_or_refuse(content)


@given(st.text(max_size=40) | st.text(max_size=20).map("tree.live_capacity={}".format))
def test_any_assignment_is_good_or_refused(assignment: str) -> None:
    """Whatever stands behind --set is a configuration or a ConfigError that shows it."""
    _accept_or_refuse(f"--set {shortened(assignment)}", None, [assignment])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"x"', ["redact.patterns", "a list of texts"]),
        ("[1]", ["redact.patterns", "a list of texts"]),
        ("['(']", ["redact.patterns", "not a regular expression"]),
        ("['a*']", ["redact.patterns", "matches the empty string"]),
    ],
)
def test_patterns_that_cannot_be(text: str, words: list[str]) -> None:
    """A list of texts that are no patterns is named with what is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        load_config(None, [f"redact.patterns={text}"])
    assert all(word in str(caught.value) for word in words)


def test_patterns_are_a_list() -> None:
    """A list in TOML is what the configuration has, an empty one too."""
    assert load_config(None, ["redact.patterns=['x1', 'x2']"]).redact.patterns == ("x1", "x2")
    assert load_config(None, ["redact.patterns=[]"]).redact.patterns == ()
