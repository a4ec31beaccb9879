/* SPDX-License-Identifier: MIT
 * reader_ut.c - include/base/reader.h: sticky, no read past the end, counts that must fit. */
#include "base/reader.h"

#include "tests/unit/ut.h"

static struct reader
of(const void *p, size_t n, bool flexible)
{
	return kr_open(p, n, flexible);
}

static void
integers_are_big_endian_and_signed(void)
{
	static const uint8_t b[] = {0xff, 0xff, 0xfe, 0, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 1};
	struct reader r = of(b, sizeof(b), false);

	CU_ASSERT_EQUAL(kr_i8(&r), -1);
	CU_ASSERT_EQUAL(kr_i16(&r), -2);
	CU_ASSERT_EQUAL(kr_i32(&r), 256);
	CU_ASSERT_EQUAL(kr_i64(&r), INT64_MIN);
	CU_ASSERT_TRUE(kr_bool(&r));
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_left(&r), 0);
}

static void
a_read_past_the_end_gives_zero_and_sticks(void)
{
	static const uint8_t b[] = {1, 2, 3, 4, 5};
	struct reader r = of(b, sizeof(b), false);

	CU_ASSERT_EQUAL(kr_i32(&r), 0x01020304);
	CU_ASSERT_EQUAL(kr_i16(&r), 0);
	CU_ASSERT_TRUE(r.bad);
	CU_ASSERT_EQUAL(kr_u8(&r), 0); /* a byte is left, but nothing is read any more */
}

static void
a_length_near_the_top_of_its_type_does_not_wrap(void)
{
	static const uint8_t b[] = {0x7f, 0xff, 0xff, 0xff, 1};
	struct reader r = of(b, sizeof(b), false);
	const struct view v = kr_bytes(&r);

	CU_ASSERT_PTR_NULL(v.p);
	CU_ASSERT_EQUAL(v.len, 0);
	CU_ASSERT_TRUE(r.bad);
}

static void
strings_tell_null_empty_and_text_apart_in_both_encodings(void)
{
	static const uint8_t old[] = {0xff, 0xff, 0, 0, 0, 2, 'h', 'i'};
	static const uint8_t flex[] = {0, 1, 3, 'h', 'i'};
	struct reader r[2] = {of(old, sizeof(old), false), of(flex, sizeof(flex), true)};

	for (int i = 0; i < 2; i++) {
		struct view v = kr_string(&r[i]);

		CU_ASSERT_PTR_NULL(v.p);
		v = kr_string(&r[i]);
		CU_ASSERT_PTR_NOT_NULL(v.p);
		CU_ASSERT_EQUAL(v.len, 0);
		v = kr_string(&r[i]);
		CU_ASSERT_EQUAL(v.len, 2);
		CU_ASSERT_TRUE(v.p != NULL && memcmp(v.p, "hi", 2) == 0);
		CU_ASSERT_FALSE(r[i].bad);
	}
}

static void
a_length_below_minus_one_is_malformed(void)
{
	static const uint8_t b[] = {0xff, 0xfe};
	struct reader r = of(b, sizeof(b), false);

	(void)kr_string(&r);
	CU_ASSERT_TRUE(r.bad);
}

static void
varints_follow_the_published_examples(void)
{
	static const uint8_t b[] = {0xac, 0x02, 0x01, 0x02, 0xff, 0xff, 0xff, 0xff, 0x0f,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
	struct reader r = of(b, sizeof(b), false);

	CU_ASSERT_EQUAL(kr_uvarint(&r), 300);
	CU_ASSERT_EQUAL(kr_varint(&r), -1);
	CU_ASSERT_EQUAL(kr_varint(&r), 1);
	CU_ASSERT_EQUAL(kr_varint(&r), INT32_MIN);
	CU_ASSERT_EQUAL(kr_varlong(&r), INT64_MIN);
	CU_ASSERT_FALSE(r.bad);
}

static void
a_varint_that_is_too_long_or_too_large_is_malformed(void)
{
	static const uint8_t six[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
	static const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 0x7f};
	static const uint8_t cut[] = {0x80};
	struct reader r = of(six, sizeof(six), true);

	CU_ASSERT_EQUAL(kr_uvarint(&r), 0);
	CU_ASSERT_TRUE(r.bad);
	r = of(wide, sizeof(wide), true);
	CU_ASSERT_EQUAL(kr_uvarint(&r), 0);
	CU_ASSERT_TRUE(r.bad);
	r = of(cut, sizeof(cut), true);
	CU_ASSERT_EQUAL(kr_uvarint(&r), 0);
	CU_ASSERT_TRUE(r.bad);
}

static void
a_count_that_cannot_fit_in_what_is_left_is_malformed(void)
{
	static const uint8_t b[] = {0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
	struct reader r = of(b, sizeof(b), false);

	CU_ASSERT_EQUAL(kr_array(&r, 100, 2), 3);
	CU_ASSERT_FALSE(r.bad);
	r = of(b, sizeof(b), false);
	CU_ASSERT_EQUAL(kr_array(&r, 100, 3), 0);
	CU_ASSERT_TRUE(r.bad);
	r = of(b, sizeof(b), false);
	CU_ASSERT_EQUAL(kr_array(&r, 2, 1), 0);
	CU_ASSERT_TRUE(r.bad);
}

static void
a_null_array_is_minus_one_and_well_formed(void)
{
	static const uint8_t old[] = {0xff, 0xff, 0xff, 0xff};
	static const uint8_t flex[] = {0};
	struct reader r = of(old, sizeof(old), false);

	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), -1);
	CU_ASSERT_FALSE(r.bad);
	r = of(flex, sizeof(flex), true);
	CU_ASSERT_EQUAL(kr_array(&r, 1, 1), -1);
	CU_ASSERT_FALSE(r.bad);
}

static void
unknown_tags_are_walked_over_and_sixty_five_are_malformed(void)
{
	uint8_t b[2 + 2 * 65 + 1] = {2, 7, 3, 'a', 'b', 'c', 9, 0, 42};
	struct reader r = of(b, 9, true);

	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	CU_ASSERT_EQUAL(kr_u8(&r), 42);

	memset(b, 0, sizeof(b));
	b[0] = 64;
	r = of(b, sizeof(b), true);
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	b[0] = 65;
	r = of(b, sizeof(b), true);
	kr_tags(&r);
	CU_ASSERT_TRUE(r.bad);
}

static void
tags_are_nothing_where_the_version_is_not_flexible(void)
{
	static const uint8_t b[] = {5};
	struct reader r = of(b, sizeof(b), false);

	kr_tags(&r);
	CU_ASSERT_EQUAL(kr_left(&r), 1);
	CU_ASSERT_FALSE(r.bad);
}

static void
views_are_ordered_by_their_bytes_the_shorter_first(void)
{
	const struct view null = {NULL, 0};

	CU_ASSERT(view_order(view_text("a"), view_text("b")) < 0);
	CU_ASSERT(view_order(view_text("a\x80"), view_text("ab")) > 0);
	CU_ASSERT(view_order(view_text("a"), view_text("ab")) < 0);
	CU_ASSERT(view_order(view_text("ab"), view_text("a")) > 0);
	CU_ASSERT_EQUAL(view_order(view_text("ab"), view_text("ab")), 0);
	CU_ASSERT(view_order(null, view_text("a")) < 0);
	CU_ASSERT_EQUAL(view_order(null, view_text("")), 0);
	CU_ASSERT_TRUE(view_same(view_text("ab"), view_text("ab")));
	CU_ASSERT_FALSE(view_same(view_text("ab"), view_text("a")));
	CU_ASSERT_FALSE(view_same(view_text("ab"), view_text("ac")));
}

static const struct ut_test tests[] = {
	UT("reader", integers_are_big_endian_and_signed),
	UT("reader", a_read_past_the_end_gives_zero_and_sticks),
	UT("reader", a_length_near_the_top_of_its_type_does_not_wrap),
	UT("reader", strings_tell_null_empty_and_text_apart_in_both_encodings),
	UT("reader", a_length_below_minus_one_is_malformed),
	UT("reader", varints_follow_the_published_examples),
	UT("reader", a_varint_that_is_too_long_or_too_large_is_malformed),
	UT("reader", a_count_that_cannot_fit_in_what_is_left_is_malformed),
	UT("reader", a_null_array_is_minus_one_and_well_formed),
	UT("reader", unknown_tags_are_walked_over_and_sixty_five_are_malformed),
	UT("reader", tags_are_nothing_where_the_version_is_not_flexible),
	UT("reader", views_are_ordered_by_their_bytes_the_shorter_first),
};

UT_MAIN(tests)
