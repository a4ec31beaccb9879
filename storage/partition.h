/* SPDX-License-Identifier: MIT
 * partition.h - one log: its fields grouped by who writes them, and the words that pass between
 * threads. Labels (E1, E2 ..) pair a store with its loads; README.md has the table.
 * Thread rules stand at each group. */
#ifndef KIRA_STORAGE_PARTITION_H
#define KIRA_STORAGE_PARTITION_H

#include "storage/epoch.h"
#include "storage/holes.h"
#include "storage/jobs.h"
#include "storage/segment.h"
#include "storage/settings.h"
#include "storage/storage.h"

struct state_row; /* directory.h */

#define WANT_SPARE UINT64_MAX /* a roll waits for the next segment, not for bytes */
#define CURSORS 4             /* readers of one partition whose place is remembered */

/* The flush daemon's view of a partition. */
struct flush_half {
	struct segment *active;         /* the open one, as far as it knows */
	struct segment *given;          /* in `spare`, or taken and not yet seen in `full` */
	struct segment *made;           /* result of spare_job, of so many bytes reserved: */
	uint64_t spare_bytes;
	struct segment *left_first, **left_last; /* left, not sealed: oldest first */
	uint64_t want;                  /* asked for and not yet granted; 0: nothing */
	uint64_t want_to;               /* bytes: the position up to which, in the segment */
	int64_t want_base;              /* of this base */
	uint64_t seen_position, seen_ns, moved_ns;
	uint64_t synced_ns;             /* when its last sync was reaped */
	int64_t seen_base;              /* segment of seen_position */
	uint64_t rate;                  /* bytes per second, smoothed */
	uint64_t dirty;                 /* its part of the directory's dirty bytes */
	uint64_t retry_ns;              /* after a failed reservation */
	unsigned jobs;                  /* in flight, of it and its segments */
	unsigned hot_at;                /* 1 + place among the hot; 0: cold */
	bool spare_busy, name_busy, seal_busy, in_commit, failure_counted;
	struct job spare_job, name_job, seal_job, trim_job;
	uint64_t seal_retry_ns;
	struct mark captured;           /* by the running commit */
	bool sync_submitted, sync_failed;
	unsigned syncs;                 /* jobs of the running commit still in flight */
	struct segment **expired;       /* below the start: waiting for kira.state, then for trim_job */
	unsigned unlinked;              /* of them, by trim_job */
	unsigned expired_n, over_cap;   /* over_cap: how many of the oldest go for the disk cap */
	uint64_t expired_after;         /* the write of kira.state that carries the new start */
	bool trim_waits;
	uint64_t rewrite_ns;            /* not looked at for a segment to rewrite before */
	struct checkpoint *checkpoint;  /* J2: waits until it is durable, then for checkpoint_job */
	struct job checkpoint_job;
	bool checkpoint_asked, checkpoint_busy;
	int64_t checkpoint_base;        /* of the last one, and of which time: */
	uint64_t checkpoint_position, checkpoint_ns, checkpoint_retry_ns;
	unsigned unlooked;              /* of its array, segments whose tail nobody has looked at yet */
};

/* Where a reader left off: the batch boundary at `offset`. Control's. */
struct cursor {
	int64_t offset, base;
	unsigned generation;            /* of the segment */
	uint64_t position;
};

struct partition {
	/* Set before anybody else sees it. */
	struct storage *storage;
	char topic[TOPIC_NAME_MAX + 1], name[TOPIC_NAME_MAX + 16];
	uint8_t topic_id[16];
	int32_t index;
	unsigned slot, lcore;
	int dirfd;
	struct epochs epochs;
	const struct holes *holes;      /* of its row of kira.state; none: an empty list */
	char *halt_reason;              /* halted: the sentence why; else NULL */
	bool halted_at_start;           /* and then what kira.state said stays as it was found: */
	const struct state_row *found_row; /* NULL: nothing */
	struct segment *blank;          /* the first active one, without a file */
	bool detached;                  /* storage lcore: said that it let go */

	/* Storage lcore's alone. */
	_Alignas(CACHE_LINE) struct segment *active;
	int64_t next;                   /* offset of the next record */
	uint64_t position;              /* where it goes in `active` */
	int64_t append_ms;              /* LogAppendTime never goes back */
	int64_t unsynced_records;       /* since flush.messages was last reached */
	int32_t leader_epoch;
	bool moved;                     /* something was appended since the last publish */
	bool roll_ordered;

	/* Storage lcore writes. */
	_Alignas(CACHE_LINE) struct settings settings;  /* relaxed; before others know the partition: who makes it */
	_Alignas(CACHE_LINE) struct frontier tail;      /* E1 release, E2 acquire */
	_Atomic uint64_t want;                          /* relaxed, before A1; read after A2 */
	struct segment *_Atomic full;                   /* F1 gives, F2 takes */
	struct checkpoint *_Atomic checkpoint;          /* filled in: J1 gives, J2 takes */
	_Atomic uint32_t producers;                     /* how large a snapshot may be, a hint */

	/* Flush daemon writes. */
	_Alignas(CACHE_LINE) struct frontier durable;   /* D1 release, D2 acquire */
	struct segment *_Atomic spare;                  /* N1 gives, N2 takes */
	struct segments *_Atomic segments;              /* L1 release, L2 acquire */
	_Atomic int64_t start;                          /* O1 release, O2 acquire */
	struct flush_half f;

	/* Whoever sees a failure. */
	_Alignas(CACHE_LINE) _Atomic int state;         /* X1: OK -> FAILED by compare-and-swap; X2 */
	_Atomic bool map_lost;                          /* before X1: SIGBUS was why */

	/* Control's. */
	_Alignas(CACHE_LINE) struct cursor cursor[CURSORS];
	unsigned cursor_next;
};

/* ok -> failed, once; then `failures` moves, whoever won, so that who sees the count moved finds the
 * state (X1, X2). */
void partition_fail(struct partition *part);
/* ok -> halted: acknowledged data was found to be damaged while it runs. The flush daemon, once. */
void partition_halt(struct partition *part, int rc, const char *reason);
/* The reason, and what to do; to be freed. */
char *partition_halt_text(const struct partition *part, int rc, const char *reason);

/* Directory name and fields; no files yet. `slot` is the caller's. */
struct partition *partition_alloc(struct storage *s, const char *topic, const uint8_t id[16],
	int32_t index, unsigned slot, const struct partition_config *config);
/* Segments, arrays, descriptors, memory. No thread may know it any more. */
void partition_free(struct partition *part);
/* A blank active segment at `end`; all that storage lcore and flush start from. Its files are durable. */
void partition_begin(struct partition *part, int64_t start, int64_t end);

static inline enum partition_state
partition_state(const struct partition *part)
{
	return (enum partition_state)atomic_load_explicit(&part->state, memory_order_acquire);
}

#endif
