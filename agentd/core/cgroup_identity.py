"""Whose a cgroup is: a systemd unit, a container, a Kubernetes pod. Told by its path alone.

The shapes are those of systemd (systemd.slice(5), systemd.scope(5)), Docker, containerd, CRI-O and
Podman with both of their cgroup drivers, the kubelet, LXC and systemd-machined. What stands
deepest in a path counts: a container in a container is the inner one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_ID = r"(?P<container>[0-9a-f]{64})"
_POD = r"pod(?P<pod>[0-9a-f]{8}[-_]?(?:[0-9a-f]{4}[-_]?){3}[0-9a-f]{12})"

_MONITORS = re.compile(rf"(?:libpod|crio)-conmon-{_ID}\.scope|lxc\.monitor\..*|libpod_conmon.*")
"""What watches a container from outside."""

_CONTAINERS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (runtime, re.compile(shape))
    for runtime, shape in (
        ("docker", rf"docker-{_ID}\.scope"),
        ("containerd", rf"cri-containerd-{_ID}\.scope"),
        ("containerd", rf".*:cri-containerd:{_ID}"),
        ("cri-o", rf"crio-{_ID}(?:\.scope)?"),
        ("podman", rf"libpod-{_ID}(?:\.scope)?"),
        ("lxc", r"lxc\.payload\.(?P<container>.+)"),
        ("systemd-nspawn", r"machine-(?P<container>.+)\.scope"),
    )
)
_PARENTS = {"docker": "docker", "lxc": "lxc"}
"""Folders whose children are containers by their bare names, and the runtime."""
_BARE_ID = re.compile(_ID)
_PODS = re.compile(rf"(?:kubepods.*-)?{_POD}(?:\.slice)?(?::.*)?")
_UNITS = re.compile(r".+\.(?:service|scope|socket|mount|swap)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a path says; each empty where it says nothing."""

    unit: str = ""
    """The deepest systemd unit that is not a slice and not a container."""
    slice: str = ""
    container_id: str = ""
    """64 hexadecimal digits, or a name (LXC, systemd-nspawn)."""
    runtime: str = ""
    pod_uid: str = ""


def identify(path: str) -> Identity:
    """Whose the cgroup v2 path is, as ``/system.slice/ssh.service``."""
    identity = Identity()
    above = ""
    for name in path.removesuffix(" (deleted)").split("/"):
        identity = _narrow(identity, name, above)
        above = name
    return identity


def _narrow(identity: Identity, name: str, above: str) -> Identity:
    """The identity one step deeper."""
    pod = _PODS.fullmatch(name)
    if pod:
        identity = replace(identity, pod_uid=_dashed(pod["pod"]), container_id="", runtime="")
    if _MONITORS.fullmatch(name):
        return replace(identity, container_id="", runtime="")
    for runtime, shape in _CONTAINERS:
        found = shape.fullmatch(name)
        if found:
            return replace(identity, container_id=_unescaped(found["container"]), runtime=runtime)
    if above in _PARENTS and name:
        return replace(identity, container_id=name, runtime=_PARENTS[above])
    if _BARE_ID.fullmatch(name) and identity.pod_uid:
        return replace(identity, container_id=name)  # by the kubelet; the path names no runtime
    if name.endswith(".slice"):
        return replace(identity, slice=name)
    return replace(identity, unit=name) if _UNITS.fullmatch(name) else identity


def _dashed(uid: str) -> str:
    digits = re.sub("[-_]", "", uid)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _unescaped(name: str) -> str:
    r"""systemd writes - as \x2d in names made of others (systemd-escape(1))."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)
