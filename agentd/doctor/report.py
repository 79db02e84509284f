"""What was found, on one screen or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from agentd.doctor.check import BAD, GOOD, NOTE, Finding
from agentd.terminal.escape import printable

_COLUMNS = 120
_WRAPPED: Any = {
    "subsequent_indent": " " * 16, "break_long_words": False, "break_on_hyphens": False,
}  # fmt: skip
_MARKS = {GOOD: "ok", NOTE: "--", BAD: "BAD"}


def can_run(findings: Sequence[Finding]) -> bool:
    """Whether nothing stands in the way."""
    return all(finding.level != BAD for finding in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """A line a finding, the way out below, and the sum."""
    lines = []
    for finding in findings:
        head = f"{_MARKS[finding.level]:<4} {finding.subject:<10} "
        lines += textwrap.wrap(finding.what, _COLUMNS, initial_indent=head, **_WRAPPED)
        if finding.way_out:
            lines.append(f"{'':<15} → {printable(finding.way_out)}")
    lines.append("agentd can run here" if can_run(findings) else "agentd cannot run here")
    return "".join(f"{line}\n" for line in lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The same for programs."""
    found = {"can_run": can_run(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(found) + "\n"
