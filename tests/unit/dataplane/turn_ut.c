/* SPDX-License-Identifier: MIT
 * turn_ut.c - rx_turn and store_turn on one thread: what a producer is told, and when. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/unit/dataplane/world.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "dataplane/client/client_wire.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <rte_ring.h>

#define PRODUCER 4711

static uint32_t
log_seq(void)
{
	const uint8_t *ack = world_answer(KUP_ACK);

	return ack ? get_be32(ack + KUP_ACK_LOG_SEQ) : UINT32_MAX;
}

static void
end(void)
{
	CU_ASSERT_TRUE(world_adds_up());
	CU_ASSERT_EQUAL(world.bad_answers, 0);
	CU_ASSERT_EQUAL(world_end(), 0);
}

/* Turns until nothing is due any more. */
static void
settle(void)
{
	for (unsigned i = 0; i < 8; i++) {
		world_both();
		world_later(100 * NS_PER_US);
	}
}

static void
a_batch_goes_in_and_its_ack_comes_out(void)
{
	const uint8_t *ack;
	struct session *s;
	struct cwire_result r;
	struct cwire_in in;
	struct cwire_session who;

	world_begin(64, 0);
	s = world_grant(32, KUP_CAP_WANT_OFFSETS);
	who = (struct cwire_session){.id = s->who.session_id, .secret = s->who.secret};
	world_data(s, 1, 1, 2, PRODUCER, 0);
	settle();
	ack = world_answer(KUP_ACK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ack);
	CU_ASSERT_EQUAL_FATAL(cwire_parse(ack, 80, &who, &in), CWIRE_ACK);
	CU_ASSERT_EQUAL(in.ack.log_seq, 1);
	CU_ASSERT_EQUAL(in.ack.max_seq, 1);
	CU_ASSERT_EQUAL(in.ack.results, 1);
	CU_ASSERT(in.ack.credit_limit > 17);
	cwire_result(&in.ack, 0, &r);
	CU_ASSERT_EQUAL(r.partition, 2);
	CU_ASSERT_EQUAL(r.base_offset, 0);
	CU_ASSERT_EQUAL(fake_stored(&world.part[2], PRODUCER, 0), 1);
	end();
}

static void
nothing_is_final_before_its_end_is_published(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	for (uint32_t i = 1; i <= 16; i++)
		world_data(s, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	world_rx();
	world_later(NS_PER_MS);
	world_rx();
	CU_ASSERT_EQUAL(log_seq(), 0); /* received, said so by its age; final it is not */
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_ACK) + KUP_ACK_MAX_SEQ), 16);
	CU_ASSERT_EQUAL(world.storage.publishes, 0);
	world_store();
	CU_ASSERT_EQUAL(world.storage.publishes, 1); /* one for the run of sixteen */
	world_rx();
	CU_ASSERT_EQUAL(log_seq(), 16);
	end();
}

static void
a_full_ring_is_loss_before_it_counts_as_received(void)
{
	struct session *s;
	uint32_t max, stored = 0;

	world_begin(64, 8);
	s = world_grant(32, 0);
	for (uint32_t i = 1; i <= 16; i++)
		world_data(s, i, 1, 0, -1, -1);
	world_rx();
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_RING_FULL]), 8);
	world_later(NS_PER_MS);
	world_rx();
	max = get_be32(world_answer(KUP_ACK) + KUP_ACK_MAX_SEQ);
	CU_ASSERT_EQUAL(max, 8);
	world_store();
	for (uint32_t i = 9; i <= 16; i++) { /* the client sends them again */
		world_data(s, i, 1, 0, -1, -1);
		settle();
	}
	CU_ASSERT_EQUAL(log_seq(), 16);
	for (unsigned p = 0; p < WORLD_PARTITIONS; p++)
		stored += world.part[p].published;
	CU_ASSERT_EQUAL(stored, 16);
	end();
}

static void
a_duplicate_is_answered_and_not_stored_twice(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world_data(s, 1, 1, 0, PRODUCER, 0);
	settle();
	world_clear();
	world_data(s, 1, 1, 0, PRODUCER, 0);
	world_rx();
	CU_ASSERT_EQUAL(log_seq(), 1); /* at once */
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_DUP]), 1);
	settle();
	CU_ASSERT_EQUAL(world.part[0].published, 1);
	end();
}

static void
an_early_batch_is_held_until_the_gap_closes(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world_data(s, 1, 1, 0, PRODUCER, 20);
	world_data(s, 2, 1, 0, PRODUCER, 10);
	settle();
	CU_ASSERT_EQUAL(log_seq(), 0);
	CU_ASSERT_EQUAL(counter_read(&world.store_count.held_now), 2);
	world_data(s, 3, 1, 0, PRODUCER, 0);
	settle();
	CU_ASSERT_EQUAL(log_seq(), 3);
	CU_ASSERT_EQUAL(world.part[0].published, 3);
	CU_ASSERT_EQUAL(world.part[0].log[2].sequence, 20); /* the sequence's order */
	end();
}

static void
a_gap_that_stays_open_for_two_seconds_is_45(void)
{
	const uint8_t *ack;
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world_data(s, 1, 1, 0, PRODUCER, 10);
	settle();
	world_later(KUP_HOLD_MS * NS_PER_MS);
	world_clear();
	settle();
	ack = world_answer(KUP_ACK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ack);
	CU_ASSERT_EQUAL(get_be32(ack + KUP_ACK_LOG_SEQ), 1);
	CU_ASSERT_EQUAL(get_be32(ack + KUP_ACK_ERR_TOTAL), 1);
	CU_ASSERT_EQUAL(world.part[0].published, 0);
	end();
}

static void
without_room_credit_stands_still_and_nothing_is_dropped(void)
{
	struct session *s;
	uint32_t limit;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world.part[0].room = 4;
	for (uint32_t i = 1; i <= 16; i++)
		world_data(s, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	settle();
	limit = get_be32(world_answer(KUP_ACK) + KUP_ACK_CREDIT);
	CU_ASSERT_EQUAL(log_seq(), 4);
	CU_ASSERT(limit <= 4 + 32);
	CU_ASSERT_EQUAL(world_drops(), 0);
	CU_ASSERT_EQUAL(counter_read(&world.store_count.waiting_partitions), 1);
	world_later(300 * NS_PER_S / 100);
	settle();
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_ACK) + KUP_ACK_CREDIT), limit);
	world.part[0].room = 100;
	settle();
	CU_ASSERT_EQUAL(log_seq(), 16);
	CU_ASSERT_EQUAL(world.part[0].published, 16);
	end();
}

static void
what_waits_is_worked_off_past_the_first_burst(void)
{
	struct session *s;

	world_begin(128, 0);
	s = world_grant(100, 0);
	world.part[0].room = 0;
	world.part[0].segment = 1000;
	session_raise_credit(&world.rx.sessions, s);
	for (uint32_t i = 1; i <= 80; i++)
		world_data(s, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	settle();
	CU_ASSERT_EQUAL(log_seq(), 0);
	/* One spare: enough for all of them. Who asked for it is the first of them only. */
	world.part[0].spares = 1;
	settle();
	CU_ASSERT_EQUAL(log_seq(), 80);
	CU_ASSERT_EQUAL(world.part[0].published, 80);
	end();
}

static void
what_waits_of_an_ended_session_is_freed(void)
{
	uint8_t *p;
	struct session *s;
	struct frame f;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world.part[0].room = 0;
	for (uint32_t i = 1; i <= 10; i++)
		world_data(s, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	settle();
	p = world_udp(&f, KUP_FLOOR);
	(void)cwire_close(p, &(struct cwire_session){.id = s->who.session_id,
		.secret = s->who.secret}, 77);
	world_sums(&f);
	world_clear();
	world_put(&f);
	world_rx();
	CU_ASSERT_PTR_NOT_NULL_FATAL(world_answer(KUP_RESET));
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_RESET) + KUP_RESET_ECHO), 77);
	CU_ASSERT_EQUAL(get_be16(world_answer(KUP_RESET) + KUP_RESET_REASON), KUP_RESET_CLOSED);
	CU_ASSERT_EQUAL(get_be64(world_answer(KUP_RESET) + KUP_RESET_INCARNATION), 5);
	CU_ASSERT_EQUAL(world.rx.sessions.credit_out, 10);
	settle();
	CU_ASSERT_EQUAL(world.rx.sessions.credit_out, 0);
	CU_ASSERT_EQUAL(s->in_store, 0);
	world_data(s, 11, 1, 0, PRODUCER, 100); /* valid, in quarantine */
	world_clear();
	world_rx();
	CU_ASSERT_PTR_NOT_NULL(world_answer(KUP_RESET));
	end();
}

static void
disk_seq_follows_the_commit_and_is_told_at_once(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, KUP_CAP_WANT_DISK);
	for (uint32_t i = 1; i <= 5; i++)
		world_data(s, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	settle();
	CU_ASSERT_EQUAL(log_seq(), 5);
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_ACK) + KUP_ACK_DISK_SEQ), 0);
	CU_ASSERT_EQUAL(world.storage.wanted, 1); /* the flush daemon was asked */
	fake_commit(&world.storage);
	world_clear();
	world_rx();
	CU_ASSERT_PTR_NOT_NULL_FATAL(world_answer(KUP_ACK));
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_ACK) + KUP_ACK_DISK_SEQ), 5);
	end();
}

static void
a_failed_sync_is_judged_before_the_completions_of_the_turn(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, KUP_CAP_WANT_DISK);
	world_data(s, 1, 1, 0, PRODUCER, 0);
	world_both();
	/* Its completion is in the ring; the commit that covers it is said to be done; but a sync
	 * under its topic has failed. */
	fake_commit(&world.storage);
	fake_fail(&world.part[0]);
	world_clear();
	settle();
	CU_ASSERT_EQUAL(s->state, SESSION_ENDED);
	CU_ASSERT_EQUAL(s->reason, KUP_RESET_DISK);
	CU_ASSERT_PTR_NULL(world_answer(KUP_ACK));
	CU_ASSERT_EQUAL(world.rx.sessions.credit_out, 0);
	end();
}

/* In the middle of a burst: its earlier batches of the same run are not sure either. */
static void
a_partition_that_fails_in_a_run_ends_all_of_it_and_of_no_other(void)
{
	struct cwire_session who;
	struct cwire_result r;
	struct session *s;
	struct cwire_in in;
	unsigned failed = 0, good = 0;

	world_begin(64, 0);
	world.part[0].breaks_at = 3;
	s = world_grant(32, KUP_CAP_WANT_OFFSETS);
	who = (struct cwire_session){.id = s->who.session_id, .secret = s->who.secret};
	for (uint32_t i = 0; i < 10; i++)
		world_data(s, i + 1, 1, i % 2, PRODUCER + i % 2, (int32_t)(i / 2) * 10);
	settle();
	CU_ASSERT_EQUAL(log_seq(), 10);
	CU_ASSERT_EQUAL_FATAL(cwire_parse(world_answer(KUP_ACK), 56 + 10 * 24, &who, &in), CWIRE_ACK);
	for (unsigned i = 0; i < in.ack.results; i++) {
		cwire_result(&in.ack, i, &r);
		CU_ASSERT_EQUAL(r.error, r.partition == 0 ? KIRA_E_KAFKA_STORAGE_ERROR : 0);
		*(r.partition == 0 ? &failed : &good) += r.count;
	}
	CU_ASSERT_EQUAL(failed, 5);
	CU_ASSERT_EQUAL(good, 5);
	CU_ASSERT_EQUAL(world.part[0].published, 0);
	CU_ASSERT_EQUAL(world.part[1].published, 5);
	end(); /* no packet is lost */
}

/* Each fault alone: the reason it is counted under, and that nothing comes back. */
static void
a_stranger_gets_no_answer(void)
{
	static const struct {
		enum drop why;
		unsigned at;
		uint8_t xor;
		bool keep_sums;
	} fault[] = {
		{DROP_SUM_IP, 14 + 9, 1, true},
		{DROP_SUM_UDP, PAYLOAD_AT + 100, 1, true},
		{DROP_FRAGMENT, 14 + 6, 0x20, false},
		{DROP_RUNT, 14 + 2, 0x40, false},
		{DROP_NOT_OURS, 5, 1, false},               /* MAC */
		{DROP_NOT_OURS, 14 + 19, 4, false},         /* address */
		{DROP_NOT_OURS, 37, 0x40, false},           /* port */
		{DROP_MAGIC, PAYLOAD_AT, 1, false},
		{DROP_TYPE, PAYLOAD_AT + 1, 3, false},
		{DROP_NO_SESSION, PAYLOAD_AT + 7, 1, false},
		{DROP_NO_SESSION, PAYLOAD_AT + 4, 1, false}, /* another owner, that there is not */
		{DROP_AUTH, PAYLOAD_AT + 15, 1, false},
		{DROP_PEER, 14 + 15, 1, false},
		{DROP_PEER, 35, 1, false},
	};
	struct session *s;
	struct frame f;

	world_begin(64, 0);
	s = world_grant(32, 0);
	for (unsigned i = 0; i < ARRAY_LENGTH(fault); i++) {
		const uint64_t before = counter_read(&world.drop[fault[i].why]);

		world_data_frame(&f, s, 1, 1, 0, PRODUCER, 0);
		f.bytes[fault[i].at] ^= fault[i].xor;
		if (!fault[i].keep_sums)
			world_sums(&f);
		world_put(&f);
		settle();
		if (counter_read(&world.drop[fault[i].why]) != before + 1)
			printf("fault %u\n", i);
		CU_ASSERT_EQUAL(counter_read(&world.drop[fault[i].why]), before + 1);
	}
	world_udp(&f, KUP_FLOOR - 1);
	world_sums(&f);
	world_put(&f);
	world_rx();
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_LENGTH]), 1);
	CU_ASSERT_EQUAL(world.out_n, 0);
	CU_ASSERT_EQUAL(s->bytes_in, 0);
	end();
}

static void
a_datagram_above_the_granted_size_is_dropped(void)
{
	struct session *s;
	struct frame f;

	world_begin(64, 0);
	s = world_grant(32, 0);
	s->max_dgram = 271;
	world_data_frame(&f, s, 1, 1, 0, PRODUCER, 0); /* 272 bytes */
	world_put(&f);
	world_rx();
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_LENGTH]), 1);
	end();
}

static void
an_open_port_is_bound_by_the_first_valid_datagram(void)
{
	struct session *s;
	struct frame f;

	world_begin(64, 0);
	s = world_grant(32, 0);
	s->peer_port = 0;
	world_data(s, 1, 1, 0, PRODUCER, 0);
	world_rx();
	CU_ASSERT_EQUAL(s->peer_port, WORLD_CLIENT);
	world_data_frame(&f, s, 2, 1, 0, PRODUCER, 10);
	f.bytes[35] ^= 1;
	world_sums(&f);
	world_put(&f);
	settle();
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_PEER]), 1);
	end();
}

static void
data_that_no_partition_can_take_is_final_at_once(void)
{
	const uint8_t *ack;
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world_data(s, 1, 2, 0, PRODUCER, 0);                    /* no such handle */
	world_data(s, 2, 0, 0, PRODUCER, 0);
	world_data(s, 3, 1, WORLD_PARTITIONS, PRODUCER, 0);     /* no such partition */
	world_data(s, 4, 1, -1, PRODUCER, 0);                   /* a free choice with an id */
	world_rx();
	ack = world_answer(KUP_ACK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ack);
	CU_ASSERT_EQUAL(get_be32(ack + KUP_ACK_LOG_SEQ), 4);
	CU_ASSERT_EQUAL(get_be32(ack + KUP_ACK_ERR_TOTAL), 4);
	CU_ASSERT_EQUAL(get_be16(ack + KUP_ACK_FIXED + KUP_RESULT_ERROR), 3);
	CU_ASSERT_EQUAL(world.storage.appends, 0);
	CU_ASSERT_EQUAL(counter_read(&world.rx_count.data_refused), 4);
	end();
}

static void
the_brokers_choice_goes_round_in_64s(void)
{
	struct session *s;

	world_begin(256, 0);
	s = world_grant(256, 0);
	for (uint32_t i = 1; i <= 192; i++) {
		world_data(s, i, 1, -1, -1, -1);
		settle();
		world_clear();
	}
	for (unsigned p = 0; p < WORLD_PARTITIONS; p++)
		CU_ASSERT_EQUAL(world.part[p].published, 64);
	end();
}

static void
answers_never_outweigh_what_came_in(void)
{
	struct session *s;
	struct frame f;
	uint8_t *p;

	world_begin(64, 0);
	s = world_grant(32, 0);
	for (unsigned i = 0; i < 300; i++) {
		p = world_udp(&f, KUP_FLOOR);
		(void)cwire_ping(p, KUP_FLOOR, &(struct cwire_session){.id = s->who.session_id,
			.secret = s->who.secret}, i, 0, KUP_FLAG_ACK_NOW);
		world_sums(&f);
		world_put(&f);
		world_rx();
		world_clear();
		/* 88 bytes out for 256 in; made worse by hand. */
		s->bytes_out += 150;
		if (s->bytes_out > s->bytes_in)
			s->bytes_out = s->bytes_in;
	}
	for (uint32_t i = 1; i <= 16; i++)
		world_data(s, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	settle();
	CU_ASSERT(s->bytes_out <= s->bytes_in);
	CU_ASSERT_EQUAL(log_seq(), 16);
	s->bytes_out = s->bytes_in;
	world_clear();
	world_data(s, 1, 1, 0, PRODUCER, 0); /* its duplicate pays for an ACK */
	settle();
	CU_ASSERT_EQUAL(world.out_n, 1);
	CU_ASSERT(s->bytes_out <= s->bytes_in);
	end();
}

static void
an_ack_that_had_to_wait_comes_with_the_next_datagram(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	world_data(s, 1, 1, 0, PRODUCER, 0);
	world_rx();
	s->bytes_out = s->bytes_in;
	settle();
	CU_ASSERT_EQUAL(world.out_n, 0);
	CU_ASSERT_EQUAL(world.rx.sessions.pending_n, 0); /* an idle lcore may sleep */
	CU_ASSERT(counter_read(&world.rx_count.ack_waits) > 0);
	world_data(s, 2, 1, 0, PRODUCER, 10);
	world_rx();
	CU_ASSERT_EQUAL(log_seq(), 1);
	end();
}

static void
an_ipv6_client_behind_a_tag_is_answered_as_it_asked(void)
{
	const struct parsed whole = {.l3 = 18, .l4 = 58, .l4_proto = 17, .v6 = true};
	uint8_t *ip, *udp, client[16] = {[0] = 0xfd, [15] = 2}, us[16] = {[0] = 0xfd, [15] = 1};
	struct session *s;
	struct frame f;
	struct parsed p;
	uint16_t sum;

	world_begin(64, 0);
	s = world_grant(32, 0);
	memcpy(&s->peer, client, sizeof(client));
	(void)world_udp(&f, KUP_FLOOR); /* for its Ethernet addresses */
	memset(f.bytes + 12, 0, sizeof(f.bytes) - 12);
	ip = f.bytes + whole.l3;
	udp = f.bytes + whole.l4;
	put_be16(f.bytes + 12, 0x8100);
	put_be16(f.bytes + 14, 7);
	put_be16(f.bytes + 16, 0x86DD);
	ip[0] = 0x60;
	put_be16(ip + 4, 8 + KUP_FLOOR);
	ip[6] = 17;
	ip[7] = 64;
	memcpy(ip + 8, client, 16);
	memcpy(ip + 24, us, 16);
	put_be16(udp, WORLD_CLIENT);
	put_be16(udp + 2, WORLD_PORT);
	put_be16(udp + 4, 8 + KUP_FLOOR);
	(void)cwire_ping(udp + 8, KUP_FLOOR, &(struct cwire_session){.id = s->who.session_id,
		.secret = s->who.secret}, 5, 6, 0);
	sum = sum_l4(f.bytes, &whole, 8 + KUP_FLOOR);
	memcpy(udp + 6, &sum, 2);
	f.len = (uint16_t)(whole.l4 + 8 + KUP_FLOOR);
	world_put(&f);
	world_rx();
	CU_ASSERT_PTR_NOT_NULL_FATAL(world_answer(KUP_PONG));
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_PONG) + KUP_PONG_ID), 5);
	CU_ASSERT_EQUAL(rx_parse(world.out[0].bytes, world.out[0].len, PARSE_SUM_UDP, &p), PARSE_UDP);
	CU_ASSERT_TRUE(p.v6);
	CU_ASSERT_EQUAL(p.l3, 18); /* in the same VLAN */
	CU_ASSERT_EQUAL(memcmp(world.out[0].bytes + 12, f.bytes + 12, 6), 0);
	CU_ASSERT_EQUAL(memcmp(world.out[0].bytes + 18 + 24, client, 16), 0);
	end();
}

static void
a_query_brings_outcomes_no_larger_than_itself(void)
{
	struct session *s;
	const uint8_t *ack;
	struct frame f;
	uint8_t *p;

	world_begin(64, 0);
	s = world_grant(32, 0);
	for (uint32_t i = 1; i <= 16; i++)
		world_data(s, i, 1, (int32_t)(i % 2), -1, -1);
	settle();
	world_clear();
	p = world_udp(&f, CWIRE_QUERY_BYTES);
	(void)cwire_query(p, &(struct cwire_session){.id = s->who.session_id,
		.secret = s->who.secret}, 1, 16);
	/* Shortened to the floor: eight results. */
	f.len = PAYLOAD_AT + KUP_FLOOR;
	put_be16(f.bytes + 16, 28 + KUP_FLOOR);
	put_be16(f.bytes + 38, 8 + KUP_FLOOR);
	world_sums(&f);
	world_put(&f);
	world_rx();
	ack = world_answer(KUP_ACK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ack);
	CU_ASSERT_EQUAL(ack[KUP_ACK_R], 8);
	CU_ASSERT(world.out[0].payload_len <= KUP_FLOOR);
	CU_ASSERT_EQUAL(get_be32(ack + KUP_ACK_FIXED + KUP_RESULT_SEQ), 1);
	end();
}

static void
draining_takes_nothing_new_and_finishes_what_was_taken(void)
{
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, KUP_CAP_WANT_DISK);
	world_data(s, 1, 1, 0, PRODUCER, 0);
	world_rx();
	atomic_store(&world.draining, true);
	world_rx();
	CU_ASSERT_EQUAL(world_answer(KUP_ACK)[KUP_OFF_FLAGS], KUP_FLAG_DRAIN);
	CU_ASSERT_FALSE(rx_drained(&world.rx));
	world_data(s, 2, 1, 0, PRODUCER, 10);
	settle();
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_DRAINING]), 1);
	CU_ASSERT_EQUAL(log_seq(), 1);
	CU_ASSERT_FALSE(rx_drained(&world.rx)); /* disk was promised */
	fake_commit(&world.storage);
	settle();
	CU_ASSERT_EQUAL(get_be32(world_answer(KUP_ACK) + KUP_ACK_DISK_SEQ), 1);
	CU_ASSERT_TRUE(rx_drained(&world.rx));
	end();
}

static void
a_forgotten_topic_refuses_what_comes_later(void)
{
	struct rx_cmd cmd, *back;
	struct session *s;

	world_begin(64, 0);
	s = world_grant(32, 0);
	cmd = (struct rx_cmd){.kind = RX_FORGET_TOPIC, .handles = 1,
		.topic = {&world.orders.topic}};
	(void)rte_ring_sp_enqueue(world.rx.cmd, &cmd);
	world_data(s, 1, 1, 0, PRODUCER, 0);
	world_rx();
	CU_ASSERT_EQUAL(rte_ring_sc_dequeue(world.rx.cmd_done, (void **)&back), 0);
	settle();
	CU_ASSERT_EQUAL(counter_read(&world.rx_count.data_refused), 1);
	CU_ASSERT_EQUAL(world.storage.appends, 0);
	end();
}

static void
a_datagram_for_another_lcore_is_passed_on_and_taken_over(void)
{
	struct rte_ring *to, *from;
	struct session *s, other;
	void *m = NULL;

	world_begin(64, 0);
	to = rte_ring_create("w_to", 4, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	from = rte_ring_create("w_from", 64, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	CU_ASSERT_PTR_NOT_NULL_FATAL(to);
	CU_ASSERT_PTR_NOT_NULL_FATAL(from);
	s = world_grant(32, 0);
	world.rx.rx_lcores = 2;
	world.rx.to_rx[1] = to;
	world.rx.from_rx[1] = from;
	other = *s;
	other.who.session_id |= 1u << 24;
	for (uint32_t i = 1; i <= 5; i++)
		world_data(&other, i, 1, 0, PRODUCER, (int32_t)(i - 1) * 10);
	world_rx();
	CU_ASSERT_EQUAL(counter_read(&world.rx_count.misrouted), 3); /* the ring takes three */
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_MISROUTED_FULL]), 2);
	CU_ASSERT_EQUAL(world.gifts.rx, 2); /* it will be rung awake */
	/* As its owner sees them, were they ours. */
	world.rx.index = 1;
	world.rx.sessions.session[s->who.session_id & 0xffffff].who.session_id |= 1u << 24;
	CU_ASSERT_FALSE(rx_has_work(&world.rx));
	while (rte_ring_dequeue(to, &m) == 0)
		(void)rte_ring_enqueue(from, m);
	CU_ASSERT_TRUE(rx_has_work(&world.rx)); /* the last look before it sleeps */
	world_rx();
	CU_ASSERT_EQUAL(counter_read(&world.rx_count.taken_over), 3);
	CU_ASSERT_EQUAL(counter_read(&world.rx_count.data), 3);
	CU_ASSERT_EQUAL(s->in_store, 3);
	world.store.done[1] = world.store.done[0];
	world.store.ended[1] = world.store.ended[0];
	world_both();
	world_rx();
	CU_ASSERT_EQUAL(world.part[0].published, 3);
	CU_ASSERT_EQUAL(s->in_store, 0);
	world.rx.rx_lcores = 1; /* its rings go */
	rte_ring_free(to);
	rte_ring_free(from);
	CU_ASSERT_EQUAL(world_end(), 0);
}

static void
arp_is_answered_and_a_flood_of_it_is_not(void)
{
	struct neigh peer;
	struct parsed p;
	struct frame f;
	struct err err;
	struct in6_addr us;
	uint8_t mac[6];

	world_begin(64, 0);
	CU_ASSERT_EQUAL(neigh_parse(&peer, "10.0.0.2/24", &err), 0);
	memcpy(peer.mac, "\2\0\0\0\0\2", 6);
	us = world.rx.neigh.address[0].ip;
	f.len = (uint16_t)neigh_ask(&peer, f.bytes, &us);
	world_put(&f);
	world_rx();
	CU_ASSERT_EQUAL_FATAL(world.out_n, 1);
	CU_ASSERT_EQUAL(rx_parse(world.out[0].bytes, world.out[0].len, 0, &p), PARSE_ARP);
	CU_ASSERT_TRUE(neigh_learn(&peer, world.out[0].bytes, world.out[0].len, &p, &us, mac));
	CU_ASSERT_EQUAL(memcmp(mac, world.rx.neigh.mac, 6), 0);
	for (unsigned i = 0; i < 1100; i++) {
		world_put(&f);
		world_rx();
		world_clear();
	}
	CU_ASSERT_EQUAL(counter_read(&world.rx_count.neighbours), 1000);
	CU_ASSERT_EQUAL(counter_read(&world.drop[DROP_RESPONDER_RATE]), 101);
	world_later(NS_PER_S);
	world_put(&f);
	world_rx();
	CU_ASSERT_EQUAL(world.out_n, 1);
	end();
}

static const struct ut_test tests[] = {
	UT("path", a_batch_goes_in_and_its_ack_comes_out),
	UT("path", nothing_is_final_before_its_end_is_published),
	UT("path", a_full_ring_is_loss_before_it_counts_as_received),
	UT("path", a_duplicate_is_answered_and_not_stored_twice),
	UT("path", a_partition_that_fails_in_a_run_ends_all_of_it_and_of_no_other),
	UT("hold", an_early_batch_is_held_until_the_gap_closes),
	UT("hold", a_gap_that_stays_open_for_two_seconds_is_45),
	UT("wait", without_room_credit_stands_still_and_nothing_is_dropped),
	UT("wait", what_waits_is_worked_off_past_the_first_burst),
	UT("wait", what_waits_of_an_ended_session_is_freed),
	UT("disk", disk_seq_follows_the_commit_and_is_told_at_once),
	UT("disk", a_failed_sync_is_judged_before_the_completions_of_the_turn),
	UT("judge", a_stranger_gets_no_answer),
	UT("judge", a_datagram_above_the_granted_size_is_dropped),
	UT("judge", an_open_port_is_bound_by_the_first_valid_datagram),
	UT("judge", data_that_no_partition_can_take_is_final_at_once),
	UT("judge", the_brokers_choice_goes_round_in_64s),
	UT("answer", answers_never_outweigh_what_came_in),
	UT("answer", an_ack_that_had_to_wait_comes_with_the_next_datagram),
	UT("answer", an_ipv6_client_behind_a_tag_is_answered_as_it_asked),
	UT("answer", a_query_brings_outcomes_no_larger_than_itself),
	UT("control", draining_takes_nothing_new_and_finishes_what_was_taken),
	UT("control", a_forgotten_topic_refuses_what_comes_later),
	UT("lcores", a_datagram_for_another_lcore_is_passed_on_and_taken_over),
	UT("neighbour", arp_is_answered_and_a_flood_of_it_is_not),
};
UT_MAIN(tests)
