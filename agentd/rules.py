"""What a value of the configuration must be, where a type and bounds do not say it."""

from __future__ import annotations

import mmap

from agentd.core.redact import PatternError, Redactor
from agentd.patterns import Matcher

_SUN_PATH_BYTES = 108
"""struct sockaddr_un, include/uapi/linux/un.h"""
_PORT_DIGITS = 5


def buffer_bytes(value: int) -> str:
    """A size that the kernel takes for a buffer: a power of two, a page or more."""
    if value >= mmap.PAGESIZE and not value & (value - 1):
        return ""
    lower = max(mmap.PAGESIZE, 1 << (value.bit_length() - 1))
    nearest = min(lower, 2 * lower, key=lambda size: abs(size - value))
    return f"must be a power of two, of {mmap.PAGESIZE} or more; the nearest is {nearest}"


def address_or_empty(value: str) -> str:
    """An address and port to listen at, or nothing."""
    if not value or split_address(value):
        return ""
    return "must be address:port, for instance 127.0.0.1:9847, or empty"


def split_address(text: str) -> tuple[str, int] | None:
    """``address:port``, an IPv6 address in brackets, taken apart; None if it is not that."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    if not (colon and is_number and _is_host(host) and int(port) < 1 << 16):
        return None
    return host, int(port)


def _is_host(host: str) -> bool:
    """Whether the resolver can be asked for it."""
    try:
        return bool(host) and "\0" not in host and bool(host.encode("idna"))
    except UnicodeError:
        return False


def redact_patterns(value: tuple[str, ...]) -> str:
    """Patterns that a redactor takes."""
    try:
        Redactor(value, Matcher().own_pattern)
    except PatternError as error:
        return str(error)
    return ""


def path_or_empty(value: str) -> str:
    """An absolute path that fits into the address of a Unix socket, or nothing."""
    is_short = len(value.encode()) < _SUN_PATH_BYTES and "\0" not in value
    if not value or (value.startswith("/") and is_short):
        return ""
    return f"must be an absolute path of less than {_SUN_PATH_BYTES} bytes, or empty"


def file_path_or_empty(value: str) -> str:
    """A path that a file can have, or nothing."""
    return "must be a path, without a NUL" if "\0" in value else ""


def filter_or_empty(value: str) -> str:
    """A filter of docs/filters.md, or nothing."""
    if not value:
        return ""
    from agentd.filtering.language import FilterError, parse_filter  # noqa: PLC0415 (memory)

    try:
        parse_filter(value)
    except FilterError as error:
        return str(error)
    return ""


def journal_actions(value: tuple[str, ...]) -> str:
    """Actions of events that can be asked for."""
    unknown = [action for action in value if action not in ("fork", "exec", "exit")]
    return f"of fork, exec and exit, not {unknown[0]!r}" if unknown else ""
