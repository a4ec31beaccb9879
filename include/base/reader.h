/* SPDX-License-Identifier: MIT
 * reader.h - a sticky reader for Kafka frames. A read past the end gives 0 or an empty view and
 * sets `bad`; decode wholly, check `bad` once, then act. No allocation, no copy: strings and bytes
 * are views into the frame. Encodings: Kafka protocol guide; "flexible" switches strings, arrays
 * and bytes to their compact forms and makes kr_tags() read a tag section.
 * Varints inside records are zigzag (kr_varint, kr_varlong); those of the protocol are not. */
#ifndef KIRA_BASE_READER_H
#define KIRA_BASE_READER_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

#define KR_TAGS_MAX 64 /* per struct; millions of empty tags were a denial of service in Kafka */

struct view {
	const uint8_t *p; /* NULL: null on the wire; an empty one is not NULL */
	uint32_t len;
};

static inline bool
view_same(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline struct view
view_text(const char *s)
{
	return (struct view){(const uint8_t *)s, (uint32_t)strlen(s)};
}

/* By their bytes, the shorter of two alike first: < 0, 0, > 0. */
static inline int
view_order(struct view a, struct view b)
{
	const uint32_t n = a.len < b.len ? a.len : b.len;
	const int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

struct reader {
	const uint8_t *p, *end;
	bool bad, flexible;
};

static inline struct reader
kr_open(const void *p, size_t len, bool flexible)
{
	return (struct reader){(const uint8_t *)p, (const uint8_t *)p + len, false, flexible};
}

static inline size_t
kr_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

/* The next n bytes, or NULL. */
static inline const uint8_t *
kr_take(struct reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > kr_left(r)) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static inline uint8_t
kr_u8(struct reader *r)
{
	const uint8_t *p = kr_take(r, 1);

	return p ? *p : 0;
}

static inline int8_t
kr_i8(struct reader *r)
{
	return (int8_t)kr_u8(r);
}

static inline bool
kr_bool(struct reader *r)
{
	return kr_u8(r) != 0;
}

static inline int16_t
kr_i16(struct reader *r)
{
	const uint8_t *p = kr_take(r, 2);

	return p ? (int16_t)get_be16(p) : 0;
}

static inline int32_t
kr_i32(struct reader *r)
{
	const uint8_t *p = kr_take(r, 4);

	return p ? (int32_t)get_be32(p) : 0;
}

static inline int64_t
kr_i64(struct reader *r)
{
	const uint8_t *p = kr_take(r, 8);

	return p ? (int64_t)get_be64(p) : 0;
}

/* LEB128 of at most `bits` bits. */
static inline uint64_t
kr_leb(struct reader *r, unsigned bits)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < bits; shift += 7) {
		const uint8_t b = kr_u8(r);

		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			if (bits == 32 && v > UINT32_MAX)
				r->bad = true;
			return r->bad ? 0 : v;
		}
	}
	r->bad = true;
	return 0;
}

static inline uint32_t
kr_uvarint(struct reader *r)
{
	return (uint32_t)kr_leb(r, 32);
}

static inline int32_t
kr_varint(struct reader *r)
{
	const uint32_t v = (uint32_t)kr_leb(r, 32);

	return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}

static inline int64_t
kr_varlong(struct reader *r)
{
	const uint64_t v = kr_leb(r, 64);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* A length-prefixed view. `wide`: bytes (i32) against string (i16) in the old encoding. */
static inline struct view
kr_sized(struct reader *r, bool wide)
{
	struct view v = {NULL, 0};
	int64_t n;

	if (r->flexible)
		n = (int64_t)kr_uvarint(r) - 1;
	else
		n = wide ? kr_i32(r) : kr_i16(r);
	if (n < 0) {
		if (n < -1)
			r->bad = true;
		return v;
	}
	v.p = kr_take(r, (size_t)n);
	v.len = v.p ? (uint32_t)n : 0;
	return v;
}

static inline struct view
kr_string(struct reader *r)
{
	return kr_sized(r, false);
}

static inline struct view
kr_bytes(struct reader *r)
{
	return kr_sized(r, true);
}

/* An array's count; -1 = null. More than `max`, or more than the bytes left can hold at
 * `smallest` (>= 1) bytes each: 0 and bad. */
static inline int32_t
kr_array(struct reader *r, int32_t max, size_t smallest)
{
	const int64_t n = r->flexible ? (int64_t)kr_uvarint(r) - 1 : kr_i32(r);

	if (r->bad)
		return 0;
	if (n < -1 || n > max || (n > 0 && (size_t)n > kr_left(r) / smallest)) {
		r->bad = true;
		return 0;
	}
	return (int32_t)n;
}

/* The tag section at the end of a struct: walked over, not kept. Nothing where not flexible. */
static inline void
kr_tags(struct reader *r)
{
	uint32_t n;

	if (!r->flexible)
		return;
	n = kr_uvarint(r);
	if (n > KR_TAGS_MAX)
		r->bad = true;
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		(void)kr_uvarint(r);
		(void)kr_take(r, kr_uvarint(r));
	}
}

#endif
