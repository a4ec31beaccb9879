/* SPDX-License-Identifier: MIT
 * k10_find_coordinator.c - of every group: us. Transactions are not offered: 53, which clients take as final,
 * where 15 would be retried for ever. Thread: control. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

enum key_type { KEY_GROUP, KEY_TRANSACTION };

static int16_t
error_of(int8_t key_type)
{
	if (key_type == KEY_GROUP)
		return 0;
	return key_type == KEY_TRANSACTION ? KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
					   : KIRA_E_INVALID_REQUEST;
}

static void
write_node(struct writer *w, const struct conn *c, int16_t error)
{
	char text[256];

	kw_i32(w, error ? -1 : (int32_t)c->ctl->cfg->node_id);
	kw_string(w, error ? "" : control_host(c->ctl, c, text));
	kw_i32(w, error ? -1 : control_port(c->ctl, c));
}

enum served
k10_find_coordinator(struct conn *c, uint64_t now_ns)
{
	const int16_t version = c->rq.version;
	struct q_find_coordinator q;
	const char *message;
	struct writer *w;
	int16_t error;

	if (!q_find_coordinator(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	error = error_of(q.key_type);
	message = error ? kira_error_meaning(error) : NULL;
	w = conn_answer(c);
	if (version >= 1)
		kw_i32(w, 0);
	if (version <= 3) {
		kw_i16(w, error);
		if (version >= 1)
			kw_string(w, message);
		write_node(w, c, error);
	} else {
		kw_array(w, q.keys);
		for (int32_t i = 0; i < q.keys; i++) {
			kw_view(w, q.key[i]);
			write_node(w, c, error);
			kw_i16(w, error);
			kw_string(w, message);
			kw_tags(w);
		}
	}
	kw_tags(w);
	return SERVED_ANSWER;
}
