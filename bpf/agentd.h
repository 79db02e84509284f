/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire contract between the BPF programs and user space.
 *
 * This file is the only definition of every record and counter. The C side
 * compiles it; agentd/kernel/wire.py reads the same text and derives the
 * Python layouts from it, and every program is compiled with static
 * assertions made from what Python understood, so that a difference fails at
 * load and can never be a wrong byte at run time.
 *
 * To keep that reading simple the file holds only: #define NAME NUMBER,
 * structs of __u32, __u64 and char[N], and structs nested as first member.
 * Members are ordered so that there is no padding on any architecture.
 */
#ifndef AGENTD_H
#define AGENTD_H

/* agentd_header.kind; also the index into the arrays of agentd_counters */
#define AGENTD_FORK 0
#define AGENTD_EXEC 1
#define AGENTD_EXIT 2
#define AGENTD_KINDS 3

/* agentd_header.flags; the higher ones are set by user space only */
#define AGENTD_ARGS_TRUNCATED 1
#define AGENTD_LATE 2
#define AGENTD_FORCED 4
#define AGENTD_INFERRED 8

/*
 * What an exec record can hold of its text, by size class, in bytes. Filenames
 * by powers of two; the largest is more than PATH_MAX and so always enough.
 */
#define AGENTD_SMALL_FILENAME 64
#define AGENTD_SMALL_ARGS 128
#define AGENTD_MEDIUM_FILENAME 256
#define AGENTD_MEDIUM_ARGS 2048
#define AGENTD_LARGE_FILENAME 8192
#define AGENTD_LARGE_ARGS 16384

/* What every record begins with. Processes are named by thread-group leader. */
struct agentd_header {
	__u64 boottime_ns;		/* CLOCK_BOOTTIME, read after seq was taken */
	__u64 seq;			/* attempt number on this CPU, over all kinds, from 0 */
	__u32 cpu;
	__u32 kind;
	__u32 flags;
	__u32 record_bytes;		/* of this struct and what follows: a check */
	__u32 tgid;			/* in the initial pid namespace */
	__u32 parent_tgid;		/* task_struct.real_parent */
	__u64 start_boottime_ns;	/* task_struct.start_boottime */
	__u64 parent_start_boottime_ns;
	__u32 uid;			/* effective, in the initial user namespace */
	__u32 gid;
	char comm[16];
};

/* sched_process_fork: the child, before it runs for the first time */
struct agentd_fork {
	struct agentd_header header;
};

/* sched_process_exec: filename (with its NUL) and arguments follow as text */
struct agentd_exec {
	struct agentd_header header;
	__u32 filename_bytes;		/* of text: linux_binprm.filename */
	__u32 args_bytes;		/* of text: the copy of mm.arg_start..arg_end */
	__u32 args_total_bytes;		/* mm.arg_end - mm.arg_start, the true length */
	__u32 args_count;		/* linux_binprm.argc */
};

/* sched_process_exit of the last thread */
struct agentd_exit {
	struct agentd_header header;
	__u64 exit_code;		/* raw, as wait(2) returns it */
	__u64 utime_ns;			/* sampled by ticks: only the ratio is good */
	__u64 stime_ns;
	__u64 runtime_ns;		/* exact, up to the last context switch */
	__u64 max_rss_pages;		/* signal_struct.maxrss */
};

/* One element per possible CPU, mapped by user space, never reset. */
struct agentd_counters {
	__u64 seq;			/* attempts of all kinds; the next seq */
	__u64 attempts[AGENTD_KINDS];
	__u64 failures[AGENTD_KINDS];	/* attempts that found no room */
	__u64 errors[AGENTD_KINDS];	/* attempts that failed in another way */
	__u64 filtered[AGENTD_KINDS];	/* left out by the filter, never attempts */
	__u64 threads;			/* forks that made a thread, not a process */
	__u64 reserved[2];		/* to two cache lines: no false sharing */
};

#endif /* AGENTD_H */
