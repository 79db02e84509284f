"""Values of one section of a ``web-config.yml``, and errors that name what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agentd.config.files import UnreadableFileError, read_file
from agentd.errors import ConfigError
from agentd.terminal.escape import printable_path, shortened

WAY_OUT = "docs/metrics.md has all that agentd knows of this format"


class Section:
    """One section, every key of which is known. ``name``: empty for the whole file.

    ``refused``: keys of the format that agentd cannot serve, and why. Raises ConfigError.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        found: Any,
        known: set[str],
        refused: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._path = path
        self._name = name
        if not isinstance(found, dict):
            raise ConfigError(
                f"{printable_path(path)}: {name or 'it'}: must be keys and values", WAY_OUT
            )
        self._found = found
        for key in found:
            if key in refused:
                raise self.wrong(key, refused[key])
            if key not in known:
                raise self.wrong(key, f"agentd knows {', '.join(sorted(known))}")

    def __contains__(self, key: str) -> bool:
        return self._found.get(key) is not None

    def value(self, key: str) -> Any:
        """Whatever stands there; None without."""
        return self._found.get(key)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._found.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts; empty without."""
        value = self._found.get(key) or []
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self.wrong(key, "must be a list of names")
        return value

    def choice(self, key: str, choices: Mapping[str, Any], default: str) -> Any:
        """What one of these names stands for."""
        name = self._found.get(key) or default
        if not isinstance(name, str) or name not in choices:
            raise self.wrong(key, f"must be one of {', '.join(choices)}")
        return choices[name]

    def pem(self, inline: str, file: str) -> bytes | None:
        """What stands inline under one key, or in a file that another names; None without.

        The path of the file is relative to the folder of the configuration.
        """
        if inline in self and file in self:
            raise self.wrong(inline, f"is there beside {file}: one of them")
        key = inline if inline in self else file
        value = self._found.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(key, "must be PEM" if key == inline else "must be a path")
        return (
            value.encode("utf-8", "replace")
            if key == inline
            else self._contents(key, self._path.parent / value)
        )

    def wrong(self, key: str, problem: str) -> ConfigError:
        """The error to raise. ``key``: empty if it is the section as such."""
        name = shortened(".".join(filter(None, (self._name, key))))
        return ConfigError(f"{printable_path(self._path)}: {name}: {problem}", WAY_OUT)

    def _contents(self, key: str, path: Path) -> bytes:
        try:
            return read_file(path)
        except UnreadableFileError as error:
            raise self.wrong(key, f"{shortened(str(path))}: {error}") from None
