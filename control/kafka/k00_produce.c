/* SPDX-License-Identifier: MIT
 * k00_produce.c - batches over TCP, through the same storage lcore as those over UDP.
 * Thread: control. Judges what only the request knows (acks, names, one batch per partition, codec
 * against version); everything about a batch is judged once, by storage_append(). The records are
 * looked at here where the topic wants it, or the header lacks their largest time: in turn (control.looks),
 * but for a few that lie uncompressed. Errors are per partition, the rest of the request proceeds. */
#include "control/kafka/serve.h"

#include "base/bits.h"
#include "base/clock.h"
#include "control/log.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#define CODEC_ZSTD       4
#define ZSTD_VERSION_MIN 7
/* Decompressed, a batch may be so many times max.message.bytes: a deep topic's, and one that is mended, whose
 * producers are old and few. */
#define RAW_TIMES_DEEP   256
#define RAW_TIMES_MEND   8
/* Of records that are looked at. In a pass of control whose turn is ours: up to 70 ms of empty headers. When the
 * request comes: what an ordinary one brings uncompressed, which stands behind no bomb of another. */
#define LOOK_TURN        (8 * MIB)
#define LOOK_AT_ONCE     (64 * 1024)

static const struct park wait_for_append, looking;

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

/* What every partition is refused for. */
static int16_t
judge_request(const struct q_produce *q)
{
	if (q->acks < -1 || q->acks > 1)
		return KIRA_E_INVALID_REQUIRED_ACKS;
	return q->transactional_id.p ? KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED : 0;
}

/* maxTimestamp was left out: by sarama before 1.45.1. A time that no record has is believed, unless deep. */
static bool
max_timestamp_is_unset(const uint8_t *b)
{
	const int64_t base = rb_base_timestamp(b), max = rb_max_timestamp(b);

	return max < base || (max == -1 && base < -1);
}

/* Where it was left out or false, the largest time is set, in the body. */
static void
look_inside(const struct topic *t, struct produce_part *p, uint8_t *batch, uint32_t length, uint64_t raw_max)
{
	struct batch_inside in;

	p->look_error = storage_look_inside(batch, length, raw_max, &in);
	p->looked = true;
	p->wrong = in.wrong;
	p->why = in.why;
	if (!p->look_error && !t->cfg.log.log_append_time && in.max_timestamp != rb_max_timestamp(batch))
		storage_set_max_timestamp(batch, in.max_timestamp);
}

/* The records of those batches that need it. A few KiB may decompress to many MiB: others come in between. A topic
 * may be altered, grown or gone meanwhile: all that had no look is judged anew, none is looked at (and mended)
 * twice. False: more is to be looked at. */
static bool
look_on(struct conn *c, struct produce *pr, const struct q_produce *q, bool turn)
{
	uint64_t left = turn ? LOOK_TURN : LOOK_AT_ONCE;
	unsigned at = 0;

	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = topics_find(c->ctl, q->topic[i].name);

		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct q_produce_partition *qp = &q->topic[i].partition[j];
			struct produce_part *p = &pr->part[at++];
			uint8_t *batch = (uint8_t *)(uintptr_t)qp->records.p;
			uint64_t raw_max, cost;
			bool deep;

			if (p->looked || judge(c, t, qp) != 0)
				continue;
			deep = t->cfg.validate == VALIDATE_DEEP;
			if (!deep && (t->cfg.log.log_append_time || !max_timestamp_is_unset(batch)))
				continue;
			raw_max = MIN((deep ? RAW_TIMES_DEEP : RAW_TIMES_MEND) * (uint64_t)t->cfg.log.max_message_bytes,
				64 * MIB);
			cost = rb_attributes(batch) & RB_CODEC_MASK ? raw_max : qp->records.len;
			if (cost > left && !turn)
				return false;
			left -= MIN(left, cost);
			turn = false; /* had: one, however large */
			if (qp->records.len > t->cfg.log.max_message_bytes) {
				p->looked = true;
				p->look_error = KIRA_E_MESSAGE_TOO_LARGE;
			} else {
				look_inside(t, p, batch, qp->records.len, raw_max);
			}
		}
	}
	return true;
}

static void
prepare(struct conn *c, struct produce *pr, const struct q_produce *q)
{
	const int16_t all = judge_request(q);
	unsigned at = 0;

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
				.append_flags = p->looked ? APPEND_CHECKED : 0,
				.owner = p,
			};
			p->error = all ? all : judge(c, t, qp);
			if (!p->error && p->looked)
				p->error = p->look_error;
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

static enum served
look_and_send(struct conn *c, struct produce *pr, const struct q_produce *q, uint64_t now_ns, bool turn)
{
	if (judge_request(q) == 0 && !look_on(c, pr, q, turn))
		return serve_in_line(c, &looking, pr);
	prepare(c, pr, q);
	if (!produce_start(pr, now_ns))
		return conn_park(c, &wait_for_append, pr,
			q->acks == 0 ? UINT64_MAX : now_ns + (uint64_t)MAX(q->timeout_ms, 1) * NS_PER_MS);
	return answer(c, pr, now_ns);
}

static enum served
look_again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct q_produce q;

	if (!q_produce(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	return look_and_send(c, c->park_data, &q, now_ns, true);
}

static const struct park looking = {look_again, forget};

enum served
k00_produce(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_produce q;
	struct produce *pr;
	enum served served;

	if (!q_produce(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	pr = produce_make(c, (unsigned)q.partitions, q.acks);
	if (!pr)
		return SERVED_CLOSE;
	counter_add(&ctl->count->produce_requests, 1);
	served = look_and_send(c, pr, &q, now_ns, false);
	if (served != SERVED_PARKED)
		produce_forget(pr);
	return served;
}
