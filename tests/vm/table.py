"""The kernel tests on many kernels: ``python3 -m tests.vm.table [RELEASE...]``, as root.

Each kernel boots in a guest and runs ``tests/kernel`` on both transports. docs/kernels.md gets a
row for each, and what failed. Software emulation: 20 to 40 minutes a kernel.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.vm.guest import boot
from tests.vm.kernels import RELEASES, ROOT, unpacked

DOCS = ROOT / "docs/kernels.md"
LIMIT_SECONDS = 5400
_TRANSPORTS = ("ringbuf", "perfbuf")
_OUTCOME = re.compile(
    r"(tests/kernel/\S+?::(\S+?)(?:\[(\S*)\])?) (?:.*)?(PASSED|FAILED|ERROR|SKIPPED)"
)


@dataclass(slots=True)
class Outcome:
    """What a kernel did."""

    release: str
    kernel: str = ""
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """A line of the guest."""
        _, doctor, said = line.partition("VM-DOCTOR ")  # the console may have cleared its screen
        if doctor:
            found = json.loads(said)["findings"]
            self.findings = {finding["subject"]: finding for finding in found}
            self.kernel = self.findings["kernel"]["what"].split()[1]
        elif match := _OUTCOME.search(line):
            name, parameters, word = match[1], match[3] or "", match[4]
            transport = next((t for t in _TRANSPORTS if t in parameters), "either")
            if word != "SKIPPED":
                self.counts[transport, "passed" if word == "PASSED" else "failed"] += 1
            if word in ("FAILED", "ERROR"):
                self.failed.append(name)

    def row(self) -> str:
        """Of the table."""
        cells = [self.release, self.kernel]
        for transport in (*_TRANSPORTS, "either"):
            passed, failed = (self.counts[transport, word] for word in ("passed", "failed"))
            cells.append(f"{passed} of {passed + failed}")
        cells += [self._said("btf"), self._said("ringbuf"), self._said("fields")]
        return f"| {' | '.join(cells)} |"

    def _said(self, subject: str) -> str:
        finding = self.findings.get(subject)
        if finding is None:
            return "?"
        return "yes" if finding["level"] == "good" else str(finding["what"])


def run(release: str) -> Outcome:
    """Boot a kernel and run the tests."""
    outcome = Outcome(release)
    for line in boot(unpacked(release), ROOT / "tests/vm/kernel-guest", str(ROOT), LIMIT_SECONDS):
        print(line, flush=True)
        outcome.take(line)
    return outcome


def write(row: str) -> None:
    """Replace a release's row in the table."""
    release = row.split("|")[1].strip()
    text = DOCS.read_text()
    lines = [line for line in text.splitlines() if not line.startswith(f"| {release} |")]
    last = max(number for number, line in enumerate(lines) if line.startswith("|"))
    lines.insert(last + 1, row)
    DOCS.write_text("\n".join(lines) + "\n")


def main(releases: list[str]) -> int:
    """The exit code: 1 if anything failed, or nothing ran."""
    bad = 0
    for release in releases or RELEASES:
        outcome = run(release)
        if not outcome.counts:
            print(f"{release}: the guest ran no test", file=sys.stderr)
            bad = 1
            continue
        write(outcome.row())
        for name in outcome.failed:
            print(f"{release}: {name} failed", file=sys.stderr)
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
