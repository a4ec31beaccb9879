/* SPDX-License-Identifier: MIT
 * cold_ut.c - what the page cache lacks: the request that needs it waits, control does not. The reads are made by
 * real threads; the clock of the test stands still meanwhile. */
#include "tests/unit/control/world.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH 1000

static struct world w;
static struct topic *t;
static int fd;

static void
begin(void)
{
	world_open(&w, NULL);
	t = world_topic(&w, "t", 2);
	fd = world_connect(&w);
}

/* All that was missing is there, and no thread reads. */
static void
disk_is_done(void)
{
	world_run(&w);
	for (unsigned i = 0; i < 5000 && (fake.cold > 0 || w.ctl->read_ahead.outstanding > 0); i++) {
		(void)usleep(1000);
		world_run(&w);
	}
}

static void
end(void)
{
	(void)close(fd);
	disk_is_done();
	CU_ASSERT_EQUAL(w.ctl->read_ahead.outstanding, 0);
	CU_ASSERT_EQUAL(w.ctl->conn_count, 0);
	CU_ASSERT_EQUAL(fake.pinned, 0);
	read_ahead_close(w.ctl);
	world_close(&w);
}

/* The answer, whenever the threads are done. */
static struct reader
answer(void)
{
	struct reader r;
	bool closed;

	for (unsigned i = 0; i < 5000; i++) {
		world_run(&w);
		r = world_answer(&w, fd, &closed);
		if (r.p || closed)
			return r;
		(void)usleep(1000);
	}
	return r;
}

/* Version 4, both partitions from the beginning. */
static void
fetch(int32_t max_wait_ms, int32_t min_bytes)
{
	struct writer *q = world_request(&w, API_FETCH, 4);

	kw_i32(q, -1);
	kw_i32(q, max_wait_ms);
	kw_i32(q, min_bytes);
	kw_i32(q, 1 << 20);
	kw_i8(q, 0);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 2);
	for (int32_t i = 0; i < 2; i++) {
		kw_i32(q, i);
		kw_i64(q, 0);
		kw_i32(q, 1 << 20);
	}
}

/* Bytes of the two partitions. */
static void
fetched(struct reader r, uint32_t bytes[2])
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 2, 1), 2);
	for (unsigned i = 0; i < 2; i++) {
		(void)kr_i32(&r);
		CU_ASSERT_EQUAL(kr_i16(&r), 0);
		(void)kr_take(&r, 16);
		CU_ASSERT_EQUAL(kr_i32(&r), -1);
		bytes[i] = kr_bytes(&r).len;
	}
	CU_ASSERT_FALSE(r.bad);
}

static void
a_fetch_of_what_lies_on_disk_waits_for_it_whatever_its_max_wait(void)
{
	uint32_t bytes[2];

	begin();
	fake_put(t->part->part[0], 1, BATCH);
	fake.cold = 3; /* one read after the other finds something missing */
	fetch(0, 1);
	world_send(&w, fd);
	fetched(answer(), bytes);
	CU_ASSERT_EQUAL(bytes[0], BATCH);
	CU_ASSERT_EQUAL(fake.cold, 0);
	CU_ASSERT_EQUAL(counter_read(&w.count.cold_reads), 3);
	CU_ASSERT_EQUAL(counter_read(&w.count.fetches), 1);
	end();
}

static void
what_is_in_memory_is_not_kept_back_by_what_is_not(void)
{
	uint32_t bytes[2];

	begin();
	fake_put(t->part->part[0], 1, BATCH);
	fake_put(t->part->part[1], 1, BATCH);
	fake.cold = 1;
	fetch(500, 1);
	fetched(world_ask(&w, fd), bytes);
	CU_ASSERT_EQUAL(bytes[0], 0);
	CU_ASSERT_EQUAL(bytes[1], BATCH);
	CU_ASSERT_EQUAL(counter_read(&w.count.cold_reads), 1); /* the next fetch finds it */
	end();
}

static void
min_bytes_that_lie_on_disk_are_enough(void)
{
	uint32_t bytes[2];

	begin();
	fake_put(t->part->part[0], 1, BATCH);
	fake.cold = 2;
	fetch(500, BATCH);
	world_send(&w, fd);
	fetched(answer(), bytes);
	CU_ASSERT_EQUAL(bytes[0], BATCH);
	end();
}

static void
min_bytes_that_are_not_there_are_waited_for_after_the_disk_has_been_asked(void)
{
	struct reader r;
	uint32_t bytes[2];
	bool closed;

	begin();
	fake_put(t->part->part[0], 1, BATCH);
	fake.cold = 2;
	fetch(500, 2 * BATCH);
	world_send(&w, fd);
	disk_is_done();
	world_pass(&w, 10 * NS_PER_MS);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NULL(r.p);
	fake_put(t->part->part[0], 1, BATCH);
	w.ctl->moved = true;
	world_pass(&w, 2 * NS_PER_MS);
	r = world_answer(&w, fd, &closed);
	fetched(r, bytes);
	CU_ASSERT_EQUAL(bytes[0], 2 * BATCH);
	fake.cold = 2;
	fetch(500, 3 * BATCH);
	world_send(&w, fd);
	disk_is_done();
	world_pass(&w, 501 * NS_PER_MS); /* max_wait, not what the disk may take */
	fetched(world_answer(&w, fd, &closed), bytes);
	CU_ASSERT_EQUAL(bytes[0], 2 * BATCH);
	end();
}

static void
a_client_that_goes_while_the_disk_reads_for_it_is_forgotten(void)
{
	begin();
	fake_put(t->part->part[0], 1, BATCH);
	fake.cold = 1;
	fetch(500, 1);
	world_send(&w, fd);
	end();
}

/* Version 7: partition 0 from `offset` on, or (-1) nothing new. */
static void
in_session(int at, int32_t session, int32_t epoch, int64_t offset)
{
	struct writer *q = world_request(&w, API_FETCH, 7);

	kw_i32(q, -1);
	kw_i32(q, 500);
	kw_i32(q, 1);
	kw_i32(q, 1 << 20);
	kw_i8(q, 0);
	kw_i32(q, session);
	kw_i32(q, epoch);
	kw_array(q, offset < 0 ? 0 : 1);
	if (offset >= 0) {
		kw_string(q, "t");
		kw_array(q, 1);
		kw_i32(q, 0);
		kw_i64(q, offset);
		kw_i64(q, -1);
		kw_i32(q, 1 << 20);
	}
	kw_array(q, 0);
	world_send(&w, at);
}

static void
a_request_that_is_overtaken_waits_for_the_disk_no_more(void)
{
	struct reader r;
	int32_t id;
	int other;

	begin();
	other = world_connect(&w);
	fake_put(t->part->part[0], 1, BATCH);
	in_session(fd, 0, 0, 0);
	r = answer();
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	id = kr_i32(&r);
	fake.cold = UINT_MAX; /* whatever is read gives up again */
	in_session(fd, id, 1, -1);
	CU_ASSERT_TRUE(w.ctl->conns->next->cold_waits);
	in_session(other, id, 2, -1);
	world_pass(&w, 2 * NS_PER_MS);
	r = answer();
	(void)kr_i32(&r);
	CU_ASSERT_EQUAL(kr_i16(&r), KIRA_E_INVALID_FETCH_SESSION_EPOCH);
	CU_ASSERT_FALSE(w.ctl->conns->next->cold_waits);
	fake.cold = 0;
	(void)close(other);
	end();
}

static void
a_look_up_by_time_waits_and_the_others_of_its_request_are_kept(void)
{
	struct writer *q;
	struct reader r;

	begin();
	fake_put(t->part->part[0], 1, BATCH);
	fake_put(t->part->part[1], 1, BATCH);
	fake.warm = 1;
	fake.cold = 2;
	q = world_request(&w, API_LIST_OFFSETS, 1);
	kw_i32(q, -1);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 3);
	for (int32_t i = 0; i < 3; i++) {
		kw_i32(q, i % 2);
		kw_i64(q, 0);
	}
	world_send(&w, fd);
	r = answer();
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 3, 1), 3);
	for (int32_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(kr_i32(&r), i % 2);
		CU_ASSERT_EQUAL(kr_i16(&r), i < 2 ? 0 : KIRA_E_INVALID_REQUEST); /* named twice */
		(void)kr_i64(&r);
		CU_ASSERT_EQUAL(kr_i64(&r), i < 2 ? 0 : -1);
	}
	CU_ASSERT_EQUAL(counter_read(&w.count.cold_reads), 2);
	CU_ASSERT_EQUAL(fake.find_times, 4); /* the second three times, the first once; named twice is not looked up */
	end();
}

static void
a_range_that_left_the_cache_is_read_in_before_it_is_sent(void)
{
	uint32_t bytes[2];
	char name[] = "/var/tmp/kira-cold-XXXXXX";
	const int file = mkstemp(name);
	bool was_cold;

	CU_ASSERT_TRUE_FATAL(file >= 0);
	(void)unlink(name);
	begin();
	fake_put(t->part->part[0], 1, 200000);
	fake_move(t->part->part[0], file);
	CU_ASSERT_EQUAL(fsync(file), 0);
	(void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
	was_cold = !read_ahead_cached(file, 0, 200000);
	fetch(500, 1);
	world_send(&w, fd);
	fetched(answer(), bytes);
	CU_ASSERT_EQUAL(bytes[0], 200000);
	CU_ASSERT_TRUE(read_ahead_cached(file, 0, 200000));
	CU_ASSERT_EQUAL(counter_read(&w.count.cold_reads), was_cold); /* in memory nothing ever is */
	CU_ASSERT_EQUAL(counter_read(&w.count.sendfile_bytes), 200000);
	end();
}

static const struct ut_test tests[] = {
	UT("fetch", a_fetch_of_what_lies_on_disk_waits_for_it_whatever_its_max_wait),
	UT("fetch", what_is_in_memory_is_not_kept_back_by_what_is_not),
	UT("fetch", min_bytes_that_lie_on_disk_are_enough),
	UT("fetch", min_bytes_that_are_not_there_are_waited_for_after_the_disk_has_been_asked),
	UT("fetch", a_client_that_goes_while_the_disk_reads_for_it_is_forgotten),
	UT("fetch", a_request_that_is_overtaken_waits_for_the_disk_no_more),
	UT("send", a_range_that_left_the_cache_is_read_in_before_it_is_sent),
	UT("times", a_look_up_by_time_waits_and_the_others_of_its_request_are_kept),
};

UT_MAIN(tests)
