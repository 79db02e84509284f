"""What a question and its answer look like between the front and a copy of the daemon.

Both are messages over a SOCK_SEQPACKET socket of that question's own. The question is one, in
msgpack. The answer begins with ``HEAD``, status and content type; pieces of its body follow as
``BODY``, each of a bounded length; ``END`` says that it was whole.
"""

from __future__ import annotations

HEAD, BODY, END = b"h", b"b", b"e"
"""The first byte of a message."""
PIECE_BYTES = 32 << 10
"""Of a body in one message."""
MESSAGE_BYTES = PIECE_BYTES + 1
QUESTION_BYTES = 32 << 10
"""Longer than any request that the front takes."""
DEADLINE_SECONDS = 6.0
"""How long a copy of the daemon, and with it each answer, may live."""
