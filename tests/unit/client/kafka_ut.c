/* SPDX-License-Identifier: MIT
 * kafka_ut.c - the requests and answers of dataplane/client/client_kafka.h, field by field. The other
 * side's bytes are written here by hand, in the order of PROTOCOL.md, 2, and of Kafka's guide. */
#include "dataplane/client/client_kafka.h"

#include "base/bits.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>

static uint8_t bytes[4096];

struct answer {
	int16_t error;
	int32_t session_id;
	int16_t window, max_dgram, handle;
	int32_t topics;
};
static const struct answer good = {0, 0x03000007, 256, 1472, 5, 2};

static size_t
write_session(const struct answer *a)
{
	struct writer w = kw_open(bytes, sizeof(bytes), true);
	uint8_t id[16];

	kw_i32(&w, 250);
	kw_i16(&w, a->error);
	kw_string(&w, a->error ? "no" : NULL);
	kw_i16(&w, 0);
	kw_i32(&w, a->session_id);
	kw_i64(&w, 0x1122334455667788);
	kw_i64(&w, 99);
	kw_string(&w, "10.77.0.1");
	kw_i16(&w, 9105);
	kw_i16(&w, a->max_dgram);
	kw_i16(&w, a->window);
	kw_i32(&w, 300);
	kw_i32(&w, KUP_CAP_WANT_OFFSETS);
	kw_i16(&w, 16);
	kw_i32(&w, 50);
	kw_i32(&w, 10000);
	kw_i32(&w, 200);
	kw_i16(&w, 10);
	kw_array(&w, a->topics);
	for (int32_t i = 0; i < a->topics; i++) {
		memset(id, 0x40 + i, sizeof(id));
		kw_i16(&w, i == 1 ? KIRA_E_POLICY_VIOLATION : 0);
		kw_string(&w, i == 1 ? "second" : "first");
		kw_raw(&w, id, sizeof(id));
		kw_i16(&w, i == 1 ? 0 : a->handle);
		kw_i32(&w, i == 1 ? 0 : 4);
		kw_i32(&w, 1048588);
		kw_i8(&w, 1);
		kw_tags(&w);
	}
	kw_tags(&w);
	return kw_length(&w);
}

static bool
decode(size_t n, struct ckafka_session *s, struct ckafka_open_topic topics[2])
{
	struct ckafka_open o = {.topics = topics, .topic_count = 2};
	struct reader r = kr_open(bytes, n, true);

	return ckafka_decode_session(&r, &o, s);
}

static void
a_granted_session_is_taken_over_field_by_field(void)
{
	struct ckafka_open_topic topics[2] = {{0}};
	struct ckafka_session s;

	CU_ASSERT_TRUE(decode(write_session(&good), &s, topics));
	CU_ASSERT_EQUAL(s.error, 0);
	CU_ASSERT_EQUAL(s.wire.id, 0x03000007);
	CU_ASSERT_EQUAL(s.wire.secret, 0x1122334455667788);
	CU_ASSERT_EQUAL(s.wire.incarnation, 99);
	CU_ASSERT_STRING_EQUAL(s.udp_host, "10.77.0.1");
	CU_ASSERT_EQUAL(s.udp_port, 9105);
	CU_ASSERT_EQUAL(s.max_dgram, 1472);
	CU_ASSERT_EQUAL(s.window, 256);
	CU_ASSERT_EQUAL(s.credit_limit, 300);
	CU_ASSERT_EQUAL(s.ack_every, 16);
	CU_ASSERT_EQUAL(s.ack_delay_us, 50);
	CU_ASSERT_EQUAL(s.lease_ms, 10000);
	CU_ASSERT_EQUAL(s.credit_lease_ms, 200);
	CU_ASSERT_EQUAL(s.keepalive_s, 10);
	CU_ASSERT_EQUAL(topics[0].error, 0);
	CU_ASSERT_EQUAL(topics[0].handle, 5);
	CU_ASSERT_EQUAL(topics[0].partitions, 4);
	CU_ASSERT_EQUAL(topics[0].max_batch_bytes, 1048588);
	CU_ASSERT_EQUAL(topics[0].ack_min, 1);
	CU_ASSERT_EQUAL(topics[0].id[15], 0x40);
	CU_ASSERT_EQUAL(topics[1].error, KIRA_E_POLICY_VIOLATION);
}

static void
a_datagram_size_above_ours_is_cut_to_ours(void)
{
	struct ckafka_open_topic topics[2] = {{0}};
	struct answer a = good;
	struct ckafka_session s;

	a.max_dgram = 32000;
	CU_ASSERT_TRUE(decode(write_session(&a), &s, topics));
	CU_ASSERT_EQUAL(s.max_dgram, KUP_DGRAM_MAX);
}

static void
a_session_that_breaks_its_limits_is_refused(void)
{
	struct ckafka_open_topic topics[2] = {{0}};
	struct answer bad[] = {good, good, good, good, good, good};
	struct ckafka_session s;

	bad[0].session_id = 0;
	bad[1].window = 1;
	bad[2].window = KUP_WINDOW_MAX + 1;
	bad[3].max_dgram = KUP_DGRAM_BASE - 1;
	bad[4].handle = 0;
	bad[5].topics = 1;
	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++)
		CU_ASSERT_FALSE(decode(write_session(&bad[i]), &s, topics));
}

static void
an_answer_cut_short_anywhere_is_refused(void)
{
	struct ckafka_open_topic topics[2] = {{0}};
	struct ckafka_session s;
	const size_t n = write_session(&good);

	for (size_t cut = 0; cut < n; cut++)
		CU_ASSERT_FALSE(decode(cut, &s, topics));
}

static void
a_refusal_carries_its_error_and_message(void)
{
	struct ckafka_open_topic topics[2] = {{0}};
	const struct answer a = {.error = KIRA_E_THROTTLING_QUOTA_EXCEEDED};
	struct ckafka_session s;

	CU_ASSERT_TRUE(decode(write_session(&a), &s, topics));
	CU_ASSERT_EQUAL(s.error, KIRA_E_THROTTLING_QUOTA_EXCEEDED);
	CU_ASSERT_EQUAL(s.throttle_ms, 250);
	CU_ASSERT_STRING_EQUAL(s.message, "no");
}

static void
a_request_for_a_session_is_the_protocols_bytes(void)
{
	static const uint8_t golden[] = {0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8, 5, 10, 0, 0, 1, 0x30, 0x39,
		0x23, 0x0c, 4, 0, 0, 0, 0, 3, 2, 2, 't', 1, 0, 0};
	struct ckafka_open_topic topic = {.name = "t", .create = true};
	const struct ckafka_open o = {.session_id = 9, .secret = 8, .udp_address = {10, 0, 0, 1},
		.udp_address_length = 4, .udp_port = 12345, .max_dgram = KUP_DGRAM_MAX,
		.want_window = 1024, .capabilities = 3, .topics = &topic, .topic_count = 1};
	struct writer w = kw_open(bytes, sizeof(bytes), true);

	ckafka_encode_open(&w, &o);
	CU_ASSERT_EQUAL(kw_length(&w), sizeof(golden));
	CU_ASSERT_EQUAL(memcmp(bytes, golden, sizeof(golden)), 0);
}

static void
a_produce_frame_holds_one_batch_and_its_length(void)
{
	static const uint8_t golden[] = {0, 0, 0, 47, 0, 0, 0, 7, 0, 0, 0, 42, 0, 2, 'm', 'e', 0xff, 0xff,
		0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4,
		'b', 'a', 't', 'c', 0};
	const size_t n = ckafka_produce_frame(bytes, sizeof(bytes), 42, "me", "t", 3, -1, 30000, "batc", 4);

	CU_ASSERT_EQUAL(n, sizeof(golden) - 1);
	CU_ASSERT_EQUAL(memcmp(bytes + 4, golden + 4, n - 4), 0);
	CU_ASSERT_EQUAL(bytes[3], n - 4);
	CU_ASSERT_EQUAL(ckafka_produce_frame(bytes, n - 1, 42, "me", "t", 3, -1, 30000, "batc", 4), 0);
}

static void
an_answer_to_produce_is_read_field_by_field(void)
{
	struct writer w = kw_open(bytes, sizeof(bytes), false);
	struct ckafka_produced res;
	struct reader r;

	kw_array(&w, 1);
	kw_string(&w, "t");
	kw_array(&w, 1);
	kw_i32(&w, 3);
	kw_i16(&w, KIRA_E_DUPLICATE_SEQUENCE_NUMBER);
	kw_i64(&w, 4711);
	kw_i64(&w, -1);
	kw_i64(&w, 0);
	kw_i32(&w, 0);
	r = kr_open(bytes, kw_length(&w), false);
	CU_ASSERT_TRUE(ckafka_decode_produced(&r, &res));
	CU_ASSERT_EQUAL(res.partition, 3);
	CU_ASSERT_EQUAL(res.error, KIRA_E_DUPLICATE_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(res.base_offset, 4711);
}

static const struct ut_test tests[] = {
	UT("session", a_granted_session_is_taken_over_field_by_field),
	UT("session", a_datagram_size_above_ours_is_cut_to_ours),
	UT("session", a_session_that_breaks_its_limits_is_refused),
	UT("session", an_answer_cut_short_anywhere_is_refused),
	UT("session", a_refusal_carries_its_error_and_message),
	UT("session", a_request_for_a_session_is_the_protocols_bytes),
	UT("produce", a_produce_frame_holds_one_batch_and_its_length),
	UT("produce", an_answer_to_produce_is_read_field_by_field),
};

UT_MAIN(tests)
