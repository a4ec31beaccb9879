/* SPDX-License-Identifier: MIT
 * window_ut.c - the broker's window: duplicates, what an ACK may say, credit, disk marks; all of it
 * across the wrap of pkt_seq too. */
#include "dataplane/window.h"

#include "base/bits.h"
#include "tests/unit/ut.h"

#include <kira/errors.h>

#define NEAR_WRAP (UINT32_MAX - 5)

static struct window w;
static struct window_outcome outcomes[KUP_RESULTS_KEPT];
static struct window_result results[KUP_RESULTS_MAX];

static void
take(uint32_t seq)
{
	(void)window_receive(&w, seq, 1, 0, 10);
}

/* As storage would: offsets by arrival, 10 records each. */
static void
store(uint32_t seq, int64_t offset)
{
	window_final(&w, seq, 0, offset, 0);
}

static void
a_packet_is_new_once(void)
{
	for (unsigned wrap = 0; wrap < 2; wrap++) {
		const uint32_t first = wrap ? NEAR_WRAP : 0;

		window_open(&w, 256, 256, false, first, outcomes);
		CU_ASSERT_EQUAL(window_judge(&w, first), WINDOW_DUP);
		for (uint32_t i = 1; i <= 20; i++) {
			CU_ASSERT_EQUAL(window_judge(&w, first + i), WINDOW_NEW);
			take(first + i);
			CU_ASSERT_EQUAL(window_judge(&w, first + i), WINDOW_DUP);
			store(first + i, i * 10);
			CU_ASSERT_EQUAL(window_judge(&w, first + i), WINDOW_DUP);
		}
		(void)window_report(&w, results, KUP_RESULTS_MAX);
		CU_ASSERT_EQUAL(w.log_seq, first + 20);
		CU_ASSERT_EQUAL(window_judge(&w, first + 20), WINDOW_DUP);
		CU_ASSERT_EQUAL(window_judge(&w, first + 256), WINDOW_NEW);
		CU_ASSERT_EQUAL(window_judge(&w, first + 257), WINDOW_OVER_CREDIT);
	}
}

static void
a_gap_asks_for_an_ack_until_it_is_filled(void)
{
	window_open(&w, 256, 256, false, NEAR_WRAP, outcomes);
	CU_ASSERT_FALSE(window_receive(&w, NEAR_WRAP + 1, 1, 0, 1));
	CU_ASSERT_TRUE(window_receive(&w, NEAR_WRAP + 3, 1, 0, 1));
	CU_ASSERT_TRUE(window_receive(&w, NEAR_WRAP + 4, 1, 0, 1));
	CU_ASSERT_TRUE(window_receive(&w, NEAR_WRAP + 2, 1, 0, 1)); /* fills it */
	CU_ASSERT_FALSE(window_receive(&w, NEAR_WRAP + 5, 1, 0, 1));
}

static void
log_seq_stops_before_the_first_packet_that_is_not_final(void)
{
	window_open(&w, 64, 64, false, 0, outcomes);
	for (uint32_t i = 1; i <= 5; i++)
		take(i);
	store(1, 0);
	store(2, 10);
	store(4, 30);
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), 0);
	CU_ASSERT_EQUAL(w.log_seq, 2);
	store(3, 20);
	(void)window_report(&w, results, KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(w.log_seq, 4);
	CU_ASSERT_EQUAL(w.max_seq, 5);
}

static void
log_seq_never_passes_a_failure_that_was_not_told(void)
{
	window_open(&w, 256, 256, false, 0, outcomes);
	/* Runs of one: each third fails, with a code of its own. */
	for (uint32_t i = 1; i <= 150; i++) {
		take(i);
		window_final(&w, i, i % 3 == 0 ? (i % 2 ? 2 : 45) : 0, -1, 0);
	}
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(w.log_seq, 122); /* the 41st failure is 123 */
	CU_ASSERT_EQUAL(w.err_total, 40);
	CU_ASSERT_TRUE(w.more);
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), 10);
	CU_ASSERT_EQUAL(results[0].first_seq, 123);
	CU_ASSERT_EQUAL(w.log_seq, 150);
	CU_ASSERT_EQUAL(w.err_total, 50);
	CU_ASSERT_FALSE(w.more);
}

static void
a_failure_above_the_gap_is_told_at_once_and_once(void)
{
	window_open(&w, 64, 64, false, 0, outcomes);
	take(1);
	take(3);
	window_final(&w, 3, KIRA_E_CORRUPT_MESSAGE, -1, 0);
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), 1);
	CU_ASSERT_EQUAL(results[0].first_seq, 3);
	CU_ASSERT_EQUAL(results[0].error, KIRA_E_CORRUPT_MESSAGE);
	CU_ASSERT_EQUAL(w.log_seq, 0);
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), 0);
	CU_ASSERT_EQUAL(w.err_total, 1);
}

static void
successes_join_into_a_run_while_their_offsets_do(void)
{
	window_open(&w, 64, 64, true, NEAR_WRAP, outcomes);
	for (uint32_t i = 1; i <= 8; i++)
		take(NEAR_WRAP + i);
	for (uint32_t i = 1; i <= 8; i++)
		store(NEAR_WRAP + i, i * 10 + (i > 5 ? 7 : 0)); /* someone else's batch between */
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), 2);
	CU_ASSERT_EQUAL(results[0].first_seq, NEAR_WRAP + 1);
	CU_ASSERT_EQUAL(results[0].count, 5);
	CU_ASSERT_EQUAL(results[0].base_offset, 10);
	CU_ASSERT_EQUAL(results[1].count, 3);
	CU_ASSERT_EQUAL(results[1].base_offset, 67);
	CU_ASSERT_EQUAL(w.err_total, 0);
}

static void
partitions_and_handles_part_runs(void)
{
	window_open(&w, 64, 64, false, 0, outcomes);
	(void)window_receive(&w, 1, 1, 0, 1);
	(void)window_receive(&w, 2, 1, 1, 1);
	(void)window_receive(&w, 3, 2, 1, 1);
	(void)window_receive(&w, 4, 2, 1, 1);
	for (uint32_t i = 1; i <= 4; i++)
		window_final(&w, i, 3, -1, 0);
	CU_ASSERT_EQUAL(window_report(&w, results, KUP_RESULTS_MAX), 3);
	CU_ASSERT_EQUAL(results[2].count, 2);
}

static void
a_query_finds_every_outcome_of_the_last_1024(void)
{
	window_open(&w, KUP_WINDOW_MAX, KUP_WINDOW_MAX, false, 0, outcomes);
	for (uint32_t i = 1; i <= 1500; i++) {
		take(i);
		window_final(&w, i, i == 700 ? 45 : 0, i == 700 ? -1 : (int64_t)i * 10, 0);
		(void)window_report(&w, results, KUP_RESULTS_MAX);
		w.credit_limit = window_credit_wanted(&w, KUP_WINDOW_MAX);
	}
	CU_ASSERT_EQUAL(window_query(&w, 477, 1024, results, KUP_RESULTS_MAX), 3);
	CU_ASSERT_EQUAL(results[0].first_seq, 477);
	CU_ASSERT_EQUAL(results[0].base_offset, 4770);
	CU_ASSERT_EQUAL(results[1].first_seq, 700);
	CU_ASSERT_EQUAL(results[1].error, 45);
	CU_ASSERT_EQUAL(results[2].first_seq + results[2].count - 1, 1500);
	/* Too old, or not yet received: nothing, and nothing wrong. */
	CU_ASSERT_EQUAL(window_query(&w, 1, 476, results, KUP_RESULTS_MAX), 0);
	CU_ASSERT_EQUAL(window_query(&w, 1501, 1024, results, KUP_RESULTS_MAX), 0);
	CU_ASSERT_EQUAL(w.err_total, 1); /* asking again is no second failure */
}

static void
a_query_does_not_name_what_is_only_received(void)
{
	window_open(&w, 64, 64, false, 0, outcomes);
	take(1);
	take(2);
	store(2, 0);
	CU_ASSERT_EQUAL(window_query(&w, 1, 2, results, KUP_RESULTS_MAX), 1);
	CU_ASSERT_EQUAL(results[0].first_seq, 2);
}

static void
sack_names_exactly_what_was_received(void)
{
	uint64_t sack[KUP_SACK_WORDS_MAX];

	for (uint32_t first = 0; first < 130; first += 13) {
		window_open(&w, KUP_WINDOW_MAX, KUP_WINDOW_MAX, false, first, outcomes);
		for (uint32_t i = 2; i <= KUP_WINDOW_MAX; i += 1 + i % 5)
			take(first + i);
		CU_ASSERT_EQUAL(window_sack(&w, sack), (w.max_seq - first + 63) / 64);
		for (uint32_t i = 1; i <= w.max_seq - first; i++)
			CU_ASSERT_EQUAL(sack[(i - 1) / 64] >> (i - 1) % 64 & 1,
				window_judge(&w, first + i) == WINDOW_DUP);
	}
}

static void
sack_ends_at_the_highest_received(void)
{
	uint64_t sack[KUP_SACK_WORDS_MAX];

	window_open(&w, KUP_WINDOW_MAX, KUP_WINDOW_MAX, false, 60, outcomes);
	CU_ASSERT_EQUAL(window_sack(&w, sack), 0);
	take(62);
	CU_ASSERT_EQUAL(window_sack(&w, sack), 1);
	CU_ASSERT_EQUAL(sack[0], 2);
}

static void
credit_follows_the_window_and_the_share_and_never_falls_in_use(void)
{
	window_open(&w, 100, 2, false, NEAR_WRAP, outcomes);
	CU_ASSERT_EQUAL(window_outstanding(&w), 2);
	CU_ASSERT_EQUAL(window_credit_wanted(&w, 50), NEAR_WRAP + 50);
	CU_ASSERT_EQUAL(window_credit_wanted(&w, 500), NEAR_WRAP + 100);
	w.credit_limit = window_credit_wanted(&w, 500);
	CU_ASSERT_EQUAL(window_credit_wanted(&w, 2), NEAR_WRAP + 100);
	for (uint32_t i = 2; i <= 10; i++) {
		take(NEAR_WRAP + i);
		store(NEAR_WRAP + i, 0);
	}
	/* 1 is missing: the window does not move, though nine are final. */
	(void)window_report(&w, results, KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(window_outstanding(&w), 91);
	CU_ASSERT_EQUAL(window_credit_wanted(&w, 500), NEAR_WRAP + 100);
	take(NEAR_WRAP + 1);
	store(NEAR_WRAP + 1, 0);
	(void)window_report(&w, results, KUP_RESULTS_MAX);
	CU_ASSERT_EQUAL(window_credit_wanted(&w, 500), NEAR_WRAP + 110);
}

static void
a_silent_client_keeps_two_credits(void)
{
	window_open(&w, 100, 100, false, 0, outcomes);
	take(1);
	CU_ASSERT_EQUAL(window_lapse(&w), 97);
	CU_ASSERT_EQUAL(w.credit_limit, 3);
	CU_ASSERT_EQUAL(window_lapse(&w), 0);
	CU_ASSERT_EQUAL(window_judge(&w, 4), WINDOW_OVER_CREDIT);
}

static void
disk_seq_waits_for_the_commit_of_every_packet_below_it(void)
{
	window_open(&w, 100, 100, false, 0, outcomes);
	for (uint32_t i = 1; i <= 4; i++)
		take(i);
	window_final(&w, 1, 0, 0, 7);
	window_final(&w, 2, 2, -1, 0);
	(void)window_report(&w, results, KUP_RESULTS_MAX);
	window_final(&w, 4, 0, 0, 9); /* above the gap: its commit counts already */
	window_final(&w, 3, 0, 0, 8);
	CU_ASSERT_FALSE(window_disk(&w, 6));
	CU_ASSERT_EQUAL(w.disk_seq, 0);
	CU_ASSERT_TRUE(window_disk(&w, 7));
	CU_ASSERT_EQUAL(w.disk_seq, 2);
	(void)window_report(&w, results, KUP_RESULTS_MAX);
	CU_ASSERT_FALSE(window_disk(&w, 8));
	CU_ASSERT_TRUE(window_disk(&w, 9));
	CU_ASSERT_EQUAL(w.disk_seq, 4);
	CU_ASSERT_EQUAL(w.marks, 0);
}

static void
out_of_marks_disk_comes_later_and_never_early(void)
{
	window_open(&w, 100, 100, false, 0, outcomes);
	for (uint32_t i = 1; i <= 10; i++) {
		take(i);
		window_final(&w, i, 0, 0, i);
		(void)window_report(&w, results, KUP_RESULTS_MAX);
	}
	for (uint64_t done = 1; done <= 10; done++) {
		(void)window_disk(&w, done);
		CU_ASSERT(w.disk_seq <= done);
	}
	CU_ASSERT_EQUAL(w.disk_seq, 10);
}

static const struct ut_test tests[] = {
	UT("dup", a_packet_is_new_once),
	UT("dup", a_gap_asks_for_an_ack_until_it_is_filled),
	UT("log", log_seq_stops_before_the_first_packet_that_is_not_final),
	UT("log", log_seq_never_passes_a_failure_that_was_not_told),
	UT("results", a_failure_above_the_gap_is_told_at_once_and_once),
	UT("results", successes_join_into_a_run_while_their_offsets_do),
	UT("results", partitions_and_handles_part_runs),
	UT("results", a_query_finds_every_outcome_of_the_last_1024),
	UT("results", a_query_does_not_name_what_is_only_received),
	UT("sack", sack_names_exactly_what_was_received),
	UT("sack", sack_ends_at_the_highest_received),
	UT("credit", credit_follows_the_window_and_the_share_and_never_falls_in_use),
	UT("credit", a_silent_client_keeps_two_credits),
	UT("disk", disk_seq_waits_for_the_commit_of_every_packet_below_it),
	UT("disk", out_of_marks_disk_comes_later_and_never_early),
};
UT_MAIN(tests)
