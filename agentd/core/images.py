"""What processes run, from the events that say so; one object for all that run the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from agentd.core.event import ARGS, ARGS_COUNT, COMM, FILENAME, PATH, PLACE, Exec
from agentd.core.process import Image, Process, Ran

# Ran(...) would run Python for each exec; this makes the same object in C.
_make: Final = tuple.__new__

_IMAGES_KEPT: Final = 256
"""Images looked up for sharing; the same commands recur soon or not at all."""
_PAST_KEPT = 32
"""Images that a process ran before; of more, the oldest are forgotten."""


_Executed: TypeAlias = tuple[bytes, bytes, bytes, int, bytes]
"""What an exec says of an image: the padded name, executable, arguments, their count, place."""


class Images:
    """Images without their secrets. ``redact`` takes these out of arguments."""

    def __init__(self, redact: Callable[[bytes], bytes]) -> None:
        self.redact = redact
        self._known: dict[Image, Image] = {}
        self._executed: dict[_Executed, Image] = {}

    def shared(self, image: Image) -> Image:
        """The same image as of another process that runs the same, without its secrets."""
        shared = self._known.get(image)
        if shared is None:
            if len(self._known) >= _IMAGES_KEPT:
                self._known.clear()
            shared = self._known[image] = image._replace(args=self.redact(image.args))
        return shared

    def executed(self, event: Exec) -> Image:
        """What an exec says that its process runs now."""
        executable = event[PATH] or event[FILENAME]
        key = (event[COMM], executable, event[ARGS], event[ARGS_COUNT], event[PLACE])
        return self._executed.get(key) or self._add_executed(key)

    def _add_executed(self, key: _Executed) -> Image:
        if len(self._executed) >= _IMAGES_KEPT:
            self._executed.clear()
        comm, executable, args, count, place = key
        image = self._executed[key] = self.shared(
            Image(_text(comm), executable, args, count, place)
        )
        return image


def inherited(parent: Process | None, comm: bytes, at_ns: int) -> Image:
    """The image of a child: its parent's then, unless the parent is unknown or was renamed since.

    What a parent runs that was seen only after the fork, under another name, may be newer.
    """
    if parent is None:
        return Image(_text(comm), b"", b"", 0)
    image = parent.image if at_ns >= parent.image_ns else _image_at(parent, at_ns)
    if _is_called(comm, image[0]):
        return image
    if at_ns < parent.verified_ns:
        return Image(_text(comm), b"", b"", 0)
    return image._replace(name=_text(comm))


def _image_at(process: Process, at_ns: int) -> Image:
    """What it ran then, for a fork that is told late; the oldest known, if that is younger."""
    image = process.image
    ran = process.past
    while ran is not None:
        image = ran.image
        if ran.since_ns <= at_ns:
            break
        ran = ran.before
    return image


def change_image(process: Process, image: Image, now_ns: int) -> None:
    """It runs another image now; the one before is not forgotten."""
    _ran(process, process.image, process.image_ns)
    process.image = image
    process.image_ns = now_ns
    process.executed = True


def recall_image(process: Process, image: Image, at_ns: int) -> None:
    """It exec'd that image at a moment before it was seen to run what it is known to run."""
    if process.image_ns > at_ns:  # a younger exec told that
        _ran(process, image, at_ns)
    elif process.image_ns:  # so did an older one: both are of before the look
        change_image(process, image, at_ns)
    elif process.image.executable != image.executable:
        _ran(process, image, at_ns)
    else:  # which is what was seen, unless another exec of that file follows
        process.image = image
        process.image_ns = at_ns
        process.executed = True


def _ran(process: Process, image: Image, since_ns: int) -> None:
    past = process.past
    ran: Ran = _make(Ran, (image, since_ns, past))
    process.past = ran if past is None else _cut(process, ran)


def _cut(process: Process, newest: Ran) -> Ran:
    """At most so many, the newest; how many are missing, the process knows."""
    kept = []
    ran: Ran | None = newest
    while ran is not None:
        kept.append(ran)
        ran = ran.before
    if len(kept) <= _PAST_KEPT:
        return newest
    process.past_forgotten += 1
    cut: Ran | None = None
    for ran in reversed(kept[:_PAST_KEPT]):
        cut = ran._replace(before=cut)
    assert cut is not None
    return cut


def _is_called(comm: bytes, name: bytes) -> bool:
    """Whether a NUL-padded name is that one."""
    end = len(name)
    return end < len(comm) and not comm[end] and comm[:end] == name


def _text(comm: bytes) -> bytes:
    """A NUL-padded name without its padding."""
    return comm.partition(b"\0")[0]
