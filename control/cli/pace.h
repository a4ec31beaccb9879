/* SPDX-License-Identifier: MIT
 * pace.h - how far `kira produce` reads ahead of the broker. A record's time to be delivered begins when it
 * is read, in libkira's buffer too: what is read at once and does not get through in that time fails there.
 * So input goes in chunks, at most PACE_CHUNKS of them out; a chunk grows while it is told within a sixteenth
 * of the time, and shrinks where that takes an eighth. Pure. Thread: one caller. */
#ifndef KIRA_CLI_PACE_H
#define KIRA_CLI_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_CHUNKS 8

struct pace {
	uint64_t time_ns;
	uint64_t chunk;          /* bytes; of all that is out an eighth */
	uint64_t ahead;          /* bytes since the last chunk was full */
	uint64_t changed_ns;     /* chunks from before say nothing of the present size */
	unsigned n, first;       /* chunks out, the oldest of them */
	struct {
		uint64_t records, at_ns;
	} mark[PACE_CHUNKS];
};

void pace_begin(struct pace *p, uint64_t time_ns);
/* One more line was taken. True: a chunk is full, pace_mark() it. */
bool pace_line(struct pace *p, uint64_t bytes);
/* So many records were taken until now; not while pace_full(). */
void pace_mark(struct pace *p, uint64_t records, uint64_t now_ns);
/* So many are told, stored or failed. */
void pace_told(struct pace *p, uint64_t records, uint64_t now_ns);
/* No more may be read before pace_told() has seen more of them. */
bool pace_full(const struct pace *p);

#endif
