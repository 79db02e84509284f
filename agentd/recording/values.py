"""What stands in a recording, as plain values and back: what a run was made for, and its steps.

Whoever replays a recording need not have made it. So each value is checked as it is read, the head
as strictly as a configuration file, and what is out of bounds is a ConfigError or a ValueError that
names the field.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import MISSING, asdict, astuple, dataclass, fields
from typing import Any

from agentd.config.load import checked_keys
from agentd.config.schema import REQUIRED, Config, key
from agentd.config.toml_writer import shown
from agentd.core.loss.stages import STAGE_LOST_SAMPLES, STAGE_RESERVE
from agentd.core.loss.tracker import KernelCounters
from agentd.core.steps import Flush, GaveUp, Named, Round, ScanBegins, Seed, Skipped, Step
from agentd.core.text import cleaned
from agentd.core.tree.process import Notes
from agentd.core.tree.reconcile import Scan
from agentd.core.wire.delivery import Delivery
from agentd.errors import ConfigError
from agentd.filters.pattern_limits import JOURNAL_FILTER, OUTPUT_FILTER, REDACTION
from agentd.host.proc_codec import checked_observed, checked_process, plain_observed, plain_process

_HOUR_NS = 3_600_000_000_000
_TIME_MAX_NS = (1 << 63) - 1
_NAME_MAX = 4096
_CPUS_MAX = 1 << 16
"""More than any kernel has."""
_PAGE_BYTES_MIN, _PAGE_BYTES_MAX = 4096, 1 << 20
_NOTES_MAX = Notes.ARGS_FORGOTTEN | Notes.EXECUTABLE_FORGOTTEN
"""A scan that brings too much text leaves some out."""


def _hex_digits(count: int) -> Callable[[str], str]:
    def rule(value: str) -> str:
        is_hex = len(value) == count and set(value) <= set(string.hexdigits.lower())
        return "" if is_hex else f"must be {count} hexadecimal digits"

    return rule


def _page_size(value: int) -> str:
    return "must be a power of two" if value & (value - 1) else ""


@dataclass(frozen=True, slots=True)
class Head:
    """What a stream was made for."""

    wire_sha256: str = key(
        REQUIRED, "of bpf/agentd.h: other records cannot be read", rule=_hex_digits(64)
    )
    cpus: int = key(REQUIRED, "possible CPUs", low=1, high=_CPUS_MAX)
    tick_ns: int = key(REQUIRED, "a tick of /proc's clock", low=1, high=_HOUR_NS)
    page_bytes: int = key(
        REQUIRED, "a page of memory", low=_PAGE_BYTES_MIN, high=_PAGE_BYTES_MAX, rule=_page_size
    )
    boot_id: str = key(REQUIRED, "the id of the boot", rule=_hex_digits(32))
    room_stage: str = key(
        REQUIRED,
        "the transport's word for no room",
        choices=(STAGE_RESERVE, STAGE_LOST_SAMPLES),
    )
    config: Config = REQUIRED
    first_seq: int = key(0, "the first attempt's number on each CPU", low=0, high=_TIME_MAX_NS)


ReadConfig = Callable[[Any, str], Config]
"""From values and the name of their source; raises ConfigError, as ``config.config_of``."""


def plain_head(head: Head) -> Any:
    """Texts and numbers by name."""
    return cleaned(asdict(head))  # which the command line may have given


def read_head(plain: Any, source: str, read_config: ReadConfig) -> Head:
    """What such values were made of. Raises ConfigError that names the source and the field."""
    if not isinstance(plain, dict):
        raise ConfigError(f"{source}: head: must be names and values")
    config = plain.get("config")
    simple = {name: value for name, value in plain.items() if name != "config"}
    values = checked_keys(Head, simple, "head", source)
    for field in fields(Head):
        if field.name not in plain and field.default is MISSING:
            raise ConfigError(f"{source}: head.{field.name} is missing")
    return Head(**values, config=read_config(config, f"{source}: config"))


def plain_step(step: Step) -> Any:
    """Its name, and numbers, bytes, texts and lists."""
    return [type(step).__name__, _plain(step)]


def _plain(step: Step) -> Any:
    if isinstance(step, Seed):
        return [step.begun_ns, [plain_process(process) for process in step.processes]]
    if isinstance(step, Round):
        delivery = step.delivery
        return [
            step.now_ns,
            step.wall_offset_ns,
            _counters(step.before),
            [delivery.data, delivery.spans, delivery.drained],
            _counters(step.after),
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
    return [getattr(counters, field.name) for field in fields(KernelCounters)]


class StepReader:
    """Reads the steps of a recording for so many CPUs and kinds of events."""

    def __init__(self, cpus: int, kinds: int) -> None:
        counts = _each(_COUNT, kinds)
        self._readers: dict[str, Callable[[Any], Step]] = {
            "Seed": _members(_seed, begun_ns=_TIME, processes=_each(_process)),
            "Round": _round(cpus, kinds),
            "ScanBegins": lambda plain: ScanBegins(),
            "Scan": _members(
                Scan, begun_ns=_TIME, ended_ns=_TIME, processes=_each(_observed), complete=_truth
            ),
            "Skipped": _members(Skipped, runs=counts, from_ns=_TIME, now_ns=_TIME),
            "Named": _members(Named, sort=_one_of(*_NAMED), number=_COUNT, name=_name),
            "GaveUp": _members(GaveUp, where=_one_of(*_SEARCHED), number=_COUNT, outcome=_outcome),
            "Flush": lambda plain: Flush(_named("wall_offset_ns", _OFFSET, plain)),
        }

    def read(self, value: Any) -> Step:
        """The step that such values were made of. Raises ValueError that names the field."""
        if not isinstance(value, tuple) or len(value) != 2:
            raise ValueError("must be a name and values")
        name, plain = value
        if not isinstance(name, str) or name not in self._readers:
            raise ValueError(f"{shown(name)} is none of {', '.join(self._readers)}")
        step: Step = _named(name, self._readers[name], plain)
        return step


_Read = Callable[[Any], Any]
"""From a plain value to what it stands for. Raises ValueError that says what it must be."""


def _named(name: str, read: _Read, plain: Any) -> Any:
    try:
        return read(plain)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _members(make: Callable[..., Any], **reads: _Read) -> _Read:
    def read(plain: Any) -> Any:
        if not isinstance(plain, tuple) or len(plain) != len(reads):
            raise ValueError(f"must be a list of {', '.join(reads)}")
        pairs = zip(reads.items(), plain, strict=True)
        return make(*[_named(name, one, value) for (name, one), value in pairs])

    return read


def _each(one: _Read, count: int | None = None) -> _Read:
    def read(plain: Any) -> tuple[Any, ...]:
        if not isinstance(plain, tuple) or count not in (None, len(plain)):
            raise ValueError(f"must be a list of {'any length' if count is None else count}")
        return tuple(map(one, plain))

    return read


def _whole(low: int, high: int) -> _Read:
    def read(plain: Any) -> int:
        if type(plain) is not int or not low <= plain <= high:  # a bool is an int, too
            raise ValueError(f"{shown(plain)}: must be a whole number from {low} to {high}")
        return plain

    return read


def _one_of(*texts: str) -> _Read:
    def read(plain: Any) -> str:
        if plain not in texts:
            raise ValueError(f"{shown(plain)}: must be one of {', '.join(texts)}")
        return str(plain)

    return read


def _name(plain: Any) -> str:
    if not isinstance(plain, str) or len(plain) > _NAME_MAX:
        raise ValueError(f"{shown(plain)}: must be a text of at most {_NAME_MAX} characters")
    return plain


def _truth(plain: Any) -> bool:
    if not isinstance(plain, bool):
        raise ValueError(f"{shown(plain)}: must be true or false")
    return plain


def _delivery(plain: Any) -> Delivery:
    problem = ValueError("must be records, where each of them lies, and true or false")
    try:
        data, spans, drained = plain
        are_spans = all(
            type(offset) is type(length) is int and 0 <= offset <= offset + length <= len(data)
            for offset, length in spans
        )
    except (TypeError, ValueError):
        raise problem from None
    if not (isinstance(data, bytes) and are_spans and isinstance(drained, bool)):
        raise problem
    return Delivery(data, list(spans), drained)


_COUNT = _whole(0, (1 << 64) - 1)
_TIME = _whole(0, _TIME_MAX_NS)
_OFFSET = _whole(-_TIME_MAX_NS, _TIME_MAX_NS)
_NAMED = ("cgroup", "user", "group")
_SEARCHED = (REDACTION, OUTPUT_FILTER, JOURNAL_FILTER)


def _outcome(plain: Any) -> int | None:
    return None if plain is None else int(_COUNT(plain))


def _round(cpus: int, kinds: int) -> _Read:
    per_cpu = _each(_COUNT, cpus)
    by_kind = _each(per_cpu, kinds)
    counters = _members(
        KernelCounters,
        failures=_each(per_cpu, 2 * kinds),  # by cause: ``accounting.causes``
        seq=per_cpu,
        attempts=by_kind,
        filtered=by_kind,
        threads=per_cpu,
    )
    return _members(
        Round,
        now_ns=_TIME,
        wall_offset_ns=_OFFSET,
        before=counters,
        delivery=_delivery,
        after=counters,
    )


def _seed(begun_ns: int, processes: tuple[Any, ...]) -> Seed:
    return Seed(list(processes), begun_ns)


def _process(plain: Any) -> Any:
    return checked_process(plain, _NOTES_MAX)


def _observed(plain: Any) -> Any:
    return checked_observed(plain, _NOTES_MAX)
