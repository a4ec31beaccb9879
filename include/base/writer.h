/* SPDX-License-Identifier: MIT
 * writer.h - a sticky writer for Kafka frames into a fixed buffer. A write that does not fit sets
 * `full` and writes nothing; check once at the end. `flexible` as in reader.h. */
#ifndef KIRA_BASE_WRITER_H
#define KIRA_BASE_WRITER_H

#include "base/bytes.h"
#include "base/reader.h"

struct writer {
	uint8_t *start, *p, *end;
	bool full, flexible;
};

static inline struct writer
kw_open(void *p, size_t len, bool flexible)
{
	return (struct writer){(uint8_t *)p, (uint8_t *)p, (uint8_t *)p + len, false, flexible};
}

static inline size_t
kw_length(const struct writer *w)
{
	return (size_t)(w->p - w->start);
}

/* Room for n bytes, or NULL. */
static inline uint8_t *
kw_take(struct writer *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->full || n > (size_t)(w->end - w->p)) {
		w->full = true;
		return NULL;
	}
	w->p += n;
	return p;
}

static inline void
kw_raw(struct writer *w, const void *from, size_t n)
{
	uint8_t *p = kw_take(w, n);

	if (p && n > 0)
		memcpy(p, from, n);
}

static inline void
kw_i8(struct writer *w, int8_t v)
{
	kw_raw(w, &v, 1);
}

static inline void
kw_bool(struct writer *w, bool v)
{
	kw_i8(w, v ? 1 : 0);
}

static inline void
kw_i16(struct writer *w, int16_t v)
{
	uint8_t *p = kw_take(w, 2);

	if (p)
		put_be16(p, (uint16_t)v);
}

static inline void
kw_i32(struct writer *w, int32_t v)
{
	uint8_t *p = kw_take(w, 4);

	if (p)
		put_be32(p, (uint32_t)v);
}

static inline void
kw_i64(struct writer *w, int64_t v)
{
	uint8_t *p = kw_take(w, 8);

	if (p)
		put_be64(p, (uint64_t)v);
}

static inline void
kw_leb(struct writer *w, uint64_t v)
{
	uint8_t b[10];
	size_t n = 0;

	while (v >= 0x80) {
		b[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	b[n++] = (uint8_t)v;
	kw_raw(w, b, n);
}

static inline void
kw_uvarint(struct writer *w, uint32_t v)
{
	kw_leb(w, v);
}

/* Zigzag, as inside records. */
static inline void
kw_varint(struct writer *w, int32_t v)
{
	kw_leb(w, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

static inline void
kw_varlong(struct writer *w, int64_t v)
{
	kw_leb(w, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* The length in front of a string (wide = false) or of bytes (true); -1 = null. */
static inline void
kw_size(struct writer *w, int32_t n, bool wide)
{
	if (w->flexible)
		kw_uvarint(w, (uint32_t)(n + 1));
	else if (wide)
		kw_i32(w, n);
	else
		kw_i16(w, (int16_t)n);
}

static inline void
kw_view(struct writer *w, struct view v)
{
	kw_size(w, v.p ? (int32_t)v.len : -1, false);
	if (v.p)
		kw_raw(w, v.p, v.len);
}

/* A C string; NULL = null. */
static inline void
kw_string(struct writer *w, const char *s)
{
	kw_view(w, (struct view){(const uint8_t *)s, s ? (uint32_t)strlen(s) : 0});
}

static inline void
kw_bytes(struct writer *w, const void *p, int32_t n)
{
	kw_size(w, p ? n : -1, true);
	if (p)
		kw_raw(w, p, (size_t)n);
}

/* -1 = null. */
static inline void
kw_array(struct writer *w, int32_t n)
{
	kw_size(w, n, true);
}

/* An empty tag section; nothing where not flexible. */
static inline void
kw_tags(struct writer *w)
{
	if (w->flexible)
		kw_uvarint(w, 0);
}

#endif
