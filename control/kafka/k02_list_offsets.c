/* SPDX-License-Identifier: MIT
 * k02_list_offsets.c - offsets by time: start, end, the first record at or after a timestamp.
 * Thread: control. Only what consumers may see counts. A look inside a batch is made in turn, one in a pass of
 * control over all connections (control.looks). */
#include "control/kafka/serve.h"

#include "base/bits.h"
#include "control/read_ahead.h"

#include <kira/errors.h>

#include <stdlib.h>

#define LATEST       (-1)
#define EARLIEST     (-2)
#define MAX_TIMESTAMP (-3) /* v7+: the record with the largest timestamp */
#define PARTITIONS_MAX 100000 /* config.def: max-partitions */

static const struct park wait_on;

struct found {
	int16_t error;
	int32_t leader_epoch;
	int64_t offset, timestamp;
};

static struct found
look(const struct topic *t, const struct q_list_partition *p, int16_t version)
{
	struct partition *part = t ? topic_partition(t, p->partition) : NULL;
	struct found f = {0, -1, -1, -1};
	struct partition_ends ends;

	if (!part) {
		f.error = KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
		return f;
	}
	f.error = serve_epoch(part, p->leader_epoch);
	if (f.error)
		return f;
	storage_ends(part, &ends);
	if (p->timestamp == LATEST && storage_state(part) == PART_HALTED)
		f.error = KIRA_E_KAFKA_STORAGE_ERROR; /* its end is not known: who would begin there waits */
	else if (p->timestamp == LATEST)
		f.offset = ends.visible;
	else if (p->timestamp == EARLIEST)
		f.offset = ends.start;
	else if (p->timestamp >= 0 || (p->timestamp == MAX_TIMESTAMP && version >= 7))
		f.error = storage_find_time(part, p->timestamp, &f.offset, &f.timestamp);
	else
		f.error = KIRA_E_UNSUPPORTED_VERSION;
	if (f.error)
		f.offset = f.timestamp = -1;
	else if (p->timestamp == LATEST)
		f.leader_epoch = storage_leader_epoch(part);
	else if (f.offset >= 0)
		f.leader_epoch = storage_epoch_at(part, f.offset);
	return f;
}

/* ---- Looked up one after the other; who needs the disk waits for it ------------------------- */

struct look_up {
	struct view topic; /* in the body, as it came */
	struct q_list_partition asked;
	struct found found;
};

struct look_ups {
	int32_t n, done;
	bool in_line;          /* in control.looks */
	bool late;             /* the disk is waited for no more */
	struct look_up one[];  /* as asked for, topic by topic */
};

static uint8_t seen[PARTITIONS_MAX / 8 + 1]; /* by slot */

/* Was it named before? What a look-up costs is not to be had many times by one request. */
static bool
named_twice(const struct topic *t, int32_t partition)
{
	const struct partition *part = t ? topic_partition(t, partition) : NULL;
	const unsigned slot = part ? storage_slot(part) : 0;
	const uint8_t bit = (uint8_t)(1u << slot % 8);
	bool twice;

	if (!part)
		return false;
	twice = seen[slot / 8] & bit;
	seen[slot / 8] |= bit;
	return twice;
}

static struct look_ups *
look_ups_make(struct conn *c, const struct q_list_offsets *q)
{
	struct look_ups *all;
	size_t n = 0;

	for (int32_t i = 0; i < q->topics; i++)
		n += (size_t)q->topic[i].partitions;
	all = calloc(1, sizeof(*all) + n * sizeof(all->one[0]));
	if (!all)
		return NULL;
	memset(seen, 0, (size_t)c->ctl->cfg->max_partitions / 8 + 1);
	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = topics_find(c->ctl, q->topic[i].name);

		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			struct look_up *one = &all->one[all->n++];

			one->topic = q->topic[i].name;
			one->asked = q->topic[i].partition[j];
			if (named_twice(t, one->asked.partition))
				one->found = (struct found){KIRA_E_INVALID_REQUEST, -1, -1, -1};
		}
	}
	return all;
}

/* A batch is decompressed to find the record: a few KiB of it may be 64 MiB, and 0.1 s. */
static bool
looks_inside(const struct topic *t, const struct q_list_partition *p)
{
	return t && topic_partition(t, p->partition) && (p->timestamp >= 0 || p->timestamp == MAX_TIMESTAMP);
}

enum then { DONE, WAIT_TURN, WAIT_DISK };

/* What the next one waits for. One look inside is made where it is our turn. */
static enum then
look_up(struct conn *c, struct look_ups *all, bool turn)
{
	struct storage_cold cold;

	for (; all->done < all->n; all->done++) {
		struct look_up *one = &all->one[all->done];
		const struct topic *t = topics_find(c->ctl, one->topic);
		struct found f;

		if (one->found.error)
			continue; /* named twice */
		if (looks_inside(t, &one->asked)) {
			if (!turn)
				return WAIT_TURN;
			turn = false;
		}
		storage_nowait(!c->cold_failed);
		f = look(t, &one->asked, c->rq.version);
		storage_nowait(false);
		if (storage_cold(&cold)) {
			if (!all->late && read_ahead_ask(c->ctl, &cold, c))
				return WAIT_DISK;
			f = (struct found){KIRA_E_REQUEST_TIMED_OUT, -1, -1, -1};
		}
		one->found = f;
	}
	return DONE;
}

static enum served
answer(struct conn *c, const struct look_ups *all)
{
	const int16_t version = c->rq.version;
	struct q_list_offsets q;
	struct writer *w;
	int32_t n = 0;

	/* The body still lies here: what was asked need not be kept as it was decoded. */
	if (!q_list_offsets(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	if (version >= 2)
		kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		kw_view(w, q.topic[i].name);
		kw_array(w, q.topic[i].partitions);
		for (int32_t j = 0; j < q.topic[i].partitions; j++) {
			const struct found f = all->one[n++].found;

			kw_i32(w, q.topic[i].partition[j].partition);
			kw_i16(w, f.error);
			kw_i64(w, f.timestamp);
			kw_i64(w, f.offset);
			if (version >= 4)
				kw_i32(w, f.leader_epoch);
			kw_tags(w);
		}
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

/* Answer, or wait (on) for our turn or for the disk. */
static enum served
go_on(struct conn *c, struct look_ups *all, uint64_t now_ns, bool turn)
{
	const enum then then = look_up(c, all, turn);

	c->cold_waits = then == WAIT_DISK;
	all->in_line = then == WAIT_TURN;
	if (then == DONE)
		return answer(c, all);
	if (then == WAIT_DISK) /* or answer 7 for this one; the others are still looked up */
		return conn_park(c, &wait_on, all, now_ns + READ_AHEAD_WAIT_NS);
	return serve_in_line(c, &wait_on, all);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct look_ups *all = c->park_data;

	all->late |= deadline;
	return go_on(c, all, now_ns, all->in_line);
}

static void
forget(struct conn *c)
{
	free(c->park_data);
}

static const struct park wait_on = {again, forget};

enum served
k02_list_offsets(struct conn *c, uint64_t now_ns)
{
	struct q_list_offsets q;
	struct look_ups *all;
	enum served served;

	if (!q_list_offsets(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	all = look_ups_make(c, &q);
	if (!all)
		return SERVED_CLOSE;
	served = go_on(c, all, now_ns, false);
	if (served != SERVED_PARKED)
		free(all);
	return served;
}
