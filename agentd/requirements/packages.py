"""The Python packages that agentd imports: whether each works, and how to get it if it does not."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from agentd.errors import UnavailableError
from agentd.requirements import libraries
from agentd.requirements.limits import shortage

RUN = "agentd run"
_SYSTEM_FOLDER = Path("/usr/lib/python3/dist-packages")
"""Where Debian puts the packages of its own Python (Debian Python Policy, 2.5)."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package outside the standard library."""

    module: str
    attribute: str
    """What the module must define, or a module in it. Other packages and files, and folders in the
    working directory, may have the same name."""
    used_by: str = RUN
    """The command that needs it."""
    debian: str = ""
    pypi: str = ""
    """Empty: not on PyPI."""
    alias: str = ""
    """Another project of this name on PyPI."""
    in_front: bool = False
    """The front imports it, and not the process that drains the kernel."""


def _package(
    module: str, attribute: str, used_by: str = RUN, pypi: str = "", *, in_front: bool = False
) -> Package:
    name = module.replace("_", "-")
    debian = f"python3-{name}"
    return Package(module, attribute, used_by, debian, pypi or name, in_front=in_front)


BCC = Package("bcc", "BPF", debian="python3-bpfcc", alias="a library for crystal lattices")
PACKAGES = (
    BCC,
    _package("cachetools", "LRUCache"),
    _package("h11", "Connection", in_front=True),
    _package("prometheus_client", "CollectorRegistry", in_front=True),
    _package("structlog", "configure"),
    _package("uvloop", "new_event_loop"),
    _package("lark", "Lark", "output.filter, journal.filter and --filter"),
    _package("regex", "VERSION0", "~ in filters, and own redact.patterns"),
    _package("msgpack", "Unpacker"),
    _package("yaml", "safe_load", "metrics.web_config", pypi="PyYAML"),
    _package("bcrypt", "checkpw", "passwords in metrics.web_config"),
    _package("systemd", "daemon", "agentd as a systemd service", pypi="systemd-python"),
    _package("wcwidth", "wcwidth", "agentd tree, ps, explain, follow and top"),
    _package("urwid", "MainLoop", "agentd top"),
    _package("tqdm", "tqdm", "agentd bench transport"),
    _package("matplotlib", "__version__", "agentd bench transport --plot"),
)
"""All of them. Versions are in pyproject.toml only, and reach an installed agentd as metadata."""


def load(package: Package) -> ModuleType:
    """Import a package. Raises UnavailableError that names the cause and the way out."""
    try:
        module = importlib.import_module(package.module)
        if not hasattr(module, package.attribute) and hasattr(module, "__path__"):
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(f"{package.module}.{package.attribute}")
    except Exception as error:  # whatever a broken or foreign module raises
        raise shortage(error) or _cannot_import(package, error) from None
    if not hasattr(module, package.attribute):
        raise _foreign(package)
    return module


def check_imported() -> None:
    """Raise UnavailableError if this process has imported another package of the same name."""
    for package in PACKAGES:
        module = sys.modules.get(package.module) if package.used_by == RUN else None
        if module is not None and not hasattr(module, package.attribute):
            raise _foreign(package)


def check_front() -> None:
    """Raise UnavailableError for the first package that a front needs and cannot use."""
    for package in PACKAGES:
        if package.in_front:
            load(package)


def version(package: Package) -> str:
    """Name and version, as installed. Raises UnavailableError if agentd needs a later one."""
    try:
        found = importlib.metadata.version(package.pypi)
    except importlib.metadata.PackageNotFoundError:
        return package.module  # without metadata nothing is known of its version
    needed = _versions_needed().get(package.pypi.lower(), "")
    if _numbers(found) < _numbers(needed):
        raise UnavailableError(
            f"{package.module} {found} is too old: agentd needs {needed} or later",
            f"{_pip()} install --upgrade '{package.pypi}>={needed}'",
        )
    return f"{package.module} {found}"


def package_of(module: str) -> Package | None:
    """The package that a module belongs to; None if agentd does not know it."""
    top = module.partition(".")[0]
    return next((package for package in PACKAGES if package.module == top), None)


def failed_import(error: ImportError) -> UnavailableError | None:
    """Explain why an import failed; None if that cannot be found out."""
    name = error.name or ""
    top = name.partition(".")[0]
    package = package_of(name)
    if package is not None:
        return _broken(package) or _cannot_import(package, error)
    if top == "agentd":
        return UnavailableError(f"agentd is not completely installed: {error}", "install it again")
    if top in sys.stdlib_module_names:
        return UnavailableError(f"this Python is not complete: {error}", "apt-get install python3")
    return _first_broken() or (
        UnavailableError(f"a Python package is missing: {error}") if top else None
    )


def _first_broken() -> UnavailableError | None:
    """The first package that does not work: an import inside of it fails under any name."""
    return next(filter(None, map(_broken, PACKAGES)), None)


def _broken(package: Package) -> UnavailableError | None:
    """What is wrong with a package. None if nothing is, and for BCC, which the loader imports."""
    try:
        if package is not BCC:
            load(package)
    except UnavailableError as error:
        return error
    return None


def _cannot_import(package: Package, error: Exception) -> UnavailableError:
    place = _place(package.module)
    if place is None:
        return _missing(package)
    library = libraries.broken_library(str(error))
    if library is not None:
        return library
    if isinstance(error, ModuleNotFoundError) and not _is_within(error.name, package):
        return UnavailableError(
            f"{package.module} ({place}) needs the Python package {error.name}, which is missing",
            _install(f"python3-{error.name}".replace("_", "-"), error.name or ""),
        )
    return UnavailableError(
        f"the Python package {package.module} ({place}) cannot be used by {sys.executable}:"
        f" {type(error).__name__}: {error}",
        _reinstall(package, place),
    )


def foreign_module(module: ModuleType) -> UnavailableError | None:
    """Explain why a module lacks an attribute that agentd uses; None if it is not a dependency."""
    package = package_of(module.__name__)
    if package is None:
        return None
    return (
        _foreign(package) if not hasattr(module, package.attribute) else _unknown_version(package)
    )


def _missing(package: Package) -> UnavailableError:
    """Not found at all. The system's Python may have it where this one does not look."""
    message = f"the Python package {package.module} is not installed for {sys.executable}"
    system = _SYSTEM_FOLDER / package.module
    if not (system.is_dir() or system.with_suffix(".py").is_file()):
        return UnavailableError(message, _install(package.debian, package.pypi))
    message += f"; the system's own Python has it ({_SYSTEM_FOLDER})"
    if sys.prefix != sys.base_prefix:
        return UnavailableError(
            message,
            "this virtual environment does not see the system's packages: make it with"
            f" python3 -m venv --system-site-packages {sys.prefix}",
        )
    return UnavailableError(message, "run agentd with /usr/bin/python3")


def _foreign(package: Package) -> UnavailableError:
    place = _place(package.module)
    alias = f"; PyPI's {package.module} is {package.alias}" if package.alias else ""
    return UnavailableError(
        f"the Python module {package.module} ({place}) is not the one that agentd needs:"
        f" it has no {package.attribute}{alias}",
        _remove(package, place),
    )


def _unknown_version(package: Package) -> UnavailableError:
    place = _place(package.module)
    return UnavailableError(
        f"the version of the Python package {package.module} ({place}) does not fit this agentd",
        _reinstall(package, place),
    )


def _remove(package: Package, place: Path | None) -> str:
    if place is not None and any(place.parent.parent.glob(f"{package.module}-*.dist-info")):
        remedy = f"{_pip()} uninstall {package.module}"
    else:
        remedy = f"remove {place}, or the folder of it from PYTHONPATH"
    return f"{remedy}; the right one: {_install(package.debian, package.pypi)}"


def _reinstall(package: Package, place: Path | None) -> str:
    if place is not None and place.is_relative_to(_SYSTEM_FOLDER):
        return f"apt-get install --reinstall {package.debian}"
    if package.pypi:
        return f"{_pip()} install --force-reinstall {package.pypi}"
    return _remove(package, place)


def _install(debian: str, pypi: str) -> str:
    if pypi and sys.prefix != sys.base_prefix and not _sees_the_system():
        return f"{_pip()} install {pypi}"
    return f"apt-get install {debian}"


def _sees_the_system() -> bool:
    """Whether a virtual environment has the system's packages, too (site.venv)."""
    return any(Path(folder) == _SYSTEM_FOLDER for folder in sys.path)


def _pip() -> str:
    return f"{sys.executable} -m pip"


def _place(module: str) -> Path | None:
    """The file of a module, or the folder of a namespace package; None if there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):  # a half-imported module has no __spec__
        spec = None
    if spec is None:
        return None
    if spec.origin is not None:
        return Path(spec.origin)
    return next((Path(folder) for folder in spec.submodule_search_locations or ()), None)


def _is_within(name: str | None, package: Package) -> bool:
    return name is not None and name.partition(".")[0] == package.module


def _versions_needed() -> dict[str, str]:
    """Lowest versions by PyPI name, from agentd's own metadata; empty without metadata."""
    try:
        lines = importlib.metadata.requires("agentd") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    return dict(_lowest(lines))


def _lowest(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        found = re.match(r"([\w.-]+?)\s*\(?>=\s*([\d.]+)", line)
        if found:
            yield found[1].lower(), found[2]


def _numbers(version: str) -> tuple[int, ...]:
    """The release segment (PEP 440) as numbers."""
    found = re.match(r"[\d.]*\d", version)
    return tuple(map(int, found[0].split("."))) if found else ()
