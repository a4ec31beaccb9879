/* SPDX-License-Identifier: MIT
 * blast_frame.h - DATA frames made from one template: Ethernet, IPv4, UDP, KUP header, RecordBatch.
 * Every packet of the pool is filled with the template once; each sending patches what differs and
 * sums it up again. Pure: no DPDK, no clock, no allocation. Thread: any. */
#ifndef KIRA_BLAST_FRAME_H
#define KIRA_BLAST_FRAME_H

#include "base/bits.h"
#include "base/err.h"
#include "dataplane/client/client_wire.h"

#define FRAME_ETHER   14
#define FRAME_IP      20
#define FRAME_UDP     8
#define FRAME_LINK    (FRAME_ETHER + FRAME_IP + FRAME_UDP)
#define FRAME_BATCH   (FRAME_LINK + KUP_DATA_BATCH)
#define FRAME_MAX     (FRAME_LINK + KUP_DGRAM_MAX)
#define FRAME_RECORDS_MAX 400
#define FRAME_VALUE_MIN   16 /* u64 number, u64 scheduled time in ns */

struct frame_template {
	uint32_t records, value_bytes, batch_bytes, datagram_bytes, frame_bytes;
	uint16_t value_at[FRAME_RECORDS_MAX]; /* from the start of the frame */
	uint8_t bytes[FRAME_MAX];
};

/* As many records of `value_bytes` as fit into a batch of `batch_max`, one at least. */
int frame_template_build(struct frame_template *t, uint32_t value_bytes, uint32_t batch_max,
	struct err *err);

/* The bytes in front of the datagram, of one session. */
struct frame_link {
	uint8_t bytes[FRAME_LINK];
	uint32_t pseudo; /* sum of the UDP pseudo header, length left out */
};

/* Addresses as on the wire, ports in host order. Lengths are set for each frame. */
void frame_link_build(struct frame_link *l, const uint8_t from_mac[6], const uint8_t to_mac[6],
	const uint8_t from[4], const uint8_t to[4], uint16_t from_port, uint16_t to_port);

/* One batch of one producer and partition: enough to make the same bytes again. */
struct frame_batch {
	int64_t producer_id;
	int16_t epoch;
	int32_t partition;
	uint64_t number;    /* of its first record in this producer and partition: 0, 1, 2 .. */
	uint64_t sched_ns;  /* into every value; in a rate limited run the schedule's, not the clock's */
	int64_t wall_ms;    /* into the batch's timestamps */
};

/* A value's number: which producer (its id's low 24 bits), which of its records there. Ids are
 * never given out twice by a data directory, so runs into one topic do not mix. */
#define FRAME_TAG_SHIFT 40
static inline uint64_t
frame_number(int64_t producer_id, uint64_t number)
{
	return (uint64_t)producer_id << FRAME_TAG_SHIFT
		| (number & (((uint64_t)1 << FRAME_TAG_SHIFT) - 1));
}

/* `frame` holds the template. The KUP header is written by the caller (cwire_data at FRAME_LINK)
 * between these two: batch first, then seal, which writes the link bytes and the UDP sum. */
void frame_patch(const struct frame_template *t, uint8_t *frame, const struct frame_batch *b);
void frame_seal(uint8_t *frame, uint32_t datagram_bytes, const struct frame_link *l);

/* The one's complement sum of RFC 1071 over n bytes, folded to 16 bits, in memory order. */
uint32_t frame_sum(const uint8_t *p, uint32_t n);

/* An IPv4 UDP datagram for us, or NULL: other protocol, fragment, wrong lengths or wrong sum. */
struct frame_datagram {
	const uint8_t *payload;
	uint32_t length;
	uint8_t from[4];
	uint16_t from_port, to_port;
};
bool frame_parse(const uint8_t *frame, uint32_t bytes, const uint8_t to[4],
	struct frame_datagram *ret);

#endif
