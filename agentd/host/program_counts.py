"""What the kernel itself counts, as /proc shows it."""

from __future__ import annotations


def program_counts(fd: int, proc: str = "/proc") -> tuple[int, int, int]:
    """Of a BPF program of ours: runs that were left out; runs, and the ns that they took.

    The first is counted since Linux 5.12, the others only with kernel.bpf_stats_enabled
    (kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
    """
    with open(f"{proc}/self/fdinfo/{fd}") as file:
        values = dict(line.split(":", 1) for line in file)
    names = ("recursion_misses", "run_cnt", "run_time_ns")
    skipped, runs, run_ns = (int(values.get(name, 0)) for name in names)
    return skipped, runs, run_ns


def forks_total(proc: str = "/proc") -> int:
    """Forks of the kernel since boot, threads included (``processes`` in /proc/stat)."""
    with open(f"{proc}/stat", "rb") as file:
        line = next(line for line in file if line.startswith(b"processes "))
    return int(line.split()[1])
