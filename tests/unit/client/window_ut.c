/* SPDX-License-Identifier: MIT
 * window_ut.c - dataplane/client/client_window.c, one scenario per rule of the protocol's section 8. */
#include "dataplane/client/client_window.c"

#include "base/bytes.h"
#include "tests/unit/ut.h"

#define MS NS_PER_MS
#define US NS_PER_US

static struct cw_slot slots[KUP_WINDOW_MAX];
static struct client_window w;
static uint64_t now;
static uint32_t outcomes, last_outcome_seq, disk_mark;
static int16_t error_of[KUP_WINDOW_MAX];
static int64_t offset_of[KUP_WINDOW_MAX];
static bool told[KUP_WINDOW_MAX];

static void
on_outcome(void *arg, struct cw_slot *slot, int16_t error, int64_t base_offset)
{
	const uint32_t i = slot->seq & (KUP_WINDOW_MAX - 1);

	CU_ASSERT_FALSE(told[i]);
	told[i] = true;
	error_of[i] = error;
	offset_of[i] = base_offset;
	outcomes++;
	last_outcome_seq = slot->seq;
}

static void
on_disk(void *arg, uint32_t seq)
{
	disk_mark = seq;
}

static const struct cw_events events = {.outcome = on_outcome, .disk = on_disk};

static struct cw_options
options(void)
{
	return (struct cw_options){.slots = slots, .slot_count = KUP_WINDOW_MAX, .window = 256,
		.credit_limit = 256, .ack_delay_us = 50, .credit_lease_ms = 200, .keepalive_s = 10,
		.first_seq = 1};
}

static void
start(const struct cw_options *o)
{
	now = 1000 * NS_PER_S;
	cw_init(&w, o, now);
	outcomes = disk_mark = 0;
	memset(told, 0, sizeof(told));
}

/* Send new packets while the window lets them, at most n; how many went. */
static uint32_t
send_new(uint32_t n)
{
	uint32_t sent = 0;
	struct cw_step step;

	while (sent < n && cw_next(&w, now, &step) == CW_NEW) {
		(void)cw_new(&w, now, NULL, 0, 1, 0, 10);
		sent++;
	}
	return sent;
}

/* An ACK under construction: fields, SACK bits and results. */
struct told_ack {
	struct cwire_ack a;
	uint8_t sack[KUP_SACK_WORDS_MAX * KUP_SACK_WORD];
	uint8_t result[KUP_RESULTS_MAX * KUP_RESULT];
};

static uint32_t ack_num;

static struct told_ack
make_ack(uint32_t log_seq, uint32_t max_seq)
{
	struct told_ack t = {.a = {.log_seq = log_seq, .disk_seq = 0, .credit_limit = log_seq + 256,
		.max_seq = max_seq, .ack_num = ++ack_num, .ts_echo = cw_tx_ts(now) - 100}};

	return t;
}

static void
sack(struct told_ack *t, uint32_t seq)
{
	const uint32_t bit = seq - t->a.log_seq - 1;
	uint8_t *p = t->sack + bit / 64 * 8;

	put_be64(p, get_be64(p) | UINT64_C(1) << (bit % 64));
	if (t->a.words < bit / 64 + 1)
		t->a.words = (uint8_t)(bit / 64 + 1);
}

static void
result(struct told_ack *t, uint32_t first, uint16_t count, int16_t error, int64_t offset)
{
	uint8_t *p = t->result + t->a.results++ * KUP_RESULT;

	put_be32(p + KUP_RESULT_SEQ, first);
	put_be16(p + KUP_RESULT_COUNT, count);
	put_be16(p + KUP_RESULT_ERROR, (uint16_t)error);
	put_be32(p + KUP_RESULT_PART, 0);
	put_be16(p + KUP_RESULT_HANDLE, 1);
	put_be64(p + KUP_RESULT_OFFSET, (uint64_t)offset);
}

static bool
take(struct told_ack *t)
{
	t->a.sack = t->sack;
	t->a.result = t->result;
	return cw_ack(&w, &t->a, now, &events);
}

static bool
take_plain(uint32_t log_seq)
{
	struct told_ack t = make_ack(log_seq, log_seq);

	return take(&t);
}

static struct cw_slot *
expect(enum cw_what what)
{
	struct cw_step step = {0};

	CU_ASSERT_EQUAL(cw_next(&w, now, &step), what);
	return step.slot;
}

/* ---- Numbering and outcomes -------------------------------------------------------------- */

static void
packets_are_numbered_from_one_and_all_succeed_below_log_seq(void)
{
	const struct cw_options o = options();

	start(&o);
	CU_ASSERT_EQUAL(send_new(100), 10); /* the first window */
	CU_ASSERT_EQUAL(w.next_seq, 11);
	now += 1 * MS;
	CU_ASSERT_TRUE(take_plain(7));
	CU_ASSERT_EQUAL(outcomes, 7);
	CU_ASSERT_EQUAL(w.oldest_unknown, 8);
	CU_ASSERT_EQUAL(error_of[7], 0);
	CU_ASSERT_EQUAL(w.in_flight, 3);
}

static void
all_marks_survive_the_wrap_of_pkt_seq(void)
{
	struct cw_options o = options();

	o.first_seq = UINT32_MAX - 4;
	o.credit_limit = o.first_seq + 255;
	start(&o);
	CU_ASSERT_EQUAL(send_new(10), 10);
	now += 1 * MS;
	CU_ASSERT_TRUE(take_plain(UINT32_MAX - 4 + 7));
	CU_ASSERT_EQUAL(outcomes, 8);
	CU_ASSERT_EQUAL(w.oldest_unknown, 3);
	{
		struct told_ack t = make_ack(2, 4);

		t.a.credit_limit = 300;
		sack(&t, 4);
		CU_ASSERT_TRUE(take(&t));
	}
	CU_ASSERT_EQUAL(w.missing, 1);
}

static void
results_give_offsets_to_each_packet_of_a_run(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(4);
	now += 1 * MS;
	t = make_ack(3, 3);
	result(&t, 1, 3, 0, 100);
	CU_ASSERT_TRUE(take(&t));
	CU_ASSERT_EQUAL(offset_of[1], 100);
	CU_ASSERT_EQUAL(offset_of[3], 120);
}

static void
a_result_makes_a_packet_final_above_log_seq(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(4);
	now += 1 * MS;
	t = make_ack(0, 3);
	sack(&t, 3);
	result(&t, 3, 1, 0, 500);
	CU_ASSERT_TRUE(take(&t));
	CU_ASSERT_EQUAL(outcomes, 1);
	CU_ASSERT_EQUAL(last_outcome_seq, 3);
	CU_ASSERT_EQUAL(w.oldest_unknown, 1);
	CU_ASSERT_TRUE(take_plain(4));
	CU_ASSERT_EQUAL(outcomes, 4); /* not told twice */
}

static void
an_ack_of_what_was_never_sent_is_refused(void)
{
	const struct cw_options o = options();

	start(&o);
	(void)send_new(4);
	CU_ASSERT_FALSE(take_plain(5));
	CU_ASSERT_EQUAL(outcomes, 0);
	CU_ASSERT_EQUAL(w.stats.acks_bad, 1);
}

static void
a_result_for_another_handle_settles_nothing(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(2);
	t = make_ack(0, 2);
	result(&t, 1, 2, 2, -1);
	put_be16(t.result + KUP_RESULT_HANDLE, 9);
	(void)take(&t);
	CU_ASSERT_EQUAL(outcomes, 0);
	CU_ASSERT_EQUAL(w.err_known, 0);
}

/* ---- Failures, err_total, QUERY ---------------------------------------------------------- */

static void
an_unexplained_failure_makes_packets_unknown_until_a_query_is_answered(void)
{
	const struct cw_options o = options();
	struct cw_step step;
	struct told_ack t;

	start(&o);
	(void)send_new(8);
	now += 1 * MS;
	CU_ASSERT_TRUE(take_plain(6));
	t = make_ack(8, 8);
	t.a.err_total = 1; /* the ACK that carried the result was lost */
	CU_ASSERT_TRUE(take(&t));
	CU_ASSERT_EQUAL(outcomes, 6);
	CU_ASSERT_EQUAL(cw_deadline(&w, now), now);
	CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_QUERY);
	CU_ASSERT_EQUAL(step.query_first, 7);
	CU_ASSERT_EQUAL(step.query_count, 2);
	CU_ASSERT_NOT_EQUAL(cw_next(&w, now, &step), CW_QUERY); /* again a PTO later */
	now += w.pto_ns;
	CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_QUERY);
	t = make_ack(8, 8);
	t.a.err_total = 1;
	result(&t, 7, 1, 2, -1);
	CU_ASSERT_TRUE(take(&t));
	CU_ASSERT_EQUAL(outcomes, 8); /* 8 succeeded: no failure is unexplained any more */
	CU_ASSERT_EQUAL(error_of[7], 2);
	CU_ASSERT_EQUAL(error_of[8], 0);
}

static void
a_query_half_answered_is_asked_again_at_once(void)
{
	const struct cw_options o = options();
	struct cw_step step;
	struct told_ack t;

	start(&o);
	(void)send_new(8);
	t = make_ack(8, 8);
	t.a.err_total = 1;
	(void)take(&t);
	CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_QUERY);
	t = make_ack(8, 8);
	t.a.err_total = 1;
	result(&t, 1, 4, 0, 40);
	(void)take(&t);
	CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_QUERY);
	CU_ASSERT_EQUAL(step.query_first, 5);
	CU_ASSERT_EQUAL(step.query_count, 4);
}

static void
an_old_ack_moves_no_watermark_but_its_results_count(void)
{
	const struct cw_options o = options();
	struct told_ack old, t;

	start(&o);
	(void)send_new(8);
	old = make_ack(2, 2);
	old.a.err_total = 1;
	old.a.credit_limit = 5;
	result(&old, 2, 1, 2, -1);
	t = make_ack(3, 3);
	t.a.err_total = 1;
	(void)take(&t);
	CU_ASSERT_EQUAL(outcomes, 0);
	(void)take(&old);
	CU_ASSERT_EQUAL(outcomes, 3);
	CU_ASSERT_EQUAL(error_of[2], 2);
	CU_ASSERT_EQUAL(w.log_seq, 3);
	CU_ASSERT_EQUAL(w.credit_limit, 3 + 256);
	CU_ASSERT_EQUAL(w.stats.acks_old, 1);
}

/* ---- Credit ------------------------------------------------------------------------------ */

static void
nothing_new_goes_beyond_the_credit_limit_and_it_may_fall(void)
{
	struct cw_options o = options();
	struct told_ack t;

	o.credit_limit = 3;
	start(&o);
	CU_ASSERT_EQUAL(send_new(100), 3);
	t = make_ack(3, 3);
	t.a.credit_limit = 5;
	(void)take(&t);
	CU_ASSERT_EQUAL(send_new(1), 1);
	t = make_ack(3, 3);
	t.a.credit_limit = 4;
	(void)take(&t);
	CU_ASSERT_EQUAL(send_new(100), 0);
}

static void
a_silent_client_keeps_two_packets_unreported_until_the_next_ack(void)
{
	const struct cw_options o = options();

	start(&o);
	now += 201 * MS;
	CU_ASSERT_EQUAL(send_new(100), 2);
	now += 100 * US;
	CU_ASSERT_TRUE(take_plain(2));
	CU_ASSERT_EQUAL(send_new(100), 10);
}

static void
the_window_is_bound_by_the_oldest_unknown_outcome(void)
{
	struct cw_options o = options();

	o.window = 4;
	o.credit_limit = 1000;
	start(&o);
	CU_ASSERT_EQUAL(send_new(100), 4);
}

static void
drain_and_throttle_hold_new_packets_back(void)
{
	const struct cw_options o = options();
	struct told_ack t;

	start(&o);
	(void)send_new(2);
	t = make_ack(2, 2);
	t.a.throttle_ms = 7;
	(void)take(&t);
	CU_ASSERT_EQUAL(send_new(1), 0);
	CU_ASSERT_EQUAL(cw_deadline(&w, now), now + 7 * MS);
	now += 7 * MS;
	CU_ASSERT_EQUAL(send_new(1), 1);
	t = make_ack(3, 3);
	t.a.flags = KUP_FLAG_DRAIN;
	(void)take(&t);
	CU_ASSERT_EQUAL(send_new(1), 0);
}

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
	CU_ASSERT_EQUAL(w.cwnd, 7); /* 10, grown by the first four, halved */
	CU_ASSERT_EQUAL(w.recovery_end, 10);
	slot = expect(CW_AGAIN);
	CU_ASSERT_EQUAL(slot->seq, 3);
	CU_ASSERT_EQUAL(slot->copies, 2);
	t = make_ack(2, 8);
	sack(&t, 7);
	sack(&t, 8);
	(void)take(&t);
	CU_ASSERT_EQUAL(w.cwnd, 7);
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
	CU_ASSERT_EQUAL(at, now + w.pto_ns);
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
	last = w.pto_ns;
	for (unsigned i = 1; i <= 3; i++) {
		now = cw_deadline(&w, now);
		CU_ASSERT_EQUAL(expect(CW_AGAIN)->seq, 1);
		CU_ASSERT_TRUE(w.pto_ns > last);
		last = w.pto_ns;
	}
	CU_ASSERT_EQUAL(w.cwnd, 2);
	CU_ASSERT_EQUAL(w.probes, 3);
	for (unsigned i = 0; i < 20; i++) {
		now = cw_deadline(&w, now);
		(void)expect(CW_AGAIN);
	}
	CU_ASSERT_EQUAL(w.pto_ns, KUP_PTO_MAX_US * US);
	CU_ASSERT_TRUE(take_plain(1));
	CU_ASSERT_EQUAL(w.probes, 0);
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
	CU_ASSERT_EQUAL(w.cwnd, 20);
	(void)send_new(3); /* far from full */
	now += 100 * US;
	(void)take_plain(13);
	CU_ASSERT_EQUAL(w.cwnd, 20);
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
	CU_ASSERT_EQUAL(w.cwnd, 6); /* grown by 2, then halved */
	t = make_ack(3, 3);
	t.a.ce_count = 2;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.cwnd, 6);
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
	CU_ASSERT_EQUAL(w.srtt_ns, 800 * US);
	CU_ASSERT_EQUAL(w.var_ns, 400 * US);
	t = make_ack(1, 1); /* the same echo: no second sample */
	t.a.ts_echo = slots[1].tx_ts;
	now += 5 * MS;
	(void)take(&t);
	CU_ASSERT_EQUAL(w.srtt_ns, 800 * US);
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
		CU_ASSERT_EQUAL(w.probes, i > 0 ? i - 1 : 0);
		now = cw_deadline(&w, now);
		CU_ASSERT_EQUAL(cw_next(&w, now, &step), CW_PING);
	}
	CU_ASSERT_EQUAL(w.probes, KUP_PROBES);
	cw_pong(&w, 0, ++now);
	CU_ASSERT_EQUAL(w.probes, 0);
	t = make_ack(2, 2);
	start(&o);
	(void)send_new(2);
	t.a.err_total = 1;
	(void)take(&t);
	now++;
	for (unsigned i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(w.probes, i > 0 ? i - 1 : 0);
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
	UT("outcomes", packets_are_numbered_from_one_and_all_succeed_below_log_seq),
	UT("outcomes", all_marks_survive_the_wrap_of_pkt_seq),
	UT("outcomes", results_give_offsets_to_each_packet_of_a_run),
	UT("outcomes", a_result_makes_a_packet_final_above_log_seq),
	UT("outcomes", an_ack_of_what_was_never_sent_is_refused),
	UT("outcomes", a_result_for_another_handle_settles_nothing),
	UT("failures", an_unexplained_failure_makes_packets_unknown_until_a_query_is_answered),
	UT("failures", a_query_half_answered_is_asked_again_at_once),
	UT("failures", an_old_ack_moves_no_watermark_but_its_results_count),
	UT("credit", nothing_new_goes_beyond_the_credit_limit_and_it_may_fall),
	UT("credit", a_silent_client_keeps_two_packets_unreported_until_the_next_ack),
	UT("credit", the_window_is_bound_by_the_oldest_unknown_outcome),
	UT("credit", drain_and_throttle_hold_new_packets_back),
	UT("losses", three_later_transmissions_received_declare_a_packet_lost_and_cut_the_window_once),
	UT("losses", an_overtaken_packet_is_lost_by_time_as_well),
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
