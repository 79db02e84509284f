/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why: included by BCC, which brings what it needs of it along itself. */
