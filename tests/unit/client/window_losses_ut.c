/* SPDX-License-Identifier: MIT
 * window_losses_ut.c - dataplane/client/client_window.c: losses, congestion, the disk mark, probes. */
#include "tests/unit/client/window_ut.h"

/* ---- Losses ------------------------------------------------------------------------------ */

static void
three_later_transmissions_received_declare_a_packet_lost_and_cut_the_window_once(void)
{
	const struct cw_options o = options();
	struct cw_slot *slot;
	struct told_ack t;

	start(&o);
	(void)send_new(10);
	now += 100 * US;
	t = make_ack(2, 5);
	sack(&t, 4);
	sack(&t, 5);
	(void)take(&t);
	CU_ASSERT_EQUAL(w.lost, 0);
	t = make_ack(2, 6);
	sack(&t, 4);
	sack(&t, 5);
	sack(&t, 6);
	(void)take(&t);
	CU_ASSERT_EQUAL(w.lost, 1);
	CU_ASSERT_EQUAL(w.cc.cwnd, 7); /* 10, grown by the first four, halved */
	CU_ASSERT_EQUAL(w.recovery_end, 10);
	slot = expect(CW_AGAIN);
	CU_ASSERT_EQUAL(slot->seq, 3);
	CU_ASSERT_EQUAL(slot->copies, 2);
	t = make_ack(2, 8);
	sack(&t, 7);
	sack(&t, 8);
	(void)take(&t);
	CU_ASSERT_EQUAL(w.cc.cwnd, 7);
}

static void
an_overtaken_packet_is_lost_by_time_as_well(void)
{
	const struct cw_options o = options();
	struct told_ack t;
	uint64_t at;

	start(&o);
	(void)send_new(2);
	now += 100 * US;
	t = make_ack(0, 2);
	sack(&t, 2);
	(void)take(&t);
	CU_ASSERT_EQUAL(w.lost, 0);
	at = cw_deadline(&w, now);
	CU_ASSERT_TRUE(at <= now + 2 * MS);
	now = at;
	CU_ASSERT_EQUAL(expect(CW_AGAIN)->seq, 1);
}

static void
where_packets_come_late_one_is_waited_for_longer_too(void)
{
	static const struct {
		uint32_t reorder;
		uint64_t after_ns;
	} want[] = {{3, 9 * MS}, {6, 10 * MS}, {24, 16 * MS}, {192, 16 * MS}};
	const struct cw_options o = options();

	for (unsigned i = 0; i < ARRAY_LENGTH(want); i++) {
		struct told_ack t;

		start(&o);
		(void)send_new(2);
		now += 8 * MS; /* the round trip */
		t = make_ack(0, 2);
		t.a.ts_echo = slots[2].tx_ts;
		sack(&t, 2);
		(void)take(&t);
		w.reorder = want[i].reorder;
		CU_ASSERT_EQUAL(cw_deadline(&w, now), slots[1].sent_ns + want[i].after_ns + 1);
	}
}

static void
a_spurious_retransmission_doubles_the_reorder_threshold(void)
{
	const struct cw_options o = options();
	uint32_t first_ts;
	struct told_ack t;

	start(&o);
	(void)send_new(6);
	first_ts = slots[1].tx_ts;
	now += 100 * US;
	t = make_ack(0, 6);
	for (uint32_t seq = 2; seq <= 6; seq++)
		sack(&t, seq);
	(void)take(&t);
	CU_ASSERT_EQUAL(expect(CW_AGAIN)->seq, 1);
	now += 100 * US;
	t = make_ack(6, 6);
	t.a.ts_echo = first_ts; /* the first copy was only late */
	(void)take(&t);
	CU_ASSERT_EQUAL(w.reorder, 6);
	CU_ASSERT_EQUAL(w.stats.spurious, 1);
}

static void
a_true_retransmission_leaves_the_threshold_alone(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(6);
	now += 100 * US;
	t = make_ack(0, 6);
	for (uint32_t seq = 2; seq <= 6; seq++)
		sack(&t, seq);
	(void)take(&t);
	(void)expect(CW_AGAIN);
	now += 100 * US;
	t = make_ack(6, 6);
	t.a.ts_echo = slots[1].tx_ts;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.reorder, 3);
}

static void
a_lost_tail_is_probed_and_one_answer_exposes_the_rest(void)
{
	const struct cw_options o = options();
	struct cw_slot *slot;
	struct told_ack t;
	uint64_t at;

	start(&o);
	(void)send_new(10);
	now += 100 * US;
	CU_ASSERT_TRUE(take_plain(4)); /* 5..10 never arrive */
	at = cw_deadline(&w, now);
	CU_ASSERT_EQUAL(at, now + w.rtt.pto_ns);
	now = at;
	slot = expect(CW_AGAIN);
	CU_ASSERT_EQUAL(slot->seq, 5);
	CU_ASSERT_TRUE(slot->ack_now);
	now += 100 * US;
	t = make_ack(5, 5);
	t.a.ts_echo = slot->tx_ts;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.lost + w.in_flight, 5);
	CU_ASSERT_EQUAL(w.lost, 5);
	CU_ASSERT_EQUAL(expect(CW_AGAIN)->seq, 6);
}

static void
unanswered_probes_back_off_and_shrink_the_window(void)
{
	const struct cw_options o = options();
	uint64_t last;

	start(&o);
	(void)send_new(4);
	last = w.rtt.pto_ns;
	for (unsigned i = 1; i <= 3; i++) {
		now = cw_deadline(&w, now);
		CU_ASSERT_EQUAL(expect(CW_AGAIN)->seq, 1);
		CU_ASSERT_TRUE(w.rtt.pto_ns > last);
		last = w.rtt.pto_ns;
	}
	CU_ASSERT_EQUAL(w.cc.cwnd, 10); /* the third may be answered yet */
	CU_ASSERT_EQUAL(w.rtt.probes, 3);
	for (unsigned i = 0; i < 20; i++) {
		now = cw_deadline(&w, now);
		(void)expect(CW_AGAIN);
		CU_ASSERT_EQUAL(w.cc.cwnd, 2);
	}
	CU_ASSERT_EQUAL(w.rtt.pto_ns, KUP_PTO_MAX_US * US);
	CU_ASSERT_TRUE(take_plain(1));
	CU_ASSERT_EQUAL(w.rtt.probes, 0);
}

/* ---- Congestion -------------------------------------------------------------------------- */

static void
slow_start_doubles_and_only_a_full_window_grows(void)
{
	const struct cw_options o = options();

	start(&o);
	(void)send_new(10);
	now += 100 * US;
	(void)take_plain(10);
	CU_ASSERT_EQUAL(w.cc.cwnd, 20);
	(void)send_new(3); /* far from full */
	now += 100 * US;
	(void)take_plain(13);
	CU_ASSERT_EQUAL(w.cc.cwnd, 20);
}

static void
a_ce_mark_cuts_the_window_once_per_round(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(10);
	t = make_ack(2, 2);
	t.a.ce_count = 1;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.cc.cwnd, 6); /* grown by 2, then halved */
	t = make_ack(3, 3);
	t.a.ce_count = 2;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.cc.cwnd, 6);
}

static void
without_congestion_control_the_whole_window_goes_at_once(void)
{
	struct cw_options o = options();

	o.cc = CW_CREDIT_ONLY;
	start(&o);
	CU_ASSERT_EQUAL(send_new(1000), 256);
}

static void
the_round_trip_is_smoothed_and_leaves_out_the_brokers_delay(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(2);
	now += 1000 * US;
	t = make_ack(1, 1);
	t.a.ts_echo = slots[1].tx_ts;
	t.a.echo_delay_us = 200;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.rtt.srtt_ns, 800 * US);
	CU_ASSERT_EQUAL(w.rtt.var_ns, 400 * US);
	t = make_ack(1, 1); /* the same echo: no second sample */
	t.a.ts_echo = slots[1].tx_ts;
	now += 5 * MS;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.rtt.srtt_ns, 800 * US);
}

/* ---- Disk, pings ------------------------------------------------------------------------- */

static void
the_disk_mark_never_passes_an_unknown_outcome(void)
{
	struct cw_options o = options();
	struct told_ack t;

	o.want_disk = true;
	start(&o);
	(void)send_new(8);
	(void)take_plain(2);
	CU_ASSERT_EQUAL(disk_mark, 0);
	t = make_ack(8, 8);
	t.a.disk_seq = 8;
	t.a.err_total = 1;
	(void)take(&t);
	CU_ASSERT_EQUAL(disk_mark, 2);
	t = make_ack(8, 8);
	t.a.disk_seq = 8;
	t.a.err_total = 1;
	result(&t, 5, 1, 2, -1);
	(void)take(&t);
	CU_ASSERT_EQUAL(disk_mark, 8);
	CU_ASSERT_TRUE(cw_idle(&w));
}

static void
a_level_still_due_is_asked_for_by_ping(void)
{
	struct cw_options o = options();
	struct cw_step step = {0};

	o.want_disk = true;
	start(&o);
	(void)send_new(2);
	(void)take_plain(2);
	CU_ASSERT_FALSE(cw_idle(&w));
	now = cw_deadline(&w, now);
	CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_PING);
	CU_ASSERT_TRUE(step.ack_now);
	CU_ASSERT_NOT_EQUAL(cw_next(&w, now, &step), CW_PING);
}

static void
an_idle_session_pings_every_keepalive(void)
{
	const struct cw_options o = options();
	struct cw_step step = {0};

	start(&o);
	CU_ASSERT_EQUAL(cw_deadline(&w, now), now + 10 * NS_PER_S);
	now += 10 * NS_PER_S;
	CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_PING);
	CU_ASSERT_FALSE(step.ack_now);
}

/* The session is gone and nobody said so: else it would be asked for ever. */
static void
an_unanswered_ping_or_query_counts_as_a_probe(void)
{
	struct cw_options o = options();
	struct cw_step step = {0};
	struct told_ack t;

	o.want_disk = true;
	start(&o);
	(void)send_new(2);
	(void)take_plain(2);
	for (unsigned i = 0; i <= KUP_PROBES; i++) {
		CU_ASSERT_EQUAL(w.rtt.probes, i > 0 ? i - 1 : 0);
		now = cw_deadline(&w, now);
		CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_PING);
	}
	CU_ASSERT_EQUAL(w.rtt.probes, KUP_PROBES);
	cw_pong(&w, 0, ++now);
	CU_ASSERT_EQUAL(w.rtt.probes, 0);
	t = make_ack(2, 2);
	start(&o);
	(void)send_new(2);
	t.a.err_total = 1;
	(void)take(&t);
	now++;
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(w.rtt.probes, i > 0 ? i - 1 : 0);
		now = cw_deadline(&w, now);
		CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_QUERY);
	}
}

static void
what_is_unknown_can_be_walked_for_the_next_session(void)
{
	const struct cw_options o = options();
	struct cw_slot *slot;
	struct told_ack t;
	uint32_t seq;

	start(&o);
	(void)send_new(4);
	t = make_ack(1, 3);
	result(&t, 3, 1, 0, 5);
	(void)take(&t);
	seq = w.oldest_unknown;
	slot = cw_unknown(&w, &seq);
	CU_ASSERT_EQUAL(slot->seq, 2);
	slot = cw_unknown(&w, &seq);
	CU_ASSERT_EQUAL(slot->seq, 4);
	CU_ASSERT_PTR_NULL(cw_unknown(&w, &seq));
}

static const struct ut_test tests[] = {
	UT("losses", three_later_transmissions_received_declare_a_packet_lost_and_cut_the_window_once),
	UT("losses", an_overtaken_packet_is_lost_by_time_as_well),
	UT("losses", where_packets_come_late_one_is_waited_for_longer_too),
	UT("losses", a_spurious_retransmission_doubles_the_reorder_threshold),
	UT("losses", a_true_retransmission_leaves_the_threshold_alone),
	UT("losses", a_lost_tail_is_probed_and_one_answer_exposes_the_rest),
	UT("losses", unanswered_probes_back_off_and_shrink_the_window),
	UT("congestion", slow_start_doubles_and_only_a_full_window_grows),
	UT("congestion", a_ce_mark_cuts_the_window_once_per_round),
	UT("congestion", without_congestion_control_the_whole_window_goes_at_once),
	UT("congestion", the_round_trip_is_smoothed_and_leaves_out_the_brokers_delay),
	UT("disk", the_disk_mark_never_passes_an_unknown_outcome),
	UT("disk", a_level_still_due_is_asked_for_by_ping),
	UT("disk", an_unanswered_ping_or_query_counts_as_a_probe),
	UT("disk", an_idle_session_pings_every_keepalive),
	UT("disk", what_is_unknown_can_be_walked_for_the_next_session),
};

UT_MAIN(tests)
