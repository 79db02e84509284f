"""agentd.core.images"""

from __future__ import annotations

from agentd.core.images import Images, change_image, inherited
from agentd.core.process import Image, Process
from tests.records import execed


def _image(number: int) -> Image:
    return Image(b"x%d" % number, b"/x%d" % number, b"x\0", 1)


def test_those_that_run_the_same_share_one_image() -> None:
    """Whatever the secrets that were taken out."""
    images = Images(lambda args: args.replace(b"secret", b"*"))
    first = images.executed(execed(b"/bin/x", b"x\0secret\0"))
    assert first.args == b"x\0*\0"
    assert images.executed(execed(b"/bin/x", b"x\0secret\0")) is first


def test_a_child_of_a_renamed_parent() -> None:
    """It has its parent's image under the name that it has itself."""
    parent = Process((1, 1), (0, 0), _image(1), executed=True)
    assert inherited(parent, b"x1".ljust(16, b"\0"), 9) is parent.image
    assert inherited(parent, b"new".ljust(16, b"\0"), 9) == _image(1)._replace(name=b"new")
    assert inherited(None, b"new".ljust(16, b"\0"), 9) == Image(b"new", b"", b"", 0)


def test_what_it_ran_before_is_kept() -> None:
    """The newest first, with the moment since when; of very many the oldest are forgotten."""
    process = Process((1, 1), (0, 0), _image(0), executed=False)
    for number in range(1, 40):
        change_image(process, _image(number), number * 10)
    assert (process.image, process.image_ns) == (_image(39), 390)
    past = []
    ran = process.past
    while ran is not None:
        past.append((ran.image, ran.since_ns))
        ran = ran.before
    assert past == [(_image(number), number * 10) for number in range(38, 6, -1)]
