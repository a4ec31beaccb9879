/* SPDX-License-Identifier: MIT
 * rx_produce.h - one produce datagram: bytes in, verdict out. Checks V2, D3 and D4 of PROTOCOL.md.
 * Pure: sees only include/; fuzzed. Any thread. */
#ifndef KIRA_DATAPLANE_RX_PRODUCE_H
#define KIRA_DATAPLANE_RX_PRODUCE_H

#include <stdbool.h>
#include <stdint.h>

enum produce_verdict {
	PRODUCE_OK,
	PRODUCE_SHORT, /* below KUP_FLOOR */
	PRODUCE_MAGIC, /* not this protocol, or not this version of it */
	PRODUCE_TYPE,  /* a type that clients do not send */
};

/* What every client datagram has. */
struct produce_head {
	uint64_t auth;
	uint32_t session_id;
	uint32_t word;  /* at 16: pkt_seq of DATA, id of PING and CLOSE, first_seq of QUERY */
	uint32_t word2; /* at 20: tx_ts; QUERY: count in the upper half */
	uint8_t type;   /* enum kup_type: DATA, PING, QUERY or CLOSE */
	uint8_t flags, aux;
};

/* UDP payload of `len` bytes. Filled if the verdict is PRODUCE_OK; then len >= KUP_FLOOR, so that
 * every fixed field of every type, and a batch header behind DATA's, lies inside. */
enum produce_verdict produce_head(const uint8_t *p, uint32_t len, struct produce_head *ret);

struct produce_data {
	int32_t partition; /* -1: the broker chooses */
	uint32_t length;   /* of the batch, KUP_DATA_BATCH into the payload */
	uint32_t records;  /* as its header claims; sure once storage has taken it */
	uint16_t handle;
	int16_t error;     /* 0; 42 by D3, 2 by D4: final at once, handed to nobody */
};

/* A payload that produce_head() let in as DATA. */
void produce_data(const uint8_t *p, uint32_t len, struct produce_data *ret);

#endif
