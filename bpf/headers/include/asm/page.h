/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why: BCC's BPF_RINGBUF_OUTPUT counts in pages. The loader gives the real size. */
#ifndef PAGE_SIZE
#define PAGE_SIZE AGENTD_PAGE_SIZE
#endif
