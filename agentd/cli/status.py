"""The answer to ``agentd status`` for people: one screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentd.terminal.style import BOLD, GREEN, RED, YELLOW, paint
from agentd.terminal.width import wrapped

_MIB = 1 << 20


def is_well(now: dict[str, Any]) -> bool:
    """Whether it takes what the kernel delivers, writes it, and its account adds up."""
    return not problem(now)


def problem(now: dict[str, Any]) -> str:
    """Why it is not well; empty if it is."""
    if not now["healthy"]:
        return str(now["reason"])
    failing = [f"{sink['name']}: {sink['failure']}" for sink in now["sinks"] if sink["failure"]]
    return "; ".join([*failing, f"imbalance {now['imbalance']}"] if now["imbalance"] else failing)


def render(
    before: dict[str, Any], now: dict[str, Any], *, colour: bool, columns: int | None = None
) -> str:
    """Lines of text. ``before``: the same a moment earlier, for the rates."""
    lines: list[str] = []
    for label, text in _lines(before, now, colour=colour):
        lines += wrapped(f"{label:<11}" if label else "", text, columns)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _lines(
    before: dict[str, Any], now: dict[str, Any], *, colour: bool
) -> Iterator[tuple[str, str]]:
    """Labels, and what stands behind them."""
    word, code = ("good", GREEN) if is_well(now) else ("NOT WELL", RED)
    if is_well(now) and now["losing"]:
        word, code = "good, with losses", YELLOW
    yield (
        "",
        (
            f"{paint(code, f'● {word}', colour=colour)}  {paint(BOLD, 'agentd', colour=colour)}"
            f" {now['version']} ({now['core']}), pid {now['pid']},"
            f" up {_span(now['uptime_seconds'])}, Linux {now['kernel']}"
        ),
    )
    if not is_well(now):
        yield " ", problem(now)
    yield "", ""
    seconds = max(1e-3, now["uptime_seconds"] - before["uptime_seconds"])
    total = sum(now["events"].values())
    rate = (total - sum(before["events"].values())) / seconds
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in now["events"].items())
    yield "events", f"{total:,} ({kinds}), {rate:,.0f}/s now"
    yield "lost", f"{_lost(now, colour=colour)}"
    transport = now["transport"]
    filled = 100 * transport["used_bytes"] / transport["buffer_bytes"]
    size = _size(transport["buffer_bytes"])
    yield "transport", f"{transport['kind']}, {size}, {filled:.1f} % full"
    yield "latency", f"{_latency(now['latency_seconds'])}"
    tree = now["tree"]
    yield (
        "tree",
        (
            f"{tree['live']:,} live of {tree['live_capacity']:,},"
            f" {tree['exited']:,} exited, {tree['ancestors']:,} ancestors"
        ),
    )
    for sink in now["sinks"]:
        yield "sink", f"{_sink(sink)}"
    if failures := _helpers(now):
        yield "helpers", failures
    cpu = 100 * (now["cpu_seconds"] - before["cpu_seconds"]) / seconds
    yield "costs", f"{now['resident_bytes'] / _MIB:.0f} MiB, {cpu:.1f} % of a CPU now"


def _lost(now: dict[str, Any], *, colour: bool) -> str:
    parts = [f"{now['lost']:,} events{_where_lost(now)}"]
    parts += [f"{now['inferred']:,} inferred"] if now["inferred"] else []
    parts += [f"{now['late']:,} late"] if now["late"] else []
    parts.append(f"imbalance {now['imbalance']}")
    text = ", ".join(parts)
    return paint(RED, text, colour=colour) if now["losing"] or now["imbalance"] else text


def _where_lost(now: dict[str, Any]) -> str:
    if not now["lost"]:
        return ""
    stages = ", ".join(f"{count:,} {stage}" for stage, count in now["lost_by_stage"].items())
    seconds = now["seconds_since_lost"]
    last = "before it began" if seconds is None else f"the last {_span(seconds)} ago"
    return f" ({stages}; {last})"


def _size(count: int) -> str:
    for bits, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << bits:
            return f"{count / (1 << bits):.4g} {unit}"
    return f"{count} bytes"


def _sink(sink: dict[str, Any]) -> str:
    dropped = f", {sink['dropped']:,} dropped" if sink["dropped"] else ""
    queued = f", {sink['queued']:,} wait" if sink["queued"] else ""
    fails = ", fails" if sink["failure"] else ""
    return f"{sink['name']}: {sink['written']:,} written{dropped}{queued}{fails}"


def _latency(latency: dict[str, float | None]) -> str:
    p50, p99 = latency["p50"], latency["p99"]
    if p50 is None:
        return "no events lately"
    return f"half within {p50 * 1e3:g} ms, 99 % " + (
        f"within {p99 * 1e3:g} ms" if p99 is not None else "not within the buckets"
    )


def _helpers(now: dict[str, Any]) -> str:
    """Those that failed, and how often."""
    every = now["helper_failures"] | {
        "front": now["front_failures"],
        "snapshots": now["snapshot_failures"],
    }
    failed = {job: count for job, count in every.items() if count}
    return "failed: " + ", ".join(f"{job} {n:,}" for job, n in failed.items()) if failed else ""


def _span(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    return f"{hour} h {minute} min" if hours else f"{minute} min {second} s"
