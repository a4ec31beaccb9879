/* SPDX-License-Identifier: MIT
 * config_ut.c - one option table, file and flags. */
#include "control/config_rows.h"

#include "tests/unit/ut.h"

#include <stdlib.h>
#include <unistd.h>

static struct config cfg;
static struct err err;

static enum config_result
read_words(const char *const *word)
{
	int n = 0;

	while (word[n])
		n++;
	err.text[0] = 0;
	return config_read(&cfg, n, (char *const *)(uintptr_t)word, &err);
}
#define READ(...) read_words((const char *const[]){"kirad", __VA_ARGS__, NULL})

static char *
file_of(const char *text)
{
	static char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/kira-config-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	fd = mkstemp(path);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	(void)close(fd);
	return path;
}

static void
defaults_hold_where_nothing_is_said(void)
{
	CU_ASSERT_EQUAL(READ("--data-dir", "/x"), CONFIG_OK);
	CU_ASSERT_STRING_EQUAL(cfg.data_dir, "/x");
	CU_ASSERT_STRING_EQUAL(cfg.device, "auto");
	CU_ASSERT_EQUAL(cfg.udp_port, 9104);
	CU_ASSERT_EQUAL(cfg.listen.n, 1);
	CU_ASSERT_STRING_EQUAL(cfg.listen.item[0], "127.0.0.1:9092");
	CU_ASSERT_TRUE(cfg.auto_create_topics);
	CU_ASSERT_FALSE(cfg.volatile_ok);
	CU_ASSERT_EQUAL(cfg.idle, 0);
	CU_ASSERT_EQUAL(cfg.log_level, 2);
	config_free(&cfg);
}

static void
every_spelling_of_a_key_is_the_same_key(void)
{
	char norm[64];

	CU_ASSERT_EQUAL(READ("--num.partitions=3", "--MAX_PARTITIONS", "77",
		"--auto.create.topics.enable=false", "--Volatile"), CONFIG_OK);
	CU_ASSERT_EQUAL(cfg.num_partitions, 3);
	CU_ASSERT_EQUAL(cfg.max_partitions, 77);
	CU_ASSERT_FALSE(cfg.auto_create_topics);
	CU_ASSERT_TRUE(cfg.volatile_ok);
	config_free(&cfg);
	config_normalise(norm, sizeof(norm), "Log.Flush_Interval.ms");
	CU_ASSERT_STRING_EQUAL(norm, "log-flush-interval-ms");
}

static void
every_key_is_found_by_the_name_that_kafka_has_for_it(void)
{
	for (unsigned i = 0; i < CONFIG_ROWS; i++) {
		char name[CONFIG_NAME_MAX + 2] = "--";

		config_kafka_name(&config_row[i], name + 2);
		(void)READ(name, "nonsense");
		CU_ASSERT_PTR_NULL(strstr(err.text, "unknown"));
		config_free(&cfg);
	}
}

static void
flags_win_over_the_file_and_replace_its_lists(void)
{
	char *path = file_of("# a comment\nnum-partitions = 4\nlisten = 127.0.0.1:1, [::1]:2\n"
			     "produce-from = 10.0.0.0/8\nlog.flush.interval.ms = 20 ; why\n");

	CU_ASSERT_EQUAL(READ("--num-partitions", "5", "--config", path, "--listen", "0.0.0.0:9",
		"--listen", "[::]:9"), CONFIG_OK);
	CU_ASSERT_EQUAL(cfg.num_partitions, 5);
	CU_ASSERT_EQUAL(cfg.flush_ms, 20);
	CU_ASSERT_EQUAL(cfg.listen.n, 2);
	CU_ASSERT_STRING_EQUAL(cfg.listen.item[1], "[::]:9");
	CU_ASSERT_EQUAL(cfg.produce_from.n, 1);
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--config", path), CONFIG_OK);
	CU_ASSERT_EQUAL(cfg.listen.n, 2);
	CU_ASSERT_STRING_EQUAL(cfg.listen.item[1], "[::1]:2");
	config_free(&cfg);
	(void)unlink(path);
}

static void
an_unknown_key_names_the_nearest_one(void)
{
	char *path = file_of("data-dir = /x\nnum-partition = 4\n");

	CU_ASSERT_EQUAL(READ("--data-dri", "/x"), CONFIG_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "did you mean --data-dir"));
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--config", path), CONFIG_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ":2: unknown option num-partition; did you mean "
		"num-partitions?"));
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--qqqqqqqqqqqqqqqqqq", "/x"), CONFIG_BAD);
	CU_ASSERT_PTR_NULL(strstr(err.text, "did you mean"));
	config_free(&cfg);
	(void)unlink(path);
}

static void
a_value_out_of_range_is_refused_with_the_range(void)
{
	CU_ASSERT_EQUAL(READ("--udp-port", "70000"), CONFIG_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "16 to 65520"));
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--disk-cap", "1.5"), CONFIG_BAD);
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--idle", "sometimes"), CONFIG_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "adaptive|spin"));
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--num-partitions", "3x"), CONFIG_BAD);
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--num-partitions"), CONFIG_BAD);
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("extra"), CONFIG_BAD);
	config_free(&cfg);
}

static void
sections_and_nested_files_are_refused(void)
{
	char *path = file_of("[server]\ndata-dir = /x\n");

	CU_ASSERT_EQUAL(READ("--config", path), CONFIG_BAD);
	config_free(&cfg);
	(void)unlink(path);
	path = file_of("config = /y\n");
	CU_ASSERT_EQUAL(READ("--config", path), CONFIG_BAD);
	config_free(&cfg);
	(void)unlink(path);
	CU_ASSERT_EQUAL(READ("--config", "/nonexistent/kirad.conf"), CONFIG_BAD);
	config_free(&cfg);
}

static void
a_long_line_of_the_file_is_read_whole(void)
{
	char text[1200] = "produce-from = ";
	char *path;

	for (int i = 0; i < 80; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "10.0.%d.0/24,", i);
	path = file_of(text);
	CU_ASSERT_EQUAL(READ("--config", path), CONFIG_OK);
	CU_ASSERT_EQUAL(cfg.produce_from.n, 80);
	config_free(&cfg);
	(void)unlink(path);
}

static void
sizes_take_units(void)
{
	int64_t v;

	CU_ASSERT_TRUE(config_number("10", &v) && v == 10);
	CU_ASSERT_TRUE(config_number("64KiB", &v) && v == 65536);
	CU_ASSERT_TRUE(config_number("1 GiB", &v) && v == 1 << 30);
	CU_ASSERT_TRUE(config_number("-1", &v) && v == -1);
	CU_ASSERT_FALSE(config_number("9999999999999999999", &v));
	CU_ASSERT_FALSE(config_number("9999999999999TiB", &v));
	CU_ASSERT_FALSE(config_number("", &v));
}

static void
help_and_version_win_over_everything(void)
{
	CU_ASSERT_EQUAL(READ("--nonsense", "--help"), CONFIG_HELP);
	config_free(&cfg);
	CU_ASSERT_EQUAL(READ("--version"), CONFIG_VERSION);
	config_free(&cfg);
}

static const struct ut_test tests[] = {
	UT("config", defaults_hold_where_nothing_is_said),
	UT("config", every_spelling_of_a_key_is_the_same_key),
	UT("config", every_key_is_found_by_the_name_that_kafka_has_for_it),
	UT("config", flags_win_over_the_file_and_replace_its_lists),
	UT("config", an_unknown_key_names_the_nearest_one),
	UT("config", a_value_out_of_range_is_refused_with_the_range),
	UT("config", sections_and_nested_files_are_refused),
	UT("config", a_long_line_of_the_file_is_read_whole),
	UT("config", sizes_take_units),
	UT("config", help_and_version_win_over_everything),
};
UT_MAIN(tests)
