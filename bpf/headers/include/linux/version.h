/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why: BCC's headers compare LINUX_VERSION_CODE to leave out what old kernels
 * lack. Features are tested, not inferred from a version, so this claims a
 * kernel new enough for everything to be offered.
 */
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 18, 0)
#endif
