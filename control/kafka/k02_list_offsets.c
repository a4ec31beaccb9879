/* SPDX-License-Identifier: MIT
 * k02_list_offsets.c - offsets by time: start, end, the first record at or after a timestamp.
 * Thread: control. Only what consumers may see counts. */
#include "control/kafka/serve.h"

#include "base/bits.h"

#include <kira/errors.h>

#define LATEST       (-1)
#define EARLIEST     (-2)
#define MAX_TIMESTAMP (-3) /* v7+: the record with the largest timestamp */
#define PARTITIONS_MAX 100000 /* config.def: max-partitions */

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

enum served
k02_list_offsets(struct conn *c, uint64_t now_ns)
{
	static uint8_t seen[PARTITIONS_MAX / 8 + 1];
	const int16_t version = c->rq.version;
	struct q_list_offsets q;
	struct writer *w;

	if (!q_list_offsets(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	if (version >= 2)
		kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		const struct topic *t = topics_find(c->ctl, q.topic[i].name);

		if (t)
			memset(seen, 0, (size_t)t->partitions / 8 + 1);
		kw_view(w, q.topic[i].name);
		kw_array(w, q.topic[i].partitions);
		for (int32_t j = 0; j < q.topic[i].partitions; j++) {
			const struct q_list_partition *p = &q.topic[i].partition[j];
			struct found f = look(t, p, version);

			if (t && topic_partition(t, p->partition)) {
				uint8_t *byte = &seen[p->partition / 8];
				const uint8_t bit = (uint8_t)(1u << p->partition % 8);

				if (*byte & bit)
					f = (struct found){KIRA_E_INVALID_REQUEST, -1, -1, -1};
				*byte |= bit;
			}
			kw_i32(w, p->partition);
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
