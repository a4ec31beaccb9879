/* SPDX-License-Identifier: MIT
 * blast_options_ut.c - tests of dataplane/blast/blast_options.c. */
#include "dataplane/blast/blast_options.c"

#include "tests/unit/ut.h"

#include <stdarg.h>

#define WORDS_MAX 16

static struct blast_options o;
static struct err err;

/* Parse these words, the last one NULL. */
static enum blast_parse
parse(const char *word, ...)
{
	static char text[WORDS_MAX][64];
	char *argv[WORDS_MAX + 1] = {text[0]};
	int argc = 1;
	va_list ap;

	(void)snprintf(text[0], sizeof(text[0]), "kira-blast");
	va_start(ap, word);
	for (; word && argc < WORDS_MAX; word = va_arg(ap, const char *)) {
		(void)snprintf(text[argc], sizeof(text[argc]), "%s", word);
		argv[argc] = text[argc];
		argc++;
	}
	va_end(ap);
	err.text[0] = '\0';
	return blast_options_parse(&o, argc, argv, &err);
}

static void
what_is_not_said_has_its_default(void)
{
	CU_ASSERT_EQUAL_FATAL(parse("--device", "memif:/x", NULL), BLAST_GO);
	CU_ASSERT_STRING_EQUAL(o.bootstrap, "127.0.0.1:9092");
	CU_ASSERT_STRING_EQUAL(o.address, "127.18.0.2/24");
	CU_ASSERT_EQUAL(o.acks, BLAST_ACKS_LOG);
	CU_ASSERT_EQUAL(o.sessions, 4);
	CU_ASSERT_EQUAL(o.rate, 0);
	CU_ASSERT_TRUE(o.verify);
	CU_ASSERT_FALSE(o.json);
}

static void
every_option_of_the_fixed_interface_is_taken(void)
{
	CU_ASSERT_EQUAL_FATAL(parse("--bootstrap", "h:1", "--device", "memif:/x", "--topic", "t",
		"--partitions", "3", "--seconds", "1.5", "--acks", "disk", "--json", NULL), BLAST_GO);
	CU_ASSERT_STRING_EQUAL(o.topic, "t");
	CU_ASSERT_EQUAL(o.partitions, 3);
	CU_ASSERT_DOUBLE_EQUAL(o.seconds, 1.5, 1e-9);
	CU_ASSERT_EQUAL(o.acks, BLAST_ACKS_DISK);
	CU_ASSERT_TRUE(o.json);
	CU_ASSERT_EQUAL_FATAL(parse("--device", "memif:/x", "--rate", "10", "--record", "100",
		"--batch", "1000", "--sessions", "2", "--cpus", "0,1", "--transport", "udp", NULL),
		BLAST_GO);
	CU_ASSERT_EQUAL_FATAL(parse("--device", "memif:/x", "--loss", "0.01", "--duplicate", "0.02",
		"--reorder", "0.03", "--reorder-depth", "9", NULL), BLAST_GO);
	CU_ASSERT_DOUBLE_EQUAL(o.loss, 0.01, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(o.duplicate, 0.02, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(o.reorder, 0.03, 1e-9);
	CU_ASSERT_EQUAL(o.reorder_depth, 9);
}

static void
suffixes_count_in_1024_for_bytes_and_in_1000_otherwise(void)
{
	CU_ASSERT_EQUAL_FATAL(parse("--device", "memif:/x", "--rate", "2m", "--max-bytes", "2g",
		"--record", "1K", NULL), BLAST_GO);
	CU_ASSERT_EQUAL(o.rate, 2000000);
	CU_ASSERT_EQUAL(o.max_bytes, (uint64_t)2 << 30);
	CU_ASSERT_EQUAL(o.record_bytes, 1024);
}

static void
what_is_no_number_or_out_of_bounds_is_refused_by_name(void)
{
	static const char *const bad[][2] = {{"--loss", "1.5"}, {"--loss", "1k"}, {"--rate", "-1"},
		{"--rate", "1.5"}, {"--rate", ""}, {"--rate", "5x"}, {"--rate", "1kk"},
		{"--sessions", "0"}, {"--sessions", "1025"}, {"--record", "15"}, {"--seconds", "nan"},
		{"--seconds", "inf"}, {"--acks", "all"}, {"--acks", "uplink"}, {"--transport", "tcp"}};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		CU_ASSERT_EQUAL(parse("--device", "memif:/x", bad[i][0], bad[i][1], NULL), BLAST_USAGE);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, bad[i][0]));
	}
}

static void
a_device_is_needed_to_send_and_not_to_verify(void)
{
	CU_ASSERT_EQUAL(parse("--topic", "t", NULL), BLAST_USAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--device"));
	CU_ASSERT_EQUAL(parse("--topic", "t", "--verify-only", NULL), BLAST_GO);
}

static void
stray_words_and_unknown_options_are_refused(void)
{
	CU_ASSERT_EQUAL(parse("--device", "memif:/x", "stray", NULL), BLAST_USAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "stray"));
	CU_ASSERT_EQUAL(parse("--device", "memif:/x", "--no-such", NULL), BLAST_USAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--no-such"));
	CU_ASSERT_EQUAL(parse("--device", NULL), BLAST_USAGE);
}

static const struct ut_test tests[] = {
	UT("options", what_is_not_said_has_its_default),
	UT("options", every_option_of_the_fixed_interface_is_taken),
	UT("options", suffixes_count_in_1024_for_bytes_and_in_1000_otherwise),
	UT("options", what_is_no_number_or_out_of_bounds_is_refused_by_name),
	UT("options", a_device_is_needed_to_send_and_not_to_verify),
	UT("options", stray_words_and_unknown_options_are_refused),
};
UT_MAIN(tests)
