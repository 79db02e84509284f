"""A scan of /proc, one process after the other in the order of their pids.

A process can keep whoever reads its files waiting for as long as it likes: it holds its own mmap
lock, or runs a file of a file system that does not answer. So the coordinator watches how long one
takes. It kills the worker that is stuck, and a new one goes on behind what has been delivered;
of the stuck process it reads only what cannot be held up (``stat``, ``status``, ``cgroup``).

Parts: ``[[process, …], complete, failure]``, a process as ``agentd.host.proc_codec`` has it.
"""

from __future__ import annotations

from typing import Any

from agentd.core.text import clean
from agentd.core.tree.proc_compare import Observed
from agentd.helpers.worker import Answers, Progress
from agentd.host import procfs
from agentd.host.proc_codec import plain_observed

_PART_BYTES = 1 << 15
"""A part is sent when it has so many; one process more still fits into a packet."""
_PART_PROCESSES = 64
_UTF8_BYTES_MAX = 4
_TEXT_MAX = 256
_BARE = "too many processes keep their readers waiting"


class _Worker:
    """One scan, or what another worker has left of it."""

    def __init__(self, answers: Answers, asked: dict[str, Any], progress: Progress) -> None:
        self._answers = answers
        self._progress = progress
        self._stuck = frozenset(map(tuple, asked["stuck"]))
        self._bare = asked["bare"]
        self._look = procfs.Look(cgroup=asked["cgroup"], is_stuck=self._is_stuck)
        self._part: list[Any] = []
        self._part_bytes = 0

    def run(self) -> None:
        """Send everything behind what has been delivered."""
        delivered = self._progress.delivered
        for tgid in self._look.tgids():
            if tgid <= delivered:
                continue
            self._progress.begin(tgid)
            observed = self._look.observe(tgid)
            self._progress.end()
            if observed is not None:
                self._add(observed)
            if self._part_bytes >= _PART_BYTES or len(self._part) >= _PART_PROCESSES:
                self._send(tgid)
        self._look.end()
        self._send(1 << 31)
        self._answers.done()

    def _add(self, observed: Observed) -> None:
        image, path = observed.process.image, observed.process.seen_cgroup
        self._part.append(plain_observed(observed))
        self._part_bytes += len(image.args) + len(image.executable) + _UTF8_BYTES_MAX * len(path)

    def _is_stuck(self, key: tuple[int, int]) -> bool:
        self._progress.identify(key[1])
        return self._bare or key in self._stuck

    def _send(self, tgid: int) -> None:
        failure = clean(self._look.failure[:_TEXT_MAX]) or (_BARE if self._bare else "")
        self._answers.part([self._part, self._look.complete, failure])
        self._progress.deliver(tgid)
        self._part, self._part_bytes = [], 0


def run(answers: Answers, asked: Any, progress: Progress) -> None:
    """``asked``: the ``cgroup`` whose processes count as inside; the keys of those that are
    ``stuck``; ``bare``: whether nothing is read of any that it can hold up.
    """
    _Worker(answers, asked, progress).run()
