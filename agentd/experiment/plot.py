"""The results as a picture. The one file that knows matplotlib, which not every host has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentd.errors import ConfigError, UnavailableError
from agentd.experiment.report import Report, bytes_text, run_name
from agentd.experiment.run import Outcome
from agentd.terminal.escape import printable_path

_BEFORE, _AFTER = "#d55e00", "#0072b2"  # told apart by everybody (Okabe and Ito)
_FORMATS = (".svg", ".png")


def check(file: Path) -> None:
    """Raise before anything runs if the picture could not be drawn afterwards."""
    if file.suffix not in _FORMATS:
        raise ConfigError(f"--plot {printable_path(file)}: must end with {' or '.join(_FORMATS)}")
    _figure_class()


def draw(report: Report, file: Path) -> None:
    """Write the picture; its name's ending says in which format."""
    figure = _figure_class()(figsize=(15, 4.5), layout="constrained")
    order, losses, rates = figure.subplots(1, 3)
    _draw_order(order, report.outcomes)
    _draw_losses(losses, report.outcomes)
    _draw_rates(rates, report)
    figure.savefig(file, dpi=120, metadata={"Date": None} if file.suffix == ".svg" else None)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 (half a second, for plots only)
    except ImportError:
        raise UnavailableError(
            "--plot needs matplotlib", "apt-get install python3-matplotlib"
        ) from None
    return Figure


def _style(axes: Any, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _draw_order(axes: Any, outcomes: list[Outcome]) -> None:
    for offset, colour, name in ((-0.2, _BEFORE, "before"), (0.2, _AFTER, "after")):
        values = [getattr(outcome, f"displaced_{name}") for outcome in outcomes]
        labels = [f"{value:,}" for value in values]
        places = [i + offset for i in range(len(values))]
        bars = axes.barh(places, values, 0.38, color=colour, label=f"{name} the reorderer")
        axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_yticks(range(len(outcomes)), map(run_name, outcomes))
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    _style(axes, "Out of order", "events behind a younger one")
    axes.legend(frameon=False, loc="lower right")


def _draw_losses(axes: Any, outcomes: list[Outcome]) -> None:
    shares = [100 * outcome.lost_events / outcome.made_events for outcome in outcomes]
    bars = axes.barh(range(len(shares)), shares, 0.6, color=_BEFORE)
    words = {True: ", account exact", False: ", ACCOUNT WRONG"}
    labels = [f"{each.lost_events:,}{words[each.account_is_exact]}" for each in outcomes]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_yticks(range(len(outcomes)), [""] * len(outcomes))
    axes.invert_yaxis()
    axes.set_xlim(0, max(*shares, 1) * 1.5)
    _style(axes, "Lost", "% of the events made; the runs in the same order")


def _draw_rates(axes: Any, report: Report) -> None:
    for transport, colour in (("ringbuf", _AFTER), ("perfbuf", _BEFORE)):
        rates = [each for each in report.throughputs if each.transport == transport]
        axes.plot(
            [each.record_bytes for each in rates],
            [each.delivered_per_s / 1e6 for each in rates],
            "o-",
            color=colour,
            label=transport,
        )
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    sizes = sorted({each.record_bytes for each in report.throughputs})
    axes.set_xticks(sizes, map(bytes_text, sizes))
    _style(axes, "Throughput", "record size")
    axes.set_ylabel("million records/s delivered")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
