/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What surrounds a process at its exec: its file, its folder, who it is, where
 * it belongs. Plain reads only; BCC's rewriter does not look into this file.
 *
 * Members that not every kernel has are guarded by #ifdef OFF_….
 */
#ifndef AGENTD_CONTEXT_H
#define AGENTD_CONTEXT_H

/* enum pid_type, include/linux/pid.h */
#define PGID_INDEX 2
#define SID_INDEX 3

/* struct upid */
struct upid_copy {
	int nr;
	void *ns;
};

static __always_inline u64 kernfs_id(void *cgroup)
{
	void *kn = NULL;
	u64 id = 0;

	READ(kn, cgroup, CGROUP_KN);
	READ(id, kn, KERNFS_NODE_ID);
	return id;
}

static __always_inline void *task_cgroup(void *task)
{
	void *cset = NULL, *cgroup = NULL;

	READ(cset, task, TASK_CGROUPS);
	READ(cgroup, cset, CSS_SET_DFL_CGRP);
	return cgroup;
}

#ifdef OFF_MOUNT_MNT
#define PATH_STEPS 32

/* Of a struct dentry, as it has them: one read instead of two. */
struct dentry_names {
	void *parent;
	u64 hash_len;
	const void *name;
};

static __always_inline void read_names(struct dentry_names *names, void *dentry)
{
	if (OFF_DENTRY_D_NAME_NAME == OFF_DENTRY_D_PARENT + 16) {
		READ(*names, dentry, DENTRY_D_PARENT);
	} else {
		READ(names->parent, dentry, DENTRY_D_PARENT);
		READ(names->name, dentry, DENTRY_D_NAME_NAME);
	}
}

/*
 * The names of a path from its end up to the root of its mount namespace, each
 * with its NUL, into text, which has room for max. A path that is not reached
 * by name at all (a memfd) is its own name. Returns the bytes written; *cut
 * says that more would have been needed.
 *
 * Old verifiers (6.1 still) know a loop only by a jump back, not where the code
 * before it runs into it; so the compiler is told that going round is unlikely.
 */
static __always_inline u64 walk_path(char *text, u64 max, void *path, bool *cut)
{
	const u64 room = max / 2;
	void *dentry = NULL, *vfsmount = NULL, *mount, *root = NULL;
	u64 n = 0;
	int i = 0;

	READ(dentry, path, PATH_DENTRY);
	READ(vfsmount, path, PATH_MNT);
	READ(root, vfsmount, VFSMOUNT_MNT_ROOT);
	mount = (char *)vfsmount - OFF_MOUNT_MNT;
	*cut = true;
	do {
		struct dentry_names names = {};
		void *above = NULL;
		s64 length;

		if (dentry == root) {
			READ(above, mount, MOUNT_MNT_PARENT);
			if (above == mount || !above) {
				*cut = false;
				break;
			}
			READ(dentry, mount, MOUNT_MNT_MOUNTPOINT);
			mount = above;
			READ(root, (char *)mount + OFF_MOUNT_MNT, VFSMOUNT_MNT_ROOT);
		} else {
			read_names(&names, dentry);
			if (dentry == names.parent && i) {
				*cut = false;
				break;
			}
			KEEP(n);
			if (n > max - room)
				break;
			length = bpf_probe_read_kernel_str(text + n, room, names.name);
			if (length <= 0 || length >= (s64)room)
				break;
			n += length;
			dentry = names.parent;
		}
	} while (__builtin_expect(++i < PATH_STEPS, 0));
	KEEP(n);
	return n > max ? 0 : n;
}
#else
static __always_inline u64 walk_path(char *text, u64 max, void *path, bool *cut)
{
	*cut = false;
	return 0;
}
#endif

/* What names of memfds begin with: MFD_NAME_PREFIX, mm/memfd.c */
static __always_inline bool is_memfd_name(const char *name)
{
	return name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' &&
	       name[4] == 'd' && name[5] == ':';
}

/* What is to be said of a file without a name: that it has none, and if it never had. */
static __always_inline u32 unlinked_flags(void *path)
{
	void *dentry = NULL, *parent = NULL, *hash = NULL, *name = NULL;
	char begin[6] = {};

	READ(dentry, path, PATH_DENTRY);
	READ(parent, dentry, DENTRY_D_PARENT);
	READ(hash, dentry, DENTRY_D_HASH_PPREV);
	if (parent != dentry)
		return hash ? 0 : AGENTD_UNLINKED;
	READ(name, dentry, DENTRY_D_NAME_NAME);
	bpf_probe_read_kernel(begin, sizeof(begin), name);
	return AGENTD_UNLINKED | (is_memfd_name(begin) ? AGENTD_MEMFD : 0);
}

/* The number of a pid structure's process in the initial namespace. */
static __always_inline u32 pid_number(void *signal, int index)
{
	struct upid_copy first = {};
	void *pid = NULL;

	bpf_probe_read_kernel(&pid, sizeof(pid),
			      (char *)signal + OFF_SIGNAL_PIDS + index * sizeof(void *));
	READ(first, pid, PID_NUMBERS);
	return first.nr;
}

static __always_inline void fill_namespaces(struct agentd_exec *e, void *task)
{
	void *leader = NULL, *pid = NULL, *nsproxy = NULL, *mnt_ns = NULL;
	struct upid_copy own = {};
	u32 level = 0;

	READ(leader, task, TASK_GROUP_LEADER);
	READ(pid, leader, TASK_THREAD_PID);
	READ(level, pid, PID_LEVEL);
	bpf_probe_read_kernel(&own, sizeof(own),
			      (char *)pid + OFF_PID_NUMBERS + level * sizeof(own));
	e->ns_tgid = own.nr;
	READ(e->place.pid_ns, own.ns, PID_NAMESPACE_INUM);
	READ(nsproxy, task, TASK_NSPROXY);
	READ(mnt_ns, nsproxy, NSPROXY_MNT_NS);
	e->place.mnt_ns = 0;
#ifdef OFF_MNT_NAMESPACE_INUM
	READ(e->place.mnt_ns, mnt_ns, MNT_NAMESPACE_INUM);
#endif
}

static __always_inline void fill_credentials(struct agentd_exec *e, void *task)
{
	void *cred = NULL;

	READ(cred, task, TASK_CRED);
	READ_BOTH(&e->place.real_uid, cred, CRED_UID, CRED_GID);
	READ(e->place.caps_effective, cred, CRED_CAP_EFFECTIVE);
	READ(e->place.caps_permitted, cred, CRED_CAP_PERMITTED);
	e->place.login_uid = AGENTD_UNSET;
	e->place.audit_session = AGENTD_UNSET;
#ifdef OFF_TASK_LOGINUID
	READ_BOTH(&e->place.login_uid, task, TASK_LOGINUID, TASK_SESSIONID);
#endif
}

/* include/linux/kdev_t.h */
#define MINOR_BITS 20

static __always_inline void fill_tty(struct agentd_exec *e, void *signal)
{
	void *tty = NULL;

	__builtin_memset(e->place.tty, 0, sizeof(e->place.tty));
	e->place.tty_device = 0;
	READ(tty, signal, SIGNAL_TTY);
	if (!tty)
		return;
	bpf_probe_read_kernel_str(e->place.tty, sizeof(e->place.tty), (char *)tty + OFF_TTY_NAME);
#ifdef OFF_TTY_DRIVER_MAJOR
	void *driver = NULL;
	u32 index = 0, first[2] = {};

	READ(driver, tty, TTY_DRIVER);
	READ(index, tty, TTY_INDEX);
	READ_BOTH(first, driver, TTY_DRIVER_MAJOR, TTY_DRIVER_MINOR_START);
	e->place.tty_device = (first[0] << MINOR_BITS) + first[1] + index;
#endif
}

/* All but the texts. */
static __always_inline void fill_context(struct agentd_exec *e, void *task, void *exe)
{
	void *signal = NULL, *inode = NULL, *sb = NULL;

	e->reserved = 0;
	fill_credentials(e, task);
	fill_namespaces(e, task);
	READ(signal, task, TASK_SIGNAL);
	e->process_group = pid_number(signal, PGID_INDEX);
	e->session = pid_number(signal, SID_INDEX);
	e->place.cgroup_id = kernfs_id(task_cgroup(task));
	READ(inode, exe, FILE_INODE);
	READ(e->place.exe_inode, inode, INODE_I_INO);
	READ(sb, inode, INODE_I_SB);
	READ(e->place.exe_device, sb, SUPER_BLOCK_S_DEV);
	fill_tty(e, signal);
}

#endif /* AGENTD_CONTEXT_H */
