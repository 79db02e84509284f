/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who gets the children of a process that ends: find_new_reaper() of
 * kernel/exit.c, for when none of its own threads is left. Plain reads only;
 * BCC's rewriter does not look into this file.
 */
#ifndef AGENTD_ADOPTER_H
#define AGENTD_ADOPTER_H

/* Whether there are any, or may be: other threads that are ending keep theirs a while. */
static __always_inline bool has_children(void *task, void *signal)
{
	void *first = NULL;
	int threads = 0;

	GET(first, task, TASK_CHILDREN);
	if (first != (char *)task + OFF_TASK_CHILDREN)
		return true;
	GET(threads, signal, SIGNAL_NR_THREADS);
	return threads > 1;
}

static __always_inline void fill_nobody(struct agentd_exit *e)
{
	e->adopter_tgid = 0;
	e->adopter_start_boottime_ns = 0;
}

/* There is one; who that is, user space has to find out. */
static __always_inline void fill_somebody(struct agentd_exit *e)
{
	e->adopter_tgid = 0;
	e->adopter_start_boottime_ns = AGENTD_SOMEBODY;
}

#ifdef OFF_SIGNAL_IS_CHILD_SUBREAPER
#define ADOPTER_STEPS 64		/* the kernel has no bound */
#define PF_EXITING 0x00000004		/* include/linux/sched.h */

/* A bit field of a signal_struct. */
#define READ_BIT(signal, member) bit_at((char *)(signal) + OFF_##member, MASK_##member)

static __always_inline bool bit_at(void *byte, u8 mask)
{
	u8 bits = 0;

	read_kernel(&bits, sizeof(bits), byte);
	return bits & mask;
}

/* Whether a process has a thread that is not ending, as far as one of them tells. */
static __always_inline bool is_alive(void *task, void *signal)
{
	int threads = 0;
	u32 flags = 0;

	READ(threads, signal, SIGNAL_LIVE);
	READ(flags, task, TASK_FLAGS);
	return threads > 1 || !(flags & PF_EXITING);
}

/*
 * The nearest subreaper above a process, up to its namespace's end, or else the
 * namespace's own reaper. NULL where there are more steps than are taken.
 */
static __always_inline void *find_adopter(void *task, void *signal)
{
	void *pid = NULL, *reaper = NULL, *parent;
	struct upid_copy own = {};
	u32 own_level = 0, level;
	int i = 0;

	READ(pid, task, TASK_THREAD_PID);
	READ(own_level, pid, PID_LEVEL);
	read_kernel(&own, sizeof(own), (char *)pid + OFF_PID_NUMBERS + own_level * sizeof(own));
	READ(reaper, own.ns, PID_NAMESPACE_CHILD_REAPER);
	if (!READ_BIT(signal, SIGNAL_HAS_CHILD_SUBREAPER))
		return reaper;
	do {
		READ(parent, task, TASK_REAL_PARENT);
		READ(pid, parent, TASK_THREAD_PID);
		READ(level, pid, PID_LEVEL);
		if (parent == task || level != own_level)
			return reaper;
		task = parent;
		READ(signal, task, TASK_SIGNAL);
		if (READ_BIT(signal, SIGNAL_IS_CHILD_SUBREAPER) && is_alive(task, signal))
			return task;
	} while (__builtin_expect(++i < ADOPTER_STEPS, 0));
	return NULL;
}

/* Nobody, where it is its namespace's reaper itself: its children die with it. */
static __always_inline void fill_adopter(struct agentd_exit *e, void *leader, void *signal)
{
	void *adopter = find_adopter(leader, signal);

	READ(adopter, adopter, TASK_GROUP_LEADER);
	if (!adopter) {
		fill_somebody(e);
		return;
	}
	if (adopter == leader) {
		fill_nobody(e);
		return;
	}
	READ(e->adopter_tgid, adopter, TASK_TGID);
	READ(e->adopter_start_boottime_ns, adopter, TASK_START_BOOTTIME);
}
#else
static __always_inline void fill_adopter(struct agentd_exit *e, void *leader, void *signal)
{
	fill_somebody(e);
}
#endif

#endif /* AGENTD_ADOPTER_H */
