/* SPDX-License-Identifier: MIT
 * k61_describe_producers.c - the producers of partitions, and the last sequence of each. Thread: control.
 * What is asked lies with the storage lcores: one partition after the other is asked for, so that an answer needs room
 * for one partition's and for what it says, half of what any answer may have: partitions beyond are refused. A query
 * whose client has gone ends with the answer of its lcore. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include "base/assert.h"

#include <kira/errors.h>

#include <stdlib.h>

#define PRODUCERS_TOLD 1000 /* of a partition: a look of microseconds for its lcore */
#define ROW_BYTES      37   /* in the answer */

struct told {
	int16_t error;
	uint32_t first, n; /* in row[] */
};

struct query {
	struct store_msg msg;
	struct conn *conn; /* NULL: gone */
	bool out;          /* msg is with the lcore */
	int32_t parts, done;
	struct storage_producer *row;
	size_t rows;
	struct storage_producer room[PRODUCERS_TOLD];
	struct told told[];
};

static const struct park wait_for_lcore;

static void
query_free(struct query *qu)
{
	free(qu->row);
	free(qu);
}

static void
write_partition(struct writer *w, const struct query *qu, const struct told *told, int32_t partition)
{
	kw_i32(w, partition);
	kw_i16(w, told->error);
	kw_string(w, told->error ? kira_error_meaning(told->error) : NULL);
	kw_array(w, (int32_t)told->n);
	for (uint32_t i = 0; i < told->n; i++) {
		const struct storage_producer *p = &qu->row[told->first + i];

		kw_i64(w, p->id);
		kw_i32(w, p->epoch);
		kw_i32(w, p->last_sequence);
		kw_i64(w, p->last_timestamp);
		kw_i32(w, -1); /* coordinatorEpoch, currentTxnStartOffset: there are no transactions */
		kw_i64(w, -1);
		kw_tags(w);
	}
	kw_tags(w);
}

static enum served
answer(struct conn *c, const struct query *qu, const struct q_partitions *q)
{
	struct writer *w = conn_answer(c);
	int32_t k = 0;

	kw_i32(w, 0);
	kw_array(w, q->topics);
	for (int32_t i = 0; i < q->topics; i++) {
		kw_view(w, q->topic[i].name);
		kw_array(w, q->topic[i].partitions);
		for (int32_t j = 0; j < q->topic[i].partitions; j++, k++)
			write_partition(w, qu, &qu->told[k], q->topic[i].partition[j]);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

/* Partition k of those asked for; NULL: not there. */
static struct partition *
find(const struct control *ctl, const struct q_partitions *q, int32_t k)
{
	const struct topic *t;
	int32_t i = 0;

	while (k >= q->topic[i].partitions)
		k -= q->topic[i++].partitions;
	t = topics_find(ctl, q->topic[i].name);
	return t ? topic_partition(t, q->topic[i].partition[k]) : NULL;
}

/* On to the next partition that is there. */
static enum served
go_on(struct conn *c, struct query *qu)
{
	struct control *ctl = c->ctl;
	struct q_partitions q;

	if (!q_describe_producers(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	for (; qu->done < qu->parts; qu->done++) {
		struct partition *part = find(ctl, &q, qu->done);

		if (part) {
			qu->msg = (struct store_msg){.kind = STORE_PRODUCERS, .part = part, .producers = qu->room,
				.length = PRODUCERS_TOLD, .owner = qu};
			qu->out = true;
			produce_give(ctl, &qu->msg);
			return SERVED_PARKED;
		}
		qu->told[qu->done].error = KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	}
	return answer(c, qu, &q);
}

void
producers_told(struct control *ctl, struct store_msg *msg)
{
	struct query *qu = msg->owner;
	struct told *told = &qu->told[qu->done++];
	size_t n = msg->error || msg->base_offset < 0 ? 0 : (size_t)msg->base_offset;
	int16_t error = msg->error;

	qu->out = false;
	if (!qu->conn) {
		query_free(qu);
		return;
	}
	if ((qu->rows + n) * ROW_BYTES > ctl->scratch_size / 2) {
		error = KIRA_E_POLICY_VIOLATION;
		n = 0;
	}
	if (n > 0) {
		qu->row = realloc(qu->row, (qu->rows + n) * sizeof(*qu->row));
		ASSERT(qu->row);
		memcpy(qu->row + qu->rows, qu->room, n * sizeof(*qu->row));
	}
	*told = (struct told){.error = error, .first = (uint32_t)qu->rows, .n = (uint32_t)n};
	qu->rows += n;
	conn_wake(qu->conn, ctl->now_ns, false);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	return go_on(c, c->park_data);
}

static void
forget(struct conn *c)
{
	struct query *qu = c->park_data;

	qu->conn = NULL;
	if (!qu->out)
		query_free(qu);
}

static const struct park wait_for_lcore = {again, forget};

enum served
k61_describe_producers(struct conn *c, uint64_t now_ns)
{
	struct q_partitions q;
	enum served served;
	struct query *qu;
	int32_t parts = 0;

	if (!q_describe_producers(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.topics; i++)
		parts += q.topic[i].partitions;
	qu = calloc(1, sizeof(*qu) + (size_t)parts * sizeof(qu->told[0]));
	if (!qu)
		return SERVED_CLOSE;
	qu->conn = c;
	qu->parts = parts;
	(void)conn_park(c, &wait_for_lcore, qu, UINT64_MAX);
	served = go_on(c, qu);
	if (served != SERVED_PARKED) {
		c->park = NULL;
		forget(c);
	}
	return served;
}
