"""Recordings: everything that goes into the pipeline, in order, so that it can be done again.

A file of msgpack values behind each other: first what the stream was made for, then one value a
step. Each is packed with its checksum, so that a damaged file is refused and not replayed. Raw
records are in it as the kernel wrote them, arguments with their secrets included: it is made for
its owner alone.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from agentd.config.files import UnreadableFileError, UnwritableFileError, create_own_file, open_file
from agentd.config.load import config_of
from agentd.core.steps import Step
from agentd.errors import ConfigError
from agentd.recording.values import Head, ReadConfig, StepReader, plain_head, plain_step, read_head
from agentd.terminal.escape import printable_path, shortened

_FORMAT = "agentd-recording-3"
_WAY_OUT = "record anew with agentd run --record"
_FRAME_BYTES_MAX = 256 << 20
"""Of one step. A round has 64 MiB of records at most, a scan the texts of all processes."""
_VALUES_MAX = 1 << 24
"""Of one step; each list counts as a few more. A scan of 131,072 processes has half as many."""
_LIST_VALUES, _MAP_VALUES, _MAP_LEN_MAX = 8, 32, 1024
_FRAME_LIMITS = {
    "max_array_len": 2, "max_map_len": 0, "max_str_len": 0, "max_ext_len": 0,
    "max_bin_len": _FRAME_BYTES_MAX, "max_buffer_size": _FRAME_BYTES_MAX + (1 << 20),
}  # fmt: skip
"""A checksum and bytes, and nothing that takes more memory than it has bytes."""
_NOT_PACKED = (ValueError, TypeError, msgpack.UnpackException)


class RecordingError(ConfigError):
    """A recording that cannot be replayed; names the file, and what is wrong in it."""


def wire_sha256(header: str) -> str:
    """The fingerprint of a wire contract's text."""
    return hashlib.sha256(header.encode()).hexdigest()


class Recorder:
    """Writes a recording. Raises ConfigError if the file cannot be had."""

    def __init__(self, path: Path, head: Head) -> None:
        try:
            self._file: BinaryIO = create_own_file(path)
        except UnwritableFileError as error:
            hint = "a path where there is nothing yet"
            raise ConfigError(
                f"--record {printable_path(path)}: cannot be written: {error}", hint
            ) from None
        self._pack(_FORMAT)
        self._pack(plain_head(head))

    def step(self, step: Step) -> None:
        """Append one step."""
        self._pack(plain_step(step))

    def stop(self) -> None:
        """Write nothing any more, nor what is left: in a copy of the process that does."""
        self._file = io.BytesIO()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def _pack(self, value: Any) -> None:
        packed = msgpack.packb(value)
        self._file.write(msgpack.packb([zlib.crc32(packed), packed]))


class Recording:
    """A recording to be read. Raises RecordingError if the file is none."""

    def __init__(self, path: Path, kinds: int, read_config: ReadConfig = config_of) -> None:
        """``kinds``: how many kinds of events there are. ``read_config`` checks the settings."""
        self.path = path
        try:
            self._file = open_file(path)
        except UnreadableFileError as error:
            raise RecordingError(
                f"{printable_path(path)}: cannot be read: {error}", "a file that run --record made"
            ) from None
        self._unpacker = msgpack.Unpacker(self._file, use_list=False, **_FRAME_LIMITS)
        self._values = self._read()
        self.is_cut_off = False
        """Whether it ended within a value, which is known once all steps were read."""
        try:
            self.head = self._head(read_config)
        except ConfigError:
            self.close()
            raise
        self._steps = StepReader(self.head.cpus, kinds)

    def steps(self) -> Iterator[Step]:
        """All steps, in order. A recording that was cut off ends at its last whole step."""
        for number, value in enumerate(self._values, 1):
            try:
                step = self._steps.read(value)
            except ValueError as error:
                raise self.damaged(f"step {number}: {error}") from None
            yield step

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def damaged(self, why: str) -> RecordingError:
        """The error to raise for what stands in it."""
        return RecordingError(
            f"{printable_path(self.path)}: is damaged: {shortened(why)}", _WAY_OUT
        )

    def _head(self, read_config: ReadConfig) -> Head:
        form, head = next(self._values, None), next(self._values, None)
        if form != _FORMAT or not isinstance(head, dict):
            raise RecordingError(
                f"{printable_path(self.path)}: is no recording of this agentd",
                "made by run --record",
            )
        try:
            return read_head(head, printable_path(self.path), read_config)
        except ConfigError as error:
            raise RecordingError(error.message, error.hint or _WAY_OUT) from None

    def _read(self) -> Iterator[Any]:
        """All values to the end of the file. Raises RecordingError at one that is damaged."""
        end_bytes = 0
        while True:
            try:
                checksum, packed = self._unpacker.unpack()
                if zlib.crc32(packed) != checksum:
                    raise ValueError("the checksum is of other data")
                value = _unpacked(packed)
            except msgpack.OutOfData:
                rest_bytes = os.fstat(self._file.fileno()).st_size - end_bytes
                if rest_bytes > _FRAME_BYTES_MAX:  # the unpacker reads no more than that
                    raise self.damaged(f"after byte {end_bytes}: a step is too long") from None
                self.is_cut_off = rest_bytes != 0
                return
            except OSError as error:  # a file of /proc that only looks regular
                raise RecordingError(
                    f"{printable_path(self.path)}: cannot be read: {error.strerror or error}",
                    "a file that run --record made",
                ) from None
            except _NOT_PACKED as error:
                raise self.damaged(f"after byte {end_bytes}: {error}") from None
            end_bytes = self._unpacker.tell()
            yield value


def _unpacked(packed: bytes) -> Any:
    """The value of a step. Raises ValueError if it has too many parts: a byte may stand for 64."""
    left = _VALUES_MAX

    def counted(value: Any) -> Any:
        nonlocal left
        left -= len(value) + (_MAP_VALUES if isinstance(value, dict) else _LIST_VALUES)
        if left < 0:
            raise ValueError(f"a step of more than {_VALUES_MAX} values")
        return value

    return msgpack.unpackb(
        packed,
        use_list=False,
        list_hook=counted,
        object_hook=counted,
        max_array_len=_VALUES_MAX,
        max_map_len=_MAP_LEN_MAX,
        max_ext_len=0,
    )
