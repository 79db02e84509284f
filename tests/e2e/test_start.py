"""How agentd starts, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentd.host.cgroups import cgroup2_mount
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS
from tests.kernel.altered import altered_copy, before
from tests.requirements import need_program
from tests.unprivileged import readable_agentd, unused_uid


def _command(cgroup: Cgroup, *options: str) -> list[str]:
    return [
        AGENTD,
        "run",
        "--set",
        "metrics.listen=",
        "--set",
        "control.socket=",
        "--set",
        f"filter.cgroup={cgroup.path}",
        *options,
    ]


def _run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False, **options
    )


def _run_without_root(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run an agentd command as a user who has two capabilities."""
    uid = unused_uid()
    setpriv = [need_program("setpriv"), f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    setpriv += ["--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon"]
    with readable_agentd() as agentd:
        return _run([*setpriv, *agentd.command, *command[1:]], env=agentd.environment)


@pytest.mark.parametrize("transport", ["ringbuf", "perfbuf"])
def test_two_capabilities_are_enough(cgroup: Cgroup, transport: str) -> None:
    """Not root, but CAP_BPF and CAP_PERFMON, will do, with buffers of the default size."""
    options = ("--duration", "0.2", "--set", f"transport.kind={transport}")
    done = _run_without_root(_command(cgroup, *options))
    assert done.returncode == 0, done.stderr
    assert '"event": "stopped"' in done.stderr


def test_more_memory_than_may_be_locked(cgroup: Cgroup) -> None:
    """Perf buffers beyond what this user may lock are refused, with the ways out."""
    options = ("--set", "transport.kind=perfbuf", "--set", "transport.perf_bytes_per_cpu=134217728")
    done = _run_without_root(_command(cgroup, *options))
    assert done.returncode == os.EX_UNAVAILABLE
    assert len(done.stderr.splitlines()) == 1
    for word in ("CPU 0", "transport.perf_bytes_per_cpu", "CAP_IPC_LOCK", "perf_event_mlock_kb"):
        assert word in done.stderr


def test_programs_that_do_not_compile(cgroup: Cgroup, tmp_path: Path) -> None:
    """A failure of the loader is one sentence with the compiler's words; the log has the rest."""
    copy = altered_copy(
        tmp_path, "bpf/agentd.bpf.c", before("int on_fork(", "static int x = nonsense;\n")
    )
    options = {"env": os.environ | {"PYTHONPATH": str(copy)}, "cwd": copy}
    command = [sys.executable, "-c", "from agentd.cli.main import main; main()"]
    command += _command(cgroup)[1:]

    done = _run(command, **options)
    assert done.returncode == os.EX_UNAVAILABLE
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "use of undeclared identifier 'nonsense'" in done.stderr

    done = _run([*command, "--set", "log.level=debug"], **options)
    log, *_, last = done.stderr.splitlines()
    assert "static int x = nonsense;" in json.loads(log)["text"]
    assert last.startswith("agentd: the BPF programs could not be loaded")


def test_the_working_folder_is_not_trusted(cgroup: Cgroup, tmp_path: Path) -> None:
    """Python files that lie where agentd is started are not run: it is root's process."""
    here = tmp_path / "started-here"
    here.mkdir()
    for module in ("json", "bcc", "agentd", "sitecustomize"):
        (here / f"{module}.py").write_text(f"open({str(here / 'ran')!r}, 'a').write('{module} ')")
    done = _run(_command(cgroup, "--duration", "0.2"), cwd=here)
    assert not (here / "ran").exists()
    assert done.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts(cgroup: Cgroup, number: signal.Signals) -> None:
    """Stopped while the loader still compiles, it ends quietly and takes the loader with it."""
    with subprocess.Popen(
        _command(cgroup), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        loader = _first_child(process.pid)
        _wait_until_it_catches(signal.SIGTERM, process.pid)  # the last for which it does
        process.send_signal(number)
        _, errors = process.communicate(timeout=ENOUGH_SECONDS)
    assert "Traceback" not in errors
    assert process.returncode in (0, -number)
    deadline = time.monotonic() + ENOUGH_SECONDS
    while Path(f"/proc/{loader}/exe").exists():  # a zombie has none
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("wait_seconds", [0.0, 0.1, 0.2, 0.4, 0.8, 1.6])
def test_a_stop_at_any_moment(cgroup: Cgroup, tmp_path: Path, wait_seconds: float) -> None:
    """SIGTERM ends it with 0 from its first moment on, and no socket stays behind."""
    path = tmp_path / "control.sock"
    command = _command(cgroup, "--output", "none", "--set", f"control.socket={path}")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _wait_until_it_catches(signal.SIGTERM, process.pid)
        time.sleep(wait_seconds)  # wherever it is by then
        process.terminate()
        _, errors = process.communicate(timeout=ENOUGH_SECONDS)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not path.exists()


@pytest.mark.parametrize("wait_seconds", [0.0, 0.3])
def test_a_reload_before_there_is_anything_to_reload(
    cgroup: Cgroup, tmp_path: Path, wait_seconds: float
) -> None:
    """SIGHUP never ends it: one that comes early is obeyed when it has started."""
    config = tmp_path / "agentd.toml"
    config.write_text("")
    command = _command(cgroup, "--output", "none", "--config", str(config))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        _wait_until_it_catches(signal.SIGHUP, process.pid)
        time.sleep(wait_seconds)
        process.send_signal(signal.SIGHUP)
        said = ""
        while process.poll() is None and '"reloaded"' not in said:
            said = process.stderr.readline()
        process.terminate()
        process.communicate(timeout=ENOUGH_SECONDS)
    assert '"reloaded"' in said
    assert process.returncode == 0


@pytest.mark.parametrize("started", ["another", ""])
def test_another_services_socket(cgroup: Cgroup, tmp_path: Path, started: str) -> None:
    """In a shell of a service agentd is a command that ends, whoever listens there or not."""
    path = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        if started:
            manager.bind(path)
        manager.setblocking(False)
        environment = {
            "NOTIFY_SOCKET": path,
            "SYSTEMD_EXEC_PID": str(os.getpid() if started else ""),
        }
        done = _run(_command(cgroup, "--duration", "0.5"), env=os.environ | environment)
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError if started else OSError):
            manager.recv(4096)


def _first_child(pid: int) -> int:
    deadline = time.monotonic() + ENOUGH_SECONDS
    while time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.001)
    raise AssertionError("agentd started no loader")


def _wait_until_it_catches(number: signal.Signals, pid: int) -> None:
    """By SigCgt in proc_pid_status(5)."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (number - 1) & 1:
            return
        time.sleep(0.001)
    raise AssertionError("agentd catches no signal")


IN_A_NAMESPACE = """
echo $$ >"$1/cgroup.procs"
exec unshare --cgroup --mount sh -c '
    umount --all --types cgroup2 && mount -t cgroup2 none "$0" && exec "$@"
' "$2" "$3" run --set metrics.listen= --set filter.cgroup=/inside
"""


def test_cgroup_namespace(cgroup: Cgroup) -> None:
    """In a cgroup namespace, as in a container, it says that it cannot filter."""
    container = Cgroup(f"{cgroup.path.strip('/')}/container")
    inside = Cgroup(f"{cgroup.path.strip('/')}/container/inside")
    inside.folder.mkdir(parents=True)
    script = ["/bin/sh", "-c", IN_A_NAMESPACE, "sh"]
    done = _run([*script, str(container.folder), str(cgroup2_mount()), AGENTD])
    assert done.returncode == os.EX_CONFIG
    assert "cgroup namespace" in done.stderr


SEVERAL_MOUNTS = """
mount --bind "$1" "$2" && umount "$0" && mount -t cgroup2 none "$0" && shift 2 && exec "$@"
"""


def test_one_of_several_cgroup_mounts(cgroup: Cgroup, tmp_path: Path) -> None:
    """A mount of a part of the hierarchy is not taken for it, though it comes first."""
    part = tmp_path / "a part"
    part.mkdir()
    script = ["unshare", "--mount", "sh", "-c", SEVERAL_MOUNTS, str(cgroup2_mount())]
    done = _run([*script, str(cgroup.folder), str(part), *_command(cgroup, "--duration=0.2")])
    assert done.returncode == 0, done.stderr
