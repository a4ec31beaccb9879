/* SPDX-License-Identifier: MIT
 * dump_print_ut.c - control/cli/dump_print.c: bytes as text or hex, and the lines of a batch. */
#include "control/cli/dump_print.c"

#include "tests/unit/storage/make_batch.h"
#include "tests/unit/ut.h"

#include <stdlib.h>

static char *out;
static size_t size;

static FILE *
open_out(void)
{
	FILE *f;

	free(out);
	out = NULL;
	f = open_memstream(&out, &size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	return f;
}

static const char *
bytes(bool json, const char *b, size_t n)
{
	FILE *f = open_out();

	print_bytes(f, json, (const uint8_t *)b, n);
	CU_ASSERT_EQUAL(fclose(f), 0);
	return out;
}

static void
utf8_stands_in_quotes_and_is_escaped(void)
{
	CU_ASSERT_STRING_EQUAL(bytes(false, "a b", 3), "\"a b\"");
	CU_ASSERT_STRING_EQUAL(bytes(false, "", 0), "\"\"");
	CU_ASSERT_STRING_EQUAL(bytes(true, "\"\\\n\x1b[0m", 7), "\"\\\"\\\\\\u000a\\u001b[0m\"");
	CU_ASSERT_STRING_EQUAL(bytes(true, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9),
		"\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void
anything_else_is_hex(void)
{
	static const struct {
		const char *b;
		size_t n;
		const char *hex;
	} bad[] = {
		{"\xff", 1, "ff"},
		{"a\xc3", 2, "61c3"},             /* cut */
		{"\xc0\x80", 2, "c080"},          /* too long a form */
		{"\xe0\x80\x80", 3, "e08080"},
		{"\xed\xa0\x80", 3, "eda080"},    /* a surrogate */
		{"\xf4\x90\x80\x80", 4, "f4908080"}, /* above 10ffff */
		{"\xc3" "a", 2, "c361"},
	};
	char want[32];

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		(void)snprintf(want, sizeof(want), "hex:%s", bad[i].hex);
		CU_ASSERT_STRING_EQUAL(bytes(false, bad[i].b, bad[i].n), want);
		(void)snprintf(want, sizeof(want), "\"hex:%s\"", bad[i].hex);
		CU_ASSERT_STRING_EQUAL(bytes(true, bad[i].b, bad[i].n), want);
	}
}

static bool
batch(bool json, bool records, bool crc, bool broken)
{
	struct print p = {.to = open_out(), .json = json, .records = records, .file = "f"};
	uint8_t b[512];
	const uint32_t n = make_batch(b, (struct batch_of){.count = 2, .value = 0, .step_ms = 5});
	bool right;

	put_be64(b, 40);
	if (broken)
		b[RB_HEADER] = 0x7f;
	right = print_batch(&p, &(struct inspect_batch){"f", 77, b, n, crc, crc});
	CU_ASSERT_EQUAL(fclose(p.to), 0);
	return right;
}

static void
a_batch_is_a_line_and_each_record_one(void)
{
	CU_ASSERT_TRUE(batch(false, true, true, false));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "batch 40..41 count 2 position 77 size "));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, " ok\n  record 40 time 1700000000000 key null value \"\"\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\n  record 41 time 1700000000005 key null value \"\"\n"));
	CU_ASSERT_TRUE(batch(true, true, true, false));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"crc_ok\":true,\"ok\":true}\n{\"type\":\"record\",\"offset\":40,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"key\":null,\"value\":\"\",\"headers\":[]}\n"));
}

static void
records_of_a_wrong_checksum_are_not_shown_and_broken_ones_are_said(void)
{
	CU_ASSERT_TRUE(batch(false, true, false, true));
	CU_ASSERT_PTR_NULL(strstr(out, "record"));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, " WRONG\n"));
	CU_ASSERT_FALSE(batch(false, true, true, true));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "damage  f: position 77, offset 40: "));
	CU_ASSERT_TRUE(batch(false, false, true, true));
	CU_ASSERT_PTR_NULL(strstr(out, "damage"));
	free(out);
	out = NULL;
}

static const struct ut_test tests[] = {
	UT("bytes", utf8_stands_in_quotes_and_is_escaped),
	UT("bytes", anything_else_is_hex),
	UT("batch", a_batch_is_a_line_and_each_record_one),
	UT("batch", records_of_a_wrong_checksum_are_not_shown_and_broken_ones_are_said),
};

UT_MAIN(tests)
