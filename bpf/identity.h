/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which process it is, whose, and whether it is to be told of. Members that not
 * every kernel has are guarded by #ifdef OFF_…
 */
#ifndef AGENTD_IDENTITY_H
#define AGENTD_IDENTITY_H

#include "read.h"

static __always_inline u64 kernfs_id(void *cgroup, bool is_known)
{
	void *kn = NULL;
	u64 id = 0;

	READ_AS(is_known, kn, cgroup, CGROUP_KN);
	READ_AS(is_known, id, kn, KERNFS_NODE_ID);
	return id;
}

static __always_inline void *task_cgroup(void *task, bool is_current)
{
	void *cset = NULL, *cgroup = NULL;

	READ_AS(is_current, cset, task, TASK_CGROUPS);
	READ_AS(is_current, cgroup, cset, CSS_SET_DFL_CGRP);
	return cgroup;
}

#ifdef FILTER_CGROUP_ID
static __always_inline bool in_filter(void *task, bool is_current)
{
	void *cgroup = task_cgroup(task, is_current);
	int level = -1;

	READ_AS(is_current, level, cgroup, CGROUP_LEVEL);
	if (level < FILTER_CGROUP_LEVEL)
		return false;
#ifdef CGROUP_ANCESTOR_IDS
	u64 id = 0;

	read_kernel(&id, sizeof(id), (char *)cgroup + OFF_CGROUP_ANCESTORS +
		    FILTER_CGROUP_LEVEL * sizeof(u64));
	return id == FILTER_CGROUP_ID;
#else
	void *ancestor = NULL;

	read_kernel(&ancestor, sizeof(ancestor), (char *)cgroup + OFF_CGROUP_ANCESTORS +
		    FILTER_CGROUP_LEVEL * sizeof(void *));
	return kernfs_id(ancestor, false) == FILTER_CGROUP_ID;
#endif
}
#else
static __always_inline bool in_filter(void *task, bool is_current)
{
	return true;
}
#endif

static __always_inline u64 boottime_ns(void)
{
#ifdef BOOTTIME_SINCE_MONOTONIC_NS
	return bpf_ktime_get_ns() + BOOTTIME_SINCE_MONOTONIC_NS;
#else
	return bpf_ktime_get_boot_ns();
#endif
}

/* Whether what was made is a thread of a process that there was. */
static __always_inline bool is_thread(void *child)
{
	u32 ids[2] = {};

	READ_BOTH_AS(false, ids, child, TASK_PID, TASK_TGID);
	return ids[0] != ids[1];
}

/*
 * All but the parent, of a task and the leader of its threads. is_known, a
 * constant here and below: they were reached from current_task() by GET().
 */
static __always_inline void fill_header(struct agentd_header *h, void *task, void *leader,
					bool is_known, u32 kind, u64 seq, u32 record_bytes)
{
	void *cred = NULL;

	h->boottime_ns = boottime_ns();
	h->seq = seq;
	h->cpu = bpf_get_smp_processor_id();
	h->kind = kind;
	h->flags = 0;
	h->record_bytes = record_bytes;

	READ_AS(is_known, h->tgid, leader, TASK_TGID);
	READ_AS(is_known, h->start_boottime_ns, leader, TASK_START_BOOTTIME);
	READ(h->comm, leader, TASK_COMM);
	READ_AS(is_known, cred, task, TASK_CRED);
	READ_BOTH_AS(is_known, &h->uid, cred, CRED_EUID, CRED_EGID);
}

/* The parent is a thread of the process that is to be named. */
static __always_inline void fill_parent(struct agentd_header *h, void *parent, bool is_known)
{
	void *leader = NULL;

	READ_AS(is_known, leader, parent, TASK_GROUP_LEADER);
	READ_AS(is_known, h->parent_tgid, leader, TASK_TGID);
	READ_AS(is_known, h->parent_start_boottime_ns, leader, TASK_START_BOOTTIME);
}

static __always_inline void fill_fork(struct agentd_fork *e, void *child, u64 seq)
{
	void *caller = current_task(), *parent = NULL, *creator = NULL;

	fill_header(&e->header, child, child, false, AGENTD_FORK, seq, sizeof(*e));
	e->creator_start_boottime_ns = 0;
	e->creator_tgid = 0;
	e->reserved = 0;
	READ(parent, child, TASK_REAL_PARENT);
	if (parent == caller) {
		fill_parent(&e->header, caller, true);
		return;
	}
	fill_parent(&e->header, parent, false);
	GET(creator, caller, TASK_GROUP_LEADER);
	GET(e->creator_tgid, creator, TASK_TGID);
	GET(e->creator_start_boottime_ns, creator, TASK_START_BOOTTIME);
}

#endif /* AGENTD_IDENTITY_H */
