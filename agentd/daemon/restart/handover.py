"""What outlives a daemon: the programs, their buffers, and how far the stream was handed on.

The service manager keeps the file descriptors (FileDescriptorStoreMax= in systemd.service(5)) and
gives them to the next process, after a restart, a crash or an upgrade. The programs go on
writing meanwhile. How far the stream was handed on stands in memory that both processes share
(a memfd), written before room is given back to the kernel, so a kill at any moment loses nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentd.core.loss.tracker import Progress
from agentd.core.pipeline import Pipeline
from agentd.core.tree import snapshot
from agentd.core.tree.tree import Tree
from agentd.core.unwritten import Unwritten
from agentd.daemon.restart.checkpoint import Ledger, turn_of
from agentd.daemon.restart.fdstore import PAST, Former, about_fd, names_and_fds
from agentd.daemon.restart.resumed import KeptPrograms
from agentd.daemon.restart.saved_state import Moment, Past, PastError, read_past, write_past
from agentd.host import clock
from agentd.kernel.loader_client import Attached
from agentd.systemd.notify import Service


class Sinks(Protocol):
    """What is needed of the outputs."""

    def leave(self) -> dict[str, Unwritten]:
        """None writes any more; what each had still to write."""

    def take_over(self, left: Mapping[str, Unwritten], wall_offset_ns: int) -> None:
        """Begin with what others had still to write."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a process before us left, beside programs that we go on with."""

    past: Past | None
    """Its tree, and what its outputs had not taken, as of its planned end."""
    former: Former | None
    """Its programs, if they are of another kind than ours."""


def left_by(
    kept: KeptPrograms | Former | None,
    past_fd: int | None,
    forget: Callable[[Iterable[str]], None],
    refuse: Callable[[str], None],
) -> Left:
    """What goes with the programs that were taken; what does not is forgotten.

    ``refuse`` hears why.
    """
    past = None
    if past_fd is not None:
        moment = None if kept is None else Moment(kept.first_seq, turn_of(kept.progress_fd))
        try:
            past = read_past(past_fd, moment)
        except PastError as error:
            forget([PAST])
            refuse(f"the state of its end {error}")
    return Left(past, kept if isinstance(kept, Former) else None)


class Keeper:
    """Hands to the service manager what a next process needs, and takes what the last one left."""

    def __init__(
        self,
        service: Service,
        attached: Attached,
        left: Left,
        log: Any,
        *,
        resumed: bool,
    ) -> None:
        self._log, self._service = log, service
        self.begins = service.keeps and not resumed
        """Whether our programs are to be kept, and are not yet."""
        self._resumed = resumed
        self._attached = attached
        self._past = left.past
        self._former = left.former

    @property
    def position(self) -> Progress | None:
        """How far the last one came, if it ended as planned."""
        return None if self._past is None else self._past.progress

    def keep(self, ledger: Ledger) -> None:
        """From now on a next process can go on where this one stops: as the ledger says, or as it
        is told by ``leave``.
        """
        self.begins = False
        about = about_fd(self._attached)
        if not self._service.keep(names_and_fds(self._attached, about, ledger.fd)):
            self._log.warning("not kept", reason="the service manager does not listen")
        os.close(about)
        if self._former is not None:
            self._service.forget(self._former.names)

    def remember(self, tree: Tree) -> int:
        """Bring the last one's past back into a tree that has just been seeded; how many."""
        past, self._past = self._past, None
        if past is None:
            return 0
        self._service.forget([PAST])
        return snapshot.restore(tree, past.tree)

    def go_on(self, sinks: Sinks, go_on_from: Callable[[Progress], None]) -> None:
        """Have what the last one's outputs had not taken written before all else.

        ``go_on_from`` hears how far it came, where its stream goes on.
        """
        if self._past is None:
            return
        sinks.take_over(self._past.unwritten, clock.wall_offset_ns())
        if self._resumed:
            go_on_from(self._past.progress)

    def leave(self, pipeline: Pipeline, ledger: Ledger, sinks: Sinks) -> None:
        """Have the state of this moment kept, when nothing happens any more."""
        if not self._service.keeps:
            return
        position = pipeline.position(clock.boottime_ns())
        moment = Moment(self._attached.settings.first_seq, ledger.turn)
        fd = write_past(Past(moment, position, snapshot.take(pipeline.tree), sinks.leave()))
        self._service.forget([PAST])  # one that could not be read, say: a name may be kept twice
        self._service.keep([(PAST, fd)])
        os.close(fd)
