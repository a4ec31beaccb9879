/* SPDX-License-Identifier: MIT
 * fuzz_catalogue.c - small text files whose checksum was right: kira.topics (byte 0: 't'), kira.state
 * ('s'), kira.meta ('m'), leader-epoch-checkpoint ('e'). What is taken keeps its promises: names are names, numbers
 * are in range, epochs rise; an epoch file comes back byte for byte. */
#include "storage/directory.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(const char *name)
{
	const size_t n = strlen(name);

	if (n < 1 || n > TOPIC_NAME_MAX || strchr(name, '/') || strcmp(name, "..") == 0 ||
		strcmp(name, ".") == 0)
		__builtin_trap();
}

static void
topics(const char *text)
{
	struct storage_topic *topic;
	unsigned n;

	if (!catalogue_parse(text, &topic, &n)) {
		if (topic || n)
			__builtin_trap();
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		check_name(topic[i].name);
		if (topic[i].partitions < 1)
			__builtin_trap();
		for (uint32_t k = 0; k < 2 * topic[i].configs; k++)
			if (strchr(topic[i].config[k], '\n'))
				__builtin_trap();
	}
	catalogue_free(topic, n);
}

static void
state(const char *text)
{
	struct state_row *row;
	uint64_t incarnation;
	unsigned n;
	bool clean;

	if (!catalogue_parse_state(text, &incarnation, &clean, &row, &n)) {
		if (row || n)
			__builtin_trap();
		return;
	}
	if (incarnation == 0)
		__builtin_trap();
	for (unsigned i = 0; i < n; i++) {
		check_name(row[i].topic);
		if (row[i].partition < 0 || row[i].start < 0 || row[i].recovery < 0 ||
			row[i].epoch < -1 || row[i].state > PART_HALTED)
			__builtin_trap();
		for (unsigned k = 0; k < row[i].holes.n; k++)
			if (row[i].holes.hole[k].from >= row[i].holes.hole[k].to ||
				row[i].holes.hole[k].to > row[i].recovery ||
				(k > 0 && row[i].holes.hole[k].from <= row[i].holes.hole[k - 1].to))
				__builtin_trap();
	}
	catalogue_free_rows(row, n);
}

static void
epochs(const char *text, size_t length)
{
	struct epochs e;
	char *again;

	if (!epochs_parse(&e, text, length)) {
		if (e.entry || e.n)
			__builtin_trap();
		return;
	}
	for (uint32_t i = 0; i < e.n; i++)
		if (e.entry[i].epoch < 0 || e.entry[i].start < 0 ||
			(i > 0 && (e.entry[i].epoch <= e.entry[i - 1].epoch ||
					  e.entry[i].start <= e.entry[i - 1].start)))
			__builtin_trap();
	again = epochs_text(&e); /* leading zeros are read, and not written again */
	if (strlen(again) > length)
		__builtin_trap();
	epochs_begin(&e, epochs_latest(&e) + 1, e.entry[e.n - 1].start / 2);
	if (epochs_at(&e, INT64_MAX) != epochs_latest(&e))
		__builtin_trap();
	free(again);
	epochs_free(&e);
}

static void
meta(const char *text)
{
	char cluster[23] = {0};
	int32_t format = -1;

	if (catalogue_parse_meta(text, &format, cluster) && (format < 1 || strlen(cluster) != 22))
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	if (data[0] == 't')
		topics(text);
	else if (data[0] == 's')
		state(text);
	else if (data[0] == 'm')
		meta(text);
	else
		epochs(text, size - 1);
	free(text);
	return 0;
}
