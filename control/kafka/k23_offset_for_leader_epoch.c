/* SPDX-License-Identifier: MIT
 * k23_offset_for_leader_epoch.c - where an epoch ended: how a consumer finds out that an unflushed
 * tail it has read is gone. The epoch rises where an unclean start may have lost any. Thread: control. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

/* Of a halted partition the end of the log is not known, so that of its last epoch is not either: who took it for
 * a truncation would go back to where the check stopped. */
static int16_t
look(const struct partition *part, const struct q_epoch_partition *p, int32_t *epoch, int64_t *end)
{
	const int16_t error = serve_epoch(part, p->leader_epoch);
	struct partition_ends ends;

	if (error)
		return error;
	storage_epoch_end(part, p->epoch, epoch, end);
	storage_ends(part, &ends);
	if (storage_state(part) != PART_HALTED || *end < ends.end)
		return 0;
	*epoch = -1;
	*end = -1;
	return KIRA_E_KAFKA_STORAGE_ERROR;
}

enum served
k23_offset_for_leader_epoch(struct conn *c, uint64_t now_ns)
{
	struct q_leader_epoch q;
	struct writer *w;

	if (!q_leader_epoch(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_array(w, q.topics);
	for (int32_t i = 0; i < q.topics; i++) {
		const struct topic *t = topics_find(c->ctl, q.topic[i].name);

		kw_view(w, q.topic[i].name);
		kw_array(w, q.topic[i].partitions);
		for (int32_t j = 0; j < q.topic[i].partitions; j++) {
			const struct q_epoch_partition *p = &q.topic[i].partition[j];
			struct partition *part = t ? topic_partition(t, p->partition) : NULL;
			int16_t error = KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;
			int32_t epoch = -1;
			int64_t end = -1;

			if (part)
				error = look(part, p, &epoch, &end);
			kw_i16(w, error); /* before the partition, here alone */
			kw_i32(w, p->partition);
			kw_i32(w, epoch);
			kw_i64(w, end);
			kw_tags(w);
		}
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}
