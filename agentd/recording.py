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
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from agentd.core.accounting import KernelCounters
from agentd.core.journal import Flush, GaveUp, Named, Round, ScanBegins, Seed, Skipped, Step
from agentd.core.pipeline import Delivery
from agentd.core.reconcile import Scan
from agentd.core.text import cleaned
from agentd.errors import ConfigError
from agentd.observations import plain_observed, plain_process, read_observed, read_process

_FORMAT = "agentd-recording-3"
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
"""What values of another shape lead to."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a stream was made for."""

    wire_sha256: str
    """Of ``bpf/agentd.h``: other records cannot be read."""
    cpus: int
    tick_ns: int
    page_bytes: int
    boot_id: str
    room_stage: str
    config: dict[str, dict[str, Any]]
    first_seq: int = 0
    """The first attempt's number on each CPU."""


def wire_sha256(header: str) -> str:
    """The fingerprint of a wire contract's text."""
    return hashlib.sha256(header.encode()).hexdigest()


class Recorder:
    """Writes a recording. Raises ConfigError if the file cannot be had."""

    def __init__(self, path: Path, head: Head) -> None:
        self._file: BinaryIO = os.fdopen(_open_own(path), "wb")
        self._pack(_FORMAT)
        self._pack(cleaned(asdict(head)))  # which the command line may have given

    def step(self, step: Step) -> None:
        """Append one step."""
        self._pack([type(step).__name__, _to_plain(step)])

    def stop(self) -> None:
        """Write nothing any more, nor what is left: in a copy of the process that does."""
        self._file = io.BytesIO()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def _pack(self, value: Any) -> None:
        packed = msgpack.packb(value)
        self._file.write(msgpack.packb([zlib.crc32(packed), packed]))


def _open_own(path: Path) -> int:
    """A file that is ours alone, emptied. What somebody has put there before us is not written."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ConfigError(f"--record {path}: cannot be written: {error.strerror}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
        os.close(fd)
        raise ConfigError(
            f"--record {path}: is no file of our own, and secrets would go there",
            "a path where there is nothing yet",
        )
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 0)
    return fd


class Recording:
    """A recording to be read. Raises ConfigError if the file is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        limits = dict.fromkeys(("max_buffer_size", "max_bin_len", "max_str_len"), 1 << 31)
        self._unpacker = msgpack.Unpacker(self._file, use_list=False, **limits)
        self._values = self._read()
        self.is_cut_off = False
        """Whether it ended within a value, which is known once all steps were read."""
        try:
            self.head = self._head()
        except ConfigError:
            self.close()
            raise

    def steps(self) -> Iterator[Step]:
        """All steps, in order. A recording that was cut off ends at its last whole step."""
        for number, value in enumerate(self._values, 1):
            try:
                name, plain = value
                step = _FROM_PLAIN[name](plain)
            except _DAMAGE as error:
                raise self._damaged(f"step {number}: {error}") from None
            yield step

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _head(self) -> Head:
        form, head = next(self._values, None), next(self._values, None)
        if form != _FORMAT or not isinstance(head, dict):
            raise ConfigError(
                f"{self._path}: is no recording of this agentd", "made by run --record"
            )
        try:
            return Head(**head)
        except TypeError as error:
            raise self._damaged(str(error)) from None

    def _read(self) -> Iterator[Any]:
        """All values to the end of the file. Raises ConfigError at one that is damaged."""
        end_bytes = 0
        while True:
            try:
                checksum, packed = self._unpacker.unpack()
                if zlib.crc32(packed) != checksum:
                    raise ValueError("the checksum is of other data")
                value = msgpack.unpackb(packed, use_list=False)
            except msgpack.OutOfData:
                self.is_cut_off = end_bytes != os.fstat(self._file.fileno()).st_size
                return
            except (*_DAMAGE, msgpack.UnpackException) as error:
                raise self._damaged(f"after byte {end_bytes}: {error}") from None
            end_bytes = self._unpacker.tell()
            yield value

    def _damaged(self, why: str) -> ConfigError:
        return ConfigError(f"{self._path}: is damaged: {why}")


def _to_plain(step: Step) -> Any:
    if isinstance(step, Seed):
        return [step.begun_ns, [plain_process(process) for process in step.processes]]
    if isinstance(step, Round):
        counters = [_counters(step.before), _counters(step.after)]
        delivery = step.delivery
        return [
            step.now_ns,
            step.wall_offset_ns,
            counters[0],
            [delivery.data, delivery.spans, delivery.drained],
            counters[1],
        ]
    if isinstance(step, Scan):
        seen = [plain_observed(observed) for observed in step.processes]
        return [step.begun_ns, step.ended_ns, seen, step.complete]
    if isinstance(step, Flush):
        return step.wall_offset_ns
    if isinstance(step, Skipped | Named | GaveUp):
        return cleaned(astuple(step))
    return None


def _counters(counters: KernelCounters) -> list[Any]:
    return [
        counters.failures,
        counters.seq,
        counters.attempts,
        counters.filtered,
        counters.threads,
    ]


def _read_round(plain: Any) -> Round:
    now_ns, wall_offset_ns, before, (data, spans, drained), after = plain
    delivery = Delivery(data, list(spans), drained)
    return Round(now_ns, wall_offset_ns, KernelCounters(*before), delivery, KernelCounters(*after))


def _read_seed(plain: Any) -> Seed:
    begun_ns, processes = plain
    return Seed([read_process(process) for process in processes], begun_ns)


def _read_scan(plain: Any) -> Scan:
    begun_ns, ended_ns, seen, complete = plain
    processes = tuple(map(read_observed, seen))
    return Scan(begun_ns, ended_ns, processes, complete)


_FROM_PLAIN: dict[str, Callable[[Any], Step]] = {
    "Seed": _read_seed,
    "Round": _read_round,
    "ScanBegins": lambda plain: ScanBegins(),
    "Scan": _read_scan,
    "Skipped": lambda plain: Skipped(*plain),
    "Named": lambda plain: Named(*plain),
    "GaveUp": lambda plain: GaveUp(*plain),
    "Flush": Flush,
}
