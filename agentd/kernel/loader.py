"""The loader: a short-lived, privileged process that compiles, attaches, hands over and exits.

Run as ``python -m agentd.kernel.loader FD`` with one end of a socketpair as FD. It alone imports
bcc, and so LLVM, which would otherwise stay in the daemon for good. The compiler's and the
verifier's own words go to stderr, which the daemon reads.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from agentd.kernel import handover
from agentd.kernel.btf import BtfError
from agentd.kernel.handover import Failure, Handover
from agentd.kernel.program import Settings, Source, variants
from agentd.paths import bpf_dir


def main() -> int:
    """Answer one request on the socket named by the first argument."""
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        settings = handover.decode_settings(sock.recv(handover.MESSAGE_BYTES_MAX))
        answer = _load(settings)
        if isinstance(answer, Failure):
            handover.send_failure(sock, answer)
        else:
            handover.send_handover(sock, answer)
    sys.stderr.flush()
    # bcc would detach what it attached at exit; the links now belong to the daemon
    os._exit(0)


def _load(settings: Settings) -> Handover | Failure:
    try:
        sources = variants(bpf_dir(), settings)
    except BtfError as error:
        return Failure(handover.FAILED_NO_BTF, str(error))
    first_failure: Failure | None = None  # of the best variant: it says most
    for source in sources:
        answer = _load_source(source)
        if isinstance(answer, Handover):
            return answer
        first_failure = first_failure or answer
        if answer.kind in (handover.FAILED_PERMISSION, handover.FAILED_NO_BCC):
            break
    assert first_failure is not None
    return first_failure


def _load_source(source: Source) -> Handover | Failure:
    if source.kernel_source is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(source.kernel_source)
    try:
        import bcc  # noqa: PLC0415 (reads the environment when imported)
    except ImportError as error:
        return Failure(handover.FAILED_NO_BCC, str(error))
    try:
        program = bcc.BPF(text=source.text, cflags=list(source.cflags))
    except Exception as error:  # bcc raises nothing more specific
        return _explain(str(error))
    return Handover(
        program["events"].map_fd,
        program["counters"].map_fd,
        tuple(_link_fds(program)),
        bcc.__version__,
        source.kernel_source is not None,
    )


def _link_fds(program: Any) -> list[int]:
    # a name or bytes, depending on the version of bcc
    links = {
        str(name, "ascii") if isinstance(name, bytes) else name: fd
        for name, fd in program.raw_tracepoint_fds.items()
    }
    return [links[name] for name in handover.TRACEPOINTS]


def _explain(message: str) -> Failure:
    if "Need super-user" in message or "Operation not permitted" in message:
        return Failure(handover.FAILED_PERMISSION, message)
    if "compile" in message:
        return Failure(handover.FAILED_COMPILE, message)
    return Failure(handover.FAILED_LOAD, message)


if __name__ == "__main__":
    sys.exit(main())
