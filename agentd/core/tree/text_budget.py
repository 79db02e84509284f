"""One budget for all text in the tree: the oldest is forgotten first, and that is flagged.

Text is worth the less the older it is, and detail less than the names of a process. So, from what
is kept longest: the executables of the living and of the exited (with the place they were run in
and the cgroup), the arguments of both, the earlier images of both; of each the youngest first.
Walked in this order, text is kept until five eighths of the limit are full, and the rest is
forgotten. Strings are shared between processes and counted once.

A walk begins when three quarters are full. It takes a bounded number of steps in each batch,
because it passes all processes and all images that they ran, and others choose how many these are.
Meanwhile new text is counted as it comes (``Images.counted``). When fifteen sixteenths are full
before the walk has ended, new text is not kept (``Images.full``): the event carries it, and its
process is flagged.

The account is an upper bound at any moment. ``used_bytes`` contains all text that was there when
the walk began, and nothing is taken off before its end. Then the account is the sum of what the
walk has counted and what is new since. No text escapes both: a new process has a new image, or its
creator's, and then joins the walk; an image that becomes an earlier one stays in its process, and
earlier images are passed last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agentd.core.tree.id_set import IdSet
from agentd.core.tree.images import Images
from agentd.core.tree.process import Process
from agentd.core.tree.text_walk import PASSES, TextWalk

_KEPT = 5 / 8
_BEGIN = 3 / 4
_FULL = 15 / 16

STEPS_A_BATCH: Final = 2000
"""Steps of a walk in one batch."""
ALL_STEPS: Final = 1 << 62
_FREED_A_BATCH: Final = 4
"""Small sets of ids that are freed in one batch."""


class TextBudget:
    """Keeps the text of a tree below the limit of its images.

    Until the first batch ends, a walk goes to its end at once.
    """

    def __init__(self, images: Images, steps_a_batch: int = STEPS_A_BATCH) -> None:
        self.walks_total = 0
        self.steps_total = 0
        self.steps_left = ALL_STEPS
        """In this batch."""
        self.begin_bytes = int(images.limit_bytes * _BEGIN)
        """Below it nothing is to be done."""
        self._full_bytes = int(images.limit_bytes * _FULL)
        self._steps_a_batch = steps_a_batch
        self._images = images
        self._walk: TextWalk | None = None
        self._begun_bytes = 0
        self._joined = 0
        self._freed: list[set[int]] = []

    @property
    def is_due(self) -> bool:
        """Whether a walk is to begin."""
        return self._walk is None and self._images.used_bytes > self.begin_bytes

    def begin(self, living: Iterable[Process], departed: Iterable[Process]) -> None:
        """Begin a walk. ``living``: the oldest first. ``departed``: the youngest first."""
        images = self._images
        self.walks_total += 1
        images.forget_shared()
        images.counted = IdSet()
        self._begun_bytes = images.used_bytes
        processes = list(living)
        processes.reverse()
        processes.extend(departed)
        limit_bytes = int(images.limit_bytes * _KEPT)
        self._walk = TextWalk(processes, limit_bytes, images.forgotten, images.counted)

    def add(self, process: Process) -> None:
        """A process was forked during a walk, and has its creator's text."""
        if self._walk is not None and self._walk.join(process):
            self._joined += 1

    def end_batch(self) -> None:
        """Allow the steps of the next batch. Processes that joined the walk do not slow it."""
        self.steps_left = self._steps_a_batch + PASSES * self._joined
        self._joined = 0
        del self._freed[:_FREED_A_BATCH]

    def advance(self) -> None:
        """Go on with a walk, as far as the steps of this batch go."""
        walk, images = self._walk, self._images
        if walk is None:
            return
        if self.steps_left > 0:
            taken = walk.advance(self.steps_left)
            self.steps_left -= taken
            self.steps_total += taken
        if walk.is_finished:
            self._end(walk)
        elif images.used_bytes > self._full_bytes:
            images.full = True

    def _end(self, walk: TextWalk) -> None:
        """From now on the account is what was counted and what is new since the beginning."""
        images = self._images
        if images.counted is not None:
            self._freed.extend(images.counted.parts())
        images.used_bytes += walk.kept_bytes - self._begun_bytes
        images.counted, images.full = None, False
        self._walk = None
