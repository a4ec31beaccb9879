/* SPDX-License-Identifier: MIT
 * options_ut.c - control/cli/cli_options.c: what a table makes of a command line. */
#include "control/cli/cli_options.c"

#include "tests/unit/ut.h"

struct fields {
	const char *name;
	struct cli_list list;
	int64_t count, bytes;
	double seconds;
	bool on, off;
	unsigned level;
};

#define AT(field) offsetof(struct fields, field)
static const struct cli_row rows[] = {
	{"name", 'n', "TEXT", CLI_TEXT, AT(name), 0, 0, "x", ""},
	{"list", 0, "TEXT", CLI_LIST, AT(list), 0, 0, NULL, ""},
	{"count", 'c', "N", CLI_WHOLE, AT(count), -1, 5000, "-1", ""},
	{"bytes", 0, "BYTES", CLI_BYTES, AT(bytes), 0, 1e9, "0", ""},
	{"seconds", 0, "S", CLI_REAL, AT(seconds), 0.5, 10, "1", ""},
	{"on", 'o', NULL, CLI_ON, AT(on), 0, 0, NULL, ""},
	{"no-off", 0, NULL, CLI_OFF, AT(off), 0, 0, NULL, ""},
	{"level", 0, "none|log|disk", CLI_CHOICE, AT(level), 0, 0, "log", ""},
};
static const struct cli_command command = {"kira test", "", "", rows, ARRAY_LENGTH(rows), 2, NULL};

static struct fields f;
static const char *word[2];
static unsigned words;
static struct err err;

/* Words apart by spaces. */
static enum cli_parse
parse(const char *line)
{
	static char copy[1024];
	char *argv[32] = {0}, *at = copy;
	int argc = 0;

	(void)snprintf(copy, sizeof(copy), "test %s", line);
	while ((argv[argc] = strsep(&at, " ")) != NULL)
		if (*argv[argc])
			argc++;
	argv[argc] = NULL;
	err.text[0] = '\0';
	return cli_options_parse(&command, &f, sizeof(f), argc, argv, word, &words, &err);
}

static void
defaults_stand_where_nothing_is_said(void)
{
	CU_ASSERT_EQUAL(parse(""), CLI_GO);
	CU_ASSERT_STRING_EQUAL(f.name, "x");
	CU_ASSERT_EQUAL(f.count, -1);
	CU_ASSERT_EQUAL(f.seconds, 1);
	CU_ASSERT_EQUAL(f.level, 1);
	CU_ASSERT_EQUAL(f.list.n, 0);
	CU_ASSERT_FALSE(f.on);
	CU_ASSERT_EQUAL(words, 0);
}

static void
long_flags_letters_and_words_mix_in_any_order(void)
{
	CU_ASSERT_EQUAL(parse("one --name=a -c 7 --list k=v two --list w -o --level disk"), CLI_GO);
	CU_ASSERT_STRING_EQUAL(f.name, "a");
	CU_ASSERT_EQUAL(f.count, 7);
	CU_ASSERT_EQUAL(f.list.n, 2);
	CU_ASSERT_STRING_EQUAL(f.list.item[0], "k=v");
	CU_ASSERT_TRUE(f.on);
	CU_ASSERT_EQUAL(f.level, 2);
	CU_ASSERT_EQUAL(words, 2);
	CU_ASSERT_STRING_EQUAL(word[0], "one");
	CU_ASSERT_STRING_EQUAL(word[1], "two");
}

static void
a_suffix_counts_by_1024_for_bytes_and_by_1000_else(void)
{
	CU_ASSERT_EQUAL(parse("--bytes 64k --count 5k"), CLI_GO);
	CU_ASSERT_EQUAL(f.bytes, 65536);
	CU_ASSERT_EQUAL(f.count, 5000);
	CU_ASSERT_EQUAL(parse("--seconds 5k"), CLI_BAD);
}

static void
what_is_wrong_is_named_with_its_option(void)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{"--count 5001", "--count: 5001 is outside -1..5000"},
		{"--count 1.5", "--count: 1.5 is not a whole number"},
		{"--count x", "--count: \"x\" is not a number"},
		{"--count 0x", "--count: \"0x\" is not a number"},
		{"--level Log", "--level: \"Log\" is none of none|log|disk"},
		{"--level lo", "--level: \"lo\" is none of none|log|disk"},
		{"--name", "--name needs a value"},
		{"-n", "-n needs a value"},
		{"-q", "-q: no such option; kira test --help lists them"},
		{"--nope", "--nope: no such option; kira test --help lists them"},
		{"--on=1", "--on takes no value"},
		{"a b c", "c: unexpected word; kira test --help"},
	};

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		CU_ASSERT_EQUAL(parse(bad[i].line), CLI_BAD);
		CU_ASSERT_STRING_EQUAL(err.text, bad[i].says);
	}
}

static const struct ut_test tests[] = {
	UT("options", defaults_stand_where_nothing_is_said),
	UT("options", long_flags_letters_and_words_mix_in_any_order),
	UT("options", a_suffix_counts_by_1024_for_bytes_and_by_1000_else),
	UT("options", what_is_wrong_is_named_with_its_option),
};

UT_MAIN(tests)
