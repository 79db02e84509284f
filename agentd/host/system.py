"""Facts about this host that never change while it runs."""

from __future__ import annotations

import mmap

PAGE_BYTES = mmap.PAGESIZE


def possible_cpus(path: str = "/sys/devices/system/cpu/possible") -> int:
    """How many CPUs there can ever be, one more than the highest number (``0-3`` gives 4)."""
    with open(path) as file:
        return max(parse_cpus(file.read())) + 1


def online_cpus(path: str = "/sys/devices/system/cpu/online") -> list[int]:
    """The numbers of the CPUs that run now."""
    with open(path) as file:
        return parse_cpus(file.read())


def parse_cpus(text: str) -> list[int]:
    """The kernel's list format (``0,2-5``) as numbers. Raises ValueError on other text."""
    ranges = [part.split("-") for part in text.strip().split(",")]
    return [cpu for bounds in ranges for cpu in range(int(bounds[0]), int(bounds[-1]) + 1)]


def boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """The random id of this boot, 32 hexadecimal digits."""
    with open(path) as file:
        return file.read().strip().replace("-", "")
