/* SPDX-License-Identifier: MIT
 * group_batch.c - the batches of __consumer_offsets, as Kafka's coordinator writes them. Pure.
 * A record: varint length | i8 attributes | varlong timestampDelta | varint offsetDelta | varint n, key |
 * varint n, value (-1 null) | varint headers. */
#include "control/groups/group_batch.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/writer.h"

#include <kira/record_batch.h>

#define NONE        (-1)

size_t
group_batch_room(const struct group_record *rec, unsigned n)
{
	size_t bytes = RB_HEADER;

	for (unsigned i = 0; i < n; i++)
		bytes += GROUP_RECORD_ROOM + (size_t)rec[i].key.len + rec[i].value.len;
	return bytes;
}

static size_t
varint_bytes(int32_t v)
{
	uint32_t zigzag = ((uint32_t)v << 1) ^ (uint32_t)(v >> 31);
	size_t n = 1;

	for (; zigzag >= 0x80; zigzag >>= 7)
		n++;
	return n;
}

static void
put_sized(struct writer *w, struct view v)
{
	kw_varint(w, v.p ? (int32_t)v.len : NONE);
	if (v.p)
		kw_raw(w, v.p, v.len);
}

static size_t
sized_bytes(struct view v)
{
	return v.p ? varint_bytes((int32_t)v.len) + v.len : varint_bytes(NONE);
}

uint32_t
group_batch_write(uint8_t *to, const struct group_record *rec, unsigned n, int64_t wall_ms)
{
	struct writer w = kw_open(to, group_batch_room(rec, n), false);
	uint32_t length;

	kw_i64(&w, 0);                  /* baseOffset: the storage lcore's */
	kw_i32(&w, 0);                  /* length: below */
	kw_i32(&w, NONE);               /* leaderEpoch: the storage lcore's */
	kw_i8(&w, 2);
	kw_i32(&w, 0);                  /* CRC: below */
	kw_i16(&w, 0);
	kw_i32(&w, (int32_t)n - 1);
	kw_i64(&w, wall_ms);
	kw_i64(&w, wall_ms);
	kw_i64(&w, NONE);
	kw_i16(&w, NONE);
	kw_i32(&w, NONE);
	kw_i32(&w, (int32_t)n);
	for (unsigned i = 0; i < n; i++) {
		const size_t bytes = 1 + 1 + varint_bytes((int32_t)i) + sized_bytes(rec[i].key) +
			sized_bytes(rec[i].value) + 1;

		kw_varint(&w, (int32_t)bytes);
		kw_i8(&w, 0);
		kw_varlong(&w, 0);
		kw_varint(&w, (int32_t)i);
		put_sized(&w, rec[i].key);
		put_sized(&w, rec[i].value);
		kw_varint(&w, 0);
	}
	ASSERT(!w.full);
	length = (uint32_t)kw_length(&w);
	put_be32(to + RB_LENGTH, length - RB_LENGTH_FROM);
	put_be32(to + RB_CRC, crc32c(to + RB_ATTRIBUTES, length - RB_ATTRIBUTES));
	return length;
}

enum group_walk_verdict
group_walk_open(struct group_walk *w, const uint8_t *batch, uint32_t length)
{
	if (length < RB_HEADER || rb_total(batch) != (int64_t)length || batch[RB_MAGIC] != 2)
		return GROUP_WALK_DAMAGED;
	if (rb_attributes(batch) & (RB_CODEC_MASK | RB_ATTR_CONTROL))
		return GROUP_WALK_OTHER;
	w->r = kr_open(batch + RB_HEADER, length - RB_HEADER, false);
	w->left = rb_count(batch);
	return GROUP_WALK_RECORDS;
}

static struct view
take_sized(struct reader *r)
{
	const int32_t n = kr_varint(r);
	struct view v = {NULL, 0};

	if (n == NONE)
		return v;
	v.p = n < 0 ? NULL : kr_take(r, (size_t)n);
	if (!v.p)
		r->bad = true;
	v.len = v.p ? (uint32_t)n : 0;
	return v;
}

bool
group_walk_next(struct group_walk *w, struct group_record *ret)
{
	const int32_t bytes = w->left > 0 && !w->r.bad ? kr_varint(&w->r) : 0;
	const uint8_t *p;
	struct reader r;

	if (w->left <= 0 || w->r.bad)
		return false;
	w->left--;
	p = bytes > 0 ? kr_take(&w->r, (size_t)bytes) : NULL;
	if (!p) {
		w->r.bad = true;
		return false;
	}
	r = kr_open(p, (size_t)bytes, false);
	(void)kr_i8(&r);
	(void)kr_varlong(&r);
	(void)kr_varint(&r);
	ret->key = take_sized(&r);
	ret->value = take_sized(&r);
	w->r.bad = r.bad; /* headers are not looked at: Kafka's coordinator writes none */
	return !r.bad;
}
