/* SPDX-License-Identifier: MIT
 * requests_groups.c - decode the requests of consumer groups. Pure; rules as in requests.c. */
#include "control/kafka/requests_groups.h"

#include "control/kafka/decode.h"

/* Bytes that must not be null. */
static struct view
blob(struct reader *r)
{
	const struct view v = kr_bytes(r);

	if (!v.p)
		r->bad = true;
	return v;
}

bool
q_join_group(struct group_join_request *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);
	struct group_protocol *p;

	*ret = (struct group_join_request){.group = decode_text(&r), .rebalance_ms = -1};
	ret->session_ms = kr_i32(&r);
	if (rq->version >= 1)
		ret->rebalance_ms = kr_i32(&r);
	ret->member = decode_text(&r);
	if (rq->version >= 5)
		ret->instance = kr_string(&r);
	ret->protocol_type = decode_text(&r);
	ret->protocols = decode_count(&r, 3);
	ret->protocol = p = decode_take(a, &r, ret->protocols, sizeof(*p));
	for (int32_t i = 0; i < ret->protocols && !r.bad; i++) {
		p[i].name = decode_text(&r);
		p[i].metadata = blob(&r);
		kr_tags(&r);
	}
	if (rq->version >= 8)
		(void)kr_string(&r); /* reason */
	kr_tags(&r);
	ret->id_required = rq->version >= 4;
	ret->skip_offered = rq->version >= 9;
	return !r.bad;
}

static void
claim(struct reader *r, struct group_claim *ret, bool instance)
{
	ret->group = decode_text(r);
	ret->generation = kr_i32(r);
	ret->member = decode_text(r);
	if (instance)
		ret->instance = kr_string(r);
}

bool
q_sync_group(struct group_sync_request *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);
	struct group_assignment *p;

	*ret = (struct group_sync_request){0};
	claim(&r, &ret->claim, rq->version >= 3);
	if (rq->version >= 5) {
		ret->protocol_type = kr_string(&r);
		ret->protocol = kr_string(&r);
	}
	ret->assignments = decode_count(&r, 2);
	ret->assignment = p = decode_take(a, &r, ret->assignments, sizeof(*p));
	for (int32_t i = 0; i < ret->assignments && !r.bad; i++) {
		p[i].member = decode_text(&r);
		p[i].assignment = blob(&r);
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

bool
q_heartbeat(struct group_claim *ret, const struct request *rq)
{
	struct reader r = decode_open(rq, NULL);

	*ret = (struct group_claim){0};
	claim(&r, ret, rq->version >= 3);
	kr_tags(&r);
	return !r.bad;
}

bool
q_leave_group(struct q_leave_group *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_leave_group){.group = decode_text(&r), .members = 1};
	if (rq->version >= 3)
		ret->members = decode_count(&r, 2);
	ret->member = decode_take(a, &r, ret->members, sizeof(*ret->member));
	for (int32_t i = 0; i < ret->members && !r.bad; i++) {
		ret->member[i].member = decode_text(&r);
		if (rq->version < 3)
			break;
		ret->member[i].instance = kr_string(&r);
		if (rq->version >= 5)
			(void)kr_string(&r); /* reason */
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

/* A list of strings. */
static struct view *
texts(struct reader *r, struct arena *a, int32_t *n)
{
	struct view *ret;

	*n = decode_count(r, 1);
	ret = decode_take(a, r, *n, sizeof(*ret));
	for (int32_t i = 0; i < *n && !r->bad; i++)
		ret[i] = decode_text(r);
	return ret;
}

bool
q_describe_groups(struct q_group_ids *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_group_ids){0};
	ret->group = texts(&r, a, &ret->groups);
	if (rq->version >= 3)
		ret->operations = kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_list_groups(struct q_list_groups *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_list_groups){0};
	if (rq->version >= 4)
		ret->state = texts(&r, a, &ret->states);
	if (rq->version >= 5)
		ret->type = texts(&r, a, &ret->types);
	kr_tags(&r);
	return !r.bad;
}

bool
q_delete_groups(struct q_group_ids *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_group_ids){0};
	ret->group = texts(&r, a, &ret->groups);
	kr_tags(&r);
	return !r.bad;
}
