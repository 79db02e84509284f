"""What a look at /proc says of a process against what is known: the same image, or another one.

Some of what /proc shows is not what an exec had: programs write titles over their arguments
(setproctitle(3)) and rename themselves, files are renamed. That is no exec. And some cannot be
compared as it stands: paths whose beginning is missing, arguments that are cut or have secrets.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agentd.core.place import PlaceReader
from agentd.core.process import Image, Notes, Process
from agentd.core.redact import Redact


class Observed(NamedTuple):
    """One process as /proc shows it; its start is good to a clock tick."""

    process: Process
    """``verified_ns`` is the moment before it was read."""
    uid: int
    gid: int
    inode: int = 0
    """Of the file that it runs; 0 where that is not known."""
    device: int = 0
    """As the kernel has it (``super_block.s_dev``)."""


class Verdict:
    """What the sight of a process says."""

    SAME: Final = "same"
    """It runs what it is known to run."""
    OTHER: Final = "other"
    """It has exec'd, or what it runs was not known."""
    UNSEEN: Final = "unseen"
    """Too little was seen to tell."""


def judge(
    known: Image,
    seen: Observed,
    places: PlaceReader,
    redact: Redact,
    *,
    suspect: bool,
) -> str:
    """Whether a process still runs the image that it is known to run (``Verdict``).

    ``suspect``: a loss may have hidden an exec. If not, other arguments of the same file are what
    the process itself wrote there.
    """
    there = seen.process.image
    if not there.executable and not there.args:
        # a kernel thread has its name only; of others it says nothing
        bare = not known.executable and not known.args and known.name == there.name
        return Verdict.SAME if bare else Verdict.UNSEEN
    if there.executable and not _same_file(known, seen, places):
        return Verdict.OTHER
    if not there.executable and _is_title(there.args) and there.args != known.args:
        return Verdict.UNSEEN
    told = seen.process.inside and (suspect or not known.args)
    same = not told or is_same_command(known, there, redact)
    return Verdict.SAME if same else Verdict.OTHER


def is_same_command(known: Image, there: Image, redact: Redact) -> bool:
    """Whether one file with these arguments may be seen with those and not have exec'd."""
    return _same_args(known, there, redact) or _is_title(there.args)


def _same_file(known: Image, seen: Observed, places: PlaceReader) -> bool:
    path, there = known.executable, seen.process.image.executable
    if path == there:
        return True
    tail = path.removeprefix(b"./")
    if tail and not path.startswith(b"/") and there.endswith(b"/" + tail):
        return True  # the names next to the root are missing
    if not known.place or not seen.inode:
        return False
    place = places.read(known.place)
    return (place.exe_inode, place.exe_device) == (seen.inode, seen.device)


def _same_args(known: Image, there: Image, redact: Redact) -> bool:
    """True as well where the arguments of one of them could not be searched for secrets."""
    if there.args == known.args or known.notes & Notes.REDACTION_INCOMPLETE:
        return True
    ours, (theirs, complete) = known.args, redact(there.args)
    if not complete:
        return True
    if _is_cut(known):
        ours = _whole(ours)
        return theirs.startswith(ours)
    if _is_cut(there):
        return ours.startswith(_whole(theirs))
    return ours == theirs


def _is_cut(image: Image) -> bool:
    return image.args.count(b"\0") < image.args_count


def _whole(args: bytes) -> bytes:
    """The arguments but for the last, of which a part is missing."""
    return args[: args.rfind(b"\0") + 1]


def _is_title(args: bytes) -> bool:
    """Whether that looks like a title and not like arguments.

    It is one text: with words in it, or with what is left of the arguments blanked behind it, or
    without an end of its own where it is longer than they were (fs/proc/base.c, get_mm_cmdline).
    """
    text = args.rstrip(b"\0")
    if b"\0" in text:
        return False
    return b" " in text or len(args) - len(text) != 1
