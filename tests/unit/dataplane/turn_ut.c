/* SPDX-License-Identifier: MIT
 * turn_ut.c - rx_turn and store_turn on one thread: the path of a batch, and when a producer is told. */
#include "tests/unit/dataplane/turn_ut.h"

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
what_comes_again_earns_no_share_of_the_credit_and_ages_nobody(void)
{
	struct session *s, *other;
	uint32_t data_n;

	world_begin(128, 0);
	s = world_grant(32, 0);
	other = world_grant(64, 0);
	world_data(s, 1, 1, 0, PRODUCER, 0);
	settle();
	CU_ASSERT_TRUE(s->active);
	data_n = world.rx.sessions.data_n;
	for (uint32_t i = 1; i <= 16; i++) {
		world_data(s, 1, 1, 0, PRODUCER, 0);
		world_data(s, 1000, 1, 0, PRODUCER, 10); /* beyond its credit */
		world_data(other, i, 1, 1, PRODUCER + 1, (int32_t)(i - 1) * 10);
		world_later(SESSION_SWEEP_NS);
		world_both();
	}
	CU_ASSERT_TRUE(other->active);
	CU_ASSERT_FALSE(s->active);
	CU_ASSERT_EQUAL(world.rx.sessions.data_n, data_n + 16);
	world_data(s, 2, 1, 0, PRODUCER, 10);
	world_both();
	CU_ASSERT_TRUE(s->active);
	settle();
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

/* Of several producers, so that one list is owed while another is worked off; a gap that closes while more
 * is owed, a batch that comes again while its first copy waits for its turn. */
static void
a_hold_that_opens_is_worked_off_a_burst_a_turn(void)
{
	const unsigned each = 100;
	unsigned stored = 0, turns = 0;
	struct session *s;
	uint32_t seq = 0;

	world_begin(1024, 0);
	s = world_grant(1024, 0);
	s->window.credit_limit = 1024;
	for (unsigned k = 1; k <= each; k++)
		for (unsigned p = 0; p < 3; p++)
			world_data(s, ++seq, 1, 0, PRODUCER + p, (int32_t)k * 10);
	for (unsigned i = 0; i < 16; i++)
		world_both();
	CU_ASSERT_EQUAL_FATAL(counter_read(&world.store_count.held_now), 3 * each);
	for (unsigned p = 0; p < 3; p++)
		world_data(s, ++seq, 1, 0, PRODUCER + p, 0);
	while (stored < 3 * (each + 1) && turns < 100) {
		const unsigned before = stored;

		world_both();
		turns++;
		stored = world.part[0].published;
		CU_ASSERT(stored - before <= STORE_BURST + 3);
		if (turns == 2)
			world_data(s, ++seq, 1, 0, PRODUCER, (int32_t)each * 10); /* H6 */
	}
	CU_ASSERT(turns >= 3 * each / STORE_BURST);
	settle();
	CU_ASSERT_EQUAL(log_seq(), seq);
	CU_ASSERT_EQUAL(counter_read(&world.store_count.held_now), 0);
	for (unsigned p = 0; p < 3; p++)
		for (unsigned k = 0; k <= each; k++)
			CU_ASSERT_EQUAL(fake_stored(&world.part[0], PRODUCER + p, (int32_t)k * 10), 1);
	CU_ASSERT_PTR_NULL(world.store.hold.owed_head);
	end();
}

static void
what_is_owed_a_look_may_end_before_it(void)
{
	struct session *s;

	world_begin(1024, 0);
	s = world_grant(1024, 0);
	s->window.credit_limit = 1024;
	for (unsigned k = 1; k <= 100; k++)
		world_data(s, k, 1, 0, PRODUCER, (int32_t)k * 10);
	for (unsigned i = 0; i < 8; i++)
		world_both();
	world_data(s, 101, 1, 0, PRODUCER, 0);
	world_both();
	CU_ASSERT_PTR_NOT_NULL(world.store.hold.owed_head);
	fake_fail(&world.part[0]);
	world_both();
	CU_ASSERT_PTR_NULL(world.store.hold.owed_head);
	CU_ASSERT_EQUAL(counter_read(&world.store_count.held_now), 0);
	settle();
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
	for (unsigned i = 0; i < 3; i++)
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

/* In the middle of a burst: its earlier batches of the same run may be stored, or not. */
static void
a_partition_that_fails_in_a_run_ends_all_of_it_and_of_no_other(void)
{
	struct cwire_session who;
	struct cwire_result r;
	struct session *s;
	struct cwire_in in;
	unsigned failed = 0, perhaps = 0, good = 0;

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
		perhaps += r.error == KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND ? r.count : 0;
		CU_ASSERT_TRUE(r.partition == 0 ? r.error == KIRA_E_KAFKA_STORAGE_ERROR
			|| r.error == KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND : r.error == 0);
		*(r.partition == 0 ? &failed : &good) += r.count;
	}
	CU_ASSERT_EQUAL(failed, 5);
	CU_ASSERT_EQUAL(perhaps, 2);
	CU_ASSERT_EQUAL(good, 5);
	CU_ASSERT_EQUAL(world.part[0].published, 0);
	CU_ASSERT_EQUAL(world.part[1].published, 5);
	end(); /* no packet is lost */
}

static void
producers_of_a_partition_are_told_on_command(void)
{
	struct storage_producer row[2] = {{.id = -1}, {.id = -1}};
	struct store_msg ask = {.part = &world.part[1], .producers = row, .length = 2, .kind = STORE_PRODUCERS,
		.error = -1};
	void *back = NULL;

	world_begin(64, 0);
	CU_ASSERT_EQUAL_FATAL(rte_ring_sp_enqueue(world.store.cmd, &ask), 0);
	world_store();
	CU_ASSERT_EQUAL(rte_ring_sc_dequeue(world.store.cmd_done, &back), 0);
	CU_ASSERT_PTR_EQUAL(back, &ask);
	CU_ASSERT(ask.error == 0 && ask.base_offset == 1);
	CU_ASSERT(row[0].id == (int64_t)world.part[1].slot && row[1].id == -1);
	world_end();
}

/* Among the batches of its partition, in the order they were given in. */
static void
a_configuration_holds_from_the_batch_behind_it_on(void)
{
	static uint8_t batch[RB_HEADER + RB_RECORD_MIN];
	const struct partition_config config = {.max_message_bytes = 4711};
	struct store_msg first = {.part = &world.part[0], .batch = batch, .length = sizeof(batch),
		.kind = STORE_PRODUCE};
	struct store_msg change = {.part = &world.part[0], .config = &config, .kind = STORE_CONFIGURE, .error = -1};
	void *back = NULL;

	put_be32(batch + RB_LENGTH, sizeof(batch) - RB_LENGTH_FROM);
	put_be64(batch + RB_PRODUCER_ID, UINT64_MAX);
	world_begin(64, 0);
	CU_ASSERT_EQUAL_FATAL(rte_ring_sp_enqueue(world.store.cmd, &first), 0);
	CU_ASSERT_EQUAL_FATAL(rte_ring_sp_enqueue(world.store.cmd, &change), 0);
	world_store();
	CU_ASSERT_EQUAL(world.part[0].config.max_message_bytes, 4711);
	CU_ASSERT_EQUAL(world.part[1].config.max_message_bytes, 0);
	CU_ASSERT_EQUAL(rte_ring_sc_dequeue(world.store.cmd_done, &back), 0);
	CU_ASSERT_PTR_EQUAL(back, &first);
	CU_ASSERT_EQUAL(rte_ring_sc_dequeue(world.store.cmd_done, &back), 0);
	CU_ASSERT_PTR_EQUAL(back, &change);
	CU_ASSERT_EQUAL(change.error, 0);
	end();
}

/* Storage hears of each, also of the one behind it, which it never saw. */
static void
a_tcp_batch_that_waited_a_second_for_room_is_given_up(void)
{
	static uint8_t batch[2][RB_HEADER + RB_RECORD_MIN];
	struct store_msg msg[2];
	void *back = NULL;

	world_begin(64, 0);
	world.part[0].room = 0;
	for (unsigned i = 0; i < 2; i++) {
		put_be32(batch[i] + RB_LENGTH, sizeof(batch[i]) - RB_LENGTH_FROM);
		put_be64(batch[i] + RB_PRODUCER_ID, UINT64_MAX);
		msg[i] = (struct store_msg){.part = &world.part[0], .batch = batch[i],
			.length = sizeof(batch[i]), .kind = STORE_PRODUCE};
		CU_ASSERT_EQUAL_FATAL(rte_ring_sp_enqueue(world.store.cmd, &msg[i]), 0);
	}
	world_store();
	world.now += STORE_TCP_WAIT_NS - 1;
	world_store();
	CU_ASSERT_EQUAL(world.storage.given_up, 0);
	world.now += NS_PER_MS;
	world_store();
	CU_ASSERT_EQUAL(world.storage.given_up, 2);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(rte_ring_sc_dequeue(world.store.cmd_done, &back), 0);
		CU_ASSERT_PTR_EQUAL(back, &msg[i]);
		CU_ASSERT_EQUAL(msg[i].error, KIRA_E_KAFKA_STORAGE_ERROR);
	}
	CU_ASSERT_EQUAL(world.part[0].appended, 0);
	end();
}

static const struct ut_test tests[] = {
	UT("path", a_batch_goes_in_and_its_ack_comes_out),
	UT("path", nothing_is_final_before_its_end_is_published),
	UT("path", a_full_ring_is_loss_before_it_counts_as_received),
	UT("path", a_duplicate_is_answered_and_not_stored_twice),
	UT("path", what_comes_again_earns_no_share_of_the_credit_and_ages_nobody),
	UT("path", a_partition_that_fails_in_a_run_ends_all_of_it_and_of_no_other),
	UT("path", a_configuration_holds_from_the_batch_behind_it_on),
	UT("path", producers_of_a_partition_are_told_on_command),
	UT("hold", an_early_batch_is_held_until_the_gap_closes),
	UT("hold", a_hold_that_opens_is_worked_off_a_burst_a_turn),
	UT("hold", what_is_owed_a_look_may_end_before_it),
	UT("hold", a_gap_that_stays_open_for_two_seconds_is_45),
	UT("wait", without_room_credit_stands_still_and_nothing_is_dropped),
	UT("wait", what_waits_is_worked_off_past_the_first_burst),
	UT("wait", what_waits_of_an_ended_session_is_freed),
	UT("wait", a_tcp_batch_that_waited_a_second_for_room_is_given_up),
	UT("disk", disk_seq_follows_the_commit_and_is_told_at_once),
	UT("disk", a_failed_sync_is_judged_before_the_completions_of_the_turn),
};

UT_MAIN(tests)
