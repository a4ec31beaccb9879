/* SPDX-License-Identifier: MIT
 * blast_tally.c - bitmaps by producer and partition.
 * Thread: one caller. Owns: the bitmaps. Never: guesses; a number is seen or it is not. */
#include "dataplane/blast/blast_tally.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "dataplane/blast/blast_frame.h"

#include <errno.h>

#define PLACES_FIRST 256
/* 2^36 numbers are 8 GiB of bits: a value that claims more was not written by kira-blast. */
#define NUMBER_MAX   ((uint64_t)1 << 36)

static struct tally_stream *
place(const struct tally *t, uint32_t tag, int32_t partition)
{
	uint32_t i = (tag * 0x9e3779b1u ^ (uint32_t)partition * 0x85ebca6bu);

	for (i ^= i >> 15;; i++) {
		struct tally_stream *s = &t->stream[i & (t->places - 1)];

		if (s->partition < 0 || (s->tag == tag && s->partition == partition))
			return s;
	}
}

static struct tally_stream *
empty_places(uint32_t n)
{
	struct tally_stream *s = calloc(n, sizeof(*s));

	for (uint32_t i = 0; s && i < n; i++)
		s[i].partition = -1;
	return s;
}

int
tally_init(struct tally *t)
{
	memset(t, 0, sizeof(*t));
	t->places = PLACES_FIRST;
	t->stream = empty_places(t->places);
	return t->stream ? 0 : -ENOMEM;
}

void
tally_free(struct tally *t)
{
	for (uint32_t i = 0; t->stream && i < t->places; i++)
		free(t->stream[i].bits);
	free(t->stream);
	t->stream = NULL;
}

static int
grow_places(struct tally *t)
{
	struct tally bigger = *t;

	bigger.places = t->places * 2;
	bigger.stream = empty_places(bigger.places);
	if (!bigger.stream)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->places; i++)
		if (t->stream[i].partition >= 0)
			*place(&bigger, t->stream[i].tag, t->stream[i].partition) = t->stream[i];
	free(t->stream);
	*t = bigger;
	return 0;
}

static int
grow_bits(struct tally_stream *s, uint64_t number)
{
	const uint64_t words = MAX(number / 64 + 1, MAX(s->words * 2, (uint64_t)64));
	uint64_t *bits = realloc(s->bits, words * sizeof(*bits));

	if (!bits)
		return -ENOMEM;
	memset(bits + s->words, 0, (words - s->words) * sizeof(*bits));
	s->bits = bits;
	s->words = words;
	return 0;
}

int
tally_add(struct tally *t, int32_t partition, const uint8_t *value, uint64_t bytes)
{
	struct tally_stream *s;
	uint64_t number;
	uint32_t tag;

	t->records++;
	number = value && bytes >= FRAME_VALUE_MIN ? get_be64(value) : UINT64_MAX;
	tag = (uint32_t)(number >> FRAME_TAG_SHIFT);
	number &= ((uint64_t)1 << FRAME_TAG_SHIFT) - 1;
	if (number >= NUMBER_MAX || partition < 0) {
		t->foreign++;
		return 0;
	}
	if (t->used * 2 >= t->places && grow_places(t) != 0)
		return -ENOMEM;
	s = place(t, tag, partition);
	if (s->partition < 0) {
		s->tag = tag;
		s->partition = partition;
		t->used++;
	}
	if (number / 64 >= s->words && grow_bits(s, number) != 0)
		return -ENOMEM;
	if (s->bits[number / 64] >> (number % 64) & 1) {
		s->doubled++;
		t->doubled++;
	} else {
		s->bits[number / 64] |= (uint64_t)1 << (number % 64);
		s->seen++;
	}
	/* Strictly: a double that follows its original at once is behind nothing. */
	if (number + 1 < s->end) {
		s->behind++;
		t->reordered++;
	}
	s->end = MAX(s->end, number + 1);
	return 0;
}

uint64_t
tally_missing(const struct tally *t, uint32_t tag, int32_t partition, uint64_t from, uint64_t to)
{
	const struct tally_stream *s = place(t, tag, partition);
	uint64_t missing = 0;

	if (s->partition < 0)
		return to - from;
	while (from < to) {
		const uint64_t word = from / 64 < s->words ? s->bits[from / 64] : 0;
		const uint64_t n = MIN(64 - from % 64, to - from);
		const uint64_t mask = n == 64 ? UINT64_MAX : (((uint64_t)1 << n) - 1) << (from % 64);

		missing += n - (uint64_t)__builtin_popcountll(word & mask);
		from += n;
	}
	return missing;
}

uint64_t
tally_holes(const struct tally *t)
{
	uint64_t holes = 0;

	for (uint32_t i = 0; i < t->places; i++)
		if (t->stream[i].partition >= 0)
			holes += t->stream[i].end - t->stream[i].seen;
	return holes;
}
