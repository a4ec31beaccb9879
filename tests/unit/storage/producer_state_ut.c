/* SPDX-License-Identifier: MIT
 * producer_state_ut.c - storage/producer_state.c: every row of the verdict table, the circle of
 * sequences, expiry, the bounded table, and Kafka's snapshot. */
#include "storage/producer_state.c"

#include "tests/unit/ut.h"

#define NOW (10 * NS_PER_S)

static struct producers *p;
static int64_t offset;

static void
open_table(uint32_t capacity)
{
	CU_ASSERT_TRUE_FATAL(producers_open(&p, capacity, 4));
}

static enum producer_verdict
judge(unsigned slot, int64_t id, int16_t epoch, int32_t first, int32_t last, bool strict)
{
	offset = -1;
	return producers_judge(p, slot, id, epoch, first, last, strict, NOW, &offset);
}

static void
store(int64_t id, int16_t epoch, int32_t first, int32_t last, int64_t base)
{
	producers_stored(p, 0, id, epoch, first, last, base, 1000 + base, NOW);
}

/* Seven batches of 10, sequences 100..169 at offsets 1000..1069: five are remembered. */
static void
seven_batches(void)
{
	open_table(16);
	for (int i = 0; i < 7; i++)
		store(5, 3, 100 + 10 * i, 109 + 10 * i, 1000 + 10 * i);
}

static void
the_verdict_table_holds_row_by_row(void)
{
	static const struct {
		int16_t epoch;
		int32_t first, last;
		bool strict;
		enum producer_verdict verdict;
		int64_t offset;
	} row[] = {
		{3, 170, 179, true, PRODUCER_NEXT, -1},
		{3, 170, 170, false, PRODUCER_NEXT, -1},
		{3, 160, 169, true, PRODUCER_DUPLICATE, 1060},
		{3, 120, 129, true, PRODUCER_DUPLICATE, 1020},
		{3, 110, 119, true, PRODUCER_LONG_AGO, -1}, /* forgotten, but within the run */
		{3, 100, 109, false, PRODUCER_LONG_AGO, -1},
		{3, 125, 134, true, PRODUCER_LONG_AGO, -1}, /* cut otherwise: offset unknown */
		{3, 160, 168, true, PRODUCER_LONG_AGO, -1},
		{3, 90, 99, true, PRODUCER_UNPROVEN, -1}, /* below the run */
		{3, 99, 105, true, PRODUCER_UNPROVEN, -1},
		{3, 165, 174, true, PRODUCER_UNPROVEN, -1}, /* straddles the next */
		{3, 169, 170, false, PRODUCER_UNPROVEN, -1},
		{3, 171, 180, true, PRODUCER_AHEAD, -1},
		{3, 171, 180, false, PRODUCER_AHEAD, -1},
		{2, 170, 179, true, PRODUCER_FENCED, -1},
		{2, 160, 169, true, PRODUCER_FENCED, -1},
		{4, 0, 9, true, PRODUCER_NEXT, -1}, /* a newer epoch begins at 0 */
		{4, 0, 9, false, PRODUCER_NEXT, -1},
		{4, 170, 179, true, PRODUCER_AHEAD, -1},
		{4, 170, 179, false, PRODUCER_AHEAD, -1},
	};

	seven_batches();
	for (unsigned i = 0; i < ARRAY_LENGTH(row); i++) {
		CU_ASSERT_EQUAL(judge(0, 5, row[i].epoch, row[i].first, row[i].last, row[i].strict),
			row[i].verdict);
		CU_ASSERT_EQUAL(offset, row[i].offset);
	}
	producers_close(p);
}

static void
an_unknown_producer_begins_at_0_over_udp_and_anywhere_over_tcp(void)
{
	seven_batches();
	CU_ASSERT_EQUAL(judge(0, 6, 0, 0, 0, true), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 6, 0, 7, 7, true), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 6, 0, 7, 7, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(1, 5, 3, 160, 169, true), PRODUCER_AHEAD); /* another partition's */
	producers_close(p);
}

/* Sent on without an answer, as Kafka's clients do: the second comes when the first was refused for want of room. */
static void
over_tcp_nothing_overtakes_a_batch_given_up(void)
{
	open_table(16);
	producers_given_up(p, 0, 5, 3, 20, NOW);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 30, 39, false), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 21, 39, false), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 20, 29, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 0, 9, false), PRODUCER_NEXT); /* before it */
	CU_ASSERT_EQUAL(judge(0, 5, 2, 20, 29, false), PRODUCER_FENCED);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 30, 39, false), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 0, 9, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 6, 3, 30, 39, false), PRODUCER_NEXT); /* another's, another partition's */
	CU_ASSERT_EQUAL(judge(1, 5, 3, 30, 39, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 20, 29, true), PRODUCER_AHEAD); /* UDP as ever */
	CU_ASSERT_EQUAL(judge(0, 5, 3, 0, 9, true), PRODUCER_NEXT);
	/* The lowest of those given up; of a newer epoch its first. */
	producers_given_up(p, 0, 5, 3, 30, NOW);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 30, 39, false), PRODUCER_AHEAD);
	producers_given_up(p, 0, 5, 3, 10, NOW);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 20, 29, false), PRODUCER_AHEAD);
	producers_given_up(p, 0, 5, 4, 30, NOW);
	producers_given_up(p, 0, 5, 3, 10, NOW);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 30, 39, false), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 10, 19, false), PRODUCER_FENCED);
	/* Stored: what counts from now on is what it stored. */
	store(5, 4, 0, 9, 100);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 10, 19, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 0, 9, false), PRODUCER_DUPLICATE);
	producers_given_up(p, 0, 5, 4, 10, NOW);
	producers_given_up(p, 0, 5, 5, 0, NOW);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 10, 19, false), PRODUCER_NEXT);
	producers_close(p);
	/* Around the end of the sequences, 0 comes behind. */
	open_table(16);
	producers_given_up(p, 0, 5, 3, INT32_MAX - 9, NOW);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 0, 9, false), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 5, 3, INT32_MAX - 9, INT32_MAX, false), PRODUCER_NEXT);
	producers_close(p);
}

static void
a_run_that_began_in_the_middle_proves_nothing_below_it(void)
{
	open_table(16);
	store(5, 0, 50, 59, 7);
	CU_ASSERT_EQUAL(judge(0, 5, 0, 50, 59, false), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(offset, 7);
	CU_ASSERT_EQUAL(judge(0, 5, 0, 40, 49, false), PRODUCER_UNPROVEN);
	producers_close(p);
}

static void
a_newer_epoch_forgets_the_older_ones_batches(void)
{
	seven_batches();
	store(5, 4, 0, 9, 2000);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 0, 9, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(offset, 2000);
	CU_ASSERT_EQUAL(judge(0, 5, 4, 160, 169, true), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(judge(0, 5, 3, 170, 179, true), PRODUCER_FENCED);
	producers_close(p);
}

static void
sequences_wrap_from_the_largest_to_0(void)
{
	open_table(16);
	store(5, 0, INT32_MAX - 19, INT32_MAX - 10, 0);
	store(5, 0, INT32_MAX - 9, INT32_MAX, 10);
	CU_ASSERT_EQUAL(judge(0, 5, 0, 0, 9, true), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 5, 0, 1, 9, true), PRODUCER_AHEAD);
	store(5, 0, 0, 9, 20);
	CU_ASSERT_EQUAL(judge(0, 5, 0, INT32_MAX - 9, INT32_MAX, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(offset, 10);
	CU_ASSERT_EQUAL(judge(0, 5, 0, INT32_MAX - 4, 4, true), PRODUCER_LONG_AGO);
	CU_ASSERT_EQUAL(judge(0, 5, 0, INT32_MAX - 29, INT32_MAX - 20, true), PRODUCER_UNPROVEN);
	CU_ASSERT_EQUAL(judge(0, 5, 0, 5, 14, true), PRODUCER_UNPROVEN);
	/* A batch that wraps inside itself. */
	store(5, 0, 10, INT32_MAX, 30);
	CU_ASSERT_EQUAL(judge(0, 5, 0, 0, 0, true), PRODUCER_NEXT);
	producers_close(p);
}

/* Once around the circle and further: what lies half of it behind must not count as proven. */
static void
the_proven_run_stays_below_half_the_circle(void)
{
	const int32_t step = 1 << 24;
	int32_t first = 0;

	open_table(16);
	for (int i = 0; i < 300; i++) {
		const int32_t last = rb_sequence_add(first, step - 1);

		CU_ASSERT_EQUAL(judge(0, 5, 0, first, last, true), PRODUCER_NEXT);
		store(5, 0, first, last, i);
		first = rb_sequence_add(last, 1);
		CU_ASSERT_EQUAL(
			judge(0, 5, 0, rb_sequence_add(first, 5), first + 9, true), PRODUCER_AHEAD);
		if (i > 64) {
			CU_ASSERT_EQUAL(judge(0, 5, 0, rb_sequence_add(first, -10 * step),
						rb_sequence_add(first, -10 * step + 9), true),
				PRODUCER_LONG_AGO);
			CU_ASSERT_EQUAL(judge(0, 5, 0, rb_sequence_add(first, -60 * step),
						rb_sequence_add(first, -60 * step + 9), true),
				PRODUCER_UNPROVEN);
		}
	}
	producers_close(p);
}

static void
a_producer_expires_24_hours_after_its_last_append(void)
{
	const uint64_t day = 24 * 3600 * NS_PER_S;

	seven_batches();
	CU_ASSERT_EQUAL(producers_judge(p, 0, 5, 3, 171, 171, true, NOW + day - 1, &offset),
		PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(producers_judge(p, 0, 5, 2, 160, 160, true, NOW + day - 1, &offset),
		PRODUCER_FENCED);
	CU_ASSERT_EQUAL(producers_judge(p, 0, 5, 2, 0, 0, true, NOW + day, &offset), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(
		producers_judge(p, 0, 5, 3, 171, 171, false, NOW + day, &offset), PRODUCER_NEXT);
	producers_close(p);
}

static void
the_producers_of_a_partition_are_told_with_their_last_batch(void)
{
	struct storage_producer row[3];

	open_table(16);
	store(5, 3, 0, 9, 10);
	store(5, 3, 10, 19, 20);
	store(6, 0, 0, 4, 30);
	producers_stored(p, 1, 7, 0, 0, 0, 0, 0, NOW); /* of another */
	CU_ASSERT_EQUAL_FATAL(producers_tell(p, 0, row, 3, NOW), 2);
	CU_ASSERT(row[0].id == 6 && row[0].last_sequence == 4 && row[0].last_timestamp == 1030);
	CU_ASSERT(row[1].id == 5 && row[1].epoch == 3 && row[1].last_sequence == 19);
	CU_ASSERT_EQUAL(producers_tell(p, 0, row, 1, NOW), 1);
	producers_stored(p, 0, 5, 3, 20, 29, 40, 2000, NOW + PRODUCER_EXPIRES_NS);
	CU_ASSERT_EQUAL(producers_tell(p, 0, row, 3, NOW + PRODUCER_EXPIRES_NS), 1);
	CU_ASSERT(row[0].id == 5 && row[0].last_sequence == 29);
	CU_ASSERT_EQUAL(producers_tell(p, 2, row, 3, NOW), 0);
	producers_close(p);
}

static void
a_full_table_forgets_who_appended_the_longest_ago(void)
{
	open_table(4);
	for (int64_t id = 1; id <= 4; id++)
		producers_stored(p, (unsigned)id % 2, id, 0, 0, 9, id, 0, NOW);
	producers_stored(p, 1, 1, 0, 10, 19, 9, 0, NOW); /* 1 is young again: 2 is the oldest */
	producers_stored(p, 0, 8, 0, 0, 9, 50, 0, NOW);
	CU_ASSERT_EQUAL(judge(0, 2, 0, 0, 9, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(1, 1, 0, 10, 19, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(judge(1, 3, 0, 0, 9, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(judge(0, 4, 0, 0, 9, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(judge(0, 8, 0, 0, 9, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(producers_count(p, 0), 2);
	CU_ASSERT_EQUAL(producers_count(p, 1), 2);
	/* Many more than fit: the newest four are there, no other. */
	for (int64_t id = 100; id < 10000; id++)
		producers_stored(p, (unsigned)id % 4, id, 0, 0, 9, id, 0, NOW);
	for (int64_t id = 9900; id < 10000; id++)
		CU_ASSERT_EQUAL(judge((unsigned)id % 4, id, 0, 0, 9, true),
			id >= 9996 ? PRODUCER_DUPLICATE : PRODUCER_NEXT);
	CU_ASSERT_EQUAL(producers_count(p, 0) + producers_count(p, 1) + producers_count(p, 2) +
				producers_count(p, 3),
		4);
	producers_close(p);
}

/* Who stored nothing is in no count, list or snapshot, leaves with the partition, and is kept for
 * minutes, in no more places than the others. */
static void
who_had_a_batch_given_up_is_no_producer_to_others(void)
{
	struct storage_producer row[4];
	uint8_t bytes[PRODUCER_SNAPSHOT_BYTES(4)];
	int64_t at;

	open_table(4);
	for (int64_t id = 1; id <= 3; id++)
		producers_given_up(p, 0, id, 0, 10, NOW);
	store(8, 0, 0, 9, 100);
	CU_ASSERT_EQUAL(producers_count(p, 0), 1);
	CU_ASSERT_EQUAL(producers_tell(p, 0, row, 4, NOW), 1);
	CU_ASSERT_EQUAL(row[0].id, 8);
	CU_ASSERT_EQUAL(producers_put(p, 0, bytes, PRODUCER_SNAPSHOT_BYTES(1)), PRODUCER_SNAPSHOT_BYTES(1));
	CU_ASSERT_EQUAL(get_be64(bytes + 10), 8);
	/* A fifth takes the place of the oldest; 1 came again meanwhile. */
	producers_given_up(p, 0, 1, 0, 10, NOW);
	producers_given_up(p, 0, 9, 0, 10, NOW);
	CU_ASSERT_EQUAL(judge(0, 2, 0, 20, 29, false), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(0, 1, 0, 20, 29, false), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(producers_judge(p, 0, 1, 0, 20, 29, false, NOW + PRODUCER_GIVEN_UP_NS - 1, &at), PRODUCER_AHEAD);
	CU_ASSERT_EQUAL(producers_judge(p, 0, 1, 0, 20, 29, false, NOW + PRODUCER_GIVEN_UP_NS, &at), PRODUCER_NEXT);
	/* What it stored a day ago says nothing any more. */
	CU_ASSERT_EQUAL(judge(0, 8, 0, 20, 29, false), PRODUCER_AHEAD);
	producers_given_up(p, 0, 8, 0, 20, NOW + PRODUCER_EXPIRES_NS);
	CU_ASSERT_EQUAL(producers_count(p, 0), 0);
	CU_ASSERT_EQUAL(producers_judge(p, 0, 8, 0, 20, 29, false, NOW + PRODUCER_EXPIRES_NS, &at), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(producers_judge(p, 0, 8, 0, 30, 39, false, NOW + PRODUCER_EXPIRES_NS, &at), PRODUCER_AHEAD);
	store(1, 0, 10, 19, 200);
	CU_ASSERT_EQUAL(producers_count(p, 0), 1);
	producers_forget(p, 0);
	CU_ASSERT_EQUAL(producers_count(p, 0), 0);
	CU_ASSERT_EQUAL(judge(0, 9, 0, 20, 29, false), PRODUCER_NEXT);
	producers_close(p);
}

static void
forgetting_a_partition_leaves_the_others(void)
{
	open_table(16);
	for (int64_t id = 1; id <= 8; id++)
		producers_stored(p, (unsigned)id % 2, id, 0, 0, 9, id, 0, NOW);
	producers_forget(p, 1);
	CU_ASSERT_EQUAL(producers_count(p, 1), 0);
	CU_ASSERT_EQUAL(producers_count(p, 0), 4);
	for (int64_t id = 1; id <= 8; id++)
		CU_ASSERT_EQUAL(judge((unsigned)id % 2, id, 0, 0, 9, true),
			id % 2 ? PRODUCER_NEXT : PRODUCER_DUPLICATE);
	producers_close(p);
}

/* ---- Snapshot ----------------------------------------------------------------------------- */

static uint8_t snap[PRODUCER_SNAPSHOT_BYTES(16)];
static uint32_t snap_length;

static void
snapshot_of_two(void)
{
	seven_batches();
	store(INT64_C(0x0102030405060708), 1, INT32_MAX - 1, 1, 500); /* wraps: 4 records */
	snap_length = producers_put(p, 0, snap, sizeof(snap));
	producers_seal_snapshot(snap, snap_length);
	producers_close(p);
}

static void
a_snapshot_has_kafkas_bytes(void)
{
	const uint8_t *e = snap + 10;

	snapshot_of_two();
	CU_ASSERT_EQUAL(snap_length, 10 + 2 * 46 + 2 * 4 + 2 * 48);
	CU_ASSERT_EQUAL(get_be16(snap), 1);
	CU_ASSERT_EQUAL(get_be32(snap + 2), crc32c(snap + 6, snap_length - 6));
	CU_ASSERT_EQUAL(get_be32(snap + 6), 2);
	CU_ASSERT_EQUAL(get_be64(e), 0x0102030405060708);
	CU_ASSERT_EQUAL(get_be16(e + 8), 1);
	CU_ASSERT_EQUAL(get_be32(e + 10), 1);          /* last sequence */
	CU_ASSERT_EQUAL(get_be64(e + 14), 503);        /* last offset */
	CU_ASSERT_EQUAL(get_be32(e + 22), 3);          /* offset delta */
	CU_ASSERT_EQUAL(get_be64(e + 26), 1500);       /* its largest timestamp */
	CU_ASSERT_EQUAL(get_be32(e + 34), 0xffffffff); /* coordinator epoch */
	CU_ASSERT_EQUAL(get_be64(e + 38), UINT64_MAX); /* first offset of its transaction */
	e += 46;
	CU_ASSERT_EQUAL(get_be64(e), 5);
	CU_ASSERT_EQUAL(get_be32(e + 10), 169);
	CU_ASSERT_EQUAL(get_be64(e + 14), 1069);
	/* Behind what Kafka reads: where the proven run of each begins. */
	CU_ASSERT_EQUAL(get_be32(e + 46), INT32_MAX - 1);
	CU_ASSERT_EQUAL(get_be32(e + 50), 100);
	/* And the batches before the newest, of which the first producer has none. */
	for (unsigned k = 0; k < 4; k++) {
		CU_ASSERT_EQUAL(get_be64(e + 54 + k * 12), UINT64_MAX);
		CU_ASSERT_EQUAL(get_be32(e + 62 + k * 12), UINT32_MAX);
		CU_ASSERT_EQUAL(get_be64(e + 102 + k * 12), 1050 - 10 * k);
		CU_ASSERT_EQUAL(get_be32(e + 110 + k * 12), 150 - 10 * k);
	}
}

/* Every question of a few sequences around the batches is answered as by the table itself. */
static void
a_loaded_snapshot_judges_as_the_table_did(void)
{
	enum producer_verdict was[100][4];
	int64_t at[100][4];

	for (unsigned load = 0; load < 2; load++) {
		snapshot_of_two();
		open_table(16);
		if (load)
			CU_ASSERT_TRUE(producers_load(p, 0, snap, snap_length, NOW));
		for (int i = 0; i < 7 && !load; i++)
			store(5, 3, 100 + 10 * i, 109 + 10 * i, 1000 + 10 * i);
		for (int32_t first = 85; first < 185; first++) {
			for (unsigned k = 0; k < 4; k++) {
				const enum producer_verdict v = judge(0, 5, (int16_t)(2 + k % 2), first,
					first + (k < 2 ? 9 : 4), k % 2);

				if (!load) {
					was[first - 85][k] = v;
					at[first - 85][k] = offset;
				}
				CU_ASSERT_EQUAL(v, was[first - 85][k]);
				CU_ASSERT_EQUAL(offset, at[first - 85][k]);
			}
		}
		producers_close(p);
	}
}

/* Batches that do not end where the next begins, or overlap in the log, were in no table. */
static void
kept_batches_that_no_table_can_have_are_not_believed(void)
{
	static const struct {
		uint64_t offset;
		uint32_t first;
	} wrong[] = {{1051, 150}, {1050, 160}, {1050, 161}, {1050, UINT32_MAX}, {UINT64_MAX, 150},
		{1050, 0x60000000}};
	uint8_t *kept = snap + 10 + 2 * 50 + 48;

	for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
		snapshot_of_two();
		put_be64(kept, wrong[i].offset);
		put_be32(kept + 8, wrong[i].first);
		producers_seal_snapshot(snap, snap_length);
		open_table(16);
		CU_ASSERT_TRUE(producers_load(p, 2, snap, snap_length, NOW));
		CU_ASSERT_EQUAL(judge(2, 5, 3, 160, 169, true), PRODUCER_DUPLICATE);
		CU_ASSERT_EQUAL(judge(2, 5, 3, 150, 159, true), PRODUCER_LONG_AGO);
		CU_ASSERT_EQUAL(judge(2, 5, 3, 140, 149, true), PRODUCER_LONG_AGO);
		producers_close(p);
	}
}

static void
a_snapshot_of_format_1_knows_the_last_batch_of_each(void)
{
	snapshot_of_two();
	snap_length = 10 + 2 * 50;
	producers_seal_snapshot(snap, snap_length);
	open_table(16);
	CU_ASSERT_TRUE(producers_load(p, 2, snap, snap_length, NOW));
	CU_ASSERT_EQUAL(producers_count(p, 2), 2);
	CU_ASSERT_EQUAL(judge(2, 5, 3, 160, 169, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(offset, 1060);
	CU_ASSERT_EQUAL(judge(2, 5, 3, 170, 179, true), PRODUCER_NEXT);
	CU_ASSERT_EQUAL(judge(2, 5, 3, 100, 109, true), PRODUCER_LONG_AGO); /* its offset is gone, */
	CU_ASSERT_EQUAL(judge(2, 5, 3, 90, 99, true), PRODUCER_UNPROVEN);   /* not its proof */
	CU_ASSERT_EQUAL(judge(2, 5, 2, 170, 179, true), PRODUCER_FENCED);
	CU_ASSERT_EQUAL(
		judge(2, 0x0102030405060708, 1, INT32_MAX - 1, 1, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(offset, 500);
	CU_ASSERT_EQUAL(judge(2, 0x0102030405060708, 1, 2, 2, true), PRODUCER_NEXT);
	producers_close(p);
}

static void
a_snapshot_of_kafka_proves_the_last_batch_alone(void)
{
	snapshot_of_two();
	snap_length = 10 + 2 * 46;
	producers_seal_snapshot(snap, snap_length);
	open_table(16);
	CU_ASSERT_TRUE(producers_load(p, 2, snap, snap_length, NOW));
	CU_ASSERT_EQUAL(judge(2, 5, 3, 160, 169, true), PRODUCER_DUPLICATE);
	CU_ASSERT_EQUAL(judge(2, 5, 3, 150, 159, true), PRODUCER_UNPROVEN);
	producers_close(p);
}

static void
a_run_that_no_table_can_have_is_not_believed(void)
{
	static const uint32_t run[] = {165, 170, 171, 0x60000000, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_LENGTH(run); i++) {
		snapshot_of_two();
		snap_length = 10 + 2 * 50; /* as of format 1: with the batches, those are the run */
		put_be32(snap + 10 + 2 * 46 + 4, run[i]);
		producers_seal_snapshot(snap, snap_length);
		open_table(16);
		CU_ASSERT_TRUE(producers_load(p, 2, snap, snap_length, NOW));
		CU_ASSERT_EQUAL(judge(2, 5, 3, 160, 169, true), PRODUCER_DUPLICATE);
		CU_ASSERT_EQUAL(judge(2, 5, 3, 150, 159, true), PRODUCER_UNPROVEN);
		producers_close(p);
	}
}

static void
a_snapshot_that_does_not_fit_its_room_is_not_written(void)
{
	seven_batches();
	memset(snap, 0xaa, sizeof(snap));
	CU_ASSERT_EQUAL(producers_put(p, 0, snap, PRODUCER_SNAPSHOT_BYTES(1) - 1), 0);
	CU_ASSERT_EQUAL(snap[0], 0xaa);
	CU_ASSERT_EQUAL(producers_put(p, 0, snap, PRODUCER_SNAPSHOT_BYTES(1)), 108);
	CU_ASSERT_EQUAL(producers_put(p, 3, snap, PRODUCER_SNAPSHOT_BYTES(0)), 10);
	producers_close(p);
}

static void
a_damaged_snapshot_is_refused_whole(void)
{
	snapshot_of_two();
	open_table(16);
	for (uint32_t i = 0; i < snap_length * 8; i++) {
		snap[i / 8] ^= (uint8_t)(1 << i % 8);
		CU_ASSERT_FALSE(producers_load(p, 2, snap, snap_length, NOW));
		snap[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (uint32_t n = 0; n < snap_length; n++)
		CU_ASSERT_FALSE(producers_load(p, 2, snap, n, NOW));
	CU_ASSERT_FALSE(producers_load(p, 2, snap, snap_length + 46, NOW));
	CU_ASSERT_EQUAL(producers_count(p, 2), 0);
	/* A right checksum over a count that is none. */
	put_be32(snap + 6, 0x80000002);
	producers_seal_snapshot(snap, snap_length);
	CU_ASSERT_FALSE(producers_load(p, 2, snap, snap_length, NOW));
	producers_close(p);
}

/* Kafka's entry of a producer that began a transaction and stored nothing. */
static void
an_entry_without_a_batch_is_passed_over(void)
{
	snapshot_of_two();
	open_table(16);
	put_be32(snap + 10 + 10, 0xffffffff);
	put_be64(snap + 10 + 14, UINT64_MAX);
	producers_seal_snapshot(snap, snap_length);
	CU_ASSERT_TRUE(producers_load(p, 2, snap, snap_length, NOW));
	CU_ASSERT_EQUAL(producers_count(p, 2), 1);
	CU_ASSERT_EQUAL(judge(2, 5, 3, 160, 169, true), PRODUCER_DUPLICATE);
	producers_close(p);
}

static const struct ut_test tests[] = {
	UT("verdicts", the_verdict_table_holds_row_by_row),
	UT("verdicts", an_unknown_producer_begins_at_0_over_udp_and_anywhere_over_tcp),
	UT("verdicts", over_tcp_nothing_overtakes_a_batch_given_up),
	UT("verdicts", a_run_that_began_in_the_middle_proves_nothing_below_it),
	UT("verdicts", a_newer_epoch_forgets_the_older_ones_batches),
	UT("verdicts", sequences_wrap_from_the_largest_to_0),
	UT("verdicts", the_proven_run_stays_below_half_the_circle),
	UT("table", a_producer_expires_24_hours_after_its_last_append),
	UT("table", the_producers_of_a_partition_are_told_with_their_last_batch),
	UT("table", a_full_table_forgets_who_appended_the_longest_ago),
	UT("table", who_had_a_batch_given_up_is_no_producer_to_others),
	UT("table", forgetting_a_partition_leaves_the_others),
	UT("snapshot", a_snapshot_has_kafkas_bytes),
	UT("snapshot", a_loaded_snapshot_judges_as_the_table_did),
	UT("snapshot", kept_batches_that_no_table_can_have_are_not_believed),
	UT("snapshot", a_snapshot_of_format_1_knows_the_last_batch_of_each),
	UT("snapshot", a_snapshot_of_kafka_proves_the_last_batch_alone),
	UT("snapshot", a_run_that_no_table_can_have_is_not_believed),
	UT("snapshot", a_snapshot_that_does_not_fit_its_room_is_not_written),
	UT("snapshot", an_entry_without_a_batch_is_passed_over),
	UT("snapshot", a_damaged_snapshot_is_refused_whole),
};

UT_MAIN(tests)
