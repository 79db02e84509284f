"""Arguments and paths as large as they get: memory is bounded in bytes, whoever chooses them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from agentd.paths import bpf_dir
from tests.cgroup import Cgroup
from tests.hostile.siege import besieged
from tests.programs import compile_c
from tests.requirements import need_program

UNIT = bpf_dir().parent / "systemd/agentd.service"

CROWD = """
from agentd.core.tree.tree import Tree
from agentd.config.load import Config
from agentd.config.limits import limits_of
from tests.records import execed, exited

TICK_NS = 10_000_000
limits = limits_of(Config()).tree
tree = Tree(limits, TICK_NS)

def run(tgid, number, what):
    args = b"x\\0" + b"%d.%d" % (tgid, number) * 1700
    path = b"/" + b"%d/%d/" % (tgid, number) * 200
    began_ns = tgid * TICK_NS
    key = {"tgid": tgid, "start_boottime_ns": began_ns, "boottime_ns": began_ns + number}
    tree.apply(execed(path, args[:16383] + b"\\0", **key) if what else exited(**key))
    if not (tgid + number) % 100:
        tree.expire(0)  # a batch has ended

for tgid in range(1, limits.live_capacity + 1):  # all live at once, with all they can have
    run(tgid, 0, True)
    assert tree.images.used_bytes <= limits.text_bytes
for tgid in range(1, 301):  # 33 images of each, exited ones too
    for number in range(1, 34):
        run(tgid, number, True)
    if tgid % 2:
        run(tgid, 34, False)
assert tree.images.used_bytes <= limits.text_bytes
assert len(tree.living) + tree.departed.recent == limits.live_capacity
with open('/proc/self/status') as status:  # ru_maxrss has what this process was forked from, too
    print(*(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM')))
"""

PAST = r"""
/* Runs itself again and again, each time with 16 KiB of other arguments; many such at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words)
{
	static char junk[16000];
	char left[16];

	if (count == 3) {
		int each, many = atoi(words[1]);

		for (each = 0; each < many; each++)
			if (!fork()) {
				snprintf(left, sizeof(left), "%d", each);
				execl("/proc/self/exe", words[0], words[2], left, "", NULL);
				_exit(9);
			}
		while (wait(NULL) > 0)
			;
		return 0;
	}
	if (!atoi(words[1]))
		return 0;
	memset(junk, 'a' + atoi(words[1]) % 26, sizeof(junk) - 1);
	snprintf(left, sizeof(left), "%d", atoi(words[1]) - 1);
	memcpy(junk, words[2], strlen(words[2]));
	execl("/proc/self/exe", words[0], left, words[2], junk, NULL);
	return 9;
}
"""


def _memory_high_bytes() -> int:
    found = re.search(r"^MemoryHigh=(\d+)M$", UNIT.read_text(), re.M)
    assert found is not None
    return int(found[1]) << 20


def test_a_host_full_of_processes_with_the_largest_arguments() -> None:
    """131,072 that live, many with 33 images, and exited ones: below the unit's MemoryHigh."""
    command = [sys.executable, "-c", CROWD]
    done = subprocess.run(command, check=True, text=True, capture_output=True, cwd=UNIT.parents[1])
    assert int(done.stdout) < _memory_high_bytes()


def test_a_storm_of_the_largest_arguments(
    cgroup: Cgroup, loadgen: Path, tmp_path: Path, attic: Path
) -> None:
    """300 processes exec themselves 40 times with 16 KiB of new arguments, as any user may."""
    past = compile_c(attic, "past", PAST)
    setpriv = [need_program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    few = ("--set", "tree.text_bytes=2097152")
    with besieged(tmp_path, cgroup, loadgen, *few, per_second=20) as siege:
        cgroup.run([*setpriv, past, "300", "40"])
        forgotten = "agentd_tree_text_forgotten_total", (("detail", "earlier_images"),)
        siege.agent.wait_until(lambda: siege.agent.metrics()[forgotten] > 0)
        metrics = siege.agent.metrics()
        limit_bytes = metrics["agentd_tree_text_limit_bytes", ()]
        assert metrics["agentd_tree_text_used_bytes", ()] <= limit_bytes
        outcome = siege.finish()
    assert outcome.exit_code == 0
    assert outcome.peak_rss_bytes < _memory_high_bytes()
