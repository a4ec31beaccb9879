/* SPDX-License-Identifier: MIT
 * rewrite_merge.c - see the header. A record keeps its bytes from the key on; what stands before
 * that, its times and offset relative to the batch, is written anew. */
#include "storage/rewrite_merge.h"

#include "storage/batch.h"
#include "storage/records.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/crc32c.h"
#include "base/writer.h"

#include <kira/record_batch.h>

#include <isa-l/crc64.h>
#include <lz4frame.h>
#include <stdlib.h>

/* Kafka's readers refuse blocks that depend on each other; sizes and checksums of the content they
 * neither want nor need, the batch has its own. */
static const LZ4F_preferences_t frame = {
	.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
	.compressionLevel = 3, /* the lowest of LZ4's slow ones: README.md, "Rewriting", has the figures */
};

/* Of bytes that become no smaller: 7 in front, 4 behind, 4 with each block. */
#define FRAME (7 + 4 + 4 * (MERGE_RAW_MAX / (64 * 1024)))

void
merge_open(struct merge *m, int64_t bytes_max)
{
	*m = (struct merge){.limit = (size_t)CLAMP(bytes_max - RB_HEADER - FRAME, 0, MERGE_RAW_MAX)};
}

void
merge_close(struct merge *m)
{
	free(m->raw);
	free(m->made);
	m->raw = m->made = NULL;
}

static void
need(uint8_t **p, size_t *room, size_t n)
{
	if (n <= *room)
		return;
	*room = MAX(n, *room * 2);
	*p = realloc(*p, *room);
	ASSERT(*p);
}

/* ---- Taking ------------------------------------------------------------------------------- */

struct taking {
	struct merge *m;
	int64_t next, max_ms; /* offset that must come; largest time so far */
	bool others;          /* there were batches before this one */
	enum merge_verdict verdict;
};

static bool
take_record(void *arg, struct record *r)
{
	struct taking *t = arg;
	struct merge *m = t->m;
	struct writer head, w;
	uint8_t b[24];

	if (r->offset != t->next) {
		t->verdict = MERGE_APART;
		return false;
	}
	if (r->offset == m->base_offset)
		m->base_ms = r->created_ms;
	head = kw_open(b, sizeof(b), false);
	kw_i8(&head, (int8_t)r->attributes);
	kw_varlong(&head, (int64_t)((uint64_t)r->created_ms - (uint64_t)m->base_ms));
	kw_varint(&head, (int32_t)(r->offset - m->base_offset));
	need(&m->raw, &m->raw_room, m->length + 5 + sizeof(b) + r->body.len);
	w = kw_open(m->raw + m->length, m->raw_room - m->length, false);
	kw_varint(&w, (int32_t)(kw_length(&head) + r->body.len));
	kw_raw(&w, b, kw_length(&head));
	kw_raw(&w, r->body.p, r->body.len);
	ASSERT(!head.full && !w.full);
	m->length += kw_length(&w);
	if (t->others && m->length > m->limit)
		t->verdict = MERGE_FULL;
	t->max_ms = MAX(t->max_ms, r->timestamp_ms);
	t->next++;
	return t->verdict == MERGE_TAKEN;
}

bool
merge_wants(const uint8_t *header)
{
	/* Any bit but this one, the codec's among them, is a reason to leave it alone. */
	return (rb_attributes(header) & ~RB_ATTR_LOG_APPEND) == 0;
}

static bool
goes_with(const struct merge *m, const uint8_t *batch)
{
	const bool stamped = rb_attributes(batch) & RB_ATTR_LOG_APPEND;

	return rb_leader_epoch(batch) == m->leader_epoch && stamped == m->stamped &&
		rb_base_offset(batch) == m->base_offset + m->count &&
		(!stamped || rb_max_timestamp(batch) == m->max_ms);
}

enum merge_verdict
merge_take(struct merge *m, const uint8_t *batch)
{
	const size_t was = m->length;
	struct taking t = {.m = m, .next = rb_base_offset(batch), .max_ms = INT64_MIN,
		.others = m->count > 0};
	bool whole;

	if (!merge_wants(batch))
		return MERGE_APART;
	if (t.others && !goes_with(m, batch))
		return MERGE_FULL;
	if (!t.others) {
		m->base_offset = rb_base_offset(batch);
		m->leader_epoch = rb_leader_epoch(batch);
		m->stamped = rb_attributes(batch) & RB_ATTR_LOG_APPEND;
		m->max_ms = INT64_MIN;
	}
	whole = records_each(batch, take_record, &t) == RECORDS_WHOLE;
	/* The header's largest time may be a lie of the producer; index and retention went by it. */
	if (!whole || (t.verdict == MERGE_TAKEN && t.max_ms != rb_max_timestamp(batch)))
		t.verdict = MERGE_APART;
	if (t.verdict == MERGE_TAKEN) {
		m->count += rb_count(batch);
		m->max_ms = MAX(m->max_ms, t.max_ms);
		return MERGE_TAKEN;
	}
	m->length = was;
	return t.verdict;
}

/* ---- Putting ------------------------------------------------------------------------------ */

uint32_t
merge_put(struct merge *m, const uint8_t **batch)
{
	const size_t bound = RB_HEADER + LZ4F_compressFrameBound(m->length, &frame);
	uint8_t *b;
	size_t n;

	if (m->count == 0)
		return 0;
	need(&m->made, &m->made_room, bound);
	b = m->made;
	n = LZ4F_compressFrame(b + RB_HEADER, bound - RB_HEADER, m->raw, m->length, &frame);
	ASSERT(!LZ4F_isError(n)); /* the room is there, and it asks for nothing else but memory */
	n += RB_HEADER;
	put_be64(b + RB_BASE_OFFSET, (uint64_t)m->base_offset);
	put_be32(b + RB_LENGTH, (uint32_t)n - RB_LENGTH_FROM);
	put_be32(b + RB_LEADER_EPOCH, (uint32_t)m->leader_epoch);
	b[RB_MAGIC] = 2;
	put_be16(b + RB_ATTRIBUTES, RB_CODEC_LZ4 | (m->stamped ? RB_ATTR_LOG_APPEND : 0));
	put_be32(b + RB_LAST_OFFSET_DELTA, (uint32_t)m->count - 1);
	put_be64(b + RB_BASE_TIMESTAMP, (uint64_t)m->base_ms);
	put_be64(b + RB_MAX_TIMESTAMP, (uint64_t)m->max_ms);
	/* None: it may hold records of several. What they were is in the snapshots. */
	put_be64(b + RB_PRODUCER_ID, UINT64_MAX);
	put_be16(b + RB_PRODUCER_EPOCH, UINT16_MAX);
	put_be32(b + RB_BASE_SEQUENCE, UINT32_MAX);
	put_be32(b + RB_COUNT, (uint32_t)m->count);
	put_be32(b + RB_CRC, crc32c(b + RB_ATTRIBUTES, n - RB_ATTRIBUTES));
	m->count = 0;
	m->length = 0;
	*batch = b;
	return (uint32_t)n;
}

/* ---- The hash ----------------------------------------------------------------------------- */

struct hashing {
	uint64_t hash;
	const uint8_t *batch;
};

static uint64_t
more(uint64_t hash, const void *p, size_t n)
{
	return crc64_ecma_refl(hash, p, n);
}

static bool
hash_record(void *arg, struct record *r)
{
	struct hashing *h = arg;
	uint8_t b[34];

	put_be32(b, (uint32_t)rb_leader_epoch(h->batch));
	b[4] = r->attributes;
	b[5] = (rb_attributes(h->batch) & RB_ATTR_LOG_APPEND) != 0;
	put_be64(b + 6, (uint64_t)r->offset);
	put_be64(b + 14, (uint64_t)r->timestamp_ms);
	put_be64(b + 22, (uint64_t)r->created_ms);
	put_be32(b + 30, r->body.len);
	h->hash = more(more(h->hash, b, sizeof(b)), r->body.p, r->body.len);
	return true;
}

uint64_t
merge_hash(uint64_t hash, const uint8_t *batch)
{
	struct hashing h = {hash, batch};

	if (records_each(batch, hash_record, &h) == RECORDS_WHOLE)
		return h.hash;
	return more(hash, batch, (size_t)rb_total(batch));
}
