/* SPDX-License-Identifier: MIT
 * sim_check_private.h - what the rules share: the tables of one history being judged. Thread: main. */
#ifndef KIRA_TESTS_SIM_CHECK_PRIVATE_H
#define KIRA_TESTS_SIM_CHECK_PRIVATE_H

#include "tests/sim/history.h"
#include "tests/sim/sim_check_rules.h"
#include "tests/sim/sim_check_table.h"

#include <stdbool.h>

struct unit {
	uint64_t hash;
	int64_t acked_ms, acked_at, found_at;
	int32_t count, acked_leader;
	uint32_t line; /* of its ack, else of its send */
	uint8_t file, level;
	bool sent, acked, found;
};

/* Units of one (producer, epoch, partition) by sequence. */
struct stream {
	int64_t id, epoch, last_found;
	unsigned part;
	bool plain;
	struct rows unit;
};

struct place {
	int64_t sequence;
	uint32_t stream; /* + 1; 0: nothing begins there, UINT32_MAX: what nobody sent */
	int32_t leader;
};

struct log {
	bool used, final;
	int64_t start_allowed, start, end, expected;
	int32_t leader;
	struct rows place;
};

struct span {
	unsigned part;
	int64_t from, to;
};

struct consumer {
	bool declared, at_disk;
	unsigned part;
	int64_t next, leader, start, durable, visible, end;
};

struct check {
	struct verdict *v;
	const struct history_file *h;
	unsigned file_at;
	const char *const *file;
	struct err *err;
	struct arena arena;
	struct stream *stream;
	uint32_t streams, *bucket, buckets;
	struct log log[HISTORY_PARTITIONS];
	struct consumer reader[HISTORY_READERS];
	struct span *hole, *epoch; /* epoch: from `from` on leader epoch `to` */
	unsigned holes, epochs;
	int64_t *plain;        /* producer ids */
	unsigned plains;
	int64_t last_power_ms; /* -1 none */
	struct seen_set seen;
};
extern struct check k;

/* A rule is broken, by this line: counted, and told if it is one of the first. */
void broken(enum rule rule, const char *file, uint32_t line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
#define BROKEN(rule, ...) broken(rule, k.h->name, k.h->line, __VA_ARGS__)
/* The history cannot be judged, and why: -EINVAL. */
int cannot(const char *why);
int full(void);

/* Its number, from 1 on; 0: unknown, and not made. */
uint32_t stream_of(int64_t id, int64_t epoch, unsigned part, bool make);
/* The unit of a line, if it was sent to this partition; else NULL. */
struct unit *unit_sent(const struct event *e, unsigned part, uint32_t *stream);
/* The same, with its bytes and count as sent; NULL: no, and told. */
struct unit *as_sent(const struct event *e, unsigned part, uint32_t *stream);
bool in_hole(unsigned part, int64_t from, int64_t to);

/* The three passes, line by line, and what is judged behind the second. */
int pass_sent(const struct event *e);
int pass_final(const struct event *e);
int end_of_logs(void);
int pass_read(const struct event *e);
void judge_acks(void);

#endif
