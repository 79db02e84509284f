"""The blocks of the pages: what is shown as commands, output, code or drawing.

An indented block is commands. Behind ``<!-- shown: NAME -->`` stands the block of that name, which
``scenes`` makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "bench/README.md")

COMMANDS = "sh"
SHOWN = "shown"

_FENCED = re.compile(
    r"(?:^<!-- shown: (?P<name>[\w-]+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}\S[^\n]*\n| {4,}[^\n]*\n)+", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page."""

    page: str
    kind: str
    """What stands behind its fence; COMMANDS, or SHOWN."""
    name: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page, fenced ones first."""
    text, name = page.read_text(), str(page.relative_to(ROOT))
    for found in _FENCED.finditer(text):
        kind = SHOWN if found["name"] else found["kind"]
        yield Block(name, kind, found["name"] or "", found["text"])
    for found in _INDENTED.finditer(_FENCED.sub("", text)):
        lines = [line[4:] for line in found[0].splitlines(True)]
        yield Block(name, COMMANDS, "", "".join(lines))


def all_blocks() -> list[Block]:
    """Those of all pages."""
    return [block for page in PAGES for block in blocks(page)]


def command_lines() -> list[str]:
    """Each command that a page shows, without its comment."""
    lines = [
        line for block in all_blocks() if block.kind == COMMANDS for line in block.text.splitlines()
    ]
    commands = [re.split(r"(?:^|\s+)#", line.strip())[0] for line in lines]
    return [command for command in commands if command]


def write(shown: Mapping[str, str]) -> None:
    """Put each block in its place."""
    for page in PAGES:
        before = page.read_text()
        after = _FENCED.sub(lambda found: _with(found, shown), before)
        if after != before:
            page.write_text(after)


def _with(found: re.Match[str], shown: Mapping[str, str]) -> str:
    if found["name"] not in shown:
        return found[0]
    start, end = found.span("text")
    before, after = found.string[found.start() : start], found.string[end : found.end()]
    return before + shown[found["name"]] + after
