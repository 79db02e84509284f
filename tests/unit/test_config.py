"""agentd.config"""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.config import Config, default_toml, load_config
from agentd.errors import ConfigError

SHIPPED = Path(__file__).resolve().parents[2] / "config/agentd.toml"


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


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("nosuch.key=1", ["[nosuch]", "known: filter"]),
        ("transport.ring_byte=1", ["transport.ring_byte", "did you mean ring_bytes?"]),
        ("transport.ring_bytes=abc", ["ring_bytes", "a whole number"]),
        ("transport.ring_bytes=true", ["ring_bytes", "a whole number"]),
        ("transport.ring_bytes=1024", ["ring_bytes", "from 4096 to"]),
        ("transport.ring_bytes=12289", ["ring_bytes", "power of two", "16384"]),
        ("transport.ring_bytes=12287", ["ring_bytes", "power of two", "8192"]),
        ("output.format=xml", ["output.format", "text, json, none"]),
        ("filter.cgroup=3", ["filter.cgroup", "a text"]),
        ("log.level=loud", ["log.level", "debug, info, warning, error"]),
        ("justakey", ["section.key=value"]),
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
        ("x = 1", ["unknown section [x]"]),
        ("filter = 1", ["filter must be a section"]),
        ("[filter", ["not valid TOML"]),
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


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read is an error with the reason."""
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none")
