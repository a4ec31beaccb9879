/* SPDX-License-Identifier: MIT
 * turn_answer_ut.c - rx_turn and store_turn on one thread: who is answered, with what, and what control does. */
#include "tests/unit/dataplane/turn_ut.h"

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
