/* SPDX-License-Identifier: MIT
 * requests_offsets.c - decode the requests on committed offsets. Pure; see requests.c. */
#include "control/kafka/decode.h"

static void
commit_topic(struct reader *r, struct q_commit_topic *t, struct arena *a, int16_t version)
{
	t->name = decode_text(r);
	t->partitions = decode_count(r, 13);
	t->partition = decode_take(a, r, t->partitions, sizeof(*t->partition));
	for (int32_t i = 0; i < t->partitions && !r->bad; i++) {
		struct q_commit_partition *p = &t->partition[i];

		p->partition = kr_i32(r);
		p->offset = kr_i64(r);
		p->leader_epoch = version >= 6 ? kr_i32(r) : -1;
		p->metadata = kr_string(r);
		kr_tags(r);
	}
	kr_tags(r);
}

bool
q_offset_commit(struct q_offset_commit *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_offset_commit){0};
	ret->group = decode_text(&r);
	ret->generation = kr_i32(&r);
	ret->member = decode_text(&r);
	if (rq->version >= 7)
		ret->instance = kr_string(&r);
	if (rq->version <= 4)
		(void)kr_i64(&r); /* retentionTimeMs: retention is the broker's */
	ret->topics = decode_count(&r, 3);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		commit_topic(&r, &ret->topic[i], a, rq->version);
		ret->partitions += ret->topic[i].partitions;
	}
	kr_tags(&r);
	return !r.bad;
}

void
decode_partitions(struct reader *r, struct q_partitions *ret, struct arena *a, bool may_be_null)
{
	const int32_t n = may_be_null ? kr_array(r, INT32_MAX, 3) : decode_count(r, 3);

	ret->all = n < 0;
	ret->topics = n < 0 ? 0 : n;
	ret->topic = decode_take(a, r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r->bad; i++) {
		struct q_topic_partitions *t = &ret->topic[i];

		t->name = decode_text(r);
		t->partitions = decode_count(r, 4);
		t->partition = decode_take(a, r, t->partitions, sizeof(*t->partition));
		for (int32_t j = 0; j < t->partitions && !r->bad; j++)
			t->partition[j] = kr_i32(r);
		kr_tags(r);
	}
}

bool
q_offset_fetch(struct q_offset_fetch *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_offset_fetch){.groups = 1};
	if (rq->version >= 8)
		ret->groups = decode_count(&r, 3);
	ret->group = decode_take(a, &r, ret->groups, sizeof(*ret->group));
	for (int32_t i = 0; i < ret->groups && !r.bad; i++) {
		ret->group[i].name = decode_text(&r);
		if (rq->version >= 9) {
			(void)kr_string(&r); /* memberId, memberEpoch: of groups that are not classic */
			(void)kr_i32(&r);
		}
		decode_partitions(&r, &ret->group[i].of, a, rq->version >= 2);
		if (rq->version >= 8)
			kr_tags(&r);
	}
	if (rq->version >= 7)
		(void)kr_bool(&r); /* requireStable: without transactions all is */
	kr_tags(&r);
	return !r.bad;
}

bool
q_offset_delete(struct q_offset_delete *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_offset_delete){0};
	ret->group = decode_text(&r);
	decode_partitions(&r, &ret->of, a, false);
	return !r.bad;
}
