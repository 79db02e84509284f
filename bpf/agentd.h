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
 * structs of __u32, __u64 and char[N], and structs nested in them: as the first
 * member one that is continued, further on one that is a single value of bytes.
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
#define AGENTD_PATH_TRUNCATED 16	/* the names next to the root are missing */
#define AGENTD_CWD_TRUNCATED 32
#define AGENTD_SCRIPT 64		/* what runs is the interpreter of filename */
#define AGENTD_UNLINKED 128		/* the running file has no name */
#define AGENTD_MEMFD 256		/* and never had one: memfd_create(2) */
#define AGENTD_INTERACTIVE 512		/* its terminal is its stdin and its stderr */
#define AGENTD_INTERACTIVE_UNKNOWN 1024	/* not told whether it is */

/*
 * agentd_exit.adopter_start_boottime_ns of an adopter that was not found: too many steps
 * up, or on a kernel that does not show who it is. The tgid is 0.
 */
#define AGENTD_SOMEBODY 1

/* A number that was never set: of login_uid, audit_session */
#define AGENTD_UNSET 4294967295

/*
 * What an exec record can hold of its text, in bytes; a single name of a path may
 * have half of the room that the path has. A filename's is more than PATH_MAX and
 * so always enough. Where there is little room, arguments are cut.
 */
#define AGENTD_FILENAME_MAX 8192
#define AGENTD_PATH_MAX 2048
#define AGENTD_ARGS_MAX 16384
#define AGENTD_CUT_ARGS_MAX 128

/* What every record begins with. Processes are named by thread-group leader. */
struct agentd_header {
	__u64 boottime_ns;		/* CLOCK_BOOTTIME, read after seq was taken */
	__u64 seq;			/* attempt number on this CPU, over all kinds */
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
	__u64 creator_start_boottime_ns;
	__u32 creator_tgid;		/* 0 where it is the parent; not so with CLONE_PARENT */
	__u32 reserved;
};

/*
 * Where and as whom something runs, and out of which file: what recurs. To
 * user space a record's place is one value, looked into once.
 */
struct agentd_place {
	__u32 real_uid;
	__u32 real_gid;
	__u64 caps_effective;		/* a bit for each capability */
	__u64 caps_permitted;
	__u32 login_uid;		/* who logged in, whatever became of the uid since */
	__u32 audit_session;
	__u32 mnt_ns;			/* inode numbers, as in /proc/PID/ns; 0 if not told */
	__u32 pid_ns;
	__u64 cgroup_id;		/* inode number of the cgroup v2 folder */
	__u64 exe_inode;
	__u32 exe_device;		/* super_block.s_dev: major << 20 | minor */
	__u32 tty_device;		/* likewise; 0 without, or if not told */
	char tty[16];			/* tty_struct.name, as pts3; empty without */
};

/*
 * sched_process_exec. Four texts follow: filename (with its NUL), the paths of
 * the running file and of the working directory (their names from the end up
 * to the root, each with its NUL), and the arguments.
 */
struct agentd_exec {
	struct agentd_header header;
	__u32 filename_bytes;		/* of text: linux_binprm.filename */
	__u32 path_bytes;		/* of text: mm.exe_file */
	__u32 cwd_bytes;		/* of text: fs_struct.pwd */
	__u32 args_bytes;		/* of text: the copy of mm.arg_start..arg_end */
	__u32 args_total_bytes;		/* mm.arg_end - mm.arg_start, the true length */
	__u32 args_count;		/* linux_binprm.argc */
	__u32 process_group;		/* the leader's tgid, in the initial pid namespace */
	__u32 session;
	__u32 ns_tgid;			/* in its own pid namespace */
	__u32 reserved;
	struct agentd_place place;
};

/* sched_process_exit of the last thread */
struct agentd_exit {
	struct agentd_header header;
	__u64 exit_code;		/* raw, as wait(2) returns it */
	__u64 utime_ns;			/* sampled by ticks: only the ratio is good */
	__u64 stime_ns;
	__u64 runtime_ns;		/* exact, up to the last context switch */
	__u64 max_rss_pages;		/* signal_struct.maxrss */
	__u64 read_bytes;		/* from storage; all ones if not accounted here */
	__u64 written_bytes;
	__u64 adopter_start_boottime_ns; /* AGENTD_SOMEBODY if not found; then tgid is 0 */
	__u32 adopter_tgid;		/* who gets its children; 0 if nobody does */
	__u32 reserved;
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

/*
 * The youngest cgroups, by their numbers in turn, mapped by user space: who looks
 * into a short-lived one finds its folder gone. The first element only counts.
 */
#define AGENTD_CGROUPS 256
struct agentd_cgroup {
	__u64 number;			/* counts from 1; 0 while it is being filled */
	__u64 id;			/* inode number of the cgroup v2 folder */
	char path[496];			/* below the root of the hierarchy, up to a NUL */
};

#endif /* AGENTD_H */
