"""/proc shows what a process wants it to: no exec that never happened is reported as one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.cgroup import Cgroup
from tests.e2e.agent import Agent, running
from tests.programs import compile_c
from tests.requirements import need_program

FORGED = "/usr/bin/env"

FORGER = r"""
/* In a user namespace of its own it has /proc show FILE as what it runs: its own file is unmapped
 * first, by code that lies elsewhere. Writes its pid, and stays. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct task {
    struct prctl_mm_map map;
    uintptr_t from, bytes;
    char args[64];
    char name[16];
    struct timespec rest;
};

static inline __attribute__((always_inline)) long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    long result;

    __asm__ volatile("syscall" : "=a"(result)
             : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
            : "rcx", "r11", "memory");
    return result;
}

__attribute__((section(".moved"), noinline, used)) static void moved(struct task *task)
{
    long failed;

    call(SYS_munmap, task->from, task->bytes, 0, 0);
    failed = call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&task->map, sizeof(task->map));
    call(SYS_prctl, PR_SET_NAME, (long)task->name, 0, 0);
    if (!failed)
        call(SYS_nanosleep, (long)&task->rest, 0, 0, 0);
    call(SYS_exit_group, failed ? 3 : 0, 0, 0, 0);
}

extern char __executable_start[], _end[];

int main(int count, char **words)
{
    struct task *task = mmap(0, 1 << 16, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *code = mmap(0, 1 << 16, PROT_READ | PROT_WRITE | PROT_EXEC,
              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t page = 4096;

    if (count < 2 || unshare(CLONE_NEWUSER))
        return 2;
    memcpy(code, (void *)moved, 4096);
    memcpy(task->args, "env", 4);
    memcpy(task->name, "env", 4);
    task->rest.tv_sec = 600;
    task->from = (uintptr_t)__executable_start & ~(page - 1);
    task->bytes = (((uintptr_t)_end + page - 1) & ~(page - 1)) - task->from;
    task->map.start_code = page * 16;
    task->map.end_code = task->map.start_data = page * 32;
    task->map.end_data = page * 48;
    task->map.start_brk = task->map.brk = page * 64;
    task->map.start_stack = (uintptr_t)&task;
    task->map.arg_start = (uintptr_t)task->args;
    task->map.arg_end = task->map.arg_start + 4;
    task->map.env_start = task->map.env_end = task->map.arg_end;
    task->map.exe_fd = open(words[1], O_RDONLY);
    printf("%d\n", getpid());
    fflush(stdout);
    ((void (*)(struct task *))code)(task);
    return 4;
}
"""
FLAGS = ("-static", "-no-pie", "-fno-stack-protector", "-fcf-protection=none")


def _about(agent: Agent, pid: int) -> list[dict[str, Any]]:
    return [line for line in agent.lines() if line.get("process", {}).get("pid") == pid]


def test_a_forged_program_is_marked(cgroup: Cgroup, tmp_path: Path, attic: Path) -> None:
    """What the kernel had reported goes along with what /proc says after a loss, which is marked;
    so is every later line.
    """
    forger = compile_c(attic, "forger", FORGER, *FLAGS)
    setpriv = [need_program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
    small = ("--set", "transport.ring_bytes=4096")
    with running(tmp_path, cgroup.path, "--output", "json", *small) as agent:
        process = cgroup.popen([*setpriv, forger, FORGED], stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout:
            pid = int(process.stdout.readline())
        agent.wait_until(lambda: Path(f"/proc/{pid}/exe").readlink() == Path(FORGED))

        def inferred() -> bool:
            cgroup.run(["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do /bin/true & done; wait"])
            return any("inferred" in line["agentd"]["flags"] for line in _about(agent, pid))

        agent.wait_until(inferred)
        assert agent.lost_total() > 0
        process.terminate()
        process.wait()
        agent.stop()
        lines = _about(agent, pid)
    (reported,) = [line for line in lines if line["process"].get("executable") == forger][-1:]
    assert "source" not in reported["agentd"]
    (claimed,) = [line for line in lines if "inferred" in line["agentd"]["flags"]]
    assert claimed["process"]["executable"] == FORGED
    assert (claimed["agentd"]["source"], claimed["agentd"]["evidence"]) == ("proc", "file")
    assert claimed["agentd"]["before"]["executable"] == forger
    for line in lines[lines.index(claimed) :]:
        assert line["agentd"]["source"] == "proc", json.dumps(line)
