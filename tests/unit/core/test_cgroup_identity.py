"""agentd.core.cgroup_identity"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.cgroup_identity import Identity, identify

A, B = "a1" * 32, "b2" * 32
UID = "01234567-89ab-cdef-0123-456789abcdef"
UNDERSCORED = UID.replace("-", "_")
KUBE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"
ROOTLESS = "/user.slice/user-1000.slice/user@1000.service"


def _container(container_id: str, runtime: str, **more: str) -> Identity:
    return Identity(container_id=container_id, runtime=runtime, **more)


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/", Identity()),
        ("", Identity()),
        ("/init.scope", Identity(unit="init.scope")),
        ("/system.slice/ssh.service", Identity("ssh.service", "system.slice")),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            Identity("getty@tty1.service", "system-getty.slice"),
        ),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            Identity("session-3.scope", "user-1000.slice"),
        ),
        ("/system.slice/gone.service (deleted)", Identity("gone.service", "system.slice")),
        (f"/docker/{A}", _container(A, "docker")),
        (f"/system.slice/docker-{A}.scope", _container(A, "docker", slice="system.slice")),
        (f"/machine.slice/libpod-{A}.scope", _container(A, "podman", slice="machine.slice")),
        (f"/libpod_parent/libpod-{A}", _container(A, "podman")),
        (
            f"/machine.slice/libpod-{A}.scope/container",
            _container(A, "podman", slice="machine.slice"),
        ),
        (
            f"{ROOTLESS}/user.slice/libpod-{A}.scope",
            _container(A, "podman", unit="user@1000.service", slice="user.slice"),
        ),
        (f"/machine.slice/libpod-conmon-{A}.scope", Identity(slice="machine.slice")),
        (
            f"/kubepods/besteffort/pod{UID}/{A}",
            Identity(container_id=A, pod_uid=UID),
        ),
        (
            f"{KUBE}/cri-containerd-{A}.scope",
            _container(
                A,
                "containerd",
                slice=f"kubepods-burstable-pod{UNDERSCORED}.slice",
                pod_uid=UID,
            ),
        ),
        (
            f"{KUBE}/crio-{A}.scope",
            _container(A, "cri-o", slice=f"kubepods-burstable-pod{UNDERSCORED}.slice", pod_uid=UID),
        ),
        (
            f"{KUBE}/crio-conmon-{A}.scope",
            Identity(slice=f"kubepods-burstable-pod{UNDERSCORED}.slice", pod_uid=UID),
        ),
        (
            f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/docker-{A}.scope",
            _container(A, "docker", slice=f"kubepods-pod{UNDERSCORED}.slice", pod_uid=UID),
        ),
        (
            f"/system.slice/containerd.service/kubepods-burstable-pod{UNDERSCORED}.slice"
            f":cri-containerd:{A}",
            _container(
                A, "containerd", unit="containerd.service", slice="system.slice", pod_uid=UID
            ),
        ),
        (f"/kubepods/pod{UID.replace('-', '')}/{A}", Identity(container_id=A, pod_uid=UID)),
        (f"/docker/{A}/docker/{B}", _container(B, "docker")),
        (
            f"/docker/{A}/kubelet/kubepods/pod{UID}/{B}",
            Identity(container_id=B, pod_uid=UID),
        ),
        ("/lxc/web", _container("web", "lxc")),
        ("/lxc.payload.web", _container("web", "lxc")),
        ("/lxc.monitor.web", Identity()),
        (
            r"/machine.slice/machine-my\x2dbox.scope",
            _container("my-box", "systemd-nspawn", slice="machine.slice"),
        ),
    ],
)
def test_shapes(path: str, identity: Identity) -> None:
    """Each known shape of a path gives its owner."""
    assert identify(path) == identity


@given(st.text())
def test_any_text_is_somebodys_or_nobodys(path: str) -> None:
    """No text is an error, and an identity names only what stands in the path."""
    identity = identify(path)
    assert identity.unit in path
    assert identity.slice in path
