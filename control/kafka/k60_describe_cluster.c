/* SPDX-License-Identifier: MIT
 * k60_describe_cluster.c - one broker, which is its own controller. Thread: control. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

enum served
k60_describe_cluster(struct conn *c, uint64_t now_ns)
{
	struct control *ctl = c->ctl;
	struct q_describe_cluster q;
	int16_t error = 0;
	struct writer *w;
	char host[256];

	if (!q_describe_cluster(&q, &c->rq))
		return SERVED_MALFORMED;
	if (q.endpoint_type == 2)
		error = KIRA_E_MISMATCHED_ENDPOINT_TYPE;
	else if (q.endpoint_type != 1)
		error = KIRA_E_UNSUPPORTED_ENDPOINT_TYPE;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_i16(w, error);
	kw_string(w, error ? kira_error_meaning(error) : NULL);
	if (c->rq.version >= 1)
		kw_i8(w, 1);
	kw_string(w, error ? "" : storage_cluster_id(ctl->storage));
	kw_i32(w, error ? -1 : (int32_t)ctl->cfg->node_id);
	kw_array(w, error ? 0 : 1);
	if (!error) {
		kw_i32(w, (int32_t)ctl->cfg->node_id);
		kw_string(w, control_host(ctl, c, host));
		kw_i32(w, control_port(ctl, c));
		kw_string(w, NULL);
		kw_tags(w);
	}
	kw_i32(w, q.cluster_operations && !error ? SERVE_CLUSTER_OPERATIONS : INT32_MIN);
	kw_tags(w);
	return SERVED_ANSWER;
}
