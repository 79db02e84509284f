"""What processes run, from the events that say so; one object for all that run the same.

Arguments and paths have sizes that others choose, so what the tree holds of them is counted in
bytes. ``used_bytes`` grows with each text that is new and is never below the sum of what is held;
when it comes near the limit, ``core.tree.text_budget`` counts what is there and forgets the oldest.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from agentd.core.redact import Redact
from agentd.core.tree.id_set import IdSet
from agentd.core.tree.process import Image, Notes, Process, Ran
from agentd.core.wire.events import ARGS, ARGS_COUNT, COMM, FILENAME, PATH, PLACE, Exec

# Ran(...) would run Python for each exec; this makes the same object in C.
_make: Final = tuple.__new__

_KEPT: Final = 256
"""Images looked up for sharing; the same commands recur soon or not at all."""
_KEPT_ARGS: Final = 4096
"""Longer arguments, in bytes, are not looked up: these tables are bounded in bytes, too."""
_PAST_KEPT: Final = 32
_PAST_MAX: Final = 40
"""Images that a process ran before: of more than the second, all but the first are forgotten. So
the chain is not made anew at each exec."""

TEXT_BYTES: Final = 64
"""Of a bytes object beside its content, at most; of a str, too."""
IMAGE_BYTES: Final = 128
RAN_BYTES: Final = 128
NAME_BYTES: Final = 16
PLACE_BYTES: Final = 256
"""Of an image's name and place, at most."""
_IMAGE_AND_TEXTS_BYTES: Final = IMAGE_BYTES + 4 * TEXT_BYTES + NAME_BYTES + PLACE_BYTES


_Executed: TypeAlias = tuple[bytes, bytes, bytes, int, bytes]
"""What an exec says of an image: the padded name, executable, arguments, their count, place."""


class Forgotten:
    """Sorts of detail that were forgotten."""

    PAST: Final = "earlier_images"
    ARGS: Final = "arguments"
    EXECUTABLE: Final = "executable"
    ALL: Final = (PAST, ARGS, EXECUTABLE)


class Images:
    """Images without their secrets. ``redact`` takes these out of arguments.

    ``limit_bytes``: what all text in the tree may take.
    """

    def __init__(self, redact: Redact, limit_bytes: int) -> None:
        self.redact = redact
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """No less than the text that the tree holds, each string counted once."""
        self.counted: IdSet | None = None
        """While text is counted: what was counted already, or is new since."""
        self.full = False
        """There is no room until all is counted: text is neither kept nor added to the account."""
        self._not_counted: Image | None = None
        """The last image that there was no room for."""
        self.forgotten = dict.fromkeys(Forgotten.ALL, 0)
        """By sort: images of exited and live processes, each as often as it was forgotten."""
        self._known: dict[Image, Image] = {}
        self._executed: dict[_Executed, Image] = {}
        self._cgroups: dict[str, str] = {}

    def redact_with(self, redact: Redact) -> None:
        """Take other secrets out of arguments from now on."""
        self.redact = redact
        self.forget_shared()

    def forget_shared(self) -> None:
        """Hold nothing that no process has."""
        self._known.clear()
        self._executed.clear()
        self._cgroups.clear()

    def shared(self, image: Image) -> Image:
        """The same image as of another process that runs the same, without its secrets.

        Without its text, where there is no room for it.
        """
        return self._known.get(image) or self.to_keep(self._add(image))

    def to_keep(self, image: Image) -> Image:
        """What a process may hold of an image: all, if there was room for it."""
        if image is not self._not_counted:
            return image
        self.forgotten[Forgotten.EXECUTABLE] += 1
        return without(image, Notes.ALL_FORGOTTEN)

    def cgroup(self, path: str) -> str:
        """The same path as of another process; empty where there is no room for it."""
        shared = self._cgroups.get(path)
        if shared is None:
            if self.full:
                return ""
            if len(self._cgroups) >= _KEPT:
                self._cgroups.clear()
            shared = self._cgroups[path] = path
            self.used_bytes += path_bytes(path)
            if self.counted is not None:
                self.counted.add(path)
        return shared

    def executed(self, event: Exec) -> Image:
        """What an exec says that its process runs now."""
        executable = event[PATH] or event[FILENAME]
        key = (event[COMM], executable, event[ARGS], event[ARGS_COUNT], event[PLACE])
        return self._executed.get(key) or self._add_executed(key)

    def _add_executed(self, key: _Executed) -> Image:
        comm, executable, args, count, place = key
        new = Image(_text(comm), executable, args, count, place)
        image = self._known.get(new) or self._add(new)
        if len(args) <= _KEPT_ARGS and image is not self._not_counted:
            if image[5] & Notes.REDACTION_INCOMPLETE:
                return image
            if len(self._executed) >= _KEPT:
                self._executed.clear()
            self._executed[key] = image
        return image

    def _add(self, image: Image) -> Image:
        """A new image: one that is the same is not known, or was not looked up for long."""
        redacted, complete = self.redact(image.args)
        shared = image if redacted is image.args else image._replace(args=redacted)
        if not complete:
            shared = shared._replace(notes=image.notes | Notes.REDACTION_INCOMPLETE)
        if self.full:
            self._not_counted = shared
            return shared
        self.used_bytes += _IMAGE_AND_TEXTS_BYTES + len(shared[1]) + len(redacted)
        if self.counted is not None:
            self.counted.add(shared, *shared)
        if complete and len(image.args) <= _KEPT_ARGS:  # or the next may find more time
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[image] = shared
        return shared

    def inherited(self, parent: Process | None, comm: bytes, at_ns: int) -> Image:
        """The image of a child: its parent's then, unless that is unknown or was renamed since.

        What a parent runs that was seen only after the fork, under another name, may be newer.
        """
        if parent is None:
            return self._named(comm)
        image = parent.image if at_ns >= parent.image_ns else _image_at(parent, at_ns)
        if _is_called(comm, image[0]):
            return image
        if at_ns < parent.verified_ns:
            return self._named(comm)
        return self._count_name(image._replace(name=_text(comm)))

    def _named(self, comm: bytes) -> Image:
        """Of what only the name is known."""
        return self._count_name(Image(_text(comm), b"", b"", 0))

    def _count_name(self, image: Image) -> Image:
        """An image of which only the name is new; not counted where there is no room for text."""
        if not self.full:
            self.used_bytes += IMAGE_BYTES + TEXT_BYTES + NAME_BYTES
            if self.counted is not None:
                self.counted.add(image, image[0])
        return image

    def change(self, process: Process, image: Image, now_ns: int) -> None:
        """It runs another image now; the one before is not forgotten."""
        self._ran(process, process.image, process.image_ns)
        process.image = image
        process.image_ns = now_ns
        process.executed = True

    def recall(self, process: Process, image: Image, at_ns: int) -> None:
        """It exec'd that image at a moment before it was seen to run what it is known to run."""
        if process.image_ns > at_ns:  # a younger exec told that
            self._ran(process, image, at_ns)
        elif process.image_ns:  # so did an older one: both are of before the look
            self.change(process, image, at_ns)
        elif process.image.executable != image.executable:
            self._ran(process, image, at_ns)
        else:  # which is what was seen, unless another exec of that file follows
            process.image = image
            process.image_ns = at_ns
            process.executed = True

    def remember(self, process: Process, image: Image, since_ns: int) -> None:
        """It ran that image before all that is known."""
        self._ran(process, image, since_ns)

    def _ran(self, process: Process, image: Image, since_ns: int) -> None:
        if self.full:
            process.past_forgotten += 1
            self.forgotten[Forgotten.PAST] += 1
            return
        past = process.past
        length = 1 if past is None else past[3] + 1
        self.used_bytes += RAN_BYTES
        ran: Ran = _make(Ran, (image, since_ns, past, length))
        process.past = ran if length <= _PAST_MAX else cut_past(process, ran, _PAST_KEPT)


def cut_past(process: Process, newest: Ran, kept: int) -> Ran | None:
    """At most so many, the newest; how many are missing, the process knows."""
    process.past_forgotten += max(0, newest.length - kept)
    first: list[Ran] = []
    ran: Ran | None = newest
    while ran is not None and len(first) < kept:
        first.append(ran)
        ran = ran.before
    past: Ran | None = None
    for length, ran in enumerate(reversed(first), 1):
        past = Ran(ran.image, ran.since_ns, past, length)
    return past


def without(image: Image, notes: int) -> Image:
    """An image without what these notes say is forgotten."""
    if notes & Notes.EXECUTABLE_FORGOTTEN:
        image = image._replace(executable=b"", place=b"")
    return image._replace(args=b"", notes=image.notes | notes)


def from_proc(image: Image) -> Image:
    """An image of which /proc alone says that it runs."""
    return image._replace(notes=image.notes | Notes.FROM_PROC)


def path_bytes(path: str) -> int:
    """What a path takes, at most: a str has up to four bytes a character."""
    return TEXT_BYTES + len(path) * (1 if path.isascii() else 4)


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


def _is_called(comm: bytes, name: bytes) -> bool:
    """Whether a NUL-padded name is that one."""
    end = len(name)
    return end < len(comm) and not comm[end] and comm[:end] == name


def _text(comm: bytes) -> bytes:
    """A NUL-padded name without its padding."""
    return comm.partition(b"\0")[0]
