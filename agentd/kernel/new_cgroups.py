"""The cgroups that were made since the programs run, read by mmap without a syscall."""

from __future__ import annotations

import mmap
import os

from agentd.core.text import as_text
from agentd.core.wire.header import Wire


class MadeCgroups:
    """The youngest cgroups, behind the fd of a BPF_F_MMAPABLE array (``struct agentd_cgroup``)."""

    def __init__(self, map_fd: int, wire: Wire) -> None:
        self._map_fd = map_fd
        self._element = wire.layout("agentd_cgroup").compile()
        size = self._element.size * wire.constant("AGENTD_CGROUPS")
        pages = -(-size // mmap.PAGESIZE)
        length = pages * mmap.PAGESIZE
        self._map = mmap.mmap(map_fd, length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        self._places = range(self._element.size, size, self._element.size)
        self._seen = 0

    def new(self) -> dict[int, str]:
        """Ids and paths of those that are new since the last time, as far as they are kept."""
        made, _, _ = self._element.unpack_from(self._map)
        if made == self._seen:
            return {}
        found = {}
        for place in self._places:
            number, identity, path = self._element.unpack_from(self._map, place)
            again, _, _ = self._element.unpack_from(self._map, place)
            if number > self._seen and number == again:
                found[identity] = as_text(path.partition(b"\0")[0])
        self._seen = made
        return found

    def close(self) -> None:
        """Unmap and let go of the map."""
        self._map.close()
        os.close(self._map_fd)
