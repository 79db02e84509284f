"""Whether old kernels would take our loops: ``python old_verifier.py TRANSPORT`` lists what not.

A model of check_cfg() as of Linux 5.10 to 6.1 (kernel/bpf/verifier.c): it walks the instructions
depth first, and lets an edge lead back to where it came from only if that edge is a jump.
"""

from __future__ import annotations

import os
import struct
import sys

from agentd.kernel.compile import Settings, variants
from agentd.kernel.loader_protocol import TRACEPOINTS
from agentd.paths import bpf_dir

_DISCOVERED, _EXPLORED = 1, 2
_JUMP_CLASSES = (5, 6)  # BPF_JMP, BPF_JMP32
_CALL, _EXIT, _JA = 0x80, 0x90, 0x00


def fallthrough_back_edges(code: bytes) -> list[tuple[int, int]]:
    """Edges back that are not jumps, by the numbers of their instructions."""
    instructions = list(struct.iter_unpack("<BBhi", code))
    state: dict[int, int] = {0: _DISCOVERED}
    stack = [(0, iter(_edges(instructions, 0)))]
    refused = []
    while stack:
        here, edges = stack[-1]
        for there, is_jump in edges:
            if there not in state:
                state[there] = _DISCOVERED
                stack.append((there, iter(_edges(instructions, there))))
                break
            if state[there] == _DISCOVERED and not is_jump:
                refused.append((here, there))
        else:
            state[here] = _EXPLORED
            stack.pop()
    return refused


def _edges(instructions: list[tuple[int, int, int, int]], here: int) -> list[tuple[int, bool]]:
    """Where an instruction may lead, and whether the verifier allows that to be back."""
    opcode, _, offset, _ = instructions[here]
    operation = opcode & 0xF0
    if opcode & 7 not in _JUMP_CLASSES or operation == _CALL:
        return [(here + 1, False)]
    if operation == _EXIT:
        return []
    target = (here + 1 + offset, True)
    return [target] if operation == _JA else [(here + 1, True), target]


def main() -> None:
    """Compile every variant and print what would be refused."""
    os.environ["BCC_KERNEL_SOURCE"] = str(bpf_dir() / "headers")
    import bcc

    settings = Settings(
        cpus=1,
        page_bytes=4096,
        cgroup=None,
        transport=sys.argv[1],
        ring_bytes=4096,
        perf_bytes_per_cpu=4096,
    )
    for number, source in enumerate(variants(bpf_dir(), settings)):
        program = bcc.BPF(text=source.text, cflags=list(source.cflags))
        for function in TRACEPOINTS.values():
            for edge in fallthrough_back_edges(program.dump_func(function)):
                print(f"variant {number}, {function}: back edge {edge}")
    print("done")


if __name__ == "__main__":
    main()
