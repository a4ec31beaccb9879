/* SPDX-License-Identifier: MIT
 * records.c - see the header. Record format: include/kira/record_batch.h and Kafka's DefaultRecord. */
#include "storage/records.h"

#include "storage/codec.h"

#include "base/bits.h"
#include "base/reader.h"

#include <kira/record_batch.h>

#include <stdlib.h>


static bool
find(struct reader r, const uint8_t *batch, int64_t from, int64_t target, int64_t *offset, int64_t *timestamp)
{
	const int64_t base = rb_base_timestamp(batch);

	for (int32_t i = 0; i < rb_count(batch); i++) {
		const int32_t length = kr_varint(&r);
		struct reader one;
		int64_t at;
		int32_t delta;

		if (r.bad || length < 0 || (size_t)length > kr_left(&r))
			return false;
		one = kr_open(r.p, (size_t)length, false);
		(void)kr_i8(&one);
		at = (int64_t)((uint64_t)base + (uint64_t)kr_varlong(&one));
		delta = kr_varint(&one);
		if (one.bad || delta < 0 || delta > rb_last_offset_delta(batch))
			return false;
		if (at >= target && rb_base_offset(batch) + delta >= from) {
			*offset = rb_base_offset(batch) + delta;
			*timestamp = at;
			return true;
		}
		(void)kr_take(&r, (size_t)length);
	}
	return false;
}

bool
records_find_time(const uint8_t *batch, int64_t from, int64_t target_ms, int64_t *offset,
	int64_t *timestamp_ms)
{
	const uint16_t attributes = rb_attributes(batch);
	const uint8_t *payload = batch + RB_HEADER;
	const size_t length = (size_t)rb_total(batch) - RB_HEADER;
	uint8_t *raw;
	size_t n;
	bool found;

	if (attributes & RB_ATTR_LOG_APPEND) {
		/* One timestamp for all of them. */
		*offset = MAX(rb_base_offset(batch), from);
		*timestamp_ms = rb_max_timestamp(batch);
		return *timestamp_ms >= target_ms && *offset <= rb_base_offset(batch) + rb_last_offset_delta(batch);
	}
	if ((attributes & RB_CODEC_MASK) == 0)
		return find(kr_open(payload, length, false), batch, from, target_ms, offset, timestamp_ms);
	raw = codec_open(attributes & RB_CODEC_MASK, payload, length, RECORDS_RAW_MAX, &n);
	found = raw && find(kr_open(raw, n, false), batch, from, target_ms, offset, timestamp_ms);
	free(raw);
	return found;
}

/* ---- Each record, for tools ---------------------------------------------------------------- */

static struct view
sized(struct reader *r)
{
	const int32_t n = kr_varint(r);
	struct view v = {NULL, 0};

	if (n < -1)
		r->bad = true;
	if (n < 0)
		return v;
	v.p = kr_take(r, (size_t)n);
	v.len = v.p ? (uint32_t)n : 0;
	return v;
}

void
records_header(struct record *r, struct view *name, struct view *value)
{
	*name = sized(&r->rest);
	*value = sized(&r->rest);
}

/* One record, which must fill its bytes. */
static bool
decode(struct reader one, const uint8_t *batch, struct record *ret)
{
	const int64_t base_ms = rb_base_timestamp(batch);
	struct record walk;
	struct view name, value;
	const uint8_t attributes = kr_u8(&one);
	const int64_t at = (int64_t)((uint64_t)base_ms + (uint64_t)kr_varlong(&one));
	const int32_t delta = kr_varint(&one);

	if (one.bad || delta < 0 || delta > rb_last_offset_delta(batch))
		return false;
	*ret = (struct record){
		.offset = (int64_t)((uint64_t)rb_base_offset(batch) + (uint64_t)delta),
		.timestamp_ms = rb_attributes(batch) & RB_ATTR_LOG_APPEND ? rb_max_timestamp(batch) : at,
		.created_ms = at,
		.attributes = attributes,
		.body = {one.p, (uint32_t)kr_left(&one)},
	};
	ret->key = sized(&one);
	ret->value = sized(&one);
	ret->headers = kr_varint(&one);
	ret->rest = one;
	/* Two bytes at least, each. */
	if (one.bad || ret->headers < 0 || (size_t)ret->headers > kr_left(&one) / 2)
		return false;
	walk = *ret;
	for (int32_t i = 0; i < ret->headers && !walk.rest.bad; i++) {
		records_header(&walk, &name, &value);
		walk.rest.bad |= !name.p;
	}
	return !walk.rest.bad && kr_left(&walk.rest) == 0;
}

static enum records_verdict
walk(struct reader r, const uint8_t *batch, bool (*each)(void *arg, struct record *r), void *arg)
{
	for (int32_t i = 0; i < rb_count(batch); i++) {
		const int32_t length = kr_varint(&r);
		struct record one;

		if (r.bad || length < 0 || (size_t)length > kr_left(&r) ||
			!decode(kr_open(r.p, (size_t)length, false), batch, &one))
			return RECORDS_BROKEN;
		if (!each(arg, &one))
			return RECORDS_WHOLE;
		(void)kr_take(&r, (size_t)length);
	}
	return kr_left(&r) == 0 ? RECORDS_WHOLE : RECORDS_BROKEN;
}

enum records_verdict
records_each_within(const uint8_t *batch, size_t raw_max, bool (*each)(void *arg, struct record *r), void *arg)
{
	const unsigned codec = rb_attributes(batch) & RB_CODEC_MASK;
	const uint8_t *payload = batch + RB_HEADER;
	const size_t length = (size_t)rb_total(batch) - RB_HEADER;
	enum records_verdict verdict = RECORDS_BROKEN;
	uint8_t *raw;
	size_t n;

	if (codec == 0)
		return walk(kr_open(payload, length, false), batch, each, arg);
	raw = codec_open(codec, payload, length, raw_max, &n);
	if (raw)
		verdict = walk(kr_open(raw, n, false), batch, each, arg);
	free(raw);
	return verdict;
}

enum records_verdict
records_each(const uint8_t *batch, bool (*each)(void *arg, struct record *r), void *arg)
{
	return records_each_within(batch, RECORDS_RAW_MAX, each, arg);
}
