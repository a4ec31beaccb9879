/* SPDX-License-Identifier: MIT
 * offset_record.c - keys and values of committed offsets, in Kafka's bytes. Pure. */
#include "control/groups/offset_record.h"

#define KEY_OFFSET   1
#define KEY_GROUP    2
#define VALUE_NEWEST 3

bool
group_key_read(struct group_key *ret, struct view key)
{
	struct reader r = kr_open(key.p, key.len, false);
	const int16_t version = kr_i16(&r);

	*ret = (struct group_key){.kind = GROUP_KEY_OTHER};
	if (r.bad)
		return false;
	if (version < 0 || version > KEY_GROUP)
		return true;
	ret->kind = version == KEY_GROUP ? GROUP_KEY_GROUP : GROUP_KEY_OFFSET;
	ret->group = kr_string(&r);
	if (ret->kind == GROUP_KEY_OFFSET) {
		ret->topic = kr_string(&r);
		ret->partition = kr_i32(&r);
	}
	return !r.bad && ret->group.p && ret->partition >= 0 &&
		(ret->kind == GROUP_KEY_GROUP || ret->topic.p);
}

bool
offset_value_read(struct offset_record *ret, struct view value)
{
	struct reader r = kr_open(value.p, value.len, false);
	const int16_t version = kr_i16(&r);

	*ret = (struct offset_record){.leader_epoch = -1};
	if (version < 0 || version > VALUE_NEWEST)
		return false;
	ret->offset = kr_i64(&r);
	if (version >= 3)
		ret->leader_epoch = kr_i32(&r);
	ret->metadata = kr_string(&r);
	ret->commit_ms = kr_i64(&r);
	if (version == 1)
		(void)kr_i64(&r); /* expireTimestamp: retention is the broker's */
	return !r.bad && ret->metadata.p;
}

void
offset_key_write(struct writer *w, struct view group, struct view topic, int32_t partition)
{
	kw_i16(w, KEY_OFFSET);
	kw_view(w, group);
	kw_view(w, topic);
	kw_i32(w, partition);
}

void
offset_value_write(struct writer *w, const struct offset_record *o)
{
	kw_i16(w, VALUE_NEWEST);
	kw_i64(w, o->offset);
	kw_i32(w, o->leader_epoch);
	kw_view(w, o->metadata);
	kw_i64(w, o->commit_ms);
}

/* The next code point of UTF-8; U+FFFD and one byte where there is none. */
static uint32_t
code_point(const uint8_t **p, const uint8_t *end)
{
	const uint8_t first = *(*p)++;
	const unsigned more = first < 0x80 ? 0 : (first & 0xe0) == 0xc0 ? 1 : (first & 0xf0) == 0xe0 ? 2 :
		(first & 0xf8) == 0xf0 ? 3 : 4;
	uint32_t c = more == 0 ? first : first & (0x3fu >> more);

	if (more == 4 || (size_t)(end - *p) < more)
		return 0xfffd;
	for (unsigned i = 0; i < more; i++) {
		if (((*p)[i] & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | ((*p)[i] & 0x3f);
	}
	*p += more;
	return c;
}

int32_t
group_partition(struct view group, int32_t partitions)
{
	const uint8_t *p = group.p, *end = p + group.len;
	uint32_t h = 0;

	while (p < end) {
		const uint32_t c = code_point(&p, end);

		if (c >= 0x10000) {
			h = h * 31 + (0xd800 + ((c - 0x10000) >> 10));
			h = h * 31 + (0xdc00 + ((c - 0x10000) & 0x3ff));
		} else {
			h = h * 31 + c;
		}
	}
	if (h & 0x80000000u)
		h = 0u - h;
	return (int32_t)((h & 0x80000000u ? 0 : h) % (uint32_t)partitions);
}
