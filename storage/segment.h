/* SPDX-License-Identifier: MIT
 * segment.h - one .log file: descriptor, map, index, and the words that its threads share.
 *
 * Life of a segment. The storage lcore moves READY > OPEN > LEFT, the flush daemon all the rest.
 *   SPARE --faulted in--> READY --N1, N2--> OPEN --no room--> LEFT --synced, cut--> SEALED --> GONE
 * The map belongs to the storage lcore until LEFT; everybody else uses the descriptor, where an
 * I/O error is an errno and no signal. Freed by control alone, in no array and with no pin. */
#ifndef KIRA_STORAGE_SEGMENT_H
#define KIRA_STORAGE_SEGMENT_H

#include "storage/index.h"
#include "storage/jobs.h"

#include "base/bits.h"

#define SEGMENT_OPEN UINT64_MAX /* `used` until the segment is left */
#define SEGMENT_NO_BASE INT64_MIN

struct partition;
struct checkpoint;

enum segment_part { SEGMENT_LOG, SEGMENT_INDEX, SEGMENT_TIME, SEGMENT_PARTS };
extern const char *const segment_suffix[SEGMENT_PARTS]; /* ".log" .. */

struct segment {
	/* Set before the segment is given to the storage lcore. */
	struct partition *part;         /* dangles once the segment is gone */
	const struct io *io;
	uint64_t size;                  /* of the map: segment.bytes when it was made */
	uint8_t *map;                   /* NULL once sealed */
	int fd;                         /* the flush daemon's; control's once sealed, -1: closed */
	/* Storage lcore's, before E1 of the roll that opens it. */
	int64_t base;                   /* offset of its first record */
	struct segment *prev;           /* the one left; followed only while that is in no array */
	int64_t prev_base;
	int64_t end;                    /* next offset after its last record, once left */
	_Atomic uint64_t first_ns;      /* of its first append; 0: empty */
	struct index index;
	uint8_t *snapshot;              /* producer state at its end: room made by flush, filled when left */
	uint32_t snapshot_room, snapshot_length;

	_Alignas(CACHE_LINE) _Atomic uint64_t used; /* U1 release, U2 acquire: final size */

	/* One line, written by flush, which the lcore looks at with each batch. */
	_Alignas(CACHE_LINE) struct checkpoint *_Atomic asked; /* H1 release (flush), H2 acquire, which takes it */
	_Atomic uint64_t ready; /* R1 release (fill_job), R2 acquire: stores below are safe */

	/* Flush daemon's. */
	_Alignas(CACHE_LINE) uint64_t allocated;    /* blocks reserved up to here */
	uint64_t reserving;             /* what space_job adds */
	uint64_t synced;                /* bytes that a sync has covered */
	uint64_t syncing;               /* what sync_job will have covered */
	uint64_t behind, behind_from;   /* write-back was started up to here; behind_job: from */
	uint64_t fill_from, fill_to;    /* what fill_job faults in; fill_ready: `ready` before it */
	uint64_t fill_ready, refreshed_ns;
	uint64_t populated;             /* of the index, in bytes of log; fill_job's while it flies */
	int64_t max_timestamp;          /* once left or looked at; -1 none */
	_Atomic bool looked;            /* release, after max_timestamp: false of one found by name at a start */
	int64_t sealed_wall_ms;
	bool named, whole;              /* whole: left, and synced up to `used` */
	bool blank;                     /* no file, no room: what a partition begins with */
	bool refill;                    /* sync_job makes the tail's page writable again */
	bool again;                     /* nothing was found behind `ready`: reserved once more from there */
	bool space_busy, fill_busy;     /* a job of it is in flight */
	bool sync_busy;                 /* one that may report a write-back error: never two */
	struct job space_job, fill_job, sync_job, behind_job;
	struct segment *left_next;      /* of those left and not yet sealed, oldest first */
	struct segment *sealed_next, *gone_next; /* on their way to control */
	bool sealed;
	bool remembered;                /* and a snapshot stands at its end: it may go, and what lies below it */
	bool rewritten;                 /* or looked at and left: no more in this run */
	unsigned generation;            /* same base, other positions */
	/* Its names become a new file's: who reads this one goes on by what was opened before. */
	int kept[SEGMENT_PARTS];        /* before S1; -1 */
	_Atomic bool swapping;          /* S1 seq_cst, before the first rename; S2 after an open by name */

	/* Control's, once sealed. */
	unsigned pins;
	bool orphan;                    /* gone, but for the pins */
	struct segment *lru_prev, *lru_next; /* those with an open descriptor; NULL: not among them */
};

/* Where consumers may read to: end offset, and the position of it in `seg`, read as one unit.
 * A sequence lock, not a lock: the writer never waits. Pairs: E1/E2 for the tail, D1/D2 for the
 * durable end. Two separate words would be wrong in either order. */
struct frontier {
	_Atomic uint32_t seq;
	_Atomic int64_t end;
	_Atomic uint64_t position;
	struct segment *_Atomic seg;
};

struct mark {
	int64_t end;
	uint64_t position;
	struct segment *seg;
};

static inline void
frontier_publish(struct frontier *f, const struct mark *m)
{
	const uint32_t seq = atomic_load_explicit(&f->seq, memory_order_relaxed);

	atomic_store_explicit(&f->seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&f->end, m->end, memory_order_relaxed);
	atomic_store_explicit(&f->position, m->position, memory_order_relaxed);
	atomic_store_explicit(&f->seg, m->seg, memory_order_relaxed);
	atomic_store_explicit(&f->seq, seq + 2, memory_order_release);
}

static inline struct mark
frontier_read(const struct frontier *f)
{
	struct mark m;
	uint32_t seq;

	do {
		seq = atomic_load_explicit(&f->seq, memory_order_acquire);
		m.end = atomic_load_explicit(&f->end, memory_order_relaxed);
		m.position = atomic_load_explicit(&f->position, memory_order_relaxed);
		m.seg = atomic_load_explicit(&f->seg, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
	} while ((seq & 1) || seq != atomic_load_explicit(&f->seq, memory_order_relaxed));
	return m;
}

/* Filed segments, sorted by base, immutable once published (L1, L2). */
struct segments {
	struct segments *older; /* the array before it, for control to free */
	uint32_t n;
	struct segment *seg[];
};

/* -EIO: the file is not `length` bytes long any more, somebody cut it. */
int segment_reaches(const struct segment *seg, uint64_t length);

/* Create LAYOUT_SPARE with `first` bytes reserved, map it, fault in `touch` bytes. Blocking: a job,
 * or before threads run. */
int segment_make(struct segment **ret, struct partition *part, uint64_t size, uint64_t first,
	uint64_t touch, uint32_t producers);
/* A sealed one found at start; nothing is opened. */
struct segment *segment_found(struct partition *part, int64_t base, uint64_t size);
/* What a partition begins with: no file, no map and no room in it, so that the first append rolls. A
 * partition that nobody writes to costs neither space nor a descriptor. In no array, in no list. */
struct segment *segment_blank(struct partition *part, int64_t base);
/* LAYOUT_SPARE becomes <base>.log; syncs the directory. */
int segment_name(struct segment *seg);
/* Left and synced: cut to its used size, write its index files and snapshot, sync all. */
int segment_seal(struct segment *seg);
/* .index and .timeindex with `tail` behind their names, from memory, unsynced directory. */
int segment_put_entries(const struct io *io, int dir, int64_t base, const struct index *ix,
	const char *tail);
/* .index, .timeindex and .snapshot beside <base>.log, from memory, unsynced directory. */
int segment_put_index(struct segment *seg);
void segment_free(struct segment *seg);

static inline uint64_t
segment_used(const struct segment *seg)
{
	return atomic_load_explicit(&seg->used, memory_order_acquire); /* U2 */
}

#endif
