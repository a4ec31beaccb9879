/* SPDX-License-Identifier: MIT
 * lines_ut.c - control/cli/lines.c: every byte of the input becomes part of exactly one record. */
#include "control/cli/lines.c"

#include "control/cli/counter_table.h"
#include "tests/unit/ut.h"

#include <sys/mman.h>

/* The input, read to its end; returns how many lines came, the last `long_lines` counted apart. */
static unsigned
read_all(const char *p, size_t n, char *joined, size_t *joined_length, unsigned *too_long)
{
	const int fd = memfd_create("lines", 0);
	struct lines l;
	unsigned lines = 0;
	const char *text;
	size_t length;
	enum line got;

	*joined_length = 0;
	*too_long = 0;
	CU_ASSERT_EQUAL(write(fd, p, n), (ssize_t)n);
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_SET), 0);
	CU_ASSERT_EQUAL(lines_open(&l), 0);
	while (!l.end) {
		CU_ASSERT_TRUE(lines_fill(&l, fd) >= 0);
		while ((got = lines_next(&l, &text, &length)) != LINE_NONE) {
			if (got == LINE_LONG) {
				++*too_long;
				continue;
			}
			lines++;
			memcpy(joined + *joined_length, text, length);
			joined[*joined_length + length] = '|';
			*joined_length += length + 1;
		}
	}
	lines_close(&l);
	(void)close(fd);
	return lines;
}

static void
the_last_line_needs_no_newline_and_an_empty_one_counts(void)
{
	char joined[100];
	size_t n;
	unsigned too_long;

	CU_ASSERT_EQUAL(read_all("a\n\nbc", 5, joined, &n, &too_long), 3);
	CU_ASSERT_EQUAL(memcmp(joined, "a||bc|", n), 0);
	CU_ASSERT_EQUAL(read_all("a\n", 2, joined, &n, &too_long), 1);
	CU_ASSERT_EQUAL(read_all("", 0, joined, &n, &too_long), 0);
	CU_ASSERT_EQUAL(read_all("\n", 1, joined, &n, &too_long), 1);
	CU_ASSERT_EQUAL(read_all("a\0b\n", 4, joined, &n, &too_long), 1);
	CU_ASSERT_EQUAL(memcmp(joined, "a\0b|", n), 0);
}

static void
lines_across_reads_come_whole(void)
{
	static char in[1 << 20], joined[(1 << 20) + 2];
	size_t n;
	unsigned too_long, lines = 0;

	/* Lengths 0, 1, 2 .. : every place of a newline against the end of a read. */
	memset(in, 'y', sizeof(in));
	for (size_t at = 0, step = 0; at < sizeof(in); at += ++step, lines++)
		in[at] = '\n';
	in[sizeof(in) - 1] = 'y';
	CU_ASSERT_EQUAL(read_all(in, sizeof(in), joined, &n, &too_long), lines + 1);
	CU_ASSERT_EQUAL(n, sizeof(in) + 1);
	for (size_t i = 0; i < sizeof(in); i++)
		if (in[i] == '\n')
			in[i] = '|';
	CU_ASSERT_EQUAL(memcmp(joined, in, sizeof(in)), 0);
	CU_ASSERT_EQUAL(too_long, 0);
}

static void
a_line_that_is_too_long_is_skipped_alone(void)
{
	const size_t size = 2 * LINE_BYTES_MAX + 1000;
	char *in = malloc(size), *joined = malloc(size);
	size_t n;
	unsigned too_long;

	memset(in, 'z', size);
	in[2] = in[size - 4] = '\n';
	CU_ASSERT_EQUAL(read_all(in, size, joined, &n, &too_long), 2);
	CU_ASSERT_EQUAL(too_long, 1);
	CU_ASSERT_EQUAL(memcmp(joined, "zz|zzz|", n), 0);
	/* The same at the end of the input. */
	CU_ASSERT_EQUAL(read_all(in, size - 10, joined, &n, &too_long), 1);
	CU_ASSERT_EQUAL(too_long, 1);
	free(in);
	free(joined);
}

static void
a_key_ends_at_the_first_separator(void)
{
	size_t n;

	CU_ASSERT_TRUE(lines_split("a\tb\tc", 5, "\t", 1, &n));
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_TRUE(lines_split("\tb", 2, "\t", 1, &n));
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_TRUE(lines_split("a::", 3, "::", 2, &n));
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_FALSE(lines_split("a:b", 3, "::", 2, &n));
	CU_ASSERT_FALSE(lines_split("", 0, "\t", 1, &n));
	CU_ASSERT_FALSE(lines_split("ab", 2, "", 0, &n));
}

static void
the_help_of_a_counter_is_found_by_group_without_its_number(void)
{
	const struct counter_help *help = counter_table_find("store12", "udp_records");

	CU_ASSERT_PTR_NOT_NULL_FATAL(help);
	CU_ASSERT_FALSE(help->gauge);
	help = counter_table_find("control", "connections");
	CU_ASSERT_PTR_NOT_NULL_FATAL(help);
	CU_ASSERT_TRUE(help->gauge);
	CU_ASSERT_PTR_NULL(strstr(help->help, "gauge"));
	CU_ASSERT_PTR_NOT_NULL(counter_table_find("drop0", "drop_dup"));
	CU_ASSERT_PTR_NULL(counter_table_find("rx0", "udp_records"));
	CU_ASSERT_PTR_NULL(counter_table_find("", "udp_records"));
}

static const struct ut_test tests[] = {
	UT("lines", the_last_line_needs_no_newline_and_an_empty_one_counts),
	UT("lines", lines_across_reads_come_whole),
	UT("lines", a_line_that_is_too_long_is_skipped_alone),
	UT("lines", a_key_ends_at_the_first_separator),
	UT("counters", the_help_of_a_counter_is_found_by_group_without_its_number),
};

UT_MAIN(tests)
