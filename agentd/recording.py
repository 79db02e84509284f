"""Recordings: everything that goes into the pipeline, in order, so that it can be done again.

A file of msgpack values behind each other: first what the stream was made for, then one value a
step. Raw records are in it as the kernel wrote them, arguments with their secrets included: it is
made for its owner alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from agentd.core.accounting import KernelCounters
from agentd.core.journal import Flush, Named, Round, ScanBegins, Seed, Skipped, Step
from agentd.core.pipeline import Delivery
from agentd.core.reconcile import Scan
from agentd.core.text import cleaned
from agentd.errors import ConfigError
from agentd.observations import plain_observed, plain_process, read_observed, read_process

_FORMAT = "agentd-recording-2"


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

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def _pack(self, value: Any) -> None:
        self._file.write(msgpack.packb(value))


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
        form, head = self._next(), self._next()
        if form != _FORMAT or not isinstance(head, dict):
            raise ConfigError(f"{path}: is no recording of this agentd", "made by run --record")
        self.head = Head(**head)

    def steps(self) -> Iterator[Step]:
        """All steps, in order. A recording that was cut off ends at its last whole step."""
        while (value := self._next()) is not None:
            name, plain = value
            yield _FROM_PLAIN[name](plain)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _next(self) -> Any:
        """The next value; None at the end."""
        try:
            return self._unpacker.unpack()
        except msgpack.OutOfData:
            return None
        except (ValueError, msgpack.UnpackException) as error:
            raise ConfigError(f"{self._path}: is damaged: {error}") from None


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
    if isinstance(step, Skipped | Named):
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
    "Flush": Flush,
}
