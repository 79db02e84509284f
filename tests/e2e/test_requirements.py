"""What agentd says when something that it needs is missing: ``run`` and ``doctor`` agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.agent import AGENTD, ENOUGH_SECONDS
from tests.kernel.available import need_tracing
from tests.programs import compile_c

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = Path("/usr/lib/python3/dist-packages")
QUIET = ("--output=none", "--duration=0.1", "--set=metrics.listen=", "--set=control.socket=")
UNAVAILABLE = os.EX_UNAVAILABLE


@pytest.fixture(autouse=True)
def tracing() -> None:
    """Where nothing can be traced, that is what agentd reports first."""
    need_tracing()


def _agentd(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
    agentd: Sequence[str] = (AGENTD,),
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*wrapper, *agentd, *arguments],
        capture_output=True,
        text=True,
        timeout=ENOUGH_SECONDS,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        check=False,
    )


def _assert_both_say(
    words: Sequence[str], subject: str, *, doors: Sequence[str] = (), **how: object
) -> None:
    """``run`` ends with one line that has the words; ``doctor`` has them in a finding."""
    done = _agentd("run", *QUIET, *doors, **how)  # type: ignore[arg-type]
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (UNAVAILABLE, "", 1), done
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    done = _agentd("doctor", "--json", **how)  # type: ignore[arg-type]
    assert (done.returncode, done.stderr) == (UNAVAILABLE, "")
    found = [f for f in json.loads(done.stdout)["findings"] if f["subject"] == subject]
    said = "\n".join(f"{f['what']}\n{f['way_out']}" for f in found if f["level"] == "bad")
    assert [word for word in words if word not in said] == [], said


CRASH = "__attribute__((constructor)) static void crash(void) { __builtin_trap(); }"
EMPTY = "int nothing;"


@pytest.mark.parametrize(
    ("library", "source", "words"),
    [
        ("libbcc.so.0", None, ("libbcc.so.0", "file too short")),
        ("libbcc.so.0", EMPTY, ("libbcc.so.0", "undefined symbol")),
        ("libbpf.so.1", EMPTY, ("libbpf.so.1", "undefined symbol")),
    ],
)
def test_a_library_that_is_none(
    tmp_path: Path, library: str, source: str | None, words: tuple[str, ...]
) -> None:
    """A foreign libbcc or libbpf is named, with the variable that leads to it; BTF is fine."""
    if source is None:
        (tmp_path / library).write_text("")
    else:
        compile_c(tmp_path, library, source, "-shared", "-fPIC")
    environment = {"LD_LIBRARY_PATH": str(tmp_path)}
    ways_out = (f"unset LD_LIBRARY_PATH={tmp_path}", "apt-get install --reinstall lib")
    subject = "bcc" if "bcc" in library else "libbpf"
    _assert_both_say([*words, *ways_out], subject, environment=environment)


def test_a_library_that_crashes(tmp_path: Path) -> None:
    """Whatever loads it is another process: agentd lives to say what happened."""
    compile_c(tmp_path, "libbcc.so.0", CRASH, "-shared", "-fPIC")
    words = ("bcc cannot be used", "was ended by SIGILL", "-X faulthandler")
    _assert_both_say(words, "bcc", environment={"LD_LIBRARY_PATH": str(tmp_path)})


def test_a_stub_of_bcc(tmp_path: Path) -> None:
    """A file of that name is not taken for BCC, and is named."""
    (tmp_path / "bcc.py").write_text("")
    words = (f"bcc ({tmp_path}/bcc.py)", "has no BPF", f"remove {tmp_path}/bcc.py", "python3-bpfcc")
    _assert_both_say(words, "bcc", environment={"PYTHONPATH": str(tmp_path)})


def test_the_bcc_of_pypi(tmp_path: Path) -> None:
    """A library for crystals has the same name on PyPI: pip removes it."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc/__init__.py").write_text("class Lattice: pass\n")
    (tmp_path / "bcc-0.1.dist-info").mkdir()
    words = ("crystal", "-m pip uninstall bcc", "apt-get install python3-bpfcc")
    _assert_both_say(words, "bcc", environment={"PYTHONPATH": str(tmp_path)})


@pytest.mark.parametrize("module", ["cachetools", "uvloop", "structlog", "h11"])
def test_a_stub_of_a_package(tmp_path: Path, module: str) -> None:
    """A file that has the name of a package is named, and not what failed because of it."""
    (tmp_path / f"{module}.py").write_text("")
    words = (f"{module} ({tmp_path}/{module}.py)", "it has no", f"python3-{module}")
    doors = [f"--set=control.socket={tmp_path}/agentd.sock"]  # without one h11 is not needed
    _assert_both_say(words, "python", doors=doors, environment={"PYTHONPATH": str(tmp_path)})


def _environment_without(folder: Path, *missing: str) -> list[str]:
    """A virtual environment without the system's packages; agentd in it, as a command."""
    venv.create(folder / "venv", symlinks=True)
    site = next((folder / "venv/lib").glob("python3*/site-packages"))
    (site / "agentd.pth").write_text(f"{ROOT}\n")
    for package in DEBIAN.iterdir():
        if package.name.partition(".")[0] not in missing:
            (site / package.name).symlink_to(package)
    python = str(folder / "venv/bin/python")
    return [python, "-c", "from agentd.cli.main import main; main()"]


@pytest.mark.parametrize(("module", "subject"), [("bcc", "bcc"), ("uvloop", "python")])
def test_a_virtual_environment_without_the_systems_packages(
    tmp_path: Path, module: str, subject: str
) -> None:
    """What apt-get has installed already is not to be installed again: the environment hides it."""
    if not (DEBIAN / module).exists():
        pytest.skip(f"needs Debian's package of {module}")
    agentd = _environment_without(tmp_path, module)
    words = (f"{module} is not installed for {tmp_path}/venv/bin/python", str(DEBIAN),
             f"python3 -m venv --system-site-packages {tmp_path}/venv")  # fmt: skip
    _assert_both_say(words, subject, agentd=agentd)


def _in_a_mount_namespace(script: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"]


@pytest.mark.parametrize(
    ("script", "subject", "words"),
    [
        ("umount -l /sys", "/sys", ("/sys is not mounted", "mount -t sysfs")),
        ("mount -t tmpfs none /dev", "/dev/null", ("/dev/null", "mknod -m 666")),
        ("mount -t tmpfs none /proc", "/proc", ("/proc cannot be read", "mount -t proc")),
    ],
)
def test_a_file_system_that_is_missing(script: str, subject: str, words: tuple[str, ...]) -> None:
    """Without /sys, /dev or /proc the cause is that, and not what could not be read in it."""
    _assert_both_say(words, subject, wrapper=_in_a_mount_namespace(script))


@pytest.mark.parametrize("limit", [12, 24, 60])
def test_few_file_descriptors(limit: int) -> None:
    """Too low a limit is named before it is met."""
    words = ("too few file descriptors", f"the limit is {limit}", "ulimit -n", "LimitNOFILE=")
    _assert_both_say(words, "fds", wrapper=("prlimit", f"--nofile={limit}"))


def test_a_working_directory_that_was_deleted(tmp_path: Path) -> None:
    """It is no hindrance: agentd does not need one."""
    here = tmp_path / "here"
    here.mkdir()
    wrapper = ["sh", "-c", f'rmdir {here} && exec "$@"', "sh"]
    done = _agentd("run", *QUIET, wrapper=wrapper, cwd=here)
    assert done.returncode == 0, done.stderr
    here.mkdir()
    done = _agentd("doctor", wrapper=wrapper, cwd=here)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bare_environment() -> None:
    """Neither a home, nor a folder for temporary files, nor a locale is needed."""
    bare = ("env", "-i", "TMPDIR=/nonexistent", "LC_ALL=C", f"PATH={os.environ['PATH']}")
    assert _agentd("run", *QUIET, wrapper=bare).returncode == 0
    assert _agentd("doctor", wrapper=bare).returncode == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_streams(closed: str) -> None:
    """Without one of them agentd runs; where there is no /dev/null either, it fails quietly."""
    wrapper = ("sh", "-c", f'exec "$@" {closed}', "sh")
    assert _agentd("run", *QUIET, wrapper=wrapper).returncode == 0
    no_device = [*_in_a_mount_namespace("mount -t tmpfs none /dev"), *wrapper]
    done = _agentd("run", *QUIET, wrapper=no_device)
    assert done.returncode == UNAVAILABLE
    assert "Traceback" not in done.stderr


def test_this_python_is_named() -> None:
    """The doctor says which Python it speaks of, and imports what it calls good."""
    done = _agentd("doctor", "--json")
    (python,) = (f for f in json.loads(done.stdout)["findings"] if f["subject"] == "python")
    assert python["what"].startswith(f"Python {sys.version.split()[0]} imports cachetools ")
