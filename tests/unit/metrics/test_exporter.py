"""agentd.metrics.exporter"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentd.core.histogram import Example, Histogram
from agentd.core.tree.tree import Tree
from agentd.core.usage import OTHER
from agentd.kernel.loader_protocol import TRACEPOINTS
from agentd.metrics.exporter import Exposition
from agentd.metrics.front import HTTP_FAILURES
from agentd.metrics.snapshot import (
    Beside,
    OwnProcess,
    ProgramCost,
    SinkCounts,
    Snapshot,
    Times,
    WorkOf,
    read_snapshot,
)
from agentd.runtime.packing import pack, unpack
from tests.records import TICK_NS, tree_limits
from tests.requirements import need_program

DOCS = Path(__file__).resolve().parents[3] / "docs/metrics.md"
FOREIGN = ("process_", "python_")
KINDS = ("fork", "exec", "exit")

GOLDEN = """\
agentd_accounting_carried_events
agentd_accounting_imbalance
agentd_audit_forks_unaccounted
agentd_build_info{kernel,python,version}
agentd_canaries_total{result=missed}
agentd_canaries_total{result=passed}
agentd_canary_latency_seconds
agentd_decode_errors_total
agentd_duplicate_exits_total
agentd_event_latency_seconds{le}
agentd_events_total{kind=exec}
agentd_events_total{kind=exit}
agentd_events_total{kind=fork}
agentd_executable_exited_cpu_seconds_total{executable=other}
agentd_executable_exec_total{executable=other}
agentd_executable_exited_processes_total{executable=other}
agentd_executable_exited_peak_rss_bytes{executable=other}
agentd_helper_failures_total{helper=processes}
agentd_helper_failures_total{helper=users}
agentd_inferred_events_total{kind=exec}
agentd_inferred_events_total{kind=exit}
agentd_inferred_events_total{kind=fork}
agentd_journal_rate_limited
agentd_journal_suppressed_entries_total
agentd_kernel_attempts_total{kind=exec}
agentd_kernel_attempts_total{kind=exit}
agentd_kernel_attempts_total{kind=fork}
agentd_kernel_filtered_total{kind=exec}
agentd_kernel_filtered_total{kind=exit}
agentd_kernel_filtered_total{kind=fork}
agentd_kernel_threads_total
agentd_last_event_timestamp_seconds
agentd_log_dropped_lines_total
agentd_lost_events_total{kind=exec,stage=output}
agentd_lost_events_total{kind=exec,stage=reserve}
agentd_lost_events_total{kind=exit,stage=output}
agentd_lost_events_total{kind=exit,stage=reserve}
agentd_lost_events_total{kind=fork,stage=output}
agentd_lost_events_total{kind=fork,stage=reserve}
agentd_lost_events_total{kind=exec,stage=skipped}
agentd_lost_events_total{kind=exit,stage=skipped}
agentd_lost_events_total{kind=fork,stage=skipped}
agentd_lost_events_total{kind=unknown,stage=decode}
agentd_lost_events_total{kind=unknown,stage=restart}
agentd_matches_undecided_total{where=output.filter}
agentd_program_runs_total{tracepoint=sched_process_exec}
agentd_program_runs_total{tracepoint=sched_process_exit}
agentd_program_runs_total{tracepoint=sched_process_fork}
agentd_program_seconds_total{tracepoint=sched_process_exec}
agentd_program_seconds_total{tracepoint=sched_process_exit}
agentd_program_seconds_total{tracepoint=sched_process_fork}
agentd_python_blocks
agentd_reconciliations_total
agentd_reorder_capacity
agentd_reorder_forced_total
agentd_reorder_held
agentd_reorder_inversions_total{side=in}
agentd_reorder_inversions_total{side=out}
agentd_reorder_late_total
agentd_ring_bytes{state=size}
agentd_ring_bytes{state=used}
agentd_round_duration_seconds{le}
agentd_rounds_total
agentd_sink_bytes_total{sink=stdout}
agentd_sink_capacity_bytes{sink=stdout}
agentd_sink_dropped_events_total{sink=stdout}
agentd_sink_encode_failures_total{sink=stdout}
agentd_sink_events_total{sink=stdout}
agentd_sink_failing{sink=stdout}
agentd_sink_merged_events_total{sink=stdout}
agentd_sink_queued_bytes{sink=stdout}
agentd_sink_queued_events{sink=stdout}
agentd_sink_unwanted_events_total{sink=stdout}
agentd_transport_info{kind=ringbuf}
agentd_transport_lost_samples_total
agentd_tree_capacity{state=ancestor}
agentd_tree_capacity{state=exited}
agentd_tree_capacity{state=live}
agentd_tree_evictions_total{reason=ancestor_capacity}
agentd_tree_evictions_total{reason=ancestor_needless}
agentd_tree_evictions_total{reason=exited_age}
agentd_tree_evictions_total{reason=exited_capacity}
agentd_tree_evictions_total{reason=live_capacity}
agentd_tree_misses_total{reason=exec_unknown}
agentd_tree_misses_total{reason=exit_missed}
agentd_tree_misses_total{reason=exit_unknown}
agentd_tree_misses_total{reason=fork_after_exit}
agentd_tree_misses_total{reason=fork_parent_unknown}
agentd_tree_processes{state=ancestor}
agentd_tree_processes{state=exited}
agentd_tree_processes{state=live}
agentd_tree_text_forgotten_total{detail=arguments}
agentd_tree_text_forgotten_total{detail=earlier_images}
agentd_tree_text_forgotten_total{detail=executable}
agentd_tree_text_limit_bytes
agentd_tree_text_used_bytes
agentd_exited_cpu_seconds_total{slice=,unit=other}
agentd_exec_total{slice=,unit=other}
agentd_exited_processes_total{slice=,unit=other}
agentd_exited_peak_rss_bytes{slice=,unit=other}
agentd_front_failures_total
agentd_front_starts_total
agentd_http_failures_total
agentd_questions_refused_total
agentd_snapshot_failures_total
agentd_snapshots_total
agentd_wakeups_total
agentd_work_capacity{by=executable}
agentd_work_capacity{by=unit}
"""


def _snapshot(*, units: Sequence[tuple[str, str]] = ()) -> Snapshot:
    """Of a daemon that has seen nothing; through msgpack, as the front gets it."""
    tree = Tree(tree_limits(), TICK_NS)
    states = dict.fromkeys(("live", "exited", "ancestor"), 0)
    zeros = (0, 0, 0)
    stages = [("reserve", kind) for kind in KINDS] + [("output", kind) for kind in KINDS]
    stages += [("skipped", kind) for kind in KINDS]
    stages += [("decode", "unknown"), ("restart", "unknown")]
    times = Times.of(Histogram((1000, 2000)))
    snapshot = Snapshot(
        kind_names=KINDS,
        emitted=zeros,
        attempts=zeros,
        filtered=zeros,
        inferred=zeros,
        threads=0,
        decode_errors=0,
        duplicate_exits=0,
        carried=0,
        losses=tuple((stage, kind, 0) for stage, kind in stages),
        imbalance=0,
        held=0,
        held_capacity=1,
        late=0,
        forced=0,
        inversions_in=0,
        inversions_out=0,
        tree=states,
        tree_capacity=states,
        evictions=dict(tree.departed.evictions),
        text_bytes=0,
        text_bytes_max=1,
        forgotten=dict(tree.images.forgotten),
        misses=dict(tree.misses),
        entity="0123456789abcdef",
        units=(*(WorkOf(unit, 1, 0, 0, 0) for unit in units), WorkOf((OTHER, ""), 2, 0, 0, 0)),
        units_capacity=2,
        executables=(WorkOf((OTHER,), 0, 0, 0, 0),),
        executables_capacity=20,
        page_bytes=4096,
        programs=tuple(ProgramCost(tracepoint, 0, 0, 0) for tracepoint in TRACEPOINTS),
        wakeups=0,
        python_blocks=0,
        last_event_timestamp_seconds=0.0,
        rounds=0,
        round_duration=times,
        latency=times,
        transport="ringbuf",
        ring_used_bytes=0,
        ring_size_bytes=4096,
        lost_samples=0,
        reconciliations=0,
        canaries_passed=0,
        canaries_missed=0,
        canary_latency_seconds=0.0,
        sinks=(SinkCounts("stdout", 0, 0, 0, 0, 0, 0, 0, 0, 0, ""),),
        journal_suppressed=0,
        journal_limited=False,
        helper_failures=(("processes", 0), ("users", 3)),
        log_lines_dropped=0,
        undecided={"output.filter": 2},
        forks_unaccounted=0,
        own=OwnProcess(5, 4, 1.5, 0.25, 9, 1024, ((1, 0, 2), (0, 0, 0), (0, 0, 0))),
        beside=Beside(1, 0, 0, 0, 0),
    )
    return read_snapshot(unpack(pack(snapshot.plain())))


def _exposition(*, units: Sequence[tuple[str, str]] = ()) -> str:
    more = [HTTP_FAILURES.value(0)]
    return Exposition(_snapshot(units=units), more).render("text/plain")[1].decode()


def _series(text: str) -> set[str]:
    """Each series by name and labels, histograms and info by label names alone."""
    found = set()
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            if sample.name.startswith(FOREIGN):
                continue
            labels = sorted(sample.labels)
            if family.type == "histogram":
                found.add(f"{family.name}{{le}}")
            elif sample.name == "agentd_build_info":
                found.add(f"{sample.name}{{{','.join(labels)}}}")
            else:
                inside = ",".join(f"{name}={sample.labels[name]}" for name in labels)
                found.add(f"{sample.name}{{{inside}}}" if inside else sample.name)
    return found


def test_every_series_is_there_from_the_start() -> None:
    """The names and labels are the golden list, all of them before the first event."""
    assert _series(_exposition()) == set(GOLDEN.splitlines())


@pytest.mark.parametrize("names_processes", [True, False])
def test_exemplars_are_for_who_may_know_processes(*, names_processes: bool) -> None:
    """They name one; without them the text is the same."""
    example = Example(5, (7, 8), 9)
    times = Times((1_000_000_000,), (1,), 1, 5, {0: example})
    values = replace(_snapshot(), entity="0123456789abcdef", latency=times)
    exposition = Exposition(values, names_processes=names_processes)
    text = exposition.render("application/openmetrics-text")[1].decode()
    assert ("0123456789abcdef-7-8" in text) == names_processes
    assert 'agentd_event_latency_seconds_bucket{le="1.0"} 1.0' in text


def test_each_series_is_there_once() -> None:
    """However many units there are, and whatever they are called."""
    text = _exposition(units=[("a", "x"), ("a", "y")])
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert sorted(lines) == sorted(set(lines))
    execs = [line for line in text.splitlines() if line.startswith("agentd_exec_total")]
    assert execs == [
        'agentd_exec_total{slice="x",unit="a"} 1.0',
        'agentd_exec_total{slice="y",unit="a"} 1.0',
        'agentd_exec_total{slice="",unit="other"} 2.0',
    ]


def test_the_documented_metrics_are_the_exported_ones() -> None:
    """docs/metrics.md has a row for each metric, and for no other."""
    rows = [line.split("`")[1] for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted({series.split("{")[0] for series in GOLDEN.splitlines()})


def test_promtool_finds_nothing_to_say() -> None:
    """The exposition follows Prometheus's conventions."""
    promtool = need_program("promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=_exposition(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
