/* SPDX-License-Identifier: MIT
 * requests_admin.c - decode requests of administration. Pure; rules and sources: requests.c. */
#include "control/kafka/requests_admin.h"

#include "control/kafka/decode.h"

static void
more_partitions(struct reader *r, struct q_more_partitions *t, struct arena *a)
{
	t->name = decode_text(r);
	t->count = kr_i32(r);
	t->assignments = kr_array(r, INT32_MAX, 1);
	t->assignment = decode_take(a, r, t->assignments < 0 ? 0 : t->assignments, sizeof(*t->assignment));
	for (int32_t i = 0; i < t->assignments && !r->bad; i++) {
		decode_brokers(r, &t->assignment[i]);
		kr_tags(r);
	}
	kr_tags(r);
}

bool
q_create_partitions(struct q_create_partitions *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_create_partitions){0};
	ret->topics = decode_count(&r, 6);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++)
		more_partitions(&r, &ret->topic[i], a);
	ret->timeout_ms = kr_i32(&r);
	ret->validate_only = kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}
