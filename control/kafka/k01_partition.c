/* SPDX-License-Identifier: MIT
 * k01_partition.c - one partition of a Fetch: judged, read, written.
 * Thread: control. Never: touches a record byte. */
#include "control/kafka/k01_fetch.h"

#include "base/bits.h"
#include "control/read_ahead.h"

#include <kira/errors.h>

#include <unistd.h>

const struct topic *
fetch_topic(const struct conn *c, struct view key)
{
	return c->rq.version >= 13 ? topics_find_id(c->ctl, key.p) : topics_find(c->ctl, key);
}

void
fetch_judge(const struct conn *c, const struct topic *t, const struct q_fetch_partition *q,
	struct fetch_look *ret)
{
	bool halted;

	*ret = (struct fetch_look){.ends = {-1, -1, -1, -1}};
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

bool
fetch_enough(const struct conn *c, const struct fetch_look *look, const struct q_fetch_partition *q,
	struct fetch_want *want)
{
	struct storage_cold cold;

	if (look->error || look->diverges)
		return true;
	if (q->offset < look->ends.visible && want->want == 1) {
		want->have++; /* a batch is more than a byte: nothing need be looked up */
	} else if (q->offset < look->ends.visible) {
		storage_nowait(!c->cold_failed);
		want->have += storage_available(look->part, q->offset, want->want - want->have);
		storage_nowait(false);
		if (storage_cold(&cold)) { /* what lies on disk is not little; who answers has it read */
			(void)close(cold.fd);
			return true;
		}
	}
	/* Failed: what it has was counted; more will not come. */
	return want->have >= want->want || storage_state(look->part) != PART_OK;
}

void
fetch_read(struct conn *c, const struct q_fetch_partition *q, struct fetch_look *look,
	struct fetch_budget *b)
{
	const uint32_t limit = MIN((uint32_t)MAX(q->max_bytes, 0), b->left);
	struct storage_cold cold;

	if (look->error || look->diverges || q->offset >= look->ends.visible ||
		c->ctl->pieces >= c->ctl->pieces_max)
		return;
	storage_nowait(!c->cold_failed);
	look->error = storage_read(look->part, q->offset, limit, !b->some, &look->range);
	storage_nowait(false);
	if (storage_cold(&cold)) {
		/* Without a thread for it we have to wait ourselves. */
		b->cold |= read_ahead_ask(c->ctl, &cold, c) || c->cold_reads > 0;
		look->error = b->cold ? 0 : storage_read(look->part, q->offset, limit, !b->some, &look->range);
	}
	if (look->error)
		look->range.length = 0;
	b->left -= MIN(b->left, look->range.length);
	b->some |= look->range.length > 0;
}

bool
fetch_waits_for_disk(struct conn *c, const struct fetch_budget *b, uint64_t now_ns, bool late)
{
	late &= c->cold_waits;
	c->cold_waits = b->cold && !b->some && c->cold_reads > 0 && !late;
	if (c->cold_waits) /* not for ever: then an answer without records says that we are here */
		c->park_until_ns = now_ns + READ_AHEAD_WAIT_NS;
	else
		counter_add(&c->ctl->count->fetches, 1);
	return c->cold_waits;
}

void
fetch_write(struct conn *c, struct writer *w, int32_t partition, const struct fetch_look *look)
{
	const int16_t version = c->rq.version;
	struct control *ctl = c->ctl;

	kw_i32(w, partition);
	kw_i16(w, look->error);
	kw_i64(w, look->ends.visible);
	kw_i64(w, look->ends.visible);
	if (version >= 5)
		kw_i64(w, look->ends.start);
	kw_array(w, -1); /* aborted transactions: null */
	if (version >= 11)
		kw_i32(w, -1);
	kw_size(w, (int32_t)look->range.length, true);
	if (look->range.length > 0)
		ctl->piece[ctl->pieces++] = (struct piece){(uint32_t)kw_length(w), look->range};
	if (!w->flexible)
		return;
	if (!look->diverges) {
		kw_tags(w);
		return;
	}
	kw_uvarint(w, 1);  /* one tag: */
	kw_uvarint(w, 0);  /* 0, diverging_epoch */
	kw_uvarint(w, 13); /* of 13 bytes */
	kw_i32(w, look->diverging_epoch);
	kw_i64(w, look->diverging_end);
	kw_tags(w);
}

void
fetch_write_topic(struct writer *w, int16_t version, struct view key)
{
	if (version >= 13)
		kw_raw(w, key.p, UUID_BYTES);
	else
		kw_view(w, key);
}
