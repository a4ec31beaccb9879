/* SPDX-License-Identifier: MIT
 * writer_ut.c - include/base/writer.h: what is written is what the reader reads; full sticks. */
#include "base/writer.h"

#include "tests/unit/ut.h"

static void
what_is_written_is_read_back_in_both_encodings(void)
{
	for (int flexible = 0; flexible < 2; flexible++) {
		uint8_t b[128];
		struct writer w = kw_open(b, sizeof(b), flexible);
		struct reader r;
		struct view v;

		kw_i8(&w, -3);
		kw_bool(&w, true);
		kw_i16(&w, -300);
		kw_i32(&w, INT32_MIN);
		kw_i64(&w, INT64_MAX);
		kw_string(&w, "topic");
		kw_string(&w, NULL);
		kw_string(&w, "");
		kw_bytes(&w, "abc", 3);
		kw_bytes(&w, NULL, 0);
		kw_array(&w, 2);
		kw_i16(&w, 1);
		kw_i16(&w, 2);
		kw_array(&w, -1);
		kw_varint(&w, INT32_MIN);
		kw_varlong(&w, -1234567890123);
		kw_tags(&w);
		CU_ASSERT_FALSE(w.full);

		r = kr_open(b, kw_length(&w), flexible);
		CU_ASSERT_EQUAL(kr_i8(&r), -3);
		CU_ASSERT_TRUE(kr_bool(&r));
		CU_ASSERT_EQUAL(kr_i16(&r), -300);
		CU_ASSERT_EQUAL(kr_i32(&r), INT32_MIN);
		CU_ASSERT_EQUAL(kr_i64(&r), INT64_MAX);
		v = kr_string(&r);
		CU_ASSERT_TRUE(v.len == 5 && memcmp(v.p, "topic", 5) == 0);
		CU_ASSERT_PTR_NULL(kr_string(&r).p);
		v = kr_string(&r);
		CU_ASSERT_TRUE(v.p != NULL && v.len == 0);
		v = kr_bytes(&r);
		CU_ASSERT_TRUE(v.len == 3 && memcmp(v.p, "abc", 3) == 0);
		CU_ASSERT_PTR_NULL(kr_bytes(&r).p);
		CU_ASSERT_EQUAL(kr_array(&r, 9, 2), 2);
		CU_ASSERT_EQUAL(kr_i16(&r), 1);
		CU_ASSERT_EQUAL(kr_i16(&r), 2);
		CU_ASSERT_EQUAL(kr_array(&r, 9, 2), -1);
		CU_ASSERT_EQUAL(kr_varint(&r), INT32_MIN);
		CU_ASSERT_EQUAL(kr_varlong(&r), -1234567890123);
		kr_tags(&r);
		CU_ASSERT_FALSE(r.bad);
		CU_ASSERT_EQUAL(kr_left(&r), 0);
	}
}

static void
a_write_that_does_not_fit_writes_nothing_and_sticks(void)
{
	uint8_t b[4] = {9, 9, 9, 9};
	struct writer w = kw_open(b, 3, false);

	kw_i16(&w, 1);
	kw_i16(&w, 2);
	CU_ASSERT_TRUE(w.full);
	CU_ASSERT_EQUAL(kw_length(&w), 2);
	kw_i8(&w, 5); /* would fit */
	CU_ASSERT_EQUAL(kw_length(&w), 2);
	CU_ASSERT_EQUAL(b[2], 9);
	CU_ASSERT_EQUAL(b[3], 9);
}

static void
uvarints_take_the_shortest_form(void)
{
	static const struct {
		uint32_t v;
		size_t bytes;
	} want[] = {{0, 1}, {127, 1}, {128, 2}, {16383, 2}, {16384, 3}, {UINT32_MAX, 5}};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		uint8_t b[10];
		struct writer w = kw_open(b, sizeof(b), true);
		struct reader r;

		kw_uvarint(&w, want[i].v);
		CU_ASSERT_EQUAL(kw_length(&w), want[i].bytes);
		r = kr_open(b, kw_length(&w), true);
		CU_ASSERT_EQUAL(kr_uvarint(&r), want[i].v);
		CU_ASSERT_FALSE(r.bad);
	}
}

static const struct ut_test tests[] = {
	UT("writer", what_is_written_is_read_back_in_both_encodings),
	UT("writer", a_write_that_does_not_fit_writes_nothing_and_sticks),
	UT("writer", uvarints_take_the_shortest_form),
};

UT_MAIN(tests)
