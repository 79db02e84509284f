"""The layout rules of DESIGN.md, section 4."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from agentd.requirements.packages import PACKAGES

ORDER = """
    core < errors < paths, terminal < host, filters < requirements < runtime < config <
    helpers, http, kernel, metrics, snapshot < systemd < sinks < log, recording < front < daemon <
    doctor, experiment < cli
"""
"""A folder imports itself, and those to its left: none on the same step, none to its right."""

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agentd"
MODULES = sorted(PACKAGE.rglob("*.py"))
STEPS = {
    name.strip(): step for step, names in enumerate(ORDER.split("<")) for name in names.split(",")
}

CORE_LIBRARIES = {
    "__future__", "array", "bisect", "cachetools", "collections", "dataclasses", "heapq",
    "itertools", "operator", "re", "struct", "typing",
}  # fmt: skip
HOMES = {
    "bcc": set(),  # requirements/packages.py imports it by name, for whoever needs it
    "bcrypt": {"http/basic_auth.py"},
    "cachetools": {"core/tree/generations.py", "core/tree/uncertainty.py"},
    "h11": {"http/connection.py"},
    "lark": {"filters/language.py"},
    "matplotlib": {"experiment/plot.py"},
    "msgpack": {
        "daemon/restart/saved_state.py", "helpers/frames.py", "recording/format.py",
        "runtime/packing.py",
    },
    "prometheus_client": {"metrics/exporter.py", "metrics/family.py"},
    "regex": {"filters/patterns.py"},
    "structlog": {"log/setup.py"},
    "systemd": {"helpers/jobs/journal.py", "systemd/notify.py"},
    "tqdm": {"experiment/command.py"},
    "urwid": {"cli/top_screen.py"},
    "uvloop": {"daemon/run.py", "experiment/run.py", "front/process.py"},
    "wcwidth": {"terminal/width.py"},
    "yaml": {"http/yaml_tree.py"},
}  # fmt: skip
"""The files that may import a third-party library."""
WAITING = {
    "concurrent.futures", "grp", "pwd", "subprocess", "systemd.journal", "threading",
}  # fmt: skip
"""Modules that wait for others, as long as others like."""
MAY_WAIT = ("cli/", "doctor/", "experiment/", "helpers/jobs/", "kernel/", "requirements/")
"""The work of these is done by other processes than the daemon, or before it begins."""
THREADS = ("to_thread", "run_in_executor")
MAY_HAVE_A_THREAD = "http/basic_auth.py"

IN_COPIES = {
    ("agentd.daemon.daemon", "agentd.snapshot.answers"),
    ("agentd.front.checking", "agentd.http.web_config"),
}
"""Imports that only a copy of the daemon's process executes (runtime/copies.py)."""
NOT_OF_THE_DAEMON = {
    "bcrypt", "email", "h11", "http", "prometheus_client", "ssl", "urllib", "urwid", "yaml",
    "agentd.cli", "agentd.front.process", "agentd.front.routes", "agentd.helpers.coordinator",
    "agentd.helpers.jobs", "agentd.http", "agentd.metrics.exporter",
}  # fmt: skip
"""Modules that speak with strangers, or read what they wrote."""

LINES_MAX = 400
FUNCTION_LINES_MAX = 40


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _folder(path: Path) -> str:
    """The part of the package that a module is of; a module of the root is one by itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """Everything that a module imports, in its functions too, as ``package.module.name``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_imports(path: Path) -> Iterator[tuple[str, str]]:
    """What a module imports of agentd, with the folder that it is of."""
    for module in _imports(path):
        parts = module.split(".")
        if parts[0] == "agentd" and len(parts) > 1 and parts[1] != "__version__":
            yield module, parts[1]


def _above(module: str) -> set[str]:
    """A module, and the packages that it is in."""
    parts = module.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}


def test_the_root_holds_folders() -> None:
    """Beside folders, each of which has a step, there are few modules."""
    names = {_folder(path) for path in MODULES}
    assert names - STEPS.keys() == {"__init__", "__main__"}
    assert STEPS.keys() <= names
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py", "__main__.py", "errors.py", "paths.py",
    }  # fmt: skip


def test_imports_point_to_the_left() -> None:
    """A folder imports itself and those to its left in ORDER; ``__main__`` imports any."""
    offenders = [
        f"{_name(path)} imports {module}"
        for path in MODULES
        if path.parent != PACKAGE or path.stem in STEPS
        for module, folder in _own_imports(path)
        if folder != _folder(path) and STEPS[folder] >= STEPS[_folder(path)]
    ]
    assert offenders == []


def test_core_is_pure() -> None:
    """core imports a short list of the standard library, cachetools and itself."""
    offenders = [
        f"{_name(path)} imports {module}"
        for path in MODULES
        if _folder(path) == "core"
        for module in _imports(path)
        if module.split(".")[0] not in CORE_LIBRARIES and "agentd.core" not in _above(module)
    ]
    assert offenders == []


def test_the_daemon_waits_for_nobody() -> None:
    """Helpers alone ask the name service and read the journal; nobody starts a thread."""
    offenders = []
    for path in MODULES:
        name, text = _name(path), path.read_text()
        if not name.startswith(MAY_WAIT):
            waits = sorted(module for module in _imports(path) if _above(module) & WAITING)
            threads = [word for word in THREADS if word in text and name != MAY_HAVE_A_THREAD]
            offenders += [f"{name} uses {word}" for word in waits + threads]
    assert offenders == []


def test_each_library_lives_in_its_place() -> None:
    """A third-party library is imported by the files that are its home."""
    offenders = [
        f"{_name(path)} imports {module}"
        for path in MODULES
        for module in _imports(path)
        if (top := module.split(".")[0]) not in sys.stdlib_module_names | {"agentd"}
        and _name(path) not in HOMES.get(top, ())
    ]
    assert offenders == []


def test_each_library_has_a_way_out() -> None:
    """``run`` and ``doctor`` know how to get every third-party library, and no other."""
    assert {package.module for package in PACKAGES} == HOMES.keys()


def _modules_of(name: str) -> list[Path]:
    """Where a module of ours stands, with the packages that it is in; empty if it is none."""
    parts = name.split(".")
    whole = ROOT.joinpath(*parts)
    if not (whole.with_suffix(".py").exists() or (whole / "__init__.py").exists()):
        parts = parts[:-1]  # a name out of a module
        whole = ROOT.joinpath(*parts)
    packages = [ROOT.joinpath(*parts[:count]) / "__init__.py" for count in range(1, len(parts) + 1)]
    return [path for path in (*packages, whole.with_suffix(".py")) if path.exists()]


def _is_in_a_copy(path: Path, name: str) -> bool:
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return any(own == module and inner in _above(name) for module, inner in IN_COPIES)


def _reached_from(start: Path) -> dict[Path, set[str]]:
    """All modules of ours that one leads to, imports in functions too, and what they import."""
    reached: dict[Path, set[str]] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached[path] = {name for name in _imports(path) if not _is_in_a_copy(path, name)}
        for name in reached[path]:
            if name.split(".")[0] == "agentd":
                waiting += _modules_of(name)
    return reached


def test_what_drains_the_kernel_speaks_with_no_stranger() -> None:
    """The daemon's process has no HTTP, TLS, YAML or passwords in it."""
    reached = _reached_from(PACKAGE / "daemon/run.py")
    assert PACKAGE / "daemon/loop.py" in reached
    offenders = [
        f"{_name(path)} imports {name}"
        for path, names in reached.items()
        for name in names
        if _above(name) & NOT_OF_THE_DAEMON
    ]
    assert offenders == []


def test_modules_and_functions_are_short() -> None:
    """Neither has more lines than its bound; the docstring of a function does not count."""
    offenders = []
    for path in MODULES:
        text = path.read_text()
        if len(text.splitlines()) > LINES_MAX:
            offenders.append(_name(path))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                has_doc = ast.get_docstring(node) and len(node.body) > 1
                first = node.body[1 if has_doc else 0].lineno
                if (node.end_lineno or 0) - first >= FUNCTION_LINES_MAX:
                    offenders.append(f"{_name(path)}: {node.name}")
    assert offenders == []
