/* SPDX-License-Identifier: MIT
 * fuzz_open_session.c - OpenSession, both ways. Input: byte 0 even: the rest is what came over the
 * Kafka port, whole frames with their size fields, judged as kirad does; a request that is taken is
 * written again by libkira and must be read as the same. Odd: byte 1 says how many topics were asked
 * for, then the body of an answer, for libkira. */
#include "control/kafka/requests.h"

#include "base/bits.h"
#include "dataplane/client/client_kafka.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(fact) ((fact) ? (void)0 : __builtin_trap())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
within(struct view v, const uint8_t *from, uint32_t length)
{
	CHECK(!v.p || (v.p >= from && v.len <= length && v.p + v.len <= from + length));
}

static bool
same(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* What libkira can ask for: names without NUL, an address of at most 16 bytes. */
static bool
can_be_asked(const struct q_open_session *q)
{
	for (int32_t i = 0; i < q->topics; i++)
		if (q->topic[i].name.len > 0 && memchr(q->topic[i].name.p, 0, q->topic[i].name.len))
			return false;
	return q->udp_address.len <= 16;
}

static void
written_again_it_is_the_same(const struct q_open_session *q, const struct request *rq)
{
	static struct ckafka_open_topic topics[KUP_HANDLES_MAX];
	static struct q_open_session again;
	struct ckafka_open o = {
		.session_id = q->session_id,
		.secret = q->secret,
		.udp_address_length = (uint8_t)q->udp_address.len,
		.udp_port = q->udp_port,
		.max_dgram = q->max_dgram,
		.want_window = q->want_window,
		.capabilities = q->capabilities,
		.topics = topics,
		.topic_count = (unsigned)q->topics,
	};
	/* A length or a number of its own has at most two bytes more; tags are not kept. */
	const size_t room = rq->length + 16 + 2 * KUP_HANDLES_MAX;
	struct request copy = *rq;
	uint8_t *body = malloc(room);
	struct writer w;

	CHECK(body != NULL);
	if (q->udp_address.len > 0)
		memcpy(o.udp_address, q->udp_address.p, q->udp_address.len);
	for (int32_t i = 0; i < q->topics; i++) {
		topics[i].name = strndup((const char *)q->topic[i].name.p, q->topic[i].name.len);
		topics[i].create = q->topic[i].create;
	}
	w = kw_open(body, room, true);
	ckafka_encode_open(&w, &o);
	copy.body = body;
	copy.length = (uint32_t)kw_length(&w);
	CHECK(q_open_session(&again, &copy));
	CHECK(again.session_id == q->session_id && again.secret == q->secret);
	CHECK(again.udp_port == q->udp_port && again.max_dgram == q->max_dgram);
	CHECK(again.want_window == q->want_window && again.capabilities == q->capabilities);
	CHECK(same(again.udp_address, q->udp_address) && again.topics == q->topics);
	for (int32_t i = 0; i < q->topics; i++) {
		CHECK(same(again.topic[i].name, q->topic[i].name));
		CHECK(again.topic[i].create == q->topic[i].create);
		free((void *)(uintptr_t)topics[i].name);
	}
	free(body);
}

/* One frame; false: the connection is closed. */
static bool
one_request(const uint8_t *frame, const struct frame_head *head)
{
	static struct q_open_session q;
	struct request rq;

	if (!frame_request(&rq, head->api, frame, head->size))
		return false;
	if (head->key != KUP_OPEN_SESSION_KEY)
		return true;
	/* Another version is answered with 35 before its body is looked at. */
	if (rq.version != KUP_OPEN_SESSION_VERSION)
		return true;
	if (!q_open_session(&q, &rq))
		return false;
	CHECK(q.topics >= 0 && q.topics <= KUP_HANDLES_MAX);
	within(q.udp_address, rq.body, rq.length);
	for (int32_t i = 0; i < q.topics; i++)
		within(q.topic[i].name, rq.body, rq.length);
	if (can_be_asked(&q))
		written_again_it_is_the_same(&q, &rq);
	return true;
}

static void
connection(const uint8_t *data, size_t size)
{
	while (size >= FRAME_FIRST) {
		struct frame_head head;
		uint8_t *frame;
		bool open;

		if (frame_judge(data, 1 << 20, &head) != FRAME_OK || head.size > size - 4)
			return;
		/* Memory of its own: AddressSanitizer sees one byte too far. */
		frame = malloc(head.size);
		CHECK(frame != NULL);
		memcpy(frame, data + 4, head.size);
		open = one_request(frame, &head);
		free(frame);
		if (!open)
			return;
		data += 4 + head.size;
		size -= 4 + head.size;
	}
}

static void
answer(unsigned topic_count, const uint8_t *data, size_t size)
{
	static struct ckafka_open_topic topics[KUP_HANDLES_MAX];
	struct ckafka_open o = {.topics = topics, .topic_count = topic_count};
	struct ckafka_session s = {0};
	uint8_t *body = malloc(MAX(size, (size_t)1));
	struct reader r;

	CHECK(body != NULL);
	memcpy(body, data, size);
	r = kr_open(body, size, true);
	/* What the producer takes for granted later. */
	if (ckafka_decode_session(&r, &o, &s) && s.error == 0) {
		CHECK(s.wire.id != 0 && s.udp_port != 0 && s.udp_host[0] != '\0');
		CHECK(s.window >= 2 && s.window <= KUP_WINDOW_MAX);
		CHECK(s.max_dgram >= KUP_DGRAM_BASE && s.max_dgram <= KUP_DGRAM_MAX);
		for (unsigned i = 0; i < topic_count; i++)
			CHECK(topics[i].error != 0 || (topics[i].handle != 0 && topics[i].partitions > 0));
	}
	free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (data[0] & 1)
		answer(data[1] % (KUP_HANDLES_MAX + 1), data + 2, size - 2);
	else
		connection(data + 1, size - 1);
	return 0;
}
