"""Questions about a tree, answered without a fork."""

from __future__ import annotations

import socket
import threading

from agentd.filters.parameters import read_query
from agentd.runtime.packing import pack, unpack
from agentd.snapshot import question
from agentd.snapshot.answers import Subject, answer


def answered(subject: Subject, path: str, query: str) -> tuple[int, bytes]:
    """Status and body. Fails unless the answer is whole, in pieces that are not too long."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.send(pack({"path": path, "query": read_query(query)}))
        answering = threading.Thread(target=answer, args=(subject, theirs.detach()))
        answering.start()
        messages = list[bytes]()
        while message := ours.recv(2 * question.MESSAGE_BYTES):
            messages.append(message)
        answering.join()
    assert all(len(message) <= question.MESSAGE_BYTES for message in messages[1:])
    assert messages[0].startswith(question.HEAD)
    assert messages[-1] == question.END
    body = b"".join(message.removeprefix(question.BODY) for message in messages[1:-1])
    return int(unpack(messages[0][1:])[0]), body
