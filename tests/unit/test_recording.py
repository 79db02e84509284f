"""agentd.recording: where a recording is written"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.core.journal import Flush, Named
from agentd.errors import ConfigError
from agentd.recording import Head, Recorder, Recording
from tests.requirements import need_root

HEAD = Head("sha", 4, 10_000_000, 4096, "boot", "reserve", {})


def _record(path: Path) -> None:
    recorder = Recorder(path, HEAD)
    recorder.step(Flush(7))
    recorder.close()


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Also where a file of ours was there that others could read; what it held is gone."""
    path = tmp_path / "recording"
    path.write_bytes(b"x" * 10_000)
    path.chmod(0o666)
    _record(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    recording = Recording(path)
    assert list(recording.steps()) == [Flush(7)]
    recording.close()


def _foreign(path: Path) -> None:
    need_root()
    path.write_bytes(b"theirs")
    os.chown(path, 65534, 65534)
    path.chmod(0o666)


def _linked(path: Path) -> None:
    (path.parent / "other").write_bytes(b"theirs")
    os.link(path.parent / "other", path)


def _symlinked(path: Path) -> None:
    (path.parent / "other").write_bytes(b"theirs")
    path.symlink_to(path.parent / "other")


@pytest.mark.parametrize("prepare", [_foreign, _linked, _symlinked, os.mkfifo, os.mkdir])
def test_what_somebody_has_put_there_is_not_written(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    """Another user's file, a second name or a link of another file, a pipe, a folder."""
    path = tmp_path / "recording"
    prepare(path)
    with pytest.raises(ConfigError, match=f"--record {path}: "):
        _record(path)
    assert path.is_dir() or path.is_fifo() or path.read_bytes() == b"theirs"


def test_text_from_elsewhere_can_be_recorded(tmp_path: Path) -> None:
    """Names and settings with lone surrogates do not end a recording, nor its replay."""
    path = tmp_path / "recording"
    recorder = Recorder(path, replace(HEAD, config={"filter": {"cgroup": "/a\udcff"}}))
    recorder.step(Named("cgroup", 7, "/a\udcff"))
    recorder.close()
    recording = Recording(path)
    assert recording.head.config == {"filter": {"cgroup": "/a\ufffd"}}
    assert list(recording.steps()) == [Named("cgroup", 7, "/a\ufffd")]
    recording.close()
