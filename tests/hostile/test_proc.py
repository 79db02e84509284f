"""Processes that make /proc slow or large for its readers, before a daemon starts and later."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, Agent, running
from tests.hostile.siege import NOBODY, PAUSE_SECONDS_MAX, besieged
from tests.hostile.stuck_files import StuckFiles, wait_until_it_runs
from tests.programs import compile_c

RSS_BYTES_MAX = 120 << 20
FOREVER = "1000"
_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

HOLDS_ITS_MMAP_LOCK = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int cached = open(argv[1], O_RDWR);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0);
	*page = 'x';
	int direct = open(argv[1], O_RDWR);
	puts("holds");
	fflush(stdout);
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, direct, 0); /* writes the page back first */
	return argc;
}
"""

HAS_GIBIBYTES_OF_ARGUMENTS = r"""
#define _GNU_SOURCE
#include <linux/prctl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void)
{
	const unsigned long size = 4UL << 30;
	char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned long begin = (unsigned long)text, brk = (unsigned long)sbrk(0);
	struct prctl_mm_map map = {
		.start_code = 0x10000, .end_code = 0x20000, .start_data = 0x20000,
		.end_data = 0x30000, .start_brk = brk, .brk = brk,
		.start_stack = (unsigned long)&map, .arg_start = begin, .arg_end = begin + size,
		.env_start = begin + size, .env_end = begin + size, .exe_fd = -1,
	};
	if (text == MAP_FAILED || prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0))
		return 1;
	puts("has");
	fflush(stdout);
	pause();
}
"""


@contextlib.contextmanager
def _living(cgroup: Cgroup, stuck: StuckFiles, *commands: list[str]) -> Iterator[set[int]]:
    """Processes of nobody in the cgroup, each with what it was to do done; their pids."""
    with contextlib.ExitStack() as stack:
        pids = set()
        for command in commands:
            process = cgroup.popen([*_AS_NOBODY, *command], stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            if command[-1] == FOREVER:
                wait_until_it_runs(process.pid, command[0])
            else:
                assert process.stdout.readline()
            pids.add(process.pid)
        stack.callback(stuck.close)  # else not all of them could end
        stuck.freeze()
        yield pids


def _live(agent: Agent) -> set[int]:
    command = [AGENTD, "ps", "--json", "--socket", agent.socket]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {json.loads(line)["pid"] for line in done.stdout.splitlines()}


def _failures(agent: Agent) -> int:
    metrics = agent.metrics()
    return int(metrics["agentd_helper_failures_total", (("helper", "processes"),)])


def test_they_keep_it_from_nothing(
    cgroup: Cgroup, loadgen: Path, tmp_path: Path, attic: Path, stuck: StuckFiles
) -> None:
    """One holds its mmap lock, others run a file that nobody can look at, one has 4 GiB of
    arguments: the daemon starts, knows that they live, and reports everything in time."""
    holder = compile_c(attic, "holder", HOLDS_ITS_MMAP_LOCK)
    large = compile_c(attic, "large", HAS_GIBIBYTES_OF_ARGUMENTS)
    sleeper = [stuck.program, FOREVER]
    commands = (sleeper, [holder, stuck.lock], sleeper, [large])
    with _living(cgroup, stuck, *commands) as pids:
        with besieged(tmp_path, cgroup, loadgen) as siege:
            assert pids <= _live(siege.agent)
            assert _failures(siege.agent) == 0
            outcome = siege.finish()
        assert "/proc could not be read" not in siege.agent.log()
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX
    assert outcome.peak_rss_bytes < RSS_BYTES_MAX


def test_they_hide_nobody(cgroup: Cgroup, tmp_path: Path, attic: Path, stuck: StuckFiles) -> None:
    """After a loss others are found all the same, and they themselves are not taken for gone."""
    holder = compile_c(attic, "holder", HOLDS_ITS_MMAP_LOCK)
    options = ("--output", "json", "--set", "transport.ring_bytes=4096")
    commands = ([stuck.program, FOREVER], [holder, stuck.lock])
    with (
        _living(cgroup, stuck, *commands) as pids,
        running(tmp_path, cgroup.path, *options) as agent,
    ):
        agent.process.send_signal(signal.SIGSTOP)
        sleeper = f"(exec sleep {FOREVER}) >/dev/null 2>&1 &"
        cgroup.run(["/bin/bash", "-c", f"for i in {{1..300}}; do (:); done; {sleeper}"])
        (hidden,) = set(cgroup.processes()) - pids
        agent.process.send_signal(signal.SIGCONT)
        agent.wait_until(lambda: hidden in agent.pids("fork"))
        agent.wait_until(lambda: hidden in _live(agent))
        assert pids <= _live(agent)
        assert agent.pids("exit").isdisjoint(pids)
        assert agent.stop() == 0


def test_many_of_them(cgroup: Cgroup, loadgen: Path, tmp_path: Path, stuck: StuckFiles) -> None:
    """After eight no file of anybody is looked at any more, which the log says; all are known to
    live, and no more helpers are left behind than these."""
    commands = [[stuck.program, FOREVER]] * 12
    with (
        _living(cgroup, stuck, *commands) as pids,
        besieged(tmp_path, cgroup, loadgen) as siege,
    ):
        assert pids <= _live(siege.agent)
        assert "too many processes keep their readers waiting" in siege.agent.log()
        assert len(_helpers_of(siege.agent)) <= 1 + 8
        outcome = siege.finish()
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX


def _helpers_of(agent: Agent) -> list[int]:
    """The coordinator and its workers, those that cannot end too."""
    (child,) = [
        child
        for child in _children(agent.process.pid)
        if b"agentd.helpers" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return [child, *_children(child)]


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
