"""A restart loses nothing: planned, killed, again and again, in the middle of a storm."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentd.runtime import checksummed
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, free_port, whole_lines
from tests.e2e.manager import Manager, managing
from tests.kernel.loadgen import built_loadgen, loadgen_command

Line = dict[str, Any]


def _options(cgroup: Cgroup, *settings: str) -> list[str]:
    each = (f"filter.cgroup={cgroup.path}", "metrics.listen=", "control.socket=", *settings)
    return ["--output", "json", *(word for setting in each for word in ("--set", setting))]


def _told(lines: list[Line]) -> dict[tuple[int, int], str]:
    """What each attempt of each CPU became, told once or more often, but always the same."""
    found: dict[tuple[int, int], tuple[str, int | None]] = {}
    for line in lines:
        about = line.get("process", {}).get("pid")
        for action, inside in _members(line):
            for seq in range(inside["seq"], inside["seq"] + inside.get("lost", {}).get("count", 1)):
                told = action, about
                before = found.setdefault((inside["cpu"], seq), told)
                assert before == told or "lost" in (before[0], told[0])
                found[inside["cpu"], seq] = told
    return {number: action for number, (action, _about) in found.items()}


def _members(line: Line) -> list[tuple[str, Line]]:
    """The attempts that a line reports: none if it was inferred, several if it is aggregated."""
    inside = line["agentd"]
    if "merged" in inside:
        return [(member["action"], member) for member in inside["merged"]]
    return [(line["event"]["action"], inside)] if "cpu" in inside else []


def _once(lines: list[Line]) -> list[Line]:
    """One line of each id, as docs/events.md says; those of one id report the same attempts."""
    found: dict[str, Line] = {}
    for line in lines:
        kept = found.setdefault(line["event"]["id"], line)
        assert _reported(kept) == _reported(line)
    return list(found.values())


def _reported(line: Line) -> Any:
    """What a line reports, without what only says when it was written, and since when."""
    attempts = [(action, inside["cpu"], inside["seq"]) for action, inside in _members(line)]
    return attempts, line.get("process", {}).get("entity_id"), line["agentd"]["boottime_ns"]


def _storm(cgroup: Cgroup, seconds: float) -> subprocess.Popen[str]:
    load = ("--rate", "600", "--seconds", str(seconds))
    command = loadgen_command(built_loadgen(), cgroup.folder, *load)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _truth(storm: subprocess.Popen[str]) -> Counter[str]:
    """What the generator says that it did."""
    report = json.loads(storm.communicate(timeout=ENOUGH_SECONDS)[0])
    forks = report["forks"] + report["worker_forks"]
    exits = report["exits"] + report["worker_forks"] + 1
    return Counter(fork=forks, exec=report["execs"], exit=exits)


def _settle(manager: Manager) -> None:
    """Until nothing new is written."""
    size = -1
    while (now := manager.outputs[-1].stat().st_size) != size:
        size = now
        time.sleep(0.5)


def _stopped(manager: Manager) -> list[Line]:
    """All that was written, when what runs has been asked to stop."""
    _settle(manager)
    assert manager.end(signal.SIGTERM) == 0
    return manager.lines()


def _assert_whole(told: dict[tuple[int, int], str]) -> None:
    """Each CPU's numbers are told without a gap, from where all of them begin."""
    numbers = defaultdict(set)
    for cpu, seq in told:
        numbers[cpu].add(seq)
    first = min(min(found) for found in numbers.values())
    for found in numbers.values():
        assert found == set(range(first, max(found) + 1))


def _end(manager: Manager, how: signal.Signals) -> None:
    """End a process. SIGABRT is the watchdog's, of one that has stopped: so systemd does it."""
    assert manager.process is not None
    if how == signal.SIGABRT:
        manager.process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        manager.process.send_signal(signal.SIGABRT)
        assert manager.end(signal.SIGCONT) == -signal.SIGABRT
    else:
        manager.end(how)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_ten_restarts_in_a_storm(cgroup: Cgroup, tmp_path: Path, how: signal.Signals) -> None:
    """The union of what ten processes wrote, one after another, holds every event."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start()
        storm = _storm(cgroup, 12.0)
        for _ in range(10):
            time.sleep(0.3)
            _end(manager, how)
            manager.start()
        truth = _truth(storm)
        lines = _stopped(manager)
    told = _told(_once(lines))
    assert Counter(told.values()) == truth
    _assert_whole(told)
    assert len(told) == len(_once(lines))
    assert '"imbalance": 0' in manager.log()
    if how == signal.SIGTERM:
        assert len(told) == len(lines)


def test_ten_kills_with_aggregated_lines(cgroup: Cgroup, tmp_path: Path) -> None:
    """Lines of one id are the same; the events in them, counted once, are all that happened."""
    with managing(tmp_path, *_options(cgroup, "output.aggregate=true")) as manager:
        manager.start()
        storm = _storm(cgroup, 12.0)
        for _ in range(10):
            time.sleep(0.3)
            manager.end(signal.SIGKILL)
            manager.start()
        truth = _truth(storm)
        lines = _stopped(manager)
    told = _told(_once(lines))
    assert Counter(told.values()) == truth
    _assert_whole(told)
    assert any("merged" in line["agentd"] for line in lines)


def test_ids_of_losses_and_what_they_hid(cgroup: Cgroup, tmp_path: Path) -> None:
    """With losses and inferred events, kills or not, no two lines with one id differ."""
    with managing(tmp_path, *_options(cgroup, "transport.ring_bytes=4096")) as manager:
        manager.start()
        for _ in range(4):
            cgroup.run(["/bin/bash", "-c", "for i in $(seq 200); do sleep 3 & done"])
            time.sleep(1.2)
            manager.end(signal.SIGKILL)
            manager.start()
        lines = _stopped(manager)
    kinds = Counter(
        "inferred" if "inferred" in line["agentd"]["flags"] else line["event"]["action"]
        for line in lines
    )
    assert kinds["lost"] > 0
    assert kinds["inferred"] > 0
    per_run = [[line["event"]["id"] for line in whole_lines(out)] for out in manager.outputs]
    assert all(len(set(ids)) == len(ids) for ids in per_run)
    _once(lines)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight pages."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_half_a_line_on_a_full_disk(
    cgroup: Cgroup, tmp_path: Path, small_disk: Path, how: signal.Signals
) -> None:
    """A successor that appends to the same file ends the line that was begun, and has all else."""
    output = small_disk / "events.json"
    output.write_text("#" * 100 + "\n")
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.appends_to = output
        manager.start()
        with contextlib.suppress(OSError), (small_disk / "other").open("wb", buffering=0) as other:
            while True:
                other.write(bytes(4096))
        for number in range(8):
            cgroup.run(["/bin/true", str(number), "x" * 600])
        _settle(manager)
        manager.end(how)
        assert not output.read_bytes().endswith(b"\n")  # or this test shows nothing
        (small_disk / "other").unlink()
        manager.start()
        cgroup.run(["/bin/true", "last"])
        _settle(manager)
        manager.end(signal.SIGTERM)
    lines, broken = [], 0
    for text in output.read_bytes().splitlines()[1:]:
        try:
            lines.append(json.loads(text))
        except ValueError:
            broken += 1
    assert broken == 1
    told = _told(_once(lines))
    assert Counter(told.values())["exec"] == 8 + 1
    if how == signal.SIGKILL:
        _assert_whole(told)


def _damage(manager: Manager, name: str, how: bytes) -> None:
    """Write over what is kept under a name."""
    (fd,) = (fd for kept, fd in manager.kept.items() if kept.partition("@")[0] == name)
    os.pwrite(fd, how * (os.fstat(fd).st_size // len(how) + 1), 0)


@pytest.mark.parametrize("how", [b"\0", b"\xff", b"garbage"])
@pytest.mark.parametrize("other_programs", [False, True])
def test_a_damaged_checkpoint(
    cgroup: Cgroup, tmp_path: Path, how: bytes, other_programs: bool
) -> None:
    """agentd goes on with what the buffer holds, says so, and misses nothing of it."""
    sizes = _sizes(cgroup)
    with managing(tmp_path, *sizes[0]) as manager:
        manager.start()
        cgroup.run(["/bin/true", "before"])
        _settle(manager)
        manager.end(signal.SIGKILL)
        cgroup.run(["/bin/true", "between"])
        _damage(manager, "progress", how)
        manager.options = sizes[other_programs]
        manager.start()
        said = manager.log()
        cgroup.run(["/bin/true", "after"])
        _settle(manager)
        manager.end(signal.SIGKILL)
        manager.start()
        lines = _once(_stopped(manager))
        assert '"imbalance": 0' in manager.log()
    assert '"checkpoint_damaged": true' in said or '"checkpoint damaged"' in said
    runs = [line["process"]["args"][1] for line in lines if line["event"]["action"] == "exec"]
    assert runs == ["before", "between", "after"]
    assert Counter(line["event"]["action"] for line in lines) == {"exec": 3, "exit": 3}


def test_damaged_words_about_programs(cgroup: Cgroup, tmp_path: Path) -> None:
    """What cannot be understood is not used: new programs are loaded, and agentd says so."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start()
        manager.end(signal.SIGKILL)
        _damage(manager, "about", b"x")
        manager.start()
        assert "cannot be used" in manager.log()
        cgroup.run(["/bin/true"])
        lines = _stopped(manager)
    assert Counter(line["event"]["action"] for line in lines) == {"exec": 1, "exit": 1}


def _account(port: int) -> tuple[float, float]:
    """Attempts, and what docs/metrics.md says that they are made of, as they are scraped."""
    sums: Counter[str] = Counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        for family in text_string_to_metric_families(answer.read().decode()):  # type: ignore[no-untyped-call]
            for sample in family.samples:
                if sample.labels.get("stage", "") not in ("skipped", "restart"):
                    sums[sample.name] += sample.value
    parts = ("events_total", "duplicate_exits_total", "lost_events_total")
    made_of = sum(sums[f"agentd_{part}"] for part in parts)
    return sums["agentd_kernel_attempts_total"], made_of + sums["agentd_accounting_carried_events"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("other_programs", [False, True])
def test_metrics_add_up_after_restarts(
    cgroup: Cgroup, tmp_path: Path, how: signal.Signals, other_programs: bool
) -> None:
    """The account of docs/metrics.md holds over restarts and changes of programs."""
    port = free_port()
    with managing(tmp_path, *_options(cgroup, f"metrics.listen=127.0.0.1:{port}")) as manager:
        manager.start()
        for turn in range(3):
            cgroup.run(["/bin/sh", "-c", "for i in $(seq 200); do /bin/true; done"])
            manager.end(how)
            if other_programs:
                size = f"transport.ring_bytes={1 << (20 + turn)}"
                manager.options = _options(cgroup, f"metrics.listen=127.0.0.1:{port}", size)
            manager.start()
            deadline = time.monotonic() + ENOUGH_SECONDS
            while (account := _account(port))[0] != account[1]:
                assert time.monotonic() < deadline, account
                time.sleep(0.1)
        assert account[0] > 0 or other_programs
        manager.end(signal.SIGTERM)


def test_perf_buffers_say_what_they_lost(cgroup: Cgroup, tmp_path: Path) -> None:
    """What nobody had read goes with the process that read it, and is told, to the event."""
    with managing(tmp_path, *_options(cgroup, "transport.kind=perfbuf")) as manager:
        manager.start()
        storm = _storm(cgroup, 6.0)
        for _ in range(4):
            time.sleep(0.5)
            manager.end(signal.SIGKILL)
            manager.start()
        truth = _truth(storm)
        lines = _stopped(manager)
    told = _told(lines)
    became = Counter(told.values())
    assert became["lost"] > 0
    assert became.total() == truth.total()
    _assert_whole(told)
    stages = {line["agentd"]["lost"]["stage"] for line in lines if "lost" in line["agentd"]}
    assert stages <= {"restart", "lost_samples", "output", "mixed"}
    assert "restart" in stages


@contextlib.contextmanager
def _stuck_reader(output: Path) -> Iterator[None]:
    """What is written there waits in a pipe; in the end it is what the pipe took."""
    os.mkfifo(output)
    reading = os.open(output, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 4096)
    yield
    os.set_blocking(reading, True)  # until nobody has it open any more
    got = b"".join(iter(lambda: os.read(reading, 1 << 16), b""))
    output.unlink()
    output.write_bytes(got)
    os.close(reading)


def _lost_in_sinks(lines: list[Line]) -> int:
    losses = [line["agentd"]["lost"] for line in lines if "lost" in line["agentd"]]
    return sum(loss["count"] for loss in losses if loss["stage"] == "sink")


def test_a_kill_while_the_reader_is_stuck(cgroup: Cgroup, tmp_path: Path) -> None:
    """What a slow reader missed is told by the next process, when this one cannot any more."""
    with managing(tmp_path, *_options(cgroup, "transport.ring_bytes=65536")) as manager:
        with _stuck_reader(tmp_path / "run-0.out"):
            manager.start()
            truth = _truth(_storm(cgroup, 4.0))
            manager.end(signal.SIGKILL)
        manager.start()
        lines = _stopped(manager)
    told = _told(lines)
    assert len(told) == truth.total()
    _assert_whole(told)
    assert _lost_in_sinks(lines) > 0
    assert '"imbalance": 0' in manager.log()


@contextlib.contextmanager
def _slow_to_answer(path: Path, seconds: float) -> Iterator[None]:
    """A scan socket at which nobody has an answer, after a while."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    asking = door.accept()[0]
                    time.sleep(seconds)
                    asking.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        yield
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_first_start_while_the_reader_is_stuck(cgroup: Cgroup, tmp_path: Path) -> None:
    """What was taken before there was a tree, and no reader took, is told by the next process."""
    path = tmp_path / "scan.sock"
    with _slow_to_answer(path, 0.5), managing(tmp_path) as manager:
        manager.options = _options(cgroup, f"scan.socket={path}")
        storm = _storm(cgroup, 10 * ENOUGH_SECONDS)
        with _stuck_reader(tmp_path / "run-0.out"):
            manager.start()
            manager.end(signal.SIGKILL)
        manager.start()
        storm.terminate()
        storm.communicate(timeout=ENOUGH_SECONDS)
        lines = _stopped(manager)
    _assert_whole(_told(lines))
    assert _lost_in_sinks(lines) > 0
    assert '"imbalance": 0' in manager.log()


def test_a_change_while_the_reader_is_stuck(cgroup: Cgroup, tmp_path: Path) -> None:
    """What other programs left, and no reader took, is told by the next process."""
    sizes = _sizes(cgroup)
    with managing(tmp_path, *sizes[0]) as manager:
        manager.start()
        manager.end(signal.SIGKILL)
        truth = _truth(_storm(cgroup, 1.0))
        manager.options = sizes[1]
        with _stuck_reader(tmp_path / "run-1.out"):
            manager.start()
            first = manager.first_seq()
            cgroup.run(["/bin/true"])
            manager.end(signal.SIGKILL)
        manager.start()
        lines = _stopped(manager)
    told = _told(lines)
    assert len(told) == truth.total() + 2
    assert sum(seq >= first for _cpu, seq in told) == 2
    assert _lost_in_sinks(lines) > truth.total() / 2


def _sizes(cgroup: Cgroup) -> list[list[str]]:
    """Options of two kinds of programs, with room for what comes while a busy host restarts one."""
    return [_options(cgroup, f"transport.ring_bytes={bytes_}") for bytes_ in (1 << 25, 1 << 24)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_changes_of_programs_in_a_storm(
    cgroup: Cgroup, tmp_path: Path, how: signal.Signals
) -> None:
    """Ten upgrades: programs that take over from others while both run tell each event once."""
    sizes = _sizes(cgroup)
    with managing(tmp_path, *sizes[0]) as manager:
        manager.start()
        storm = _storm(cgroup, 10 * ENOUGH_SECONDS)
        firsts = [manager.first_seq()]
        for turn in range(1, 11):
            time.sleep(0.3)
            _end(manager, how)
            manager.options = sizes[turn % 2]
            manager.start()
            firsts.append(manager.first_seq())
        time.sleep(0.5)
        storm.terminate()
        truth = _truth(storm)
        lines = _stopped(manager)
        names = {name.partition("@")[2] for name in manager.kept} - {""}
    told = _told(lines)
    assert Counter(told.values()) == truth
    assert firsts == sorted(set(firsts))
    assert {bisect(firsts, seq) for _cpu, seq in told} == set(range(1, 12))
    assert names == {str(firsts[-1])}
    assert '"took over"' in manager.log()
    assert '"imbalance": 0' in manager.log()
    if how == signal.SIGTERM:
        assert len(told) == len(lines)


def test_a_kill_while_programs_change(cgroup: Cgroup, tmp_path: Path) -> None:
    """Whoever is killed before it has taken over leaves that to the next."""
    sizes = _sizes(cgroup)
    with managing(tmp_path, *sizes[0]) as manager:
        manager.start()
        storm = _storm(cgroup, 8.0)
        for turn in range(1, 9):
            manager.options = sizes[turn % 2]
            manager.end(signal.SIGKILL)
            manager.launch()
            time.sleep(0.1 * turn)
        manager.end(signal.SIGKILL)
        manager.start()
        truth = _truth(storm)
        told = _told(_stopped(manager))
    assert Counter(told.values()) == truth


def test_other_records_are_lost_and_told(cgroup: Cgroup, tmp_path: Path) -> None:
    """What programs of another format left unread is counted, and told as lost."""
    with managing(tmp_path, *_sizes(cgroup)[0]) as manager:
        manager.start()
        cgroup.run(["/bin/true"])
        _settle(manager)
        manager.end(signal.SIGKILL)
        for _ in range(3):
            cgroup.run(["/bin/true"])
        about = next(fd for name, fd in manager.kept.items() if name.startswith("about"))
        _pretend_another_version(about)
        manager.start()
        cgroup.run(["/bin/true", "after"])
        lines = _stopped(manager)
    lost = [line["agentd"]["lost"] for line in lines if "lost" in line["agentd"]]
    assert {loss["stage"] for loss in lost} == {"restart"}
    assert sum(loss["count"] for loss in lost) == 6
    assert [line["event"]["action"] for line in lines[-2:]] == ["exec", "exit"]


def _pretend_another_version(about_fd: int) -> None:
    with checksummed.read(os.dup(about_fd)) as file:
        about = json.loads(file.read())
    about |= {"fingerprint": "another", "wire": about["wire"] + "/* another version */\n"}
    another = checksummed.write("agentd-about", [json.dumps(about).encode()])
    os.dup2(another, about_fd)
    os.close(another)


def test_a_planned_restart_forgets_nobody(cgroup: Cgroup, tmp_path: Path) -> None:
    """Who exited before it can be asked for after it, and a child knows who made it."""
    options = _options(cgroup, f"control.socket={tmp_path}/agentd.sock")
    with managing(tmp_path, *options) as manager:
        manager.start()
        script = "sh -c '(exec sleep 1000) >/dev/null 2>&1 & exit 7' maker; :"
        cgroup.run(["/bin/sh", "-c", script])
        (orphan,) = cgroup.processes()
        _settle(manager)
        manager.end(signal.SIGTERM)
        manager.start()
        assert "past" not in manager.kept
        asking = [AGENTD, "explain", "--socket", f"{tmp_path}/agentd.sock", "--json", str(orphan)]
        answer = json.loads(subprocess.run(asking, capture_output=True, check=True).stdout)
        assert answer["process"]["start_exact"] is True
        maker = answer["ancestors"][0]
        assert (maker["relation"], maker["exit_code"]) == ("creator", 7)
        assert maker["args"][-1] == "maker"
        manager.end(signal.SIGTERM)


def test_a_number_is_used_once_in_a_boot(cgroup: Cgroup, tmp_path: Path) -> None:
    """Though nothing was kept of the programs that used it."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        for _ in range(3):
            manager.start()
            cgroup.run(["/bin/true"])
            lines = _stopped(manager)
            while manager.kept:
                os.close(manager.kept.popitem()[1])
    assert Counter(_told(lines).values()) == Counter(exec=3, exit=3)


def test_damaged_keepings(cgroup: Cgroup, tmp_path: Path) -> None:
    """Where not all is there, agentd begins anew."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start()
        manager.end(signal.SIGKILL)
        link = f"link-1@{manager.first_seq()}"
        del manager.kept[link]
        manager.start()
        assert link not in manager.kept
        assert f"link-1@{manager.first_seq()}" in manager.kept
        manager.end(signal.SIGTERM)


def _foreign(sort: str) -> int:
    """A descriptor that is nothing of agentd's."""
    if sort == "pipe":
        ours, theirs = os.pipe()
        os.close(theirs)
        return ours
    if sort == "folder":
        return os.open("/", os.O_RDONLY)
    fd = os.memfd_create("foreign")
    os.write(fd, bytes(range(256)) * 4096)
    return fd


@pytest.mark.parametrize(
    ("name", "sort"),
    [
        ("about", "pipe"), ("progress", "memory"), ("progress", "pipe"), ("events", "memory"),
        ("counters", "memory"), ("cgroups", "folder"), ("link-0", "pipe"), ("program-0", "memory"),
    ],
)  # fmt: skip
def test_a_foreign_descriptor_in_a_place(
    cgroup: Cgroup, tmp_path: Path, name: str, sort: str
) -> None:
    """agentd refuses the whole set, says why, has it removed, and begins anew.

    A ledger that is other memory is a damaged one; then the programs are gone on with.
    """
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start()
        manager.end(signal.SIGKILL)
        first = manager.first_seq()
        os.dup2(_foreign(sort), manager.kept[f"{name}@{first}"])
        manager.start()
        said, is_ledger = manager.log(), (name, sort) == ("progress", "memory")
        assert "checkpoint damaged" in said if is_ledger else "cannot be used: " in said
        assert (first == manager.first_seq()) is is_ledger
        assert {kept for kept in manager.kept if kept.endswith(f"@{first}")} == (
            set(manager.kept) if is_ledger else set()
        )
        cgroup.run(["/bin/true"])
        lines = _stopped(manager)
    assert "Traceback" not in said
    assert Counter(line["event"]["action"] for line in lines) == {"exec": 1, "exit": 1}


@pytest.mark.parametrize(
    "pair", [("counters", "cgroups"), ("events", "progress"), ("link-0", "link-1")]
)
def test_descriptors_under_each_others_names(
    cgroup: Cgroup, tmp_path: Path, pair: tuple[str, str]
) -> None:
    """They are none that belong there: nothing is read or cleared through them."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start()
        manager.end(signal.SIGKILL)
        first = manager.first_seq()
        one, other = (f"{name}@{first}" for name in pair)
        manager.kept[one], manager.kept[other] = manager.kept[other], manager.kept[one]
        manager.start()
        assert "cannot be used: " in manager.log()
        assert manager.first_seq() != first
        cgroup.run(["/bin/true"])
        lines = _stopped(manager)
    assert Counter(line["event"]["action"] for line in lines) == {"exec": 1, "exit": 1}


@pytest.mark.parametrize("sort", ["pipe", "changed"])
def test_a_foreign_past(cgroup: Cgroup, tmp_path: Path, sort: str) -> None:
    """The next process begins without it, says why, and has it removed; the stream goes on."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start()
        cgroup.run(["/bin/true", "before"])
        _settle(manager)
        manager.end(signal.SIGTERM)
        if sort == "changed":
            middle = os.fstat(manager.kept["past"]).st_size // 2
            (byte,) = os.pread(manager.kept["past"], 1, middle)
            os.pwrite(manager.kept["past"], bytes((byte ^ 1,)), middle)
        else:
            os.dup2(_foreign(sort), manager.kept["past"])
        cgroup.run(["/bin/true", "between"])
        manager.start()
        assert "cannot be used: the state of its end" in manager.log()
        assert "past" not in manager.kept
        lines = _once(_stopped(manager))
        assert '"imbalance": 0' in manager.log()
    runs = [line["process"]["args"][1] for line in lines if line["event"]["action"] == "exec"]
    assert runs == ["before", "between"]
