/* SPDX-License-Identifier: MIT
 * rewrite_world.h - what the tests of rewriting share: a log of some sealed segments, read back as one hash
 * of its records. */
#ifndef KIRA_TESTS_STORAGE_REWRITE_WORLD_H
#define KIRA_TESTS_STORAGE_REWRITE_WORLD_H

#include "storage/batch.h"
#include "storage/rewrite_merge.h"
#include "tests/unit/storage/world.h"

#define SEGMENTS 4 /* sealed by fill() */

static inline struct rewriting *
job(void)
{
	return &w.s->flush.rewriting;
}

static inline void
want_lz4(bool lz4)
{
	w.config.rewrite_lz4 = lz4;
	for (unsigned i = 0; i < w.parts; i++)
		w.part[i]->settings.rewrite_lz4 = lz4;
}

static inline void
append(struct batch_of o)
{
	o.producer = 7;
	o.sequence = (int32_t)w.part[0]->next;
	(void)world_append(0, o);
}

/* SEGMENTS sealed ones with about 50 batches each, not rewritten yet. */
static inline void
fill(bool text, uint32_t value)
{
	for (unsigned s = 0; s < SEGMENTS; s++) {
		for (unsigned i = 0; i < 50; i++)
			append((struct batch_of){.count = 2, .value = value + i, .step_ms = 1, .text = text});
		storage_roll(w.part[0], w.now_ns);
		world_turns(3);
		storage_roll(w.part[0], w.now_ns); /* where no spare was there yet */
		world_settle();
	}
}

static inline void
begin(bool text, uint32_t value)
{
	world_begin(1);
	w.now_ns += 100 * NS_PER_S;
	fill(text, value);
}

/* As if many other segments had been read meanwhile. */
static inline void
close_read_fds(void)
{
	while (w.s->lru.lru_next != &w.s->lru) {
		struct segment *seg = w.s->lru.lru_next;

		w.s->lru.lru_next = seg->lru_next;
		seg->lru_next->lru_prev = &w.s->lru;
		seg->lru_next = seg->lru_prev = NULL;
		w.s->read_fds--;
		(void)io_posix.close(seg->fd);
		seg->fd = -1;
	}
}

/* Each offset is found in a batch that holds it, whoever opens what for that. */
static inline void
find_each(void)
{
	struct partition_ends ends;
	struct storage_range r;

	storage_ends(w.part[0], &ends);
	for (int64_t at = ends.start + 1; at < ends.end; at += 3) {
		uint8_t b[RB_HEADER];

		if (at % 5 == 0)
			close_read_fds();
		CU_ASSERT_EQUAL_FATAL(storage_read(w.part[0], at, 1, true, &r), 0);
		CU_ASSERT_EQUAL_FATAL(pread(r.fd, b, sizeof(b), (off_t)r.position), RB_HEADER);
		CU_ASSERT_TRUE(rb_base_offset(b) <= at && at <= rb_base_offset(b) + rb_last_offset_delta(b));
		CU_ASSERT_EQUAL(r.first_offset, rb_base_offset(b));
		storage_unpin(r.pinned);
	}
}

/* All that can be read, as one hash of its records. Every read begins where it was asked. */
static inline uint64_t
hash_all(void)
{
	static uint8_t bytes[WORLD_BATCH];
	struct partition_ends ends;
	struct storage_range r;
	uint64_t hash = 0;

	storage_ends(w.part[0], &ends);
	for (int64_t at = ends.start; at < ends.end;) {
		CU_ASSERT_EQUAL_FATAL(storage_read(w.part[0], at, 30000, true, &r), 0);
		CU_ASSERT_EQUAL_FATAL(r.first_offset, at);
		CU_ASSERT_TRUE_FATAL(r.length > 0 &&
			pread(r.fd, bytes, r.length, (off_t)r.position) == r.length);
		storage_unpin(r.pinned);
		for (uint32_t i = 0; i < r.length; i += (uint32_t)rb_total(bytes + i)) {
			CU_ASSERT_EQUAL_FATAL(rb_base_offset(bytes + i), at);
			CU_ASSERT_TRUE_FATAL(batch_check(bytes + i, r.length - i, 0) == 0 && batch_crc_right(bytes + i));
			hash = merge_hash(hash, bytes + i);
			at += rb_count(bytes + i);
		}
	}
	return hash;
}

/* Where each time is found: hashed too. */
static inline uint64_t
hash_times(int64_t from, int64_t to)
{
	uint64_t hash = 0;

	for (int64_t t = from; t < to; t += 37) {
		int64_t offset, at;

		CU_ASSERT_EQUAL(storage_find_time(w.part[0], t, &offset, &at), 0);
		hash = hash * 31 + (uint64_t)offset * 7 + (uint64_t)at;
	}
	return hash;
}

/* Turns until nothing is left to rewrite. */
static inline void
rewrite_all(void)
{
	want_lz4(true);
	for (unsigned i = 0; i < 3000; i++)
		world_turns(1);
	CU_ASSERT_PTR_NULL(job()->part);
	CU_ASSERT_EQUAL(world_count(0, ".cleaned"), 0);
	CU_ASSERT_EQUAL(world_count(0, ".swap"), 0);
}

#endif
