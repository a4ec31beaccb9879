/* SPDX-License-Identifier: MIT
 * requests_fetch.c - decode the body of Fetch, whose fields changed most over its versions: topics by
 * name, from 13 on by id; a follower's id in front, from 15 on in a tag. Pure. Rules: requests.h. */
#include "control/kafka/decode.h"

#define TAG_REPLICA_STATE 1 /* @15+: replicaId:i32 replicaEpoch:i64 */

/* Its name, or from 13 on its id. */
static struct view
topic_key(struct reader *r, int16_t version)
{
	struct view v;

	if (version < 13)
		return decode_text(r);
	v.p = kr_take(r, UUID_BYTES);
	v.len = v.p ? UUID_BYTES : 0;
	return v;
}

static void
fetch_partition(struct reader *r, struct q_fetch_partition *p, int16_t version)
{
	p->partition = kr_i32(r);
	p->leader_epoch = version >= 9 ? kr_i32(r) : -1;
	p->offset = kr_i64(r);
	p->last_fetched_epoch = version >= 12 ? kr_i32(r) : -1;
	if (version >= 5)
		(void)kr_i64(r); /* logStartOffset: a follower's */
	p->max_bytes = kr_i32(r);
	kr_tags(r); /* @17+ replicaDirectoryId: a follower's */
}

static void
fetch_topics(struct reader *r, struct q_fetch *q, int16_t version, struct arena *a)
{
	const size_t smallest = version < 13 ? 3 : UUID_BYTES + 1;

	q->topics = decode_count(r, smallest);
	q->topic = decode_take(a, r, q->topics, sizeof(*q->topic));
	for (int32_t i = 0; i < q->topics && !r->bad; i++) {
		struct q_fetch_topic *t = &q->topic[i];

		t->key = topic_key(r, version);
		t->partitions = decode_count(r, 16);
		t->partition = decode_take(a, r, t->partitions, sizeof(*t->partition));
		for (int32_t j = 0; j < t->partitions && !r->bad; j++)
			fetch_partition(r, &t->partition[j], version);
		q->partitions += t->partitions;
		kr_tags(r);
	}
}

/* Of a fetch session: what it no longer wants. */
static void
forgotten_topics(struct reader *r, struct q_fetch *q, int16_t version, struct arena *a)
{
	q->forgotten_topics = decode_count(r, version < 13 ? 2 : UUID_BYTES + 1);
	q->forgotten = decode_take(a, r, q->forgotten_topics, sizeof(*q->forgotten));
	for (int32_t i = 0; i < q->forgotten_topics && !r->bad; i++) {
		struct q_fetch_forgotten *t = &q->forgotten[i];

		t->key = topic_key(r, version);
		t->partitions = decode_count(r, 4);
		t->partition = kr_take(r, (size_t)t->partitions * 4);
		kr_tags(r);
	}
}

/* The tags of the body: who is a follower says so here. */
static int32_t
replica_tag(struct reader *r)
{
	uint32_t n = kr_uvarint(r);
	int32_t replica = -1;

	if (n > KR_TAGS_MAX)
		r->bad = true;
	for (; n > 0 && !r->bad; n--) {
		const uint32_t tag = kr_uvarint(r), length = kr_uvarint(r);
		const uint8_t *p = kr_take(r, length);

		if (p && tag == TAG_REPLICA_STATE && length >= 4)
			replica = (int32_t)get_be32(p);
	}
	return replica;
}

bool
q_fetch(struct q_fetch *ret, const struct request *rq, struct arena *a)
{
	const int16_t version = rq->version;
	struct reader r = decode_open(rq, a);

	a->limit = a->size;
	*ret = (struct q_fetch){.replica = -1, .session_epoch = -1};
	if (version < 15)
		ret->replica = kr_i32(&r);
	ret->max_wait_ms = kr_i32(&r);
	ret->min_bytes = kr_i32(&r);
	ret->max_bytes = kr_i32(&r);
	(void)kr_i8(&r); /* isolationLevel: without transactions both read the same */
	if (version >= 7) {
		ret->session_id = kr_i32(&r);
		ret->session_epoch = kr_i32(&r);
	}
	fetch_topics(&r, ret, version, a);
	if (version >= 7)
		forgotten_topics(&r, ret, version, a);
	if (version >= 11)
		(void)kr_string(&r); /* rackId */
	if (version >= 15)
		ret->replica = replica_tag(&r);
	else
		kr_tags(&r);
	return !r.bad;
}
