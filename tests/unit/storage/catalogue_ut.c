/* SPDX-License-Identifier: MIT
 * catalogue_ut.c - storage/catalogue.c: the bodies of kira.meta, kira.topics and kira.state, right and wrong. */
#include "storage/catalogue.c"

#include "tests/unit/ut.h"

#define ID "AAECAwQFBgcICQoLDA0ODw"

static struct storage_topic *topic;
static unsigned topics;

static void
a_format_number_is_read_whatever_else_a_newer_one_says(void)
{
	static const char *const wrong[] = {"", "cluster.id " ID "\nformat 2\n", "format 0\ncluster.id " ID "\n",
		"format 2x\ncluster.id " ID "\n", "format 2\n", "format 2\ncluster.id short\n",
		"format 2\ncluster.id " ID "x\n", "format 4294967297\ncluster.id " ID "\n",
		"format\ncluster.id " ID "\n"};
	char cluster[23] = "";
	int32_t format = 0;

	CU_ASSERT_TRUE(catalogue_parse_meta("format 2\ncluster.id " ID "\nnode.id 1\n", &format, cluster));
	CU_ASSERT_EQUAL(format, 2);
	CU_ASSERT_STRING_EQUAL(cluster, ID);
	CU_ASSERT_TRUE(catalogue_parse_meta("format 77\nfuture a b c\n\ncluster.id " ID "\n", &format, cluster));
	CU_ASSERT_EQUAL(format, 77);
	for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++)
		CU_ASSERT_FALSE(catalogue_parse_meta(wrong[i], &format, cluster));
}

static bool
parse(const char *body)
{
	return catalogue_parse(body, &topic, &topics);
}

static void
topics_and_their_configs_are_read(void)
{
	CU_ASSERT_TRUE_FATAL(
		parse("version 3\nt a.b-c_D " ID " 12\nc a.b-c_D retention.ms -1\n"
		      "c a.b-c_D k a value of words\nc a.b-c_D empty \nt z " ID " 1\n"));
	CU_ASSERT_EQUAL(topics, 2);
	CU_ASSERT_STRING_EQUAL(topic[0].name, "a.b-c_D");
	CU_ASSERT_EQUAL(topic[0].partitions, 12);
	CU_ASSERT_EQUAL(topic[0].id[15], 15);
	CU_ASSERT_EQUAL(topic[0].configs, 3);
	CU_ASSERT_STRING_EQUAL(topic[0].config[0], "retention.ms");
	CU_ASSERT_STRING_EQUAL(topic[0].config[1], "-1");
	CU_ASSERT_STRING_EQUAL(topic[0].config[3], "a value of words");
	CU_ASSERT_STRING_EQUAL(topic[0].config[4], "empty");
	CU_ASSERT_STRING_EQUAL(topic[0].config[5], "");
	CU_ASSERT_STRING_EQUAL(topic[1].name, "z");
	CU_ASSERT_EQUAL(topic[1].configs, 0);
	catalogue_free(topic, topics);
	CU_ASSERT_TRUE(parse("") && topics == 0);
	CU_ASSERT_TRUE(parse("version 1\n") && topics == 0);
}

static void
a_line_that_is_wrong_refuses_the_whole_catalogue(void)
{
	static const char *const bad[] = {"x\n", "\n", "t\n", "t a\n", "t a " ID "\n",
		"t a " ID " 0\n", "t a " ID " -1\n", "t a " ID " 1000001\n", "t a " ID " 1 2\n",
		"t a " ID " 1x\n", "t a " ID "  1\n", "t a short 1\n", "t . " ID " 1\n",
		"t .. " ID " 1\n", "t a/b " ID " 1\n", "t a\tb " ID " 1\n", "t \xc3\xa4 " ID " 1\n",
		"c a k v\n", "t a " ID " 1\nc b k v\n", "t a " ID " 1\nc a\n",
		"t a " ID " 1\nc a \n", "t a " ID " 1\nt b " ID " 99999999999999999999\n",
		" t a " ID " 1\n"};

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		CU_ASSERT_FALSE(parse(bad[i]));
		CU_ASSERT_TRUE(topics == 0 && topic == NULL);
	}
}

static void
a_name_is_at_most_249_characters(void)
{
	char body[400], name[300];

	memset(name, 'n', sizeof(name));
	(void)snprintf(body, sizeof(body), "t %.249s " ID " 1\n", name);
	CU_ASSERT_TRUE(parse(body));
	CU_ASSERT_EQUAL(strlen(topic[0].name), 249);
	catalogue_free(topic, topics);
	(void)snprintf(body, sizeof(body), "t %.250s " ID " 1\n", name);
	CU_ASSERT_FALSE(parse(body));
}

#define HOLE(line) "incarnation 1\np a 0 " ID " 0 0 9 ok\n" line "\n"

static uint64_t incarnation;
static bool clean;
static struct state_row *row;
static unsigned rows;

static bool
parse_state(const char *body)
{
	return catalogue_parse_state(body, &incarnation, &clean, &row, &rows);
}

static void
a_state_is_read(void)
{
	CU_ASSERT_TRUE_FATAL(parse_state("incarnation 42\nclean 1\nwall_ms 7\n"
					 "p a 0 " ID " 3 10 500 ok 400 1234\np a 1 " ID
					 " -1 0 0 failed\np b 0 " ID " 1 5 6 halted\n"));
	CU_ASSERT_EQUAL(incarnation, 42);
	CU_ASSERT_TRUE(clean);
	CU_ASSERT_EQUAL(rows, 3);
	CU_ASSERT_STRING_EQUAL(row[0].topic, "a");
	CU_ASSERT_TRUE(row[0].epoch == 3 && row[0].start == 10 && row[0].recovery == 500);
	CU_ASSERT_EQUAL(row[0].state, PART_OK);
	CU_ASSERT_TRUE(row[0].last_base == 400 && row[0].last_bytes == 1234);
	CU_ASSERT_EQUAL(row[1].last_base, -1);
	CU_ASSERT_TRUE(row[1].partition == 1 && row[1].epoch == -1 && row[1].state == PART_FAILED);
	CU_ASSERT_EQUAL(row[2].state, PART_HALTED);
	catalogue_free_rows(row, rows);
	CU_ASSERT_TRUE(parse_state("incarnation 1\nclean 0\n"));
	CU_ASSERT_TRUE(!clean && rows == 0);
	free(row);
}

static void
a_line_that_is_wrong_refuses_the_whole_state(void)
{
	static const char *const bad[] = {"", "clean 1\n", "incarnation 0\n", "incarnation -1\n",
		"incarnation x\n", "incarnation 1\nclean 2\n", "incarnation 1\nfoo 2\n",
		"incarnation 1\n\n", "incarnation 1\np a 0 " ID " 0 0 0\n",
		"incarnation 1\np a 0 " ID " 0 0 0 fine\n",
		"incarnation 1\np a 0 " ID " 0 0 0 ok x\n", "incarnation 1\np a 0 " ID " 0 0 9 ok 3\n",
		"incarnation 1\np a 0 " ID " 0 0 9 ok 3 4 5\n", "incarnation 1\np a 0 " ID " 0 0 9 ok 9 4\n",
		"incarnation 1\np a 0 " ID " 0 0 9 ok -1 4\n", "incarnation 1\np a 0 " ID " 0 0 9 ok 3 2147483648\n",
		"incarnation 1\np a -1 " ID " 0 0 0 ok\n",
		"incarnation 1\np a 0 " ID " -2 0 0 ok\n",
		"incarnation 1\np a 0 " ID " 2147483647 0 0 ok\n",
		"incarnation 1\np a 0 " ID " 0 -1 0 ok\n",
		"incarnation 1\np a 0 " ID " 0 0 -1 ok\n",
		"incarnation 1\np a 0 " ID " 0 9223372036854775808 0 ok\n",
		"incarnation 1\np . 0 " ID " 0 0 0 ok\n", "incarnation 1\np a 0 x 0 0 0 ok\n",
		"incarnation 9223372036854775807\n",
		"incarnation 1\nhole a 0 1 2\n", HOLE("hole b 0 1 2"), HOLE("hole a 1 1 2"),
		HOLE("hole a 0 2 2"), HOLE("hole a 0 3 2"), HOLE("hole a 0 1 10"), HOLE("hole a 0 -1 2"),
		HOLE("hole a 0 1 2 3"), HOLE("hole a 0 1"), HOLE("hole a 0 3 4\nhole a 0 1 2"),
		HOLE("hole a 0 3 4\nhole a 0 4 5")};

	for (unsigned i = 0; i < ARRAY_LENGTH(bad); i++) {
		CU_ASSERT_FALSE(parse_state(bad[i]));
		CU_ASSERT_TRUE(rows == 0 && row == NULL);
	}
}

static void
holes_follow_their_row_and_come_back_as_they_were(void)
{
	static const char body[] = "p a 0 " ID " 3 10 500 ok 17 99\nhole a 0 5 11\nhole a 0 400 500\n"
				   "p a 1 " ID " 0 0 9 halted\nhole a 1 0 3\n";
	char whole[400], *again = NULL;
	size_t size;
	FILE *f = open_memstream(&again, &size);

	(void)snprintf(whole, sizeof(whole), "incarnation 1\nclean 0\n%s", body);
	CU_ASSERT_TRUE_FATAL(parse_state(whole));
	CU_ASSERT_TRUE(rows == 2 && row[0].holes.n == 2 && row[1].holes.n == 1);
	CU_ASSERT_TRUE(row[0].holes.hole[1].from == 400 && row[0].holes.hole[1].to == 500);
	CU_ASSERT_EQUAL(holes_after(&row[1].holes, 0), 3);
	for (unsigned i = 0; i < rows; i++)
		catalogue_put_row(f, &row[i]);
	(void)fflush(f);
	CU_ASSERT_STRING_EQUAL(again, body);
	/* Wholly below the start: nobody asks for it any more. */
	row[0].start = 11;
	rewind(f);
	catalogue_put_row(f, &row[0]);
	(void)fclose(f);
	CU_ASSERT_PTR_NULL(strstr(again, "hole a 0 5 11"));
	CU_ASSERT_PTR_NOT_NULL(strstr(again, "hole a 0 400 500"));
	free(again);
	catalogue_free_rows(row, rows);
}

static const struct ut_test tests[] = {
	UT("meta", a_format_number_is_read_whatever_else_a_newer_one_says),
	UT("topics", topics_and_their_configs_are_read),
	UT("topics", a_line_that_is_wrong_refuses_the_whole_catalogue),
	UT("topics", a_name_is_at_most_249_characters),
	UT("state", a_state_is_read),
	UT("state", a_line_that_is_wrong_refuses_the_whole_state),
	UT("state", holes_follow_their_row_and_come_back_as_they_were),
};

UT_MAIN(tests)
