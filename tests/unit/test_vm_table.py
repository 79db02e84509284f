"""tests.vm.table: what a guest says becomes a row"""

from __future__ import annotations

import json

from tests.vm.table import Outcome


def test_a_row() -> None:
    """Tests are counted by transport, and what the doctor found stands beside them."""
    outcome = Outcome("bullseye")
    findings = [
        {"subject": "kernel", "level": "good", "what": "Linux 5.10.0 x86_64"},
        {"subject": "btf", "level": "good", "what": "known"},
        {"subject": "ringbuf", "level": "note", "what": "not in this kernel"},
        {"subject": "fields", "level": "good", "what": "all"},
    ]
    outcome.take("\x1bc\x1b[2JVM-DOCTOR " + json.dumps({"findings": findings}))
    for line in (
        "tests/kernel/test_a.py::test_one[ringbuf-/bin/true] PASSED   [  1%]",
        "tests/kernel/test_a.py::test_one[perfbuf-/bin/true] FAILED   [  2%]",
        "tests/kernel/test_a.py::test_two PASSED",
        "tests/kernel/test_a.py::test_three[x] SKIPPED (no)",
        "something else",
    ):
        outcome.take(line)
    assert outcome.row() == (
        "| bullseye | 5.10.0 | 1 of 1 | 0 of 1 | 1 of 1 | yes | not in this kernel | yes |"
    )
    assert outcome.failed == ["tests/kernel/test_a.py::test_one[perfbuf-/bin/true]"]
