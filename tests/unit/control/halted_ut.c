/* SPDX-License-Identifier: MIT
 * halted_ut.c - the end of a halted partition is not told as if it were the log's: consumers that have read further,
 * and those that would begin at the end, wait; what is whole is served. */
#include "tests/unit/control/world.h"

#include <kira/errors.h>

#include <unistd.h>

#define RECORDS 4
#define BATCH   1000

static struct world w;
static struct partition *part;
static int fd;

static void
begin(enum partition_state state)
{
	world_open(&w, NULL);
	part = world_topic(&w, "t", 1)->part->part[0];
	fake_put(part, RECORDS, BATCH);
	fake_set_state(part, state);
	fd = world_connect(&w);
}

static void
end(void)
{
	(void)close(fd);
	world_close(&w);
}

/* The answer stands at the partition's error. */
static void
skip_to_error(struct reader *r)
{
	CU_ASSERT_EQUAL(kr_array(r, 1, 1), 1);
	(void)kr_string(r);
	CU_ASSERT_EQUAL(kr_array(r, 1, 1), 1);
	CU_ASSERT_EQUAL(kr_i32(r), 0);
}

/* Version 12, with the epoch of the last record that was fetched; -1: without. */
static int16_t
fetch(int64_t offset, int32_t last_epoch)
{
	struct writer *q = world_request(&w, API_FETCH, 12);
	struct reader r;

	kw_i32(q, -1);
	kw_i32(q, 500);
	kw_i32(q, 1);
	kw_i32(q, 1 << 20);
	kw_i8(q, 0);
	kw_i32(q, 0);
	kw_i32(q, -1);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 1);
	kw_i32(q, 0);
	kw_i32(q, -1);
	kw_i64(q, offset);
	kw_i32(q, last_epoch);
	kw_i64(q, -1);
	kw_i32(q, 1 << 20);
	kw_tags(q);
	kw_tags(q);
	kw_array(q, 0);
	kw_string(q, "");
	kw_tags(q);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	(void)kr_i32(&r);
	skip_to_error(&r);
	return kr_i16(&r);
}

/* Of no replica, partition 0 of the topic alone. */
static void
name_partition(struct writer *q)
{
	kw_i32(q, -1);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 1);
	kw_i32(q, 0);
}

static int16_t
list(int64_t timestamp, int64_t *offset)
{
	struct writer *q = world_request(&w, API_LIST_OFFSETS, 1);
	struct reader r;
	int16_t error;

	name_partition(q);
	kw_i64(q, timestamp);
	r = world_ask(&w, fd);
	skip_to_error(&r);
	error = kr_i16(&r);
	(void)kr_i64(&r);
	*offset = kr_i64(&r);
	return error;
}

static int16_t
epoch_end(int64_t *offset)
{
	struct writer *q = world_request(&w, API_OFFSET_FOR_LEADER_EPOCH, 3);
	struct reader r;
	int16_t error;

	name_partition(q);
	kw_i32(q, -1);
	kw_i32(q, 0);
	r = world_ask(&w, fd);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	error = kr_i16(&r);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	(void)kr_i32(&r);
	*offset = kr_i64(&r);
	return error;
}

static void
a_fetch_behind_its_end_waits_for_the_repair(void)
{
	begin(PART_OK);
	CU_ASSERT_EQUAL(fetch(RECORDS + 1, -1), KIRA_E_OFFSET_OUT_OF_RANGE);
	fake_set_state(part, PART_HALTED);
	CU_ASSERT_EQUAL(fetch(0, -1), 0);
	CU_ASSERT_EQUAL(fetch(RECORDS, -1), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(fetch(RECORDS + 1, -1), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(fetch(RECORDS + 1, 0), KIRA_E_KAFKA_STORAGE_ERROR);
	end();
}

static void
its_latest_offset_is_not_told(void)
{
	int64_t offset;

	begin(PART_FAILED);
	CU_ASSERT_EQUAL(list(-1, &offset), 0);
	CU_ASSERT_EQUAL(offset, RECORDS);
	fake_set_state(part, PART_HALTED);
	CU_ASSERT_EQUAL(list(-1, &offset), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(offset, -1);
	CU_ASSERT_EQUAL(list(-2, &offset), 0);
	CU_ASSERT_EQUAL(offset, 0);
	end();
}

static void
nor_the_end_of_its_last_epoch(void)
{
	int64_t offset;

	begin(PART_OK);
	CU_ASSERT_EQUAL(epoch_end(&offset), 0);
	CU_ASSERT_EQUAL(offset, RECORDS);
	fake_set_state(part, PART_HALTED);
	CU_ASSERT_EQUAL(epoch_end(&offset), KIRA_E_KAFKA_STORAGE_ERROR);
	CU_ASSERT_EQUAL(offset, -1);
	end();
}

static const struct ut_test tests[] = {
	UT("halted", a_fetch_behind_its_end_waits_for_the_repair),
	UT("halted", its_latest_offset_is_not_told),
	UT("halted", nor_the_end_of_its_last_epoch),
};

UT_MAIN(tests)
