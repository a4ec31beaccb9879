/* SPDX-License-Identifier: MIT
 * cut_sequence.c - one operation of a short sequence, on every topic there is: a letter each. By turns,
 * in made-up time. Thread: main. */
#include "tests/crash/cut.h"

#include "base/assert.h"
#include "base/bits.h"

#include <string.h>

/* Producers of ids 1 and 2, at both levels. */
static const char *
append(struct engine *e, struct history *h, unsigned t, unsigned p)
{
	const struct log *l = &h->topic[t].log[p];
	const char *what = NULL;

	for (unsigned n = 0; n < 4 && !what && !cut.begun; n++) {
		const unsigned producer = 1 + n % (CUT_PRODUCERS - 1);
		const struct item *last = history_latest(l, producer, l->end, 0);
		struct item it = {.producer = producer,
			.count = 1 + (int32_t)n % 2,
			.value = 500 + 3000 * n,
			.timestamp = engine_wall_ms(e),
			.seed = (uint64_t)l->end * 31 + producer,
			.level = n % 2 ? LEVEL_DISK : LEVEL_LOG};

		if (last)
			it.sequence = last->sequence + last->count;
		what = work_append(e, h, t, p, &it);
	}
	return what;
}

static void
on_partition(struct engine *e, char op, struct partition *part)
{
	switch (op) {
	case 'r':
		storage_roll(part, engine_now_ns(e));
		engine_turns(e, 3);
		storage_roll(part, engine_now_ns(e)); /* once there is a spare */
		break;
	case 'f':
		storage_want_disk(e->s, 0, storage_publish(part));
		break;
	default:
		break;
	}
}

static const char *
create(struct engine *e, struct history *h)
{
	unsigned t = 0;

	while (t < CUT_TOPICS && e->part[t][0])
		t++;
	return t == CUT_TOPICS ? NULL : work_create(e, h, t);
}

const char *
sequence_op(struct engine *e, struct history *h, char op)
{
	const char *what = op == 'c' ? create(e, h) : NULL;

	for (unsigned t = 0; t < CUT_TOPICS && !what; t++) {
		for (unsigned p = 0; e->part[t][0] && p < CUT_PARTITIONS && !what; p++) {
			if (op == 'a')
				what = append(e, h, t, p);
			else
				on_partition(e, op, e->part[t][p]);
		}
	}
	/* What it takes for the rest to happen by itself: a minute without an append is a checkpoint. */
	if (op == 's' || op == 't')
		engine_pass(e, 61000);
	for (unsigned i = 0; i < 6 && !cut.begun; i++) {
		engine_turns(e, 4);
		if (op == 's' || op == 't')
			engine_pass(e, 1000);
	}
	work_take_acks(e, h);
	history_flush(h);
	return what;
}
