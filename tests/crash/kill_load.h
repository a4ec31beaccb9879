/* SPDX-License-Identifier: MIT
 * kill_load.h - what the threads of kill_load share: the options, the units they write and find again,
 * their histories (tests/sim/history.h). A thread owns its history file; nothing else is shared but
 * the words in struct progress. */
#ifndef KIRA_TESTS_KILL_LOAD_H
#define KIRA_TESTS_KILL_LOAD_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What the driver looks at, in a mapped file. */
struct progress {
	_Atomic uint64_t acked, read, in_flight, last_ack_ms, again; /* again: units sent again */
};

struct load {
	const char *bootstrap, *topic, *out, *udp_address;
	unsigned partitions;
	bool all_is_disk;       /* what acks=-1 waits for: the topic's kira.ack.all */
	bool visible_at_disk;   /* its kira.visibility */
	uint64_t pace_us, seed; /* a producer sends a unit in so long at most */
	struct progress *progress;
	_Atomic bool stop;      /* no new units */
	_Atomic bool stop_reading;
	_Atomic bool failed;    /* something that no fault explains; told on stderr */
};
extern struct load load;

enum kind { KIND_EXACT, KIND_PLAIN, KIND_KIRA, KIND_RDKAFKA, KIND_READER, KINDS };

struct worker {
	enum kind kind;
	int64_t id;             /* producer, or reader */
	unsigned part;
	FILE *history;
};

/* Says what went wrong and ends the run with exit 1. */
void load_failed(const struct worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int64_t load_ms(void);
void load_nap(int ms);

/* ---- Units -------------------------------------------------------------------------------- */

#define UNIT_VALUE_MIN 32 /* bytes of a first value: it says whose it is */
#define UNIT_VALUE_MAX 600
#define UNIT_RECORDS   16
#define UNIT_ROOM      (UNIT_RECORDS * (UNIT_VALUE_MAX + 32) + 64)

struct unit_id {
	int64_t id;
	int32_t epoch, sequence, count; /* epoch -1: of no idempotent producer */
};

/* The `n`-th value of a unit; its length. Follows from the unit and the seed. */
uint32_t unit_value(const struct unit_id *u, int32_t n, uint8_t value[UNIT_VALUE_MAX]);
uint64_t unit_hash(uint64_t hash, const void *value, uint32_t length);
/* Whose is it? False: nobody's who is known here. */
bool unit_of(const void *value, uint32_t length, struct unit_id *ret);
/* How many records the unit with this first sequence has. */
int32_t unit_count(int64_t id, int32_t sequence);

/* The lines of a producer. */
void unit_sent(struct worker *w, const struct unit_id *u, uint64_t hash);
void unit_acked(struct worker *w, const struct unit_id *u, bool disk, int64_t offset);

/* ---- Threads ------------------------------------------------------------------------------ */

void *produce_run(void *worker); /* KIND_EXACT, KIND_PLAIN: Produce requests of our own */
void *kira_run(void *worker);    /* libkira */
void *rdkafka_run(void *worker); /* librdkafka */
void *read_run(void *worker);
/* All that is there, as `final` and `found` lines. */
int read_final(FILE *out);

#endif
