"""Every block of a page is run, parsed or made: what kind it is says by which test."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agentd.filters.language import parse_filter
from agentd.http.web_config import load_web_config
from tests.certificate import make_certificate
from tests.requirements import need_program
from tests.shown.pages import COMMANDS, ROOT, SHOWN, Block, all_blocks, command_lines
from tests.shown.typed import ELSEWHERE, commands

KINDS = {
    COMMANDS: "tests/e2e/test_docs_shown.py",
    SHOWN: "tests/e2e/test_docs_shown.py",
    "promql": "tests/e2e/test_prometheus.py",
    "text": "a drawing",
    "filter": "here",
    "ini": "here",
    "python": "here",
    "yaml": "here",
}
BLOCKS = all_blocks()
HASH = "$2b$04$IgUI.cYmaSqBkCzQPiNCmOHCIhYBOFJIbgvxwxfW2XUL9Bo9Gk4Za"


def _of(kind: str) -> list[Block]:
    found = [block for block in BLOCKS if block.kind == kind]
    assert found
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}-{block.text[:20]!r}")
def test_a_block_is_of_a_kind_that_is_tested(block: Block) -> None:
    """No output without a scene that makes it, no code without a test."""
    assert block.kind in KINDS
    assert block.kind == SHOWN or not re.search(r"^\$ ", block.text, re.M)


@pytest.mark.parametrize("line", sorted(set(command_lines()) - set(commands())))
def test_commands_that_run_elsewhere(line: str) -> None:
    """What builds, measures or installs is run by what ELSEWHERE says."""
    line = line.replace(".venv/bin/", "")
    assert line in commands() or line.startswith(tuple(ELSEWHERE))
    for beginning, (path, words) in ELSEWHERE.items():
        if line.startswith(beginning):
            needed = words or f"\n{line.split()[1]}:"
            assert needed in (ROOT / path).read_text()
    for path in re.findall(r"\bbench/[\w.]+", line):
        assert (ROOT / path).is_file()


def test_filters() -> None:
    """The language takes each."""
    for block in _of("filter"):
        for line in block.text.splitlines():
            parse_filter(line)


def test_drop_ins(tmp_path: Path) -> None:
    """systemd knows each key."""
    analyze = need_program("systemd-analyze")
    folder = tmp_path / "agentd.service.d"
    folder.mkdir()
    shutil.copy(ROOT / "systemd/agentd.service", tmp_path)
    for place, block in enumerate(_of("ini")):
        (folder / f"page-{place}.conf").write_text(block.text)
    done = subprocess.run(
        [analyze, "verify", str(tmp_path / "agentd.service")],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "page-" not in done.stderr


def test_web_configurations(tmp_path: Path) -> None:
    """agentd and Prometheus's own tool take each, once it has files and a whole hash."""
    promtool = need_program("promtool")
    make_certificate(tmp_path)
    shutil.copy(tmp_path / "cert.pem", tmp_path / "ca.pem")
    for block in _of("yaml"):
        path = tmp_path / "web-config.yml"
        path.write_text(re.sub(r"\$2y\S+", HASH, block.text))
        assert load_web_config(path).users
        command = [promtool, "check", "web-config", str(path)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_jq() -> None:
    """Its programs take real events."""
    jq = need_program("jq")
    (examples,) = (block.text for block in _of(SHOWN) if block.name == "events")
    programs = [line.split("| jq ")[1] for line in command_lines() if "| jq " in line]
    assert programs
    for program in programs:
        done = subprocess.run(
            [jq, *shlex.split(program)], input=examples, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_python() -> None:
    """Of the event with bytes that are not UTF-8 it gives these bytes, of others the texts'.

    The last example is of a loss, and has no arguments.
    """
    (examples,) = (block.text for block in _of(SHOWN) if block.name == "events")
    found = []
    for line in examples.splitlines()[:-1]:
        names: dict[str, Any] = {"event": json.loads(line), "base64": base64}
        for block in _of("python"):
            exec(block.text, names)
        found.append(names["args"])
    assert [b"/bin/true", b"\xff", b"b"] in found
    assert [b"/bin/true", b"--x"] in found
