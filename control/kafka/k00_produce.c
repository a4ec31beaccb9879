/* SPDX-License-Identifier: MIT
 * k00_produce.c - batches over TCP, through the same storage lcore as those over UDP.
 * Thread: control. Judges what only the request knows (acks, names, one batch per partition, codec
 * against version); everything about a batch is judged once, by storage_append(). The records are
 * looked at here where the topic wants it, or the header lacks their largest time. Errors are per
 * partition, the rest of the request proceeds. */
#include "control/kafka/serve.h"

#include "base/bits.h"
#include "base/clock.h"
#include "control/log.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#define CODEC_ZSTD       4
#define ZSTD_VERSION_MIN 7
#define RAW_TIMES        256 /* decompressed, a batch may be so many times max.message.bytes */

static const struct park wait_for_append;

/* What control judges; 0: to be sent. */
static int16_t
judge(struct conn *c, const struct topic *t, const struct q_produce_partition *q)
{
	const struct view v = q->records;
	struct partition *part = t ? topic_partition(t, q->partition) : NULL;

	if (!part)
		return KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
	if (t->internal)
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	if (storage_state(part) != PART_OK)
		return KIRA_E_KAFKA_STORAGE_ERROR;
	if (v.len == 0)
		return KIRA_E_INVALID_RECORD;
	if (v.len < RB_HEADER)
		return KIRA_E_CORRUPT_MESSAGE;
	/* Bytes behind the first batch: a second one, which the protocol forbids since v3. */
	if (rb_total(v.p) < (int64_t)v.len)
		return rb_total(v.p) < RB_HEADER ? KIRA_E_CORRUPT_MESSAGE : KIRA_E_INVALID_RECORD;
	if ((rb_attributes(v.p) & RB_CODEC_MASK) == CODEC_ZSTD && c->rq.version < ZSTD_VERSION_MIN)
		return KIRA_E_UNSUPPORTED_COMPRESSION_TYPE;
	return 0;
}

/* maxTimestamp was left out: by sarama before 1.45.1. A time that no record has is believed, unless deep. */
static bool
max_timestamp_is_unset(const uint8_t *b)
{
	const int64_t base = rb_base_timestamp(b), max = rb_max_timestamp(b);

	return max < base || (max == -1 && base < -1);
}

/* 0, or why the records may not be stored. Where it was left out or false, the largest time is set. */
static int16_t
look_inside(const struct topic *t, struct produce_part *p)
{
	const bool stamped = t->cfg.log.log_append_time;
	struct batch_inside in;
	int16_t error;

	if (t->cfg.validate != VALIDATE_DEEP && (stamped || !max_timestamp_is_unset(p->msg.batch)))
		return 0;
	error = storage_look_inside(p->msg.batch, p->msg.length,
		RAW_TIMES * (uint64_t)t->cfg.log.max_message_bytes, &in);
	if (error) {
		p->wrong = in.wrong;
		p->why = in.why;
		return error;
	}
	if (!stamped && in.max_timestamp != rb_max_timestamp(p->msg.batch))
		storage_set_max_timestamp(p->msg.batch, in.max_timestamp);
	p->msg.append_flags = APPEND_CHECKED;
	return 0;
}

static void
prepare(struct conn *c, struct produce *pr, const struct q_produce *q)
{
	int16_t all = 0;
	unsigned at = 0;

	if (q->acks < -1 || q->acks > 1)
		all = KIRA_E_INVALID_REQUIRED_ACKS;
	else if (q->transactional_id.p)
		all = KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	for (int32_t i = 0; i < q->topics; i++) {
		struct topic *t = topics_find(c->ctl, q->topic[i].name);

		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct q_produce_partition *qp = &q->topic[i].partition[j];
			struct produce_part *p = &pr->part[at++];

			p->partition = qp->partition;
			p->msg = (struct store_msg){
				.kind = STORE_PRODUCE,
				.batch = (uint8_t *)(uintptr_t)qp->records.p,
				.length = qp->records.len,
				.owner = p,
			};
			p->error = all ? all : judge(c, t, qp);
			if (!p->error)
				p->error = look_inside(t, p);
			if (p->error) {
				counter_add(&c->ctl->count->produce_errors, 1);
				continue;
			}
			p->msg.part = topic_partition(t, qp->partition);
			p->topic = t;
			p->level = topic_config_level(&t->cfg, q->acks);
		}
	}
}

static enum served
answer_silent(struct conn *c, const struct produce *pr, uint64_t now_ns)
{
	static struct log_limit refused;
	char peer[64];

	for (unsigned i = 0; i < pr->parts; i++) {
		const int16_t error = pr->part[i].error;

		if (error == 0 || error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER)
			continue;
		log_limited(&refused, now_ns, LOG_LEVEL_WARN,
			"%s: closed: produce with acks=0 failed: %s (%s)", conn_peer(c, peer),
			kira_error_name(error), kira_error_meaning(error));
		return SERVED_CLOSE;
	}
	return SERVED_SILENT;
}

static void
write_part(struct writer *w, const struct produce_part *p, int16_t version)
{
	const bool failed = p->error != 0 && p->error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER;

	kw_i32(w, p->partition);
	kw_i16(w, p->error);
	kw_i64(w, failed ? -1 : p->base_offset);
	kw_i64(w, failed ? -1 : p->append_ms);
	if (version >= 5)
		kw_i64(w, failed ? -1 : p->log_start);
	if (version >= 8) {
		kw_array(w, p->why && p->wrong >= 0);
		if (p->why && p->wrong >= 0) {
			kw_i32(w, p->wrong);
			kw_string(w, p->why);
			kw_tags(w);
		}
		kw_string(w, !failed ? NULL : p->why && p->wrong < 0 ? p->why : kira_error_meaning(p->error));
	}
	kw_tags(w);
}

static enum served
answer(struct conn *c, const struct produce *pr, uint64_t now_ns)
{
	struct q_produce q;
	struct writer *w;
	unsigned at = 0;

	if (pr->acks == 0)
		return answer_silent(c, pr, now_ns);
	/* The body still lies here: names need not be kept. */
	if (!q_produce(&q, &c->rq, &c->ctl->arena) || (unsigned)q.partitions != pr->parts)
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		kw_view(w, q.topic[i].name);
		kw_array(w, q.topic[i].partitions);
		for (int32_t j = 0; j < q.topic[i].partitions; j++)
			write_part(w, &pr->part[at++], c->rq.version);
		kw_tags(w);
	}
	kw_i32(w, 0); /* throttle: last, here alone */
	kw_tags(w);
	return SERVED_ANSWER;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct produce *pr = c->park_data;

	if (deadline)
		c->park_until_ns = produce_expire(pr, now_ns);
	return pr->undecided > 0 ? SERVED_PARKED : answer(c, pr, now_ns);
}

static void
forget(struct conn *c)
{
	produce_forget(c->park_data);
}

static const struct park wait_for_append = {again, forget};

enum served
k00_produce(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_produce q;
	struct produce *pr;
	enum served served;

	if (!q_produce(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	pr = produce_make(c, (unsigned)q.partitions, q.acks, now_ns);
	if (!pr)
		return SERVED_CLOSE;
	counter_add(&ctl->count->produce_requests, 1);
	prepare(c, pr, &q);
	if (!produce_start(pr))
		return conn_park(c, &wait_for_append, pr,
			q.acks == 0 ? UINT64_MAX : now_ns + (uint64_t)MAX(q.timeout_ms, 1) * NS_PER_MS);
	served = answer(c, pr, now_ns);
	produce_forget(pr);
	return served;
}
