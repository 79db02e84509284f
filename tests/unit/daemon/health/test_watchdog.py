"""agentd.daemon.health.watchdog, by a clock that costs no time"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from agentd.daemon.health.watchdog import Liveness
from agentd.errors import UnavailableError
from tests import fake_time

WATCHDOG_SECONDS = 60.0


class FakeService:
    """Remembers when it was told what."""

    def __init__(self, watchdog_seconds: float | None = WATCHDOG_SECONDS, deaf: int = 0) -> None:
        self.watchdog_seconds = watchdog_seconds
        self._deaf = deaf
        """Times that it does not hear that all is ready."""
        self.told: list[tuple[str, float]] = []

    def ready(self, status: str) -> bool:
        """All is ready."""
        self._tell("ready")
        self._deaf -= 1
        return self._deaf < 0

    def alive(self, status: str) -> None:
        """A canary has passed."""
        self._tell("alive")

    def status(self, status: str) -> None:
        """How it is going."""
        self._tell(status)

    def times(self, what: str) -> list[float]:
        """When it was told something."""
        return [at for told, at in self.told if told == what]

    def _tell(self, what: str) -> None:
        self.told.append((what, asyncio.get_running_loop().time()))


class FakeCanary:
    """Passes at once, is not seen, or cannot be sent, as the test has it."""

    def __init__(self, fates: Iterable[str]) -> None:
        self.problem = ""
        self._fates: Iterator[str] = iter(fates)

    async def send(self, limit_seconds: float) -> bool:
        """The next one; the last of the test ends the loop."""
        fate = next(self._fates, "end")
        if fate == "end":
            raise asyncio.CancelledError
        if fate == "missed":
            await asyncio.sleep(limit_seconds)
        self.problem = "" if fate == "passed" else fate
        return fate == "passed"


class FakeLog:
    """Remembers its warnings."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def warning(self, event: str, **fields: Any) -> None:
        """A line."""
        assert event == "a canary did not come through"
        self.problems.append(fields["problem"])


def _live(*fates: str, service: FakeService | None = None) -> tuple[FakeService, FakeLog]:
    service, log = service or FakeService(), FakeLog()
    liveness = Liveness(service, FakeCanary(fates), lambda: "fine", log)  # type: ignore[arg-type]

    async def main() -> None:
        await liveness.begin(asyncio.Event())
        await liveness.run()

    with contextlib.suppress(asyncio.CancelledError):
        fake_time.run(main())
    return service, log


def test_each_canary_feeds_the_watchdog() -> None:
    """Those that pass do so a part of the watchdog's time apart, however long each one takes."""
    service, log = _live("passed", "passed", "passed", "passed")
    assert service.times("alive") == [0.0, 12.0, 24.0]
    assert log.problems == []


@pytest.mark.parametrize("fate", ["missed", "cannot be sent: Too many open files"])
def test_three_canaries_may_be_missed(fate: str) -> None:
    """The fourth is in time even if it takes all of its own."""
    service, log = _live("passed", "passed", fate, fate, fate, "passed")
    first, second = service.times("alive")
    assert second - first + WATCHDOG_SECONDS / 5 <= WATCHDOG_SECONDS
    assert log.problems == [fate] * 3
    assert service.told[-2][0] == "not well: a canary is missing. fine"


def test_who_is_blind_does_not_feed_it() -> None:
    """Nothing is said to the watchdog as long as no canary passes."""
    service, _ = _live("passed", "passed", *["missed"] * 20)
    assert service.times("alive") == [0.0]


def test_readiness_waits_for_a_canary() -> None:
    """READY is said when one has passed; what could not be sent is tried again."""
    service, _ = _live("cannot be sent", "cannot be sent", "passed")
    assert service.told == [("ready", 2.0)]


def test_readiness_is_said_until_it_is_heard() -> None:
    """A service manager that does not read for a while hears of it all the same."""
    service, _ = _live("passed", "passed", service=FakeService(deaf=2))
    assert service.times("ready") == [0.0, 1.0, 2.0]
    assert service.times("alive") == [2.0]


def test_a_blind_agentd_does_not_become_ready() -> None:
    """When none passes it ends, and says why."""
    service = FakeService()
    with pytest.raises(UnavailableError, match="would be blind"):
        _live("missed", service=service)
    assert service.told == []


def test_without_a_watchdog_nothing_is_sent() -> None:
    """By hand there is no canary, and readiness does not wait."""
    service, _ = _live(service=FakeService(None))
    assert service.told == [("ready", 0.0)]
