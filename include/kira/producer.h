/* SPDX-License-Identifier: MIT
 * producer.h - libkira: a producer for Kira, over its UDP protocol or over Kafka's TCP protocol.
 *
 * Threads. Every function may be called from any thread, but kira_producer_close() only once and
 * last. Callbacks run on the producer's own thread, one at a time: they must be short, and may call
 * kira_produce(), which does not wait there, never kira_flush(), kira_topic_open() or
 * kira_producer_close(). The producer has two threads of its own, a third while it looks up a name, and
 * blocks all signals in them. Where a resolver hangs the third outlives kira_producer_close(): no dlclose().
 *
 * Errors. Functions return 0 or -errno; where they take `error`, a sentence of at most
 * `error_size` - 1 bytes says what failed and what to do (size 512 holds all). What became of a
 * record is told by a callback, with Kafka's error code (kira/errors.h): 0 success; 7: its delivery
 * timeout passed, or it failed for good after a sending without an outcome, perhaps stored; any
 * other: not stored.
 *
 * Order and duplicates. Records of one partition are stored in the order of the kira_produce()
 * calls (calls made at the same time by several threads: in some order), each exactly once, across
 * losses, reconnections and restarts of the broker, as long as none of them fails. */
#ifndef KIRA_PRODUCER_H
#define KIRA_PRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIRA_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

struct kira_producer;
struct kira_topic; /* belongs to its producer, lives as long */

/* When a record counts as delivered. */
enum kira_acks {
	KIRA_ACKS_NONE,   /* handed to the socket; still sent again until the broker has it */
	KIRA_ACKS_LOG,    /* in the broker's mapped log: survives a killed process */
	KIRA_ACKS_DISK,   /* fdatasync returned: survives a power cut. Over TCP: what the topic's
			   * kira.ack.all says, by default disk */
	KIRA_ACKS_UPLINK, /* refused with -EOPNOTSUPP: no broker of this version has an uplink */
};

enum kira_transport {
	KIRA_TRANSPORT_AUTO, /* UDP where the broker offers it, else TCP */
	KIRA_TRANSPORT_UDP,  /* fail rather than use TCP for records */
	KIRA_TRANSPORT_TCP,
};

enum kira_compression { KIRA_COMPRESSION_NONE, KIRA_COMPRESSION_LZ4 };

/* One batch reached its level or failed. */
struct kira_delivery {
	struct kira_topic *topic;
	int32_t partition;
	int16_t error;          /* Kafka's code */
	int64_t base_offset;    /* of its first record; -1 unknown */
	uint32_t records;
	uint32_t bytes;         /* of the batch, as sent */
	uint64_t latency_us;    /* since its first record was produced */
};

struct kira_producer_options {
	const char *bootstrap;      /* HOST:PORT of the Kafka port; "127.0.0.1:9092" */
	const char *client_id;      /* at most 63 bytes; "libkira" */
	const char *udp_address;    /* our address for datagrams; NULL: as the kernel routes */
	enum kira_acks acks;        /* KIRA_ACKS_LOG */
	enum kira_transport transport; /* KIRA_TRANSPORT_AUTO */
	enum kira_compression compression; /* KIRA_COMPRESSION_NONE */
	uint32_t batch_bytes;       /* largest batch, 256..1048576; 0: what one datagram holds, over
				     * TCP 65536. Over UDP never more than a datagram holds */
	uint32_t linger_us;         /* a batch waits so long for more records, 0..10000000; 1000. Behind
				     * one that cannot be sent longer, by up to delivery_timeout_ms / 8 */
	uint64_t buffer_bytes;      /* memory for records not yet delivered, >= 1 MiB; 64 MiB */
	uint32_t block_ms;          /* kira_produce() waits so long for room in it; 60000; 0: never */
	uint32_t delivery_timeout_ms; /* a batch fails so long after its first record, 1..; 120000 */
	uint32_t window;            /* UDP packets in flight, 2..1024; 1024 */
	bool no_idempotence;        /* true: no producer id; a retry may then double records */
	bool no_congestion_control; /* true: the broker's credit alone bounds UDP: dedicated links */
	bool no_gso;                /* true: each datagram goes to the kernel by itself */
	/* Optional. `arg` goes to both. on_record gets each record's own `opaque`. */
	void (*on_batch)(void *arg, const struct kira_delivery *d);
	void (*on_record)(void *arg, void *opaque, int16_t error, int64_t offset);
	void *arg;
	uint64_t reserved[8];       /* 0, or -EINVAL; room for options to come */
};

struct kira_producer_stats {
	uint64_t records;           /* accepted by kira_produce() */
	uint64_t records_delivered, records_failed;
	uint64_t bytes_delivered;   /* of batches */
	uint64_t batches_udp, batches_tcp; /* sent for the first time */
	uint64_t datagrams, retransmits, lost, probes; /* UDP */
	uint64_t sessions;          /* opened; more than one: the broker or the path went away */
	uint64_t epochs_raised;     /* the broker had lost our state, or a record failed for good */
	uint64_t rtt_us;            /* smoothed, UDP */
	uint64_t buffered_bytes;
	uint64_t bursts;            /* UDP: datagrams handed to the kernel as one buffer (GSO) */
	uint64_t bursts_off;        /* times the path swallowed such bursts, so that none is made since */
	uint64_t reserved[8];       /* room for figures to come */
};

/* The defaults above. Always start from them. */
KIRA_API void kira_producer_options_init(struct kira_producer_options *o);

/* Connects, gets a producer id, starts the threads. The strings are copied. */
KIRA_API int kira_producer_open(struct kira_producer **ret, const struct kira_producer_options *o,
	char *error, size_t error_size);

/* Find the topic, or create it with the broker's defaults; at most 64 per producer. Returns when it
 * is clear how records will travel: with KIRA_TRANSPORT_UDP an error if that is not UDP. */
KIRA_API int kira_topic_open(struct kira_producer *p, const char *name, bool create,
	struct kira_topic **ret, char *error, size_t error_size);
KIRA_API int32_t kira_topic_partitions(const struct kira_topic *t);
KIRA_API const char *kira_topic_name(const struct kira_topic *t);

/* KIRA_PARTITION_ANY: by murmur2 of the key as Java's producer does; without a key in turn. */
#define KIRA_PARTITION_ANY (-1)
/* The current time. */
#define KIRA_TIMESTAMP_NOW INT64_MIN

struct kira_record {
	const void *key, *value;    /* NULL: null */
	uint32_t key_length, value_length;
	int32_t partition;
	int64_t timestamp_ms;
	void *opaque;               /* for on_record */
};

/* Copy one record into a batch. -EAGAIN: no room within block_ms. -EMSGSIZE: no batch can hold it.
 * -ERANGE: no such partition. -EPIPE: the producer was fenced (another one has its id) or closed. */
KIRA_API int kira_produce(struct kira_topic *t, const struct kira_record *record);

/* Send what is buffered without linger and wait until every record that kira_produce() had accepted before
 * is delivered or failed; not for later ones, of other threads. -ETIMEDOUT after timeout_ms. */
KIRA_API int kira_flush(struct kira_producer *p, uint32_t timeout_ms);

KIRA_API void kira_producer_stats(struct kira_producer *p, struct kira_producer_stats *ret);
/* What carries records now: "udp", "tcp", "udp+tcp" (some batches do not fit a datagram, some topic
 * has no UDP) or "none" (no connection yet). `why`, if not NULL, gets what keeps records from moving
 * now, else the reason for TCP, else "". */
KIRA_API const char *kira_producer_transport(struct kira_producer *p, char *why, size_t why_size);

/* kira_flush(), also of what callbacks produce meanwhile, then the end: what is not delivered fails with
 * 7. Returns kira_flush()'s result. With KIRA_ACKS_NONE, what was sent has until timeout_ms to reach the
 * broker. */
KIRA_API int kira_producer_close(struct kira_producer *p, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
