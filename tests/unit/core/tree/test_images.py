"""agentd.core.tree.images"""

from __future__ import annotations

from agentd.core.redact import Redaction, redact_nothing
from agentd.core.tree.images import NAME_BYTES, PLACE_BYTES, Images
from agentd.core.tree.process import Image, Notes, Process
from tests.records import WIRE, execed


def _image(number: int) -> Image:
    return Image(b"x%d" % number, b"/x%d" % number, b"x\0", 1)


def _without_secret(args: bytes) -> Redaction:
    return Redaction(args.replace(b"secret", b"*"), complete=True)


def test_those_that_run_the_same_share_one_image() -> None:
    """Whatever the secrets that were taken out."""
    images = Images(_without_secret, 1 << 20)
    first = images.executed(execed(b"/bin/x", b"x\0secret\0"))
    assert first.args == b"x\0*\0"
    used_bytes = images.used_bytes
    assert images.executed(execed(b"/bin/x", b"x\0secret\0")) is first
    assert images.used_bytes == used_bytes


def test_other_secrets() -> None:
    """From now on they are looked for in what was seen before, too."""
    images = Images(redact_nothing, 1 << 20)
    event = execed(b"/bin/x", b"x\0secret\0")
    assert images.executed(event).args == b"x\0secret\0"
    images.redact_with(_without_secret)
    assert images.executed(event).args == b"x\0*\0"


def test_what_could_not_be_redacted_is_tried_again() -> None:
    """It is flagged, and not kept for the next that runs the same."""
    complete = False
    images = Images(
        lambda args: Redaction(args if complete else b"[redacted]\0", complete), 1 << 20
    )
    first = images.executed(execed(b"/bin/x", b"x\0"))
    assert (first.args, first.notes) == (b"[redacted]\0", Notes.REDACTION_INCOMPLETE)
    complete = True
    second = images.executed(execed(b"/bin/x", b"x\0"))
    assert (second.args, second.notes) == (b"x\0", 0)


def test_a_child_of_a_renamed_parent() -> None:
    """It has its parent's image under the name that it has itself."""
    images = Images(redact_nothing, 1 << 20)
    parent = Process((1, 1), (0, 0), _image(1), executed=True)
    assert images.inherited(parent, b"x1".ljust(16, b"\0"), 9) is parent.image
    assert images.used_bytes == 0
    assert images.inherited(parent, b"new".ljust(16, b"\0"), 9) == _image(1)._replace(name=b"new")
    assert images.inherited(None, b"new".ljust(16, b"\0"), 9) == Image(b"new", b"", b"", 0)
    assert images.used_bytes > 0


def test_what_it_ran_before_is_kept() -> None:
    """The newest first, with the moment since when; of very many the oldest are forgotten."""
    images = Images(redact_nothing, 1 << 20)
    process = Process((1, 1), (0, 0), _image(0), executed=False)
    for number in range(1, 43):
        images.change(process, _image(number), number * 10)
    assert (process.image, process.image_ns) == (_image(42), 420)
    past = []
    ran = process.past
    while ran is not None:
        past.append((ran.image, ran.since_ns, ran.length))
        ran = ran.before
    kept = range(41, 41 - len(past), -1)
    assert past == [(_image(n), n * 10, len(past) - i) for i, n in enumerate(kept)]
    assert len(past) + process.past_forgotten == 42
    assert 32 <= len(past) <= 40


def test_names_and_places_are_no_larger_than_they_are_counted() -> None:
    """Their sizes are the kernel's and the contract's, and nobody chooses them."""
    assert WIRE.layout("agentd_place").size <= PLACE_BYTES
    assert len(execed().comm) <= NAME_BYTES
