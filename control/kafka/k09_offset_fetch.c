/* SPDX-License-Identifier: MIT
 * k09_offset_fetch.c - what a group has committed: of the partitions named, or all. Thread: control. */
#include "control/groups/offsets.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

static const struct offset_record nothing = {.offset = -1, .leader_epoch = -1,
	.metadata = {(const uint8_t *)"", 0}};

static void
write_partition(struct writer *w, int16_t version, int32_t partition, const struct offset_record *o, int16_t error)
{
	kw_i32(w, partition);
	kw_i64(w, o->offset);
	if (version >= 5)
		kw_i32(w, o->leader_epoch);
	kw_view(w, o->metadata);
	kw_i16(w, error);
	kw_tags(w);
}

static int32_t
committed(const struct group *g, unsigned i)
{
	struct offset_record rec;
	int32_t n = 0;

	for (int32_t p = 0; (p = offsets_next(g, i, p, &rec)) >= 0; p++)
		n++;
	return n;
}

static void
write_all(struct writer *w, int16_t version, const struct group *g)
{
	const unsigned topics = g ? offsets_topics(g) : 0;
	struct offset_record rec;
	int32_t n = 0;

	for (unsigned i = 0; i < topics; i++)
		n += committed(g, i) > 0;
	kw_array(w, n);
	for (unsigned i = 0; i < topics; i++) {
		n = committed(g, i);
		if (n == 0)
			continue;
		kw_view(w, offsets_topic(g, i));
		kw_array(w, n);
		for (int32_t p = 0; (p = offsets_next(g, i, p, &rec)) >= 0; p++)
			write_partition(w, version, p, &rec, 0);
		kw_tags(w);
	}
}

static void
write_named(struct writer *w, int16_t version, const struct group *g, const struct q_partitions *q,
	int16_t error)
{
	kw_array(w, q->topics);
	for (int32_t i = 0; i < q->topics; i++) {
		kw_view(w, q->topic[i].name);
		kw_array(w, q->topic[i].partitions);
		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const int32_t p = q->topic[i].partition[j];
			struct offset_record rec = nothing;

			if (g)
				(void)offsets_find(g, q->topic[i].name, p, &rec);
			write_partition(w, version, p, &rec, error);
		}
		kw_tags(w);
	}
}

static void
write_group(struct conn *c, struct writer *w, const struct q_offset_group *q)
{
	const int16_t version = c->rq.version, error = serve_group_log(c->ctl, q->name);
	const struct group *g = error ? NULL : groups_find(&c->ctl->groups, q->name);

	if (version >= 8)
		kw_view(w, q->name);
	if (error && version >= 2)
		kw_array(w, 0); /* the error of the whole says it */
	else if (q->of.all)
		write_all(w, version, g);
	else
		write_named(w, version, g, &q->of, error);
	if (version >= 2)
		kw_i16(w, error);
	if (version >= 8)
		kw_tags(w);
}

enum served
k09_offset_fetch(struct conn *c, uint64_t now_ns)
{
	const int16_t version = c->rq.version;
	struct q_offset_fetch q;
	struct writer *w;

	if (!q_offset_fetch(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	if (version >= 3)
		kw_i32(w, 0);
	if (version >= 8)
		kw_array(w, q.groups);
	for (int32_t i = 0; i < q.groups; i++)
		write_group(c, w, &q.group[i]);
	kw_tags(w);
	return SERVED_ANSWER;
}
