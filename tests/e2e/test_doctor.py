"""``agentd doctor`` on the live kernel."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.agent import AGENTD, ENOUGH_SECONDS
from tests.kernel.available import need_tracing


def _doctor(*arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*wrapper, AGENTD, "doctor", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False
    )


def test_agentd_can_run_here() -> None:
    """Where the other tests run, the doctor says so, having loaded the programs."""
    need_tracing()
    done = _doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("agentd can run here\n")
    found = {f["subject"]: f for f in json.loads(_doctor("--json").stdout)["findings"]}
    assert found["programs"]["level"] == "good"
    assert "over ringbuf" in found["programs"]["what"]
    assert found["helpers"]["level"] == "good"
    assert "probe_read_kernel" in found["helpers"]["what"]


def test_without_privilege() -> None:
    """It says what is missing, and exits as agentd itself could not run."""
    done = _doctor(wrapper=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    assert done.returncode == 69
    assert "BAD  privilege" in done.stdout
    assert "sudo" in done.stdout
    assert "--   helpers    could not be tried" in done.stdout
