"""Prints the requirements of the ``dev`` extra, one a line: pyproject.toml is their only list."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print("\n".join(project["optional-dependencies"]["dev"]))
