"""Runs a script in a guest: ``python3 -m tests.vm.run KERNEL SCRIPT [ARGUMENT]``, as root.

KERNEL is the name of a Debian kernel package, which is downloaded, or a folder into which one has
been unpacked. SCRIPT runs as root under a real systemd; it ends with a line ``VM-RESULT
passed=N failed=M``, which becomes the exit code. Software emulation: it takes minutes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.vm.initramfs import build

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".vm"
SECONDS = 900
_MEMORY_MB = 2048


def unpacked(kernel: str) -> Path:
    """Where a kernel package lies unpacked."""
    folder = Path(kernel) if "/" in kernel else CACHE / kernel
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as name:
            download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", kernel]
            subprocess.run(download, cwd=name, check=True, stdout=subprocess.DEVNULL)
            (package,) = Path(name).glob("*.deb")
            folder.mkdir(parents=True)
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return folder


def run(kernel: str, script: Path, argument: str = "") -> int:
    """The exit code: 0 if the script says that nothing failed."""
    package = unpacked(kernel)
    (image,) = (package / "boot").glob("vmlinuz-*")
    with tempfile.NamedTemporaryFile(suffix=".cpio") as archive:
        archive.write(build(package))
        archive.flush()
        command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(_MEMORY_MB), "-nographic", "-no-reboot", "-nic", "none",
            "-kernel", str(image), "-initrd", archive.name,
            "-append", f"console=ttyS0 quiet panic=-1 agentd_script={script}:{argument}",
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        ]  # fmt: skip
        return _watch(command)


def _watch(command: list[str]) -> int:
    """Show what the guest says, and find its result."""
    result = None
    with subprocess.Popen(
        ["timeout", str(SECONDS), *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            print(line.rstrip(), flush=True)
            result = re.match(r"VM-RESULT passed=(\d+) failed=(\d+)", line) or result
    if result is None:
        print("the guest ended without a result", file=sys.stderr)
        return 1
    return int(int(result[2]) > 0)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], Path(sys.argv[2]).resolve(), *sys.argv[3:4]))
