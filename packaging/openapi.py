"""Writes docs/openapi.json: paths and parameters out of agentd/filters/parameters.py.

Answers are as they stand here.

An answer of lines (NDJSON) has the schema of a line under ``x-line``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentd import __version__
from agentd.core.loss import stages
from agentd.filters import parameters
from agentd.filters.facts import Where
from agentd.helpers.client import ALL as HELPERS
from agentd.metrics.snapshot import SinkCounts

FILE = Path(__file__).resolve().parents[1] / "docs/openapi.json"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
INTEGER: Schema = {"type": "integer"}
SECONDS: Schema = {"type": "number", "minimum": 0}
MOMENT: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$",
}
STAGES = sorted(value for name, value in vars(stages).items() if name.startswith("STAGE_"))
KINDS = ("fork", "exec", "exit")
GAPS = ("before_start", "lost", "evicted", "outside", "disorder")


def one(**members: Schema) -> Schema:
    """An object with these members, and no other."""
    whole = {"properties": members, "required": list(members), "additionalProperties": False}
    return {"type": "object", **whole}


def some(schema: Schema, names: tuple[str, ...] | list[str] = ()) -> Schema:
    """An object whose members are alike, of any names, or of some of these."""
    more = {"propertyNames": {"enum": list(names)}} if names else {}
    return {"type": "object", "additionalProperties": schema, **more}


def or_null(schema: Schema) -> Schema:
    """What may not be known."""
    return {"anyOf": [schema, {"type": "null"}]}


def each(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def choice(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def ref(name: str) -> Schema:
    """A schema of its own."""
    return {"$ref": f"#/components/schemas/{name}"}


KEY = {"pid": COUNT, "entity_id": {**TEXT, "pattern": "^[0-9a-f]{16}-[0-9]+-[0-9]+$"}}
IMAGE = {
    "name": TEXT,
    "executable": or_null(TEXT),
    "args": each(TEXT),
    "args_count": COUNT,
    "source": choice("kernel", "proc"),
    "forgotten": each(choice("args", "executable")),
}
PROCESS = {
    **KEY,
    "start": or_null(MOMENT),
    "start_exact": FLAG,
    **IMAGE,
    "live": FLAG,
    "depth": COUNT,
    "parent": or_null(ref("Key")),
    "parent_unknown": or_null(choice("adopter")),
    "creator": or_null(ref("Key")),
    "creator_unknown": or_null(choice(*GAPS)),
    "process_group": or_null(COUNT),
    "session": or_null(COUNT),
    "entry": or_null(one(type=TEXT, **KEY)),
    "user": or_null(one(id=TEXT, name=or_null(TEXT))),
    **{name: or_null(COUNT if name == "login" else TEXT) for name in Where._fields},
    "finished_cpu_seconds": SECONDS,
    "suspect": FLAG,
    "end": or_null(MOMENT),
    "exit_code": or_null(COUNT),
    "signal": or_null(COUNT),
    "core_dumped": or_null(FLAG),
}
LOSS = {
    "from": or_null(MOMENT),
    "to": or_null(MOMENT),
    "count": COUNT,
    "kind": or_null(choice(*KINDS)),
    "cpu": or_null(COUNT),
    "stage": choice(*STAGES),
}
EXPLANATION = {
    "process": ref("Process"),
    "images": each(one(**IMAGE, since=or_null(MOMENT))),
    "images_forgotten": COUNT,
    "ancestors": each(one(**PROCESS, relation=choice("creator", "parent"))),
    "ancestors_gap": or_null(choice(*GAPS)),
    "children": each(ref("Process")),
    "gaps": each(one(**LOSS)),
    "gaps_known_since": or_null(MOMENT),
}
STATUS = {
    "version": TEXT,
    "core": choice("compiled", "source"),
    "kernel": TEXT,
    "pid": COUNT,
    "uptime_seconds": SECONDS,
    "healthy": FLAG,
    "reason": TEXT,
    "transport": one(kind=choice("ringbuf", "perfbuf"), buffer_bytes=COUNT, used_bytes=COUNT),
    "events": some(COUNT, KINDS),
    "inferred": COUNT,
    "lost": COUNT,
    "lost_by_stage": some(COUNT, STAGES),
    "seconds_since_lost": or_null(SECONDS),
    "losing": FLAG,
    "imbalance": INTEGER,
    "late": COUNT,
    "latency_seconds": one(p50=or_null(SECONDS), p99=or_null(SECONDS)),
    "tree": one(live=COUNT, live_capacity=COUNT, exited=COUNT, ancestors=COUNT),
    "sinks": each(
        one(
            **{
                name: TEXT if kind == "str" else COUNT
                for name, kind in SinkCounts.__annotations__.items()
            }
        )
    ),
    "helper_failures": some(COUNT, HELPERS),
    "canary_latency_seconds": or_null(SECONDS),
    "cpu_seconds": SECONDS,
    "resident_bytes": COUNT,
    "front_failures": COUNT,
    "snapshot_failures": COUNT,
}
WORK = one(execs=COUNT, exits=COUNT, cpu_seconds=SECONDS, peak_rss_bytes=COUNT)
INTERVAL = {
    "seconds": SECONDS,
    "executables": some(WORK),
    "units": some(WORK),
    "containers": some(WORK),
    "events": some(COUNT, KINDS),
    "status": ref("Status"),
}
SCHEMAS = {
    "Error": one(error=TEXT),
    "Explanation": one(**EXPLANATION),
    "Interval": one(**INTERVAL),
    "Key": one(**KEY),
    "Process": one(**PROCESS),
    "Status": one(**STATUS),
}

PLAIN = "text/plain; charset=utf-8"
JSON = "application/json"
LINES = "application/x-ndjson"
REFUSED = {
    401: ("A password is needed, at the metrics port (metrics.web_config).", (PLAIN,)),
    403: ("Not for who asks: another site's page, another name, another user.", (JSON, PLAIN)),
}
"""Answers of a door, before anybody looks at the question."""
BUSY = {503: ("The daemon does not answer, or others ask already.", (JSON,))}
UNDECIDED = {
    503: ("The daemon does not answer, others ask already, or the filter takes too long.", (JSON,))
}
WRONG = {400: ("A parameter has a value that it does not take.", (JSON,))}
OF_PATHS: dict[str, tuple[dict[str, Schema], dict[int, tuple[str, tuple[str, ...]]]]] = {
    parameters.STATUS.path: ({JSON: {"schema": ref("Status")}}, {**BUSY}),
    parameters.PROCESSES.path: (
        {LINES: {"schema": TEXT, "x-line": ref("Process")}},
        {**WRONG, **UNDECIDED, 504: ("There was no answer in time.", (JSON,))},
    ),
    parameters.EXPLAIN.path: (
        {JSON: {"schema": ref("Explanation")}},
        {
            **WRONG,
            404: ("Nothing is known of that process.", (JSON,)),
            **BUSY,
            504: ("There was no answer in time.", (JSON,)),
        },
    ),
    parameters.FOLLOW.path: (
        {
            LINES: {"schema": TEXT, "x-line": {"$ref": "events.schema.json"}},
            "text/plain": {"schema": TEXT},
        },
        {**WRONG, **BUSY},
    ),
    parameters.WORK.path: (
        {LINES: {"schema": TEXT, "x-line": ref("Interval")}},
        {**WRONG, **BUSY},
    ),
}
"""What is answered with 200, and with what else."""

PROMETHEUS = (
    "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
)
SERVERS = [{"url": "http://127.0.0.1:9847", "description": "the metrics port (metrics.listen)"}]
SOCKET = "the control socket (control.socket): curl --unix-socket /run/agentd/agentd.sock"
SOCKET_SERVERS = [{"url": "http://agentd", "description": SOCKET}]


def description() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "agentd",
            "version": __version__,
            "description": "What a running agentd answers, to GET and HEAD. docs/control.md says"
            " what the fields mean. A parameter that no path has is ignored.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": SERVERS,
        "paths": {
            "/metrics": {"get": _metrics()},
            "/healthz": {"get": _check("healthz", "Whether what the kernel delivers is taken.")},
            "/readyz": {
                "get": _check("readyz", "Whether it is attached, and knows what runs already.")
            },
            **{path.path: _path(path) for path in parameters.ALL},
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
        "security": [{}, {"password": []}],
    }


def text() -> str:
    """The file."""
    return json.dumps(description(), indent=1) + "\n"


def _path(path: parameters.Path) -> Schema:
    good, others = OF_PATHS[path.path]
    answers = {200: {"description": path.meaning, "content": good}}
    get = {
        "summary": path.meaning,
        "operationId": path.path.rpartition("/")[2],
        "parameters": [_parameter(parameter) for parameter in path.parameters],
        "responses": _responses(answers, {**REFUSED, **others}),
    }
    servers = SERVERS + SOCKET_SERVERS if path.at_the_port else SOCKET_SERVERS
    return {"servers": servers, "get": get}


def _parameter(parameter: parameters.Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.meaning,
        "required": parameter.required,
        "schema": parameter.schema(),
    }


def _metrics() -> Schema:
    content = {content_type: {"schema": TEXT} for content_type in PROMETHEUS}
    return {
        "summary": "Metrics, as Prometheus and OpenMetrics have them (docs/metrics.md).",
        "operationId": "metrics",
        "responses": _responses(
            {200: {"description": "Metrics.", "content": content}},
            {**REFUSED, 503: ("The daemon does not answer.", (PLAIN,))},
        ),
    }


def _check(name: str, meaning: str) -> Schema:
    good = {"description": "Yes.", "content": {PLAIN: {"schema": TEXT}}}
    no = {503: ("No, and why.", (PLAIN,))}
    return {
        "summary": meaning,
        "operationId": name,
        "responses": _responses({200: good}, {**REFUSED, **no}),
    }


def _responses(good: dict[int, Schema], others: dict[int, tuple[str, tuple[str, ...]]]) -> Schema:
    """All answers by their status, in order."""
    found = dict(good)
    for status, (meaning, types) in others.items():
        schemas = {kind: {"schema": ref("Error") if kind == JSON else TEXT} for kind in types}
        found[status] = {"description": meaning, "content": schemas}
    return {str(status): found[status] for status in sorted(found)}


def main() -> None:
    """Write it."""
    FILE.write_text(text())


if __name__ == "__main__":
    main()
