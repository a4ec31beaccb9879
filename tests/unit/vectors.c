/* SPDX-License-Identifier: MIT
 * vectors.c - reads tests/golden/wire/. See vectors.h. */
#include "tests/unit/vectors.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

FILE *
vectors_open(const char *file)
{
	char path[1024];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", WIRE_VECTORS, file);
	f = fopen(path, "r");
	ASSERT(f);
	return f;
}

/* "4b11" or "00*15" */
static void
add_bytes(struct vector *v, const char *text)
{
	unsigned byte, times;
	int used;

	if (sscanf(text, "%2x*%u", &byte, &times) == 2) {
		ASSERT(v->len + times <= sizeof(v->bytes));
		memset(v->bytes + v->len, (int)byte, times);
		v->len += times;
		return;
	}
	for (; *text; text += 2) {
		ASSERT(v->len < sizeof(v->bytes));
		ASSERT(sscanf(text, "%2x%n", &byte, &used) == 1 && used == 2);
		v->bytes[v->len++] = (uint8_t)byte;
	}
}

static void
add_field(struct vector *v, const char *key, const char *value)
{
	ASSERT(v->fields < ARRAY_LENGTH(v->field));
	ASSERT(strlen(key) < sizeof(v->field[0].key) && strlen(value) < sizeof(v->field[0].value));
	(void)snprintf(v->field[v->fields].key, sizeof(v->field[0].key), "%s", key);
	(void)snprintf(v->field[v->fields].value, sizeof(v->field[0].value), "%s", value);
	v->fields++;
}

bool
vectors_next(FILE *f, struct vector *ret)
{
	char line[512];
	bool begun = false;

	memset(ret, 0, sizeof(*ret));
	while (fgets(line, sizeof(line), f)) {
		char *value;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		if (line[0] == '\0') {
			if (begun)
				return true;
			continue;
		}
		value = strchr(line, ' ');
		ASSERT(value);
		*value++ = '\0';
		if (strcmp(line, "vector") == 0) {
			begun = true;
			(void)snprintf(ret->name, sizeof(ret->name), "%s", value);
		} else if (strcmp(line, "bytes") == 0) {
			add_bytes(ret, value);
		} else {
			add_field(ret, line, value);
		}
	}
	return begun;
}

const char *
vector_text(const struct vector *v, const char *key, unsigned nth)
{
	for (unsigned i = 0; i < v->fields; i++)
		if (strcmp(v->field[i].key, key) == 0 && nth-- == 0)
			return v->field[i].value;
	return NULL;
}

int64_t
vector_int(const struct vector *v, const char *key)
{
	const char *text = vector_text(v, key, 0);
	char *end;
	int64_t n;

	ASSERT(text);
	n = text[0] == '-' ? strtoll(text, &end, 10) : (int64_t)strtoull(text, &end, 0);
	ASSERT(*end == '\0' && end != text);
	return n;
}

bool
vector_is(const struct vector *v, const char *key, const char *value)
{
	const char *text = vector_text(v, key, 0);

	return text && strcmp(text, value) == 0;
}
