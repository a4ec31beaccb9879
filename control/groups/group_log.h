/* SPDX-License-Identifier: MIT
 * group_log.h - what consumer groups and committed offsets keep over a restart: keys and values in Kafka's
 * formats, in the topic __consumer_offsets. Control thread.
 *
 *   groups.c, offsets ----- group_log_append ----> batches ----> storage lcore
 *                     <---- write->stored --------               (log: appended; disk: durable)
 *   at start:         <---- groups_replay (groups.h), offsets' own, in the order of the log
 *   log too long:     <---- groups_first .. group_record (groups.h), offsets' own: the full state is appended
 *
 * Formats, encodings as before flexible versions; a null value removes its key:
 *   key i16 1 | group:str | topic:str | partition:i32      a committed offset (version 0 is read alike)
 *   key i16 2 | group:str                                  a group: groups.h
 * A partition of the topic is chosen by the group id, so all of a group is in one, in order. */
#ifndef KIRA_CONTROL_GROUP_LOG_H
#define KIRA_CONTROL_GROUP_LOG_H

#include "base/reader.h"

#include <stdbool.h>
#include <stdint.h>

struct group_log;

enum group_log_state {
	GROUP_LOG_LOADING, /* being read: requests are answered COORDINATOR_LOAD_IN_PROGRESS(14) */
	GROUP_LOG_READY,
	GROUP_LOG_BROKEN,  /* cannot be read or written for good: COORDINATOR_NOT_AVAILABLE(15) */
};

enum group_log_level {
	GROUP_LOG_APPENDED, /* level log: survives a killed process */
	GROUP_LOG_DURABLE,  /* level disk: survives a power cut */
};

struct group_record {
	struct view key;
	struct view value; /* p NULL: the key is removed */
};

/* Somebody who waits until records are stored. Embedded in its owner; zeroed: not in use. */
struct group_write {
	/* `error` 0: stored at its level. COORDINATOR_NOT_AVAILABLE(15): not stored. REQUEST_TIMED_OUT(7): perhaps
	 * stored. UNKNOWN_SERVER_ERROR(-1): larger than a batch may be, not stored. May append again, to `w` too. */
	void (*stored)(struct group_write *w, int16_t error, uint64_t now_ns);
	void *owner;               /* of whoever waits */
	/* Of the log, while `pending`. */
	bool pending;
	enum group_log_level level;
	int64_t need;              /* durable offset, or whatever the log counts by */
	void *batch;
	struct group_write *next, *prev;
};

/* May be appended to only while READY; the first append makes the topic. */
enum group_log_state group_log_state(const struct group_log *log);

/* Bytes that a batch may have (group_batch_room()). */
uint32_t group_log_most(const struct group_log *log);

/* Append n >= 1 records of one group, all in one batch or none. They are copied before this returns.
 * `w` is the log's until stored() is called: once, from group_log_turn(), never from within this call;
 * it must not be pending. NULL: nobody waits. Records are stored in the order of the calls; a later one
 * is never stored without an earlier one of the same group, unless that was told an error. */
void group_log_append(struct group_log *log, struct view group, const struct group_record *rec,
	unsigned n, enum group_log_level level, struct group_write *w);

/* stored() will not be called; `w` may be freed or used again. The records stay on their way. Nothing
 * where it is not pending. */
void group_log_cancel(struct group_log *log, struct group_write *w);

/* What was appended or became durable since: calls stored(). Returns how much it did. */
unsigned group_log_turn(struct group_log *log, uint64_t now_ns);

/* No record is on its way: a clean stop waits for it. */
bool group_log_idle(const struct group_log *log);

#endif
