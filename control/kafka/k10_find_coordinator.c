/* SPDX-License-Identifier: MIT
 * k10_find_coordinator.c - groups are not served yet: 15 (retriable), so that a client which asks
 * says what it waits for. Transactions never are: 53, which clients take as final. Thread: control. */
#include "control/kafka/serve.h"

#include <kira/errors.h>

enum key_type { KEY_GROUP, KEY_TRANSACTION };

static int16_t
error_of(int8_t key_type)
{
	if (key_type == KEY_GROUP)
		return KIRA_E_COORDINATOR_NOT_AVAILABLE;
	return key_type == KEY_TRANSACTION ? KIRA_E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
					   : KIRA_E_INVALID_REQUEST;
}

enum served
k10_find_coordinator(struct conn *c, uint64_t now_ns)
{
	const int16_t version = c->rq.version;
	struct q_find_coordinator q;
	struct writer *w;
	int16_t error;

	if (!q_find_coordinator(&q, &c->rq, &c->ctl->arena))
		return SERVED_MALFORMED;
	error = error_of(q.key_type);
	w = conn_answer(c);
	if (version >= 1)
		kw_i32(w, 0);
	if (version <= 3) {
		kw_i16(w, error);
		if (version >= 1)
			kw_string(w, kira_error_meaning(error));
		kw_i32(w, -1);
		kw_string(w, "");
		kw_i32(w, -1);
	} else {
		kw_array(w, q.keys);
		for (int32_t i = 0; i < q.keys; i++) {
			kw_view(w, q.key[i]);
			kw_i32(w, -1);
			kw_string(w, "");
			kw_i32(w, -1);
			kw_i16(w, error);
			kw_string(w, kira_error_meaning(error));
			kw_tags(w);
		}
	}
	kw_tags(w);
	return SERVED_ANSWER;
}
