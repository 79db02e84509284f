/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a process ended, and what it had taken.
 */
#ifndef AGENTD_ENDING_H
#define AGENTD_ENDING_H

#include "adopter.h"
#include "identity.h"

#define SIGNAL_GROUP_EXIT 0x00000004	/* include/linux/sched/signal.h */

/* Whether this thread's exit ends the process. */
static __always_inline bool is_last_thread(struct bpf_raw_tracepoint_args *ctx, void *task)
{
#ifdef HAVE_GROUP_DEAD
	return ctx->args[1];
#else
	void *signal = NULL;
	int live = -1;

	GET(signal, task, TASK_SIGNAL);
	/* two threads that leave together may both see 0: user space tells */
	GET(live, signal, SIGNAL_LIVE);
	return live == 0;
#endif
}

static __always_inline void add_task_times(struct agentd_exit *e, void *task)
{
	u64 utime = 0, stime = 0, runtime = 0;

	GET(utime, task, TASK_UTIME);
	GET(stime, task, TASK_STIME);
	GET(runtime, task, TASK_SUM_EXEC_RUNTIME);
	e->utime_ns += utime;
	e->stime_ns += stime;
	e->runtime_ns += runtime;
}

/* Threads already released (in signal), the leader, and the one that leaves. */
static __always_inline void fill_times(struct agentd_exit *e, void *task, void *leader,
				       void *signal)
{
	GET(e->utime_ns, signal, SIGNAL_UTIME);
	GET(e->stime_ns, signal, SIGNAL_STIME);
	GET(e->runtime_ns, signal, SIGNAL_SUM_SCHED_RUNTIME);
	add_task_times(e, leader);
	if (task != leader)
		add_task_times(e, task);
}

/* The status that wait(2) will return: kernel/exit.c, wait_task_zombie(). */
static __always_inline u32 exit_status(void *leader, void *signal)
{
	u32 flags = 0, status = 0;

	GET(flags, signal, SIGNAL_FLAGS);
	if (flags & SIGNAL_GROUP_EXIT)
		GET(status, signal, SIGNAL_GROUP_EXIT_CODE);
	else
		GET(status, leader, TASK_EXIT_CODE);
	return status;
}

/* Bytes read from storage and written to it, of one task_io_accounting. */
static __always_inline void add_io(struct agentd_exit *e, void *ioac)
{
#ifdef OFF_SIGNAL_IOAC
	u64 read_bytes = 0, written_bytes = 0;

	GET(read_bytes, ioac, IOAC_READ_BYTES);
	GET(written_bytes, ioac, IOAC_WRITE_BYTES);
	e->read_bytes += read_bytes;
	e->written_bytes += written_bytes;
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
	void *signal = NULL, *leader = NULL, *parent = NULL;

	GET(signal, task, TASK_SIGNAL);
	GET(leader, task, TASK_GROUP_LEADER);
	GET(parent, leader, TASK_REAL_PARENT);
	fill_header(&e->header, task, leader, true, AGENTD_EXIT, seq, sizeof(*e));
	fill_parent(&e->header, parent, true);
	e->exit_code = exit_status(leader, signal);
	fill_times(e, task, leader, signal);
	GET(e->max_rss_pages, signal, SIGNAL_MAXRSS);
	fill_io(e, task, leader, signal);
	e->reserved = 0;
	if (has_children(task, signal))
		fill_adopter(e, leader, signal);
	else
		fill_nobody(e);
}

#endif /* AGENTD_ENDING_H */
