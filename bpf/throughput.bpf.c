/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A producer that does nothing else: for agentd bench transport. BCC dialect.
 *
 * Run by BPF_PROG_TEST_RUN, each time RECORDS_PER_RUN records of RECORD_BYTES
 * into a ring buffer of RING_PAGES, or into a perf buffer (PERFBUF).
 */
struct record {
	u64 first;
	char rest[RECORD_BYTES - sizeof(u64)];
};

/* what was handed over, and what found no room */
BPF_ARRAY(counts, u64, 2);

#ifdef PERFBUF
BPF_PERF_OUTPUT(events);
BPF_ARRAY(scratch, struct record, 1);

static __always_inline bool put(void *ctx)
{
	u32 zero = 0;
	struct record *record = scratch.lookup(&zero);

	return record && events.perf_submit(ctx, record, sizeof(*record)) == 0;
}
#else
BPF_RINGBUF_OUTPUT(events, RING_PAGES);

static __always_inline bool put(void *ctx)
{
	struct record *record = events.ringbuf_reserve(sizeof(struct record));

	if (!record)
		return false;
	record->first = 1;
	events.ringbuf_submit(record, 0);
	return true;
}
#endif

int produce(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0, one = 1;
	u64 *made = counts.lookup(&zero), *dropped = counts.lookup(&one);
	int i;

	if (!made || !dropped)
		return 0;
	for (i = 0; i < RECORDS_PER_RUN; i++) {
		if (put(ctx))
			*made += 1;
		else
			*dropped += 1;
	}
	return 0;
}
