/* SPDX-License-Identifier: MIT
 * k29_describe_acls.c - there is no authorizer, so there are no access rules: said with error 54, as Kafka says it
 * without one; tools go on from that, and fail where the request is missing. Thread: control. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

enum served
k29_describe_acls(struct conn *c, uint64_t now_ns)
{
	struct writer *w;

	if (!q_describe_acls(&c->rq))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_i16(w, KIRA_E_SECURITY_DISABLED);
	kw_string(w, SERVE_NO_AUTHORIZER);
	kw_array(w, 0);
	kw_tags(w);
	return SERVED_ANSWER;
}
