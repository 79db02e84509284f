"""The front process, the copies that answer questions, and requests that failed."""

from __future__ import annotations

from collections.abc import Iterator

from agentd.metrics.family import COUNTER, Family, Metric
from agentd.metrics.snapshot import Snapshot

HTTP_FAILURES = Family(
    COUNTER,
    "agentd_http_failures",
    "Requests that failed inside agentd, and were answered with an error.",
    more="By this front: it begins at 0 with each",
    todo='the log has one a minute; with `log.level = "debug"` its traceback. Please report it',
)
FRONT_STARTS = Family(
    COUNTER,
    "agentd_front_starts",
    "Starts of the process that answers HTTP.",
    more="It starts at the first connection and ends after a minute without one",
)
FRONT_FAILURES = Family(
    COUNTER,
    "agentd_front_failures",
    "Times that this process crashed, was killed, or could not start.",
    todo="the log says how; it is started again after 1 s, 2 s and so on up to 60 s",
)
SNAPSHOTS = Family(
    COUNTER,
    "agentd_snapshots",
    "Copies of the daemon that were made to answer questions about the tree.",
    more="At most one a second",
)
SNAPSHOT_FAILURES = Family(
    COUNTER,
    "agentd_snapshot_failures",
    "Copies that could not be made, or that did not answer all questions in time.",
    todo="a filter or a listing that takes too long, or no memory: the log says which",
)
QUESTIONS_REFUSED = Family(
    COUNTER,
    "agentd_questions_refused",
    "Questions about the tree for which too many others waited.",
)

FRONT = (
    HTTP_FAILURES, FRONT_STARTS, FRONT_FAILURES, SNAPSHOTS, SNAPSHOT_FAILURES, QUESTIONS_REFUSED,
)  # fmt: skip


def front(now: Snapshot) -> Iterator[Metric]:
    """What stands beside the daemon, as the daemon counts it."""
    beside = now.beside
    yield FRONT_STARTS.value(beside.front_starts)
    yield FRONT_FAILURES.value(beside.front_failures)
    yield SNAPSHOTS.value(beside.snapshots)
    yield SNAPSHOT_FAILURES.value(beside.snapshot_failures)
    yield QUESTIONS_REFUSED.value(beside.questions_refused)
