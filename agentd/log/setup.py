"""The daemon's own log: in the journal, for people on a terminal, or JSON on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

from agentd.core.text import cleaned
from agentd.log.queue import LogQueue
from agentd.sinks.journald import JournalChannel
from agentd.sinks.stdout import Stdout
from agentd.systemd.journal_protocol import SENTENCE, datagram, entry, is_journal


def configure_log(level: str, log_format: str) -> tuple[Any, LogQueue]:
    """Set structlog up once, and give the daemon's logger and what its lines go through.

    If nobody takes a line, the daemon's work still goes on.
    """
    journal = log_format == "journal" or (log_format == "auto" and is_journal(2))
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    queue = LogQueue(JournalChannel() if journal else Stdout(2))
    if journal:
        renderer = _journal_writer(queue)
    set_level(level)
    structlog.configure(
        processors=[
            _threshold,
            structlog.processors.add_log_level,
            *([] if journal else [structlog.processors.TimeStamper(fmt="iso", utc=not console)]),
            structlog.processors.format_exc_info,
            _clean,
            *([_speak] if console else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _StandardError(queue))),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("agentd"), queue


def _clean(logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """All text passes the gate."""
    return cast(Mapping[str, Any], cleaned(dict(event)))


def _speak(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For people: the sentence of a line that has one stands for its name."""
    if SENTENCE in event:
        event["event"] = event.pop(SENTENCE)
    return event


def set_level(level: str) -> None:
    """Log this severity and above from now on."""
    _threshold.least = _severity(level)


def _severity(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


class _Threshold:
    """What is less severe goes no further. (structlog's own filter cannot change.)"""

    least = logging.INFO

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        if _severity(method) < self.least:
            raise structlog.DropEvent
        return event


_threshold = _Threshold()


def _journal_writer(queue: LogQueue) -> Any:
    """Sends each line to the journal itself, instead of to standard error."""

    def write(logger: Any, method: str, event: dict[str, Any]) -> str:
        queue.write(datagram(entry(event)))
        raise structlog.DropEvent

    return write


class _StandardError:
    """A text file as structlog wants one."""

    def __init__(self, queue: LogQueue) -> None:
        self._queue = queue

    def write(self, text: str) -> None:
        self._queue.write(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        pass
