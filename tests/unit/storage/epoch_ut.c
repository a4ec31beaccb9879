/* SPDX-License-Identifier: MIT
 * epoch_ut.c - storage/epoch.c: Kafka's checkpoint text, and what an epoch or an offset finds. */
#include "storage/epoch.c"

#include "tests/unit/ut.h"

static struct epochs e;

static bool
parse(const char *text)
{
	return epochs_parse(&e, text, strlen(text));
}

static void
a_checkpoint_is_read_and_written_as_kafka_does(void)
{
	static const char text[] = "0\n3\n0 0\n2 100\n7 250\n";
	char *again;

	CU_ASSERT_TRUE_FATAL(parse(text));
	CU_ASSERT_EQUAL(e.n, 3);
	CU_ASSERT_EQUAL(e.entry[1].epoch, 2);
	CU_ASSERT_EQUAL(e.entry[1].start, 100);
	CU_ASSERT_EQUAL(epochs_latest(&e), 7);
	again = epochs_text(&e);
	CU_ASSERT_STRING_EQUAL(again, text);
	free(again);
	epochs_free(&e);
}

static void
text_that_is_no_checkpoint_is_refused(void)
{
	static const char *const bad[] = {"", "0", "0\n", "0\n0\n", "1\n1\n0 0\n", "0\n1\n",
		"0\n1\n0 0", "0\n1\n0 0\n\n", "0\n2\n0 0\n", "0\n1\n0 0\n1 5\n", "0\n2\n0 0\n0 5\n",
		"0\n2\n0 0\n1 0\n", "0\n2\n1 0\n0 5\n", "0\n1\n-1 0\n", "0\n1\n0 -1\n",
		"0\n1\n0  0\n", "0\n1\n0\t0\n", "0\n1\n0 0 \n", "0\n1\n2147483647 0\n",
		"0\n1\n0 9223372036854775807\n", "0\n1\n0 99999999999999999999\n",
		"0\n99999999999\n0 0\n", "0\n1000000\n0 0\n", "x"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_FALSE(parse(bad[i]));
		CU_ASSERT_EQUAL(e.n, 0);
		CU_ASSERT_PTR_NULL(e.entry);
	}
	CU_ASSERT_TRUE(parse("0\n1\n2147483646 9223372036854775806\n"));
	epochs_free(&e);
}

static void
an_offset_finds_the_epoch_it_was_written_in(void)
{
	CU_ASSERT_TRUE_FATAL(parse("0\n3\n1 10\n2 100\n7 250\n"));
	CU_ASSERT_EQUAL(epochs_at(&e, 9), -1);
	CU_ASSERT_EQUAL(epochs_at(&e, 10), 1);
	CU_ASSERT_EQUAL(epochs_at(&e, 99), 1);
	CU_ASSERT_EQUAL(epochs_at(&e, 100), 2);
	CU_ASSERT_EQUAL(epochs_at(&e, 249), 2);
	CU_ASSERT_EQUAL(epochs_at(&e, INT64_MAX), 7);
	epochs_free(&e);
}

static void
ends(int32_t epoch, int32_t found, int64_t end)
{
	int32_t f;
	int64_t o;

	epochs_end(&e, epoch, 300, &f, &o);
	CU_ASSERT_EQUAL(f, found);
	CU_ASSERT_EQUAL(o, end);
}

static void
the_end_of_an_epoch_is_the_start_of_the_next(void)
{
	CU_ASSERT_TRUE_FATAL(parse("0\n3\n1 10\n2 100\n7 250\n"));
	ends(1, 1, 100);
	ends(2, 2, 250);
	ends(5, 2, 250); /* never was: the largest below it */
	ends(7, 7, 300); /* the latest: the end of the log */
	ends(8, -1, -1); /* of the future */
	ends(0, 0, 10);  /* below the first: its start, as Kafka answers */
	epochs_free(&e);
	e = (struct epochs){NULL, 0};
	ends(0, -1, -1);
}

static void
an_epoch_that_stored_nothing_is_replaced_by_its_successor(void)
{
	e = (struct epochs){NULL, 0};
	CU_ASSERT_EQUAL(epochs_latest(&e), -1);
	epochs_begin(&e, 0, 0);
	epochs_begin(&e, 1, 50);
	epochs_begin(&e, 2, 50);
	epochs_begin(&e, 3, 50);
	CU_ASSERT_EQUAL(e.n, 2);
	CU_ASSERT_EQUAL(epochs_at(&e, 49), 0);
	CU_ASSERT_EQUAL(epochs_at(&e, 50), 3);
	epochs_begin(&e, 4, 20); /* a log cut below: epochs above it go */
	CU_ASSERT_EQUAL(e.n, 2);
	CU_ASSERT_EQUAL(epochs_at(&e, 20), 4);
	epochs_begin(&e, 5, 0);
	CU_ASSERT_EQUAL(e.n, 1);
	CU_ASSERT_EQUAL(epochs_latest(&e), 5);
	epochs_free(&e);
}

static const struct ut_test tests[] = {
	UT("text", a_checkpoint_is_read_and_written_as_kafka_does),
	UT("text", text_that_is_no_checkpoint_is_refused),
	UT("find", an_offset_finds_the_epoch_it_was_written_in),
	UT("find", the_end_of_an_epoch_is_the_start_of_the_next),
	UT("find", an_epoch_that_stored_nothing_is_replaced_by_its_successor),
};

UT_MAIN(tests)
