/* SPDX-License-Identifier: MIT
 * produce_inside_ut.c - Produce where the records are looked at before the append: a largest timestamp that
 * was left out, and topics of kira.validate=deep. */
#include "tests/unit/control/world.h"
#include "tests/unit/storage/make_batch.h"

#include <kira/errors.h>

#include <unistd.h>

#define T BATCH_WALL_MS

static struct world w;
static struct topic *t;
static int fd;
static uint8_t b[1024], before[1024];
static uint32_t length, before_length;

struct part {
	int16_t error;
	int32_t record_errors, record;
	struct view why, message;
};

static void
begin(void)
{
	world_open(&w, NULL);
	t = world_topic(&w, "t", 1);
	w.lazy = true; /* so that the batch can be seen as the lcore would see it */
	fd = world_connect(&w);
	length = make_batch(b, (struct batch_of){.count = 3, .value = 10, .step_ms = 7});
	before_length = 0;
}

static void
end(void)
{
	(void)close(fd);
	world_close(&w);
}

/* Sends what lies in b, and says how it reached the lcore; NULL: it did not. */
static const struct store_msg *
send_batch(int16_t version)
{
	struct writer *q = world_request(&w, API_PRODUCE, version);

	kw_string(q, NULL);
	kw_i16(q, 1);
	kw_i32(q, 1000);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, 1);
	kw_i32(q, 0);
	kw_bytes(q, b, length);
	kw_tags(q);
	kw_tags(q);
	kw_tags(q);
	world_send(&w, fd);
	return lcores.queued ? lcores.queue[0] : NULL;
}

static struct part
answer(int16_t version)
{
	struct part p = {0};
	struct reader r;
	bool closed;

	(void)lcores_store_turn();
	world_run(&w);
	r = world_answer(&w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_i32(&r);
	p.error = kr_i16(&r);
	(void)kr_take(&r, 8 + 8 + (version >= 5 ? 8 : 0));
	if (version >= 8) {
		p.record_errors = kr_array(&r, 10, 1);
		if (p.record_errors > 0) {
			p.record = kr_i32(&r);
			p.why = kr_string(&r);
			kr_tags(&r);
		}
		p.message = kr_string(&r);
	}
	kr_tags(&r); /* of the partition, the topic; then the throttle time, and those of the body */
	kr_tags(&r);
	CU_ASSERT_EQUAL(kr_i32(&r), 0);
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
	return p;
}

static void
set_max(int64_t ms)
{
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)ms);
	(void)seal_batch(b, length);
}

static bool
crc_right(const uint8_t *batch)
{
	return crc32c(batch + RB_ATTRIBUTES, (size_t)rb_total(batch) - RB_ATTRIBUTES) == rb_crc(batch);
}

/* The third record claims the second one's offset. */
static void
spoil(void)
{
	uint8_t *second = b + RB_HEADER + 1 + b[RB_HEADER] / 2;

	second[1 + second[0] / 2 + 3] = 1 << 1;
	(void)seal_batch(b, length);
}

static void
a_largest_timestamp_that_was_left_out_is_that_of_the_records(void)
{
	static const int64_t said[] = {-1, 0, T - 1, INT64_MIN};

	for (unsigned i = 0; i < 4; i++) {
		const struct store_msg *msg;

		begin();
		set_max(said[i]);
		msg = send_batch(3);
		CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
		CU_ASSERT_EQUAL(rb_max_timestamp(msg->batch), T + 14);
		CU_ASSERT_TRUE(crc_right(msg->batch));
		CU_ASSERT_EQUAL(msg->append_flags, APPEND_CHECKED);
		CU_ASSERT_EQUAL(answer(3).error, 0);
		end();
	}
}

/* Go's zero time is the year 1: a base below -1 and a maximum of -1. */
static void
minus_one_above_a_base_of_the_year_one_was_left_out_too(void)
{
	const struct store_msg *msg;

	begin();
	length = make_batch(b, (struct batch_of){.count = 2, .value = 9, .timestamp = -62135596800000, .step_ms = 3});
	set_max(-1);
	msg = send_batch(3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	CU_ASSERT_EQUAL(rb_max_timestamp(msg->batch), -62135596800000 + 3);
	CU_ASSERT_EQUAL(answer(3).error, 0);
	end();
}

static void
one_that_no_record_has_is_believed_and_records_are_not_looked_at(void)
{
	const struct store_msg *msg;

	begin();
	set_max(T + 999);
	spoil();
	msg = send_batch(3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	CU_ASSERT_EQUAL(rb_max_timestamp(msg->batch), T + 999);
	CU_ASSERT_EQUAL(msg->append_flags, 0);
	CU_ASSERT_EQUAL(answer(3).error, 0);
	end();
	begin();
	t->cfg.log.log_append_time = true; /* the storage lcore stamps it */
	set_max(-1);
	msg = send_batch(3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	CU_ASSERT_EQUAL(rb_max_timestamp(msg->batch), -1);
	CU_ASSERT_EQUAL(msg->append_flags, 0);
	CU_ASSERT_EQUAL(answer(3).error, 0);
	end();
}

static void
a_wrong_checksum_or_what_is_no_record_is_not_mended(void)
{
	begin();
	set_max(-1);
	b[RB_CRC] ^= 1;
	CU_ASSERT_PTR_NULL(send_batch(3));
	CU_ASSERT_EQUAL(answer(3).error, KIRA_E_CORRUPT_MESSAGE);
	end();
	begin();
	set_max(-1);
	put_be16(b + RB_ATTRIBUTES, 4); /* not Zstandard */
	(void)seal_batch(b, length);
	CU_ASSERT_PTR_NULL(send_batch(7));
	CU_ASSERT_EQUAL(answer(7).error, KIRA_E_INVALID_RECORD);
	end();
}

static void
a_deep_topic_names_the_record_that_is_wrong(void)
{
	static const int16_t versions[] = {3, 7, 8, 9, 11};

	for (unsigned i = 0; i < 5; i++) {
		const int16_t v = versions[i];
		struct part p;

		begin();
		t->cfg.validate = VALIDATE_DEEP;
		spoil();
		CU_ASSERT_PTR_NULL(send_batch(v));
		p = answer(v);
		CU_ASSERT_EQUAL(p.error, KIRA_E_INVALID_RECORD);
		CU_ASSERT_EQUAL(p.record_errors, v >= 8);
		if (v >= 8) {
			CU_ASSERT_EQUAL(p.record, 2);
			CU_ASSERT_TRUE(p.why.len > 0 && p.message.len > 0);
		}
		end();
	}
}

static void
a_deep_topic_sets_a_false_largest_timestamp_right(void)
{
	const struct store_msg *msg;

	begin();
	t->cfg.validate = VALIDATE_DEEP;
	set_max(T + 999);
	msg = send_batch(3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	CU_ASSERT_EQUAL(rb_max_timestamp(msg->batch), T + 14);
	CU_ASSERT_TRUE(crc_right(msg->batch));
	CU_ASSERT_EQUAL(answer(3).error, 0);
	end();
	begin();
	t->cfg.validate = VALIDATE_DEEP;
	t->cfg.log.log_append_time = true;
	set_max(-1);
	msg = send_batch(3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	CU_ASSERT_EQUAL(rb_max_timestamp(msg->batch), -1); /* looked at, and left to the storage lcore */
	CU_ASSERT_EQUAL(msg->append_flags, APPEND_CHECKED);
	CU_ASSERT_EQUAL(answer(3).error, 0);
	end();
}

/* b, as Snappy without compression: a length, one literal. */
static void
pack(void)
{
	uint8_t raw[64];
	const uint32_t n = length - RB_HEADER;

	CU_ASSERT_FATAL(n <= 60);
	memcpy(raw, b + RB_HEADER, n);
	b[RB_HEADER] = (uint8_t)n;
	b[RB_HEADER + 1] = (uint8_t)((n - 1) << 2);
	memcpy(b + RB_HEADER + 2, raw, n);
	put_be16(b + RB_ATTRIBUTES, 2);
	length = seal_batch(b, length + 2);
}

/* What lies in b, so many times; the first time what lies in before[], if anything does. */
static void
put_times(int to, int32_t parts)
{
	struct writer *q = world_request(&w, API_PRODUCE, 3);

	kw_string(q, NULL);
	kw_i16(q, 1);
	kw_i32(q, 1000);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, parts);
	for (int32_t i = 0; i < parts; i++) {
		kw_i32(q, 0);
		kw_bytes(q, i || !before_length ? b : before, i || !before_length ? length : before_length);
	}
	world_put(&w, to);
}

static void
put_list_offsets(int to, int32_t parts)
{
	struct writer *q = world_request(&w, API_LIST_OFFSETS, 1);

	kw_i32(q, -1);
	kw_array(q, 1);
	kw_string(q, "t");
	kw_array(q, parts);
	for (int32_t i = 0; i < parts; i++) {
		kw_i32(q, i);
		kw_i64(q, 1);
	}
	world_put(&w, to);
}

static void
pack_one(void)
{
	length = make_batch(b, (struct batch_of){.value = 10, .timestamp = T});
	pack();
	set_max(-1);
}

/* Batches of requests under way whose records were looked at, by now. */
static unsigned
looks(void)
{
	unsigned n = 0;

	for (const struct conn *c = w.ctl->conns; c; c = c->next) {
		const struct produce *pr = c->park_data;

		for (unsigned i = 0; c->park && c->rq.api->key == API_PRODUCE && i < pr->parts; i++)
			n += pr->part[i].looked;
	}
	return n;
}

static void
turns_until_looks(unsigned n)
{
	for (unsigned i = 0; looks() < n; i++) {
		CU_ASSERT_FATAL(i < 100);
		(void)world_turn(&w);
	}
}

static void
expect_sent(unsigned n)
{
	CU_ASSERT_EQUAL_FATAL(lcores.queued, n);
	for (unsigned i = 0; i < n; i++) {
		CU_ASSERT_EQUAL(rb_max_timestamp(lcores.queue[i]->batch), T);
		CU_ASSERT_TRUE(crc_right(lcores.queue[i]->batch));
		CU_ASSERT_EQUAL(lcores.queue[i]->append_flags, APPEND_CHECKED);
	}
}

/* Errors of the three parts, once the lcores have had what was sent. */
static void
expect_errors(int of, int16_t first, int16_t others)
{
	struct reader r;
	bool closed;

	(void)lcores_store_turn();
	world_run(&w);
	r = world_answer(&w, of, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), 1);
	(void)kr_string(&r);
	CU_ASSERT_EQUAL_FATAL(kr_array(&r, 3, 1), 3);
	for (int32_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(kr_i32(&r), 0);
		CU_ASSERT_EQUAL(kr_i16(&r), i ? others : first);
		(void)kr_take(&r, 8 + 8);
	}
	CU_ASSERT_FALSE(r.bad);
}

/* A few KiB may decompress to many MiB, for a second of work: never two of them in one turn. */
static void
one_compressed_batch_is_looked_at_per_turn_and_all_are_sent_together(void)
{
	int other;

	begin();
	other = world_connect(&w);
	pack_one();
	put_times(fd, 3);
	turns_until_looks(2);
	CU_ASSERT_EQUAL(looks(), 2);
	CU_ASSERT_EQUAL(lcores.queued, 0);
	(void)world_turn(&w);
	CU_ASSERT_EQUAL(looks(), 3);
	expect_sent(3);
	expect_errors(fd, 0, 0);
	/* A connection that goes meanwhile is no harm. */
	put_times(fd, 3);
	turns_until_looks(1);
	CU_ASSERT_EQUAL(w.ctl->looks.n, 1);
	world_reset(&w, fd);
	CU_ASSERT_EQUAL(w.ctl->looks.n, 0);
	CU_ASSERT_EQUAL(lcores.queued, 0);
	(void)close(other);
	world_close(&w);
}

static void
all_connections_stand_in_one_line_for_it_those_of_list_offsets_too(void)
{
	unsigned had = 0, work;
	int other, lists, quick;

	begin();
	other = world_connect(&w);
	lists = world_connect(&w);
	quick = world_connect(&w);
	pack_one();
	put_times(fd, 3);
	put_times(other, 3);
	put_list_offsets(lists, 1);
	do {
		work = world_turn(&w);
		CU_ASSERT_TRUE(looks() + fake.find_times <= had + 1);
		had = looks() + fake.find_times;
		if (had == 3)
			CU_ASSERT_EQUAL(fake.find_times, 1); /* each had its turn */
	} while (work > 0);
	CU_ASSERT_EQUAL(had, 7);
	expect_sent(6);
	(void)lcores_store_turn();
	/* What is small and not compressed stands behind nobody. */
	world_run(&w);
	put_times(fd, 3);
	turns_until_looks(1);
	length = make_batch(b, (struct batch_of){.value = 10, .timestamp = T});
	set_max(-1);
	put_times(quick, 1);
	turns_until_looks(2);
	CU_ASSERT_EQUAL(lcores.queued, 1);
	world_run(&w);
	expect_sent(4);
	(void)lcores_store_turn();
	world_run(&w);
	(void)close(quick);
	(void)close(lists);
	(void)close(other);
	end();
}

static void
a_topic_altered_or_deleted_between_two_turns_is_so_when_all_are_sent(void)
{
	/* The first needs no look when the request comes, and one when it is sent. The others had one. */
	begin();
	set_max(T + 999);
	spoil();
	memcpy(before, b, length);
	before_length = length;
	pack_one();
	put_times(fd, 3);
	turns_until_looks(1);
	t->cfg.validate = VALIDATE_DEEP;
	topics_grow(w.ctl, t, 2);
	world_run(&w);
	CU_ASSERT_EQUAL(t->partitions, 2);
	CU_ASSERT_EQUAL(looks(), 3);
	expect_sent(2);
	expect_errors(fd, KIRA_E_INVALID_RECORD, 0);
	end();
	/* The last is the storage lcore's to stamp by then. */
	begin();
	pack_one();
	put_times(fd, 3);
	turns_until_looks(2);
	t->cfg.log.log_append_time = true;
	world_run(&w);
	CU_ASSERT_EQUAL_FATAL(lcores.queued, 3);
	CU_ASSERT_EQUAL(looks(), 2);
	CU_ASSERT_EQUAL(rb_max_timestamp(lcores.queue[1]->batch), T);
	CU_ASSERT_EQUAL(rb_max_timestamp(lcores.queue[2]->batch), -1);
	CU_ASSERT_EQUAL(lcores.queue[2]->append_flags, 0);
	expect_errors(fd, 0, 0);
	end();
	begin();
	pack_one();
	put_times(fd, 3);
	turns_until_looks(2);
	topics_delete(w.ctl, t);
	expect_errors(fd, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION, KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	CU_ASSERT_EQUAL(counter_read(&w.count.produce_batches), 0);
	end();
}

static void
what_is_too_large_anyway_is_not_looked_at(void)
{
	begin();
	t->cfg.log.max_message_bytes = length - 1;
	set_max(-1);
	spoil();
	CU_ASSERT_PTR_NULL(send_batch(3));
	CU_ASSERT_EQUAL(answer(3).error, KIRA_E_MESSAGE_TOO_LARGE);
	end();
}

static const struct ut_test tests[] = {
	UT("time", a_largest_timestamp_that_was_left_out_is_that_of_the_records),
	UT("time", minus_one_above_a_base_of_the_year_one_was_left_out_too),
	UT("time", one_that_no_record_has_is_believed_and_records_are_not_looked_at),
	UT("time", a_wrong_checksum_or_what_is_no_record_is_not_mended),
	UT("turns", one_compressed_batch_is_looked_at_per_turn_and_all_are_sent_together),
	UT("turns", all_connections_stand_in_one_line_for_it_those_of_list_offsets_too),
	UT("turns", a_topic_altered_or_deleted_between_two_turns_is_so_when_all_are_sent),
	UT("turns", what_is_too_large_anyway_is_not_looked_at),
	UT("deep", a_deep_topic_names_the_record_that_is_wrong),
	UT("deep", a_deep_topic_sets_a_false_largest_timestamp_right),
};

UT_MAIN(tests)
