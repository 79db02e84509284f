"""agentd.experiment.report"""

from __future__ import annotations

import json

import pytest

from agentd.experiment.report import bytes_text
from tests.unit.experiment.results import report


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_has_a_column_a_run() -> None:
    """Each run has its column, each figure its row, in its unit."""
    heading, _, *rows = _rows(report().to_text())[:18]
    assert heading == ["", "perfbuf, unordered, 4 MiB", "ringbuf, 4 MiB"]
    figures = {name: cells for name, *cells in rows}
    assert figures["commands/s"] == ["2,000", "2,000"]
    assert figures["events lost"] == ["0", "7"]
    assert figures["account exact"] == ["yes", "NO"]
    assert figures["events behind a younger one, after"] == ["1,234", "0"]
    assert figures["broken links in the tree, before"] == ["5", "5"]
    assert figures["latency p99, ms"] == ["100.0", "100.0"]
    assert "1,000 short commands" in report().to_text()


def test_the_table_is_aligned_markdown() -> None:
    """All lines of a table are as long, and its second line is Markdown's rule."""
    first, second = report().to_text().split("\nA program")
    for table in (first, second):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({len(line) for line in lines}) == 1
        assert set(lines[1]) <= set("|-: ")


def test_rates_are_listed() -> None:
    """Each transport's rate by record size."""
    assert _rows(report().to_text())[-1] == ["ringbuf", "1,024", "1,024,000,000", "0"]


def test_json_has_every_figure_and_the_host() -> None:
    """What the table rounds is exact in JSON."""
    found = json.loads(report().to_json())
    assert set(found["host"]) == {"agentd", "kernel", "machine", "online_cpus"}
    assert found["runs"][0]["latency_p50_ms"] == 20.04
    assert found["runs"][1]["plan"]["transport"] == "ringbuf"
    assert len(found["throughput"]) == 4


@pytest.mark.parametrize(
    ("number", "text"), [(16, "16 B"), (4096, "4 KiB"), (3 << 20, "3 MiB"), (1500, "1500 B")]
)
def test_sizes(number: int, text: str) -> None:
    """The largest unit that divides a size."""
    assert bytes_text(number) == text
