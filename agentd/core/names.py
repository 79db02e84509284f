"""What numbers of the kernel are called: users, groups, cgroups, terminals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from agentd.core.text import as_text

NameOf: TypeAlias = Callable[[int], str | None]
"""What a number is called; None where that is not known (yet)."""


@dataclass(frozen=True, slots=True)
class Names:
    """What numbers are called on the host."""

    cgroup: NameOf
    """The path below the mount of a cgroup's id; empty where there are none."""
    user: NameOf
    group: NameOf


def tty_name(tty: bytes) -> str:
    """The terminal's name below /dev; the kernel writes that of pts/3 without the slash."""
    return re.sub(r"^pts(?=\d)", "pts/", as_text(tty.rstrip(b"\0")))
