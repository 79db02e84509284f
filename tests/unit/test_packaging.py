"""What is shipped beside the code: units, manual pages, completion, the package's metadata."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agentd import __version__
from tests.requirements import need_program

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("agentd.service", "agentd-scan@.service")
EXPOSURE_MAX = 1.8
MAN: dict[str, Any] = runpy.run_path(str(ROOT / "packaging/man.py"))


@pytest.mark.parametrize("unit", UNITS)
def test_exposure(unit: str) -> None:
    """What systemd itself says of the sandbox is at most 1.8."""
    analyze = need_program("systemd-analyze")
    command = [analyze, "security", "--offline=true", str(ROOT / "systemd" / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout + done.stderr)
    assert overall is not None, done.stderr
    assert float(overall[1]) <= EXPOSURE_MAX


def test_the_configurations_page_is_made_from_the_code() -> None:
    """docs/config.md is what packaging/man.py writes."""
    assert (ROOT / "docs/config.md").read_text().splitlines() == MAN["config_md"]()


def test_manual_pages(tmp_path: Path) -> None:
    """They are made from the code, and the formatter has nothing to say about them."""
    command = [sys.executable, str(ROOT / "packaging/man.py"), str(tmp_path)]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"})
    groff = need_program("groff")
    for page in ("agentd.8", "agentd.toml.5"):
        formatted = subprocess.run(
            [groff, "-man", "-ww", "-Tutf8", "-Kutf8", str(tmp_path / page)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert formatted.stderr == ""
        assert __version__ in formatted.stdout
    assert "exited_capacity" in (tmp_path / "agentd.toml.5").read_text()


def test_the_package_needs_what_the_code_needs() -> None:
    """Each library of pyproject.toml that runs with the daemon is a dependency; one version."""
    control = (ROOT / "packaging/debian/control").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    libraries = {re.split(r"[><=]", name)[0] for name in project["dependencies"]}
    # dh_python3 adds the rest itself, out of the wheel's metadata
    for library in libraries - {"tqdm", "pyyaml"} | {"systemd", "yaml"}:
        assert f" python3-{library}," in control
    changelog = (ROOT / "packaging/debian/changelog").read_text()
    assert changelog.startswith(f"agentd ({__version__}) ")


def test_the_examples_are_packaged_and_described() -> None:
    """What stands in config/ is in the package, and docs/shipping.md has a row for each."""
    packaged = (ROOT / "packaging/debian/examples").read_text().split()
    table = (ROOT / "docs/shipping.md").read_text()
    for folder in ("grafana", "prometheus", "shipping"):
        assert f"config/{folder}" in packaged
    for path in (ROOT / "config/shipping").iterdir():
        assert path.name in table or path.name == "fluent-bit-parsers.conf"


def test_the_autopkgtest_looks_for_metrics_that_there_are() -> None:
    """Each that it names is exported."""
    script = (ROOT / "packaging/debian/tests/installed").read_text()
    table = (ROOT / "docs/metrics.md").read_text()
    named = set(re.findall(r"agentd_\w+", script))
    assert len(named) == 2
    assert all(f"`{name}`" in table for name in named)


def test_a_step_says_what_it_does() -> None:
    """What it does, in a line; the command's output only if it fails, and its exit code."""
    step = str(ROOT / "packaging/step")
    good = subprocess.run(
        [step, "counting", "seq", "3"], capture_output=True, text=True, check=True
    )
    assert (good.stdout, good.stderr) == ("", "counting\n")
    command = [step, "counting", "sh", "-c", "seq 3; exit 7"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stderr) == (7, "counting\n1\n2\n3\n")


def test_the_command_of_a_checkout(tmp_path: Path) -> None:
    """An empty virtual environment gets a command that imports this checkout, without pip."""
    python = tmp_path / "venv/bin/python"
    make = [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages"]
    subprocess.run([*make, str(tmp_path / "venv")], check=True)
    subprocess.run([str(python), str(ROOT / "packaging/editable.py")], check=True)
    command = [str(python.with_name("agentd")), "--version"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == f"agentd {__version__}\n"


def test_each_package_stands_in_one_list() -> None:
    """What runs, what tests need, and the large ones of a few tests."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    lists = {
        name: set(names.split())
        for name, names in re.findall(r"^(\w*PACKAGES) := (.*)$", makefile, re.M)
    }
    base, more = (lists[name] for name in ("TEST_PACKAGES", "MORE_TEST_PACKAGES"))
    assert not (lists["RUN_PACKAGES"] & base)
    assert not (base & more)
    # mypyc calls a compiler, and dpkg-buildpackage refuses to work without this one
    assert "build-essential" in lists["DEB_PACKAGES"]


def test_compiled_modules_of_another_source_are_refused(tmp_path: Path) -> None:
    """A package that build-deb is to take them from has to have the same source."""
    need_program("git")
    other = tmp_path / "other"
    folder = other / "usr/lib/python3/dist-packages/agentd"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("another = True\n")
    (other / "DEBIAN").mkdir()
    fields = (
        "Package: agentd",
        "Version: 0",
        "Architecture: all",
        "Maintainer: a",
        "Description: b",
    )
    (other / "DEBIAN/control").write_text("\n".join((*fields, "")))
    command = [need_program("dpkg-deb"), "--build", str(other), str(tmp_path / "other.deb")]
    subprocess.run(command, check=True, capture_output=True)
    build = [str(ROOT / "packaging/build-deb"), str(tmp_path / "out"), str(tmp_path / "other.deb")]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        65, f"{tmp_path}/other.deb was built of another source\n",
    )  # fmt: skip
