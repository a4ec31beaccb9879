/* SPDX-License-Identifier: MIT
 * k02_list_offsets.c - offsets by time: start, end, the first record at or after a timestamp.
 * Thread: control. Only what consumers may see counts. */
#include "control/kafka/serve.h"

#include "base/bits.h"
#include "base/clock.h"
#include "control/read_ahead.h"

#include <kira/errors.h>

#include <stdlib.h>

#define LATEST       (-1)
#define EARLIEST     (-2)
#define MAX_TIMESTAMP (-3) /* v7+: the record with the largest timestamp */
#define PARTITIONS_MAX 100000 /* config.def: max-partitions */

#define COLD_NS (10 * NS_PER_S) /* for one read of the disk; then 7, and the others are still looked up */

static const struct park wait_for_disk;

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

struct look_ups {
	int32_t done;
	struct found found[]; /* as asked for, topic by topic */
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

/* False: the next one waits for the disk. */
static bool
look_up(struct conn *c, const struct q_list_offsets *q, struct look_ups *all, bool late)
{
	struct storage_cold cold;
	int32_t n = 0;

	memset(seen, 0, (size_t)c->ctl->cfg->max_partitions / 8 + 1);
	for (int32_t i = 0; i < q->topics; i++) {
		const struct topic *t = topics_find(c->ctl, q->topic[i].name);

		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct q_list_partition *p = &q->topic[i].partition[j];
			const bool twice = named_twice(t, p->partition);

			if (n++ < all->done)
				continue;
			storage_nowait(!c->cold_failed);
			all->found[n - 1] = twice ? (struct found){KIRA_E_INVALID_REQUEST, -1, -1, -1} :
				look(t, p, c->rq.version);
			storage_nowait(false);
			if (storage_cold(&cold)) {
				if (!late && read_ahead_ask(c->ctl, &cold, c))
					return false;
				all->found[n - 1] = (struct found){KIRA_E_REQUEST_TIMED_OUT, -1, -1, -1};
			}
			all->done = n;
		}
	}
	return true;
}

static enum served
answer(struct conn *c, const struct q_list_offsets *q, const struct look_ups *all)
{
	const int16_t version = c->rq.version;
	struct writer *w = conn_answer(c);
	int32_t n = 0;

	if (version >= 2)
		kw_i32(w, 0);
	kw_array(w, q->topics);
	for (int32_t i = 0; i < q->topics; i++) {
		kw_view(w, q->topic[i].name);
		kw_array(w, q->topic[i].partitions);
		for (int32_t j = 0; j < q->topic[i].partitions; j++) {
			const struct found f = all->found[n++];

			kw_i32(w, q->topic[i].partition[j].partition);
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

/* Answer, or wait (on) for the disk. */
static enum served
go_on(struct conn *c, const struct q_list_offsets *q, struct look_ups *all, uint64_t now_ns, bool late)
{
	c->cold_waits = !look_up(c, q, all, late);
	if (!c->cold_waits)
		return answer(c, q, all);
	return conn_park(c, &wait_for_disk, all, now_ns + COLD_NS);
}

static enum served
again(struct conn *c, uint64_t now_ns, bool deadline)
{
	struct q_list_offsets q;

	if (!q_list_offsets(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	return go_on(c, &q, c->park_data, now_ns, deadline);
}

static void
forget(struct conn *c)
{
	free(c->park_data);
}

static const struct park wait_for_disk = {again, forget};

enum served
k02_list_offsets(struct conn *c, uint64_t now_ns)
{
	struct q_list_offsets q;
	struct look_ups *all;
	enum served served;
	size_t n = 0;

	if (!q_list_offsets(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	for (int32_t i = 0; i < q.topics; i++)
		n += (size_t)q.topic[i].partitions;
	all = malloc(sizeof(*all) + n * sizeof(all->found[0]));
	if (!all)
		return SERVED_CLOSE;
	all->done = 0;
	served = go_on(c, &q, all, now_ns, false);
	if (served != SERVED_PARKED)
		free(all);
	return served;
}
