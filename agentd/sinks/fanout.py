"""All sinks of a daemon as one. None of them waits for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentd.core.batch import Batch
from agentd.core.undelivered import Untold
from agentd.core.unwritten import Unwritten
from agentd.errors import AgentdError
from agentd.sinks.sink import Sink
from agentd.sinks.writer import SinkFailedError


class Fanout:
    """Hands each batch to every sink. With none, everything is written at once."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)
        self._end = 0

    @property
    def behind(self) -> bool:
        """Whether a sink has something left to write."""
        return any(sink.behind for sink in self.sinks)

    @property
    def finished_below(self) -> int:
        """Every entry below this number has been written or dropped, by all of them."""
        return min((sink.finished_below for sink in self.sinks), default=self._end)

    @property
    def not_written(self) -> int:
        """Events that were dropped, or wait, of each sink."""
        return sum(sink.accepted_total - sink.written_total for sink in self.sinks)

    @property
    def failure(self) -> AgentdError | None:
        """Why a sink cannot be written; None if all can, or only their readers are slow or gone."""
        failures = (sink.failure for sink in self.sinks)
        return next((why for why in failures if isinstance(why, SinkFailedError)), None)

    def write(self, batch: Batch) -> None:
        """Hand it to each."""
        self._end = batch.first_sequence + len(batch.entries)
        for sink in self.sinks:
            sink.write(batch)

    def let_go(self, number: int) -> None:
        """None is waited for any more with the entries below this number."""
        for sink in self.sinks:
            sink.let_go(number)

    def drop_below(self, number: int, wall_offset_ns: int) -> None:
        """Those that have not finished with the entries below this number drop them."""
        for sink in self.sinks:
            if sink.finished_below < number:
                sink.drop_below(number, wall_offset_ns)

    def untold(self) -> Untold:
        """What the first sink has dropped and not told: a successor tells it in its place."""
        return self.sinks[0].untold() if self.sinks else Untold()

    def leave(self) -> dict[str, Unwritten]:
        """None writes any more; what each had still to write, by its name."""
        return {sink.name: sink.leave() for sink in self.sinks}

    def take_over(self, left: Mapping[str, Unwritten], wall_offset_ns: int) -> None:
        """Each begins with what the one of its name has left. What another has left is not asked
        for any more.
        """
        for sink in self.sinks:
            if sink.name in left:
                sink.take_over(left[sink.name], wall_offset_ns)

    def close(self) -> None:
        """Let go of all."""
        for sink in self.sinks:
            sink.close()
