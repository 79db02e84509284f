"""What the daemon and its front say to each other, over one SOCK_SEQPACKET socket.

The daemon sends messages of msgpack, and reads of the front nothing but one byte and, with some,
one file descriptor. So nothing that a stranger sent to the front can reach the daemon.
"""

from __future__ import annotations

# From the front: one byte each.
NUMBERS_WANTED = b"n"
"""The daemon sends numbers soon, at most once a second."""
QUESTION = b"q"
"""With a socket: somebody asks about the tree there (``snapshot.question``)."""
FEED = b"f"
"""With a socket: events are to be written there (``front.feed``)."""

ALIVE = b"a"
"""The front's loop still turns. A front that says nothing for ``SILENT_SECONDS`` is ended."""
ALIVE_SECONDS, SILENT_SECONDS = 5.0, 30.0

# From the daemon: the first byte of a message.
SETTINGS = b"s"
"""Before anything else, and whenever they change: a map, and file descriptors: a memfd that holds
the web-config, if there is one, and the sockets to listen at."""
SETTINGS_FDS_MAX = 3
NUMBERS = b"n"
"""With a memfd: all numbers, a map."""

MESSAGE_BYTES = 64 << 10
METRICS, CONTROL = "metrics", "control"
"""What a socket to listen at is for."""
