/* SPDX-License-Identifier: MIT
 * requests.c - decode the body of every request we serve. Pure: sees include/ and the headers of
 * this folder, no clock, no heap; links alone into the fuzz drivers.
 * Order and versions of fields: apache/kafka clients/src/main/resources/common/message, copied as
 * field lists into kafka/README.md. `@n+` in a comment: from version n on.
 * A count is let in only if count x smallest element fits into the bytes left (kr_array). */
#include "control/kafka/requests.h"

#include "control/kafka/decode.h"

bool
q_api_versions(struct q_api_versions *ret, const struct request *rq)
{
	struct reader r = decode_open(rq, NULL);

	*ret = (struct q_api_versions){0};
	if (rq->version >= 3) {
		ret->software = decode_text(&r);
		ret->software_version = decode_text(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

bool
q_metadata(struct q_metadata *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);
	int32_t n;

	*ret = (struct q_metadata){.auto_create = true};
	n = kr_array(&r, INT32_MAX, rq->version >= 10 ? UUID_BYTES : 1);
	if (rq->version == 0 && n < 0)
		r.bad = true;
	ret->all = rq->version == 0 ? n == 0 : n < 0;
	ret->topics = n < 0 ? 0 : n;
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		if (rq->version >= 10) {
			ret->topic[i].id = kr_take(&r, UUID_BYTES);
			ret->topic[i].name = kr_string(&r);
		} else {
			ret->topic[i].name = decode_text(&r);
		}
		kr_tags(&r);
	}
	if (rq->version >= 4)
		ret->auto_create = kr_bool(&r);
	if (rq->version >= 8 && rq->version <= 10)
		ret->cluster_operations = kr_bool(&r);
	if (rq->version >= 8)
		ret->topic_operations = kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_list_offsets(struct q_list_offsets *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_list_offsets){0};
	(void)kr_i32(&r); /* replicaId */
	if (rq->version >= 2)
		(void)kr_i8(&r); /* isolationLevel */
	ret->topics = decode_count(&r, 3);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		struct q_list_topic *t = &ret->topic[i];

		t->name = decode_text(&r);
		t->partitions = decode_count(&r, 12);
		t->partition = decode_take(a, &r, t->partitions, sizeof(*t->partition));
		for (int32_t j = 0; j < t->partitions && !r.bad; j++) {
			t->partition[j].partition = kr_i32(&r);
			t->partition[j].leader_epoch = rq->version >= 4 ? kr_i32(&r) : -1;
			t->partition[j].timestamp = kr_i64(&r);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

bool
q_produce(struct q_produce *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_produce){0};
	ret->transactional_id = kr_string(&r);
	ret->acks = kr_i16(&r);
	ret->timeout_ms = kr_i32(&r);
	ret->topics = decode_count(&r, 3);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		struct q_produce_topic *t = &ret->topic[i];

		t->name = decode_text(&r);
		t->partitions = decode_count(&r, 5);
		t->partition = decode_take(a, &r, t->partitions, sizeof(*t->partition));
		for (int32_t j = 0; j < t->partitions && !r.bad; j++) {
			t->partition[j].partition = kr_i32(&r);
			t->partition[j].records = kr_bytes(&r);
			kr_tags(&r);
		}
		ret->partitions += t->partitions;
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

bool
q_leader_epoch(struct q_leader_epoch *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_leader_epoch){0};
	if (rq->version >= 3)
		(void)kr_i32(&r); /* replicaId */
	ret->topics = decode_count(&r, 3);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		struct q_epoch_topic *t = &ret->topic[i];

		t->name = decode_text(&r);
		t->partitions = decode_count(&r, 12);
		t->partition = decode_take(a, &r, t->partitions, sizeof(*t->partition));
		for (int32_t j = 0; j < t->partitions && !r.bad; j++) {
			t->partition[j].partition = kr_i32(&r);
			t->partition[j].leader_epoch = kr_i32(&r);
			t->partition[j].epoch = kr_i32(&r);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}

bool
q_find_coordinator(struct q_find_coordinator *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);
	struct view key = {NULL, 0};

	*ret = (struct q_find_coordinator){.keys = 1};
	if (rq->version <= 3)
		key = decode_text(&r);
	if (rq->version >= 1)
		ret->key_type = kr_i8(&r);
	if (rq->version >= 4)
		ret->keys = decode_count(&r, 1);
	ret->key = decode_take(a, &r, ret->keys, sizeof(*ret->key));
	for (int32_t i = 0; i < ret->keys && !r.bad; i++)
		ret->key[i] = rq->version >= 4 ? decode_text(&r) : key;
	kr_tags(&r);
	return !r.bad;
}

bool
q_describe_cluster(struct q_describe_cluster *ret, const struct request *rq)
{
	struct reader r = decode_open(rq, NULL);

	ret->cluster_operations = kr_bool(&r);
	ret->endpoint_type = rq->version >= 1 ? kr_i8(&r) : 1;
	kr_tags(&r);
	return !r.bad;
}

bool
q_init_producer_id(struct q_init_producer_id *ret, const struct request *rq)
{
	struct reader r = decode_open(rq, NULL);

	ret->transactional_id = kr_string(&r);
	ret->timeout_ms = kr_i32(&r);
	ret->producer_id = rq->version >= 3 ? kr_i64(&r) : -1;
	ret->producer_epoch = rq->version >= 3 ? kr_i16(&r) : -1;
	kr_tags(&r);
	return !r.bad;
}

static void
create_topic(struct reader *r, struct q_create_topic *t, struct arena *a)
{
	t->name = decode_text(r);
	t->partitions = kr_i32(r);
	t->replication_factor = kr_i16(r);
	t->assignments = decode_count(r, 5);
	t->assignment = decode_take(a, r, t->assignments, sizeof(*t->assignment));
	for (int32_t i = 0; i < t->assignments && !r->bad; i++) {
		struct q_assignment *as = &t->assignment[i];

		as->partition = kr_i32(r);
		decode_brokers(r, as);
		kr_tags(r);
	}
	t->configs = decode_count(r, 2);
	t->config = decode_take(a, r, t->configs, sizeof(*t->config));
	for (int32_t i = 0; i < t->configs && !r->bad; i++) {
		t->config[i].name = decode_text(r);
		t->config[i].value = kr_string(r);
		kr_tags(r);
	}
	kr_tags(r);
}

bool
q_create_topics(struct q_create_topics *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_create_topics){0};
	ret->topics = decode_count(&r, 9);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++)
		create_topic(&r, &ret->topic[i], a);
	ret->timeout_ms = kr_i32(&r);
	ret->validate_only = kr_bool(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_delete_topics(struct q_delete_topics *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_delete_topics){0};
	ret->topics = decode_count(&r, rq->version >= 6 ? UUID_BYTES + 1 : 1);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		ret->topic[i].name = rq->version >= 6 ? kr_string(&r) : decode_text(&r);
		if (rq->version >= 6) {
			ret->topic[i].id = kr_take(&r, UUID_BYTES);
			kr_tags(&r);
		}
	}
	ret->timeout_ms = kr_i32(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_delete_records(struct q_delete_records *ret, const struct request *rq, struct arena *a)
{
	struct reader r = decode_open(rq, a);

	*ret = (struct q_delete_records){0};
	ret->topics = decode_count(&r, 3);
	ret->topic = decode_take(a, &r, ret->topics, sizeof(*ret->topic));
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		struct q_records_topic *t = &ret->topic[i];

		t->name = decode_text(&r);
		t->partitions = decode_count(&r, 12);
		t->partition = decode_take(a, &r, t->partitions, sizeof(*t->partition));
		for (int32_t j = 0; j < t->partitions && !r.bad; j++) {
			t->partition[j].partition = kr_i32(&r);
			t->partition[j].offset = kr_i64(&r);
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	ret->timeout_ms = kr_i32(&r);
	kr_tags(&r);
	return !r.bad;
}

bool
q_open_session(struct q_open_session *ret, const struct request *rq)
{
	struct reader r = decode_open(rq, NULL);

	*ret = (struct q_open_session){0};
	ret->session_id = (uint32_t)kr_i32(&r);
	ret->secret = (uint64_t)kr_i64(&r);
	ret->udp_address = kr_bytes(&r);
	ret->udp_port = (uint16_t)kr_i16(&r);
	ret->max_dgram = (uint16_t)kr_i16(&r);
	ret->want_window = (uint16_t)kr_i16(&r);
	ret->capabilities = (uint32_t)kr_i32(&r);
	ret->topics = kr_array(&r, KUP_HANDLES_MAX, 3);
	if (ret->topics < 0)
		ret->topics = 0;
	for (int32_t i = 0; i < ret->topics && !r.bad; i++) {
		ret->topic[i].name = decode_text(&r);
		ret->topic[i].create = kr_bool(&r);
		kr_tags(&r);
	}
	kr_tags(&r);
	return !r.bad;
}
