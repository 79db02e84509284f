"""One budget for all text in the tree: what is oldest is forgotten first, and that is flagged.

Text is worth the less the older it is, and detail less than what a process is known by. So, from
what is kept longest: the executables of the living and of the exited (with the place they were run
in and the cgroup), the arguments of both, the earlier images of both; of each the youngest first.
Walked in this order, text is kept until three quarters of the limit are full, and the rest is
forgotten. Strings are shared between processes and counted once.

A walk costs some steps a process and image, and a quarter of the limit of new text lies between
two walks: nobody makes it cost more than some steps for each 16 bytes of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from agentd.core.tree.images import IMAGE_BYTES, RAN_BYTES, TEXT_BYTES, Images, cut_past, path_bytes
from agentd.core.tree.process import Image, Notes, Process

_KEPT = 3 / 4
"""Of the limit, once it was passed."""


class Forgotten:
    """Sorts of detail that were forgotten."""

    PAST: Final = "earlier_images"
    ARGS: Final = "arguments"
    EXECUTABLE: Final = "executable"
    ALL: Final = (PAST, ARGS, EXECUTABLE)


class TextBudget:
    """Keeps the text of a tree below the limit of its images."""

    def __init__(self, images: Images) -> None:
        self.forgotten = dict.fromkeys(Forgotten.ALL, 0)
        """By sort: images of exited and live processes, each as often as it was forgotten."""
        self.walks_total = 0
        self._images = images

    def keep(self, living: Iterable[Process], departed: Sequence[Process]) -> None:
        """Forget, if there is too much. ``living``: the oldest first. ``departed``: the youngest
        first.
        """
        images = self._images
        if images.used_bytes <= images.limit_bytes:
            return
        self.walks_total += 1
        images.forget_shared()
        youngest = list(living)
        youngest.reverse()
        walk = _Walk(int(images.limit_bytes * _KEPT), self.forgotten)
        for processes in (youngest, departed):
            walk.keep_executables(processes)
        for processes in (youngest, departed):
            walk.keep_args(processes)
        for processes in (youngest, departed):
            walk.keep_past(processes)
        images.used_bytes = walk.kept_bytes


class _Walk:
    """One walk over all processes."""

    def __init__(self, limit_bytes: int, forgotten: dict[str, int]) -> None:
        self.kept_bytes = 0
        self._limit_bytes = limit_bytes
        self._full = False
        self._forgotten = forgotten
        self._kept: set[int] = set()
        """The ids of objects that are kept and counted."""
        self._bare: dict[int, Image] = {}
        """What became of an image, by its id; such images are kept alive by ``_replaced``."""
        self._replaced: list[Image] = []

    def keep_executables(self, processes: Iterable[Process]) -> None:
        """All but arguments and what they ran before."""
        for process in processes:
            image, path = process.image, process.seen_cgroup
            fits = self._fits(
                self._new(image, IMAGE_BYTES)
                + self._new(image.name, TEXT_BYTES + len(image.name))
                + self._new(image.executable, TEXT_BYTES + len(image.executable))
                + self._new(image.place, TEXT_BYTES + len(image.place))
                + (self._new(path, path_bytes(path)) if path else 0)
            )
            if fits:
                self._kept.update(
                    (id(image), id(image.name), id(image.executable), id(image.place), id(path))
                )
            else:
                process.seen_cgroup = ""
                process.image = self._without(image, Notes.ALL_FORGOTTEN)

    def keep_args(self, processes: Iterable[Process]) -> None:
        """What they were given."""
        for process in processes:
            args = process.image.args
            if self._fits(self._new(args, TEXT_BYTES + len(args))):
                self._kept.add(id(args))
            elif args:
                process.image = self._without(process.image, Notes.ARGS_FORGOTTEN)

    def keep_past(self, processes: Iterable[Process]) -> None:
        """What they ran before."""
        for process in processes:
            ran = process.past
            kept = 0
            while ran is not None and self._keeps_image(ran.image):
                kept += 1
                ran = ran.before
            if ran is not None and process.past is not None:
                self._forgotten[Forgotten.PAST] += process.past.length - kept
                process.past = cut_past(process, process.past, kept)

    def _keeps_image(self, image: Image) -> bool:
        texts = image.name, image.executable, image.args, image.place
        size_bytes = self._new(image, IMAGE_BYTES)
        for text in texts:
            size_bytes += self._new(text, TEXT_BYTES + len(text))
        if not self._fits(RAN_BYTES + size_bytes):
            return False
        self._kept.update((id(image), *map(id, texts)))
        return True

    def _new(self, item: object, size_bytes: int) -> int:
        """What an object adds to what is kept."""
        return 0 if id(item) in self._kept else size_bytes

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
        if image.notes & notes == notes:
            return image
        bare = self._bare.get(id(image))
        if bare is None or bare.notes & notes != notes:
            bare = image._replace(args=b"", notes=image.notes | notes)
            if notes & Notes.EXECUTABLE_FORGOTTEN:
                bare = bare._replace(executable=b"", place=b"")
            self._replaced.append(image)
            self._bare[id(image)] = bare
        sort = Forgotten.EXECUTABLE if notes & Notes.EXECUTABLE_FORGOTTEN else Forgotten.ARGS
        self._forgotten[sort] += 1
        return bare
