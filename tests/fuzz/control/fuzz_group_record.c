/* SPDX-License-Identifier: MIT
 * fuzz_group_record.c - any bytes as a batch of __consumer_offsets: its records, their keys and values. Views lie
 * within the input; a key or value that is taken is written again as it was, where its version is the newest. */
#include "control/groups/group_batch.h"
#include "control/groups/offset_record.h"

#include <kira/record_batch.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const struct writer *w, struct view is, int16_t version)
{
	if (w->full || (get_be16(is.p) == version && (kw_length(w) > is.len || memcmp(w->start, is.p, kw_length(w)) != 0)))
		__builtin_trap();
}

static void
judge(const struct group_record *rec)
{
	static uint8_t to[256 * 1024];
	struct writer w = kw_open(to, sizeof(to), false);
	struct offset_record o;
	struct group_key key;

	if (rec->key.p && group_key_read(&key, rec->key) && key.kind == GROUP_KEY_OFFSET) {
		(void)group_partition(key.group, 50);
		offset_key_write(&w, key.group, key.topic, key.partition);
		same(&w, rec->key, 1);
	}
	w = kw_open(to, sizeof(to), false);
	if (rec->value.p && offset_value_read(&o, rec->value)) {
		offset_value_write(&w, &o);
		same(&w, rec->value, 3);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct group_record rec;
	struct group_walk w;
	int32_t n = 0;

	if (size > UINT32_MAX || group_walk_open(&w, data, (uint32_t)size) != GROUP_WALK_RECORDS)
		return 0;
	while (group_walk_next(&w, &rec)) {
		const struct view both[] = {rec.key, rec.value};

		for (int i = 0; i < 2; i++)
			if (both[i].p && (both[i].p < data || both[i].p + both[i].len > data + size))
				__builtin_trap();
		if (++n > rb_count(data))
			__builtin_trap();
		judge(&rec);
	}
	return 0;
}
