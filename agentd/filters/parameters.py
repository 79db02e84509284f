"""What can be asked under /v1/: paths and their parameters. Routes read requests by this table,
and docs/openapi.json is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from agentd.terminal.escape import shortened
from agentd.terminal.numerals import decimal, whole

Query = Mapping[str, list[str]]
"""The values of a request by name, in order; several of ``FILTER`` alone."""
_PARAMETERS_MAX = 64


class ParameterError(Exception):
    """A value that a parameter does not take, and what it takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Any text, if nothing is said of its values. A name that no parameter has is ignored."""

    name: str
    meaning: str
    default: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    """Of numbers, as is ``most``."""
    most: float = float("inf")
    is_whole: bool = False
    pattern: str = ""
    """What values look like. The answer itself refuses others."""
    required: bool = False
    many: bool = False
    """Whether each value counts; if not, the last one does."""

    def read(self, query: Query) -> str:
        """The value, or the default. Raises ParameterError."""
        value = query.get(self.name, [self.default])[-1]
        if self.choices and value not in self.choices:
            there = ", ".join(self.choices)
            raise ParameterError(f"there is no {self.name} {shortened(value)}; there is {there}")
        return value

    def number(self, query: Query) -> float:
        """The value of one that takes numbers. Raises ParameterError."""
        value = self.read(query)
        return self._bounded(value, decimal(value))

    def whole_number(self, query: Query) -> int | None:
        """The same for whole numbers with a sign; None if there is none. Raises ParameterError."""
        value = self.read(query)
        if self.name not in query:
            return None
        number = whole(value.removeprefix("-"))
        sign = -1 if value.startswith("-") else 1
        return int(self._bounded(value, None if number is None else sign * number))

    def _bounded(self, value: str, number: float | None) -> float:
        if self.least is None or number is None or not self.least <= number <= self.most:
            bounds = f"not from {self.least} to {self.most:g}"
            raise ParameterError(f"{self.name}={shortened(value)}: {bounds}")
        return number

    def schema(self) -> dict[str, Any]:
        """What its values look like, as JSON Schema."""
        schema: dict[str, Any] = {"type": "string"}
        if self.least is not None:
            kind = "integer" if self.is_whole else "number"
            schema = {"type": kind, "minimum": self.least, "maximum": self.most}
        if self.choices:
            schema |= {"enum": list(self.choices)}
        if self.default:
            schema |= {"default": self.default if self.least is None else float(self.default)}
        if self.pattern:
            schema |= {"pattern": self.pattern}
        return {"type": "array", "items": schema} if self.many else schema


@dataclass(frozen=True, slots=True)
class Path:
    """One path. ``at_the_port``: it is to be had at the metrics port, too."""

    path: str
    meaning: str
    parameters: tuple[Parameter, ...] = ()
    at_the_port: bool = False


FILTER = Parameter("filter", "docs/filters.md. Given more than once, each has to hold.", many=True)
EXITED = Parameter(
    "exited", "1: also processes that are remembered.", default="0", choices=("0", "1")
)
ID = Parameter(
    "id",
    "A pid, or the entity_id of an event.",
    pattern="^([0-9]{1,10}|[0-9a-f]{16}-[0-9]{1,10}-[0-9]{1,20})$",
    required=True,
)
FORMAT = Parameter(
    "format", "How events are written.", default="json", choices=("json", "text", "colour")
)
UTC_OFFSET = Parameter(
    "utc_offset",
    "How many seconds the times of texts are ahead of UTC; the host's zone decides if not given.",
    least=-86400,
    most=86400,
    is_whole=True,
)
SECONDS = Parameter("seconds", "How long an interval is.", default="1", least=0.1, most=3600)

STATUS = Path("/v1/status", "How agentd does.", at_the_port=True)
PROCESSES = Path("/v1/processes", "Processes, a line each.", (FILTER, EXITED), at_the_port=True)
EXPLAIN = Path("/v1/explain", "All about one process.", (ID,), at_the_port=True)
FOLLOW = Path(
    "/v1/follow", "Events as they leave, until one of both goes.", (FILTER, FORMAT, UTC_OFFSET)
)
WORK = Path("/v1/work", "What was done in each interval, until the peer goes.", (FILTER, SECONDS))
ALL = (STATUS, PROCESSES, EXPLAIN, FOLLOW, WORK)
EVERYWHERE = tuple(path.path for path in ALL)
ABOUT_PROCESSES = (PROCESSES.path, EXPLAIN.path)
"""Not for anybody."""
AT_THE_PORT = tuple(path.path for path in ALL if path.at_the_port)


def read_query(text: str) -> Query:
    """The parameters of a request. Raises ParameterError."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        raise ParameterError(f"more than {_PARAMETERS_MAX} parameters") from None
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        values = query.setdefault(name, [])
        values.append(value)
        if len(values) > 1 and name != FILTER.name:
            raise ParameterError(f"{shortened(name)} is there twice")
    return query
