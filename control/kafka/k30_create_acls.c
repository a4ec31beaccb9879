/* SPDX-License-Identifier: MIT
 * k30_create_acls.c - no authorizer: each rule is refused, error 54. Thread: control. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

enum served
k30_create_acls(struct conn *c, uint64_t now_ns)
{
	struct writer *w;
	int32_t n;

	if (!q_create_acls(&n, &c->rq))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	kw_array(w, n);
	for (int32_t i = 0; i < n; i++) {
		kw_i16(w, KIRA_E_SECURITY_DISABLED);
		kw_string(w, SERVE_NO_AUTHORIZER);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}
