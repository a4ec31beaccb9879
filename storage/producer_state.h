/* SPDX-License-Identifier: MIT
 * producer_state.h - what each producer stored last, per partition: duplicates are recognised, gaps
 * refused, older epochs fenced. One table per storage lcore, of fixed size: no allocation while
 * appending. Rules: README.md, "Producer state"; Kafka's ProducerStateManager is the model.
 * Thread: the storage lcore that owns the table; before it runs, whoever recovers partitions. */
#ifndef KIRA_STORAGE_PRODUCER_STATE_H
#define KIRA_STORAGE_PRODUCER_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* 5, as in Kafka: its idempotent clients have at most 5 requests in flight, so a retry over TCP
 * repeats one of the last 5 batches. A UDP session has its own, wider window (PROTOCOL.md). */
#define PRODUCER_BATCHES_KEPT 5
#define PRODUCER_EXPIRES_NS (24 * 3600 * NS_PER_S)
/* How long what was given up is waited for, since it was last: clients come again within seconds, for minutes. */
#define PRODUCER_GIVEN_UP_NS (300 * NS_PER_S)
/* Pairs of producer and partition per storage lcore, 10 MiB. Beyond it the one that appended (or was given
 * up) the longest ago is forgotten, as if its 24 hours were over. */
#define PRODUCERS_PER_LCORE 65536

struct producers;
struct producer;
struct storage_producer;

bool producers_open(struct producers **ret, uint32_t capacity, unsigned partitions_max);
void producers_close(struct producers *p);

enum producer_verdict {
	PRODUCER_NEXT,       /* append it, then producers_stored() */
	PRODUCER_DUPLICATE,  /* one of the last 5: *offset is where it lies */
	PRODUCER_LONG_AGO,   /* surely stored, offset forgotten: 46 */
	PRODUCER_FENCED,     /* 47 */
	PRODUCER_UNPROVEN,   /* 45 */
	PRODUCER_AHEAD,      /* above the next one: hold it, or 45 */
};

/* `slot`: the partition. `strict`: an unknown producer must begin at 0 (UDP, which may reorder);
 * else its state has expired and it may go on anywhere, as in Kafka, but not behind one given up. */
enum producer_verdict producers_judge(struct producers *p, unsigned slot, int64_t id, int16_t epoch,
	int32_t first, int32_t last, bool strict, uint64_t now_ns, int64_t *offset);

/* The batch was appended (or was found in the log by recovery). */
void producers_stored(struct producers *p, unsigned slot, int64_t id, int16_t epoch, int32_t first,
	int32_t last, int64_t base_offset, int64_t max_timestamp, uint64_t now_ns);

/* A batch of it is answered that it may come again (no room), and more of the producer may be on their way. Where
 * nothing of it is stored, that batch, or an earlier one, must be its first: then none overtakes it. For
 * PRODUCER_GIVEN_UP_NS, and in no snapshot: a start ends the connection that brought them, too. */
void producers_given_up(struct producers *p, unsigned slot, int64_t id, int16_t epoch, int32_t first,
	uint64_t now_ns);

/* The same of a whole batch, as it lies in the log at `offset`; one without a producer changes nothing. */
void producers_fold(struct producers *p, unsigned slot, const uint8_t *batch, int64_t offset,
	uint64_t now_ns);

/* As storage_producers(). */
unsigned producers_tell(const struct producers *p, unsigned slot, struct storage_producer *to, unsigned n,
	uint64_t now_ns);

void producers_forget(struct producers *p, unsigned slot); /* all of a partition */
uint32_t producers_count(const struct producers *p, unsigned slot);
uint32_t producers_capacity(const struct producers *p); /* as it was opened with */

/* Snapshot in Kafka's format, and behind it all else that the table knows (FORMAT.md), so that a loaded
 * one judges as the table did: PRODUCER_SNAPSHOT_BYTES(n) for n entries. put() writes at most `room` bytes and returns how many, 0 where it does not fit. load() judges the bytes; false:
 * not a snapshot, and nothing was taken. */
#define PRODUCER_SNAPSHOT_BYTES(n) (10u + 98u * (n))
uint32_t producers_put(const struct producers *p, unsigned slot, uint8_t *to, uint32_t room);
bool producers_load(struct producers *p, unsigned slot, const uint8_t *from, uint32_t length,
	uint64_t now_ns);
/* Would load() take it? */
bool producers_snapshot_right(const uint8_t *from, uint32_t length);
/* The CRC over it: apart, because put() runs on the storage lcore and this need not. */
void producers_seal_snapshot(uint8_t *snapshot, uint32_t length);

#endif
