/* SPDX-License-Identifier: MIT
 * open_session_ut.c - tests/golden/wire/open_session.txt: kirad reads the requests, libkira writes the
 * same and reads the answers. */
#include "control/kafka/requests.h"

#include "dataplane/client/client_kafka.h"
#include "tests/unit/ut.h"
#include "tests/unit/vectors.h"

#include <string.h>

static struct vector v;

static void
equal(const char *key, uint64_t got)
{
	if (got == (uint64_t)vector_int(&v, key))
		return;
	fprintf(stderr, "%s: %s is %llu\n", v.name, key, (unsigned long long)got);
	CU_FAIL("a field differs");
}

static bool
is(struct view w, const void *bytes)
{
	return w.len == 0 || memcmp(w.p, bytes, (size_t)w.len) == 0;
}

/* The address of a request as bytes; their number. */
static uint8_t
address_of(uint8_t ret[16])
{
	const char *text = vector_text(&v, "address", 0);
	uint8_t n = 0;

	for (; text[0] != '-' && text[0] != '\0'; text += 2, n++)
		CU_ASSERT_EQUAL_FATAL(sscanf(text, "%2hhx", &ret[n]), 1);
	return n;
}

static bool
frame_of(struct request *rq)
{
	struct frame_head head;

	return frame_judge(v.bytes, 1 << 20, &head) == FRAME_OK && head.size == v.len - 4
		&& head.key == KUP_OPEN_SESSION_KEY
		&& frame_request(rq, head.api, v.bytes + 4, v.len - 4);
}

static void
kirad_reads(void)
{
	struct q_open_session q;
	uint8_t address[16];
	struct request rq;
	const char *topic;
	int32_t n = 0;

	CU_ASSERT_TRUE_FATAL(frame_of(&rq));
	equal("correlation", (uint64_t)rq.correlation);
	CU_ASSERT(rq.client_id.len == 3 && is(rq.client_id, "kup"));
	CU_ASSERT_TRUE_FATAL(q_open_session(&q, &rq));
	equal("session", q.session_id);
	equal("secret", q.secret);
	equal("port", q.udp_port);
	equal("max_dgram", q.max_dgram);
	equal("window", q.want_window);
	equal("capabilities", q.capabilities);
	CU_ASSERT_EQUAL_FATAL((uint32_t)q.udp_address.len, address_of(address));
	CU_ASSERT(is(q.udp_address, address));
	for (; (topic = vector_text(&v, "topic", (unsigned)n)) != NULL && n < q.topics; n++) {
		const size_t len = strlen(topic + 2);

		CU_ASSERT_EQUAL(q.topic[n].create, topic[0] == '1');
		CU_ASSERT((size_t)q.topic[n].name.len == len && is(q.topic[n].name, topic + 2));
	}
	CU_ASSERT(n == q.topics && topic == NULL);
}

static void
libkira_writes(void)
{
	static uint8_t bytes[1024];
	struct ckafka_open_topic topics[4];
	struct ckafka_open o = {
		.session_id = vector_u32(&v, "session"),
		.secret = (uint64_t)vector_int(&v, "secret"),
		.udp_port = vector_u16(&v, "port"),
		.max_dgram = vector_u16(&v, "max_dgram"),
		.want_window = vector_u16(&v, "window"),
		.capabilities = vector_u32(&v, "capabilities"),
		.topics = topics,
	};
	struct writer w = kw_open(bytes, sizeof(bytes), true);
	struct request rq;
	const char *topic;

	o.udp_address_length = address_of(o.udp_address);
	for (; (topic = vector_text(&v, "topic", o.topic_count)) != NULL; o.topic_count++)
		topics[o.topic_count] = (struct ckafka_open_topic){.name = topic + 2,
			.create = topic[0] == '1'};
	ckafka_encode_open(&w, &o);
	CU_ASSERT_TRUE_FATAL(frame_of(&rq));
	CU_ASSERT(kw_length(&w) == rq.length && memcmp(bytes, rq.body, rq.length) == 0);
}

static void
libkira_reads(void)
{
	struct ckafka_open_topic topics[4] = {0};
	struct ckafka_open o = {.topics = topics};
	struct ckafka_session s = {0};
	uint8_t head[16];
	struct request rq = {.api = api_find(KUP_OPEN_SESSION_KEY), .flexible = true,
		.correlation = (int32_t)vector_int(&v, "correlation")};
	struct writer w = kw_open(head, sizeof(head), true);
	const char *text;
	struct reader r;

	/* What kirad puts before a body; its size field is written at the end. */
	frame_answer(&w, &rq);
	CU_ASSERT(kw_length(&w) == 9 && memcmp(head + 4, v.bytes + 4, 5) == 0);
	while (vector_text(&v, "topic", o.topic_count) != NULL)
		o.topic_count++;
	r = kr_open(v.bytes + 9, v.len - 9, true);
	CU_ASSERT_TRUE_FATAL(ckafka_decode_session(&r, &o, &s));
	equal("throttle_time_ms", s.throttle_ms);
	equal("error_code", (uint64_t)s.error);
	equal("api_max", s.api_max);
	text = vector_text(&v, "error_message", 0);
	CU_ASSERT_STRING_EQUAL(s.message, text ? text : "");
	equal("session_id", s.wire.id);
	equal("secret", s.wire.secret);
	equal("incarnation", s.wire.incarnation);
	text = vector_text(&v, "udp_host", 0);
	CU_ASSERT_STRING_EQUAL(s.udp_host, text ? text : "");
	equal("udp_port", s.udp_port);
	equal("max_dgram", s.max_dgram);
	equal("window", s.window);
	equal("credit_limit", s.credit_limit);
	equal("capabilities", s.capabilities);
	equal("ack_every", s.ack_every);
	equal("ack_delay_us", s.ack_delay_us);
	equal("lease_ms", s.lease_ms);
	equal("credit_lease_ms", s.credit_lease_ms);
	equal("keepalive_s", s.keepalive_s);
	for (unsigned i = 0; i < o.topic_count; i++) {
		char told[64];

		(void)snprintf(told, sizeof(told), "%d %u %d %d %d", topics[i].error,
			topics[i].handle, topics[i].partitions, topics[i].max_batch_bytes,
			topics[i].ack_min);
		text = vector_text(&v, "topic", i);
		CU_ASSERT(strncmp(text, told, strlen(told)) == 0);
		CU_ASSERT(topics[i].error != 0 || topics[i].id[15] == 15);
	}
}

static void
each(const char *from, void (*judge)(void))
{
	FILE *f = vectors_open("open_session.txt");
	unsigned n = 0;

	while (vectors_next(f, &v)) {
		if (!vector_is(&v, "from", from))
			continue;
		judge();
		n++;
	}
	CU_ASSERT_EQUAL(n, 8);
	(void)fclose(f);
}

static void
kirad_reads_every_request(void)
{
	each("client", kirad_reads);
}

static void
libkira_writes_every_request(void)
{
	each("client", libkira_writes);
}

static void
libkira_reads_every_answer(void)
{
	each("broker", libkira_reads);
}

static const struct ut_test tests[] = {
	UT("open_session", kirad_reads_every_request),
	UT("open_session", libkira_writes_every_request),
	UT("open_session", libkira_reads_every_answer),
};
UT_MAIN(tests)
