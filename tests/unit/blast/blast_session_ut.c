/* SPDX-License-Identifier: MIT
 * blast_session_ut.c - tests of dataplane/blast/blast_session.c against a broker that is a few
 * lines: it takes DATA frames and answers with the ACKs a test wants. */
#include "dataplane/blast/blast_session.c"

#include "base/bytes.h"
#include "tests/unit/ut.h"

#include <kira/record_batch.h>

#define PARTITIONS 3

static struct frame_template frame_template;
static struct blast_run run;
static struct blast_session s;
static uint8_t data[FRAME_MAX], plain[FRAME_MAX];
static uint32_t ack_num;
static uint64_t now = 1000 * NS_PER_MS;

static void
grant(uint32_t id)
{
	const struct ckafka_session g = {
		.wire = {.id = id, .secret = id * 1000ull, .incarnation = 1},
		.udp_port = 9104, .max_dgram = 1472, .window = 256, .credit_limit = 256,
		.ack_every = 16, .ack_delay_us = 50, .credit_lease_ms = 60000, .keepalive_s = 60,
		.lease_ms = 10000,
	};

	ack_num = 0;
	session_granted(&s, &g, 1, now);
}

static void
start(enum blast_acks acks)
{
	struct err err;

	memset(&run, 0, sizeof(run));
	CU_ASSERT_EQUAL_FATAL(frame_template_build(&frame_template, 100, 400, &err), 0);
	memcpy(data, frame_template.bytes, frame_template.frame_bytes);
	run.frame = &frame_template;
	run.acks = acks;
	run.partitions = run.session_partitions = PARTITIONS;
	run.schedule = (struct schedule){.start_ns = now, .stop_ns = UINT64_MAX,
		.batch_records = frame_template.records};
	CU_ASSERT_EQUAL_FATAL(session_init(&s, &run, 20000, &err), 0);
	s.producer_id = 9;
	grant(5);
}

struct sent {
	uint32_t seq;
	int32_t partition, sequence;
};

/* The next DATA, or seq 0. */
static struct sent
next_data(void)
{
	struct sent sent = {0};
	uint32_t bytes;

	now += NS_PER_US;
	if (session_step(&s, now, data, plain, &bytes) == SESSION_DATA) {
		sent.seq = get_be32(data + FRAME_LINK + KUP_DATA_SEQ);
		sent.partition = (int32_t)get_be32(data + FRAME_LINK + KUP_DATA_PARTITION);
		sent.sequence = rb_base_sequence(data + FRAME_BATCH);
	}
	return sent;
}

static void
ack(uint32_t log_seq, uint32_t disk_seq, uint32_t max_seq, uint32_t bad_seq, int16_t error)
{
	uint8_t p[KUP_ACK_FIXED + KUP_SACK_WORD + KUP_RESULT] = {KUP_MAGIC, KUP_VERSION << 4 | KUP_ACK};
	uint32_t n = KUP_ACK_FIXED;

	put_be32(p + KUP_OFF_SESSION, s.wire.id);
	put_be64(p + KUP_OFF_AUTH, s.wire.secret);
	put_be32(p + KUP_ACK_LOG_SEQ, log_seq);
	put_be32(p + KUP_ACK_DISK_SEQ, disk_seq);
	put_be32(p + KUP_ACK_CREDIT, log_seq + 256);
	put_be32(p + KUP_ACK_MAX_SEQ, max_seq);
	put_be32(p + KUP_ACK_ERR_TOTAL, bad_seq ? 1 : 0);
	put_be32(p + KUP_ACK_NUM, ++ack_num);
	if (max_seq != log_seq) {
		p[KUP_ACK_N] = 1;
		put_be64(p + n, ((uint64_t)1 << (max_seq - log_seq)) - 1);
		n += KUP_SACK_WORD;
	}
	if (bad_seq) {
		p[KUP_ACK_R] = 1;
		put_be32(p + n + KUP_RESULT_SEQ, bad_seq);
		put_be16(p + n + KUP_RESULT_COUNT, 1);
		put_be16(p + n + KUP_RESULT_ERROR, (uint16_t)error);
		put_be32(p + n + KUP_RESULT_PART,
			(uint32_t)batch_of(&s, bad_seq)->partition);
		put_be16(p + n + KUP_RESULT_HANDLE, 1);
		put_be64(p + n + KUP_RESULT_OFFSET, UINT64_MAX);
		n += KUP_RESULT;
	}
	now += NS_PER_US;
	session_datagram(&s, p, n, now);
}

static void
partitions_take_turns_and_each_counts_from_zero(void)
{
	int32_t next[PARTITIONS] = {0};

	start(BLAST_ACKS_LOG);
	for (unsigned i = 1; i <= 9; i++) {
		const struct sent d = next_data();

		CU_ASSERT_EQUAL(d.seq, i);
		CU_ASSERT_EQUAL(d.sequence, next[d.partition]);
		next[d.partition] += (int32_t)frame_template.records;
	}
	for (unsigned p = 0; p < PARTITIONS; p++)
		CU_ASSERT_EQUAL(next[p], (int32_t)(3 * frame_template.records));
	CU_ASSERT_EQUAL(run.count.records_sent, 9 * frame_template.records);
	session_free(&s);
}

static void
an_ack_counts_each_record_once(void)
{
	start(BLAST_ACKS_LOG);
	for (unsigned i = 0; i < 4; i++)
		(void)next_data();
	ack(3, 0, 3, 0, 0);
	ack(3, 0, 3, 0, 0);
	CU_ASSERT_EQUAL(run.count.records_acked, 3 * frame_template.records);
	CU_ASSERT_EQUAL(run.count.bytes_acked, 3 * frame_template.batch_bytes);
	CU_ASSERT_EQUAL(run.ack_ns.n, 3);
	CU_ASSERT_FALSE(session_idle(&s));
	CU_ASSERT_EQUAL(session_unfinished(&s, NULL, NULL), 1);
	ack(4, 0, 4, 0, 0);
	CU_ASSERT_TRUE(session_idle(&s));
	session_free(&s);
}

static void
at_disk_the_log_mark_completes_nothing(void)
{
	start(BLAST_ACKS_DISK);
	for (unsigned i = 0; i < 4; i++)
		(void)next_data();
	ack(4, 0, 4, 0, 0);
	CU_ASSERT_EQUAL(run.count.records_acked, 0);
	ack(4, 2, 4, 0, 0);
	CU_ASSERT_EQUAL(run.count.records_acked, 2 * frame_template.records);
	ack(4, 4, 4, 0, 0);
	CU_ASSERT_EQUAL(run.count.records_acked, 4 * frame_template.records);
	CU_ASSERT_TRUE(session_idle(&s));
	session_free(&s);
}

static void
a_new_session_sends_what_was_not_acked_and_nothing_else(void)
{
	struct sent was[6], again;
	unsigned found = 0;

	start(BLAST_ACKS_LOG);
	for (unsigned i = 0; i < 6; i++)
		was[i] = next_data();
	ack(2, 0, 2, 0, 0);
	grant(6);
	run.schedule.batches_max = 1; /* nothing new */
	for (unsigned i = 1; i <= 4; i++) {
		again = next_data();
		CU_ASSERT_EQUAL(again.seq, i);
		for (unsigned k = 2; k < 6; k++)
			found += again.partition == was[k].partition && again.sequence == was[k].sequence;
	}
	CU_ASSERT_EQUAL(found, 4);
	CU_ASSERT_EQUAL(next_data().seq, 0);
	CU_ASSERT_EQUAL(run.count.records_sent, 6 * frame_template.records);
	ack(4, 0, 4, 0, 0);
	CU_ASSERT_TRUE(session_idle(&s));
	CU_ASSERT_EQUAL(run.count.records_acked, 6 * frame_template.records);
	session_free(&s);
}

static void
a_duplicate_in_the_log_is_a_success(void)
{
	start(BLAST_ACKS_LOG);
	(void)next_data();
	ack(1, 0, 1, 1, KIRA_E_DUPLICATE_SEQUENCE_NUMBER);
	CU_ASSERT_EQUAL(run.count.records_acked, frame_template.records);
	CU_ASSERT_EQUAL(run.count.known_already, 1);
	CU_ASSERT_TRUE(session_idle(&s));
	session_free(&s);
}

static void
what_a_partition_that_failed_answers_ends_no_run(void)
{
	static const int16_t codes[] = {KIRA_E_KAFKA_STORAGE_ERROR, KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND};

	for (unsigned i = 0; i < 2; i++) {
		start(BLAST_ACKS_LOG);
		(void)next_data();
		ack(1, 0, 1, 1, codes[i]);
		CU_ASSERT_EQUAL(run.fatal, 0);
		CU_ASSERT_EQUAL(run.count.records_acked, 0);
		session_free(&s);
	}
}

static void
a_corrupted_batch_goes_again_under_a_new_packet_number(void)
{
	struct sent was, again;

	start(BLAST_ACKS_LOG);
	was = next_data();
	ack(1, 0, 1, 1, KIRA_E_CORRUPT_MESSAGE);
	CU_ASSERT_EQUAL(run.count.records_acked, 0);
	CU_ASSERT_FALSE(session_idle(&s));
	again = next_data();
	CU_ASSERT_EQUAL(again.seq, 2);
	CU_ASSERT_EQUAL(again.partition, was.partition);
	CU_ASSERT_EQUAL(again.sequence, was.sequence);
	CU_ASSERT_EQUAL(run.fatal, 0);
	session_free(&s);
}

static void
a_refusal_that_repeating_cannot_cure_ends_the_run(void)
{
	start(BLAST_ACKS_LOG);
	(void)next_data();
	ack(1, 0, 1, 1, KIRA_E_MESSAGE_TOO_LARGE);
	CU_ASSERT_EQUAL(run.fatal, KIRA_E_MESSAGE_TOO_LARGE);
	session_free(&s);
}

static void
a_forged_secret_acks_nothing(void)
{
	uint8_t p[KUP_ACK_FIXED] = {KUP_MAGIC, KUP_VERSION << 4 | KUP_ACK};

	start(BLAST_ACKS_LOG);
	(void)next_data();
	put_be32(p + KUP_OFF_SESSION, s.wire.id);
	put_be64(p + KUP_OFF_AUTH, s.wire.secret ^ 1);
	put_be32(p + KUP_ACK_LOG_SEQ, 1);
	put_be32(p + KUP_ACK_MAX_SEQ, 1);
	put_be32(p + KUP_ACK_NUM, 1);
	session_datagram(&s, p, sizeof(p), now);
	CU_ASSERT_EQUAL(run.count.records_acked, 0);
	ack(1, 0, 1, 0, 0);
	CU_ASSERT_EQUAL(run.count.records_acked, frame_template.records);
	session_free(&s);
}

static void
a_session_keeps_to_its_own_partitions_and_the_next_one_to_the_next(void)
{
	struct err err;

	start(BLAST_ACKS_LOG);
	session_free(&s);
	run.partitions = 6;
	run.session_partitions = 2;
	for (uint16_t port = 20000; port < 20006; port++) {
		unsigned seen = 0;

		CU_ASSERT_EQUAL_FATAL(session_init(&s, &run, port, &err), 0);
		grant(5);
		for (unsigned i = 0; i < 6; i++)
			seen |= 1u << next_data().partition;
		CU_ASSERT_EQUAL(seen, 3u << port * 2 % 6);
		session_free(&s);
	}
}

static void
what_was_acked_within_100_ms_is_remembered_and_older_acks_are_not(void)
{
	memset(&run, 0, sizeof(run));
	recent_add(&run, 1000 * NS_PER_MS);
	recent_add(&run, 1050 * NS_PER_MS);
	CU_ASSERT_EQUAL(run_recent(&run, 1060 * NS_PER_MS), 2);
	CU_ASSERT_EQUAL(run_recent(&run, 1120 * NS_PER_MS), 1);
	CU_ASSERT_EQUAL(run_recent(&run, 2000 * NS_PER_MS), 0);
	recent_add(&run, 2000 * NS_PER_MS);
	CU_ASSERT_EQUAL(run_recent(&run, 2000 * NS_PER_MS), 1);
}

static const struct ut_test tests[] = {
	UT("session", partitions_take_turns_and_each_counts_from_zero),
	UT("session", a_session_keeps_to_its_own_partitions_and_the_next_one_to_the_next),
	UT("session", an_ack_counts_each_record_once),
	UT("session", at_disk_the_log_mark_completes_nothing),
	UT("session", a_new_session_sends_what_was_not_acked_and_nothing_else),
	UT("session", a_duplicate_in_the_log_is_a_success),
	UT("session", what_a_partition_that_failed_answers_ends_no_run),
	UT("session", a_corrupted_batch_goes_again_under_a_new_packet_number),
	UT("session", a_refusal_that_repeating_cannot_cure_ends_the_run),
	UT("session", a_forged_secret_acks_nothing),
	UT("session", what_was_acked_within_100_ms_is_remembered_and_older_acks_are_not),
};
UT_MAIN(tests)
