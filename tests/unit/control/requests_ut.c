/* SPDX-License-Identifier: MIT
 * requests_ut.c - requests of producers and consumers, decoded from golden bytes in an old and in a flexible version; every
 * prefix of a good body is malformed, never read beyond; so is what does not fit. */
#include "tests/unit/control/request_bytes.h"

#include "base/bits.h"
#include "base/writer.h"

#include <stdlib.h>

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
	static uint8_t bytes[ARENA_PARTITIONS * 48];
	struct writer w = kw_open(bytes, sizeof(bytes), false);
	struct request rq;
	struct q_fetch q;

	kw_raw(&w, "\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 25); /* up to the session's epoch */
	kw_array(&w, ARENA_PARTITIONS);
	for (int32_t i = 0; i < ARENA_PARTITIONS; i++) {
		kw_string(&w, "t");
		kw_array(&w, 1);
		kw_i32(&w, i);
		kw_i64(&w, 0);
		kw_i64(&w, 0);
		kw_i32(&w, 1);
	}
	kw_array(&w, ARENA_PARTITIONS);
	for (int32_t i = 0; i < ARENA_PARTITIONS; i++) {
		kw_string(&w, "t");
		kw_array(&w, 1);
		kw_i32(&w, i);
	}
	CU_ASSERT_FALSE_FATAL(w.full);
	rq = body(API_FETCH, 7, (const char *)bytes, kw_length(&w));
	CU_ASSERT_TRUE_FATAL(q_fetch(&q, &rq, &arena));
	CU_ASSERT_EQUAL(q.partitions, ARENA_PARTITIONS);
	CU_ASSERT_EQUAL(q.topic[ARENA_PARTITIONS - 1].partition->partition, ARENA_PARTITIONS - 1);
	CU_ASSERT_EQUAL(q.forgotten_topics, ARENA_PARTITIONS);
	arena.size = FETCH_ARENA_BYTES(ARENA_PARTITIONS / 2);
	CU_ASSERT_FALSE(q_fetch(&q, &rq, &arena));
	arena.size = FETCH_ARENA_BYTES(ARENA_PARTITIONS);
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
	UT("requests", api_versions_decodes),
	UT("requests", metadata_decodes),
	UT("requests", fetch_decodes),
	UT("requests", list_offsets_decodes),
	UT("requests", produce_decodes),
	UT("requests", the_small_requests_decode),
	UT("requests", open_session_decodes),
	UT("requests", a_count_that_cannot_fit_is_malformed),
	UT("requests", a_request_that_needs_more_than_the_arena_is_malformed),
	UT("requests", a_fetch_may_name_every_partition_there_is),
	UT("requests", more_than_64_tags_are_malformed),
};

UT_MAIN(tests)
