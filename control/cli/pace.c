/* SPDX-License-Identifier: MIT
 * pace.c - see pace.h. Owns: nothing. Never: reads a clock. */
#include "control/cli/pace.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"

#define SLOWEST   2048      /* bytes a second that a way is taken to carry before more is known */
#define CHUNK_MAX (8 * MIB) /* eight of them are libkira's buffer, which makes its callers wait itself */
#define LINE      10        /* bytes that a record takes beside its text */

void
pace_begin(struct pace *p, uint64_t time_ns)
{
	const double seconds = (double)time_ns / (double)NS_PER_S;

	*p = (struct pace){.time_ns = time_ns};
	p->chunk = (uint64_t)(seconds * SLOWEST / PACE_CHUNKS);
	p->chunk = CLAMP(p->chunk, (uint64_t)1, CHUNK_MAX);
}

bool
pace_line(struct pace *p, uint64_t bytes)
{
	p->ahead += bytes + LINE;
	return p->ahead >= p->chunk;
}

bool
pace_full(const struct pace *p)
{
	return p->n == PACE_CHUNKS;
}

void
pace_mark(struct pace *p, uint64_t records, uint64_t now_ns)
{
	const unsigned at = (p->first + p->n) % PACE_CHUNKS;

	ASSERT(!pace_full(p));
	p->mark[at].records = records;
	p->mark[at].at_ns = now_ns;
	p->n++;
	p->ahead = 0;
}

void
pace_told(struct pace *p, uint64_t records, uint64_t now_ns)
{
	for (; p->n > 0 && p->mark[p->first].records <= records; p->n--) {
		const uint64_t at_ns = p->mark[p->first].at_ns, took_ns = now_ns - at_ns;

		p->first = (p->first + 1) % PACE_CHUNKS;
		if (at_ns < p->changed_ns)
			continue;
		if (took_ns < p->time_ns / 16)
			p->chunk = MIN(2 * p->chunk, CHUNK_MAX);
		else if (took_ns > p->time_ns / 8)
			p->chunk = MAX(p->chunk / 2, (uint64_t)1);
		else
			continue;
		p->changed_ns = now_ns;
	}
}
