"""What a process can run short of: file descriptors and memory."""

from __future__ import annotations

import errno
import os
import resource

from agentd.errors import UnavailableError

DESCRIPTORS_MIN = 64
"""A running agentd has about 30 open; the rest are for connections to its ports."""
_WAY_OUT = "ulimit -n 1024; for a unit: LimitNOFILE=4096"


def check_descriptors(needed: int = DESCRIPTORS_MIN) -> None:
    """Raise UnavailableError if fewer file descriptors are left than agentd needs."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        in_use = len(os.listdir("/proc/self/fd"))
    except OSError as error:
        if (short := shortage(error)) is not None:
            raise short from None
        in_use = 0  # without /proc nobody knows
    if limit != resource.RLIM_INFINITY and limit - in_use < needed:
        raise UnavailableError(
            f"too few file descriptors: the limit is {limit}, {in_use} are open,"
            f" and agentd needs {needed} more",
            _WAY_OUT,
        )


def shortage(error: BaseException) -> UnavailableError | None:
    """What is exhausted; None if the exception has another cause."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if number in (errno.EMFILE, errno.ENFILE) or os.strerror(errno.EMFILE) in text:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        of_whom = "the host's limit" if number == errno.ENFILE else f"the limit is {limit}"
        return UnavailableError(f"no file descriptor is left ({of_whom}): {text}", _WAY_OUT)
    is_bounded = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    unmapped = "failed to map segment" in text and is_bounded  # ld.so does not say why
    if unmapped or isinstance(error, MemoryError) or number == errno.ENOMEM:
        return UnavailableError("no memory is left", "free -m; ulimit -v; MemoryMax= of a unit")
    return None
