/* SPDX-License-Identifier: MIT
 * k21_delete_records.c - delete records up to an offset, answered once the new start is on disk. No byte moves;
 * whole segments go later. Thread: control.
 * Memory: one piece per request, which storage's operations point into. It is freed by the last of them, or by
 * the connection, whoever comes later. */
#include "control/kafka/serve.h"
#include "control/log.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <errno.h>
#include <stdlib.h>

#define VISIBLE (-1) /* everything that consumers may read */

struct one {
	struct storage_op op;
	struct partition *part;
	int16_t error;
	bool waits;
};

struct records_deletion {
	struct records_deletion *next, **link; /* in ctl->deletions */
	unsigned left;                         /* operations that storage has */
	bool forgotten;                        /* nobody is there to be answered */
	int32_t n;
	struct one one[];
};

static const struct park wait_for_disk;

static void
unlink_deletion(struct records_deletion *d)
{
	*d->link = d->next;
	if (d->next)
		d->next->link = d->link;
	free(d);
}

static void
delete_one(struct control *ctl, struct records_deletion *d, struct one *one, const struct topic *t,
	const struct q_records_partition *q)
{
	struct partition_ends ends;

	one->part = t ? topic_partition(t, q->partition) : NULL;
	if (!one->part) {
		one->error = KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	if (t->internal) {
		one->error = KIRA_E_INVALID_TOPIC_EXCEPTION;
		return;
	}
	if (storage_state(one->part) != PART_OK) {
		one->error = KIRA_E_KAFKA_STORAGE_ERROR;
		return;
	}
	storage_ends(one->part, &ends);
	if (q->offset < VISIBLE || q->offset > ends.visible) {
		one->error = KIRA_E_OFFSET_OUT_OF_RANGE;
		return;
	}
	one->op = (struct storage_op){.kind = OP_DELETE_RECORDS, .part = &one->part, .owner = d,
		.offset = q->offset == VISIBLE ? ends.visible : q->offset};
	one->waits = true;
	d->left++;
	storage_submit(ctl->storage, &one->op);
}

static enum served
answer(struct conn *c, const struct records_deletion *d)
{
	struct q_delete_records q;
	struct writer *w;
	int32_t k = 0;

	if (!q_delete_records(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		kw_view(w, q.topic[i].name);
		kw_array(w, q.topic[i].partitions);
		for (int32_t j = 0; j < q.topic[i].partitions; j++, k++) {
			const struct one *one = &d->one[k];
			const int16_t error = one->waits ? KIRA_E_REQUEST_TIMED_OUT : one->error;

			kw_i32(w, q.topic[i].partition[j].partition);
			kw_i64(w, error ? -1 : one->op.offset);
			kw_i16(w, error);
			kw_tags(w);
		}
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static void
forget(struct conn *c)
{
	struct records_deletion *d = c->park_data;

	wait_remove(c);
	d->forgotten = true;
	if (d->left == 0)
		unlink_deletion(d);
}

/* At the deadline what is not done goes on, unheard. */
static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct records_deletion *d = c->park_data;

	if (d->left == 0 || deadline)
		return answer(c, d);
	wait_add(&c->ctl->deletion_waits, c);
	return SERVED_PARKED;
}

static const struct park wait_for_disk = {again, forget};

enum served
k21_delete_records(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_delete_records q;
	struct records_deletion *d;
	enum served served;
	int32_t k = 0;

	if (!q_delete_records(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.topics; i++)
		k += q.topic[i].partitions;
	d = calloc(1, sizeof(*d) + (size_t)k * sizeof(d->one[0]));
	if (!d)
		return SERVED_CLOSE;
	d->n = k;
	d->next = ctl->deletions;
	d->link = &ctl->deletions;
	if (d->next)
		d->next->link = &d->next;
	ctl->deletions = d;
	k = 0;
	for (int32_t i = 0; i < q.topics; i++) {
		const struct topic *t = topics_find(ctl, q.topic[i].name);

		for (int32_t j = 0; j < q.topic[i].partitions; j++)
			delete_one(ctl, d, &d->one[k++], t, &q.topic[i].partition[j]);
	}
	if (d->left > 0) {
		wait_add(&ctl->deletion_waits, c);
		return conn_park(c, &wait_for_disk, d, now_ns + (uint64_t)MAX(q.timeout_ms, 0) * NS_PER_MS);
	}
	served = answer(c, d);
	c->park_data = d;
	forget(c);
	return served;
}

void
records_deleted(struct control *ctl, struct storage_op *op)
{
	struct records_deletion *d = op->owner;
	struct one *one = (struct one *)((char *)op - offsetof(struct one, op));

	one->waits = false;
	if (op->rc == 0)
		log_info("topic %s partition %d: records below offset %lld were deleted by a client",
			storage_topic_name(one->part), storage_index(one->part), (long long)op->offset);
	one->error = op->rc == 0 ? 0 : op->rc == -ENOENT ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION :
		op->rc == -ERANGE ? KIRA_E_OFFSET_OUT_OF_RANGE : KIRA_E_KAFKA_STORAGE_ERROR;
	if (--d->left > 0)
		return;
	if (d->forgotten)
		unlink_deletion(d);
	else
		wait_wake(&ctl->deletion_waits, ctl->now_ns, false);
}

void
records_close(struct control *ctl)
{
	while (ctl->deletions)
		unlink_deletion(ctl->deletions);
}
