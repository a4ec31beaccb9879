/* SPDX-License-Identifier: MIT
 * catalogue.c - the bodies of kira.meta, kira.topics and kira.state, parsed. Pure; bytes from disk are judged:
 * their checksum was right, but another version, or a hand, may have written them. */
#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/uuid.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define PARTITIONS_MAX 1000000

/* ---- Words of a line ---------------------------------------------------------------------- */

/* The next word, ended by a space or the end of the line; NULL where there is none. */
static char *
word(char **p)
{
	char *w = *p, *end = w + strcspn(w, " ");

	if (end == w)
		return NULL;
	*p = *end ? end + 1 : end;
	*end = 0;
	return w;
}

static bool
number(char **p, int64_t min, int64_t max, int64_t *ret)
{
	const char *w = word(p);
	char *end;

	if (!w || !((*w >= '0' && *w <= '9') || *w == '-'))
		return false;
	errno = 0;
	*ret = strtoll(w, &end, 10);
	return errno == 0 && *end == 0 && *ret >= min && *ret <= max;
}

static bool
topic_name(char **p, char ret[TOPIC_NAME_MAX + 1])
{
	const char *w = word(p);
	const size_t n = w ? strlen(w) : 0;

	/* It becomes a path: no more than Kafka's characters. */
	if (n == 0 || n > TOPIC_NAME_MAX || strcmp(w, ".") == 0 || strcmp(w, "..") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((w[i] >= 'a' && w[i] <= 'z') || (w[i] >= 'A' && w[i] <= 'Z') ||
			(w[i] >= '0' && w[i] <= '9') || strchr("._-", w[i])))
			return false;
	memcpy(ret, w, n + 1);
	return true;
}

static bool
topic_id(char **p, uint8_t id[16])
{
	const char *w = word(p);

	return w && uuid_parse(w, id);
}

/* ---- kira.meta ---------------------------------------------------------------------------- */

/* The format comes first, so that any kirad can say what it does not know; lines that it does not know
 * are of a newer one. */
bool
catalogue_parse_meta(const char *body, int32_t *format, char cluster_id[23])
{
	char *text = strdup(body), *line, *rest = text, *p, *value;
	bool first = true, good = true, named = false;
	uint8_t id[16];
	int64_t v;

	ASSERT(text);
	while (good && (line = strsep(&rest, "\n")) != NULL && (*line || rest)) {
		const char *key;

		p = line;
		key = word(&p);
		if (first) {
			good = key && strcmp(key, "format") == 0 && number(&p, 1, INT32_MAX, &v) && !*p;
			*format = good ? (int32_t)v : 0;
		} else if (key && strcmp(key, "cluster.id") == 0) {
			value = word(&p);
			good = named = value && uuid_parse(value, id) && !*p;
			if (good)
				memcpy(cluster_id, value, strlen(value) + 1);
		}
		first = false;
	}
	free(text);
	return good && named;
}

/* ---- kira.topics -------------------------------------------------------------------------- */

static bool
parse_topic(char *p, struct storage_topic **topic, unsigned *n)
{
	struct storage_topic t = {.partitions = 0};
	int64_t partitions;

	if (!topic_name(&p, t.name) || !topic_id(&p, t.id) ||
		!number(&p, 1, PARTITIONS_MAX, &partitions) || *p)
		return false;
	t.partitions = (int32_t)partitions;
	*topic = realloc(*topic, (*n + 1) * sizeof(**topic));
	ASSERT(*topic);
	(*topic)[(*n)++] = t;
	return true;
}

/* A configuration of the topic named last. The value may hold anything but a line's end. */
static bool
parse_config(char *p, struct storage_topic *topic, unsigned n)
{
	struct storage_topic *t = n ? &topic[n - 1] : NULL;
	const char *key, **config;
	char name[TOPIC_NAME_MAX + 1];

	if (!t || !topic_name(&p, name) || strcmp(name, t->name) != 0)
		return false;
	key = word(&p);
	if (!key)
		return false;
	config = realloc((void *)(uintptr_t)t->config, (t->configs + 1) * 2 * sizeof(*config));
	ASSERT(config);
	config[2 * t->configs] = strdup(key);
	config[2 * t->configs + 1] = strdup(p);
	ASSERT(config[2 * t->configs] && config[2 * t->configs + 1]);
	t->config = config;
	t->configs++;
	return true;
}

bool
catalogue_parse(const char *body, struct storage_topic **topic, unsigned *n)
{
	char *text = strdup(body), *line, *rest = text;
	bool good = true;

	ASSERT(text);
	*topic = NULL;
	*n = 0;
	while (good && (line = strsep(&rest, "\n")) != NULL && (*line || rest)) {
		char *p = line;
		const char *kind = word(&p);

		if (kind && strcmp(kind, "t") == 0)
			good = parse_topic(p, topic, n);
		else if (kind && strcmp(kind, "c") == 0)
			good = parse_config(p, *topic, *n);
		else
			good = kind && strcmp(kind, "version") == 0;
	}
	free(text);
	if (good)
		return true;
	catalogue_free(*topic, *n);
	*topic = NULL;
	*n = 0;
	return false;
}

void
catalogue_put_topics(FILE *f, const struct storage_topic *topic, const bool *take, unsigned n)
{
	char id[23];

	fprintf(f, "version 1\n");
	for (unsigned i = 0; i < n; i++) {
		if (!take[i])
			continue;
		uuid_put(id, topic[i].id);
		fprintf(f, "t %s %s %" PRId32 "\n", topic[i].name, id, topic[i].partitions);
		for (uint32_t k = 0; k < topic[i].configs; k++)
			fprintf(f, "c %s %s %s\n", topic[i].name, topic[i].config[2 * k],
				topic[i].config[2 * k + 1]);
	}
}

void
catalogue_free(struct storage_topic *topic, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		for (uint32_t j = 0; j < 2 * topic[i].configs; j++)
			free((void *)(uintptr_t)topic[i].config[j]);
		free((void *)(uintptr_t)topic[i].config);
	}
	free(topic);
}

/* ---- kira.state --------------------------------------------------------------------------- */

const char *const catalogue_state_name[PART_HALTED + 1] = {"ok", "failed", "halted"};

static bool
parse_row(char *p, struct state_row *row)
{
	int64_t partition, epoch, bytes;
	const char *state;

	*row = (struct state_row){.state = PART_OK, .last_base = -1};
	if (!topic_name(&p, row->topic) || !number(&p, 0, PARTITIONS_MAX, &partition) ||
		!topic_id(&p, row->id) || !number(&p, -1, INT32_MAX - 1, &epoch) ||
		!number(&p, 0, INT64_MAX, &row->start) || !number(&p, 0, INT64_MAX, &row->recovery))
		return false;
	row->partition = (int32_t)partition;
	row->epoch = (int32_t)epoch;
	state = word(&p);
	for (unsigned i = 0; state && i < ARRAY_LENGTH(catalogue_state_name); i++) {
		if (strcmp(state, catalogue_state_name[i]) == 0) {
			row->state = (enum partition_state)i;
			if (*p == 0)
				return true; /* no sealed file ends there; or of format 1 */
			if (!number(&p, 0, row->recovery - 1, &row->last_base) ||
				!number(&p, 0, INT32_MAX, &bytes))
				return false;
			row->last_bytes = (uint64_t)bytes;
			return *p == 0;
		}
	}
	return false;
}

/* Of the partition of the row before it. */
static bool
parse_hole(char *p, struct state_row *row)
{
	char topic[TOPIC_NAME_MAX + 1];
	int64_t partition, from, to;

	if (!row || !topic_name(&p, topic) || strcmp(topic, row->topic) != 0 ||
		!number(&p, row->partition, row->partition, &partition) ||
		!number(&p, 0, INT64_MAX, &from) || !number(&p, 0, INT64_MAX, &to) || *p)
		return false;
	if (from >= to || to > row->recovery || (row->holes.n > 0 &&
		from <= row->holes.hole[row->holes.n - 1].to))
		return false;
	holes_add(&row->holes, from, to);
	return true;
}

void
catalogue_put_head(FILE *f, uint64_t incarnation, bool clean, int64_t wall_ms)
{
	fprintf(f, "incarnation %" PRIu64 "\nclean %d\nwall_ms %" PRId64 "\n", incarnation, clean, wall_ms);
}

void
catalogue_put_row(FILE *f, const struct state_row *row)
{
	const struct holes *h = &row->holes;
	char id[23];

	uuid_put(id, row->id);
	fprintf(f, "p %s %" PRId32 " %s %" PRId32 " %" PRId64 " %" PRId64 " %s", row->topic,
		row->partition, id, row->epoch, row->start, row->recovery,
		catalogue_state_name[row->state]);
	if (row->last_base >= 0 && row->last_base < row->recovery)
		fprintf(f, " %" PRId64 " %" PRIu64, row->last_base, row->last_bytes);
	fprintf(f, "\n");
	for (unsigned i = 0; i < h->n; i++)
		if (h->hole[i].to > row->start)
			fprintf(f, "hole %s %" PRId32 " %" PRId64 " %" PRId64 "\n", row->topic,
				row->partition, h->hole[i].from, h->hole[i].to);
}

void
catalogue_free_rows(struct state_row *row, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		holes_free(&row[i].holes);
	free(row);
}

bool
catalogue_parse_state(const char *body, uint64_t *incarnation, bool *clean, struct state_row **row,
	unsigned *n)
{
	char *text = strdup(body), *line, *rest = text;
	bool good = true, counted = false;
	int64_t v;

	ASSERT(text);
	*row = NULL;
	*n = 0;
	*clean = false;
	while (good && (line = strsep(&rest, "\n")) != NULL && (*line || rest)) {
		char *p = line;
		const char *kind = word(&p);

		if (kind && strcmp(kind, "p") == 0) {
			*row = realloc(*row, (*n + 1) * sizeof(**row));
			ASSERT(*row);
			good = parse_row(p, &(*row)[(*n)++]);
		} else if (kind && strcmp(kind, "hole") == 0) {
			good = parse_hole(p, *n ? &(*row)[*n - 1] : NULL);
		} else if (kind && strcmp(kind, "incarnation") == 0) {
			good = counted = number(&p, 1, INT64_MAX - 1, &v);
			*incarnation = (uint64_t)v;
		} else if (kind && strcmp(kind, "clean") == 0) {
			good = number(&p, 0, 1, &v);
			*clean = good && v == 1;
		} else {
			good = kind && strcmp(kind, "wall_ms") == 0;
		}
	}
	free(text);
	if (good && counted)
		return true;
	catalogue_free_rows(*row, *n);
	*row = NULL;
	*n = 0;
	return false;
}
