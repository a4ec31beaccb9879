/* SPDX-License-Identifier: MIT
 * k01_fetch.c - records out: heads from memory, batches by sendfile straight from segment files.
 * Thread: control. Never: touches a record byte. How it works, with a picture: control/FETCH.md.
 * Here: requests that name all they want; those of a session: k01_session.c.
 *
 * Limits: min(max_bytes, fetch-max-bytes) in all; partitions in the order asked for, each at most
 * its own limit and what is left; the first one with data may exceed both by one batch, so that a
 * consumer always gets on. Whole batches, from the one that contains the offset asked for to at
 * most the visible offset, within one segment: one range of one file per partition. */
#include "control/kafka/k01_fetch.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <stdlib.h>

#define LARGE_WAIT_MS 500 /* a body of its own is not kept longer by a request that waits */

/* What a parked request holds: its place at each of its partitions. */
struct waits {
	uint64_t bytes; /* of request memory */
	uint64_t until_ns; /* by max_wait; who waits for the disk waits longer */
	int32_t n;
	struct fetch_watch watch[];
};

struct fetch_want
fetch_want(const struct q_fetch *q)
{
	return (struct fetch_want){.want = (uint64_t)MAX(MIN(q->min_bytes, q->max_bytes), 0)};
}

struct fetch_budget
fetch_budget(const struct conn *c, const struct q_fetch *q)
{
	return (struct fetch_budget){.left = (uint32_t)CLAMP((int64_t)q->max_bytes, 0, c->ctl->cfg->fetch_max)};
}

uint64_t
fetch_until_ns(const struct conn *c, const struct q_fetch *q, uint64_t now_ns)
{
	uint64_t wait_ms = (uint64_t)MAX(q->max_wait_ms, 0);

	if (c->body_own)
		wait_ms = MIN(wait_ms, (uint64_t)LARGE_WAIT_MS);
	return now_ns + wait_ms * NS_PER_MS;
}

/* ---- Answers ------------------------------------------------------------------------------- */

struct writer *
fetch_answer(struct conn *c, int16_t error, int32_t session_id)
{
	struct writer *w = conn_answer(c);

	kw_i32(w, 0);
	if (c->rq.version >= 7) {
		kw_i16(w, error);
		kw_i32(w, session_id);
	}
	return w;
}

enum served
fetch_refuse(struct conn *c, int16_t error)
{
	struct writer *w = fetch_answer(c, error, 0);

	counter_add(&c->ctl->count->fetches, 1);
	kw_array(w, 0);
	kw_tags(w);
	return SERVED_ANSWER;
}

/* Below version 7 an error has no place but at each partition. */
static enum served
refuse(struct conn *c, const struct q_fetch *q, int16_t error)
{
	const struct fetch_look look = {.error = error, .ends = {-1, -1, -1, -1}};
	struct writer *w;

	if (c->rq.version >= 7)
		return fetch_refuse(c, error);
	w = fetch_answer(c, 0, 0);
	counter_add(&c->ctl->count->fetches, 1);
	kw_array(w, q->topics);
	for (int32_t i = 0; i < q->topics; i++) {
		fetch_write_topic(w, c->rq.version, q->topic[i].key);
		kw_array(w, q->topic[i].partitions);
		for (int32_t j = 0; j < q->topic[i].partitions; j++)
			fetch_write(c, w, q->topic[i].partition[j].partition, &look);
	}
	return SERVED_ANSWER;
}

void
fetch_told(struct control *ctl, struct session_partition *sp, const struct fetch_look *look)
{
	const bool failed = look->error != 0;

	sp->told_end = failed ? -1 : look->ends.visible;
	sp->told_start = failed ? -1 : look->ends.start;
	if (failed || look->diverges || look->range.length > 0) {
		session_partition_due(sp); /* others first, next time */
	} else if (sp->q.offset >= look->ends.visible) {
		fetch_watch(ctl, &sp->watch, look->part, &look->ends);
		session_partition_done(sp);
	}
}

/* All that was asked for; a session begins if the client would have one and there is room. PARKED: it waits for
 * the disk; `late`: it did for long. */
static enum served
answer(struct conn *c, const struct q_fetch *q, uint64_t now_ns, bool late)
{
	const int16_t version = c->rq.version;
	struct fetch_budget b = fetch_budget(c, q);
	struct fetch_session *s = version >= 7 && q->session_epoch == 0 && q->partitions > 0 ?
		fetch_session_open(c->ctl, q->partitions, version >= 13) : NULL;
	struct writer *w = fetch_answer(c, 0, s ? s->id : 0);
	const size_t id_end = kw_length(w);
	struct fetch_look look;

	kw_array(w, q->topics);
	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = fetch_topic(c, q->topic[i].key);

		fetch_write_topic(w, version, q->topic[i].key);
		kw_array(w, q->topic[i].partitions);
		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct q_fetch_partition *p = &q->topic[i].partition[j];
			struct session_partition *sp = NULL;

			fetch_judge(c, t, p, &look);
			fetch_read(c, p, &look, &b);
			fetch_write(c, w, p->partition, &look);
			if (s && (sp = fetch_session_want(c->ctl, s, q->topic[i].key, p)) != NULL) {
				fetch_told(c->ctl, sp, &look);
			} else if (s) {
				fetch_session_close(c->ctl, s);
				s = NULL;
				put_be32(w->start + id_end - 4, 0);
			}
		}
		kw_tags(w);
	}
	kw_tags(w);
	if (!fetch_waits_for_disk(c, &b, now_ns, late))
		return SERVED_ANSWER;
	if (s)
		fetch_session_close(c->ctl, s);
	return SERVED_PARKED;
}

/* ---- Waiting ------------------------------------------------------------------------------- */

/* Is there enough to answer, or something that must be said at once? */
static bool
ready(struct conn *c, const struct q_fetch *q)
{
	struct fetch_want want = fetch_want(q);
	struct fetch_look look;

	if (q->max_wait_ms <= 0 || q->partitions == 0 || want.want == 0)
		return true;
	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = fetch_topic(c, q->topic[i].key);

		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct q_fetch_partition *p = &q->topic[i].partition[j];

			fetch_judge(c, t, p, &look);
			if (fetch_enough(c, &look, p, &want))
				return true;
		}
	}
	return false;
}

static void
watch_all(struct conn *c, const struct q_fetch *q, struct waits *ws)
{
	struct fetch_look look;
	int32_t n = 0;

	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = fetch_topic(c, q->topic[i].key);

		for (int32_t j = 0; j < q->topic[i].partitions; j++, n++) {
			fetch_judge(c, t, &q->topic[i].partition[j], &look);
			if (look.part)
				fetch_watch(c->ctl, &ws->watch[n], look.part, &look.ends);
		}
	}
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	const struct waits *ws = c->park_data;
	enum served served;
	struct q_fetch q;

	if (!q_fetch(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	c->park_until_ns = ws->until_ns;
	if ((deadline || ready(c, &q)) && (served = answer(c, &q, now_ns, deadline)) != SERVED_PARKED)
		return served;
	fetch_park(c->ctl, c);
	return SERVED_PARKED;
}

static void
forget(struct conn *c)
{
	struct waits *ws = c->park_data;

	wait_remove(c);
	for (int32_t i = 0; i < ws->n; i++)
		fetch_unwatch(&ws->watch[i]);
	c->ctl->memory_used -= ws->bytes;
	free(ws);
}

static const struct park wait_for_data = {again, forget};

static enum served
park(struct conn *c, const struct q_fetch *q, uint64_t now_ns)
{
	const uint64_t bytes = sizeof(struct waits) + (uint64_t)q->partitions * sizeof(struct fetch_watch);
	struct waits *ws = calloc(1, bytes);
	enum served served;

	if (!ws)
		return SERVED_CLOSE;
	ws->bytes = bytes;
	ws->until_ns = fetch_until_ns(c, q, now_ns);
	ws->n = q->partitions;
	for (int32_t i = 0; i < ws->n; i++)
		ws->watch[i].conn = c;
	c->ctl->memory_used += bytes;
	watch_all(c, q, ws);
	/* Lcores go on: what came before it was watched left its mark for nobody. */
	if (!c->cold_waits && ready(c, q)) {
		c->park_data = ws;
		forget(c);
		served = answer(c, q, now_ns, false);
		return served == SERVED_PARKED ? park(c, q, now_ns) : served;
	}
	counter_add(&c->ctl->count->fetches_parked, 1);
	fetch_park(c->ctl, c);
	return conn_park(c, &wait_for_data, ws, c->cold_waits ? c->park_until_ns : ws->until_ns);
}

enum served
k01_fetch(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct fetch_session *s;
	enum served served;
	struct q_fetch q;

	if (!q_fetch(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	if (q.replica >= 0) /* a follower: there is no replication */
		return refuse(c, &q, KIRA_E_INVALID_REQUEST);
	if (q.session_epoch != 0 && q.session_epoch != -1)
		return fetch_in_session(c, &q, now_ns);
	/* All is named: whatever session it had is over. */
	if (q.session_id != 0 && (s = fetch_session_find(ctl, q.session_id)) != NULL)
		fetch_session_close(ctl, s);
	if (ready(c, &q) && (served = answer(c, &q, now_ns, false)) != SERVED_PARKED)
		return served;
	return park(c, &q, now_ns);
}
