/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reports every fork, exec and exit of a process. BCC dialect of C.
 *
 * Each probe: filter, number the attempt, stamp, fill, hand over. The number is
 * taken before the clock is read: all that is stamped before a moment has a
 * number below the counters as user space reads them after it.
 *
 * Given by the loader as macros: OFF_<STRUCT>_<MEMBER>, the offsets in the
 * running kernel; AGENTD_CPUS; AGENTD_RING_PAGES, or AGENTD_PERFBUF for perf
 * buffers instead of a ring buffer; and, where they apply, FILTER_CGROUP_ID
 * with FILTER_CGROUP_LEVEL, HAVE_GROUP_DEAD (the exit tracepoint's third
 * argument), HAVE_ATOMIC_FETCH, HAVE_TASK_BTF (the verifier knows the type of
 * the current task), CGROUP_ANCESTOR_IDS (struct cgroup holds ids where newer
 * kernels hold pointers) and BOOTTIME_SINCE_MONOTONIC_NS (kernels that give BPF
 * no boot time: by how much it is ahead of the monotonic time).
 */
#include "agentd.h"

#define NO_SPACE 28			/* ENOSPC, uapi/asm-generic/errno-base.h */

BPF_F_TABLE("array", u32, struct agentd_counters, counters, AGENTD_CPUS,
	    BPF_F_MMAPABLE);

BPF_F_TABLE("array", u32, struct agentd_cgroup, cgroups, AGENTD_CGROUPS,
	    BPF_F_MMAPABLE);

#include "context.h"
#include "ending.h"
#include "identity.h"

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

/* Number an attempt, or count it as filtered. Returns whether to go on. */
static __always_inline bool begin(struct agentd_counters *c, void *task, bool is_current,
				  u32 kind, u64 *seq)
{
	if (!in_filter(task, is_current)) {
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

static __always_inline int output_error(struct agentd_counters *c, u32 kind, int error)
{
	if (error == -NO_SPACE)
		return fail(c, kind);
	__sync_fetch_and_add(&c->errors[kind], 1);
	return 0;
}

/*
 * An exec is made here and copied, for only then it is known how long it is.
 * Programs that preempt each other on one CPU each claim an area of their own: a
 * record is never half of one and half of another.
 */
struct exec_scratch {
	u64 claims;
	struct agentd_exec exec;
	char text[AGENTD_FILENAME_MAX + 2 * AGENTD_PATH_MAX + AGENTD_ARGS_MAX];
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

/* How long it is, for a verifier that knows nothing of the record; 0 never happens. */
static __always_inline u64 exec_bytes(struct exec_scratch *scratch)
{
	return length_at(&scratch->exec.header.record_bytes,
			 sizeof(scratch->exec) + sizeof(scratch->text));
}

#ifndef AGENTD_PERFBUF

/*
 * One ring for all CPUs. A record that is reserved but not yet submitted stops the
 * reader; forks and exits are written straight into it.
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
 * being the first argument, asks for the unread bytes where there is no data.
 */
static __always_inline s64 put_or_query(void *ring, void *data, u64 bytes, u64 flags)
{
	if (!data)
		return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	return bpf_ringbuf_output(ring, data, bytes, flags);
}
#define bpf_ringbuf_output put_or_query

static __always_inline int report_fork(void *ctx, struct agentd_counters *c, void *child,
				       u64 seq)
{
	struct agentd_fork *e = events.ringbuf_reserve(sizeof(struct agentd_fork));

	if (!e)
		return fail(c, AGENTD_FORK);
	fill_fork(e, child, seq);
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

/* If no more than so much would be unread then. */
static __always_inline int output_exec(void *ctx, struct exec_scratch *scratch, u64 limit_bytes)
{
	u64 unread = events.ringbuf_output(NULL, 0, 0);
	u64 bytes = exec_bytes(scratch);

	if (unread + bytes > limit_bytes)
		return -NO_SPACE;
	return events.ringbuf_output(&scratch->exec, bytes, 0) ? -NO_SPACE : 0;
}

#else /* AGENTD_PERFBUF */

/* One buffer for each CPU. Without room a record is made in vain. */
BPF_PERF_OUTPUT(events);

static __always_inline int report_fork(void *ctx, struct agentd_counters *c, void *child,
				       u64 seq)
{
	struct agentd_fork e = {};
	int error;

	fill_fork(&e, child, seq);
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

/* What is unread is not known: there is room or not. */
#define DETAIL_BYTES 0
#define EXECS_BYTES 0

static __always_inline int output_exec(void *ctx, struct exec_scratch *scratch, u64 limit_bytes)
{
	return events.perf_submit(ctx, &scratch->exec, exec_bytes(scratch));
}

#endif /* AGENTD_PERFBUF */

/* All of it; without room for that, less of it. */
static __always_inline int report_exec(void *ctx, struct agentd_counters *c,
				       struct exec_source *s)
{
	struct exec_scratch *scratch = claim_scratch();
	int error;

	if (!scratch)
		return output_error(c, AGENTD_EXEC, -1);
	fill_exec(&scratch->exec, s);
	error = output_exec(ctx, scratch, DETAIL_BYTES);
	if (error == -NO_SPACE) {
		cut_args(&scratch->exec);
		error = output_exec(ctx, scratch, EXECS_BYTES);
	}
	release(scratch);
	return error ? output_error(c, AGENTD_EXEC, error) : 0;
}

int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	void *child = (void *)ctx->args[1];
	struct agentd_counters *c = cpu_counters();
	u64 seq = 0;

	if (!c)
		return 0;
	if (is_thread(child)) {
		__sync_fetch_and_add(&c->threads, 1);
		return 0;
	}
	if (!begin(c, child, false, AGENTD_FORK, &seq))
		return 0;
	return report_fork(ctx, c, child, seq);
}

int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct exec_source s = { .task = current_task() };
	struct agentd_counters *c = cpu_counters();

	if (!c || !begin(c, s.task, true, AGENTD_EXEC, &s.seq))
		return 0;
	find_exec(&s, (void *)ctx->args[2]);
	return report_exec(ctx, c, &s);
}

int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	void *task = current_task();
	struct agentd_counters *c = cpu_counters();
	u64 seq = 0;

	if (!c || !is_last_thread(ctx, task) || !begin(c, task, true, AGENTD_EXIT, &seq))
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
	made->id = kernfs_id(cgroup, false);
	read_kernel_str(made->path, sizeof(made->path), (void *)ctx->args[1]);
	made->number = ++count->number;
	return 0;
}
