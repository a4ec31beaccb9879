/* SPDX-License-Identifier: MIT
 * blast_report_ut.c - tests of dataplane/blast/blast_report.c. */
#include "dataplane/blast/blast_report.c"

#include "tests/unit/ut.h"

#include <stdlib.h>
#include <string.h>

static char text[4096];

static void
print(const struct blast_report *r)
{
	FILE *f = fmemopen(text, sizeof(text), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	report_json(f, r);
	(void)fclose(f);
}

static void
the_json_has_every_promised_field_once_and_is_one_line(void)
{
	static const char *const field[] = {"transport", "records_sent", "records_acked",
		"records_lost", "records_duplicated", "records_reordered", "injected_lost",
		"injected_duplicated", "injected_reordered", "bytes", "seconds", "ack_p50_us",
		"ack_p99_us", "ack_p999_us", "ack_max_us"};
	const struct blast_report r = {.verified = true, .latency = true, .acks = "log"};

	print(&r);
	for (size_t i = 0; i < sizeof(field) / sizeof(field[0]); i++) {
		char key[64];
		const char *at;

		(void)snprintf(key, sizeof(key), "\"%s\": ", field[i]);
		at = strstr(text, key);
		CU_ASSERT_PTR_NOT_NULL_FATAL(at);
		CU_ASSERT_PTR_NULL(strstr(at + 1, key));
	}
	CU_ASSERT_PTR_EQUAL(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
what_was_not_read_back_is_null_and_never_zero(void)
{
	const struct blast_report r = {.records_sent = 5, .records_acked = 5};

	print(&r);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"records_lost\": null"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"records_duplicated\": null"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"ack_p50_us\": null"));
}

static void
quotes_and_line_ends_in_an_error_do_not_break_the_json(void)
{
	const struct blast_report r = {.error = "a \"b\" \\ c\nd"};

	print(&r);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"a \\\"b\\\" \\\\ c d\""));
}

static void
any_fault_makes_the_run_bad(void)
{
	struct blast_report r = {0};

	CU_ASSERT_TRUE(report_good(&r));
	r.records_lost = 1;
	CU_ASSERT_FALSE(report_good(&r));
	r = (struct blast_report){.records_duplicated = 1};
	CU_ASSERT_FALSE(report_good(&r));
	r = (struct blast_report){.records_reordered = 1};
	CU_ASSERT_FALSE(report_good(&r));
	r = (struct blast_report){.offset_gaps = 1};
	CU_ASSERT_FALSE(report_good(&r));
	r = (struct blast_report){.crc_errors = 1};
	CU_ASSERT_FALSE(report_good(&r));
	r = (struct blast_report){.error = "x"};
	CU_ASSERT_FALSE(report_good(&r));
}

static const struct ut_test tests[] = {
	UT("report", the_json_has_every_promised_field_once_and_is_one_line),
	UT("report", what_was_not_read_back_is_null_and_never_zero),
	UT("report", quotes_and_line_ends_in_an_error_do_not_break_the_json),
	UT("report", any_fault_makes_the_run_bad),
};
UT_MAIN(tests)
