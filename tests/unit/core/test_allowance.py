"""agentd.core.allowance"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.allowance import SAVED_MAX_NS, SHARE_PERCENT, Allowance


def test_a_burst_and_then_a_share() -> None:
    """What was saved may be spent at once; after that, a fifth of the time."""
    allowance = Allowance(0)
    assert allowance.left_ns(0) == SAVED_MAX_NS
    allowance.pay(SAVED_MAX_NS)
    assert allowance.left_ns(0) == 0
    assert allowance.left_ns(1_000_000) == 200_000
    assert allowance.left_ns(10**12) == SAVED_MAX_NS


def test_what_was_overdrawn_is_waited_for() -> None:
    """A search that overran its limit is paid back before the next."""
    allowance = Allowance(0)
    allowance.pay(SAVED_MAX_NS + 16_000_000)
    assert allowance.left_ns(0) == -16_000_000
    assert allowance.left_ns(80_000_000) == 0


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 20_000_000)), max_size=60))
def test_whatever_is_asked_for_the_share_holds(asked: list[tuple[int, int]]) -> None:
    """Whoever spends only while something is left gets no more than share, burst and one search."""
    allowance, now_ns, spent_ns = Allowance(0), 0, 0
    for wait_ns, search_ns in asked:
        now_ns += wait_ns
        if allowance.left_ns(now_ns) > 0:
            allowance.pay(search_ns)
            spent_ns += search_ns
    assert spent_ns <= SAVED_MAX_NS + now_ns * SHARE_PERCENT // 100 + 20_000_000
