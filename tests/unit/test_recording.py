"""agentd.recording: where a recording is written"""

from __future__ import annotations

import gzip
import os
import stat
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd import cli
from agentd.core.journal import Flush, Named
from agentd.errors import ConfigError
from agentd.kernel.wire_header import wire_text
from agentd.recording import Head, Recorder, Recording, wire_sha256
from tests.fixtures.make import recording_of
from tests.requirements import need_root

HEAD = Head(wire_sha256(wire_text()), 4, 10_000_000, 4096, "boot", "reserve", {})


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


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A recording of a real run."""
    return gzip.decompress(recording_of("life").read_bytes())


def _replayed(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``agentd replay``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["agentd", "replay", str(path), "--output", "text"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
    assert isinstance(caught.value.code, int)
    return (caught.value.code, *capsys.readouterr())


@given(data=st.data())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_recording_is_refused(
    whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Bytes that were changed, added or taken out: one line, and no step that was not recorded."""
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start, min(len(whole), start + 64)))
    new = data.draw(st.binary(max_size=64))
    damaged = whole[:start] + new + whole[end:]
    path = tmp_path / "recording"
    path.write_bytes(whole)
    _, expected, _ = _replayed(path, capsys)
    path.write_bytes(damaged)
    code, out, err = _replayed(path, capsys)
    assert expected.startswith(out) or damaged.startswith(whole)
    assert err.count("\n") <= 1
    assert (code, err != "") in ((0, damaged != whole), (os.EX_CONFIG, True)), err
    assert "Traceback" not in err


@given(st.integers(0, 100_000))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_recording_that_was_cut_off(
    whole: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], length: int
) -> None:
    """What is whole of it is replayed, and a line says that it is not all."""
    path = tmp_path / "recording"
    path.write_bytes(whole[: length % len(whole)])
    code, out, err = _replayed(path, capsys)
    assert code in (0, os.EX_CONFIG)
    assert (code == os.EX_CONFIG) == (not out)
    assert err.count("\n") <= 1
    assert err == "" or "was cut off" in err or "is no recording" in err


VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
NAMES = ("Seed", "Round", "ScanBegins", "Scan", "Skipped", "Named", "Flush")


def _packed(value: object) -> bytes:
    packed = msgpack.packb(value)
    return bytes(msgpack.packb([zlib.crc32(packed), packed]))


@given(st.one_of(VALUES, st.tuples(st.sampled_from(NAMES), VALUES)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_recording_that_somebody_made_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: object
) -> None:
    """Checksums that are right, around values of any shape: no traceback either."""
    path = tmp_path / "recording"
    _record(path)
    path.write_bytes(path.read_bytes() + _packed(value))
    code, _, err = _replayed(path, capsys)
    assert err.count("\n") == (code != 0)
    assert "Traceback" not in err
