/* SPDX-License-Identifier: MIT
 * topic_config.c - judge, keep and print the configurations of a topic.
 * Thread: control. Owns: nothing. Never: touches a partition; see topics.c. */
#include "control/topic_config.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

enum kind { KIND_LONG, KIND_WORD, KIND_FIXED };

struct row {
	const char *name, *broker_name;
	enum kind kind;
	size_t at;
	int64_t def, min, max;
	const char *text, *words; /* default word or fixed value; words */
	const char *help;
};

static const struct row row_table[] = {
#define AT(field) offsetof(struct topic_config, field)
#define LONG(name, broker, field, def, min, max, help)                                             \
	{name, broker, KIND_LONG, AT(field), def, min, max, NULL, NULL, help},
#define WORD(name, broker, field, def, words, help)                                                \
	{name, broker, KIND_WORD, AT(field), 0, 0, 0, def, words, help},
#define FIXED(name, broker, value, help) {name, broker, KIND_FIXED, 0, 0, 0, 0, value, NULL, help},
#include "control/topic_config.def"
#undef LONG
#undef WORD
#undef FIXED
};

unsigned
topic_config_count(void)
{
	return ARRAY_LENGTH(row_table);
}

const char *
topic_config_name(unsigned row)
{
	return row_table[row].name;
}

const char *
topic_config_broker_name(unsigned row)
{
	return row_table[row].broker_name;
}

const char *
topic_config_help(unsigned row)
{
	return row_table[row].help;
}

int
topic_config_row(const char *name, uint32_t length)
{
	for (unsigned i = 0; i < ARRAY_LENGTH(row_table); i++)
		if (strlen(row_table[i].name) == length &&
			memcmp(row_table[i].name, name, length) == 0)
			return (int)i;
	return -1;
}

enum config_type
topic_config_type(unsigned row)
{
	static const char *const int_rows[] = {"segment.bytes", "max.message.bytes",
		"min.insync.replicas", "index.interval.bytes", "segment.index.bytes"};
	const struct row *r = &row_table[row];

	for (size_t i = 0; i < ARRAY_LENGTH(int_rows); i++)
		if (strcmp(r->name, int_rows[i]) == 0)
			return CONFIG_INT;
	if (strcmp(r->name, "cleanup.policy") == 0)
		return CONFIG_LIST;
	if (r->kind == KIND_LONG || (r->kind == KIND_FIXED && r->text[0] >= '0' && r->text[0] <= '9'))
		return strcmp(r->name, "min.cleanable.dirty.ratio") == 0 ? CONFIG_DOUBLE : CONFIG_LONG;
	if (r->kind == KIND_FIXED && (strcmp(r->text, "true") == 0 || strcmp(r->text, "false") == 0))
		return CONFIG_BOOLEAN;
	return CONFIG_STRING;
}

/* The i-th of "a|b|c". */
static void
word_at(const char *words, unsigned i, char ret[TOPIC_CONFIG_VALUE_MAX + 1])
{
	for (; i > 0; i--)
		words += strcspn(words, "|") + 1;
	(void)snprintf(ret, TOPIC_CONFIG_VALUE_MAX + 1, "%.*s", (int)strcspn(words, "|"), words);
}

static int
find_word(const char *words, const char *value)
{
	char word[TOPIC_CONFIG_VALUE_MAX + 1];
	unsigned n = 1;

	for (const char *p = words; *p; p++)
		n += *p == '|';
	for (unsigned i = 0; i < n; i++) {
		word_at(words, i, word);
		if (strcmp(word, value) == 0)
			return (int)i;
	}
	return -1;
}

void
topic_config_text(unsigned row, const struct topic_config *cfg, char ret[TOPIC_CONFIG_VALUE_MAX + 1])
{
	const struct row *r = &row_table[row];
	const void *field = (const char *)cfg + r->at;

	if (r->kind == KIND_LONG)
		(void)snprintf(ret, TOPIC_CONFIG_VALUE_MAX + 1, "%" PRId64, *(const int64_t *)field);
	else if (r->kind == KIND_WORD)
		word_at(r->words, *(const unsigned *)field, ret);
	else
		(void)snprintf(ret, TOPIC_CONFIG_VALUE_MAX + 1, "%s", r->text);
}

void
topic_config_defaults(struct topic_config *cfg)
{
	*cfg = (struct topic_config){0};
	for (unsigned i = 0; i < ARRAY_LENGTH(row_table); i++) {
		const struct row *r = &row_table[i];
		void *field = (char *)cfg + r->at;

		if (r->kind == KIND_LONG)
			*(int64_t *)field = r->def;
		else if (r->kind == KIND_WORD)
			*(unsigned *)field = (unsigned)find_word(r->words, r->text);
	}
}

int
topic_config_set(struct topic_config *cfg, unsigned row, const char *value, struct err *err)
{
	const struct row *r = &row_table[row];
	void *field = (char *)cfg + r->at;
	int64_t n = 0;
	int word;
	char *end;

	if (strlen(value) > TOPIC_CONFIG_VALUE_MAX) {
		err_set(err, "%s: a value of more than %d bytes", r->name, TOPIC_CONFIG_VALUE_MAX);
		return -EINVAL;
	}
	if (r->kind == KIND_FIXED) {
		if (strcmp(value, r->text) == 0)
			return 0;
		err_set(err, "%s=%s: only %s is offered", r->name, value, r->text);
		return -EINVAL;
	}
	if (r->kind == KIND_WORD) {
		word = find_word(r->words, value);
		if (word < 0) {
			err_set(err, "%s=%s: one of %s is wanted", r->name, value, r->words);
			return -EINVAL;
		}
		*(unsigned *)field = (unsigned)word;
		return 0;
	}
	errno = 0;
	n = strtoll(value, &end, 10);
	/* It skips white space, and a line's end would be one in kira.topics, too. */
	if (!(*value == '-' || (*value >= '0' && *value <= '9')) || end == value || *end || errno == ERANGE ||
		n < r->min || n > r->max) {
		err_set(err, "%s=%s: a number from %" PRId64 " to %" PRId64 " is wanted", r->name, value,
			r->min, r->max);
		return -EINVAL;
	}
	*(int64_t *)field = n;
	return 0;
}

int
topic_config_settle(struct topic_config *cfg, bool own_max, struct err *err)
{
	enum { VISIBILITY_DEFAULT, VISIBILITY_LOG, VISIBILITY_DISK };

	if (own_max && cfg->log.max_message_bytes > cfg->log.segment_bytes) {
		err_set(err, "max.message.bytes=%" PRId64 " is above segment.bytes=%" PRId64
			": no segment could take such a batch", cfg->log.max_message_bytes,
			cfg->log.segment_bytes);
		return -EINVAL;
	}
	if (cfg->log.flush_messages == 1)
		cfg->ack_min = ACK_DISK;
	cfg->log.log_append_time = cfg->timestamp_type == 1;
	cfg->log.rewrite_lz4 = cfg->compression == 1;
	cfg->log.visible_at_disk = cfg->visibility == VISIBILITY_DISK ||
		(cfg->visibility == VISIBILITY_DEFAULT && cfg->ack_min == ACK_DISK);
	return 0;
}

enum ack_level
topic_config_level(const struct topic_config *cfg, int16_t acks)
{
	const enum ack_level all = cfg->ack_all == 0 ? ACK_LOG : ACK_DISK;
	const enum ack_level level = acks == 0 ? ACK_NONE : acks == 1 ? ACK_LOG : all;

	return acks == 0 ? ACK_NONE : MAX(level, (enum ack_level)cfg->ack_min);
}
