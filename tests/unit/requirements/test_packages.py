"""agentd.requirements.packages"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from agentd.errors import UnavailableError
from agentd.requirements import packages
from agentd.requirements.packages import BCC, PACKAGES, Package

ROOT = Path(__file__).resolve().parents[3]
TOML = next(package for package in PACKAGES if package.module == "yaml")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.module)
def test_each_package_that_is_installed_works(package: Package) -> None:
    """What is checked of a package is true of the real one."""
    if package is BCC or importlib.util.find_spec(package.module) is None:
        pytest.skip("not installed, or not for this process")
    assert hasattr(packages.load(package), package.attribute)
    assert packages.version(package).startswith(package.module)


def test_names_are_those_of_the_package_lists() -> None:
    """The Debian package depends on what ``apt-get install`` is advised for."""
    control = (ROOT / "packaging/debian/control").read_text()
    advised = {package.debian for package in PACKAGES}
    depends = set(re.findall(r"^ (python3-[\w-]+),$", control.partition("\nDepends:")[2], re.M))
    assert depends <= advised
    assert advised - depends == {"python3-tqdm", "python3-matplotlib"}


def test_names_are_those_of_pypi() -> None:
    """``pip install`` is advised for the names that pyproject.toml has."""
    project = (ROOT / "pyproject.toml").read_text().lower()
    for package in PACKAGES:
        assert package is BCC or f'"{package.pypi.lower()}>=' in project


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module of which the import comes first."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "made_for_a_test.py"


SUBJECT = Package("made_for_a_test", "right", debian="python3-made", pypi="made")


def _cause(package: Package = SUBJECT) -> UnavailableError:
    sys.modules.pop(package.module, None)
    with pytest.raises(UnavailableError) as caught:
        packages.load(package)
    return caught.value


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python that has been searched is named; pip installs into a virtual environment."""
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert sys.executable in _cause().message
    assert _cause().hint == "apt-get install python3-made"
    monkeypatch.setattr(sys, "prefix", "/venv")
    monkeypatch.setattr(sys, "path", [])
    assert _cause().hint == f"{sys.executable} -m pip install made"


def test_a_package_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the system's Python has, and this one does not see, need not be installed."""
    (tmp_path / "made_for_a_test").mkdir()
    monkeypatch.setattr(packages, "_SYSTEM_FOLDER", tmp_path)
    monkeypatch.setattr(sys, "prefix", "/venv")
    assert "--system-site-packages /venv" in _cause().hint
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert _cause().hint == "run agentd with /usr/bin/python3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has no right"),
        ("import no_such_module", "needs the Python package no_such_module"),
        ("raise ZeroDivisionError('odd')", "ZeroDivisionError: odd"),
        ("import made_for_a_test.inner", "No module named 'made_for_a_test.inner'"),
        ("raise OSError('libfoo.so.1: version GLIBC_2.99 not found')", "the library libfoo.so.1"),
        ("raise OSError(24, 'Too many open files')", "no file descriptor is left"),
        ("raise MemoryError", "no memory is left"),
    ],
)
def test_a_package_that_does_not_work(module: Path, text: str, words: str) -> None:
    """The cause is what its import met, whatever that is."""
    module.write_text(text)
    assert words in _cause().message


def test_the_file_is_removed_by_what_installed_it(module: Path) -> None:
    """pip uninstalls what it has installed; anything else is named by its path."""
    package = module.with_suffix("")
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert f"remove {package}/__init__.py" in _cause().hint
    (module.parent / "made_for_a_test-1.0.dist-info").mkdir()
    assert "-m pip uninstall made_for_a_test" in _cause().hint


@pytest.mark.parametrize(
    ("found", "is_new_enough"), [("6.0", True), ("6", False), ("10.1", True), ("5.9.9", False)]
)
def test_versions(monkeypatch: pytest.MonkeyPatch, found: str, *, is_new_enough: bool) -> None:
    """agentd's own metadata have the lowest version."""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: found)
    needed = ["h11>=0.14", "pyyaml>=6.0", "matplotlib>=3.6; extra == 'plot'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed)
    if is_new_enough:
        assert packages.version(TOML) == f"yaml {found}"
        return
    with pytest.raises(UnavailableError, match=r"too old: agentd needs 6\.0 or later"):
        packages.version(TOML)


def test_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package in a folder on the path has no version; nothing is claimed of it."""

    def missing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert packages.version(TOML) == "yaml"
