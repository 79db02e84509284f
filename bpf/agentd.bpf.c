/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports every fork, exec and exit of a process. BCC dialect of C.
 *
 * Each probe: filter, number the attempt, find room, stamp, fill, hand over.
 * The number is taken before the clock is read: all that is stamped before a
 * moment has a number below the counters as user space reads them after it.
 *
 * Given by the loader as macros: OFF_<STRUCT>_<MEMBER>, the offsets in the
 * running kernel; AGENTD_CPUS; AGENTD_RING_PAGES, or AGENTD_PERFBUF for perf
 * buffers instead of a ring buffer; and, where they apply, FILTER_CGROUP_ID
 * with FILTER_CGROUP_LEVEL, HAVE_GROUP_DEAD (the exit tracepoint's third
 * argument), HAVE_ATOMIC_FETCH, CGROUP_ANCESTOR_IDS (struct cgroup holds ids
 * where newer kernels hold pointers) and BOOTTIME_SINCE_MONOTONIC_NS (kernels
 * that give BPF no boot time: by how much it is ahead of the monotonic time).
 */
#include "agentd.h"

#define SIGNAL_GROUP_EXIT 0x00000004	/* include/linux/sched/signal.h */
#define NO_SPACE 28			/* ENOSPC, uapi/asm-generic/errno-base.h */

BPF_F_TABLE("array", u32, struct agentd_counters, counters, AGENTD_CPUS,
	    BPF_F_MMAPABLE);

BPF_F_TABLE("array", u32, struct agentd_cgroup, cgroups, AGENTD_CGROUPS,
	    BPF_F_MMAPABLE);

/* Read the member at OFF_<member> of a kernel object, zero when unreadable. */
#define READ(dst, object, member)					\
	bpf_probe_read_kernel(&(dst), sizeof(dst), (char *)(object) + OFF_##member)

/* Two members into two neighbours, at once where the kernel has them side by side. */
#define READ_BOTH(dst, object, first, second)				\
	do {								\
		if (OFF_##second == OFF_##first + sizeof(*(dst))) {	\
			bpf_probe_read_kernel(dst, 2 * sizeof(*(dst)),	\
					      (char *)(object) + OFF_##first); \
		} else {						\
			READ((dst)[0], object, first);			\
			READ((dst)[1], object, second);			\
		}							\
	} while (0)

/* Keep the compiler from dropping a bound that the verifier needs to see. */
#define KEEP(value) asm volatile("" : "+r"(value))

#include "context.h"
#include "adopter.h"

static __always_inline struct agentd_counters *cpu_counters(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return counters.lookup(&cpu);
}

/* The next attempt number of this CPU. */
static __always_inline u64 next_seq(struct agentd_counters *c)
{
#ifdef HAVE_ATOMIC_FETCH
	return __sync_fetch_and_add(&c->seq, 1);
#else
	/* such kernels do not let one tracing program preempt another */
	return c->seq++;
#endif
}

#ifdef FILTER_CGROUP_ID
static __always_inline bool in_filter(void *task)
{
	void *cgroup = task_cgroup(task);
	int level = -1;

	READ(level, cgroup, CGROUP_LEVEL);
	if (level < FILTER_CGROUP_LEVEL)
		return false;
#ifdef CGROUP_ANCESTOR_IDS
	u64 id = 0;

	bpf_probe_read_kernel(&id, sizeof(id), (char *)cgroup + OFF_CGROUP_ANCESTORS +
			      FILTER_CGROUP_LEVEL * sizeof(u64));
	return id == FILTER_CGROUP_ID;
#else
	void *ancestor = NULL;

	bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
			      (char *)cgroup + OFF_CGROUP_ANCESTORS +
			      FILTER_CGROUP_LEVEL * sizeof(void *));
	return kernfs_id(ancestor) == FILTER_CGROUP_ID;
#endif
}
#else
static __always_inline bool in_filter(void *task)
{
	return true;
}
#endif

/* Number an attempt, or count it as filtered. Returns whether to go on. */
static __always_inline bool begin(struct agentd_counters *c, void *task, u32 kind,
				  u64 *seq)
{
	if (!in_filter(task)) {
		__sync_fetch_and_add(&c->filtered[kind], 1);
		return false;
	}
	*seq = next_seq(c);
	__sync_fetch_and_add(&c->attempts[kind], 1);
	return true;
}

static __always_inline int fail(struct agentd_counters *c, u32 kind)
{
	__sync_fetch_and_add(&c->failures[kind], 1);
	return 0;
}

static __always_inline u64 boottime_ns(void)
{
#ifdef BOOTTIME_SINCE_MONOTONIC_NS
	return bpf_ktime_get_ns() + BOOTTIME_SINCE_MONOTONIC_NS;
#else
	return bpf_ktime_get_boot_ns();
#endif
}

/* Returns the task that is the parent: a thread of the process that the record names. */
static __always_inline void *fill_header(struct agentd_header *h, void *task, u32 kind,
					 u64 seq, u32 record_bytes)
{
	void *leader = NULL, *parent = NULL, *parent_leader = NULL, *cred = NULL;

	h->boottime_ns = boottime_ns();
	h->seq = seq;
	h->cpu = bpf_get_smp_processor_id();
	h->kind = kind;
	h->flags = 0;
	h->record_bytes = record_bytes;

	READ(leader, task, TASK_GROUP_LEADER);
	READ(h->tgid, leader, TASK_TGID);
	READ(h->start_boottime_ns, leader, TASK_START_BOOTTIME);
	READ(h->comm, leader, TASK_COMM);

	READ(parent, leader, TASK_REAL_PARENT);
	READ(parent_leader, parent, TASK_GROUP_LEADER);
	READ(h->parent_tgid, parent_leader, TASK_TGID);
	READ(h->parent_start_boottime_ns, parent_leader, TASK_START_BOOTTIME);

	READ(cred, task, TASK_CRED);
	READ_BOTH(&h->uid, cred, CRED_EUID, CRED_EGID);
	return parent;
}

static __always_inline void fill_fork(struct agentd_fork *e, void *caller, void *child, u64 seq)
{
	void *parent = fill_header(&e->header, child, AGENTD_FORK, seq, sizeof(*e));
	void *creator = NULL;

	e->creator_start_boottime_ns = 0;
	e->creator_tgid = 0;
	e->reserved = 0;
	if (parent == caller)
		return;
	READ(creator, caller, TASK_GROUP_LEADER);
	READ(e->creator_tgid, creator, TASK_TGID);
	READ(e->creator_start_boottime_ns, creator, TASK_START_BOOTTIME);
}

/* What an exec record is made from, whatever its size class. */
struct exec_source {
	void *task;
	void *filename;
	void *exe;
	void *fs;
	void *args;
	u32 args_count;
	u32 args_total_bytes;
	u32 flags;
	u64 seq;
};

/* The filename, or nothing where it does not fit: it is never cut. */
static __always_inline u64 fill_filename(char *text, u64 max, void *filename, bool *fits)
{
	u64 n = bpf_probe_read_kernel_str(text, max, filename);

	if (n >= max) {		/* as an error is, too */
		*fits = false;
		n = 0;
	}
	KEEP(n);
	return n & (max - 1);
}

/*
 * Fill a record that has room for filename_max (a power of two), twice path_max
 * and args_max of text, all constants for the verifier. Returns whether the
 * filename and the paths fit.
 */
static __always_inline bool fill_exec(struct agentd_exec *e, struct exec_source *s,
				      u32 filename_max, u32 path_max, u32 args_max)
{
	char *text = (char *)(e + 1);
	u64 args_bytes = s->args_total_bytes;
	bool fits = true, cut = false;
	u64 n, m;

	fill_header(&e->header, s->task, AGENTD_EXEC, s->seq, sizeof(*e));
	fill_context(e, s->task, s->exe);
	e->header.flags = s->flags;
	n = fill_filename(text, filename_max, s->filename, &fits);
	e->filename_bytes = n;
	m = walk_path(text + n, path_max, (char *)s->exe + OFF_FILE_PATH, &cut);
	e->path_bytes = m;
	n += m;
	if (cut) {
		e->header.flags |= AGENTD_PATH_TRUNCATED;
		fits = false;
	}
	m = walk_path(text + n, path_max, (char *)s->fs + OFF_FS_STRUCT_PWD, &cut);
	e->cwd_bytes = m;
	n += m;
	if (cut) {
		e->header.flags |= AGENTD_CWD_TRUNCATED;
		fits = false;
	}
#ifndef OFF_MOUNT_MNT
	e->header.flags |= AGENTD_PATH_TRUNCATED | AGENTD_CWD_TRUNCATED;
#endif
	if (args_bytes > args_max)
		args_bytes = args_max;
	if (bpf_probe_read_user(text + n, args_bytes, s->args))
		args_bytes = 0;
	if (args_bytes != s->args_total_bytes || !e->filename_bytes)
		e->header.flags |= AGENTD_ARGS_TRUNCATED;
	e->header.record_bytes = sizeof(*e) + n + args_bytes;
	e->args_bytes = args_bytes;
	e->args_total_bytes = s->args_total_bytes;
	e->args_count = s->args_count;
	return fits;
}

#define SMALL AGENTD_SMALL_FILENAME, AGENTD_SMALL_PATH, AGENTD_SMALL_ARGS
#define MEDIUM AGENTD_MEDIUM_FILENAME, AGENTD_MEDIUM_PATH, AGENTD_MEDIUM_ARGS
#define LARGE AGENTD_LARGE_FILENAME, AGENTD_LARGE_PATH, AGENTD_LARGE_ARGS

/* Whether this thread's exit ends the process. */
static __always_inline bool is_last_thread(struct bpf_raw_tracepoint_args *ctx, void *signal)
{
#ifdef HAVE_GROUP_DEAD
	return ctx->args[1];
#else
	int live = -1;

	/* two threads that leave together may both see 0: user space tells */
	READ(live, signal, SIGNAL_LIVE);
	return live == 0;
#endif
}

static __always_inline void add_task_times(struct agentd_exit *e, void *task)
{
	u64 times[2] = {}, runtime = 0;

	READ_BOTH(times, task, TASK_UTIME, TASK_STIME);
	READ(runtime, task, TASK_SUM_EXEC_RUNTIME);
	e->utime_ns += times[0];
	e->stime_ns += times[1];
	e->runtime_ns += runtime;
}

/* Threads already released (in signal), the leader, and the one that leaves. */
static __always_inline void fill_times(struct agentd_exit *e, void *task, void *leader,
				       void *signal)
{
	READ_BOTH(&e->utime_ns, signal, SIGNAL_UTIME, SIGNAL_STIME);
	READ(e->runtime_ns, signal, SIGNAL_SUM_SCHED_RUNTIME);
	add_task_times(e, leader);
	if (task != leader)
		add_task_times(e, task);
}

/* The status that wait(2) will return: kernel/exit.c, wait_task_zombie(). */
static __always_inline u32 exit_status(void *leader, void *signal)
{
	u32 flags = 0, status = 0;

	READ(flags, signal, SIGNAL_FLAGS);
	if (flags & SIGNAL_GROUP_EXIT)
		READ(status, signal, SIGNAL_GROUP_EXIT_CODE);
	else
		READ(status, leader, TASK_EXIT_CODE);
	return status;
}

/* Bytes read from storage and written to it, of one task_io_accounting. */
static __always_inline void add_io(struct agentd_exit *e, void *ioac)
{
#ifdef OFF_SIGNAL_IOAC
	u64 bytes[2] = {};

	READ_BOTH(bytes, ioac, IOAC_READ_BYTES, IOAC_WRITE_BYTES);
	e->read_bytes += bytes[0];
	e->written_bytes += bytes[1];
#endif
}

static __always_inline void fill_io(struct agentd_exit *e, void *task, void *leader,
				    void *signal)
{
#ifdef OFF_SIGNAL_IOAC
	e->read_bytes = 0;
	e->written_bytes = 0;
	add_io(e, (char *)signal + OFF_SIGNAL_IOAC);
	add_io(e, (char *)leader + OFF_TASK_IOAC);
	if (task != leader)
		add_io(e, (char *)task + OFF_TASK_IOAC);
#else
	e->read_bytes = -1;
	e->written_bytes = -1;
#endif
}

static __always_inline void fill_exit(struct agentd_exit *e, void *task, u64 seq)
{
	void *signal = NULL, *leader = NULL;

	READ(signal, task, TASK_SIGNAL);
	READ(leader, task, TASK_GROUP_LEADER);
	fill_header(&e->header, task, AGENTD_EXIT, seq, sizeof(*e));
	e->exit_code = exit_status(leader, signal);
	fill_times(e, task, leader, signal);
	READ(e->max_rss_pages, signal, SIGNAL_MAXRSS);
	fill_io(e, task, leader, signal);
	e->adopter_start_boottime_ns = 0;
	e->adopter_tgid = 0;
	e->reserved = 0;
	if (has_children(task, signal))
		fill_adopter(e, leader, signal);
}

#ifndef AGENTD_PERFBUF

/*
 * One ring for all CPUs. Records are written straight into it. A record that
 * is reserved but not yet submitted stops the reader.
 *
 * When it fills up, detail goes first: beyond one half of it execs are cut, and
 * beyond seven eighths there is room for forks and exits only.
 */
BPF_RINGBUF_OUTPUT(events, AGENTD_RING_PAGES);

#define RING_BYTES ((u64)AGENTD_RING_PAGES * AGENTD_PAGE_SIZE)
#define DETAIL_BYTES (RING_BYTES / 2)
#define EXECS_BYTES (RING_BYTES / 8 * 7)

/*
 * BCC has no map.ringbuf_query(). What it makes of map.ringbuf_output(), the map
 * being the first argument, asks for the unread bytes instead.
 */
#define bpf_ringbuf_output(ring, data, bytes, flags)			\
	bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA)

static __always_inline int report_fork(void *ctx, struct agentd_counters *c, void *caller,
				       void *child, u64 seq)
{
	struct agentd_fork *e = events.ringbuf_reserve(sizeof(struct agentd_fork));

	if (!e)
		return fail(c, AGENTD_FORK);
	fill_fork(e, caller, child, seq);
	events.ringbuf_submit(e, 0);
	return 0;
}

static __always_inline int report_exit(void *ctx, struct agentd_counters *c, void *task,
				       u64 seq)
{
	struct agentd_exit *e = events.ringbuf_reserve(sizeof(struct agentd_exit));

	if (!e)
		return fail(c, AGENTD_EXIT);
	fill_exit(e, task, seq);
	events.ringbuf_submit(e, 0);
	return 0;
}

enum submission { NO_ROOM, TOO_LONG, SUBMITTED };

/* Try one size class. What is too long for it is cut if it may be. */
static __always_inline enum submission submit_exec_class(struct exec_source *s, u64 unread,
							 u32 filename_max, u32 path_max,
							 u32 args_max, bool may_cut)
{
	const u64 bytes = sizeof(struct agentd_exec) + filename_max + 2 * path_max + args_max;
	struct agentd_exec *e;

	if (unread + bytes > EXECS_BYTES)
		return NO_ROOM;
	e = events.ringbuf_reserve(sizeof(struct agentd_exec) + filename_max + 2 * path_max +
				   args_max);
	if (!e)
		return NO_ROOM;
	if (!fill_exec(e, s, filename_max, path_max, args_max) && !may_cut) {
		/* with a wake-up: only the first record after an empty ring has one */
		events.ringbuf_discard(e, 0);
		return TOO_LONG;
	}
	events.ringbuf_submit(e, 0);
	return SUBMITTED;
}

/* The smallest class that holds all of it; without room for that, less of it. */
static __always_inline int report_exec(void *ctx, struct agentd_counters *c,
				       struct exec_source *s)
{
	u64 unread = events.ringbuf_output(NULL, 0, 0);
	enum submission done = unread > DETAIL_BYTES ? NO_ROOM : TOO_LONG;

	if (done == TOO_LONG && s->args_total_bytes <= AGENTD_SMALL_ARGS)
		done = submit_exec_class(s, unread, SMALL, false);
	if (done == TOO_LONG && s->args_total_bytes <= AGENTD_MEDIUM_ARGS)
		done = submit_exec_class(s, unread, MEDIUM, false);
	if (done == TOO_LONG)
		done = submit_exec_class(s, unread, LARGE, true);
	if (done == NO_ROOM)
		done = submit_exec_class(s, unread, SMALL, true);
	return done == SUBMITTED ? 0 : fail(c, AGENTD_EXEC);
}

#else /* AGENTD_PERFBUF */

/*
 * One buffer for each CPU. A record is made elsewhere and copied, or, without
 * room, made in vain.
 */
BPF_PERF_OUTPUT(events);

static __always_inline int output_error(struct agentd_counters *c, u32 kind, int error)
{
	if (error == -NO_SPACE)
		return fail(c, kind);
	__sync_fetch_and_add(&c->errors[kind], 1);
	return 0;
}

static __always_inline int report_fork(void *ctx, struct agentd_counters *c, void *caller,
				       void *child, u64 seq)
{
	struct agentd_fork e = {};
	int error;

	fill_fork(&e, caller, child, seq);
	error = events.perf_submit(ctx, &e, sizeof(e));
	return error ? output_error(c, AGENTD_FORK, error) : 0;
}

static __always_inline int report_exit(void *ctx, struct agentd_counters *c, void *task,
				       u64 seq)
{
	struct agentd_exit e = {};
	int error;

	fill_exit(&e, task, seq);
	error = events.perf_submit(ctx, &e, sizeof(e));
	return error ? output_error(c, AGENTD_EXIT, error) : 0;
}

/*
 * An exec does not fit on the stack. Programs that preempt each other on one
 * CPU each claim an area of their own; a torn record cannot be.
 */
struct exec_scratch {
	u64 claims;
	struct agentd_exec exec;
	char text[AGENTD_LARGE_FILENAME + 2 * AGENTD_LARGE_PATH + AGENTD_LARGE_ARGS];
};

#define SCRATCHES 2
BPF_PERCPU_ARRAY(scratches, struct exec_scratch, SCRATCHES);

static __always_inline bool claim(struct exec_scratch *scratch)
{
#ifdef HAVE_ATOMIC_FETCH
	if (__sync_fetch_and_add(&scratch->claims, 1) == 0)
		return true;
	__sync_fetch_and_add(&scratch->claims, -1);
	return false;
#else
	/* such kernels do not let one tracing program preempt another */
	return true;
#endif
}

static __always_inline void release(struct exec_scratch *scratch)
{
#ifdef HAVE_ATOMIC_FETCH
	__sync_fetch_and_add(&scratch->claims, -1);
#endif
}

static __always_inline struct exec_scratch *claim_scratch(void)
{
	struct exec_scratch *scratch;
	u32 first = 0, second = 1;

	scratch = scratches.lookup(&first);
	if (scratch && claim(scratch))
		return scratch;
	scratch = scratches.lookup(&second);
	if (scratch && claim(scratch))
		return scratch;
	return NULL;
}

static __always_inline int output_exec(void *ctx, struct exec_scratch *scratch)
{
	u32 bytes = scratch->exec.header.record_bytes;

	KEEP(bytes);
	if (bytes > sizeof(scratch->exec) + sizeof(scratch->text))
		return -1;
	return events.perf_submit(ctx, &scratch->exec, bytes);
}

/* All of it; without room for that, less of it. */
static __always_inline int report_exec(void *ctx, struct agentd_counters *c,
				       struct exec_source *s)
{
	struct exec_scratch *scratch = claim_scratch();
	int error;

	if (!scratch)
		return output_error(c, AGENTD_EXEC, -1);
	fill_exec(&scratch->exec, s, LARGE);
	error = output_exec(ctx, scratch);
	if (error == -NO_SPACE) {
		fill_exec(&scratch->exec, s, SMALL);
		error = output_exec(ctx, scratch);
	}
	release(scratch);
	return error ? output_error(c, AGENTD_EXEC, error) : 0;
}

#endif /* AGENTD_PERFBUF */

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	void *child = (void *)ctx->args[1];
	struct agentd_counters *c = cpu_counters();
	u32 ids[2] = {};
	u64 seq = 0;

	if (!c)
		return 0;
	READ_BOTH(ids, child, TASK_PID, TASK_TGID);
	if (ids[0] != ids[1]) {		/* it is a thread */
		__sync_fetch_and_add(&c->threads, 1);
		return 0;
	}
	if (!begin(c, child, AGENTD_FORK, &seq))
		return 0;
	return report_fork(ctx, c, (void *)ctx->args[0], child, seq);
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	void *bprm = (void *)ctx->args[2];
	struct exec_source s = { .task = (void *)ctx->args[0] };
	struct agentd_counters *c = cpu_counters();
	u64 args[2] = {};	/* from where to where */
	void *mm = NULL, *interp = NULL;

	if (!c || !begin(c, s.task, AGENTD_EXEC, &s.seq))
		return 0;
	READ(s.filename, bprm, LINUX_BINPRM_FILENAME);
	READ(interp, bprm, LINUX_BINPRM_INTERP);
	READ(s.args_count, bprm, LINUX_BINPRM_ARGC);
	READ(mm, s.task, TASK_MM);
	READ(s.exe, mm, MM_EXE_FILE);
	READ(s.fs, s.task, TASK_FS);
	if (interp != s.filename)
		s.flags |= AGENTD_SCRIPT;
	s.flags |= unlinked_flags((char *)s.exe + OFF_FILE_PATH);
	READ_BOTH(args, mm, MM_ARG_START, MM_ARG_END);
	s.args = (void *)args[0];
	s.args_total_bytes = args[1] - args[0];
	return report_exec(ctx, c, &s);
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	void *task = (void *)ctx->args[0];
	struct agentd_counters *c = cpu_counters();
	void *signal = NULL;
	u64 seq = 0;

	READ(signal, task, TASK_SIGNAL);
	if (!c || !is_last_thread(ctx, signal) || !begin(c, task, AGENTD_EXIT, &seq))
		return 0;
	return report_exit(ctx, c, task, seq);
}

/*
 * Not an event: a path for the ids that execs tell. The kernel makes one cgroup
 * at a time here, under trace_cgroup_path_lock.
 */
int on_cgroup_mkdir(struct bpf_raw_tracepoint_args *ctx)
{
	void *cgroup = (void *)ctx->args[0], *root = NULL;
	struct agentd_cgroup *count, *made;
	int hierarchy = -1;
	u32 index = 0;

	READ(root, cgroup, CGROUP_ROOT);
	READ(hierarchy, root, CGROUP_ROOT_HIERARCHY_ID);
	count = cgroups.lookup(&index);
	if (hierarchy || !count)		/* cgroup v2 is hierarchy 0 */
		return 0;
	index = 1 + count->number % (AGENTD_CGROUPS - 1);
	made = cgroups.lookup(&index);
	if (!made)
		return 0;
	made->number = 0;
	made->id = kernfs_id(cgroup);
	bpf_probe_read_kernel_str(made->path, sizeof(made->path), (void *)ctx->args[1]);
	made->number = ++count->number;
	return 0;
}
