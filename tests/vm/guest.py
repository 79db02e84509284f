"""A guest of QEMU: a Debian kernel, this machine's root, a real systemd. Software emulation."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.heartbeat import SECONDS, Heartbeat
from tests.vm.initramfs import build
from tests.vm.kernels import image

_MEMORY_MB = 2048


def boot(package: Path, script: Path, argument: str, limit_seconds: int) -> Iterator[str]:
    """What a guest says, line by line, while it runs a script as root and then ends.

    ``package``: an unpacked kernel package.
    """
    with tempfile.NamedTemporaryFile(suffix=".cpio") as archive:
        archive.write(build(package))
        archive.flush()
        command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(_MEMORY_MB), "-nographic", "-no-reboot", "-nic", "none",
            "-kernel", str(image(package)), "-initrd", archive.name,
            "-append", f"console=ttyS0 quiet panic=-1 agentd_script={script}:{argument}",
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        ]  # fmt: skip
        with subprocess.Popen(
            ["timeout", str(limit_seconds), *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            heartbeat = Heartbeat(SECONDS)
            heartbeat.begins("the guest boots")
            for line in process.stdout:
                heartbeat.begins(f"after: {line.strip()[:80]}")
                yield line.rstrip()
            heartbeat.ends()
