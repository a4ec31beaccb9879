/* SPDX-License-Identifier: MIT
 * config.c - one table (config.def), two mouths: a file and the command line.
 * Thread: main, before anything runs. Owns: the strings of a struct config.
 * Never: opens what an option names; it judges numbers and words, the owners judge the rest. */
#include "control/config.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/config_rows.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX  CONFIG_NAME_MAX
#define LINE_MAX_BYTES 4096

static char *
copy_text(const char *text)
{
	char *s = strdup(text);

	ASSERT(s);
	return s;
}

void
config_normalise(char *ret, unsigned size, const char *key)
{
	unsigned n = 0;

	for (; *key && n + 1 < size; key++) {
		const char c = *key;

		ret[n++] = c == '.' || c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	ret[n] = 0;
}

bool
config_number(const char *text, int64_t *ret)
{
	static const struct { const char *unit; int shift; } unit[] = {{"", 0}, {"k", 10}, {"KiB", 10},
		{"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40}, {"TiB", 40}};
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || errno == ERANGE)
		return false;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_LENGTH(unit); i++)
		if (strcasecmp(end, unit[i].unit) == 0)
			return !__builtin_mul_overflow(v, (long long)1 << unit[i].shift, ret);
	return false;
}

unsigned
config_distance(const char *a, const char *b)
{
	const size_t la = strlen(a), lb = strlen(b);
	unsigned row[KEY_MAX + 1], was, up;

	if (la > KEY_MAX || lb > KEY_MAX)
		return UINT32_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		was = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			up = row[j];
			row[j] = MIN(MIN(row[j], row[j - 1]) + 1, was + (a[i - 1] != b[j - 1]));
			was = up;
		}
	}
	return row[lb];
}

static const struct option *
find_option(const char *word, char norm[KEY_MAX])
{
	config_normalise(norm, KEY_MAX, word);
	for (unsigned i = 0; i < CONFIG_ROWS; i++)
		if (strcmp(norm, config_row[i].key) == 0 ||
			(*config_row[i].alias && strcmp(norm, config_row[i].alias) == 0))
			return &config_row[i];
	return NULL;
}

static void
say_unknown(const char *dashes, const char *norm, struct err *err)
{
	const char *best = NULL;
	unsigned least = UINT32_MAX;

	for (unsigned i = 0; i < CONFIG_ROWS; i++) {
		const unsigned key = config_distance(norm, config_row[i].key);
		const unsigned alias = config_distance(norm, config_row[i].alias);

		if (MIN(key, alias) < least) {
			least = MIN(key, alias);
			best = config_row[i].key;
		}
	}
	if (least <= MAX(2u, (unsigned)strlen(norm) / 3))
		err_set(err, "unknown option %s%s; did you mean %s%s?", dashes, norm, dashes, best);
	else
		err_set(err, "unknown option %s%s; kirad --help lists them", dashes, norm);
}

static bool
truth(const char *text, bool *ret)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no",
		"off", "0"};

	for (size_t i = 0; i < ARRAY_LENGTH(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*ret = strcasecmp(text, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static void
list_add(struct config_list *list, const char *text)
{
	char *copy = copy_text(text), *rest = copy, *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		while (*word == ' ' || *word == '\t')
			word++;
		for (char *e = word + strlen(word); e > word && (e[-1] == ' ' || e[-1] == '\t'); e--)
			e[-1] = 0;
		if (!*word)
			continue;
		list->item = realloc(list->item, (list->n + 1) * sizeof(*list->item));
		ASSERT(list->item);
		list->item[list->n++] = copy_text(word);
	}
	free(copy);
}

static void
list_free(struct config_list *list)
{
	for (unsigned i = 0; i < list->n; i++)
		free(list->item[i]);
	free(list->item);
	*list = (struct config_list){0};
}

static bool
choose(const char *choices, const char *text, unsigned *ret)
{
	const size_t n = strlen(text);
	unsigned i = 0;

	for (const char *p = choices; *p; i++) {
		const size_t len = strcspn(p, "|");

		if (len == n && strncasecmp(p, text, n) == 0) {
			*ret = i;
			return true;
		}
		p += len + (p[len] == '|');
	}
	return false;
}

static int
set_option(struct config *cfg, const struct option *o, const char *text, struct err *err)
{
	void *field = config_field(cfg, o);
	int64_t n;
	double d;
	char *end;

	switch (o->kind) {
	case KIND_STRING:
		free(*(char **)field);
		*(char **)field = copy_text(text);
		return 0;
	case KIND_LIST:
		list_add(field, text);
		return 0;
	case KIND_NUMBER:
		if (!config_number(text, &n) || (double)n < o->min || (double)n > o->max) {
			err_set(err, "%s = %s: a number from %.0f to %.0f%s%s is wanted", o->key, text,
				o->min, o->max, *o->unit ? " " : "", o->unit);
			return -EINVAL;
		}
		*(int64_t *)field = n;
		return 0;
	case KIND_FRACTION:
		d = strtod(text, &end);
		if (end == text || *end || !(d >= o->min && d <= o->max)) {
			err_set(err, "%s = %s: a fraction from %.2f to %.2f is wanted", o->key, text,
				o->min, o->max);
			return -EINVAL;
		}
		*(double *)field = d;
		return 0;
	case KIND_FLAG:
		if (truth(text, field))
			return 0;
		err_set(err, "%s = %s: true or false is wanted", o->key, text);
		return -EINVAL;
	case KIND_CHOICE:
		if (choose(o->text, text, field))
			return 0;
		err_set(err, "%s = %s: one of %s is wanted", o->key, text, o->text);
		return -EINVAL;
	}
	return -EINVAL;
}

static void
set_defaults(struct config *cfg)
{
	*cfg = (struct config){0};
	for (unsigned i = 0; i < CONFIG_ROWS; i++) {
		const struct option *o = &config_row[i];
		void *field = config_field(cfg, o);

		if (o->kind == KIND_STRING)
			*(char **)field = copy_text(o->text);
		else if (o->kind == KIND_NUMBER)
			*(int64_t *)field = (int64_t)o->def;
		else if (o->kind == KIND_FRACTION)
			*(double *)field = o->def;
		else if (o->kind == KIND_FLAG)
			*(bool *)field = o->def != 0;
		else if (o->kind == KIND_CHOICE)
			ASSERT(choose(o->text, o->unit, field));
	}
}

struct file_read {
	struct config *cfg;
	struct err *err; /* of the first bad line */
	bool failed;
};

static int
file_line(void *arg, const char *section, const char *name, const char *value)
{
	struct file_read *f = arg;
	const struct option *o;
	char norm[KEY_MAX];

	if (f->failed)
		return 0;
	f->failed = true;
	if (*section) {
		err_set(f->err, "[%s]: sections are not used here; put %s above it", section, name);
		return 0;
	}
	o = find_option(name, norm);
	if (!o) {
		say_unknown("", norm, f->err);
		return 0;
	}
	if (strcmp(o->key, "config") == 0) {
		err_set(f->err, "a file cannot name another one (config)");
		return 0;
	}
	if (set_option(f->cfg, o, value ? value : "", f->err) < 0)
		return 0;
	f->failed = false;
	return 1;
}

static int
read_file(struct config *cfg, const char *path, struct err *err)
{
	struct file_read f = {cfg, err, false};
	int line;

	ini_max_line = LINE_MAX_BYTES;
	ini_allow_multiline = false;
	ini_allow_inline_comments = true;
	errno = 0;
	line = ini_parse(path, file_line, &f);
	if (line < 0)
		return err_sys(err, errno ? -errno : -EIO, "read %s", path);
	if (line > 0) {
		if (!f.failed)
			err_set(err, "neither `key = value` nor a comment");
		err_prefix(err, "%s:%d: ", path, line);
		return -EINVAL;
	}
	return 0;
}

/* One flag at argv[*i]; moves *i over a value that stands apart. */
static int
read_flag(struct config *cfg, int argc, char *const *argv, int *i, bool only_config,
	bool seen[CONFIG_ROWS], struct err *err)
{
	const char *word = argv[*i], *value = NULL;
	char name[KEY_MAX * 2], norm[KEY_MAX];
	const struct option *o;
	bool ignored;

	if (strncmp(word, "--", 2) != 0 || !word[2]) {
		err_set(err, "unexpected word '%s': options are written --key VALUE", word);
		return -EINVAL;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	if (strchr(word, '='))
		value = strchr(word, '=') + 1;
	o = find_option(name, norm);
	if (!o) {
		say_unknown("--", norm, err);
		return -EINVAL;
	}
	if (!value && o->kind == KIND_FLAG) {
		if (*i + 1 < argc && truth(argv[*i + 1], &ignored))
			value = argv[++*i];
		else
			value = "true";
	} else if (!value) {
		if (*i + 1 >= argc) {
			err_set(err, "--%s needs a value", o->key);
			return -EINVAL;
		}
		value = argv[++*i];
	}
	if (only_config != (strcmp(o->key, "config") == 0))
		return 0;
	/* A list given by flags replaces the file's; several flags add up. */
	if (o->kind == KIND_LIST && !seen[o - config_row])
		list_free(config_field(cfg, o));
	seen[o - config_row] = true;
	if (set_option(cfg, o, value, err) < 0) {
		err_prefix(err, "--");
		return -EINVAL;
	}
	return 0;
}

enum config_result
config_read(struct config *cfg, int argc, char *const *argv, struct err *err)
{
	bool seen[CONFIG_ROWS] = {false};

	set_defaults(cfg);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return CONFIG_HELP;
		if (strcmp(argv[i], "--version") == 0)
			return CONFIG_VERSION;
	}
	for (int i = 1; i < argc; i++)
		if (read_flag(cfg, argc, argv, &i, true, seen, err) < 0)
			return CONFIG_BAD;
	if (*cfg->config_file && read_file(cfg, cfg->config_file, err) < 0)
		return CONFIG_BAD;
	for (int i = 1; i < argc; i++)
		if (read_flag(cfg, argc, argv, &i, false, seen, err) < 0)
			return CONFIG_BAD;
	if (cfg->listen.n == 0)
		list_add(&cfg->listen, "127.0.0.1:9092");
	return CONFIG_OK;
}

void
config_free(struct config *cfg)
{
	for (unsigned i = 0; i < CONFIG_ROWS; i++) {
		void *field = config_field(cfg, &config_row[i]);

		if (config_row[i].kind == KIND_STRING)
			free(*(char **)field);
		else if (config_row[i].kind == KIND_LIST)
			list_free(field);
	}
	*cfg = (struct config){0};
}
