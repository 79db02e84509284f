"""Makes this checkout importable in the virtual environment that runs it, and its commands there.

What ``pip install --editable`` does, without what that fetches from PyPI to do it.
"""

import sys
import sysconfig
import tomllib
from pathlib import Path

_COMMAND = """#!{python}
import sys

from {module} import {function}

sys.exit({function}())
"""

root = Path(__file__).resolve().parents[1]
scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
Path(sysconfig.get_path("purelib"), "agentd.pth").write_text(f"{root}\n")
for name, target in scripts.items():
    module, _, function = target.partition(":")
    command = Path(sysconfig.get_path("scripts"), name)
    command.write_text(_COMMAND.format(python=sys.executable, module=module, function=function))
    command.chmod(0o755)
