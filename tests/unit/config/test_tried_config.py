"""agentd.config.tried_config"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentd.config.load import default_toml, load_config
from agentd.config.schema import Config
from agentd.config.tried_config import load_tried_config, reload_tried_config
from agentd.errors import ConfigError

CHANGED = """
[output]
filter = 'exe ~ "^/usr/" and uid != 0'
format = "json"
[redact]
patterns = ["^hush-(?P<secret>.*)"]
[journal]
actions = ["exec"]
[tree]
live_capacity = 20
"""


@pytest.mark.parametrize("text", ["", CHANGED, default_toml()])
def test_it_is_the_same_configuration(tmp_path: Path, text: str) -> None:
    """As if it had been loaded here: every key, lists too; at the start and at a reload."""
    file = tmp_path / "a.toml"
    file.write_text(text)
    expected = load_config(file, ["metrics.listen="])
    assert load_tried_config(file, ["metrics.listen="]) == expected
    assert asyncio.run(reload_tried_config(file, ["metrics.listen="])) == expected


def test_without_anything_to_read_it_is_the_default() -> None:
    """And no process is made for that."""
    assert load_tried_config(None) == Config()
    assert load_tried_config(None, ["tree.live_capacity=20"]).tree.live_capacity == 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[redact]\npatterns = ["(a{1000}){1000}"]',
            "redact.patterns.*repeats that come to more than",
        ),
        (
            "[output]\nfilter = \"args ~ '(a{1000}){1000}'\"",
            "output.filter.*repeats that come to more than",
        ),
        ("[tree]\nlive_capacity = 1", "live_capacity = 1: must be from"),
        ("x", "not valid TOML"),
    ],
)
def test_what_is_not_good_is_named(tmp_path: Path, text: str, words: str) -> None:
    """With its key, also where trying it would take gigabytes here."""
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_tried_config(file)
    with pytest.raises(ConfigError, match=words):
        asyncio.run(reload_tried_config(file))
