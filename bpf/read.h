/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How programs read kernel objects. Plain reads only; BCC's rewriter does not
 * look into headers.
 */
#ifndef AGENTD_READ_H
#define AGENTD_READ_H

/*
 * By their numbers: for what it finds by the helpers' own names BCC looks through
 * /proc/kallsyms, which takes long, and takes another helper where it may not see them.
 */
static long (*read_kernel)(void *dst, u32 bytes, const void *from) =
	(void *)BPF_FUNC_probe_read_kernel;
static long (*read_kernel_str)(void *dst, u32 bytes, const void *from) =
	(void *)BPF_FUNC_probe_read_kernel_str;
static long (*read_user)(void *dst, u32 bytes, const void *from) =
	(void *)BPF_FUNC_probe_read_user;

/* Read the member at OFF_<member> of a kernel object, zero when unreadable. */
#define READ(dst, object, member)					\
	read_kernel(&(dst), sizeof(dst), (char *)(object) + OFF_##member)

/*
 * The current task, and with GET() what is reached from it member by member: the
 * verifier knows what all of that is and lets it be read as C does, at a
 * twentieth of a helper's cost. Whatever READ() gave is a number to it.
 */
#ifdef HAVE_TASK_BTF
#define current_task() ((void *)bpf_get_current_task_btf())
#define GET(dst, object, member)					\
	((dst) = *(typeof(dst) *)((char *)(object) + OFF_##member))
#else
#define current_task() ((void *)bpf_get_current_task())
#define GET(dst, object, member) READ(dst, object, member)
#endif

/* Where a constant says whether the verifier knows the object. */
#define READ_AS(is_known, dst, object, member)				\
	do {								\
		if (is_known)						\
			GET(dst, object, member);			\
		else							\
			READ(dst, object, member);			\
	} while (0)

/* Two members into two neighbours, by one call where the kernel has them side by side. */
#define READ_BOTH_AS(is_known, dst, object, first, second)		\
	do {								\
		if (!is_known && OFF_##second == OFF_##first + sizeof(*(dst))) { \
			read_kernel(dst, 2 * sizeof(*(dst)),		\
				    (char *)(object) + OFF_##first);	\
		} else {						\
			READ_AS(is_known, (dst)[0], object, first);	\
			READ_AS(is_known, (dst)[1], object, second);	\
		}							\
	} while (0)

/* Keep the compiler from dropping a bound that the verifier needs to see. */
#define KEEP(value) asm volatile("" : "+r"(value))

#endif /* AGENTD_READ_H */
