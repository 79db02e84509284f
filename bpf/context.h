/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What surrounds a process at its exec: its file, its folder, who it is, where
 * it belongs. Plain reads only; BCC's rewriter does not look into this file.
 *
 * Members that not every kernel has are guarded by #ifdef OFF_….
 */
#ifndef AGENTD_CONTEXT_H
#define AGENTD_CONTEXT_H

#include "identity.h"

/* enum pid_type, include/linux/pid.h */
#define PGID_INDEX 2
#define SID_INDEX 3

/* struct upid */
struct upid_copy {
	int nr;
	void *ns;
};

/*
 * A path as it is written down. How long it is stands in the record only, and is
 * read from there again and again: of that the verifier knows nothing, so the ways
 * through a loop that differ in it are one way to it, and not too many to follow.
 */
struct path_text {
	char *text;		/* room for AGENTD_PATH_MAX */
	u32 *bytes;		/* that are there */
	u32 *flags;		/* of the record */
	u32 cut;		/* the one that says that there would be more */
};

/* A length that stands in the record. */
static __always_inline u64 length_at(u32 *bytes, u64 max)
{
	u64 n = *(volatile u32 *)bytes;

	KEEP(n);
	return n > max ? 0 : n;
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

/* Add a name with its NUL. Returns whether there was room. */
static __always_inline bool add_name(struct path_text *p, const void *name)
{
	const u64 room = AGENTD_PATH_MAX / 2;
	u64 n = length_at(p->bytes, AGENTD_PATH_MAX);
	s64 length;

	if (n > AGENTD_PATH_MAX - room)
		return false;
	length = read_kernel_str(p->text + n, room, name);
	if (length <= 0 || length >= (s64)room)
		return false;
	*(volatile u32 *)p->bytes = n + length;
	return true;
}

static __always_inline void end_path(struct path_text *p)
{
	*p->flags &= ~p->cut;
}

/* How far a walk has come: a dentry, and the mount it is in with that mount's root. */
struct walk {
	void *dentry;
	void *mount;
	void *root;
};

/* From the root of a mount to where that is mounted. Returns whether it is anywhere. */
static __always_inline bool leave_mount(struct walk *w)
{
	void *above = NULL;

	READ(above, w->mount, MOUNT_MNT_PARENT);
	if (above == w->mount || !above)
		return false;
	READ(w->dentry, w->mount, MOUNT_MNT_MOUNTPOINT);
	w->mount = above;
	READ(w->root, (char *)above + OFF_MOUNT_MNT, VFSMOUNT_MNT_ROOT);
	return true;
}

#ifdef HAVE_TASK_BTF
enum step { AT_ROOT, AT_END, TOO_FAR };

/* The part of a path within its own mount: what the verifier knows. */
static __always_inline enum step walk_own_mount(struct path_text *p, struct walk *w)
{
	const void *name;
	void *parent;
	int i = 0;

	do {
		if (w->dentry == w->root)
			return AT_ROOT;
		GET(parent, w->dentry, DENTRY_D_PARENT);
		if (w->dentry == parent && i)
			return AT_END;
		GET(name, w->dentry, DENTRY_D_NAME_NAME);
		if (!add_name(p, name))
			return TOO_FAR;
		w->dentry = parent;
	} while (__builtin_expect(++i < PATH_STEPS, 0));
	return TOO_FAR;
}
#endif

/*
 * The names from there up to the root of the mount namespace; the first of all,
 * while i is 0, may be that of a dentry without a parent.
 *
 * Old verifiers (6.1 still) know a loop only by a jump back, not where the code
 * before it runs into it; so the compiler is told that going round is unlikely.
 */
static __always_inline void walk_mounts(struct path_text *p, struct walk *w, int i)
{
	do {
		struct dentry_names names = {};

		if (w->dentry == w->root) {
			if (leave_mount(w))
				continue;
			end_path(p);
			break;
		}
		read_names(&names, w->dentry);
		if (w->dentry == names.parent && i) {
			end_path(p);
			break;
		}
		if (!add_name(p, names.name))
			break;
		w->dentry = names.parent;
	} while (__builtin_expect(++i < PATH_STEPS, 0));
}

/*
 * The names of a path from its end up to the root of its mount namespace, each
 * with its NUL. A path that is not reached by name at all (a memfd) is its own
 * name. *top is a mount, if one was found, whose root is the end of all paths: the
 * next walk need not go on from there.
 */
static __always_inline void walk_path(struct path_text *p, void *path, void **top)
{
	struct walk w = {};
	void *vfsmount = NULL;

	*p->bytes = 0;
	*p->flags |= p->cut;
	GET(w.dentry, path, PATH_DENTRY);
	GET(vfsmount, path, PATH_MNT);
	GET(w.root, vfsmount, VFSMOUNT_MNT_ROOT);
	w.mount = (char *)vfsmount - OFF_MOUNT_MNT;
#ifdef HAVE_TASK_BTF
	enum step step = walk_own_mount(p, &w);
	u64 bytes = length_at(p->bytes, AGENTD_PATH_MAX);

	if (step == AT_END || (step == AT_ROOT && (vfsmount == *top || !leave_mount(&w)))) {
		end_path(p);
	} else if (step == AT_ROOT) {
		walk_mounts(p, &w, PATH_STEPS / 2);	/* few names are above it */
		if (!(*p->flags & p->cut) && bytes == length_at(p->bytes, AGENTD_PATH_MAX))
			*top = vfsmount;
	}
#else
	walk_mounts(p, &w, 0);
#endif
}
#else
static __always_inline void walk_path(struct path_text *p, void *path, void **top)
{
	*p->bytes = 0;
	*p->flags |= p->cut;
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

	GET(dentry, path, PATH_DENTRY);
	GET(parent, dentry, DENTRY_D_PARENT);
	GET(hash, dentry, DENTRY_D_HASH_PPREV);
	if (parent != dentry)
		return hash ? 0 : AGENTD_UNLINKED;
	GET(name, dentry, DENTRY_D_NAME_NAME);
	read_kernel(begin, sizeof(begin), name);
	return AGENTD_UNLINKED | (is_memfd_name(begin) ? AGENTD_MEMFD : 0);
}

/* The number of a pid structure's process in the initial namespace. */
static __always_inline u32 pid_number(void *signal, int index)
{
	void *pid = NULL;
	int first = 0;

	GET(pid, (char *)signal + index * sizeof(void *), SIGNAL_PIDS);
	GET(first, pid, PID_NUMBERS);
	return first;
}

static __always_inline void fill_namespaces(struct agentd_exec *e, void *task, void *leader)
{
	void *pid = NULL, *nsproxy = NULL, *mnt_ns = NULL;
	struct upid_copy own = {};
	u32 level = 0;

	GET(pid, leader, TASK_THREAD_PID);
	GET(level, pid, PID_LEVEL);
	read_kernel(&own, sizeof(own), (char *)pid + OFF_PID_NUMBERS + level * sizeof(own));
	e->ns_tgid = own.nr;
	READ(e->place.pid_ns, own.ns, PID_NAMESPACE_INUM);
	GET(nsproxy, task, TASK_NSPROXY);
	GET(mnt_ns, nsproxy, NSPROXY_MNT_NS);
	e->place.mnt_ns = 0;
#ifdef OFF_MNT_NAMESPACE_INUM
	GET(e->place.mnt_ns, mnt_ns, MNT_NAMESPACE_INUM);
#endif
}

static __always_inline void fill_credentials(struct agentd_exec *e, void *task)
{
	u64 caps[2] = {};
	void *cred = NULL;

	GET(cred, task, TASK_CRED);
	GET(e->place.real_uid, cred, CRED_UID);
	GET(e->place.real_gid, cred, CRED_GID);
	READ_BOTH_AS(false, caps, cred, CRED_CAP_PERMITTED, CRED_CAP_EFFECTIVE);
	e->place.caps_permitted = caps[0];
	e->place.caps_effective = caps[1];
	e->place.login_uid = AGENTD_UNSET;
	e->place.audit_session = AGENTD_UNSET;
#ifdef OFF_TASK_LOGINUID
	GET(e->place.login_uid, task, TASK_LOGINUID);
	GET(e->place.audit_session, task, TASK_SESSIONID);
#endif
}

/* include/linux/kdev_t.h */
#define MINOR_BITS 20

static __always_inline void fill_tty(struct agentd_exec *e, void *signal)
{
	void *tty = NULL;

	__builtin_memset(e->place.tty, 0, sizeof(e->place.tty));
	e->place.tty_device = 0;
	GET(tty, signal, SIGNAL_TTY);
	if (!tty)
		return;
	read_kernel_str(e->place.tty, sizeof(e->place.tty), (char *)tty + OFF_TTY_NAME);
#ifdef OFF_TTY_DRIVER_MAJOR
	void *driver = NULL;
	u32 index = 0, major = 0, minor = 0;

	GET(driver, tty, TTY_DRIVER);
	GET(index, tty, TTY_INDEX);
	GET(major, driver, TTY_DRIVER_MAJOR);
	GET(minor, driver, TTY_DRIVER_MINOR_START);
	e->place.tty_device = (major << MINOR_BITS) + minor + index;
#endif
}

#define STDERR 2

#ifdef OFF_TTY_FILE_PRIVATE_TTY
/*
 * Whether a file is open on that terminal, under whatever name (/dev/tty, /dev/pts/3): its
 * private_data is a struct tty_file_private, which points to both. No other file's does.
 */
static __always_inline bool is_open_on(void *file, void *tty)
{
	void *data = NULL, *of_tty = NULL, *of_file = NULL;

	READ(data, file, FILE_PRIVATE_DATA);
	READ(of_tty, data, TTY_FILE_PRIVATE_TTY);
	READ(of_file, data, TTY_FILE_PRIVATE_FILE);
	return of_tty == tty && of_file == file;
}

/* Whether the controlling terminal is stdin and stderr: how ECS defines interactive. */
static __always_inline u32 interactive_flag(void *task)
{
	void *signal = NULL, *tty = NULL, *files = NULL, *table = NULL, *array = NULL;
	void *first[STDERR + 1] = {};

	GET(signal, task, TASK_SIGNAL);
	GET(tty, signal, SIGNAL_TTY);
	if (!tty)
		return 0;
	READ(files, task, TASK_FILES);
	READ(table, files, FILES_STRUCT_FDT);
	READ(array, table, FDTABLE_FD);
	read_kernel(first, sizeof(first), array);	/* no table is shorter */
	if (is_open_on(first[0], tty) && is_open_on(first[STDERR], tty))
		return AGENTD_INTERACTIVE;
	return 0;
}
#else
static __always_inline u32 interactive_flag(void *task)
{
	return AGENTD_INTERACTIVE_UNKNOWN;
}
#endif

/* All but the texts. */
static __always_inline void fill_context(struct agentd_exec *e, void *task, void *leader,
					 void *exe)
{
	void *signal = NULL, *inode = NULL, *sb = NULL;

	e->reserved = 0;
	fill_credentials(e, task);
	fill_namespaces(e, task, leader);
	GET(signal, task, TASK_SIGNAL);
	e->process_group = pid_number(signal, PGID_INDEX);
	e->session = pid_number(signal, SID_INDEX);
	e->place.cgroup_id = kernfs_id(task_cgroup(task, true), true);
	GET(inode, exe, FILE_INODE);
	GET(e->place.exe_inode, inode, INODE_I_INO);
	GET(sb, inode, INODE_I_SB);
	GET(e->place.exe_device, sb, SUPER_BLOCK_S_DEV);
	fill_tty(e, signal);
}

/* What an exec record is made from. */
struct exec_source {
	void *task;
	void *filename;
	void *interp;
	void *exe;
	void *fs;
	void *args;
	u32 args_count;
	u32 args_total_bytes;
	u64 seq;
};

static __always_inline void find_exec(struct exec_source *s, void *bprm)
{
	void *mm = NULL, *args_end = NULL, *names[2] = {};

	READ_BOTH_AS(false, names, bprm, LINUX_BINPRM_FILENAME, LINUX_BINPRM_INTERP);
	s->filename = names[0];
	s->interp = names[1];
	READ(s->args_count, bprm, LINUX_BINPRM_ARGC);
	GET(mm, s->task, TASK_MM);
	GET(s->exe, mm, MM_EXE_FILE);
	GET(s->fs, s->task, TASK_FS);
	GET(s->args, mm, MM_ARG_START);
	GET(args_end, mm, MM_ARG_END);
	s->args_total_bytes = args_end - s->args;
}

/* Fill a record that has room for all of its text. */
static __always_inline void fill_exec(struct agentd_exec *e, struct exec_source *s)
{
	struct path_text exe = {
		.bytes = &e->path_bytes, .flags = &e->header.flags, .cut = AGENTD_PATH_TRUNCATED,
	};
	struct path_text cwd = {
		.bytes = &e->cwd_bytes, .flags = &e->header.flags, .cut = AGENTD_CWD_TRUNCATED,
	};
	void *leader = NULL, *parent = NULL, *top = NULL;
	u64 args_bytes = s->args_total_bytes;
	s64 filename_bytes;
	char *args;

	GET(leader, s->task, TASK_GROUP_LEADER);
	fill_header(&e->header, s->task, leader, true, AGENTD_EXEC, s->seq, sizeof(*e));
	GET(parent, leader, TASK_REAL_PARENT);
	fill_parent(&e->header, parent, true);
	fill_context(e, s->task, leader, s->exe);
	e->header.flags = s->interp != s->filename ? AGENTD_SCRIPT : 0;
	e->header.flags |= interactive_flag(s->task);
	e->header.flags |= unlinked_flags((char *)s->exe + OFF_FILE_PATH);
	exe.text = (char *)(e + 1);
	filename_bytes = read_kernel_str(exe.text, AGENTD_FILENAME_MAX, s->filename);
	e->filename_bytes = filename_bytes > 0 ? filename_bytes : 0;
	exe.text += length_at(&e->filename_bytes, AGENTD_FILENAME_MAX);
	walk_path(&exe, (char *)s->exe + OFF_FILE_PATH, &top);
	cwd.text = exe.text + length_at(exe.bytes, AGENTD_PATH_MAX);
	walk_path(&cwd, (char *)s->fs + OFF_FS_STRUCT_PWD, &top);
	args = cwd.text + length_at(cwd.bytes, AGENTD_PATH_MAX);
	if (args_bytes > AGENTD_ARGS_MAX)
		args_bytes = AGENTD_ARGS_MAX;
	if (read_user(args, args_bytes, s->args))
		args_bytes = 0;
	if (args_bytes != s->args_total_bytes || !e->filename_bytes)
		e->header.flags |= AGENTD_ARGS_TRUNCATED;
	e->header.record_bytes = (args - (char *)e) + args_bytes;
	e->args_bytes = args_bytes;
	e->args_total_bytes = s->args_total_bytes;
	e->args_count = s->args_count;
}

/* Leave out what stands last: of long arguments all but their beginning. */
static __always_inline void cut_args(struct agentd_exec *e)
{
	if (e->args_bytes <= AGENTD_CUT_ARGS_MAX)
		return;
	e->header.record_bytes -= e->args_bytes - AGENTD_CUT_ARGS_MAX;
	e->args_bytes = AGENTD_CUT_ARGS_MAX;
	e->header.flags |= AGENTD_ARGS_TRUNCATED;
}

#endif /* AGENTD_CONTEXT_H */
