"""The daemon's own log: in the journal, for people on a terminal, or JSON on standard error."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

from agentd.journal_log import entry, is_journal


def configure_log(level: str, log_format: str) -> Any:
    """Set structlog up once and give the daemon's logger."""
    journal = log_format == "journal" or (log_format == "auto" and is_journal(2))
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    if journal:
        renderer = _journal_writer()
    set_level(level)
    structlog.configure(
        processors=[
            _threshold,
            structlog.processors.add_log_level,
            *([] if journal else [structlog.processors.TimeStamper(fmt="iso", utc=not console)]),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("agentd")


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


def _journal_writer() -> Any:
    """Sends each line to the journal itself, instead of to standard error."""
    from systemd.journal import send  # noqa: PLC0415 (memory)

    def write(logger: Any, method: str, event: dict[str, Any]) -> str:
        fields = entry(event)
        with contextlib.suppress(OSError):  # the daemon's work still goes on
            send(fields.pop("MESSAGE"), **fields)
        raise structlog.DropEvent

    return write


class _StandardError:
    """Standard error without a buffer. If nobody takes a line, the daemon's work still goes on."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        pass
