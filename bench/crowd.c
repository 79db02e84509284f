// SPDX-License-Identifier: Apache-2.0
/*
 * crowd N: N processes that live and do nothing, until standard input ends.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long wanted = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	pid_t self = getpid();
	char end;

	for (long made = 0; made < wanted; made++) {
		pid_t child = fork();

		if (child < 0) {
			perror("crowd: fork");
			return 1;
		}
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != self)
				_exit(1);
			for (;;)
				pause();
		}
	}
	puts("there");
	fflush(stdout);
	while (read(0, &end, 1) > 0)
		;
	return 0;
}
