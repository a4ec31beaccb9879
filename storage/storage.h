/* SPDX-License-Identifier: MIT
 * storage.h - the door of storage/: partitions as append-only logs in mmap'd segments, a flush
 * daemon behind them, reads as (fd, position, length). C and POSIX, no DPDK.
 *
 * Threads, one writer per datum:
 *   storage lcore  storage_append(), storage_publish() on its own partitions; allocates nothing,
 *                  takes no lock, makes no system call
 *   flush daemon   flush_turn(): faults in ahead, writes behind, syncs, publishes durable
 *   control        everything else: open, attach, operations, reads, ends
 * Time is an argument: now_ns monotonic, wall_ms only where a format wants it.
 * The promises, the order of stores and who pairs with whom: storage/README.md. Bytes on disk:
 * storage/FORMAT.md. */
#ifndef KIRA_STORAGE_H
#define KIRA_STORAGE_H

#include "base/counter.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io;      /* io.h: the table of system calls */
struct segment;
struct storage; /* one data directory */

/* One partition. Opaque outside storage/; freed only after OP_DELETE_TOPIC is reaped. */
struct partition;

#define STORE_LCORES_MAX   16
#define TOPIC_NAME_MAX     249
#define BATCH_BYTES_MAX    (5 * 1024 * 1024)
#define SEGMENT_BYTES_MIN  (1024 * 1024)
#define SEGMENT_BYTES_MAX  2147483647

/* ---- Configuration ---------------------------------------------------------------------- */

/* Of a topic; every partition holds a copy. Limits as in control/topic_config.def. */
struct partition_config {
	int64_t segment_bytes;      /* SEGMENT_BYTES_MIN..MAX */
	int64_t segment_ms;         /* >= 1 */
	int64_t retention_bytes;    /* -1: no limit */
	int64_t retention_ms;       /* -1: no limit */
	int64_t max_message_bytes;  /* whole batch */
	int64_t timestamp_before_max_ms, timestamp_after_max_ms;
	int64_t flush_ms;           /* 0: the directory's */
	int64_t flush_messages;     /* INT64_MAX: never by count */
	bool log_append_time;
	bool visible_at_disk;       /* consumers read up to durable, not end */
	bool rewrite_lz4;           /* sealed segments are rewritten into larger LZ4 batches */
};

struct storage_options {
	const char *dir;
	const struct io *io;        /* NULL: the real system calls */
	bool volatile_ok;           /* tmpfs and other memory file systems are accepted */
	unsigned store_lcores;      /* 1..STORE_LCORES_MAX */
	unsigned partitions_max;
	/* A topic of so many partitions and more is created with one sync of the file system instead of
	 * three per partition: a second for 10,000 instead of a minute or two. 0: 9 */
	unsigned together_from;
	unsigned job_threads;       /* 0: jobs run inside flush_turn(), for tests */
	uint64_t flush_ms;          /* longest time between commits while something is touched */
	uint64_t dirty_budget;      /* bytes faulted in or unsynced before `ready` stops; 0: min(1 GiB, 5 % RAM) */
	int64_t rewrite_after_ms;   /* a sealed segment rests so long before it is rewritten */
	uint64_t checkpoint_bytes;  /* of an open segment, between its checkpoints; 0: 256 MiB */
	uint64_t reserve_bytes;     /* held for a start on a full disk; 0: 1 MiB */
	double disk_cap;            /* share of the file system the directory may fill, e.g. 0.80 */
	/* Called by the flush daemon's thread, outside its turn, after it granted something that a
	 * sleeper may wait for: room, a spare segment, a finished commit, a finished operation. */
	void (*granted)(void *arg);
	void *granted_arg;
	/* Called on the flush daemon's thread when that ends though nobody stopped it: nothing would become
	 * durable any more, and nobody would be told. To end the process. NULL: abort(). */
	void (*daemon_ended)(void);
	struct storage_counters *count; /* NULL: private ones */
};

/* One writer each; which counter is whose: storage/counters.def. */
struct storage_counters {
#define COUNTER(name, help) counter name;
#include "storage/counters.def"
#undef COUNTER
};

/* ---- Life (control thread; no other thread runs yet, or any more) ------------------------ */

/* Take the lock, judge or create kira.meta, raise the incarnation, read the catalogue. */
int storage_open(struct storage **ret, const struct storage_options *o, int64_t wall_ms,
	struct err *err);

/* Topics found in the catalogue, for control to walk once after storage_open(). Valid until the
 * first operation. config[]: key/value pairs as written by control, `configs` of them. */
struct storage_topic {
	char name[TOPIC_NAME_MAX + 1];
	uint8_t id[16];
	int32_t partitions;
	uint32_t configs;
	const char *const *config; /* key, value, key, value .. */
};
unsigned storage_topics(const struct storage *s, const struct storage_topic **ret);

/* All partitions of a topic that the catalogue names, to be recovered. part[topic->partitions] is
 * filled; nothing but storage_recover() may be asked of them yet. */
int storage_attach(struct storage *s, const struct storage_topic *topic,
	const struct partition_config *config, struct partition **part, struct err *err);

/* How far a recovery is, or was. */
struct storage_recovery {
	bool over;
	unsigned partitions, done;
	uint64_t bytes;             /* of all segments */
	uint64_t unsealed_bytes;    /* of these, what must be read */
	uint64_t bytes_read;        /* from files; no byte twice, and no hole */
	uint64_t ms;
};

/* Open or recover all that was attached, on job_threads threads. `progress` is called by this thread, once
 * a second while it lasts and once when it is over; NULL: nobody. A partition whose acknowledged data
 * is damaged, or whose files cannot be read or written (no space: until the next start), comes back halted (storage_state(),
 * storage_halt_reason()): that is no error here. No memory or descriptors is one: those that
 * were not recovered are freed. Sealed segments are not opened: a job looks at their tails later, and
 * may halt a partition then. */
int storage_recover(struct storage *s, int64_t wall_ms,
	void (*progress)(void *arg, const struct storage_recovery *p), void *arg, struct err *err);

/* Start the flush daemon's own thread on `cpu` (-1: not pinned) and its job threads. Tests call
 * flush_turn() instead. */
int storage_start(struct storage *s, int cpu, struct err *err);

/* Clean stop: the lcores no longer append. Final commit, seal, checkpoint files, unlock, free. A
 * failure to sync is reported; everything is freed all the same. */
int storage_close(struct storage *s, int64_t wall_ms, struct err *err);

uint64_t storage_incarnation(const struct storage *s);
const char *storage_cluster_id(const struct storage *s); /* 22 characters of url-safe base64 */
int64_t storage_producer_ids_spent(const struct storage *s); /* ids below were given out */
bool storage_is_volatile(const struct storage *s);

/* ---- Append (the storage lcore that owns the partition) ---------------------------------- */

enum append_verdict {
	APPEND_STORED,    /* result.base_offset; visible after storage_publish() */
	APPEND_DUPLICATE, /* stored before: error 0 with its offset, or 46 and -1 */
	APPEND_REFUSED,   /* result.error; nothing was stored */
	APPEND_WAIT,      /* no room faulted in yet, the flush daemon was asked: try again later, first
			   * in line, with APPEND_CHECKED; nothing was stored */
	APPEND_EARLY,     /* UDP only: its sequence is ahead; hold it until the gap closes */
};

#define APPEND_UDP     0x1u /* no producer state means next sequence 0; early is a verdict */
#define APPEND_CHECKED 0x2u /* batch_check() and the CRC passed before: not repeated */

struct append_result {
	int16_t error;         /* Kafka's code */
	int32_t leader_epoch;
	int64_t base_offset;   /* -1 unknown */
	int64_t append_ms;     /* LogAppendTime; -1 for CreateTime topics */
};

/* Judge, number and copy one batch. `batch` may be patched in place (LogAppendTime). Stores are
 * private until storage_publish(). Call in runs: several batches of one partition, one publish. */
enum append_verdict storage_append(struct partition *part, uint8_t *batch, uint32_t length,
	unsigned flags, uint64_t now_ns, int64_t wall_ms, struct append_result *result);

/* Any thread, before the batch is given to its storage lcore: what the records inside say, with a pass over them. */
struct batch_inside {
	int64_t max_timestamp; /* the largest of its records */
	int32_t wrong;         /* which record cannot be as it is, counted from 0; -1: none, or all of them */
	const char *why;       /* a sentence, where the answer is an error */
};
/* Judged first as storage_append() does, checksum included: with 0, APPEND_CHECKED may be given. INVALID_RECORD:
 * a record is none, or not at its offset, or they hold more than `raw_max` bytes once decompressed. Blocks until
 * done: 4 MiB of records of 100 bytes take 2 to 7 ms, as gzip 9 to 23. */
int16_t storage_look_inside(const uint8_t *batch, uint32_t length, uint64_t raw_max, struct batch_inside *ret);
/* Set maxTimestamp; the checksum follows, and one that was wrong stays wrong. */
void storage_set_max_timestamp(uint8_t *batch, int64_t ms);

/* A batch that waited for room (APPEND_WAIT), or behind one that does, is refused instead. Of a producer without
 * state later ones are then refused too (45), until it comes again: its client may have sent them already. */
void storage_give_up(struct partition *part, const uint8_t *batch, uint32_t length, unsigned flags,
	uint64_t now_ns);

/* End a run: E1 the tail, T1 the touched bit, K2. Returns the commit number that is sure to cover
 * everything appended, and every duplicate judged, in this run. Completions are staged only now.
 * 0: the partition has failed meanwhile; whatever the verdicts were, nothing of the run is stored. */
uint64_t storage_publish(struct partition *part);

/* May the head of this partition's wait queue be tried again? (R2, N2; cheap, no side effect) */
bool storage_has_room(const struct partition *part);

/* Any thread: is the active segment, not empty, older than segment.ms or retention.ms? An append sees
 * that itself; a partition without appends is told to roll by control. */
bool storage_roll_due(const struct partition *part, uint64_t now_ns);

/* From the next batch on; segment_bytes from the next segment that is made, one is made ahead: until then
 * what is larger than both is refused. */
void storage_configure(struct partition *part, const struct partition_config *config);

/* What is known of a producer: its last batch. */
struct storage_producer {
	int64_t id, last_timestamp;
	int32_t last_sequence;
	int16_t epoch;
};

/* Producers of the partition whose last append is less than a day ago, of the `n` that came to it last; how many. */
unsigned storage_producers(const struct partition *part, struct storage_producer *to, unsigned n, uint64_t now_ns);

/* Roll, if not empty; where no segment is ready yet, at the next append or order. */
void storage_roll(struct partition *part, uint64_t now_ns);

/* The lcore drops every pointer to the partition; said before OP_DELETE_TOPIC is submitted. */
void storage_detach_lcore(struct partition *part);

/* True once per lcore and turn if it did something the sleeping flush daemon must see (Z2): then
 * call storage_wake_flush() in the loop, outside the turn. */
bool storage_flush_sleeps(const struct storage *s);
void storage_wake_flush(struct storage *s);

/* ---- Published words (any thread) -------------------------------------------------------- */

enum partition_state { PART_OK, PART_FAILED, PART_HALTED };

struct partition_ends {
	/* start <= durable <= end; visible is one of the last two, or the beginning of a hole that the log
	 * ends with: what is appended then comes behind it. */
	int64_t start, durable, visible, end;
};

void storage_ends(const struct partition *part, struct partition_ends *ret);
enum partition_state storage_state(const struct partition *part);
const char *storage_failure(const struct partition *part); /* of a failed one: why */
const char *storage_halt_reason(const struct partition *part); /* NULL: not halted */
int32_t storage_leader_epoch(const struct partition *part);
unsigned storage_lcore(const struct partition *part);   /* which storage lcore owns it */
unsigned storage_slot(const struct partition *part);    /* 0..partitions_max-1, unique while it lives */
int32_t storage_index(const struct partition *part);    /* partition number within its topic */
const char *storage_topic_name(const struct partition *part);
uint64_t storage_commit_done(const struct storage *s);  /* K4 */
uint64_t storage_failures(const struct storage *s);     /* X2: moved = some partition has failed */
/* The first I/O error of the directory's own files since the start, as a sentence; NULL: none. Kept: it
 * is tried again, but a disk that did this once is to be looked at. */
const char *storage_root_failure(const struct storage *s);

/* For how long the flush daemon owes its next turn, or the commit that runs its end, in nanoseconds. Above
 * a few seconds: it, a job, or the disk hangs. */
uint64_t storage_stuck_ns(const struct storage *s, uint64_t now_ns);

/* A giver waits for this commit number (W1, then Z2). Givers: rx lcores 0.., control the last. */
#define STORAGE_GIVERS_MAX 32
void storage_want_disk(struct storage *s, unsigned giver, uint64_t commit);

/* ---- Reads (control thread) -------------------------------------------------------------- */

struct storage_range {
	int fd;                  /* owned by the segment; valid while pinned */
	uint64_t position;
	uint32_t length;         /* whole batches of one segment; 0: nothing to read there yet */
	int64_t first_offset;    /* base offset of the first batch */
	struct segment *pinned;  /* storage_unpin() when sent; NULL where length is 0 */
};

/* From the batch that contains `offset` to at most `max_bytes` or the visible offset. `one`: at
 * least one batch, however large. Returns a Kafka error code: 0, 1 out of range, 56 failed. */
int16_t storage_read(struct partition *part, int64_t offset, uint32_t max_bytes, bool one,
	struct storage_range *ret);
void storage_unpin(struct segment *seg);

/* A range could not be sent: an I/O error, or the file is shorter than it was. Counted, and kept as below. */
void storage_range_failed(struct storage *s, const struct segment *seg, int rc);
/* The latest read that failed, as a sentence; NULL: none. Each counts in read_failures. */
const char *storage_read_failure(const struct storage *s);

/* Control must not wait for a disk: between storage_nowait(true) and (false) the reads below give up where the
 * page cache has not what they need, with 56 (storage_available(): 0), and count nothing. storage_cold() then
 * says what to read before they are tried again; false: they did not give up. */
struct storage_cold {
	int fd;            /* the caller's, to close; < 0: no descriptor was to be had */
	uint64_t position, length;
};
void storage_nowait(bool on);
bool storage_cold(struct storage_cold *ret);

/* Bytes readable from `offset`, at most `enough`; for the min_bytes of a waiting fetch. */
uint64_t storage_available(struct partition *part, int64_t offset, uint64_t enough);

/* First record with timestamp >= target: its offset and timestamp; none: -1, -1. Target -3
 * (MAX_TIMESTAMP): the record with the largest. Returns a Kafka error code. */
int16_t storage_find_time(struct partition *part, int64_t target_ms, int64_t *offset,
	int64_t *timestamp_ms);

/* OffsetForLeaderEpoch: the largest known epoch <= `epoch`, and where it ends; (-1, -1) unknown. */
void storage_epoch_end(const struct partition *part, int32_t epoch, int32_t *found, int64_t *end);
int32_t storage_epoch_at(const struct partition *part, int64_t offset);
uint64_t storage_bytes(const struct partition *part); /* of all its segments' batches */

/* ---- Operations: what may block, run as jobs of the flush daemon ------------------------- */

enum storage_op_kind {
	/* Directories, then `catalogue` (the commit point). `first` above 0: more partitions for
	 * a topic that is there. */
	OP_CREATE_TOPIC,
	/* Rename, `catalogue` (the commit point), unlink; frees the partitions when reaped. Where the catalogue
	 * cannot be written (`undone`) they are there again, failed: the lcores have let go of them. */
	OP_DELETE_TOPIC,
	OP_CATALOGUE,    /* replace kira.topics */
	OP_PRODUCER_IDS, /* ids below `producer_ids` count as spent from now on */
	OP_DELETE_RECORDS, /* part[0] begins at `offset`, on disk. Waits for nothing but its own partition */
};

struct storage_op {
	enum storage_op_kind kind;
	struct storage_topic topic;       /* CREATE, DELETE */
	struct partition_config config;   /* CREATE */
	int32_t first;                    /* CREATE: number of the first partition to be made */
	struct partition **part;          /* [topic.partitions - first]: CREATE fills, DELETE names */
	char *catalogue;                  /* text of kira.topics between first and last line; caller's */
	int64_t producer_ids;
	int64_t offset;                   /* DELETE_RECORDS: 0 to the end; out: the start offset, which may be above */
	uint64_t state_after;             /* storage's */
	bool undone;                      /* out, of a DELETE_TOPIC with rc < 0: the topic is still there */
	int rc;                           /* out: 0 or -errno, with */
	struct err err;
	void *owner;                      /* control's */
	struct storage_op *next;          /* storage's while submitted */
};

/* The operation belongs to storage until it is reaped. Reap: one finished operation, or NULL. */
void storage_submit(struct storage *s, struct storage_op *op);
struct storage_op *storage_reap(struct storage *s);

/* ---- The flush daemon's turn (its own thread, or a test) --------------------------------- */

/* One bounded pass; returns how much it did. Blocking calls are jobs. */
unsigned flush_turn(struct storage *s, uint64_t now_ns, int64_t wall_ms);

#endif
