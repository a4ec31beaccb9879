/* SPDX-License-Identifier: MIT
 * blast_hostile_ut.c - tests of dataplane/blast/blast_hostile.c: what it makes is judged here as the
 * broker (secret, addresses, lengths) and as a session would judge it. */
#include "dataplane/blast/blast_hostile.c"

#include "tests/unit/ut.h"

#define SESSIONS 2
#define FRAMES   20000

static struct frame_template template;
static struct blast_run run;
static struct blast_session session[SESSIONS + 1];
static struct hostile hostile;
static uint8_t frame[FRAME_MAX];
static const uint8_t us[4] = {10, 0, 0, 2}, broker[4] = {10, 0, 0, 1}, mac[6];

static void
start(double share)
{
	struct err err;

	memset(&run, 0, sizeof(run));
	CU_ASSERT_EQUAL_FATAL(frame_template_build(&template, 100, 1400, &err), 0);
	run.frame = &template;
	run.acks = BLAST_ACKS_LOG;
	run.partitions = run.session_partitions = 3;
	for (unsigned i = 0; i <= SESSIONS; i++) {
		const struct ckafka_session g = {
			.wire = {.id = i + 1, .secret = (i + 1) * 1000ull, .incarnation = 7},
			.udp_port = 9104, .max_dgram = 1472, .window = 256, .credit_limit = 256,
			.ack_every = 16, .ack_delay_us = 50, .credit_lease_ms = 60000, .keepalive_s = 60,
		};
		struct blast_session *s = &session[i];

		CU_ASSERT_EQUAL_FATAL(session_init(s, &run, (uint16_t)(20000 + i), &err), 0);
		session_granted(s, &g, 1, NS_PER_S);
		memcpy(s->to, broker, 4);
		frame_link_build(&s->link, mac, mac, us, broker, s->from_port, s->to_port);
	}
	CU_ASSERT_EQUAL_FATAL(hostile_init(&hostile, share, session, SESSIONS, &template, 1, &err), 0);
}

static void
stop(void)
{
	for (unsigned i = 0; i <= SESSIONS; i++)
		session_free(&session[i]);
	hostile_free(&hostile);
}

/* As the broker sees it: from an address, port and secret that it granted, and whole? */
static const struct blast_session *
believed(uint32_t bytes)
{
	struct frame_datagram d;

	if (bytes < FRAME_LINK || !frame_parse(frame, bytes, broker, &d) || d.length < KUP_FLOOR
			|| memcmp(d.from, us, 4) != 0)
		return NULL;
	for (unsigned i = 0; i <= SESSIONS; i++)
		if (d.from_port == session[i].from_port
				&& get_be32(d.payload + KUP_OFF_SESSION) == session[i].wire.id
				&& get_be64(d.payload + KUP_OFF_AUTH) == session[i].wire.secret)
			return &session[i];
	return NULL;
}

static void
every_kind_comes_and_nothing_that_is_believed_can_be_stored_or_close_a_session(void)
{
	start(0.5);
	for (unsigned i = 0; i < FRAMES; i++) {
		const struct blast_session *s;
		uint64_t replays;
		const uint8_t *p = frame + FRAME_LINK;
		uint32_t bytes;

		hostile_honest(&hostile, template.bytes, template.frame_bytes);
		replays = hostile.sent[HOSTILE_REPLAY];
		bytes = hostile_frame(&hostile, NS_PER_S + i, frame);
		s = believed(bytes);
		if (!s || hostile.sent[HOSTILE_REPLAY] != replays || p[KUP_OFF_MAGIC] != KUP_MAGIC)
			continue;
		if (p[KUP_OFF_TYPE] == (KUP_VERSION << 4 | KUP_DATA)
				&& !serial_newer(get_be32(p + KUP_DATA_SEQ), s->window.credit_limit)) {
			CU_ASSERT_PTR_EQUAL(s, &session[SESSIONS]);
			CU_ASSERT_TRUE(rb_total(p + KUP_DATA_BATCH) < RB_HEADER
				|| rb_total(p + KUP_DATA_BATCH) > bytes - FRAME_LINK - KUP_DATA_BATCH);
		}
		CU_ASSERT_NOT_EQUAL(p[KUP_OFF_TYPE], KUP_VERSION << 4 | KUP_CLOSE);
	}
	for (unsigned k = 0; k < HOSTILE_KINDS; k++)
		CU_ASSERT_TRUE(hostile.sent[k] > 0);
	stop();
}

static void
the_share_asked_for_is_kept_to_a_frame(void)
{
	uint64_t n = 0;

	start(0.75);
	for (unsigned i = 0; i < 1000; i++) {
		hostile_honest(&hostile, template.bytes, template.frame_bytes);
		for (; hostile_due(&hostile); n++)
			(void)hostile_frame(&hostile, NS_PER_S, frame);
	}
	CU_ASSERT_TRUE(n >= 2999 && n <= 3000);
	stop();
}

static void
no_forged_answer_is_taken_for_the_brokers(void)
{
	start(0.5);
	for (unsigned i = 0; i < FRAMES; i++) {
		struct frame_datagram d;
		struct blast_session *s;

		hostile_answered(&hostile);
		CU_ASSERT_TRUE_FATAL(frame_parse(frame, hostile_forge(&hostile, frame), us, &d));
		s = &session[d.to_port - 20000];
		if (memcmp(d.from, broker, 4) == 0 && d.from_port == 9104)
			CU_ASSERT_FALSE(session_datagram(s, d.payload, d.length, NS_PER_S));
		CU_ASSERT_FALSE(s->lost);
	}
	for (unsigned k = 0; k < FORGED_KINDS; k++)
		CU_ASSERT_TRUE(hostile.forged[k] > FRAMES / 4);
	stop();
}

static const struct ut_test tests[] = {
	UT("hostile", every_kind_comes_and_nothing_that_is_believed_can_be_stored_or_close_a_session),
	UT("hostile", the_share_asked_for_is_kept_to_a_frame),
	UT("hostile", no_forged_answer_is_taken_for_the_brokers),
};

UT_MAIN(tests)
