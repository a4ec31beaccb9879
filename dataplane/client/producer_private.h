/* SPDX-License-Identifier: MIT
 * producer_private.h - what the three threads of libkira share, grouped by owner.
 *   application threads  producer.c, producer_topics.c: fill open batches under `lock`
 *   I/O thread           producer_io.h     everything from a closed batch to its delivery
 *   set-up thread        producer_setup.c  TCP requests that may block, one job at a time
 * A batch belongs to the application side until it is on `closed`, then to the I/O thread. */
#ifndef KIRA_PRODUCER_PRIVATE_H
#define KIRA_PRODUCER_PRIVATE_H

#include <kira/producer.h>

#include "base/bits.h"
#include "dataplane/client/client_batch.h"
#include "dataplane/client/client_kafka.h"
#include "dataplane/client/client_tcp.h"
#include "dataplane/client/client_udp.h"
#include "dataplane/client/client_window.h"

#include <kira/errors.h>
#include <pthread.h>
#include <stdatomic.h>

#define BATCH_TCP_BYTES  65536   /* where batch_bytes is 0 */
#define BATCH_MAX_BYTES  1048588 /* the broker's default max.message.bytes */
#define CONNECT_MS       5000    /* for one connection and its requests */

enum batch_state {
	BATCH_OPEN,
	BATCH_READY,  /* on its partition's `ready` */
	BATCH_UDP,    /* in the window; on `sent` */
	BATCH_TCP,    /* in the pipeline; on `sent` */
	BATCH_LOGGED, /* level disk: in the log; on `sent` and on the I/O thread's `logged` */
};

struct batch {
	struct batch *next, *prev;       /* `ready` or `sent`; `closed`, free list: next only */
	struct batch *logged_next, *logged_prev; /* by pkt_seq */
	struct batch *untold_next, *untold_prev; /* under lock, by order; until settle() saw it told */
	struct batch *told_next;         /* on the I/O thread's `told` */
	struct partition *part;
	struct cbatch build;             /* build.p = memory + KUP_DATA_BATCH */
	uint8_t *memory;
	uint32_t memory_bytes;           /* allocated; what it costs of buffer_bytes */
	uint32_t length;                 /* of the whole batch once packed, else 0 */
	uint64_t order;                  /* within the producer, rising */
	uint64_t born_ns, deadline_ns;
	void **opaque;                   /* [build.count], with on_record */
	uint32_t opaque_room;
	uint8_t state;                   /* enum batch_state */
	uint8_t tries;                   /* failures so far */
	bool packed, compressed;
	bool sequenced;                  /* base_sequence belongs to it */
	bool alone;                      /* send only when nothing of its partition is outstanding */
	bool sent_first;                 /* nothing of its partition was outstanding when it was sent */
	bool handed;                     /* it was sent at least once */
	bool unknown;                    /* a sending of it has no outcome: perhaps stored */
	bool was_unknown;                /* the same, before the sending that is out now */
	bool told;                       /* its delivery was told to the application */
	bool given_up;                   /* told as failed while its outcome is still open */
	int32_t base_sequence;
	uint32_t pkt_seq;
	int64_t base_offset;             /* of a BATCH_LOGGED */
};

struct batch_list {
	struct batch *head, *tail;
};

struct partition {
	struct kira_topic *topic;
	int32_t index;
	/* Application side, under lock. */
	struct batch *open;
	/* I/O thread. */
	struct batch_list ready, sent;   /* each by order */
	uint32_t outstanding;            /* BATCH_UDP + BATCH_TCP */
	uint32_t outstanding_tcp;
	int64_t producer_id;
	int16_t epoch;
	int32_t next_sequence;
	uint64_t known_until_ns;         /* of this producer id the broker surely knows what it stored; 0: perhaps nothing */
	bool raising;                    /* waits for nothing sent, then for a newer epoch */
	bool queued;                     /* on the I/O thread's queue */
	struct partition *queue_next;
	uint64_t wait_until_ns;          /* after an error: not before */
};

enum topic_route { ROUTE_PENDING, ROUTE_UDP, ROUTE_TCP, ROUTE_FAILED };

struct kira_topic {
	struct kira_producer *producer;
	char name[250];
	int32_t partitions;
	_Atomic uint32_t turn;           /* records without a key, round robin */
	/* Under lock; written by the I/O thread. */
	enum topic_route route;
	char why[256];                   /* ROUTE_TCP, ROUTE_FAILED */
	/* I/O thread. */
	uint16_t handle;                 /* 0: none in this session */
	uint64_t missing_ns;             /* since when the broker does not know it; 0: it does */
	struct partition part[];
};

/* ---- Set-up thread ------------------------------------------------------------------------ */

enum job_kind {
	JOB_NONE,
	JOB_OPEN,    /* a session: new, or repeated */
	JOB_TCP,     /* a connection for Produce */
	JOB_RAISE,   /* a newer epoch */
};

enum open_verdict {
	OPEN_OK,
	OPEN_NO_SESSION, /* 70: ours is gone */
	OPEN_REFUSED,    /* this broker has no UDP for us: `err` says why */
	OPEN_BUSY,       /* 89: no session free: after retry_ms */
	OPEN_AGAIN,      /* not reachable now: after retry_ms */
};

/* Filled by the I/O thread, run by the set-up thread, read by the I/O thread when done. */
struct job {
	enum job_kind kind;
	bool done;
	/* in and out of JOB_OPEN */
	struct ckafka *anchor;
	struct cudp *udp;                /* new sessions make one; a repeat keeps the caller's */
	bool repeat, was_kira;
	struct ckafka_session session;
	struct ckafka_open_topic topics[KUP_HANDLES_MAX];
	struct kira_topic *topic[KUP_HANDLES_MAX];
	unsigned topic_count;
	enum open_verdict verdict;
	uint32_t retry_ms;
	uint32_t session_id;
	uint64_t secret;
	/* JOB_TCP */
	int fd;
	/* JOB_RAISE */
	struct ckafka_producer_id id;
	int rc;
	struct err err;
};

void *setup_thread(void *arg);

/* ---- The producer -------------------------------------------------------------------------- */

struct kira_producer {
	struct kira_producer_options o;
	char bootstrap[300], client_id[64], udp_address[128];
	pthread_t io_thread, setup_thread_id;
	int event_fd;                    /* wakes the I/O thread */
	int stop_fd;                     /* readable: the set-up thread's job is given up */

	pthread_mutex_t lock;
	pthread_cond_t room;             /* buffered fell, records were told, a route was found */
	pthread_cond_t job_posted;
	/* Under lock. */
	struct kira_topic *topic[KUP_HANDLES_MAX];
	unsigned topics, routed;         /* topics the I/O thread has taken note of */
	struct batch *open_head, *open_tail; /* by age, through `next`: linger is the same for all */
	struct batch *closed_head, *closed_tail;
	struct batch *spare;             /* batches of spare_room bytes, for reuse */
	uint32_t batch_room;             /* largest batch now */
	uint32_t single_max;             /* largest batch for one large record */
	uint64_t buffered, next_order;
	struct batch *untold_head, *untold_tail; /* records produced, not told: what kira_flush() awaits */
	bool stopping, setup_stopping;
	uint64_t stop_by_ns;             /* with `stopping` */
	int16_t fatal;                   /* 47: fenced */
	bool io_sleeps;
	struct job job;
	struct kira_producer_stats stats;
	const char *transport;
	char why[256];                   /* TCP is used */
	char trouble[256];               /* nothing moves; "" once something does */

	/* Set before the threads start; then the I/O thread's. */
	int64_t producer_id;
	int16_t epoch;
};

void *io_thread(void *arg);
/* Lock held. */
void io_wake(struct kira_producer *p);
void batch_close(struct kira_producer *p, struct batch *b);
bool wait_room(struct kira_producer *p, uint64_t deadline_ns); /* false: the time is over */
void say_error(const struct err *err, char *error, size_t error_size);

#endif
