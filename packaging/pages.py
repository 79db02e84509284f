"""Writes the tables of docs/metrics.md, from agentd/metrics, and of docs/events.md, from
docs/events.schema.json: each stands behind a line ``<!-- table: NAME -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from agentd.metrics import daemon, front, pipeline, sinks, usage
from agentd.metrics.family import Family

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCHEMA = json.loads((DOCS / "events.schema.json").read_text())

METRICS: dict[str, tuple[Family, ...]] = {
    "account": (*pipeline.ACCOUNT, daemon.FORKS_UNACCOUNTED),
    "order": pipeline.ORDER,
    "tree": pipeline.TREE,
    "rounds": daemon.LATENCIES,
    "work": (*usage.UNITS, *usage.EXECUTABLES, usage.CAPACITY),
    "costs": (
        daemon.PROGRAM_RUNS, daemon.PROGRAM_SECONDS, daemon.WAKEUPS, daemon.PYTHON_BLOCKS,
        sinks.BYTES,
    ),
    "front": front.FRONT,
    "alive": (
        daemon.LAST_EVENT, sinks.WRITTEN, sinks.DROPPED, sinks.UNWANTED, sinks.MERGED,
        sinks.ENCODE_FAILURES, sinks.FAILING, sinks.QUEUED, sinks.QUEUED_BYTES,
        sinks.CAPACITY_BYTES, sinks.SUPPRESSED, sinks.LIMITED,
        sinks.LOG_DROPPED, daemon.UNDECIDED,
        sinks.CANARIES, sinks.CANARY_LATENCY, daemon.HELPER_FAILURES,
    ),
}  # fmt: skip
"""What the sections of docs/metrics.md are about."""

_APART = ("agentd.lost", "agentd.merged")
"""Fields whose parts have a table of their own."""
_TABLE = re.compile(r"^(<!-- table: ([\w-]+) -->\n)(?:\|[^\n]*\n)*", re.M)

Row = Iterable[str]


def table(heading: Row, rows: Iterable[Row]) -> str:
    """As Markdown has it."""
    lines = ["|".join(f" {cell} " if cell else " " for cell in row) for row in (heading, *rows)]
    lines.insert(1, "|".join("---" for _ in heading))
    return "".join(f"|{line}|\n" for line in lines)


def metrics(families: Iterable[Family]) -> str:
    """A row for each family."""
    return table(
        ("metric", "type", "labels", "meaning", "what to do"),
        (
            (
                f"`{family.sample}`",
                family.kind,
                ", ".join(f"`{label}`" for label in family.labels),
                f"{family.help} {family.more}".strip().removesuffix("."),
                family.todo,
            )
            for family in families
        ),
    )


def fields() -> str:
    """A row for each field that has a description."""
    return table(
        ("field", "type", "in", "meaning", "source"),
        (
            (
                f"`{path}`",
                *(field.get(key, "") for key in ("x-type", "x-in", "description", "x-source")),
            )
            for path, field in _described("", SCHEMA)
        ),
    )


def parts(path: str, type_of: str = "field") -> str:
    """A row for each field inside one."""
    inner = _find(path)["properties"]
    return table(
        (type_of, "meaning"), ((f"`{name}`", field["description"]) for name, field in inner.items())
    )


def choices(path: str, heading: Row) -> str:
    """A row for each value that a field may have."""
    field = _find(path)
    values = field.get("items", field)["oneOf"]
    return table(heading, ((f"`{value['const']}`", value["description"]) for value in values))


def _described(above: str, schema: Any) -> Iterator[tuple[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        path = f"{above}.{name}" if above else name
        if "description" in field:
            yield path, field
        if path not in _APART:
            yield from _described(path, field)


def _find(path: str) -> Any:
    field = SCHEMA
    for name in path.split("."):
        field = field["properties"][name]
    return field


def tables() -> dict[str, str]:
    """All of them, by name."""
    return {
        **{name: metrics(families) for name, families in METRICS.items()},
        "fields": fields(),
        "lost": parts("agentd.lost"),
        "flags": choices("agentd.flags", ("flag", "meaning")),
        "entries": choices(
            "process.entry_leader.entry_meta.type",
            ("`entry_meta.type`", "the leader was created by"),
        ),
    }


def made(page: str) -> str:
    """The text of a page with its tables as they should be."""
    known = tables()
    return _TABLE.sub(lambda found: found[1] + known[found[2]], page)


def main() -> None:
    """Write them."""
    for name in ("metrics.md", "events.md"):
        page = DOCS / name
        page.write_text(made(page.read_text()))


if __name__ == "__main__":
    main()
