/* SPDX-License-Identifier: MIT
 * k01_fetch.c - records out: heads from memory, batches by sendfile straight from segment files.
 * Thread: control. Never: touches a record byte. How it works, with a picture: control/FETCH.md.
 *
 * Limits: min(max_bytes, fetch-max-bytes) in all; partitions in the order asked for, each at most
 * its own limit and what is left; the first one with data may exceed both by one batch, so that a
 * consumer always gets on. Whole batches, from the one that contains the offset asked for to at
 * most the visible offset, within one segment: one range of one file per partition. */
#include "control/kafka/serve.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#define LARGE_WAIT_MS 500 /* a body of its own is not kept longer by a request that waits */

static const struct park wait_for_data;

/* One partition, judged. */
struct look {
	struct partition *part; /* NULL: error says why */
	int16_t error;
	struct partition_ends ends;
	bool diverges;
	int32_t diverging_epoch;
	int64_t diverging_end;
};

/* A topic by its name, from version 13 on by its id. */
static const struct topic *
topic_of(const struct conn *c, struct view key)
{
	return c->rq.version >= 13 ? topics_find_id(c->ctl, key.p) : topics_find(c->ctl, key);
}

static void
look_at(struct conn *c, const struct topic *t, const struct q_fetch_partition *q, struct look *ret)
{
	bool halted;

	*ret = (struct look){.ends = {-1, -1, -1, -1}};
	ret->part = t ? topic_partition(t, q->partition) : NULL;
	if (!ret->part) {
		ret->error = !t && c->rq.version >= 13 ? KIRA_E_UNKNOWN_TOPIC_ID
						       : KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
		return;
	}
	ret->error = serve_epoch(ret->part, q->leader_epoch);
	if (ret->error)
		goto fail;
	storage_ends(ret->part, &ret->ends);
	halted = storage_state(ret->part) == PART_HALTED;
	if (q->last_fetched_epoch >= 0 && !halted) {
		storage_epoch_end(ret->part, q->last_fetched_epoch, &ret->diverging_epoch,
			&ret->diverging_end);
		ret->error = ret->diverging_end < 0 ? KIRA_E_OFFSET_OUT_OF_RANGE : 0;
		if (ret->error)
			goto fail;
		if (ret->diverging_epoch < q->last_fetched_epoch || ret->diverging_end < q->offset) {
			ret->diverges = true;
			return;
		}
	}
	/* How far the log of a halted one reaches shows when it is whole again. Told that this offset is out of
	 * range, a consumer would go back to an end that is none, or skip what it has not read. */
	if (q->offset < ret->ends.start || (q->offset > ret->ends.end && !halted)) {
		ret->error = KIRA_E_OFFSET_OUT_OF_RANGE;
		goto fail;
	}
	/* Nothing will ever come behind the last good byte of a failed partition. An empty answer
	 * would be asked for again at once, for ever; an error makes clients wait and say so. */
	if (q->offset >= ret->ends.visible && storage_state(ret->part) != PART_OK)
		ret->error = KIRA_E_KAFKA_STORAGE_ERROR;
	return;
fail:
	ret->part = NULL;
	ret->ends = (struct partition_ends){-1, -1, -1, -1};
}

/* Is there enough to answer, or something that must be said at once? */
static bool
ready(struct conn *c, const struct q_fetch *q)
{
	const uint64_t want = (uint64_t)MAX(MIN(q->min_bytes, q->max_bytes), 0);
	uint64_t have = 0;
	struct look look;

	if (q->max_wait_ms <= 0 || q->partitions == 0 || want == 0)
		return true;
	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = topic_of(c, q->topic[i].key);

		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct q_fetch_partition *p = &q->topic[i].partition[j];

			look_at(c, t, p, &look);
			if (look.error || look.diverges)
				return true;
			if (p->offset < look.ends.visible)
				have += storage_available(look.part, p->offset, want - have);
			if (have >= want)
				return true;
			/* Failed: what it has was counted; more will not come. */
			if (storage_state(look.part) != PART_OK)
				return true;
		}
	}
	return false;
}

struct budget {
	uint32_t left;
	bool some; /* a partition has given data */
};

static void
write_partition(struct conn *c, struct writer *w, const struct topic *t,
	const struct q_fetch_partition *q, int16_t error, struct budget *b)
{
	const int16_t version = c->rq.version;
	struct control *ctl = c->ctl;
	struct storage_range range = {.length = 0};
	struct look look;

	if (error) {
		look = (struct look){.error = error, .ends = {-1, -1, -1, -1}};
	} else {
		look_at(c, t, q, &look);
		if (!look.error && !look.diverges && q->offset < look.ends.visible &&
			ctl->pieces < ctl->pieces_max)
			look.error = storage_read(look.part, q->offset,
				MIN((uint32_t)MAX(q->max_bytes, 0), b->left), !b->some, &range);
		if (look.error)
			range.length = 0;
	}
	kw_i32(w, q->partition);
	kw_i16(w, look.error);
	kw_i64(w, look.ends.visible);
	kw_i64(w, look.ends.visible);
	if (version >= 5)
		kw_i64(w, look.ends.start);
	kw_array(w, -1); /* aborted transactions: null */
	if (version >= 11)
		kw_i32(w, -1);
	kw_size(w, (int32_t)range.length, true);
	if (range.length > 0) {
		ctl->piece[ctl->pieces++] = (struct piece){(uint32_t)kw_length(w), range};
		b->left -= MIN(b->left, range.length);
		b->some = true;
	}
	if (!w->flexible)
		return;
	if (!look.diverges) {
		kw_tags(w);
		return;
	}
	kw_uvarint(w, 1);  /* one tag: */
	kw_uvarint(w, 0);  /* 0, diverging_epoch */
	kw_uvarint(w, 13); /* of 13 bytes */
	kw_i32(w, look.diverging_epoch);
	kw_i64(w, look.diverging_end);
	kw_tags(w);
}

static enum served
answer(struct conn *c, const struct q_fetch *q, int16_t error)
{
	const int16_t version = c->rq.version;
	struct budget b = {.left = (uint32_t)CLAMP((int64_t)q->max_bytes, 0, c->ctl->cfg->fetch_max)};
	const bool top = error && version >= 7; /* has a place for it; no topics then */
	struct writer *w = conn_answer(c);

	counter_add(&c->ctl->count->fetches, 1);
	kw_i32(w, 0);
	if (version >= 7) {
		kw_i16(w, error);
		kw_i32(w, 0); /* no session: declined in full */
	}
	kw_array(w, top ? 0 : q->topics);
	for (int32_t i = 0; i < q->topics && !top; i++) {
		const struct topic *t = topic_of(c, q->topic[i].key);

		if (version >= 13)
			kw_raw(w, q->topic[i].key.p, UUID_BYTES);
		else
			kw_view(w, q->topic[i].key);
		kw_array(w, q->topic[i].partitions);
		for (int32_t j = 0; j < q->topic[i].partitions; j++)
			write_partition(c, w, t, &q->topic[i].partition[j], error, &b);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct q_fetch q;

	if (!q_fetch(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	if (deadline || ready(c, &q))
		return answer(c, &q, 0);
	wait_add(&c->ctl->fetches.parked, c);
	return SERVED_PARKED;
}

static const struct park wait_for_data = {again, wait_remove};

enum served
k01_fetch(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_fetch q;
	uint64_t wait_ms;

	if (!q_fetch(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	if (q.replica >= 0) /* a follower: there is no replication */
		return answer(c, &q, KIRA_E_INVALID_REQUEST);
	if (q.session_id != 0)
		return answer(c, &q, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	if (ready(c, &q))
		return answer(c, &q, 0);
	/* What was published before the bell was on rang nobody: look once more. */
	if (fetch_parked(ctl) && ready(c, &q))
		return answer(c, &q, 0);
	counter_add(&ctl->count->fetches_parked, 1);
	wait_ms = (uint64_t)q.max_wait_ms;
	if (c->body_own)
		wait_ms = MIN(wait_ms, (uint64_t)LARGE_WAIT_MS);
	wait_add(&ctl->fetches.parked, c);
	return conn_park(c, &wait_for_data, NULL, now_ns + wait_ms * NS_PER_MS);
}
