"""agentd.core.histogram"""

from __future__ import annotations

from agentd.core.histogram import Histogram, Lately

PERIOD = 1000


def test_what_was_lately() -> None:
    """Durations of the period that goes on and of the one before it; older ones are forgotten."""
    histogram = Histogram((10, 100))
    histogram.add_ages([0] * 1000, 5)
    lately = Lately(histogram, PERIOD)
    assert lately.quantile_seconds(0.5) is None
    lately.look(PERIOD)
    histogram.add_ages([0], 50)
    assert lately.quantile_seconds(0.5) == 100e-9
    assert histogram.quantile_seconds(0.5) == 10e-9
    lately.look(2 * PERIOD - 1)
    lately.look(2 * PERIOD)
    assert lately.quantile_seconds(0.5) == 100e-9
    histogram.add_ages([0, 0], 5)
    lately.look(3 * PERIOD)
    assert lately.quantile_seconds(0.99) == 10e-9
    lately.look(4 * PERIOD)
    assert lately.quantile_seconds(0.99) is None
