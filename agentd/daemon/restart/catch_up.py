"""What only this process knows, before its programs are kept for the next one.

Of new programs the first events are taken before there is a tree, and the buffer need not keep
them: they wait in the queue, behind what other programs left. All that has to be written, and the
ledger has to say so, before a next process may go on from the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentd.core.pipeline import Pipeline
from agentd.daemon.loop import Rounds
from agentd.host import clock

_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 5.0
"""How long sinks may take; and what does not come to an end without them."""


async def settle(pipeline: Pipeline, rounds: Rounds, let_go: Callable[[int], None]) -> bool:
    """Return True when what was inherited, or all until now, is written and the ledger says so.

    A sink that does not take anything is waited for no longer than a while, and then told to
    ``let_go``: what it has not written when this process ends is told by the next.
    """
    until_ns = pipeline.overlap.theirs_until_ns or clock.boottime_ns()
    rounds.noting = True
    try:
        if not await _settled(rounds, until_ns):
            let_go(rounds.entries_total)
            await _settled(rounds, until_ns)
    finally:
        rounds.noting = False
    return True


async def _settled(rounds: Rounds, until_ns: int) -> bool:
    """False if it took too long."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while rounds.kept_ns < until_ns:
                rounds.wake()
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        return False
    return True
