"""agentd.requirements.causes, limits and libraries"""

from __future__ import annotations

import errno
import os
import resource
import types
from pathlib import Path

import pytest

from agentd.errors import ConfigError, UnavailableError
from agentd.requirements import host, libraries, limits
from agentd.requirements.causes import known_cause
from agentd.requirements.probe import how_it_ended


def test_what_is_an_answer_already() -> None:
    """An AgentdError is its own cause."""
    error = ConfigError("bad", "do well")
    assert known_cause(error) is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "no file descriptor is left"),
        (OSError(errno.ENFILE, "Too many"), "the host's limit"),
        (ImportError("x.so: cannot open: Too many open files", name="x"), "no file descriptor"),
        (MemoryError(), "no memory is left"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory is left"),
        (ImportError("no", name="agentd.gone"), "not completely installed"),
        (ImportError("no", name="_ctypes"), "this Python is not complete"),
        (ImportError("no", name="no_such_module"), "a Python package is missing"),
        (ImportError("cannot import name 'h11'", name="h11"), "h11"),
    ],
)
def test_causes(error: Exception, words: str) -> None:
    """What the host lacks is known from the exception that it led to."""
    assert words in str(known_cause(error))


def test_an_attribute_that_a_package_lacks() -> None:
    """A package without what agentd calls is of another version; a file of ours is not."""
    module = types.ModuleType("structlog")
    for found in (known_cause(AttributeError("x", name="x", obj=module)),):
        assert "structlog" in str(found)
    assert known_cause(AttributeError("x", name="x", obj=types.ModuleType("json"))) is None


@pytest.mark.parametrize("error", [KeyError("x"), OSError(errno.EIO, "x"), AttributeError("x")])
def test_what_is_a_bug(error: Exception) -> None:
    """Of anything else no cause is claimed."""
    assert known_cause(error) is None


def test_descriptors() -> None:
    """As many as are left, and not as many as may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(map(int, os.listdir("/proc/self/fd"))) + 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 20, hard))
    try:
        limits.check_descriptors(15)
        with pytest.raises(UnavailableError, match="agentd needs 2000 more"):
            limits.check_descriptors(2000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("check", [host.check_sys, host.check_null_device])
def test_files_of_the_host(tmp_path: Path, check: object) -> None:
    """They are there; elsewhere, the path is named."""
    assert callable(check)
    check()
    with pytest.raises(UnavailableError, match="/none"):
        check(str(tmp_path / "none"))


def test_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be loaded, and one that lacks a function, are named."""
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    with pytest.raises(UnavailableError, match=r"libnone\.so\.7 cannot be used") as caught:
        libraries.load("libnone.so.7", ())
    assert caught.value.hint == "install libnone.so.7 again"
    with pytest.raises(UnavailableError, match="undefined symbol: no_such_function"):
        libraries.load("libc.so.6", ("getpid", "no_such_function"))
    monkeypatch.setenv("LD_PRELOAD", "/x.so")
    assert "unset LD_PRELOAD=/x.so" in str(libraries.broken_library("libbcc.so.0: no"))
    assert libraries.broken_library("nothing of that sort") is None


def test_endings() -> None:
    """A signal has its name."""
    assert how_it_ended(3) == "ended with status 3"
    assert how_it_ended(-9) == "was ended by SIGKILL"
    assert how_it_ended(-63) == "was ended by signal 63"


def test_a_library_for_which_there_is_no_memory() -> None:
    """ld.so does not say why it cannot map a library; a limit of the address space is why."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    error = ImportError("libx.so.1: failed to map segment from shared object", name="no_such")
    assert "no memory" not in str(known_cause(error))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 46, hard))
    try:
        assert "no memory is left" in str(known_cause(error))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
