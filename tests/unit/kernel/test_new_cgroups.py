"""agentd.kernel.new_cgroups"""

from __future__ import annotations

import os

from agentd.kernel.new_cgroups import MadeCgroups
from tests.records import WIRE

ELEMENT = WIRE.layout("agentd_cgroup").compile()
KEPT = WIRE.constant("AGENTD_CGROUPS") - 1


class _Kernel:
    """What the program does to the map."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("cgroups")
        os.ftruncate(self.fd, -(-ELEMENT.size * (KEPT + 1) // 4096) * 4096)
        self.count = 0

    def make(self, identity: int, path: bytes) -> None:
        self.count += 1
        self.write(1 + (self.count - 1) % KEPT, self.count, identity, path)
        self.write(0, self.count, 0, b"")

    def write(self, place: int, number: int, identity: int, path: bytes) -> None:
        os.pwrite(self.fd, ELEMENT.pack(number, identity, path), place * ELEMENT.size)


def test_each_is_told_once() -> None:
    """With its path up to the NUL, whatever stood there before."""
    kernel = _Kernel()
    made = MadeCgroups(kernel.fd, WIRE)
    assert made.new() == {}
    kernel.make(5, b"/a\0rest")
    kernel.make(6, b"/b")
    assert made.new() == {5: "/a", 6: "/b"}
    assert made.new() == {}
    kernel.make(7, b"/c")
    assert made.new() == {7: "/c"}
    made.close()


def test_the_youngest_are_kept() -> None:
    """Of more than there are places for, the oldest have gone."""
    kernel = _Kernel()
    made = MadeCgroups(kernel.fd, WIRE)
    for identity in range(1, KEPT + 11):
        kernel.make(identity, b"/%d" % identity)
    assert set(made.new()) == set(range(11, KEPT + 11))
    made.close()


def test_one_that_is_being_filled() -> None:
    """Is not believed before it is there."""
    kernel = _Kernel()
    made = MadeCgroups(kernel.fd, WIRE)
    kernel.make(5, b"/a")
    kernel.write(2, 0, 6, b"/half")
    kernel.write(0, 2, 0, b"")
    assert made.new() == {5: "/a"}
    made.close()
