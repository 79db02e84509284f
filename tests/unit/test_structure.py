"""The layout rules of DESIGN.md, section 4."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.requirements.packages import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agentd"
MODULES = sorted(PACKAGE.rglob("*.py"))

CORE_STDLIB = {
    "__future__", "array", "bisect", "collections", "dataclasses", "heapq", "itertools", "operator",
    "re", "struct", "typing",
}  # fmt: skip
THIRD_PARTY = {
    "bcc": set(),  # requirements/packages.py imports it by name, for whoever needs it
    "uvloop": {"launching.py", "experiment/run.py", "front/process.py"},
    "cachetools": {"core/doubts.py", "core/exited.py"},
    "structlog": {"log.py"},
    "prometheus_client": {"metrics/exporter.py", "metrics/family.py"},
    "h11": {"conversation.py"},
    "urwid": {"control/screen.py"},
    "wcwidth": {"control/widths.py"},
    "lark": {"filtering/language.py"},
    "msgpack": {"packing.py", "past.py", "recording.py", "helpers/frames.py"},
    "regex": {"patterns.py"},
    "yaml": {"web/yaml_tree.py"},
    "bcrypt": {"web/basic_auth.py"},
    "systemd": {"service.py", "helpers/journal.py"},
    "tqdm": {"experiment/command.py"},
    "matplotlib": {"experiment/plot.py"},
}
LEAVES = {
    "agentd", "asgi", "asked", "asking", "cgroup_filter", "checksummed", "conversation", "copies",
    "errors", "files", "filtering", "host", "journal_log", "limits", "log_rate", "memory",
    "numerals", "observations", "output", "packing", "paths", "pattern_limits", "patterns",
    "printable", "requirements", "rules", "serving", "settings", "terminal", "toml_text", "trial",
    "vantage",
}  # fmt: skip
"""Rooms that every edge may use."""
ABOVE_EDGES = {
    "rounds": {"rounds"},
    "ledger": set(),
    "fdstore": set(),
    "keeping": {"fdstore", "ledger", "past"},
    "recovery": {"ledger"},
    "options": {"keeping"},
    "capture": {"recovery"},
    "inheriting": {"fdstore", "recovery"},
    "settling": {"rounds"},
    "scanning": set(),
    "reconciler": {"scanning"},
    "liveness": set(),
    "control": {"control"},
    "snapshot": {"control", "snapshot"},
    "front": {"control", "front", "options", "snapshot"},
    "outlets": {"capture", "control", "front", "recording"},
    "reloading": {"front", "options", "outlets", "rounds"},
    "reporting": {"capture", "control", "reconciler", "recovery", "rounds"},
    "daemon": {
        "capture",
        "control",
        "fdstore",
        "front",
        "inheriting",
        "keeping",
        "liveness",
        "options",
        "outlets",
        "reconciler",
        "reloading",
        "reporting",
        "rounds",
        "scanning",
        "settling",
        "snapshot",
    },
    "starting": {"control", "daemon", "front", "options"},
    "tried_config": set(),
    "launching": {"fdstore", "keeping", "options", "starting", "tried_config"},
    "replay": {"capture", "control", "recording"},
    "doctor": {"doctor", "front", "tried_config"},
    "experiment": {"capture", "experiment", "rounds"},
}
"""Who may use which rooms beside core, leaves and edges."""
EDGE_TO_EDGE = {
    ("canary", "helpers"),
    ("cgroups", "helpers"),
    ("helpers", "privileges"),
    ("helpers", "procfs"),
    ("kernel", "privileges"),
    ("log", "log_queue"),
    ("log", "sinks"),
    ("log_queue", "sinks"),
    ("names", "helpers"),
    ("recorded", "config"),
    ("recording", "config"),
    ("recording", "recorded"),
    ("stopping", "signals"),
    ("suppression", "helpers"),
}
"""The loader gives up a privilege; the daemon's own log goes where events go, through channels that
never block; helpers do for the daemon what others can make slow; signals are caught before there
is a loop, and then by the loop; a recording has a configuration in it."""
OF_HELPERS_FOR_THE_DAEMON = {"client", "frames", "links"}
MAKES_US_WAIT = {
    "concurrent.futures", "grp", "pwd", "subprocess", "systemd.journal", "threading",
}  # fmt: skip
"""Modules that wait for others, as long as others like."""
COMMANDS = {"commands.py", "screen.py"}
"""Of those that ask a daemon."""
MAY_WAIT = {"doctor", "experiment", "helpers", "kernel", "requirements"}
"""Rooms whose work is done by other processes than the daemon, or before it begins."""


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            if module == "agentd":
                yield from (f"agentd.{alias.name}" for alias in node.names)
            else:
                yield module


def _room(module: str) -> str:
    """The first part of an agentd module below the package: ``core``, ``kernel``, ``http``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else "agentd"


def _own_room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py").replace("__init__", "agentd")


@pytest.mark.parametrize("path", [p for p in MODULES if _own_room(p) == "core"], ids=_name)
def test_core_is_pure(path: Path) -> None:
    """core imports a short list of the standard library, cachetools and itself."""
    for module in _imports(path):
        top = module.split(".")[0]
        if top == "agentd":
            assert _room(module) == "core", module
        else:
            assert top in CORE_STDLIB | {"cachetools"}, module


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_one_way(path: Path) -> None:
    """core ← edges ← rounds, daemon ← cli; edges do not import each other."""
    own = _own_room(path)
    if own == "cli":
        return
    for module in _imports(path):
        if module.split(".")[0] != "agentd":
            continue
        room = _room(module)
        assert room != "cli", module
        if room in ABOVE_EDGES:
            assert room in ABOVE_EDGES.get(own, set()), module
        elif own not in ABOVE_EDGES and room not in LEAVES | {"core", own}:
            assert (own, room) in EDGE_TO_EDGE, module


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_the_daemon_waits_for_nobody(path: Path) -> None:
    """Helpers alone ask the name service and read the journal; nobody starts a thread."""
    if _own_room(path) in MAY_WAIT:
        return
    modules = set(_imports(path))
    assert modules.isdisjoint(MAKES_US_WAIT) or path.name in COMMANDS
    assert "to_thread" not in path.read_text() or path.name == "basic_auth.py"
    assert "run_in_executor" not in path.read_text()
    if _own_room(path) != "cli":
        jobs = {module for module in modules if module.startswith("agentd.helpers.")}
        assert {module.rpartition(".")[2] for module in jobs} <= OF_HELPERS_FOR_THE_DAEMON


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_each_library_lives_in_its_place(path: Path) -> None:
    """A third-party library is imported by the one file that is its home."""
    for module in _imports(path):
        top = module.split(".")[0]
        if top != "agentd" and top not in sys.stdlib_module_names:
            assert str(path.relative_to(PACKAGE)) in THIRD_PARTY.get(top, ()), module


def test_each_library_has_a_way_out() -> None:
    """``run`` and ``doctor`` know how to get every third-party library, and no other."""
    assert {package.module for package in PACKAGES} == THIRD_PARTY.keys()


IN_COPIES = {
    ("agentd.daemon", "agentd.snapshot.answers"),
    ("agentd.front.checking", "agentd.web.web_config"),
}
"""What is imported where the daemon's process has been copied, by the copy alone."""
NOT_OF_THE_DAEMON = {
    "bcrypt", "email", "h11", "http", "prometheus_client", "ssl", "urllib", "urwid", "yaml",
    "agentd.asgi", "agentd.control.client", "agentd.conversation", "agentd.front.process",
    "agentd.front.routes", "agentd.metrics.exporter", "agentd.serving", "agentd.web",
}  # fmt: skip
"""What speaks with strangers, or reads what they wrote."""


def _modules_of(name: str) -> list[Path]:
    """Where a module of ours stands, with the packages that it is in; empty if it is none."""
    parts = name.split(".")
    whole = ROOT.joinpath(*parts)
    if not (whole.with_suffix(".py").exists() or (whole / "__init__.py").exists()):
        parts = parts[:-1]  # a name out of a module
        whole = ROOT.joinpath(*parts)
    packages = [ROOT.joinpath(*parts[:count]) / "__init__.py" for count in range(1, len(parts) + 1)]
    return [path for path in (*packages, whole.with_suffix(".py")) if path.exists()]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _reached_from(start: Path) -> dict[Path, set[str]]:
    """All modules of ours that one leads to, imports in functions too, and what they import."""
    reached: dict[Path, set[str]] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        own = _module(path)
        reached[path] = {name for name in _imports(path) if (own, name) not in IN_COPIES}
        for name in reached[path]:
            if name.split(".")[0] == "agentd":
                waiting += _modules_of(name)
    return reached


def test_what_drains_the_kernel_speaks_with_no_stranger() -> None:
    """The daemon's process has no HTTP, TLS, YAML or passwords in it."""
    reached = _reached_from(PACKAGE / "daemon.py")
    assert PACKAGE / "rounds.py" in reached
    for path, names in reached.items():
        for name in names:
            parts = name.split(".")
            above = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            assert not above & NOT_OF_THE_DAEMON, f"{_name(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_and_functions_are_short(path: Path) -> None:
    """A module has at most 400 lines, a function at most 40 beside its docstring."""
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1
            assert lines <= 40, node.name
