"""Debian's kernels by the name of the release, fetched from its archive and unpacked."""

from __future__ import annotations

import hashlib
import lzma
import re
import subprocess
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".vm"
RELEASES = ("bullseye", "bookworm", "trixie", "sid")
"""Their kernels: 5.10, 6.1, 6.12, and the newest. Debian has none between 4.19 and 5.10."""

_ARCHIVE = "http://deb.debian.org/debian"
_META_PACKAGE = "linux-image-amd64"


def unpacked(kernel: str) -> Path:
    """Where the kernel of a release lies unpacked; or the folder itself, if it is one."""
    if "/" in kernel:
        return Path(kernel)
    if kernel not in RELEASES:
        raise SystemExit(f"no release {kernel!r}: one of {', '.join(RELEASES)}, or a folder")
    stanzas = _stanzas(kernel)
    folder = CACHE / Path(stanzas[0]["Filename"]).stem
    if not folder.is_dir():
        _unpack(stanzas, folder)
    return folder


def image(package: Path) -> Path:
    """The kernel itself in an unpacked package."""
    return next(package.rglob("vmlinuz*"))


def _unpack(stanzas: list[dict[str, str]], folder: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        for stanza in stanzas:
            _unpack_one(stanza, name)
        Path(name).chmod(0o755)
        Path(name).rename(folder)
        Path(name).mkdir()  # for its owner to remove


def _unpack_one(stanza: dict[str, str], folder: str) -> None:
    data = _get(f"{_ARCHIVE}/{stanza['Filename']}")
    if hashlib.sha256(data).hexdigest() != stanza["SHA256"]:
        raise SystemExit(f"{stanza['Filename']}: another file than the archive's index says")
    with tempfile.NamedTemporaryFile() as package:
        package.write(data)
        package.flush()
        subprocess.run(["dpkg-deb", "-x", package.name, folder], check=True)


def _stanzas(release: str) -> list[dict[str, str]]:
    """The index entries of the package that the release's meta package asks for, and its parts.

    Since 7.x the kernel and its modules have packages of their own.
    """
    index = lzma.decompress(_get(f"{_ARCHIVE}/dists/{release}/main/binary-amd64/Packages.xz"))
    packages = index.decode()
    wanted = re.search(r"linux-image-\d\S*", _entry(packages, _META_PACKAGE)["Depends"])
    assert wanted is not None
    found = _entry(packages, wanted[0])
    parts = re.findall(r"linux-(?:binary|modules)-\S+", found["Depends"])
    return [found, *(_entry(packages, part) for part in parts)]


def _entry(packages: str, name: str) -> dict[str, str]:
    """Format: deb-control(5)."""
    start = ("\n" + packages).index(f"\nPackage: {name}\n")
    text = packages[start:].partition("\n\n")[0]
    return dict(re.findall(r"^(\S+): (.*)", text, re.M))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=300) as answer:
        return bytes(answer.read())
