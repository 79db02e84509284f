"""The per-CPU counters of the BPF programs, read by mmap without a syscall."""

from __future__ import annotations

import mmap
import os
import struct

from agentd.core.loss.tracker import KernelCounters, PerCpu
from agentd.core.wire.header import Layout


class Counters:
    """The counters behind the fd of a BPF_F_MMAPABLE array (``struct agentd_counters``)."""

    def __init__(self, map_fd: int, layout: Layout, cpus: int, kinds: int) -> None:
        self._map_fd = map_fd
        pages = -(-layout.size * cpus // mmap.PAGESIZE)
        self._map = mmap.mmap(
            map_fd, pages * mmap.PAGESIZE, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ
        )
        self._table = struct.Struct(f"={len(layout.members) * cpus}Q")
        self._stride = len(layout.members)
        self._kinds = kinds
        self._index = {name: i for i, name in enumerate(layout.names)}

    def read(self) -> KernelCounters:
        """All counters now.

        Each is read for itself while the kernel goes on counting. Two passes keep the promise
        that failures are older than attempts.
        """
        early = self._table.unpack_from(self._map)
        failures = self._by_kind(early, "failures") + self._by_kind(early, "errors")
        values = self._table.unpack_from(self._map)
        return KernelCounters(
            failures=failures,
            seq=self._column(values, "seq"),
            attempts=self._by_kind(values, "attempts"),
            filtered=self._by_kind(values, "filtered"),
            threads=self._column(values, "threads"),
        )

    def close(self) -> None:
        """Unmap and let go of the map."""
        self._map.close()
        os.close(self._map_fd)

    def _column(self, values: tuple[int, ...], name: str) -> PerCpu:
        return values[self._index[name] :: self._stride]

    def _by_kind(self, values: tuple[int, ...], name: str) -> tuple[PerCpu, ...]:
        return tuple(self._column(values, f"{name}_{kind}") for kind in range(self._kinds))
