/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why: BCC passes "-include linux/kconfig.h" and tests CONFIG_BPF_SYSCALL. */
#define CONFIG_BPF_SYSCALL 1
