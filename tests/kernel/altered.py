"""A copy of agentd with something changed, for the loader process to run instead."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Change = Callable[[str], str]


def altered_copy(folder: Path, file: str, change: Change) -> Path:
    """A copy of agentd below ``folder`` in which the text of one file is another."""
    copy = folder / "altered"
    for name in ("agentd", "bpf"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    text = (copy / file).read_text()
    changed = change(text)
    assert changed != text
    (copy / file).write_text(changed)
    return copy


class LoaderSwap:
    """Makes the loaders that this test starts run a changed copy of agentd."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch

    def __call__(self, file: str, change: Change) -> None:
        """From now on, ``file`` has the text that ``change`` makes of it."""
        copy = altered_copy(self._folder, file, change)
        # the one or the other decides, depending on how the loader is started
        self._monkeypatch.setenv("PYTHONPATH", str(copy))
        self._monkeypatch.chdir(copy)


def before(marker: str, text: str) -> Change:
    """Put ``text`` before the first ``marker``."""
    return lambda source: source.replace(marker, text + marker, 1)
