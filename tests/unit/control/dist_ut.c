/* SPDX-License-Identifier: MIT
 * dist_ut.c - the installed kirad.conf and kirad.8 name every option of config.def, and the file's
 * defaults are the table's. */
#include "control/config.h"

#include "tests/unit/ut.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char conf[64 * 1024], page[64 * 1024];

static void
read_dist(const char *name, char *ret, size_t size)
{
	char path[4096];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/control/dist/%s", SOURCE_ROOT, name);
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	n = fread(ret, 1, size - 1, f);
	ret[n] = 0;
	(void)fclose(f);
}

/* A line "#key = " at the start of a line: a key and not a sentence. */
static bool
is_key_line(const char *line)
{
	const char *p = line + 1;

	if (line[0] != '#' || !islower((unsigned char)*p))
		return false;
	while (islower((unsigned char)*p) || *p == '-')
		p++;
	return strncmp(p, " =", 2) == 0;
}

static void
each_key_stands_in_the_file_once(void)
{
	unsigned want = 0, lines = 0;

	read_dist("kirad.conf", conf, sizeof(conf));
	for (const char *line = conf; *line; line = strchr(line, '\n') + 1)
		lines += is_key_line(line);
#define KEY(key) \
	do { \
		const char *at = strstr(conf, "\n#" key " ="); \
		if (strcmp(key, "config") == 0) \
			break; \
		want++; \
		CU_ASSERT_PTR_NOT_NULL(at); \
		if (at) \
			CU_ASSERT_PTR_NULL(strstr(at + 1, "\n#" key " =")); \
	} while (0);
#define STRING(key, alias, field, def, help)                 KEY(key)
#define LIST(key, alias, field, help)                        KEY(key)
#define NUMBER(key, alias, field, def, min, max, unit, help) KEY(key)
#define FRACTION(key, alias, field, def, min, max, help)     KEY(key)
#define FLAG(key, alias, field, def, help)                   KEY(key)
#define CHOICE(key, alias, field, def, choices, help)        KEY(key)
#include "control/config.def"
#undef KEY
	CU_ASSERT_EQUAL(lines, want);
}

static void
the_file_without_its_comment_signs_gives_the_defaults(void)
{
	char path[] = "/tmp/kira-dist-XXXXXX";
	struct config from_file, defaults;
	struct err err = {""};
	const int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	read_dist("kirad.conf", conf, sizeof(conf));
	for (char *line = conf; *line; line = strchr(line, '\n') + 1)
		if (is_key_line(line))
			line[0] = ' ';
	CU_ASSERT_EQUAL_FATAL(write(fd, conf, strlen(conf)), (ssize_t)strlen(conf));
	(void)close(fd);
	CU_ASSERT_EQUAL_FATAL(config_read(&from_file, 3, (char *const[]){(char *)(uintptr_t)"kirad",
		(char *)(uintptr_t)"--config", path}, &err), CONFIG_OK);
	CU_ASSERT_EQUAL_FATAL(config_read(&defaults, 1, (char *const[]){(char *)(uintptr_t)"kirad"},
		&err), CONFIG_OK);
	(void)unlink(path);
	free(from_file.config_file);
	from_file.config_file = strdup("");
#define STRING(key, alias, field, def, help) CU_ASSERT_STRING_EQUAL(from_file.field, defaults.field);
#define LIST(key, alias, field, help)        CU_ASSERT_EQUAL(from_file.field.n, defaults.field.n);
#define SAME(field)                          CU_ASSERT_TRUE(from_file.field == defaults.field);
#define NUMBER(key, alias, field, def, min, max, unit, help) SAME(field)
#define FRACTION(key, alias, field, def, min, max, help)     SAME(field)
#define FLAG(key, alias, field, def, help)                   SAME(field)
#define CHOICE(key, alias, field, def, choices, help)        SAME(field)
#include "control/config.def"
	CU_ASSERT_STRING_EQUAL(from_file.listen.item[0], defaults.listen.item[0]);
	config_free(&from_file);
	config_free(&defaults);
}

/* "flush-ms" as the page writes it: \-\-flush\-ms */
static bool
in_page(const char *key)
{
	char text[160] = "\\-\\-";
	size_t n = strlen(text);

	for (; *key && n + 3 < sizeof(text); key++) {
		if (*key == '-')
			text[n++] = '\\';
		text[n++] = *key;
	}
	text[n] = 0;
	for (const char *at = strstr(page, text); at; at = strstr(at + 1, text))
		if (at[n] == ' ' || at[n] == '\n')
			return true;
	return false;
}

static void
the_manual_page_names_every_option(void)
{
	read_dist("kirad.8", page, sizeof(page));
#define STRING(key, alias, field, def, help)                 CU_ASSERT_TRUE(in_page(key));
#define LIST(key, alias, field, help)                        CU_ASSERT_TRUE(in_page(key));
#define NUMBER(key, alias, field, def, min, max, unit, help) CU_ASSERT_TRUE(in_page(key));
#define FRACTION(key, alias, field, def, min, max, help)     CU_ASSERT_TRUE(in_page(key));
#define FLAG(key, alias, field, def, help)                   CU_ASSERT_TRUE(in_page(key));
#define CHOICE(key, alias, field, def, choices, help)        CU_ASSERT_TRUE(in_page(key));
#include "control/config.def"
	CU_ASSERT_FALSE(in_page("no-such-option"));
}

static const struct ut_test tests[] = {
	UT("dist", each_key_stands_in_the_file_once),
	UT("dist", the_file_without_its_comment_signs_gives_the_defaults),
	UT("dist", the_manual_page_names_every_option),
};

UT_MAIN(tests)
