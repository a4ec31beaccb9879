/* SPDX-License-Identifier: MIT
 * decode.h - what the decoders of requests share: a body, the arena its arrays lie in, counts that must fit.
 * Pure. Rules: requests.h. */
#ifndef KIRA_CONTROL_KAFKA_DECODE_H
#define KIRA_CONTROL_KAFKA_DECODE_H

#include "control/kafka/requests.h"

static inline struct reader
decode_open(const struct request *rq, struct arena *a)
{
	if (a) {
		a->used = 0;
		a->limit = ARENA_BYTES;
	}
	return kr_open(rq->body, rq->length, rq->flexible);
}

/* Room for n elements of `size` bytes, zeroed; NULL and bad where the arena is too small. */
static inline void *
decode_take(struct arena *a, struct reader *r, int32_t n, size_t size)
{
	const size_t bytes = ((size_t)n * size + 15) & ~(size_t)15;
	void *p;

	if (r->bad || n < 0 || bytes > a->limit - a->used) {
		r->bad = true;
		return NULL;
	}
	p = a->bytes + a->used;
	a->used += (uint32_t)bytes;
	memset(p, 0, bytes);
	return p;
}

/* An array that must not be null. */
static inline int32_t
decode_count(struct reader *r, size_t smallest)
{
	const int32_t n = kr_array(r, INT32_MAX, smallest);

	if (n < 0)
		r->bad = true;
	return r->bad ? 0 : n;
}

/* Partitions of topics; null, where it may be: all. requests_offsets.c */
void decode_partitions(struct reader *r, struct q_partitions *ret, struct arena *a, bool may_be_null);

/* A list of brokers: how many, and the first. */
static inline void
decode_brokers(struct reader *r, struct q_assignment *as)
{
	as->brokers = decode_count(r, 4);
	for (int32_t i = 0; i < as->brokers && !r->bad; i++) {
		const int32_t broker = kr_i32(r);

		if (i == 0)
			as->first_broker = broker;
	}
}

/* A string that must not be null. */
static inline struct view
decode_text(struct reader *r)
{
	const struct view v = kr_string(r);

	if (!v.p)
		r->bad = true;
	return v;
}

#endif
