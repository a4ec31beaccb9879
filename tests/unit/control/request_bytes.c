/* SPDX-License-Identifier: MIT
 * request_bytes.c - from bytes to a decoder. */
#include "tests/unit/control/request_bytes.h"

#include "tests/unit/control/any_request.h"

#include <stdlib.h>

static _Alignas(16) uint8_t room[FETCH_ARENA_BYTES(ARENA_PARTITIONS)];
struct arena arena = {.bytes = room, .size = sizeof(room)};

struct request
body(int16_t key, int16_t version, const char *bytes, size_t length)
{
	const struct api *api = api_find(key);

	return (struct request){.api = api, .version = version, .flexible = version >= api->flexible,
		.body = (const uint8_t *)bytes, .length = (uint32_t)length};
}
#define BODY(key, version, bytes) body(key, version, bytes, sizeof(bytes) - 1)

bool
decode(const struct request *rq)
{
	static union any_request q;

	switch ((enum api_key)rq->api->key) {
	case API_PRODUCE:
		return q_produce(&q.pr, rq, &arena);
	case API_FETCH:
		return q_fetch(&q.fe, rq, &arena);
	case API_LIST_OFFSETS:
		return q_list_offsets(&q.lo, rq, &arena);
	case API_METADATA:
		return q_metadata(&q.md, rq, &arena);
	case API_FIND_COORDINATOR:
		return q_find_coordinator(&q.fc, rq, &arena);
	case API_JOIN_GROUP:
		return q_join_group(&q.jg, rq, &arena);
	case API_HEARTBEAT:
		return q_heartbeat(&q.hb, rq);
	case API_LEAVE_GROUP:
		return q_leave_group(&q.lg, rq, &arena);
	case API_SYNC_GROUP:
		return q_sync_group(&q.sg, rq, &arena);
	case API_DESCRIBE_GROUPS:
		return q_describe_groups(&q.gi, rq, &arena);
	case API_LIST_GROUPS:
		return q_list_groups(&q.li, rq, &arena);
	case API_DELETE_GROUPS:
		return q_delete_groups(&q.gi, rq, &arena);
	case API_API_VERSIONS:
		return q_api_versions(&q.av, rq);
	case API_CREATE_TOPICS:
		return q_create_topics(&q.ct, rq, &arena);
	case API_DELETE_TOPICS:
		return q_delete_topics(&q.dt, rq, &arena);
	case API_DELETE_RECORDS:
		return q_delete_records(&q.dr, rq, &arena);
	case API_INIT_PRODUCER_ID:
		return q_init_producer_id(&q.ip, rq);
	case API_OFFSET_FOR_LEADER_EPOCH:
		return q_leader_epoch(&q.le, rq, &arena);
	case API_DESCRIBE_ACLS:
		return q_describe_acls(rq);
	case API_CREATE_ACLS:
		return q_create_acls(&q.acls, rq);
	case API_DELETE_ACLS:
		return q_delete_acls(&q.acls, rq);
	case API_DESCRIBE_LOG_DIRS:
		return q_log_dirs(&q.ps, rq, &arena);
	case API_ELECT_LEADERS:
		return q_elect_leaders(&q.el, rq, &arena);
	case API_DESCRIBE_PRODUCERS:
		return q_describe_producers(&q.ps, rq, &arena);
	case API_LIST_REASSIGNMENTS:
		return q_reassignments(&q.ps, rq, &arena);
	case API_DESCRIBE_TOPICS:
		return q_describe_topics(&q.ds, rq, &arena);
	case API_CREATE_PARTITIONS:
		return q_create_partitions(&q.cp, rq, &arena);
	case API_OFFSET_COMMIT:
		return q_offset_commit(&q.oc, rq, &arena);
	case API_OFFSET_FETCH:
		return q_offset_fetch(&q.of, rq, &arena);
	case API_OFFSET_DELETE:
		return q_offset_delete(&q.od, rq, &arena);
	case API_ALTER_CONFIGS:
		return q_alter_configs(&q.ac, rq, &arena);
	case API_INCREMENTAL_ALTER_CONFIGS:
		return q_incremental_alter_configs(&q.ac, rq, &arena);
	case API_DESCRIBE_CONFIGS:
		return q_describe_configs(&q.dg, rq, &arena);
	case API_DESCRIBE_CLUSTER:
		return q_describe_cluster(&q.dc, rq);
	case API_OPEN_SESSION:
		return q_open_session(&q.os, rq);
	}
	return false;
}

/* A copy of exact length for each prefix: the sanitizer sees a read past its end. */
void
no_prefix_decodes(const struct request *rq)
{
	for (uint32_t n = 0; n < rq->length; n++) {
		struct request cut = *rq;
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, rq->body, n);
		cut.body = copy;
		cut.length = n;
		if (decode(&cut))
			CU_FAIL("a prefix of a body decoded");
		free(copy);
	}
	CU_ASSERT_TRUE(decode(rq));
}

bool
is(struct view v, const char *text)
{
	return v.p && v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}
