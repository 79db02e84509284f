"""The C programs of the kernel tests: what no shell does to processes."""

from __future__ import annotations

LEADER_LEAVES = r"""
/* The leader's thread ends with status 3, the last with 9; which counts is the kernel's choice. */
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *other(void *unused)
{
	usleep(50000);
	syscall(SYS_exit, 9);
	return unused;
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	syscall(SYS_exit, 3);
}
"""

LEADER_LEAVES_THEN_EXIT = r"""
/* The leader's thread ends, another ends the process with status 5. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *other(void *unused)
{
	usleep(50000);
	exit(5);
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	pthread_exit(NULL);
}
"""

ALL_THREADS_LEAVE = r"""
/* argv[1] times: a child whose four threads all end at one moment, none of them for all. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_barrier_t together;
static void *leave(void *unused)
{
	pthread_barrier_wait(&together);
	pthread_exit(unused);
}
int main(int argc, char **argv)
{
	for (int i = atoi(argv[1]); i > 0; i--) {
		pid_t pid = fork();
		if (!pid) {
			pthread_t thread;
			pthread_barrier_init(&together, NULL, 4);
			for (int n = 0; n < 3; n++)
				pthread_create(&thread, NULL, leave, NULL);
			leave(NULL);
		}
		waitpid(pid, NULL, 0);
	}
}
"""

EXEC_FROM_THREAD = r"""
/* A thread that is not the leader execs. */
#include <pthread.h>
#include <unistd.h>
static void *other(void *unused)
{
	execl("/bin/true", "true", "from-thread", NULL);
	return NULL;
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	pause();
}
"""

EMPTY_ARGV = r"""
#include <unistd.h>
int main(void)
{
	char *const none[] = { NULL };
	execve("/bin/true", none, none);
	return 1;
}
"""

EXEC_AT = r"""
/* execveat(2) of argv[2] in the folder argv[1]; the error number if that fails. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char *const args[] = { "short", NULL };
	execveat(open(argv[1], O_PATH | O_DIRECTORY), argv[2], args, environ, 0);
	return errno;
}
"""

CLONE3 = r"""
/*
 * clone3(2) a child that exits at once. Options: -c FOLDER into that cgroup, -p as a child of
 * our own parent, -t PID with that pid (which must have become free). Writes the child's pid.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct clone_args how = { .exit_signal = SIGCHLD };
	pid_t wanted, pid;
	int option;
	while ((option = getopt(argc, argv, "c:pt:")) != -1) {
		if (option == 'c') {
			how.flags |= CLONE_INTO_CGROUP;
			how.cgroup = open(optarg, O_PATH | O_DIRECTORY);
		} else if (option == 'p') {
			how.flags |= CLONE_PARENT;
			how.exit_signal = 0;
		} else if (option == 't') {
			wanted = atoi(optarg);
			how.set_tid = (uintptr_t)&wanted;
			how.set_tid_size = 1;
		}
	}
	pid = syscall(SYS_clone3, &how, sizeof(how));
	if (!pid)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		return errno;
	printf("%d\n", pid);
	waitpid(pid, NULL, 0);
	return 0;
}
"""

BURN_CPU = r"""
/* Uses argv[1] ms of CPU time and argv[2] MiB of memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
int main(int argc, char **argv)
{
	size_t bytes = (size_t)atoi(argv[2]) << 20;
	volatile char *memory = malloc(bytes);
	memset((char *)memory, 1, bytes);
	while (clock() < atoi(argv[1]) * (CLOCKS_PER_SEC / 1000))
		memory[0]++;
	free((char *)memory);
	return 0;
}
"""

DO_NOTHING = r"""
int main(void)
{
	return 0;
}
"""

SHARES_MEMORY = r"""
/* clone(2) a process that shares our memory and nothing else. Writes its pid. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
static char stack[65536] __attribute__((aligned(16)));
static int child(void *unused)
{
	return 0;
}
int main(void)
{
	pid_t pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	waitpid(pid, NULL, 0);
	printf("%d\n", pid);
	return 0;
}
"""

FAR_SUBREAPER = r"""
/*
 * A subreaper argv[1] processes above one that exits and leaves a child. All others hold until
 * their input ends.
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
static void hold(void)
{
	char end;
	_exit(read(0, &end, 1) < 0);
}
int main(int argc, char **argv)
{
	pid_t pid;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int above = atoi(argv[1]); above > 1; above--)
		if (fork())
			hold();
	pid = fork();
	if (pid) {
		waitpid(pid, NULL, 0);
		hold();
	}
	pid = getpid();
	if (fork())
		_exit(0);
	while (getppid() == pid)
		;
	hold();
}
"""

PID_AGAIN = r"""
// pid-again N: N children one after another, all with one pid, which it prints
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long rounds = strtol(argv[argc - 1], NULL, 10);
	pid_t again = fork();

	if (again == 0)
		_exit(0);
	waitpid(again, NULL, 0);
	for (long i = 1; i < rounds; i++) {
		struct clone_args args = {
			.exit_signal = SIGCHLD,
			.set_tid = (uintptr_t)&again,
			.set_tid_size = 1,
		};
		long child = syscall(SYS_clone3, &args, sizeof(args));

		if (child < 0)
			return errno;
		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	printf("%d\n", again);
	return 0;
}
"""
