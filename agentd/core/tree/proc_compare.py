"""What a look at /proc says of a process against what is known: the same image, or another one.

Some of what /proc shows is not what an exec had: programs write titles over their arguments
(setproctitle(3)) and rename themselves, files are renamed. That is no exec. And some cannot be
compared as it stands: paths whose beginning is missing, arguments that are cut or have secrets.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agentd.core.redact import Redact
from agentd.core.tree.process import Image, Notes, Process
from agentd.core.wire.exec_context import PlaceReader

_MINOR_BITS: Final = 20
"""include/linux/kdev_t.h"""


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
    FILE: Final = "file"
    """It has exec'd: another file runs, by inode and device; or what ran was not known."""
    PATH: Final = "path"
    """It has exec'd, if the path of what runs says so; which file that is was not known."""
    ARGUMENTS: Final = "arguments"
    """It has exec'd the same file, if its arguments say so."""
    UNSEEN: Final = "unseen"
    """Too little was seen to tell."""


def judge(
    known: Process,
    seen: Observed,
    places: PlaceReader,
    redact: Redact,
    *,
    suspect: bool,
) -> str:
    """Whether a process still runs the image that it is known to run (``Verdict``).

    ``suspect``: a loss may have hidden an exec. If not, and the kernel reports its execs, there was
    none: whatever differs is what the process itself wrote there (title, name, PR_SET_MM_MAP).
    """
    there, image = seen.process.image, known.image
    if not there.executable and not there.args:
        # a kernel thread has its name only; of others it says nothing
        bare = not image.executable and not image.args and image.name == there.name
        return Verdict.SAME if bare else Verdict.UNSEEN
    told = seen.process.inside and known.inside
    if told and not suspect and image.executable:
        return Verdict.SAME
    if there.executable and (other := _other_file(known, seen, places)):
        return other
    if not there.executable and _is_title(there.args) and there.args != image.args:
        return Verdict.UNSEEN
    told = seen.process.inside and (suspect or not image.args)
    same = not told or is_same_command(image, there, redact)
    return Verdict.SAME if same else Verdict.ARGUMENTS


def is_same_command(known: Image, there: Image, redact: Redact) -> bool:
    """Whether one file with these arguments may be seen with those and not have exec'd."""
    return _same_args(known, there, redact) or _is_title(there.args)


def _other_file(known: Process, seen: Observed, places: PlaceReader) -> str:
    """How one knows that another file runs; empty if it is the same."""
    path, there = known.image.executable, seen.process.image.executable
    same_path = _same_path(path, there)
    inode, device = known.seen_file
    if known.image.place:
        place = places.read(known.image.place)
        inode, device = place.exe_inode, place.exe_device
    if not inode or not seen.inode:
        return "" if same_path else Verdict.PATH
    if (inode, device) == (seen.inode, seen.device):
        return ""
    # stat(2) shows another device than the kernel has where one file system has several (btrfs
    # subvolumes, layers of overlayfs), all without a major number
    unnamed = not device >> _MINOR_BITS and not seen.device >> _MINOR_BITS
    return "" if same_path and unnamed and inode == seen.inode else Verdict.FILE


def _same_path(path: bytes, there: bytes) -> bool:
    if path == there:
        return True
    tail = path.removeprefix(b"./")  # the names next to the root are missing
    return bool(tail) and not path.startswith(b"/") and there.endswith(b"/" + tail)


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
