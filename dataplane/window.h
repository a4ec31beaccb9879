/* SPDX-License-Identifier: MIT
 * window.h - the broker's half of a session's delivery: which packets were received, which are final
 * and how, what the next ACK says of them, how far the client may send, what is on disk.
 * PROTOCOL.md, 5.1, 7 and 8. Pure: no clock, no allocation; time and sums are the caller's.
 * Thread: the rx lcore that owns the session. */
#ifndef KIRA_DATAPLANE_WINDOW_H
#define KIRA_DATAPLANE_WINDOW_H

#include <kira/wire.h>

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_WORDS (KUP_WINDOW_MAX / 64)

/* The outcome of one packet, kept until its pkt_seq + KUP_RESULTS_KEPT is received. */
struct window_outcome {
	int64_t base_offset; /* -1 unknown */
	uint32_t seq;        /* whose: the array is indexed by its low bits */
	uint32_t records;
	int32_t partition;
	int16_t error;
	uint16_t handle;
};

/* A run of outcomes, as an ACK reports it. */
struct window_result {
	int64_t base_offset;
	uint32_t first_seq;
	int32_t partition;
	uint16_t count, handle;
	int16_t error;
};

/* Up to `seq` everything is on disk once `commit` is done. */
struct window_mark {
	uint32_t seq;
	uint64_t commit;
};

struct window {
	struct window_outcome *outcome; /* [KUP_RESULTS_KEPT] */
	/* Serial. log_seq <= final_seq <= max_seq <= credit_limit <= log_seq + 1024 */
	uint32_t log_seq;    /* all up to here final, and nothing that must be reported unreported */
	uint32_t final_seq;  /* all up to here final */
	uint32_t max_seq;    /* highest received */
	uint32_t credit_limit;
	uint32_t disk_seq;
	uint32_t received_n, final_n; /* how many; pkt_seq counts from first + 1 */
	uint32_t first;      /* pkt_seq before the first: 0; others test the wrap */
	uint32_t err_total;
	uint16_t size;       /* granted window */
	uint16_t unreported_n; /* finals since the last ACK, of any outcome */
	bool offsets;        /* WANT_OFFSETS: successes are reported too */
	bool more;           /* the last report had no room for all */
	uint8_t marks;
	uint64_t commit;     /* newest that any final needs */
	struct window_mark mark[KUP_MARKS]; /* oldest first */
	/* By the low bits of pkt_seq; only (log_seq, max_seq] can be set. */
	uint64_t received[WINDOW_WORDS], final[WINDOW_WORDS], unreported[WINDOW_WORDS];
};

/* `outcome`: KUP_RESULTS_KEPT of the caller's. `first`: 0. */
void window_open(struct window *w, uint16_t size, uint32_t credit, bool offsets, uint32_t first,
	struct window_outcome *outcome);

enum window_verdict {
	WINDOW_NEW,
	WINDOW_OVER_CREDIT, /* D1 */
	WINDOW_DUP,         /* D2 */
};
enum window_verdict window_judge(const struct window *w, uint32_t seq);

/* A packet that window_judge() called new. True: a lower one is missing, or it filled such a gap;
 * an ACK is due at once. */
bool window_receive(struct window *w, uint32_t seq, uint16_t handle, int32_t partition,
	uint32_t records);

/* Its outcome. `commit`: 0, or the commit that covers it. */
void window_final(struct window *w, uint32_t seq, int16_t error, int64_t base_offset,
	uint64_t commit);

/* Received packets whose outcome is still out. */
static inline uint32_t
window_out(const struct window *w)
{
	return w->received_n - w->final_n;
}

/* What this session takes of the queue's credit: granted, and not used up by finals. */
static inline uint32_t
window_outstanding(const struct window *w)
{
	return w->credit_limit - w->first - w->final_n;
}

/* For an ACK: outcomes not reported yet, in runs, at most `max` of them; then moves log_seq.
 * Returns how many. */
unsigned window_report(struct window *w, struct window_result *ret, unsigned max);

/* For a QUERY: what is known of `count` packets from `seq` on. Counts as reported. */
unsigned window_query(struct window *w, uint32_t seq, unsigned count, struct window_result *ret,
	unsigned max);

/* Selective ack: bit i of word k: log_seq + 1 + 64 k + i was received. Returns the words. */
unsigned window_sack(const struct window *w, uint64_t ret[KUP_SACK_WORDS_MAX]);

/* How far credit_limit may go up with `share` packets outstanding; never below where it is. */
uint32_t window_credit_wanted(const struct window *w, uint32_t share);

/* The client is silent: take unused credit back. Returns how much. */
uint32_t window_lapse(struct window *w);

/* `done`: the newest commit done. True: disk_seq moved. */
bool window_disk(struct window *w, uint64_t done);

#endif
