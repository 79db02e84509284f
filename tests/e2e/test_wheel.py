"""The wheel: what pip installs runs, with the sources of the programs inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.kernel.available import need_tracing

ROOT = Path(__file__).resolve().parents[2]
_OFFLINE = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")


def _run(*command: str | Path) -> str:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", env=own)
    return done.stdout


def test_it_installs_and_runs(tmp_path: Path) -> None:
    """Built and installed without a network, agentd compiles the programs that came in the wheel.

    The libraries are the host's; nothing of the checkout is used.
    """
    need_tracing()
    pip = (sys.executable, "-m", "pip")
    _run(*pip, "wheel", *_OFFLINE, "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("agentd-*.whl")
    venv = tmp_path / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", venv)
    _run(*pip, "--python", venv / "bin/python", "install", *_OFFLINE, wheel)
    where = _run(venv / "bin/python", "-c", "from agentd.paths import bpf_dir; print(bpf_dir())")
    inside = Path(where.strip())
    assert inside.is_relative_to(venv)
    for path in (ROOT / "bpf").rglob("*.[ch]"):
        assert (inside / path.relative_to(ROOT / "bpf")).read_bytes() == path.read_bytes()
    defaults = inside.with_name("agentd.toml")
    assert _run(venv / "bin/agentd", "check-config", defaults) == f"{defaults}: good\n"
    found = json.loads(_run(venv / "bin/agentd", "doctor", "--json"))["findings"]
    assert {f["subject"]: f["level"] for f in found}["programs"] == "good"
