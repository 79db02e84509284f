"""Raw throughput: a BPF program that produces in a loop, a reader that only drains.

Run as ``python -m agentd.experiment.throughput TRANSPORT RECORD_BYTES BUFFER_BYTES SECONDS``, a
process of its own because it imports bcc, and so LLVM. Prints one JSON object. As the kernel's own
benchmark of its ring buffer does it (tools/testing/selftests/bpf/benchs/bench_ringbufs.c), there
is one producer and one consumer, and neither waits for the other.
"""

from __future__ import annotations

import ctypes as ct
import json
import multiprocessing
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from agentd.host import system
from agentd.kernel.compile import PERFBUF
from agentd.kernel.perf_event import open_event
from agentd.kernel.perfbuf import Perfbuf
from agentd.kernel.ringbuf import Ringbuf
from agentd.kernel.syscalls import run_program
from agentd.paths import bpf_dir
from agentd.requirements.packages import BCC, load

_RECORDS_PER_RUN = 512
_DRAIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Throughput:
    """What went through in a while."""

    transport: str
    record_bytes: int
    buffer_bytes: int
    delivered_per_s: float
    dropped_per_s: float


def main() -> None:
    """Measure what the arguments say."""
    transport, *numbers = sys.argv[1:]
    record_bytes, buffer_bytes = map(int, numbers[:2])
    print(json.dumps(asdict(measure(transport, record_bytes, buffer_bytes, float(numbers[2])))))


def measure(transport: str, record_bytes: int, buffer_bytes: int, seconds: float) -> Throughput:
    """Run producer and consumer beside each other for so long."""
    os.environ["BCC_KERNEL_SOURCE"] = str(bpf_dir() / "headers")
    bcc: Any = load(BCC)  # reads the environment when imported
    flags = [
        f"-DRECORD_BYTES={record_bytes}",
        f"-DRECORDS_PER_RUN={_RECORDS_PER_RUN}",
        f"-DRING_PAGES={buffer_bytes // system.PAGE_BYTES}",
        f"-DAGENTD_PAGE_SIZE={system.PAGE_BYTES}UL",
        *(["-DPERFBUF"] if transport == PERFBUF else []),
    ]
    program = bcc.BPF(text=(bpf_dir() / "throughput.bpf.c").read_text(), cflags=flags)
    producer_cpu, consumer_cpu = _two_cpus()
    reader = _reader(program, transport, producer_cpu, buffer_bytes)
    function = program.load_func("produce", bcc.BPF.RAW_TRACEPOINT)
    producer = multiprocessing.get_context("fork").Process(
        target=_produce, args=(function.fd, producer_cpu), daemon=True
    )
    producer.start()
    os.sched_setaffinity(0, {consumer_cpu})
    delivered, elapsed = _consume(reader, seconds)
    producer.terminate()
    producer.join()
    dropped = program["counts"][ct.c_int(1)].value
    return Throughput(transport, record_bytes, buffer_bytes, delivered / elapsed, dropped / elapsed)


def _two_cpus() -> tuple[int, int]:
    """Different ones where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[-1], cpus[0]


def _reader(program: Any, transport: str, cpu: int, buffer_bytes: int) -> Ringbuf | Perfbuf:
    events = program["events"]
    if transport != PERFBUF:
        return Ringbuf(os.dup(events.map_fd), buffer_bytes)
    fd, _mapping = open_event(cpu, buffer_bytes)
    events[ct.c_int(cpu)] = ct.c_int(fd)
    return Perfbuf(os.dup(events.map_fd), (fd,), buffer_bytes)


def _produce(program_fd: int, cpu: int) -> None:
    """System call after system call, until it is ended."""
    os.sched_setaffinity(0, {cpu})
    while True:
        run_program(program_fd)


def _consume(reader: Ringbuf | Perfbuf, seconds: float) -> tuple[int, float]:
    """Records drained, and the time it took."""
    delivered, start = 0, time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        delivered += len(reader.drain(_DRAIN_BYTES).spans)
        reader.commit(1)
    return delivered, elapsed


if __name__ == "__main__":
    main()
