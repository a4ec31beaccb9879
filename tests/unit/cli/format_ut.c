/* SPDX-License-Identifier: MIT
 * format_ut.c - control/cli/format.c: what --format and --key-separator mean. */
#include "control/cli/format.c"

#include "base/bits.h"
#include "tests/unit/ut.h"

static char text[4096];

static const char *
print(const char *form, const struct format_record *r)
{
	static struct format f;
	struct err err = {""};
	FILE *to = fmemopen(text, sizeof(text), "w");

	text[0] = '\0';
	if (format_parse(&f, form, &err) == 0)
		format_print(&f, r, to);
	else
		(void)fprintf(to, "%s", err.text);
	(void)fclose(to);
	return text;
}

static const struct format_record full = {"orders", 3, 4711, 1700000000000, "key", "value", 3, 5};
static const struct format_record nulls = {"orders", 3, 4711, 1700000000000, NULL, NULL, 0, 0};

static void
every_letter_prints_its_part_of_the_record(void)
{
	CU_ASSERT_STRING_EQUAL(print("%t %p %o %T %k %K %s %S", &full),
		"orders 3 4711 1700000000000 key 3 value 5");
}

static void
null_prints_nothing_and_has_length_minus_one(void)
{
	CU_ASSERT_STRING_EQUAL(print("[%k|%K|%s|%S]", &nulls), "[|-1||-1]");
}

static void
escapes_and_percent_are_literals(void)
{
	CU_ASSERT_STRING_EQUAL(print("a\\tb\\x41\\\\%%%s\\n", &full), "a\tbA\\%value\n");
}

static void
what_is_no_letter_or_escape_is_refused(void)
{
	CU_ASSERT_PTR_NOT_NULL(strstr(print("%q", &full), "the letters are"));
	CU_ASSERT_PTR_NOT_NULL(strstr(print("a%", &full), "the letters are"));
	CU_ASSERT_PTR_NOT_NULL(strstr(print("\\q", &full), "the escapes are"));
	CU_ASSERT_PTR_NOT_NULL(strstr(print("a\\", &full), "the escapes are"));
	CU_ASSERT_PTR_NOT_NULL(strstr(print("\\x4", &full), "the escapes are"));
	CU_ASSERT_PTR_NOT_NULL(strstr(print("\\x4g", &full), "the escapes are"));
}

static void
a_format_of_any_length_fits_or_is_refused(void)
{
	static char form[4000];

	for (unsigned n = 0; n < sizeof(form) - 3; n++) {
		memset(form, 0, sizeof(form));
		memset(form, 'x', n);
		(void)print(form, &full);
		for (unsigned i = 0; i + 1 < n && i < 400; i += 2)
			memcpy(form + i, "%p", 2);
		(void)print(form, &full);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "too long"));
}

static void
a_separator_is_unescaped_within_its_room(void)
{
	struct err err = {""};
	char sep[3];

	CU_ASSERT_EQUAL(format_unescape(sep, sizeof(sep), "\\t|\\0", &err), 3);
	CU_ASSERT_EQUAL(memcmp(sep, "\t|\0", 3), 0);
	CU_ASSERT_EQUAL(format_unescape(sep, sizeof(sep), "abcd", &err), -EINVAL);
	CU_ASSERT_EQUAL(format_unescape(sep, sizeof(sep), "\\", &err), -EINVAL);
	CU_ASSERT_EQUAL(format_unescape(sep, sizeof(sep), "", &err), 0);
}

static const struct ut_test tests[] = {
	UT("format", every_letter_prints_its_part_of_the_record),
	UT("format", null_prints_nothing_and_has_length_minus_one),
	UT("format", escapes_and_percent_are_literals),
	UT("format", what_is_no_letter_or_escape_is_refused),
	UT("format", a_format_of_any_length_fits_or_is_refused),
	UT("format", a_separator_is_unescaped_within_its_room),
};

UT_MAIN(tests)
