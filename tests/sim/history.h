/* SPDX-License-Identifier: MIT
 * history.h - what producers, readers and the driver of a run wrote down, line by line, for sim_check.
 *
 * Text, one event a line, fields separated by one blank; # begins a comment. A history is any number of
 * files, each written by one thread; lines of one producer or reader stand in one file, in the order in
 * which they happened. A last line without its newline was being written when its writer was killed: it
 * does not count. TIME is in ms of one clock. P is a partition, LEADER its leader epoch. A *unit* is what
 * a producer gave as one piece, COUNT records of one batch; HASH, hexadecimal, covers their bytes. A
 * producer's sequences count records, per (ID, EPOCH, P). -1: unknown.
 *
 *   driver   run TIME N              the N-th process begins      ready TIME    it serves
 *            kill TIME               only the process was killed  power TIME    whatever was not synced may go
 *            stop TIME               a clean stop                 pause TIME MS it was stopped, and went on
 *            epoch P LEADER OFFSET   a line of leader-epoch-checkpoint, as the last run left it
 *            start P OFFSET          the log may begin as late as there
 *            hole P FROM TO          offsets FROM to TO - 1 were cut out
 *   producer producer ID exactly|plain   plain: what it sends again may be there twice
 *            send TIME ID EPOCH SEQ COUNT P HASH
 *            ack TIME ID EPOCH SEQ P none|log|disk OFFSET LEADER
 *   reader   reader R P log|disk     what it sees: the topic's kira.visibility
 *            from R OFFSET           it begins, or goes on, there
 *            again R OFFSET          it goes back there, to read once more
 *            read TIME R OFFSET COUNT LEADER ID EPOCH SEQ HASH
 *            ends R START DURABLE VISIBLE END   as published; each since R's last `from`
 *   the end  final P START END       the log that the last run left, and each unit of it, in order:
 *            found P OFFSET COUNT LEADER ID EPOCH SEQ HASH
 * A unit that bears no sign of a producer has ID -1. Thread: main. */
#ifndef KIRA_TESTS_HISTORY_H
#define KIRA_TESTS_HISTORY_H

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

enum event_kind {
	EVENT_RUN, EVENT_READY, EVENT_KILL, EVENT_POWER, EVENT_STOP, EVENT_PAUSE, EVENT_EPOCH,
	EVENT_START, EVENT_HOLE,
	EVENT_PRODUCER, EVENT_SEND, EVENT_ACK,
	EVENT_READER, EVENT_FROM, EVENT_AGAIN, EVENT_READ, EVENT_ENDS,
	EVENT_FINAL, EVENT_FOUND,
	EVENTS,
};

enum { HISTORY_NONE, HISTORY_LOG, HISTORY_DISK }; /* level, visibility */
enum { HISTORY_EXACTLY, HISTORY_PLAIN };

#define HISTORY_PARTITIONS 256
#define HISTORY_READERS    256

struct event {
	enum event_kind kind;
	int64_t time, id, epoch, sequence, count, offset, end, durable, visible, leader, number;
	uint64_t hash;
	unsigned part, reader, word;
};

struct history_file {
	const char *name;
	FILE *f;
	char *text;
	size_t room;
	uint32_t line; /* of the latest event */
};

int history_open(struct history_file *h, const char *name, struct err *err);
/* 1: an event; 0: the end; -EINVAL and a sentence: a line that is none. */
int history_next(struct history_file *h, struct event *ret, struct err *err);
void history_close(struct history_file *h);

#endif
