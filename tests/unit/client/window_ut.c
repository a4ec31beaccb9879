/* SPDX-License-Identifier: MIT
 * window_ut.c - dataplane/client/client_window.c: outcomes, failures, credit; with window_losses_ut.c one scenario per rule of
 * the protocol. */
#include "tests/unit/client/window_ut.h"

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
	now += w.rtt.pto_ns;
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
};

UT_MAIN(tests)
