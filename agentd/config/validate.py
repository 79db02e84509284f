"""What a value of the configuration must be, where a type and bounds do not say it."""

from __future__ import annotations

import ipaddress
import mmap
import re
import socket

from agentd.core.redact import PatternError, Redactor
from agentd.filters.patterns import Matcher

_SUN_PATH_BYTES = 108
"""struct sockaddr_un, include/uapi/linux/un.h"""
_PATH_BYTES_MAX = 4096
"""PATH_MAX, include/uapi/linux/limits.h"""
_PORT_DIGITS = 5
_HOST = re.compile(r"[\w.-]+", re.ASCII)


def buffer_bytes(value: int) -> str:
    """A size that the kernel takes for a buffer: a power of two, a page or more."""
    if value >= mmap.PAGESIZE and not value & (value - 1):
        return ""
    lower = max(mmap.PAGESIZE, 1 << (value.bit_length() - 1))
    nearest = min(lower, 2 * lower, key=lambda size: abs(size - value))
    return f"must be a power of two, of {mmap.PAGESIZE} or more; the nearest is {nearest}"


def address_or_empty(value: str) -> str:
    """An address and port to listen at, or nothing."""
    if not value:
        return ""
    address = split_address(value)
    if address is None:
        return "must be address:port, for instance 127.0.0.1:9847 or [::1]:9847, or empty"
    return _ipv6_problem(address[0]) if ":" in address[0] else _name_problem(address[0])


def split_address(text: str) -> tuple[str, int] | None:
    """``address:port``, an IPv6 address in brackets, taken apart; None if it is not that."""
    host, colon, port = text.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    if not (colon and is_number and int(port) < 1 << 16):
        return None
    if host.startswith("[") and host.endswith("]") and ":" in host:
        return host[1:-1], int(port)
    return (host, int(port)) if _is_host(host) else None


def _is_host(host: str) -> bool:
    """Whether the resolver can be asked for it."""
    try:
        return _HOST.fullmatch(host.encode("idna").decode()) is not None
    except UnicodeError:
        return False


_MULTICAST = "is a multicast address, and nobody can connect there"


def _name_problem(host: str) -> str:
    """Why nothing can listen at a name or an IPv4 address."""
    if host.strip("0123456789."):
        return ""
    try:
        address = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return f"{host} is no IPv4 address"
    return _MULTICAST if address.is_multicast else ""


def _ipv6_problem(host: str) -> str:
    """Why nothing can listen at an IPv6 address."""
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return "is no IPv6 address in brackets, as in [::1]:9847"
    if address.is_multicast:
        return _MULTICAST
    if address.ipv4_mapped is not None:
        return f"must be written as {address.ipv4_mapped}"
    if address.is_link_local and address.scope_id is None:
        return "is a link-local address and needs its device, as in [fe80::1%eth0]:9847"
    if address.scope_id is not None and not address.is_link_local:
        return "has a device, which only link-local addresses (fe80::) can have"
    return ""


def redact_patterns(value: tuple[str, ...]) -> str:
    """Patterns that a redactor takes."""
    try:
        Redactor(value, Matcher().own_pattern)
    except PatternError as error:
        return str(error)
    return ""


def socket_path_or_empty(value: str) -> str:
    """An absolute path that fits into the address of a Unix socket, or nothing."""
    is_short = len(value.encode()) < _SUN_PATH_BYTES
    names_file = value.startswith("/") and value.rpartition("/")[2] not in ("", ".", "..")
    if not value or (names_file and is_short and "\0" not in value):
        return ""
    return f"must be the absolute path of a socket, of less than {_SUN_PATH_BYTES} bytes, or empty"


def file_path_or_empty(value: str) -> str:
    """A path that a file can have, or nothing."""
    is_short = len(value.encode()) < _PATH_BYTES_MAX
    if is_short and "\0" not in value:
        return ""
    return f"must be a path of less than {_PATH_BYTES_MAX} bytes, without a NUL"


def cgroup_or_empty(value: str) -> str:
    """A path below the cgroup v2 mount, or nothing. It is compared with what the kernel writes."""
    names = value.strip("/").split("/")
    if value.strip("/") and not {"", ".", ".."}.isdisjoint(names):
        return "must be a path below the mount, without empty parts, . and .."
    return file_path_or_empty(value)


def filter_or_empty(value: str) -> str:
    """A filter of docs/filters.md, or nothing."""
    if not value:
        return ""
    from agentd.filters.language import FilterError, parse_filter  # noqa: PLC0415 (memory)

    try:
        parse_filter(value)
    except FilterError as error:
        return str(error)
    return ""


def journal_actions(value: tuple[str, ...]) -> str:
    """Actions of events that can be asked for."""
    unknown = [action for action in value if action not in ("fork", "exec", "exit")]
    return f"of fork, exec and exit, not {unknown[0]!r}" if unknown else ""
