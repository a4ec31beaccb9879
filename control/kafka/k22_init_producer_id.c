/* SPDX-License-Identifier: MIT
 * k22_init_producer_id.c - identity of an idempotent producer, over TCP and UDP alike.
 * Thread: control. No transactions: 53. A pair (v3+) is answered with its epoch raised by one: the
 * producer raises it by itself after an error, and who knows the pair is the producer. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

static const struct park wait_for_block;

static enum served
answer(struct conn *c, int16_t error, int64_t id, int16_t epoch)
{
	struct writer *w = conn_answer(c);

	kw_i32(w, 0);
	kw_i16(w, error);
	kw_i64(w, error ? -1 : id);
	kw_i16(w, error ? -1 : epoch);
	kw_tags(w);
	return SERVED_ANSWER;
}

static enum served
fresh(struct conn *c, bool failed)
{
	const int64_t id = producer_ids_take(c->ctl);

	if (id >= 0)
		return answer(c, 0, id, 0);
	if (failed)
		return answer(c, KIRA_E_KAFKA_STORAGE_ERROR, -1, -1);
	wait_add(&c->ctl->ids.waits, c);
	return conn_park(c, &wait_for_block, NULL, UINT64_MAX);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool failed)
{
	return fresh(c, failed);
}

static const struct park wait_for_block = {again, wait_remove};

enum served
k22_init_producer_id(struct conn *c, uint64_t now_ns)
{
	struct q_init_producer_id q;

	if (!q_init_producer_id(&q, &c->rq))
		return SERVED_MALFORMED;
	if (q.transactional_id.p)
		return answer(c, KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1, -1);
	if ((q.producer_id == -1) != (q.producer_epoch == -1) || q.producer_id < -1 ||
		q.producer_epoch < -1)
		return answer(c, KIRA_E_INVALID_REQUEST, -1, -1);
	/* Only what was given out can be raised. */
	if (q.producer_id >= c->ctl->ids.next)
		return answer(c, KIRA_E_INVALID_REQUEST, -1, -1);
	if (q.producer_id >= 0 && q.producer_epoch < INT16_MAX)
		return answer(c, 0, q.producer_id, (int16_t)(q.producer_epoch + 1));
	return fresh(c, false);
}
