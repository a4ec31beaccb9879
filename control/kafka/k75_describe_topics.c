/* SPDX-License-Identifier: MIT
 * k75_describe_topics.c - DescribeTopicPartitions: topics in order of name, at most so many partitions, and from
 * where to go on. Thread: control.
 * A page costs a sort of all names that are asked for, not of partitions. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include "base/bits.h"

#include <kira/errors.h>

#include <stdlib.h>

#define PARTITIONS_PAGE 2000 /* Kafka's max.request.partition.size.limit */

static int
by_name(const void *a, const void *b)
{
	return view_order(*(const struct view *)a, *(const struct view *)b);
}

/* Names to tell, from the cursor on, each once, sorted. NULL: no memory. */
static struct view *
names_of(const struct control *ctl, const struct q_describe_topics *q, int32_t *n)
{
	const size_t room = q->topics > 0 ? (size_t)q->topics : ctl->topics.n;
	struct view *name = malloc((room + 1) * sizeof(*name));
	int32_t kept = 0;

	*n = 0;
	if (!name)
		return NULL;
	for (int32_t i = 0; i < q->topics; i++)
		name[(*n)++] = q->topic[i];
	for (const struct topic *t = ctl->topics.first; t && q->topics == 0; t = t->next)
		if (t->state == TOPIC_LIVE)
			name[(*n)++] = view_text(t->name);
	qsort(name, (size_t)*n, sizeof(*name), by_name);
	for (int32_t i = 0; i < *n; i++)
		if ((!q->has_cursor || view_order(name[i], q->cursor_topic) >= 0) &&
			(kept == 0 || !view_same(name[i], name[kept - 1])))
			name[kept++] = name[i];
	*n = kept;
	return name;
}

static bool
cursor_right(const struct q_describe_topics *q, const struct view *name, int32_t n)
{
	if (!q->has_cursor)
		return true;
	/* Of topics that were named it must be one; among all it may have gone meanwhile. */
	return q->cursor_partition >= 0 &&
		(q->topics == 0 || (n > 0 && view_same(name[0], q->cursor_topic)));
}

static void
write_partition(struct writer *w, const struct topic *t, int32_t i, int32_t node)
{
	kw_i16(w, 0);
	kw_i32(w, i);
	kw_i32(w, node);
	kw_i32(w, storage_leader_epoch(t->part->part[i]));
	kw_array(w, 1);
	kw_i32(w, node);
	kw_array(w, 1);
	kw_i32(w, node);
	/* eligibleLeaderReplicas, lastKnownElr, offlineReplicas. None of them null, though the format allows it
	 * for two: Java's client (3.9.1, 4.1.0) does not look before it walks them. */
	kw_array(w, 0);
	kw_array(w, 0);
	kw_array(w, 0);
	kw_tags(w);
}

static void
write_topic(struct writer *w, struct view name, const struct topic *t, int32_t from, int32_t to, int32_t node)
{
	kw_i16(w, t ? 0 : topic_name_legal(name) ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION : KIRA_E_INVALID_TOPIC_EXCEPTION);
	kw_view(w, name);
	kw_raw(w, t ? t->id : serve_no_id, UUID_BYTES);
	kw_bool(w, t && t->internal);
	kw_array(w, to - from);
	for (int32_t i = from; i < to; i++)
		write_partition(w, t, i, node);
	kw_i32(w, t ? SERVE_TOPIC_OPERATIONS : INT32_MIN);
	kw_tags(w);
}

/* How many names fit into the page; where the next begins. */
struct page {
	int32_t names;
	int32_t last_to;    /* of the last name: partitions up to here */
	bool more;
	struct view next_name;
	int32_t next_from;
};

static int32_t
first_of(const struct q_describe_topics *q, struct view name)
{
	return q->has_cursor && view_same(name, q->cursor_topic) ? q->cursor_partition : 0;
}

static struct page
lay_out(const struct control *ctl, const struct q_describe_topics *q, const struct view *name, int32_t n)
{
	int32_t left = MAX(MIN(q->limit, PARTITIONS_PAGE), 1);
	struct page p = {0};

	for (; p.names < n; p.names++) {
		const struct topic *t = topics_find(ctl, name[p.names]);
		const int32_t from = t ? MIN(first_of(q, name[p.names]), t->partitions) : 0;
		const int32_t has = t ? t->partitions - from : 0;

		if (left == 0 || has > left) {
			p.more = true;
			p.next_name = name[p.names];
			p.next_from = left == 0 ? 0 : from + left;
			p.names += left > 0;
			p.last_to = p.next_from;
			return p;
		}
		left -= has;
		p.last_to = from + has;
	}
	return p;
}

static void
write_page(struct writer *w, const struct control *ctl, const struct q_describe_topics *q,
	const struct view *name, const struct page *p)
{
	kw_array(w, p->names);
	for (int32_t i = 0; i < p->names; i++) {
		const struct topic *t = topics_find(ctl, name[i]);
		const int32_t from = t ? MIN(first_of(q, name[i]), t->partitions) : 0;
		const bool cut = p->more && i + 1 == p->names && p->next_from > 0;

		write_topic(w, name[i], t, from, cut ? p->last_to : t ? t->partitions : 0,
			(int32_t)ctl->cfg->node_id);
	}
	kw_i8(w, p->more ? 1 : -1);
	if (p->more) {
		kw_view(w, p->next_name);
		kw_i32(w, p->next_from);
		kw_tags(w);
	}
}

enum served
k75_describe_topics(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_describe_topics q;
	struct page page;
	struct view *name;
	struct writer *w;
	int32_t n;

	if (!q_describe_topics(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	name = names_of(ctl, &q, &n);
	if (!name)
		return SERVED_CLOSE;
	w = conn_answer(c);
	kw_i32(w, 0);
	if (cursor_right(&q, name, n)) {
		page = lay_out(ctl, &q, name, n);
		write_page(w, ctl, &q, name, &page);
	} else {
		/* No place for an error but a topic's. */
		kw_array(w, 1);
		kw_i16(w, KIRA_E_INVALID_REQUEST);
		kw_view(w, q.cursor_topic);
		kw_raw(w, serve_no_id, UUID_BYTES);
		kw_bool(w, false);
		kw_array(w, 0);
		kw_i32(w, INT32_MIN);
		kw_tags(w);
		kw_i8(w, -1);
	}
	kw_tags(w);
	free(name);
	return SERVED_ANSWER;
}
