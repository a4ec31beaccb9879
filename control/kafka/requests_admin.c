/* SPDX-License-Identifier: MIT
 * requests_admin.c - decode requests of administration. Pure; rules and sources: requests.c. */
#include "control/kafka/requests_admin.h"

#include "control/kafka/decode.h"

static void
more_partitions(struct reader *r, struct q_more_partitions *t, struct arena *a)
{
	t->name = decode_text(r);
	t->count = kr_i32(r);
	t->assignments = kr_array(r, INT32_MAX, 1);
	t->assignment = decode_take(a, r, t->assignments < 0 ? 0 : t->assignments, sizeof(*t->assignment));
	for (int32_t i = 0; i < t->assignments && !r->bad; i++) {
		decode_brokers(r, &t->assignment[i]);
		kr_tags(r);
	}
	kr_tags(r);
}

bool
q_create_partitions(struct q_create_partitions *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_create_partitions){0};
	ret->topics = decode_count(&r, 6);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++)
		more_partitions(&r, &ret->topic[i], a);
	ret->timeout_ms = kr_i32(&r);
	ret->validate_only = kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_log_dirs(struct q_partitions *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_partitions){0};
	decode_partitions(&r, ret, a, true);
	kr_tags(&r);
	return !r.bad;
}

bool
q_describe_producers(struct q_partitions *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_partitions){0};
	decode_partitions(&r, ret, a, false);
	kr_tags(&r);
	return !r.bad;
}

bool
q_reassignments(struct q_partitions *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_partitions){0};
	(void)kr_i32(&r); /* timeoutMs */
	decode_partitions(&r, ret, a, true);
	kr_tags(&r);
	return !r.bad;
}

bool
q_elect_leaders(struct q_elect_leaders *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_elect_leaders){0};
	if (rq->version >= 1)
		ret->type = kr_i8(&r);
	decode_partitions(&r, &ret->of, a, true);
	(void)kr_i32(&r); /* timeoutMs */
	kr_tags(&r);
	return !r.bad;
}

bool
q_describe_topics(struct q_describe_topics *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_describe_topics){0};
	ret->topics = decode_count(&r, 2);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		ret->topic[i] = decode_text(&r);
		kr_tags(&r);
	}
	ret->limit = kr_i32(&r);
	ret->has_cursor = kr_i8(&r) >= 0; /* a nullable struct: -1 or 1 */
	if (ret->has_cursor) {
		ret->cursor_topic = decode_text(&r);
		ret->cursor_partition = kr_i32(&r);
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

/* resourceType, resourceName, patternType, principal, host, operation, permissionType; as a filter its texts may
 * be null. */
static void
walk_acl(struct reader *r, bool filter)
{
	struct view (*const text)(struct reader *r) = filter ? kr_string : decode_text;

	(void)kr_i8(r);
	(void)text(r);
	(void)kr_i8(r);
	(void)text(r);
	(void)text(r);
	(void)kr_i8(r);
	(void)kr_i8(r);
	kr_tags(r);
}

static bool
walk_acls(int32_t *ret, const struct request *rq, bool filter)
{
	struct reader r = decode_open(rq, NULL);

	*ret = decode_count(&r, 7);
	for (int32_t i = 0; i < *ret && !r.bad; i++)
		walk_acl(&r, filter);
	kr_tags(&r);
	return !r.bad;
}

bool
q_describe_acls(const struct request *rq)
{
	struct reader r = decode_open(rq, NULL);

	walk_acl(&r, true); /* its tags are the body's */
	return !r.bad;
}

bool
q_create_acls(int32_t *ret, const struct request *rq)
{
	return walk_acls(ret, rq, false);
}

bool
q_delete_acls(int32_t *ret, const struct request *rq)
{
	return walk_acls(ret, rq, true);
}
