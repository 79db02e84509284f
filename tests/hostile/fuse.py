"""A file system that stops answering: ``fuse.py MOUNTPOINT FILE``, as root, with two files in it.

It stands for one that a user mounts in a user namespace of his own. ``program`` has FILE's content.
A second open of ``lock`` is for direct I/O, and no write is ever answered: whoever maps it twice
holds his own mmap lock for good. From SIGUSR1 on nothing is answered. Requests are taken all the
same, so that whoever waits cannot be killed. When the server ends, the kernel lets all of them go.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, WRITE, INIT, INTERRUPT = 1, 2, 3, 14, 15, 16, 26, 36
SETATTR, RELEASE, FLUSH, OPENDIR, FORGET_MANY = 4, 18, 25, 27, 42
"""enum fuse_opcode, include/uapi/linux/fuse.h"""
SILENT = {FORGET, FORGET_MANY, INTERRUPT, WRITE}
ENOENT, ENOSYS = 2, 38
ROOT = 1
NODES = {b"program": 2, b"lock": 3}
DIRECT_IO, KEEP_CACHE = 1, 2
HEADER = struct.Struct("<IIQQ")
REQUEST_BYTES_MAX = (1 << 20) + 4096


class Server:
    """Answers for the root folder and for the files in it."""

    def __init__(self, content: bytes) -> None:
        self.frozen = False
        self._content = content
        self._opens = 0

    def answer(self, code: int, node: int, body: bytes) -> bytes | int:
        """What to answer: bytes, or an error's number."""
        if code == INIT:
            numbers = (7, 31, 1 << 16, 0, 12, 9, 1 << 16, 1)
            return struct.pack("<4I2H2I", *numbers).ljust(64, b"\0")
        if code == LOOKUP:
            found = NODES.get(body.rstrip(b"\0"))
            return (
                ENOENT
                if found is None
                else struct.pack("<5Q", found, 0, 0, 0, 0) + self._attributes(found)
            )
        if code in (GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if code in (OPEN, OPENDIR):
            self._opens += node == NODES[b"lock"]
            flags = DIRECT_IO | KEEP_CACHE if self._opens == 2 else 0
            return struct.pack("<QII", self._opens, flags, 0)
        if code == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return self._content[offset : offset + size]
        return 0 if code in (RELEASE, FLUSH) else ENOSYS

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40755, 4096) if node == ROOT else (0o100777, len(self._content))
        times = (0, 0, 0)
        return struct.pack("<6Q10I", node, size, 8, *times, *times, mode, 1, 0, 0, 0, 4096, 0)


def main() -> None:
    """Mount it, say so, and answer until it is killed."""
    mountpoint, path = sys.argv[1:]
    with open(path, "rb") as file:
        server = Server(file.read())
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40755,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"stuck", mountpoint.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    signal.signal(signal.SIGUSR1, lambda *_: setattr(server, "frozen", True))
    print("mounted", flush=True)
    while request := os.read(fd, REQUEST_BYTES_MAX):
        _, code, number, node = HEADER.unpack_from(request)
        if server.frozen or code in SILENT:
            continue
        answer = server.answer(code, node, request[40:])
        error, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
        os.write(fd, struct.pack("<IiQ", 16 + len(body), error, number) + body)


if __name__ == "__main__":
    main()
