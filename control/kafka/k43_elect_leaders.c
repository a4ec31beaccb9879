/* SPDX-License-Identifier: MIT
 * k43_elect_leaders.c - each partition has its one leader: no election is needed, ever. Thread: control.
 * Asked for all partitions, Kafka names only those where something happened: none. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

#define ELECTION_UNCLEAN 1 /* the highest type there is */

static void
write_topic(struct writer *w, const struct topic *t, const struct q_topic_partitions *q)
{
	kw_view(w, q->name);
	kw_array(w, q->partitions);
	for (int32_t i = 0; i < q->partitions; i++) {
		const int16_t error = t && topic_partition(t, q->partition[i]) ? KIRA_E_ELECTION_NOT_NEEDED :
			KIRA_E_UNKNOWN_TOPIC_OR_PARTITION;

		kw_i32(w, q->partition[i]);
		kw_i16(w, error);
		kw_string(w, kira_error_meaning(error));
		kw_tags(w);
	}
	kw_tags(w);
}

enum served
k43_elect_leaders(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_elect_leaders q;
	struct writer *w;
	bool type_known;

	if (!q_elect_leaders(&q, &c->rq, &ctl->arena))
		return SERVED_MALFORMED;
	type_known = q.type >= 0 && q.type <= ELECTION_UNCLEAN;
	w = conn_answer(c);
	kw_i32(w, 0);
	if (c->rq.version >= 1)
		kw_i16(w, type_known ? 0 : KIRA_E_INVALID_REQUEST);
	kw_array(w, type_known ? q.of.topics : 0);
	for (int32_t i = 0; type_known && i < q.of.topics; i++)
		write_topic(w, topics_find(ctl, q.of.topic[i].name), &q.of.topic[i]);
	kw_tags(w);
	return SERVED_ANSWER;
}
