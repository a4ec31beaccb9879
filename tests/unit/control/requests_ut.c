/* SPDX-License-Identifier: MIT
 * requests_ut.c - every request decoded from golden bytes, in an old and in a flexible version;
 * every prefix of a good body is malformed, never read beyond. */
#include "control/kafka/requests_groups.h"

#include "base/bits.h"
#include "base/writer.h"
#include "tests/unit/control/any_request.h"
#include "tests/unit/ut.h"

#include <stdlib.h>

#define PARTITIONS 20000

static _Alignas(16) uint8_t room[FETCH_ARENA_BYTES(PARTITIONS)];
static struct arena arena = {.bytes = room, .size = sizeof(room)};

static struct request
body(int16_t key, int16_t version, const char *bytes, size_t length)
{
	const struct api *api = api_find(key);

	return (struct request){.api = api, .version = version, .flexible = version >= api->flexible,
		.body = (const uint8_t *)bytes, .length = (uint32_t)length};
}
#define BODY(key, version, bytes) body(key, version, bytes, sizeof(bytes) - 1)

static bool
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
static void
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

static bool
is(struct view v, const char *text)
{
	return v.p && v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}

#define ID "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"

/* Flexible and not: a body of each request of groups; no prefix of it is one. */
static void
group_requests_decode(void)
{
	struct request rq = BODY(11, 0, "\0\1g\0\0\1\0\0\0\0\1t\0\0\0\1\0\1p\0\0\0\1m");
	struct group_join_request q;
	struct group_sync_request s;
	struct q_leave_group l;
	struct group_claim h;

	CU_ASSERT_TRUE(q_join_group(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.group, "g") && q.session_ms == 256 && q.rebalance_ms == -1 && is(q.member, "") &&
		!q.instance.p && is(q.protocol_type, "t") && q.protocols == 1 && is(q.protocol[0].name, "p") &&
		is(q.protocol[0].metadata, "m") && !q.id_required && !q.skip_offered);
	no_prefix_decodes(&rq);
	rq = BODY(11, 9, "\2g\0\0\1\0\0\0\2\0\2m\2i\2t\2\2p\2d\0\0\0");
	CU_ASSERT_TRUE(q_join_group(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.rebalance_ms == 512 && is(q.member, "m") && is(q.instance, "i") &&
		is(q.protocol[0].metadata, "d") && q.id_required && q.skip_offered);
	no_prefix_decodes(&rq);
	rq = BODY(14, 5, "\2g\0\0\0\7\2m\0\2t\2p\2\2a\2d\0\0");
	CU_ASSERT_TRUE(q_sync_group(&s, &rq, &arena));
	CU_ASSERT_TRUE(is(s.claim.group, "g") && s.claim.generation == 7 && !s.claim.instance.p &&
		is(s.protocol_type, "t") && is(s.protocol, "p") && s.assignments == 1 &&
		is(s.assignment[0].member, "a") && is(s.assignment[0].assignment, "d"));
	no_prefix_decodes(&rq);
	rq = BODY(12, 3, "\0\1g\0\0\0\7\0\1m\0\1i");
	CU_ASSERT_TRUE(q_heartbeat(&h, &rq));
	CU_ASSERT_TRUE(h.generation == 7 && is(h.member, "m") && is(h.instance, "i"));
	no_prefix_decodes(&rq);
	rq = BODY(13, 0, "\0\1g\0\1m");
	CU_ASSERT_TRUE(q_leave_group(&l, &rq, &arena));
	CU_ASSERT_TRUE(l.members == 1 && is(l.member[0].member, "m") && !l.member[0].instance.p);
	no_prefix_decodes(&rq);
	rq = BODY(13, 5, "\2g\3\2m\0\0\0\1\2i\2r\0\0");
	CU_ASSERT_TRUE(q_leave_group(&l, &rq, &arena));
	CU_ASSERT_TRUE(l.members == 2 && is(l.member[0].member, "m") && is(l.member[1].instance, "i"));
	no_prefix_decodes(&rq);
	rq = BODY(15, 5, "\2\2g\1\0");
	no_prefix_decodes(&rq);
	rq = BODY(16, 5, "\2\2s\2\2t\0");
	no_prefix_decodes(&rq);
	rq = BODY(42, 2, "\2\2g\0");
	no_prefix_decodes(&rq);
}

static void
api_versions_decodes(void)
{
	struct request rq = BODY(18, 3, "\x05kcat\x04" "1.7" "\x00");
	struct q_api_versions q;

	CU_ASSERT_TRUE(q_api_versions(&q, &rq));
	CU_ASSERT_TRUE(is(q.software, "kcat"));
	CU_ASSERT_TRUE(is(q.software_version, "1.7"));
	no_prefix_decodes(&rq);
	rq = BODY(18, 0, "");
	CU_ASSERT_TRUE(q_api_versions(&q, &rq));
}

static void
metadata_decodes(void)
{
	struct request rq = BODY(3, 0, "\0\0\0\1\0\1t");
	struct q_metadata q;

	CU_ASSERT_TRUE(q_metadata(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && !q.all && q.auto_create);
	no_prefix_decodes(&rq);
	rq = BODY(3, 0, "\0\0\0\0"); /* v0: empty = all */
	CU_ASSERT_TRUE(q_metadata(&q, &rq, &arena) && q.all);
	rq = BODY(3, 1, "\0\0\0\0"); /* v1: empty = none, null = all */
	CU_ASSERT_TRUE(q_metadata(&q, &rq, &arena) && !q.all);
	rq = BODY(3, 4, "\xff\xff\xff\xff\0");
	CU_ASSERT_TRUE(q_metadata(&q, &rq, &arena) && q.all && !q.auto_create);
	rq = BODY(3, 12, "\x03" ID "\x00\x00" ID "\x02t\x00" "\x01\x01\x00");
	CU_ASSERT_TRUE(q_metadata(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topics == 2 && !q.topic[0].name.p && is(q.topic[1].name, "t"));
	CU_ASSERT_EQUAL(memcmp(q.topic[0].id, ID, 16), 0);
	CU_ASSERT_TRUE(q.auto_create && q.topic_operations && !q.cluster_operations);
	no_prefix_decodes(&rq);
}

static void
offset_commit_decodes(void)
{
	struct request rq = BODY(8, 2, "\0\1g\0\0\0\7\0\1m" "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\0\1\0\1t\0\0\0\1"
		"\0\0\0\3\0\0\0\0\0\0\0\x2a\xff\xff");
	struct q_offset_commit q;

	CU_ASSERT_TRUE(q_offset_commit(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.group, "g") && q.generation == 7 && is(q.member, "m") && !q.instance.p);
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && q.partitions == 1);
	CU_ASSERT_TRUE(q.topic[0].partition[0].partition == 3 && q.topic[0].partition[0].offset == 42);
	CU_ASSERT_TRUE(q.topic[0].partition[0].leader_epoch == -1 && !q.topic[0].partition[0].metadata.p);
	no_prefix_decodes(&rq);
	rq = BODY(8, 9, "\2g\xff\xff\xff\xff\1\2i" "\2\2t\2\0\0\0\3\0\0\0\0\0\0\0\x2a\0\0\0\5\2x\0\0\0");
	CU_ASSERT_TRUE(q_offset_commit(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.generation == -1 && q.member.len == 0 && is(q.instance, "i"));
	CU_ASSERT_TRUE(q.topic[0].partition[0].leader_epoch == 5 && is(q.topic[0].partition[0].metadata, "x"));
	no_prefix_decodes(&rq);
}

static void
offset_fetch_and_delete_decode(void)
{
	struct request rq = BODY(9, 1, "\0\1g\0\0\0\1\0\1t\0\0\0\2\0\0\0\3\0\0\0\4");
	struct q_offset_fetch q;
	struct q_offset_delete d;

	CU_ASSERT_TRUE(q_offset_fetch(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.groups == 1 && is(q.group[0].name, "g") && !q.group[0].of.all);
	CU_ASSERT_TRUE(q.group[0].of.topics == 1 && q.group[0].of.topic[0].partition[1] == 4);
	no_prefix_decodes(&rq);
	rq = BODY(9, 1, "\0\1g\xff\xff\xff\xff"); /* null is all, but from version 2 on only */
	CU_ASSERT_FALSE(q_offset_fetch(&q, &rq, &arena));
	rq = BODY(9, 2, "\0\1g\xff\xff\xff\xff");
	CU_ASSERT_TRUE(q_offset_fetch(&q, &rq, &arena) && q.group[0].of.all);
	rq = BODY(9, 9, "\3\2g\0\xff\xff\xff\xff\0\0\2h\2m\0\0\0\1\2\2t\2\0\0\0\3\0\0\1\0");
	CU_ASSERT_TRUE(q_offset_fetch(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.groups == 2 && q.group[0].of.all && is(q.group[1].name, "h") && !q.group[1].of.all);
	CU_ASSERT_TRUE(q.group[1].of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(47, 0, "\0\1g\0\0\0\1\0\1t\0\0\0\1\0\0\0\3");
	CU_ASSERT_TRUE(q_offset_delete(&d, &rq, &arena));
	CU_ASSERT_TRUE(is(d.group, "g") && d.of.topics == 1 && d.of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
}

static void
fetch_decodes(void)
{
	struct request rq = BODY(1, 4, "\xff\xff\xff\xff\0\0\1\xf4\0\0\0\1\0\1\0\0\1"
		"\0\0\0\1\0\1t\0\0\0\1" "\0\0\0\5" "\0\0\0\0\0\0\0\x2a" "\0\0\x10\0");
	struct q_fetch q;

	CU_ASSERT_TRUE(q_fetch(&q, &rq, &arena));
	CU_ASSERT_EQUAL(q.max_wait_ms, 500);
	CU_ASSERT_EQUAL(q.max_bytes, 65536);
	CU_ASSERT_TRUE(q.topics == 1 && q.partitions == 1 && is(q.topic[0].key, "t"));
	CU_ASSERT_EQUAL(q.topic[0].partition[0].partition, 5);
	CU_ASSERT_EQUAL(q.topic[0].partition[0].offset, 42);
	CU_ASSERT_EQUAL(q.topic[0].partition[0].max_bytes, 4096);
	CU_ASSERT_EQUAL(q.topic[0].partition[0].leader_epoch, -1);
	no_prefix_decodes(&rq);
	rq = BODY(1, 12, "\xff\xff\xff\xff\0\0\1\xf4\0\0\0\1\0\1\0\0\1"
		"\0\0\0\7\0\0\0\1" "\x02\x02t\x02" "\0\0\0\5" "\0\0\0\3" "\0\0\0\0\0\0\0\x2a"
		"\0\0\0\2" "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\x10\0\0" "\0"
		"\x02\x02x\x02\0\0\0\1\0" "\x02r\0");
	CU_ASSERT_TRUE(q_fetch(&q, &rq, &arena));
	CU_ASSERT_EQUAL(q.session_id, 7);
	CU_ASSERT_EQUAL(q.topic[0].partition[0].leader_epoch, 3);
	CU_ASSERT_EQUAL(q.topic[0].partition[0].last_fetched_epoch, 2);
	CU_ASSERT_TRUE(q.forgotten_topics == 1 && is(q.forgotten[0].key, "x") && q.forgotten[0].partitions == 1);
	CU_ASSERT_EQUAL(get_be32(q.forgotten[0].partition), 1);
	no_prefix_decodes(&rq);
	/* By id; a consumer names no replica, a follower does in a tag; a directory in the partition's. */
	rq = BODY(1, 17, "\0\0\1\xf4\0\0\0\1\0\1\0\0\1"
		"\0\0\0\7\0\0\0\1" "\x02" "0123456789abcdef" "\x02" "\0\0\0\5" "\0\0\0\3" "\0\0\0\0\0\0\0\x2a"
		"\0\0\0\2" "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\x10\0" "\1\0\x10" "fedcba9876543210" "\0"
		"\x02" "fedcba9876543210" "\x02\0\0\0\1\0" "\x02r"
		"\1\1\x0d\0\0\0\4\0\0\0\0\0\0\0\1\0");
	CU_ASSERT_TRUE(q_fetch(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.topic[0].key, "0123456789abcdef") && is(q.forgotten[0].key, "fedcba9876543210"));
	CU_ASSERT_EQUAL(q.topic[0].partition[0].max_bytes, 4096);
	CU_ASSERT_EQUAL(q.replica, 4);
	no_prefix_decodes(&rq);
}

static void
list_offsets_decodes(void)
{
	struct request rq = BODY(2, 1, "\xff\xff\xff\xff\0\0\0\1\0\1t\0\0\0\1\0\0\0\2"
		"\xff\xff\xff\xff\xff\xff\xff\xfe");
	struct q_list_offsets q;

	CU_ASSERT_TRUE(q_list_offsets(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topic[0].partition[0].timestamp == -2 && q.topic[0].partition[0].partition == 2);
	no_prefix_decodes(&rq);
	rq = BODY(2, 7, "\xff\xff\xff\xff\0\x02\x02t\x02\0\0\0\2\0\0\0\4"
		"\0\0\0\0\0\0\0\x01\0\0\0");
	CU_ASSERT_TRUE(q_list_offsets(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topic[0].partition[0].leader_epoch == 4 && q.topic[0].partition[0].timestamp == 1);
	no_prefix_decodes(&rq);
}

static void
produce_decodes(void)
{
	struct request rq = BODY(0, 3, "\xff\xff\xff\xff\0\0\x03\xe8\0\0\0\1\0\1t\0\0\0\1"
		"\0\0\0\3\0\0\0\4" "abcd");
	struct q_produce q;

	CU_ASSERT_TRUE(q_produce(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.acks == -1 && q.timeout_ms == 1000 && q.partitions == 1);
	CU_ASSERT_TRUE(is(q.topic[0].partition[0].records, "abcd"));
	CU_ASSERT_PTR_EQUAL(q.topic[0].partition[0].records.p, rq.body + rq.length - 4);
	no_prefix_decodes(&rq);
	rq = BODY(0, 9, "\x03tx\0\1\0\0\x03\xe8\x02\x02t\x03\0\0\0\3\x05" "abcd\0\0\0\0\4\0\0\0\0");
	CU_ASSERT_TRUE(q_produce(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.transactional_id, "tx") && q.partitions == 2);
	CU_ASSERT_PTR_NULL(q.topic[0].partition[1].records.p);
	no_prefix_decodes(&rq);
}

static void
the_small_requests_decode(void)
{
	struct request rq = BODY(22, 0, "\xff\xff\0\0\0\1");
	struct q_init_producer_id ip;
	struct q_find_coordinator fc;
	struct q_describe_cluster dc;
	struct q_leader_epoch le;

	CU_ASSERT_TRUE(q_init_producer_id(&ip, &rq) && !ip.transactional_id.p && ip.producer_id == -1);
	no_prefix_decodes(&rq);
	rq = BODY(22, 4, "\0\0\0\0\1\0\0\0\0\0\0\x12\x67\0\2\0");
	CU_ASSERT_TRUE(q_init_producer_id(&ip, &rq) && ip.producer_id == 4711 && ip.producer_epoch == 2);
	no_prefix_decodes(&rq);
	rq = BODY(10, 0, "\0\1g");
	CU_ASSERT_TRUE(q_find_coordinator(&fc, &rq, &arena) && fc.keys == 1 && is(fc.key[0], "g"));
	no_prefix_decodes(&rq);
	rq = BODY(10, 4, "\1\x03\x02g\x02h\0");
	CU_ASSERT_TRUE(q_find_coordinator(&fc, &rq, &arena) && fc.keys == 2 && fc.key_type == 1);
	no_prefix_decodes(&rq);
	rq = BODY(60, 1, "\1\2\0");
	CU_ASSERT_TRUE(q_describe_cluster(&dc, &rq) && dc.endpoint_type == 2 && dc.cluster_operations);
	no_prefix_decodes(&rq);
	rq = BODY(23, 2, "\0\0\0\1\0\1t\0\0\0\1\0\0\0\3\xff\xff\xff\xff\0\0\0\1");
	CU_ASSERT_TRUE(q_leader_epoch(&le, &rq, &arena) && le.topic[0].partition[0].epoch == 1);
	no_prefix_decodes(&rq);
	rq = BODY(23, 4, "\xff\xff\xff\xff\x02\x02t\x02\0\0\0\3\xff\xff\xff\xff\0\0\0\1\0\0\0");
	CU_ASSERT_TRUE(q_leader_epoch(&le, &rq, &arena) && le.topic[0].partition[0].partition == 3);
	no_prefix_decodes(&rq);
}

static void
create_and_delete_topics_decode(void)
{
	struct request rq = BODY(19, 2, "\0\0\0\1\0\1t\0\0\0\4\0\1\0\0\0\0\0\0\0\1\0\x0cretention.ms"
		"\0\1" "1\0\0\x75\x30\1");
	struct q_create_topics ct;
	struct q_delete_topics dt;

	CU_ASSERT_TRUE(q_create_topics(&ct, &rq, &arena));
	CU_ASSERT_TRUE(ct.topic[0].partitions == 4 && ct.topic[0].replication_factor == 1);
	CU_ASSERT_TRUE(is(ct.topic[0].config[0].name, "retention.ms") && ct.validate_only);
	no_prefix_decodes(&rq);
	rq = BODY(19, 7, "\x02\x02t\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x03\0\0\0\1\0\0\0\2\0"
		"\1\0\0\0\x75\x30\0\0");
	CU_ASSERT_TRUE(q_create_topics(&ct, &rq, &arena));
	CU_ASSERT_TRUE(ct.topic[0].assignments == 1 && ct.topic[0].assignment[0].brokers == 2 &&
		ct.topic[0].assignment[0].first_broker == 1);
	no_prefix_decodes(&rq);
	rq = BODY(20, 1, "\0\0\0\1\0\1t\0\0\x75\x30");
	CU_ASSERT_TRUE(q_delete_topics(&dt, &rq, &arena) && is(dt.topic[0].name, "t"));
	no_prefix_decodes(&rq);
	rq = BODY(20, 6, "\x02\0" ID "\0\0\0\x75\x30\0");
	CU_ASSERT_TRUE(q_delete_topics(&dt, &rq, &arena) && !dt.topic[0].name.p);
	CU_ASSERT_EQUAL(memcmp(dt.topic[0].id, ID, 16), 0);
	no_prefix_decodes(&rq);
}

static void
create_partitions_decodes(void)
{
	struct request rq = BODY(37, 0, "\0\0\0\1\0\1t\0\0\0\4\xff\xff\xff\xff\0\0\x75\x30\1");
	struct q_create_partitions q;

	CU_ASSERT_TRUE_FATAL(q_create_partitions(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && q.topic[0].count == 4);
	CU_ASSERT_TRUE(q.topic[0].assignments == -1 && q.validate_only);
	CU_ASSERT_EQUAL(q.timeout_ms, 30000);
	no_prefix_decodes(&rq);
	rq = BODY(37, 3, "\x02\x02t\0\0\0\4\x03\x02\0\0\0\1\0\x03\0\0\0\2\0\0\0\3\0\0\0\0\x75\x30\0\0");
	CU_ASSERT_TRUE_FATAL(q_create_partitions(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topic[0].assignments == 2 && !q.validate_only);
	CU_ASSERT_TRUE(q.topic[0].assignment[0].brokers == 1 && q.topic[0].assignment[0].first_broker == 1);
	CU_ASSERT_TRUE(q.topic[0].assignment[1].brokers == 2 && q.topic[0].assignment[1].first_broker == 2);
	no_prefix_decodes(&rq);
}

static void
access_rules_decode(void)
{
	int32_t n;
	struct request rq = BODY(29, 1, "\x02\xff\xff\x03\xff\xff\xff\xff\x01\x01");

	CU_ASSERT_TRUE(q_describe_acls(&rq));
	no_prefix_decodes(&rq);
	rq = BODY(29, 3, "\x02\x02t\x03\x00\x00\x01\x01\x00");
	no_prefix_decodes(&rq);
	rq = BODY(30, 1, "\x00\x00\x00\x01\x02\x00\x01t\x03\x00\x06User:a\x00\x01*\x03\x03");
	CU_ASSERT_TRUE(q_create_acls(&n, &rq) && n == 1);
	no_prefix_decodes(&rq);
	rq = BODY(30, 3, "\x02\x02\x02t\x03\x07User:a\x02*\x03\x03\x00\x00");
	CU_ASSERT_TRUE(q_create_acls(&n, &rq) && n == 1);
	no_prefix_decodes(&rq);
	rq = BODY(30, 3, "\2\2\0\3\7User:a\2*\3\3\0\0"); /* a rule names its resource */
	CU_ASSERT_FALSE(q_create_acls(&n, &rq));
	rq = BODY(31, 1, "\x00\x00\x00\x01\x02\xff\xff\x03\xff\xff\xff\xff\x01\x01");
	CU_ASSERT_TRUE(q_delete_acls(&n, &rq) && n == 1);
	no_prefix_decodes(&rq);
	rq = BODY(31, 3, "\x03\x02\x02t\x03\x00\x00\x01\x01\x00\x02\x00\x03\x00\x00\x01\x01\x00\x00");
	CU_ASSERT_TRUE(q_delete_acls(&n, &rq) && n == 2);
	no_prefix_decodes(&rq);
}

static void
requests_of_some_partitions_decode(void)
{
	struct request rq = BODY(35, 1, "\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03");
	struct q_partitions q;
	struct q_elect_leaders el;

	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && !q.all && q.topics == 1 && is(q.topic[0].name, "t"));
	CU_ASSERT_TRUE(q.topic[0].partitions == 2 && q.topic[0].partition[0] == 0 && q.topic[0].partition[1] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(35, 4, "\x02\x02t\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00");
	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && q.topic[0].partition[1] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(61, 0, "\2\2t\2\0\0\0\3\0\0");
	CU_ASSERT_TRUE(q_describe_producers(&q, &rq, &arena) && q.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(61, 0, "\0\0"); /* all cannot be asked for */
	CU_ASSERT_FALSE(q_describe_producers(&q, &rq, &arena));
	rq = BODY(35, 4, "\0\0");
	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && q.all && q.topics == 0);
	rq = BODY(35, 4, "\1\0");
	CU_ASSERT_TRUE(q_log_dirs(&q, &rq, &arena) && !q.all && q.topics == 0);
	rq = BODY(43, 0, "\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00u0");
	CU_ASSERT_TRUE(q_elect_leaders(&el, &rq, &arena) && el.type == 0 && el.of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(43, 2, "\x01\x02\x02t\x02\x00\x00\x00\x03\x00\x00\x00u0\x00");
	CU_ASSERT_TRUE(q_elect_leaders(&el, &rq, &arena) && el.type == 1 && el.of.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
	rq = BODY(46, 0, "\x00\x00u0\x02\x02t\x02\x00\x00\x00\x03\x00\x00");
	CU_ASSERT_TRUE(q_reassignments(&q, &rq, &arena) && q.topic[0].partition[0] == 3);
	no_prefix_decodes(&rq);
}

static void
describe_topics_decodes(void)
{
	struct request rq = BODY(75, 0, "\x03\x02t\x00\x02u\x00\x00\x00\x07\xd0\x01\x02t\x00\x00\x00\x05\x00\x00");
	struct q_describe_topics q;

	CU_ASSERT_TRUE(q_describe_topics(&q, &rq, &arena) && q.topics == 2 && is(q.topic[1], "u"));
	CU_ASSERT_TRUE(q.limit == 2000 && q.has_cursor && is(q.cursor_topic, "t") && q.cursor_partition == 5);
	no_prefix_decodes(&rq);
	rq = BODY(75, 0, "\1\0\0\0\1\xff\0");
	CU_ASSERT_TRUE(q_describe_topics(&q, &rq, &arena) && q.topics == 0 && !q.has_cursor);
	no_prefix_decodes(&rq);
}

static void
delete_records_decodes(void)
{
	struct request rq = BODY(21, 0, "\0\0\0\1\0\1t\0\0\0\2\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\1"
		"\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x75\x30");
	struct q_delete_records q;

	CU_ASSERT_TRUE_FATAL(q_delete_records(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topics == 1 && is(q.topic[0].name, "t") && q.topic[0].partitions == 2);
	CU_ASSERT_TRUE(q.topic[0].partition[0].partition == 0 && q.topic[0].partition[0].offset == 256);
	CU_ASSERT_TRUE(q.topic[0].partition[1].partition == 1 && q.topic[0].partition[1].offset == -1);
	CU_ASSERT_EQUAL(q.timeout_ms, 30000);
	no_prefix_decodes(&rq);
	rq = BODY(21, 2, "\x02\x02t\x02\0\0\0\3\0\0\0\0\0\0\0\7\0\0\0\0\x75\x30\0");
	CU_ASSERT_TRUE_FATAL(q_delete_records(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.topic[0].partition[0].partition == 3 && q.topic[0].partition[0].offset == 7);
	no_prefix_decodes(&rq);
}

static void
describe_configs_decodes(void)
{
	struct request rq = BODY(32, 1, "\0\0\0\2\2\0\1t\xff\xff\xff\xff\4\0\0\0\0\0\1\0\1k\1");
	struct q_describe_configs q;

	CU_ASSERT_TRUE_FATAL(q_describe_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.resources == 2 && q.resource[0].type == RESOURCE_TOPIC && is(q.resource[0].name, "t"));
	CU_ASSERT_TRUE(q.resource[0].keys == -1 && q.resource[1].type == RESOURCE_BROKER);
	CU_ASSERT_TRUE(q.resource[1].name.len == 0 && q.resource[1].keys == 1 && is(q.resource[1].key[0], "k"));
	CU_ASSERT_TRUE(q.synonyms && !q.documentation);
	no_prefix_decodes(&rq);
	rq = BODY(32, 4, "\2\2\2t\2\2k\0\0\1\0");
	CU_ASSERT_TRUE_FATAL(q_describe_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(is(q.resource[0].name, "t") && is(q.resource[0].key[0], "k"));
	CU_ASSERT_TRUE(!q.synonyms && q.documentation);
	no_prefix_decodes(&rq);
}

static void
alter_configs_decodes(void)
{
	struct request rq = BODY(33, 0, "\0\0\0\1\2\0\1t\0\0\0\2\0\1k\0\1v\0\1l\xff\xff\1");
	struct q_alter_configs q;

	CU_ASSERT_TRUE_FATAL(q_alter_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.resources == 1 && q.resource[0].type == RESOURCE_TOPIC && is(q.resource[0].name, "t"));
	CU_ASSERT_TRUE(q.resource[0].changes == 2 && is(q.resource[0].change[0].name, "k"));
	CU_ASSERT_TRUE(is(q.resource[0].change[0].value, "v") && !q.resource[0].change[1].value.p);
	CU_ASSERT_TRUE(q.resource[0].change[1].operation == CONFIG_SET && q.validate_only);
	no_prefix_decodes(&rq);
	rq = BODY(44, 1, "\2\2\2t\3\2k\3\2v\0\2l\1\0\0\0\0\0");
	CU_ASSERT_TRUE_FATAL(q_incremental_alter_configs(&q, &rq, &arena));
	CU_ASSERT_TRUE(q.resource[0].changes == 2 && q.resource[0].change[0].operation == CONFIG_SUBTRACT);
	CU_ASSERT_TRUE(is(q.resource[0].change[0].value, "v") && q.resource[0].change[1].operation == CONFIG_DELETE);
	CU_ASSERT_TRUE(!q.resource[0].change[1].value.p && !q.validate_only);
	no_prefix_decodes(&rq);
}

static void
open_session_decodes(void)
{
	struct request rq = BODY(19273, 0, "\0\0\0\7\1\2\3\4\5\6\7\x08\x05\x7f\x12\0\x02\x23\x90"
		"\x23\x0c\1\0\0\0\0\3\x03\x02t\1\0\x02u\0\0\0");
	struct q_open_session q;

	CU_ASSERT_TRUE(q_open_session(&q, &rq));
	CU_ASSERT_EQUAL(q.session_id, 7);
	CU_ASSERT_EQUAL(q.secret, 0x0102030405060708u);
	CU_ASSERT_EQUAL(q.udp_address.len, 4);
	CU_ASSERT_EQUAL(q.udp_port, 9104);
	CU_ASSERT_EQUAL(q.max_dgram, 8972);
	CU_ASSERT_EQUAL(q.want_window, 256);
	CU_ASSERT_EQUAL(q.capabilities, 3);
	CU_ASSERT_TRUE(q.topics == 2 && q.topic[0].create && !q.topic[1].create);
	no_prefix_decodes(&rq);
}

static void
a_count_that_cannot_fit_is_malformed(void)
{
	struct request rq = BODY(3, 1, "\x7f\xff\xff\xff\0\1t");

	CU_ASSERT_FALSE(decode(&rq));
	rq = BODY(3, 9, "\xff\xff\xff\xff\x0f\x02t\0\0\0\0\0");
	CU_ASSERT_FALSE(decode(&rq));
	rq = BODY(1, 4, "\xff\xff\xff\xff\0\0\1\xf4\0\0\0\1\0\1\0\0\1\xff\xff\xff\xff");
	CU_ASSERT_FALSE(decode(&rq)); /* a null array where none may be */
	rq = BODY(3, 1, "\0\0\0\1\xff\xff");
	CU_ASSERT_FALSE(decode(&rq)); /* a null name */
}

static void
a_request_that_needs_more_than_the_arena_is_malformed(void)
{
	/* 1 MiB of one-byte names: 2 bytes each on the wire, more in the arena. */
	const uint32_t n = 300000, length = 4 + n * 3 + 1;
	uint8_t *b = calloc(1, length);
	struct request rq = body(3, 4, (const char *)b, length);

	put_be32(b, n);
	for (uint32_t i = 0; i < n; i++) {
		b[4 + i * 3 + 1] = 1;
		b[4 + i * 3 + 2] = 't';
	}
	CU_ASSERT_FALSE(decode(&rq));
	free(b);
}

/* And forget as many, each in a topic of its own: the most that a partition takes. */
static void
a_fetch_may_name_every_partition_there_is(void)
{
	static uint8_t bytes[PARTITIONS * 48];
	struct writer w = kw_open(bytes, sizeof(bytes), false);
	struct request rq;
	struct q_fetch q;

	kw_raw(&w, "\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 25); /* up to the session's epoch */
	kw_array(&w, PARTITIONS);
	for (int32_t i = 0; i < PARTITIONS; i++) {
		kw_string(&w, "t");
		kw_array(&w, 1);
		kw_i32(&w, i);
		kw_i64(&w, 0);
		kw_i64(&w, 0);
		kw_i32(&w, 1);
	}
	kw_array(&w, PARTITIONS);
	for (int32_t i = 0; i < PARTITIONS; i++) {
		kw_string(&w, "t");
		kw_array(&w, 1);
		kw_i32(&w, i);
	}
	CU_ASSERT_FALSE_FATAL(w.full);
	rq = body(API_FETCH, 7, (const char *)bytes, kw_length(&w));
	CU_ASSERT_TRUE_FATAL(q_fetch(&q, &rq, &arena));
	CU_ASSERT_EQUAL(q.partitions, PARTITIONS);
	CU_ASSERT_EQUAL(q.topic[PARTITIONS - 1].partition->partition, PARTITIONS - 1);
	CU_ASSERT_EQUAL(q.forgotten_topics, PARTITIONS);
	arena.size = FETCH_ARENA_BYTES(PARTITIONS / 2);
	CU_ASSERT_FALSE(q_fetch(&q, &rq, &arena));
	arena.size = sizeof(room);
}

static void
more_than_64_tags_are_malformed(void)
{
	struct request rq = BODY(60, 0, "\1\x41"
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");

	CU_ASSERT_FALSE(decode(&rq));
}

static const struct ut_test tests[] = {
	UT("requests", group_requests_decode),
	UT("requests", api_versions_decodes),
	UT("requests", metadata_decodes),
	UT("requests", offset_commit_decodes),
	UT("requests", offset_fetch_and_delete_decode),
	UT("requests", fetch_decodes),
	UT("requests", list_offsets_decodes),
	UT("requests", produce_decodes),
	UT("requests", the_small_requests_decode),
	UT("requests", create_and_delete_topics_decode),
	UT("requests", create_partitions_decodes),
	UT("requests", access_rules_decode),
	UT("requests", requests_of_some_partitions_decode),
	UT("requests", describe_topics_decodes),
	UT("requests", delete_records_decodes),
	UT("requests", describe_configs_decodes),
	UT("requests", alter_configs_decodes),
	UT("requests", open_session_decodes),
	UT("requests", a_count_that_cannot_fit_is_malformed),
	UT("requests", a_request_that_needs_more_than_the_arena_is_malformed),
	UT("requests", a_fetch_may_name_every_partition_there_is),
	UT("requests", more_than_64_tags_are_malformed),
};
UT_MAIN(tests)
