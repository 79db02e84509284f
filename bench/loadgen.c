// SPDX-License-Identifier: Apache-2.0
/*
 * loadgen - make process lifecycles at a known rate and say what was REALLY done.
 *
 * A lifecycle is one child: forked, perhaps exec'd, exited, reaped, its exit
 * status checked. Workers are processes, each with one child at a time, and all
 * begin at the same moment. The report is one line of JSON on stdout.
 *
 * A tracer limited to the cgroup that the generator moved itself into (--cgroup)
 * sees exactly
 *
 *	forks + worker_forks		fork events
 *	execs				exec events
 *	exits + worker_forks + 1	exit events, the last by the generator itself
 *
 * Only of a child that was killed ("wrong_status") the exec remains unknown.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define TICK_NS 1000000LL	 /* lifecycles due within one tick go as a batch */
#define MAX_LAG_NS 50000000LL	 /* beyond this a slot is skipped, not caught up */
#define SLEEP_SLICE_NS 100000000LL /* how long a stop may go unnoticed */
#define START_DELAY_NS 5000000LL /* from "all are ready" to the first lifecycle */
#define POLL_NS 200000LL
#define BACKOFF_NS 1000000LL	 /* after a failed fork */
#define MAX_WORKERS 1024
#define MIN_RATE 0.001
#define EXEC_FAILED 127
#define DEFAULT_SECONDS 10.0

typedef pid_t (*spawn_fn)(const char *child);

struct options {
	const char *shape;
	spawn_fn spawn;
	bool execs;
	double rate;		/* lifecycles per second of all workers, 0: flat out */
	double seconds;		/* 0: until count is reached */
	uint64_t count;		/* 0: until the time is over */
	unsigned int workers;
	const char *child;
	const char *cgroup;
};

/* What one worker did. Only that worker writes it. */
struct tally {
	uint64_t forks;
	uint64_t execs;
	uint64_t exits;
	uint64_t failed;	/* forks that failed */
	uint64_t exec_failed;
	uint64_t wrong_status;	/* children that were killed or returned an error */
	uint64_t skipped;	/* paced slots given up: the rate was too high */
	int64_t end_ns;
	int64_t cpu_us;		/* the worker's own */
	int64_t children_cpu_us;
} __attribute__((aligned(64)));

struct shared {
	atomic_uint ready;
	atomic_bool stop;
	_Atomic int64_t start_ns; /* 0: not yet */
	struct tally tallies[];
};

struct worker {
	const struct options *opt;
	struct tally *tally;
	uint64_t quota;		/* lifecycles to attempt at most */
	uint64_t attempts;
	int64_t deadline_ns;
	int64_t tick_ns;	/* paced: a batch is due every tick_ns */
	int64_t phase_ns;	/* so that workers do not all tick at once */
	uint64_t batch;
};

static struct shared *shared;

/* Time */

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void sleep_until(int64_t when_ns)
{
	struct timespec ts = {
		.tv_sec = when_ns / NS_PER_S,
		.tv_nsec = when_ns % NS_PER_S,
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int64_t cpu_us(int who)
{
	struct rusage ru;

	getrusage(who, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000LL +
	       ru.ru_utime.tv_usec + ru.ru_stime.tv_usec;
}

/* One lifecycle */

static pid_t spawn_fork_exec(const char *child)
{
	char *const argv[] = { (char *)child, NULL };
	char *const envp[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve(child, argv, envp);
		_exit(EXEC_FAILED);
	}
	return pid;
}

static pid_t spawn_vfork_exec(const char *child)
{
	char *const argv[] = { (char *)child, NULL };
	char *const envp[] = { NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		execve(child, argv, envp);
		_exit(EXEC_FAILED);
	}
	return pid;
}

static pid_t spawn_fork_exit(const char *child)
{
	pid_t pid = fork();

	(void)child;
	if (pid == 0)
		_exit(0);
	return pid;
}

static void count_exit(struct worker *w, int status)
{
	struct tally *t = w->tally;

	t->exits++;
	if (w->opt->execs && WIFEXITED(status)) {
		if (WEXITSTATUS(status) == EXEC_FAILED) {
			t->exec_failed++;
			return;
		}
		t->execs++;
	}
	t->wrong_status += status != 0;
}

static void lifecycle(struct worker *w)
{
	pid_t pid = w->opt->spawn(w->opt->child);
	pid_t reaped;
	int status;

	w->attempts++;
	if (pid < 0) {
		w->tally->failed++;
		sleep_until(now_ns() + BACKOFF_NS);
		return;
	}
	w->tally->forks++;
	do {
		reaped = waitpid(pid, &status, 0);
	} while (reaped < 0 && errno == EINTR);
	if (reaped == pid)
		count_exit(w, status);
}

/* One worker */

static bool over(const struct worker *w)
{
	return w->attempts >= w->quota || now_ns() >= w->deadline_ns ||
	       atomic_load_explicit(&shared->stop, memory_order_relaxed);
}

/* Sleep until a batch is due. Returns whether the run still goes on then. */
static bool wait_for(const struct worker *w, int64_t due_ns)
{
	int64_t now = now_ns();

	while (now < due_ns && !over(w)) {
		int64_t wake = now + SLEEP_SLICE_NS;

		wake = wake < due_ns ? wake : due_ns;
		sleep_until(wake < w->deadline_ns ? wake : w->deadline_ns);
		now = now_ns();
	}
	return !over(w);
}

/* A late worker catches up MAX_LAG_NS; what lies further back is skipped. */
static int64_t skip_lag(struct worker *w, int64_t due_ns)
{
	int64_t lag = now_ns() - due_ns;
	int64_t ticks;

	if (lag <= MAX_LAG_NS)
		return due_ns;
	ticks = (lag - MAX_LAG_NS) / w->tick_ns;
	w->tally->skipped += ticks * w->batch;
	return due_ns + ticks * w->tick_ns;
}

static void run_paced(struct worker *w, int64_t start_ns)
{
	int64_t due = start_ns + w->phase_ns;
	uint64_t i;

	while (wait_for(w, due)) {
		for (i = 0; i < w->batch && !over(w); i++)
			lifecycle(w);
		due = skip_lag(w, due + w->tick_ns);
	}
}

static void run_flat_out(struct worker *w)
{
	while (!over(w))
		lifecycle(w);
}

static uint64_t share(uint64_t total, unsigned int index, unsigned int workers)
{
	return total / workers + (index < total % workers);
}

static void plan_pace(struct worker *w, unsigned int index)
{
	double rate = w->opt->rate / w->opt->workers;

	w->batch = (uint64_t)(rate * TICK_NS / NS_PER_S + 0.5);
	w->batch = w->batch ? w->batch : 1;
	w->tick_ns = (int64_t)(w->batch * NS_PER_S / rate + 0.5);
	w->tick_ns = w->tick_ns ? w->tick_ns : 1;
	w->phase_ns = w->tick_ns * index / w->opt->workers;
}

static void plan_end(struct worker *w, unsigned int index, int64_t start_ns)
{
	const struct options *opt = w->opt;
	uint64_t total = opt->count;

	if (!total && opt->rate > 0)
		total = (uint64_t)(opt->rate * opt->seconds + 0.5);
	w->quota = total ? share(total, index, opt->workers) : UINT64_MAX;
	w->deadline_ns = INT64_MAX;
	if (opt->seconds > 0)
		w->deadline_ns = start_ns + (int64_t)(opt->seconds * NS_PER_S);
}

/* Say "ready", and wait for the moment at which all begin; 0: never. */
static int64_t barrier(void)
{
	int64_t start_ns;

	atomic_fetch_add(&shared->ready, 1);
	while (!(start_ns = atomic_load(&shared->start_ns))) {
		if (atomic_load(&shared->stop))
			return 0;
		sleep_until(now_ns() + POLL_NS);
	}
	return start_ns;
}

static void work(const struct options *opt, unsigned int index)
{
	struct worker w = { .opt = opt, .tally = &shared->tallies[index] };
	int64_t start_ns = barrier();

	if (start_ns) {
		plan_end(&w, index, start_ns);
		sleep_until(start_ns);
		if (opt->rate > 0) {
			plan_pace(&w, index);
			run_paced(&w, start_ns);
		} else {
			run_flat_out(&w);
		}
	}
	w.tally->end_ns = now_ns();
	w.tally->cpu_us = cpu_us(RUSAGE_SELF);
	w.tally->children_cpu_us = cpu_us(RUSAGE_CHILDREN);
}

/* The generator: start the workers, wait, report */

static void on_stop(int signo)
{
	(void)signo;
	atomic_store(&shared->stop, true);
}

/*
 * Stop signals are for the generator alone. Workers keep them blocked, and so
 * do their children across exec: no lifecycle is cut in two by a Ctrl-C.
 */
static void catch_stop(sigset_t *stops)
{
	struct sigaction stop = { .sa_handler = on_stop, .sa_flags = SA_RESTART };
	struct sigaction reap = { .sa_handler = SIG_DFL };

	sigemptyset(stops);
	sigaddset(stops, SIGINT);
	sigaddset(stops, SIGTERM);
	sigprocmask(SIG_BLOCK, stops, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGCHLD, &reap, NULL);
}

static pid_t start_worker(const struct options *opt, unsigned int index)
{
	pid_t generator = getpid();
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == generator)
		work(opt, index);
	_exit(0);
}

static unsigned int start_workers(const struct options *opt, pid_t *pids)
{
	unsigned int n;

	for (n = 0; n < opt->workers; n++) {
		pids[n] = start_worker(opt, n);
		if (pids[n] < 0) {
			warn("fork of worker %u", n);
			atomic_store(&shared->stop, true);
			break;
		}
	}
	return n;
}

/* Let all begin at once. Returns that moment. */
static int64_t release(unsigned int workers)
{
	int64_t start_ns;

	while (atomic_load(&shared->ready) < workers && !atomic_load(&shared->stop))
		sleep_until(now_ns() + POLL_NS);
	start_ns = now_ns() + START_DELAY_NS;
	atomic_store(&shared->start_ns, start_ns);
	return start_ns;
}

/* Returns whether every worker ended well. */
static bool reap_workers(const pid_t *pids, unsigned int workers)
{
	bool well = true;
	unsigned int i;
	int status;

	for (i = 0; i < workers; i++) {
		if (waitpid(pids[i], &status, 0) != pids[i] || status) {
			warnx("worker %u did not end well: its figures are cut short", i);
			well = false;
		}
	}
	return well;
}

static void add(struct tally *sum, const struct tally *one)
{
	sum->forks += one->forks;
	sum->execs += one->execs;
	sum->exits += one->exits;
	sum->failed += one->failed;
	sum->exec_failed += one->exec_failed;
	sum->wrong_status += one->wrong_status;
	sum->skipped += one->skipped;
	sum->cpu_us += one->cpu_us;
	sum->children_cpu_us += one->children_cpu_us;
	if (one->end_ns > sum->end_ns)
		sum->end_ns = one->end_ns;
}

static struct tally total(unsigned int workers)
{
	struct tally sum = { .cpu_us = cpu_us(RUSAGE_SELF) };
	unsigned int i;

	for (i = 0; i < workers; i++)
		add(&sum, &shared->tallies[i]);
	return sum;
}

static void report(const struct options *opt, unsigned int workers, int64_t start_ns)
{
	struct tally t = total(workers);
	double seconds = t.end_ns > start_ns ? (double)(t.end_ns - start_ns) / NS_PER_S : 0;

	printf("{\"shape\":\"%s\",\"workers\":%u,\"worker_forks\":%u", opt->shape,
	       opt->workers, workers);
	printf(",\"forks\":%" PRIu64 ",\"execs\":%" PRIu64 ",\"exits\":%" PRIu64,
	       t.forks, t.execs, t.exits);
	printf(",\"failed\":%" PRIu64 ",\"exec_failed\":%" PRIu64
	       ",\"wrong_status\":%" PRIu64 ",\"skipped\":%" PRIu64,
	       t.failed, t.exec_failed, t.wrong_status, t.skipped);
	printf(",\"stopped\":%s", atomic_load(&shared->stop) ? "true" : "false");
	printf(",\"seconds\":%.6f,\"per_second\":%.1f", seconds,
	       seconds > 0 ? t.exits / seconds : 0);
	printf(",\"cpu_seconds\":%.6f,\"children_cpu_seconds\":%.6f}\n", t.cpu_us / 1e6,
	       t.children_cpu_us / 1e6);
}

static bool generate(const struct options *opt)
{
	pid_t *pids = calloc(opt->workers, sizeof(*pids));
	unsigned int started;
	int64_t start_ns;
	sigset_t stops;
	bool well;

	if (!pids)
		err(EX_OSERR, "calloc");
	catch_stop(&stops);
	started = start_workers(opt, pids);
	sigprocmask(SIG_UNBLOCK, &stops, NULL);
	start_ns = release(started);
	well = reap_workers(pids, started);
	report(opt, started, start_ns);
	free(pids);
	return well && started == opt->workers;
}

/* Set-up */

static void enter_cgroup(const char *dir)
{
	char path[PATH_MAX];
	FILE *procs;

	if (snprintf(path, sizeof(path), "%s/cgroup.procs", dir) >= (int)sizeof(path))
		errx(EX_USAGE, "--cgroup: the path is too long");
	procs = fopen(path, "w");
	if (!procs)
		err(EX_NOINPUT, "%s", path);
	fprintf(procs, "%d\n", getpid());
	if (fclose(procs))
		err(EX_NOPERM, "cannot move into %s", dir);
}

static void map_shared(unsigned int workers)
{
	size_t bytes = sizeof(*shared) + workers * sizeof(shared->tallies[0]);

	shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(EX_OSERR, "mmap");
}

static unsigned int usable_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return 1;
	return CPU_COUNT(&cpus);
}

/* The tiny binary that build.sh puts beside this one. */
static const char *default_child(void)
{
	static char path[PATH_MAX + sizeof("/tiny")];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		err(EX_OSERR, "/proc/self/exe");
	path[n] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash ? slash : path, "/tiny");
	return path;
}

/* Options */

static const struct {
	const char *name;
	spawn_fn spawn;
	bool execs;
} shapes[] = {
	{ "fork-exec", spawn_fork_exec, true },
	{ "fork-exit", spawn_fork_exit, false },
	{ "vfork-exec", spawn_vfork_exec, true },
};

static void set_shape(struct options *opt, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (!strcmp(shapes[i].name, name)) {
			opt->shape = shapes[i].name;
			opt->spawn = shapes[i].spawn;
			opt->execs = shapes[i].execs;
			return;
		}
	}
	errx(EX_USAGE, "--shape: fork-exec, fork-exit or vfork-exec, not %s", name);
}

static double number(const char *option, const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value) || value < 0 || value > max)
		errx(EX_USAGE, "--%s: a number from 0 to %.0f, not %s", option, max, text);
	return value;
}

static uint64_t whole(const char *option, const char *text, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !value || value > max)
		errx(EX_USAGE, "--%s: a whole number from 1 to %" PRIu64 ", not %s", option, max,
		     text);
	return value;
}

static const struct option long_options[] = {
	{ "shape", required_argument, NULL, 's' },
	{ "rate", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 't' },
	{ "count", required_argument, NULL, 'n' },
	{ "workers", required_argument, NULL, 'w' },
	{ "child", required_argument, NULL, 'c' },
	{ "cgroup", required_argument, NULL, 'g' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
	"usage: loadgen [--shape fork-exec|fork-exit|vfork-exec] [--rate N] [--seconds S]\n"
	"               [--count N] [--workers W] [--child PATH] [--cgroup DIR]\n"
	"\n"
	"  --shape    what a lifecycle is (fork-exec)\n"
	"  --rate     lifecycles per second of all workers together; 0: flat out (0)\n"
	"  --seconds  how long (10, unless --count is given)\n"
	"  --count    how many lifecycles at most\n"
	"  --workers  processes that make them (one for each CPU)\n"
	"  --child    what to exec (tiny, beside this program)\n"
	"  --cgroup   absolute path of a cgroup v2 directory to move into first\n";

static void set_option(struct options *opt, int which)
{
	switch (which) {
	case 's':
		set_shape(opt, optarg);
		break;
	case 'r':
		opt->rate = number("rate", optarg, 1e6);
		break;
	case 't':
		opt->seconds = number("seconds", optarg, 1e6);
		break;
	case 'n':
		opt->count = whole("count", optarg, INT64_MAX);
		break;
	case 'w':
		opt->workers = whole("workers", optarg, MAX_WORKERS);
		break;
	case 'c':
		opt->child = optarg;
		break;
	case 'g':
		opt->cgroup = optarg;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(EX_OK);
	default:
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
}

static struct options parse(int argc, char **argv)
{
	struct options opt = { .workers = usable_cpus() };
	int which;

	set_shape(&opt, "fork-exec");
	while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&opt, which);
	if (optind < argc)
		errx(EX_USAGE, "%s: not an option", argv[optind]);
	if (opt.rate > 0 && opt.rate < MIN_RATE)
		errx(EX_USAGE, "--rate: 0 or at least %g", MIN_RATE);
	if (!(opt.seconds > 0) && !opt.count)
		opt.seconds = DEFAULT_SECONDS;
	if (!opt.child)
		opt.child = default_child();
	return opt;
}

int main(int argc, char **argv)
{
	struct options opt = parse(argc, argv);

	if (opt.execs && access(opt.child, X_OK))
		err(EX_NOINPUT, "--child %s", opt.child);
	if (opt.cgroup)
		enter_cgroup(opt.cgroup);
	map_shared(opt.workers);
	return generate(&opt) ? EX_OK : EX_SOFTWARE;
}
