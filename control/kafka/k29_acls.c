/* SPDX-License-Identifier: MIT
 * k29_acls.c - DescribeAcls, CreateAcls, DeleteAcls (29, 30, 31): there is no authorizer, so there are no access
 * rules. Said with error 54, as Kafka says it without one; tools go on from that, and fail where the request is
 * missing. Thread: control. */
#include "control/kafka/requests_admin.h"
#include "control/kafka/serve.h"

#include <kira/errors.h>

static void
refuse(struct writer *w)
{
	kw_i16(w, KIRA_E_SECURITY_DISABLED);
	kw_string(w, "no authorizer is configured on this broker");
}

enum served
k29_describe_acls(struct conn *c, uint64_t now_ns)
{
	struct writer *w;

	if (!q_describe_acls(&c->rq))
		return SERVED_MALFORMED;
	w = conn_answer(c);
	kw_i32(w, 0);
	refuse(w);
	kw_array(w, 0);
	kw_tags(w);
	return SERVED_ANSWER;
}

/* Each of `n` rules or filters; a filter's answer has a list of the rules that went. */
static enum served
refuse_each(struct conn *c, int32_t n, bool filters)
{
	struct writer *w = conn_answer(c);

	kw_i32(w, 0);
	kw_array(w, n);
	for (int32_t i = 0; i < n; i++) {
		refuse(w);
		if (filters)
			kw_array(w, 0);
		kw_tags(w);
	}
	kw_tags(w);
	return SERVED_ANSWER;
}

enum served
k30_create_acls(struct conn *c, uint64_t now_ns)
{
	int32_t n;

	return q_create_acls(&n, &c->rq) ? refuse_each(c, n, false) : SERVED_MALFORMED;
}

enum served
k31_delete_acls(struct conn *c, uint64_t now_ns)
{
	int32_t n;

	return q_delete_acls(&n, &c->rq) ? refuse_each(c, n, true) : SERVED_MALFORMED;
}
