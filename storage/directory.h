/* SPDX-License-Identifier: MIT
 * directory.h - struct storage: one data directory, its files and the words shared by all its
 * partitions. Fields are grouped by who writes them. */
#ifndef KIRA_STORAGE_DIRECTORY_H
#define KIRA_STORAGE_DIRECTORY_H

#include "storage/flush.h"
#include "storage/holes.h"
#include "storage/io.h"
#include "storage/partition.h"
#include "storage/producer_state.h"

#include <pthread.h>
#include <stdio.h>

#define DIR_PATH_MAX 4096
enum { FLUSH_AWAKE, FLUSH_DOZES, FLUSH_SLEEPS };

#define READ_FDS_MAX 1024 /* descriptors of sealed segments that control keeps open */

/* What kira.state said of a partition at the last stop, or while it ran. */
struct state_row {
	char topic[TOPIC_NAME_MAX + 1];
	uint8_t id[16];
	int32_t partition, epoch;
	int64_t start, recovery; /* recovery: everything below was durable */
	int64_t last_base;       /* the sealed file that ends there, and its size; -1: none does */
	uint64_t last_bytes;
	enum partition_state state;
	bool used;               /* its partition is open now, or no topic names it */
	struct holes holes;      /* below `recovery` */
};

/* Words of one storage lcore. Bitmaps: a bit per slot. */
struct store_words {
	_Alignas(CACHE_LINE) _Atomic uint64_t *touched;  /* T1 fetch_or, T2 exchange; seq_cst */
	_Atomic uint64_t *ask;                           /* A1 fetch_or, A2 exchange; seq_cst */
	_Atomic uint64_t wanted;                         /* W1 of flush.messages */
	struct producers *producers;
};

struct storage {
	/* Set at open. */
	struct storage_options o;
	const struct io *io;
	char dir[DIR_PATH_MAX];
	int dirfd, lock_fd, wake_fd;
	uint64_t incarnation, dirty_budget;
	char cluster_id[23];
	bool is_volatile, was_clean;
	bool reserved;                                   /* kira.reserve is there; the state job's, once it runs */
	_Atomic bool cache_is_opaque;                    /* recovery: a dropped page shows as cached here */
	unsigned cache_waited_ms;                        /* recovery, under op_lock: for pages that stay */
	unsigned words;                                  /* of a bitmap */
	struct storage_counters own, *count;
	struct store_words lcore[STORE_LCORES_MAX];

	/* Read at open; topics are control's until the first operation. */
	struct storage_topic *topic;
	unsigned topics;
	struct state_row *row;                           /* sorted by topic and partition */
	unsigned rows;
	struct attached {                                /* to be recovered */
		struct partition *part;
		struct state_row *row;                   /* NULL: none */
	} *attached;
	unsigned attached_n;

	/* Control's. */
	int64_t ids_spent;
	uint8_t *slot_used;
	struct segment lru;                              /* head of the list of open read descriptors */
	unsigned read_fds;
	struct err read_err;                             /* the latest read that failed */

	/* Flush writes. */
	_Alignas(CACHE_LINE) _Atomic uint64_t commit_begun; /* K1 seq_cst; K2 */
	_Atomic uint64_t commit_done;                    /* K3 release; K4 acquire */
	_Atomic uint32_t asleep;                         /* Z1 seq_cst; Z2: FLUSH_AWAKE .. */
	struct segment *_Atomic sealed;                  /* stacks for control: index memory and */
	struct segment *_Atomic gone;                    /* descriptor are its now; in no array any more */

	/* For who watches it, relaxed: when the latest turn began; the commit that runs, 0: none does. */
	_Atomic uint64_t turn_ns, commit_ns;

	_Atomic bool root_failed;                        /* release, after root_err; never back */
	struct err root_err;

	/* Givers. */
	_Alignas(CACHE_LINE) _Atomic uint32_t urgent;    /* set after A1 and W1; flush clears, seq_cst */
	_Atomic uint64_t failures;  /* X1; X2 */
	_Atomic uint64_t sync_wanted[STORAGE_GIVERS_MAX]; /* W1 seq_cst; W2 */

	/* Operations: two lists under a lock that nobody holds for longer than a push. */
	pthread_mutex_t op_lock;
	struct storage_op *op_first, **op_last, *reap_first, **reap_last;

	struct flush flush;
};

/* ---- The files of the directory (directory.c; blocking) ---------------------------------- */

#define DIRECTORY_FORMAT 2 /* opens 1 too, and makes it 2 (FORMAT.md) */

/* File system, lock, kira.meta: created, judged, or raised to our format. directory_identity.c */
int directory_identify(struct storage *s, int64_t wall_ms, struct err *err);
int directory_open(struct storage *s, int64_t wall_ms, struct err *err);
void directory_close(struct storage *s);
/* kira.reserve: made, if it is not there and there is space; removed, which a start on a full disk lives
 * on (false: there was none). directory_reserve.c */
void directory_reserve(struct storage *s);
bool directory_release(struct storage *s);
void directory_release_if_low(struct storage *s);
/* Text of kira.state, of live partitions and those of a topic in deletion; to be freed. On the flush daemon's thread, or alone. */
char *directory_state(const struct storage *s, bool clean, int64_t wall_ms);
/* Kafka's root checkpoints, at a clean stop. */
int directory_checkpoints(const struct storage *s);
/* The row of a partition, NULL if there was none. */
struct state_row *directory_row(const struct storage *s, const char *topic, const uint8_t id[16],
	int32_t partition);
int directory_put_ids(struct storage *s, int64_t next);
/* What a partition's directory is called while its topic is deleted, as Kafka calls it; a long name is
 * cut, a file's has 255 bytes. */
#define DIRECTORY_DELETED (TOPIC_NAME_MAX + 64)
void directory_deleted_name(char ret[DIRECTORY_DELETED], const char *topic, int32_t partition,
	const uint8_t id[16]);
/* A sub-directory and the plain files in it. */
int directory_remove(struct storage *s, const char *name);
/* The same, if it is what a creation that was cut short leaves: no batch in it. -EEXIST: it is not. */
int directory_remove_blank(struct storage *s, const char *name);

/* ---- Catalogue (catalogue.c) ------------------------------------------------------------- */

/* The body of kira.meta. False: it is not one. */
bool catalogue_parse_meta(const char *body, int32_t *format, char cluster_id[23]);
/* Parse the body of kira.topics. False: it is not one. */
bool catalogue_parse(const char *body, struct storage_topic **topic, unsigned *n);
/* The body of kira.topics, of those topics for which `take` says so. */
void catalogue_put_topics(FILE *f, const struct storage_topic *topic, const bool *take, unsigned n);
void catalogue_free(struct storage_topic *topic, unsigned n);
/* Of a row of kira.state, by enum partition_state. */
extern const char *const catalogue_state_name[PART_HALTED + 1];
/* The first lines of kira.state, before the rows. */
void catalogue_put_head(FILE *f, uint64_t incarnation, bool clean, int64_t wall_ms);
/* A row as it stands in kira.state, and the lines of its holes, but of those wholly below the start. */
void catalogue_put_row(FILE *f, const struct state_row *row);
void catalogue_free_rows(struct state_row *row, unsigned n);
/* The body of kira.state. False: it is not one. */
bool catalogue_parse_state(const char *body, uint64_t *incarnation, bool *clean,
	struct state_row **row, unsigned *n);

/* ---- Control's side of partitions and segments ------------------------------------------- */

/* Slots and memory for the partitions of a topic from `first` on; -ENOSPC: no slot left. flush_op.c */
int storage_take_partitions(struct storage *s, const struct storage_topic *t, int32_t first,
	const struct partition_config *config, struct partition **part);
void storage_drop_partition(struct storage *s, struct partition *part);
/* What the flush daemon handed over: index memory goes, descriptors and gone segments are ours.
 * read_fd.c */
void storage_take_segments(struct storage *s);
/* The newest array of filed segments; older ones are freed. */
const struct segments *storage_segments(struct partition *part);
/* Its descriptor, opened if need be; -errno. Valid while pinned, or until the next call. */
int storage_segment_fd(struct storage *s, struct segment *seg);
/* No array names it any more: freed now, or with its last pin. */
void storage_free_segment(struct storage *s, struct segment *seg);

#endif
