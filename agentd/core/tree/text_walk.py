"""One walk over all processes that counts their text, keeps what is worth most, forgets the rest.

It is taken in steps. A step passes one process, or one image that it ran before.
"""

from __future__ import annotations

from typing import Final

from agentd.core.tree.id_set import IdSet
from agentd.core.tree.images import (
    IMAGE_BYTES,
    RAN_BYTES,
    TEXT_BYTES,
    Forgotten,
    cut_past,
    path_bytes,
    without,
)
from agentd.core.tree.process import Image, Notes, Process

EXECUTABLES: Final = 0
ARGS: Final = 1
PAST: Final = 2
PASSES: Final = 3
STEPS_A_PROCESS_MAX: Final = 64
"""In one pass: itself and the images that it ran before (``core.tree.images`` bounds them)."""
_PASSED: Final = Process((0, 0), (0, 0), Image(b"", b"", b"", 0), executed=False)
"""Stands for each process that has been passed for the last time: it may be freed."""


class TextWalk:
    """Passes ``processes``, the most precious first, and keeps ``limit_bytes`` of their text.

    ``counted`` holds what has been counted. Whoever makes something new meanwhile adds it there.
    """

    def __init__(
        self,
        processes: list[Process],
        limit_bytes: int,
        forgotten: dict[str, int],
        counted: IdSet,
    ) -> None:
        self.kept_bytes = 0
        self._processes = processes
        self._passed = [0] * PASSES
        """How many processes, by pass."""
        self._limit_bytes = limit_bytes
        self._full = False
        self._forgotten = forgotten
        self._counted = counted
        self._bare: dict[int, tuple[Image, Image]] = {}
        """By the id of an image: itself, so that the id stays its own, and what became of it."""

    @property
    def is_finished(self) -> bool:
        """Whether all passes are at their end, and what was replaced is free."""
        return self._passed[PAST] == len(self._processes) == self._passed[ARGS] and not self._bare

    def join(self, process: Process) -> bool:
        """Pass a process, too, that is new and has its creator's text; False: it needs none."""
        image, has = process.image, self._counted.has
        if has(image) and has(image.args) and has(image.executable) and has(process.seen_cgroup):
            return False
        self._processes.append(process)
        return True

    def advance(self, steps: int) -> int:
        """Go on in the lowest pass that has something left; how many steps it took.

        These are at most ``STEPS_A_PROCESS_MAX`` more than ``steps``, and fewer only at the end.
        """
        taken = 0
        while taken < steps and not self.is_finished:
            number = self._lowest()
            if number < PASSES:
                taken += self._pass(number, steps - taken)
            else:
                self._bare.popitem()
                taken += 1
        return taken

    def _lowest(self) -> int:
        """The lowest pass that has something left; ``PASSES`` if none has."""
        for number in range(PASSES):
            if self._passed[number] < len(self._processes):
                return number
        return PASSES

    def _pass(self, number: int, steps: int) -> int:
        """Take so many steps of a pass, if there are; how many it took."""
        processes = self._processes
        first = at = self._passed[number]
        past = 0
        while at < len(processes) and at - first + past < steps:
            process = processes[at]
            if number == EXECUTABLES:
                self._keep_executable(process)
            elif number == ARGS:
                self._keep_args(process)
            else:
                past += self._keep_past(process)
                processes[at] = _PASSED
            at += 1
        self._passed[number] = at
        return at - first + past

    def _keep_executable(self, process: Process) -> None:
        """All but arguments and what it ran before."""
        image, path = process.image, process.seen_cgroup
        fits = self._fits(
            self._new(image, IMAGE_BYTES)
            + self._new(image.name, TEXT_BYTES + len(image.name))
            + self._new(image.executable, TEXT_BYTES + len(image.executable))
            + self._new(image.place, TEXT_BYTES + len(image.place))
            + (self._new(path, path_bytes(path)) if path else 0)
        )
        if fits:
            self._counted.add(image, image.name, image.executable, image.place, path)
        else:
            process.seen_cgroup = ""
            process.image = self._without(image, Notes.ALL_FORGOTTEN)

    def _keep_args(self, process: Process) -> None:
        """The arguments that it was given."""
        args = process.image.args
        if self._fits(self._new(args, TEXT_BYTES + len(args))):
            self._counted.add(args)
        elif args:
            process.image = self._without(process.image, Notes.ARGS_FORGOTTEN)

    def _keep_past(self, process: Process) -> int:
        """The images that it ran before; how many were there."""
        ran = process.past
        if ran is None:
            return 0
        newest, kept = ran, 0
        while ran is not None and self._keeps_image(ran.image):
            kept += 1
            ran = ran.before
        if ran is not None:
            self._forgotten[Forgotten.PAST] += newest.length - kept
            process.past = cut_past(process, newest, kept)
        return newest.length

    def _keeps_image(self, image: Image) -> bool:
        texts = image.name, image.executable, image.args, image.place
        size_bytes = self._new(image, IMAGE_BYTES)
        for text in texts:
            size_bytes += self._new(text, TEXT_BYTES + len(text))
        if not self._fits(RAN_BYTES + size_bytes):
            return False
        self._counted.add(image, *texts)
        return True

    def _new(self, item: object, size_bytes: int) -> int:
        """How much an object adds to what is kept."""
        return 0 if self._counted.has(item) else size_bytes

    def _fits(self, size_bytes: int) -> bool:
        """Whether there is room; once there was none, there is none for what is older."""
        if not size_bytes:
            return True
        if self._full or self.kept_bytes + size_bytes > self._limit_bytes:
            self._full = True
            return False
        self.kept_bytes += size_bytes
        return True

    def _without(self, image: Image, notes: int) -> Image:
        """The image without what is forgotten; one object for all that had it."""
        nothing = not (image.executable or image.args or image.place)
        if nothing or image.notes & notes == notes:
            return image
        known = self._bare.get(id(image))
        bare = image if known is None else known[1]
        if bare.notes & notes != notes:
            bare = without(image, notes)
            self._bare[id(image)] = image, bare
        sort = Forgotten.EXECUTABLE if notes & Notes.EXECUTABLE_FORGOTTEN else Forgotten.ARGS
        self._forgotten[sort] += 1
        return bare
