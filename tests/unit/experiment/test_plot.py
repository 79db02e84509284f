"""agentd.experiment.plot"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentd.errors import ConfigError, UnavailableError
from agentd.experiment import plot
from tests.requirements import need_library
from tests.unit.experiment.results import report


@pytest.mark.parametrize(("name", "magic"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG")])
def test_a_picture_in_each_format(tmp_path: Path, name: str, magic: bytes) -> None:
    """The name's ending chooses the format."""
    need_library("matplotlib")
    plot.check(tmp_path / name)
    plot.draw(report(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_the_picture_says_what_was_found(tmp_path: Path) -> None:
    """Runs, figures and a wrong account can be read in it."""
    need_library("matplotlib").rcParams["svg.fonttype"] = "none"
    plot.draw(report(), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for word in ("perfbuf, unordered, 4 MiB", "1,234", "7, ACCOUNT WRONG", "1 KiB"):
        assert f">{word}<" in text


def test_another_format_is_refused() -> None:
    """Before anything runs."""
    with pytest.raises(ConfigError, match=r"a\.pdf: must end with \.svg or \.png"):
        plot.check(Path("a.pdf"))


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to get it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UnavailableError, match="apt-get install python3-matplotlib"):
        plot.check(Path("a.svg"))
