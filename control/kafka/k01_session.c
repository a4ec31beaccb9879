/* SPDX-License-Identifier: MIT
 * k01_session.c - Fetch in a session: the request names what changed, the answer what is new. The work is
 * that of the partitions that have something, not of all that the session has.
 * Thread: control. Rules as in Kafka (FetchSession.scala); the cache: ../fetch_session.c. */
#include "control/kafka/k01_fetch.h"

#include "base/bits.h"

#include <kira/errors.h>

#define ENTRIES_MAX 4096 /* partitions of one answer; the others are due the next time, first */

/* ---- Answers ------------------------------------------------------------------------------- */

static struct entry {
	struct session_partition *sp;
	struct fetch_look look;
} entry[ENTRIES_MAX];

/* Those due, as far as the limits go. */
static uint32_t
gather(struct conn *c, const struct fetch_session *s, struct fetch_budget *b)
{
	uint32_t n = 0;

	for (struct session_partition *sp = s->due_first; sp && n < ENTRIES_MAX && (b->left > 0 || !b->some);
		sp = sp->due_next) {
		struct fetch_look *look = &entry[n].look;

		entry[n++].sp = sp;
		fetch_judge(c, fetch_topic(c, sp->topic->key), &sp->q, look);
		fetch_read(c, &sp->q, look, b);
	}
	return n;
}

/* What the client must be told of these. */
static uint32_t
tell(struct control *ctl, uint32_t gathered)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < gathered; i++) {
		const struct fetch_look *look = &entry[i].look;
		struct session_partition *sp = entry[i].sp;
		const bool news = look->error || look->diverges || look->range.length > 0 ||
			look->ends.visible != sp->told_end || look->ends.start != sp->told_start;

		fetch_told(ctl, sp, look);
		if (news)
			entry[n++] = entry[i];
	}
	return n;
}

/* PARKED: it waits for the disk; `late`: it did for long. */
static enum served
answer(struct conn *c, struct fetch_session *s, const struct q_fetch *q, uint64_t now_ns, bool late)
{
	struct writer *w = fetch_answer(c, 0, s->id);
	struct fetch_budget b = fetch_budget(c, q);
	uint32_t n = gather(c, s, &b);
	int32_t topics = 0;

	if (fetch_waits_for_disk(c, &b, now_ns, late))
		return SERVED_PARKED;
	n = tell(c->ctl, n);
	for (uint32_t i = 0; i < n; i++)
		topics += i == 0 || entry[i].sp->topic != entry[i - 1].sp->topic;
	kw_array(w, topics);
	for (uint32_t i = 0, end; i < n; i = end) {
		const struct session_topic *t = entry[i].sp->topic;

		for (end = i; end < n && entry[end].sp->topic == t;)
			end++;
		fetch_write_topic(w, c->rq.version, t->key);
		kw_array(w, (int32_t)(end - i));
		for (uint32_t j = i; j < end; j++)
			fetch_write(c, w, entry[j].sp->q.partition, &entry[j].look);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

/* ---- Waiting ------------------------------------------------------------------------------- */

/* Is there enough to answer? Those that have nothing are not due any more. */
static bool
ready(struct conn *c, struct fetch_session *s, const struct q_fetch *q)
{
	struct fetch_want want = fetch_want(q);
	struct session_partition *next;
	struct fetch_look look;

	if (q->max_wait_ms <= 0 || want.want == 0)
		return true;
	for (struct session_partition *sp = s->due_first; sp; sp = next) {
		next = sp->due_next;
		fetch_judge(c, fetch_topic(c, sp->topic->key), &sp->q, &look);
		if (fetch_enough(c, &look, &sp->q, &want))
			return true;
		fetch_watch(c->ctl, &sp->watch, look.part, &look.ends);
		if (sp->q.offset >= look.ends.visible && look.ends.visible == sp->told_end &&
			look.ends.start == sp->told_start)
			session_partition_done(sp);
	}
	return false;
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	enum served served;
	struct q_fetch q;

	if (c->park_data == &fetch_session_gone)
		return fetch_refuse(c, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	if (c->park_data == &fetch_session_overtaken)
		return fetch_refuse(c, KIRA_E_INVALID_FETCH_SESSION_EPOCH);
	if (!q_fetch(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	c->park_until_ns = ((struct fetch_session *)c->park_data)->until_ns;
	if ((deadline || ready(c, c->park_data, &q)) &&
		(served = answer(c, c->park_data, &q, now_ns, deadline)) != SERVED_PARKED)
		return served;
	fetch_park(c->ctl, c);
	return SERVED_PARKED;
}

static void
forget(struct conn *c)
{
	wait_remove(c);
	if (c->park_data != &fetch_session_gone && c->park_data != &fetch_session_overtaken)
		((struct fetch_session *)c->park_data)->parked = NULL;
}

static const struct park wait_in_session = {again, forget};

/* ---- Requests ------------------------------------------------------------------------------ */

/* What the request changes; false: no memory for it. */
static bool
update(struct control *ctl, struct fetch_session *s, const struct q_fetch *q)
{
	for (int32_t i = 0; i < q->topics; i++)
		for (int32_t j = 0; j < q->topic[i].partitions; j++)
			if (!fetch_session_want(ctl, s, q->topic[i].key, &q->topic[i].partition[j]))
				return false;
	for (int32_t i = 0; i < q->forgotten_topics; i++)
		for (int32_t j = 0; j < q->forgotten[i].partitions; j++)
			fetch_session_forget(ctl, s, q->forgotten[i].key,
				(int32_t)get_be32(q->forgotten[i].partition + (size_t)j * 4));
	return true;
}

enum served
fetch_in_session(struct conn *c, const struct q_fetch *q, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct fetch_session *s = fetch_session_find(ctl, q->session_id);
	enum served served;

	if (!s)
		return fetch_refuse(c, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	if (s->epoch != q->session_epoch)
		return fetch_refuse(c, KIRA_E_INVALID_FETCH_SESSION_EPOCH);
	if (s->by_id != (c->rq.version >= 13))
		return fetch_refuse(c, KIRA_E_FETCH_SESSION_TOPIC_ID_ERROR);
	fetch_session_overtake(ctl, s);
	if (!update(ctl, s, q)) {
		fetch_session_close(ctl, s);
		return fetch_refuse(c, KIRA_E_FETCH_SESSION_ID_NOT_FOUND);
	}
	if (s->partitions == 0) { /* nothing is left to be told of: over, without an error */
		fetch_session_close(ctl, s);
		return fetch_refuse(c, 0);
	}
	fetch_session_touch(ctl, s);
	s->epoch = s->epoch == INT32_MAX ? 1 : s->epoch + 1;
	fetch_look(ctl); /* what moved since its last request is due */
	if (ready(c, s, q) && (served = answer(c, s, q, now_ns, false)) != SERVED_PARKED)
		return served;
	counter_add(&ctl->count->fetches_parked, 1);
	s->parked = c;
	s->until_ns = fetch_until_ns(c, q, now_ns);
	fetch_park(ctl, c);
	return conn_park(c, &wait_in_session, s, c->cold_waits ? c->park_until_ns : s->until_ns);
}
