/* SPDX-License-Identifier: MIT
 * epoch.c - see the header. Model: Kafka's LeaderEpochFileCache. */
#include "storage/epoch.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCHS_MAX 1000000

/* A non-negative decimal number that ends at `stop`, which is stepped over. */
static bool
number(const char **p, const char *end, char stop, int64_t max, int64_t *ret)
{
	int64_t v = 0;
	const char *start = *p;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
		const int digit = **p - '0';

		if (digit > max || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (*p == start || *p >= end || **p != stop)
		return false;
	(*p)++;
	*ret = v;
	return true;
}

bool
epochs_parse(struct epochs *e, const char *text, size_t length)
{
	const char *p = text, *end = text + length;
	int64_t version, n, epoch, start;

	*e = (struct epochs){NULL, 0};
	if (!number(&p, end, '\n', 0, &version) || !number(&p, end, '\n', EPOCHS_MAX, &n))
		return false;
	if (n == 0 || n > (end - p) / 4) /* "0 0\n" */
		return false;
	e->entry = calloc((size_t)n, sizeof(*e->entry));
	ASSERT(e->entry);
	for (; e->n < n; e->n++) {
		const struct epoch_entry *last = e->n ? &e->entry[e->n - 1] : NULL;

		if (!number(&p, end, ' ', INT32_MAX - 1, &epoch) ||
			!number(&p, end, '\n', INT64_MAX - 1, &start))
			break;
		if (last && (epoch <= last->epoch || start <= last->start))
			break;
		e->entry[e->n] = (struct epoch_entry){(int32_t)epoch, start};
	}
	if (e->n == n && p == end)
		return true;
	epochs_free(e);
	return false;
}

char *
epochs_text(const struct epochs *e)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ASSERT(f);
	fprintf(f, "0\n%" PRIu32 "\n", e->n);
	for (uint32_t i = 0; i < e->n; i++)
		fprintf(f, "%" PRId32 " %" PRId64 "\n", e->entry[i].epoch, e->entry[i].start);
	ASSERT(fclose(f) == 0);
	return text;
}

void
epochs_free(struct epochs *e)
{
	free(e->entry);
	*e = (struct epochs){NULL, 0};
}

void
epochs_begin(struct epochs *e, int32_t epoch, int64_t start)
{
	while (e->n > 0 && e->entry[e->n - 1].start >= start)
		e->n--;
	e->entry = realloc(e->entry, (e->n + 1) * sizeof(*e->entry));
	ASSERT(e->entry);
	ASSERT(e->n == 0 || e->entry[e->n - 1].epoch < epoch);
	e->entry[e->n++] = (struct epoch_entry){epoch, start};
}

int32_t
epochs_latest(const struct epochs *e)
{
	return e->n ? e->entry[e->n - 1].epoch : -1;
}

int32_t
epochs_at(const struct epochs *e, int64_t offset)
{
	uint32_t i = e->n;

	while (i > 0 && e->entry[i - 1].start > offset)
		i--;
	return i ? e->entry[i - 1].epoch : -1;
}

void
epochs_end(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found, int64_t *end)
{
	uint32_t i = e->n;

	*found = -1;
	*end = -1;
	/* An epoch of the future is unknown: the client knows more than we do. */
	if (e->n == 0 || epoch > epochs_latest(e))
		return;
	while (i > 0 && e->entry[i - 1].epoch > epoch)
		i--;
	if (i == 0) {
		/* Below the first: Kafka answers the epoch asked for, with the first one's start. */
		*found = epoch;
		*end = e->entry[0].start;
		return;
	}
	*found = e->entry[i - 1].epoch;
	*end = i < e->n ? e->entry[i].start : log_end;
}
