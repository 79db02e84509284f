"""agentd.recording.format: where a recording is written"""

from __future__ import annotations

import gzip
import os
import re
import socket
import stat
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.cli import main
from agentd.config.schema import Config, Filter, Redact
from agentd.core.steps import Flush, Named, Seed
from agentd.core.tree.process import Image, Process
from agentd.errors import ConfigError
from agentd.filters import patterns
from agentd.kernel.wire_header import wire_text
from agentd.recording.format import Recorder, wire_sha256
from agentd.recording.replay import open_recording
from agentd.recording.values import Head, plain_head
from tests.fixtures.make import recording_of
from tests.requirements import need_root

HEAD = Head(wire_sha256(wire_text()), 4, 10_000_000, 4096, "0f" * 16, "reserve", Config())


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
    recording = open_recording(path)
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


def test_a_file_of_the_kernel_is_no_recording() -> None:
    """It looks like a regular file of ours, and neither mode nor length can be set."""
    for path in ("/proc/self/mem", "/proc/self/comm"):
        with pytest.raises(ConfigError, match=f"--record {path}: cannot be written: "):
            _record(Path(path))


def test_text_from_elsewhere_can_be_recorded(tmp_path: Path) -> None:
    """Names and settings with lone surrogates do not end a recording, nor its replay."""
    path = tmp_path / "recording"
    recorder = Recorder(path, replace(HEAD, config=Config(filter=Filter(cgroup="/a\udcff"))))
    recorder.step(Named("cgroup", 7, "/a\udcff"))
    recorder.close()
    recording = open_recording(path)
    assert recording.head.config.filter.cgroup == "/a\ufffd"
    assert list(recording.steps()) == [Named("cgroup", 7, "/a\ufffd")]
    recording.close()


HEAD_VALUES: tuple[tuple[str, Any, str], ...] = (
    ("boot_id", '","injected":"', "head.boot_id.*32 hexadecimal digits"),
    ("boot_id", "F" * 32, "head.boot_id.*32 hexadecimal digits"),
    ("boot_id", 7, "head.boot_id = 7: must be a text"),
    ("cpus", 1 << 40, "head.cpus = 1099511627776: must be from 1 to 65536"),
    ("cpus", True, "head.cpus = true: must be a whole number"),
    ("tick_ns", 0, "head.tick_ns = 0: must be from 1"),
    ("page_bytes", -4096, "head.page_bytes = -4096: must be from 4096"),
    ("page_bytes", 5000, "head.page_bytes = 5000: must be a power of two"),
    ("room_stage", "\x1b[2J", "head.room_stage = .*must be one of reserve, lost_samples"),
    ("first_seq", 1 << 63, "head.first_seq = .*must be from 0"),
    ("wire_sha256", "x", "head.wire_sha256 = .*64 hexadecimal digits"),
    ("wire_sha256", "0" * 64, "holds the records of another version"),
    ("config", None, "config: must be names and values"),
    ("config", {"x": {}}, r"config: unknown section \[x\]"),
    ("config", {"tree": {"live_capacity": 0}}, "config: tree.live_capacity = 0: must be from"),
    ("config", {"output": {"filter": "bogus"}}, "config: output.filter = .*no field bogus"),
    ("config", {"redact": {"patterns": ["("]}}, "config: redact.patterns = .*not a regular"),
    ("other", 1, "unknown key head.other"),
)


@pytest.mark.parametrize(("name", "value", "words"), HEAD_VALUES)
def test_a_head_that_no_run_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: Any, words: str
) -> None:
    """Each field is checked as a configuration is: the file, the field and its bounds are named."""
    path = tmp_path / "recording"
    head = plain_head(HEAD) | {name: value}
    path.write_bytes(_packed("agentd-recording-3") + _packed(head) + _packed(["Flush", 7]))
    code, out, err = _replayed(path, capsys)
    assert (code, out) == (os.EX_CONFIG, "")
    assert re.search(rf"{re.escape(str(path))}: {words}", err), err
    assert re.search(r"\(.*\)\n$", err), "the way out"


def test_a_head_without_a_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named."""
    path = tmp_path / "recording"
    for name in set(plain_head(HEAD)) - {"first_seq"}:
        head = {key: value for key, value in plain_head(HEAD).items() if key != name}
        path.write_bytes(_packed("agentd-recording-3") + _packed(head))
        code, _, err = _replayed(path, capsys)
        assert code == os.EX_CONFIG
        assert f"head.{name} is missing" in err


COUNTERS = ([[0] * 4] * 6, [0] * 4, [[0] * 4] * 3, [[0] * 4] * 3, [0] * 4)
STEPS: tuple[tuple[Any, str], ...] = (
    (["Flush", 1 << 63], "Flush: wall_offset_ns: .*must be a whole number from"),
    (["Round", [-1, 0, COUNTERS, [b"", [], True], COUNTERS]], "Round: now_ns: -1: must be"),
    (["Round", [1, 0.5, COUNTERS, [b"", [], True], COUNTERS]], "Round: wall_offset_ns: 0.5"),
    (["Round", [1, 0, COUNTERS, [b"xy", [[1, 2]], True], COUNTERS]], "Round: delivery: must be"),
    (["Round", [1, 0, COUNTERS, [b"xy", [[0, 0.5]], True], COUNTERS]], "Round: delivery: must"),
    (["Round", [1, 0, COUNTERS, ["xy", [], True], COUNTERS]], "Round: delivery: must be"),
    (["Round", [1, 0, COUNTERS[1:], [b"", [], True], COUNTERS]], "Round: before: must be a list"),
    (["Round", [1, 0, COUNTERS, [b"", [], True], ([],) * 5]], "Round: after: failures: must be"),
    (["Seed", [1, [[]]]], "Seed: processes: not a process"),
    (["Scan", [1, 2, [], 1]], "Scan: complete: 1: must be true or false"),
    (["Skipped", [[1, 2], 3, 4]], "Skipped: runs: must be a list of 3"),
    (["Named", ["cgroup", 7, 8]], "Named: name: 8: must be a text"),
    (["Named", ["planet", 7, "x"]], "Named: sort: .*must be one of cgroup, user, group"),
    (["GaveUp", ["log.level", 1, 1]], "GaveUp: where: .*must be one of redact.patterns"),
    (["Explode", 1], '"Explode" is none of Seed'),
    (["x" * 100_000, 1], "x… is none of|xxx"),
    (7, "must be a name and values"),
)


@pytest.mark.parametrize(("step", "words"), STEPS)
def test_a_step_that_no_run_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], step: Any, words: str
) -> None:
    """The step's number, its name and the field are named; what came before is replayed."""
    path = tmp_path / "recording"
    good = ["Round", [1, 0, COUNTERS, [b"", [], True], COUNTERS]]
    path.write_bytes(b"".join(map(_packed, ["agentd-recording-3", plain_head(HEAD), good, step])))
    code, _, err = _replayed(path, capsys)
    assert code == os.EX_CONFIG
    assert re.search(rf"{re.escape(str(path))}: is damaged: step 2: {words}", err), err
    assert len(err) < 1000


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (os.mkfifo, "is not a regular file"),
        (os.mkdir, "Is a directory"),
        (_socket, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
        (lambda path: None, "No such file"),
    ],
)
def test_what_is_no_file_is_no_recording(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], None],
    words: str,
) -> None:
    """A pipe, a folder, a socket, a device, memory: refused at once, and named."""
    path = tmp_path / "recording"
    prepare(path)
    code, out, err = _replayed(path, capsys)
    assert (code, out) == (os.EX_CONFIG, "")
    assert f"{path}: cannot be read: {words}" in err


def test_a_pattern_that_no_run_can_have_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run gives up after milliseconds; a replay that would search for ever says so."""
    monkeypatch.setattr(patterns, "_REPLAY_SECONDS", 0.2)
    config = Config(redact=Redact(patterns=("^(a|aa)+$",)))
    recorder = Recorder(tmp_path / "recording", replace(HEAD, config=config))
    args = b"a" * 5000 + b"!\0"
    image = Image(b"x", b"/x", args, 1)
    recorder.step(Seed([Process((7, 1), (1, 0), image, executed=True, uid=0)], 1))
    recorder.close()
    code, _, err = _replayed(tmp_path / "recording", capsys)
    assert code == os.EX_CONFIG
    assert "is damaged: a pattern is searched for" in err


@pytest.fixture(scope="module")
def whole() -> bytes:
    """A recording of a real run."""
    return gzip.decompress(recording_of("life").read_bytes())


def _replayed(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``agentd replay``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["agentd", "replay", str(path), "--output", "text"])
        with pytest.raises(SystemExit) as caught:
            main.main()
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


def _framed(packed: bytes) -> bytes:
    framed: bytes = msgpack.packb([zlib.crc32(packed), packed])
    return framed


MANY = 4 << 20
ENDLESS: tuple[tuple[str, bytes, str], ...] = (
    ("a list of lists", b"\xdd" + MANY.to_bytes(4, "big") + b"\x91\xc0" * MANY, "max_array_len"),
    ("maps", b"\x92" + b"\x81\xc0" * MANY, "max_map_len"),
    ("a text", b"\x92\x01\xdb" + MANY.to_bytes(4, "big") + bytes(MANY), "max_str_len"),
    ("lists in a step", _framed(b"\xdd" + MANY.to_bytes(4, "big") + b"\x91\xc0" * MANY), "values"),
    ("a long list in a step", _framed(b"\xdd" + b"\x7f" * 4 + b"\xc0" * MANY), "max_array_len"),
    ("a long map in a step", _framed(b"\xdf" + MANY.to_bytes(4, "big")), "max_map_len"),
)


@pytest.mark.parametrize(
    ("data", "words"), [row[1:] for row in ENDLESS], ids=[row[0] for row in ENDLESS]
)
def test_a_recording_takes_no_more_memory_than_one_of_ours(
    tmp_path: Path, data: bytes, words: str
) -> None:
    """A byte may stand for an object of 64: what agentd never writes is refused before."""
    path = tmp_path / "recording"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=f"is damaged: after byte 0: .*{words}"):
        open_recording(path)


def test_a_step_that_is_too_long_is_no_cut(tmp_path: Path) -> None:
    """What comes behind it was not read, and nobody is to believe that it was not there."""
    path = tmp_path / "recording"
    with path.open("wb") as file:
        file.write(b"\x92\x01\xc6" + (0xFFFF_FFF0).to_bytes(4, "big"))
        file.truncate(300 << 20)  # a hole
    with pytest.raises(ConfigError, match="a step is too long"):
        open_recording(path)
