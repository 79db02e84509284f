"""An initramfs that boots a Debian kernel package on this machine's own root file system.

The root is shared over 9p, read-only, with a tmpfs laid over it, so a guest can change whatever it
likes. ``python3 -m tests.vm.initramfs PACKAGE_DIR OUT``, PACKAGE_DIR being an unpacked package.
"""

from __future__ import annotations

import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
"""Debian's busybox-static."""
_NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_FOLDERS = ("bin", "dev", "proc", "sys", "mnt", "mnt/ro", "mnt/rw", "mnt/root", "mods")

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in @MODULES@; do insmod /mods/$m.ko || echo "insmod $m failed"; done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose host /mnt/ro
mount -t tmpfs -o size=1500m tmp /mnt/rw; mkdir -p /mnt/rw/u /mnt/rw/w
mount -t overlay -o lowerdir=/mnt/ro,upperdir=/mnt/rw/u,workdir=/mnt/rw/w root /mnt/root
script=$(sed -n 's/.*agentd_script=\\([^ :]*\\):\\([^ ]*\\).*/\\1 \\2/p' /proc/cmdline)
cd /mnt/root
mkdir -p dev proc sys run tmp
cat > etc/fstab </dev/null
cat > etc/systemd/system/vm.service <<UNIT
[Unit]
FailureAction=poweroff-force
SuccessAction=poweroff-force
DefaultDependencies=no
After=sysinit.target systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/bash $script
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
UNIT
cat > etc/systemd/system/vm.target <<UNIT
[Unit]
Requires=sysinit.target sockets.target vm.service
After=sysinit.target sockets.target
UNIT
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service \\
	systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-firstboot.service \\
	systemd-timesyncd.service systemd-networkd.service systemd-resolved.service \\
	systemd-modules-load.service systemd-random-seed.service systemd-update-done.service \\
	systemd-hwdb-update.service systemd-journal-catalog-update.service ldconfig.service \\
	systemd-machine-id-commit.service tmp.mount keyboard-setup.service console-setup.service; do
	ln -sf /dev/null etc/systemd/system/$unit
done
mkdir -p etc/tmpfiles.d; ln -sf /dev/null etc/tmpfiles.d/tmp.conf  # the checkout may be in /tmp
umount /proc /sys
mount --move /dev /mnt/root/dev
exec switch_root /mnt/root /lib/systemd/systemd --unit=vm.target --show-status=no --log-level=err
"""


def _contents(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _modules(package: Path) -> dict[str, Path]:
    """The package's modules by name; both layouts of Debian are looked into."""
    found = {}
    for top in ("lib/modules", "usr/lib/modules"):
        for path in (package / top).rglob("*.ko*"):
            found[path.name.partition(".ko")[0].replace("-", "_")] = path
    return found


def _in_order(modules: dict[str, Path], names: tuple[str, ...]) -> Iterator[str]:
    """The names and what they depend on, dependencies first; what is built in is not there."""
    for name in names:
        if name not in modules:
            continue
        depends = re.search(rb"\0depends=([^\0]*)\0", _contents(modules[name]))
        below = depends[1].decode().replace("-", "_").split(",") if depends else []
        yield from _in_order(modules, tuple(filter(None, below)))
        yield name


def _entry(number: int, name: str, data: bytes, mode: int) -> bytes:
    """One file of a cpio archive, in the format newc (Documentation/driver-api/early-userspace)."""
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def build(package: Path) -> bytes:
    """The archive."""
    modules = _modules(package)
    order = list(dict.fromkeys(_in_order(modules, _NEEDED)))
    init = _INIT.replace("@MODULES@", " ".join(order)).encode()
    files = [(folder, b"", 0o040755) for folder in _FOLDERS]
    files.append(("bin/busybox", BUSYBOX.read_bytes(), 0o100755))
    files += [(f"mods/{name}.ko", _contents(modules[name]), 0o100644) for name in order]
    files += [("init", init, 0o100755), ("TRAILER!!!", b"", 0)]
    return b"".join(_entry(number, *file) for number, file in enumerate(files, 1))


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(build(Path(sys.argv[1])))
