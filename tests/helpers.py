"""Helpers of a daemon: real ones, and some that answer as a test likes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from agentd.helpers.client import HelperError, Helpers

T = TypeVar("T")


class Log:
    """Keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **values: Any) -> None:
        """Keep one."""
        self.warnings.append((event, values))


def with_helpers(
    work: Callable[[Helpers], Awaitable[T]],
    *,
    scan_socket: str = "",
    keeps: tuple[int, ...] = (),
    log: Log | None = None,
) -> T:
    """Do something with a coordinator that runs, and end it."""

    async def main() -> T:
        helpers = Helpers(keeps, scan_socket, log or Log())
        try:
            return await work(helpers)
        finally:
            helpers.close()

    return asyncio.run(main())


class FakeHelpers(Helpers):
    """Answers each request with the next list of parts, or fails; the end is what ``done`` says."""

    def __init__(self, answers: list[Any], done: Any = None) -> None:
        super().__init__((), "", Log())
        self.asked: list[tuple[str, Any]] = []
        self.answered = asyncio.Event()
        """All answers have been given."""
        self._answers = answers
        self._done = done

    async def ask(
        self, job: str, arguments: Any, seconds: float, take: Callable[[Any], None]
    ) -> Any:
        """As the real one, and likewise not without a turn of the loop."""
        self.asked.append((job, arguments))
        await asyncio.sleep(0)
        answer = self._answers.pop(0)
        if not self._answers:
            self.answered.set()
        if isinstance(answer, HelperError):
            raise answer
        try:
            for part in answer:
                take(part)
        except Exception as error:
            raise HelperError(str(error)) from None
        return self._done

    async def scan(self, arguments: Any, seconds: float, take: Callable[[Any], None]) -> None:
        """A scan is nothing else."""
        await self.ask("processes", arguments, seconds, take)
