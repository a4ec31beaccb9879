/* SPDX-License-Identifier: MIT
 * wire.h - the Kira produce protocol (KUP), version 1: byte maps and limits. The rules are in
 * dataplane/PROTOCOL.md, which is the authority. Big-endian; bit 0 is the lowest. Any thread. */
#ifndef KIRA_WIRE_H
#define KIRA_WIRE_H

/* Common header, 16 bytes. */
#define KUP_MAGIC        0x4B
#define KUP_VERSION      1
#define KUP_OFF_MAGIC    0  /* u8 */
#define KUP_OFF_TYPE     1  /* u8: version << 4 | type */
#define KUP_OFF_FLAGS    2  /* u8 */
#define KUP_OFF_AUX      3  /* u8; DATA: earlier transmissions of this pkt_seq, saturating */
#define KUP_OFF_SESSION  4  /* u32: owner << 24 | slot, never 0 */
#define KUP_OFF_AUTH     8  /* u64: the session's secret, both directions */
#define KUP_HEADER       16

enum kup_type {
	KUP_DATA = 1,  /* client to broker */
	KUP_ACK = 2,   /* broker to client */
	KUP_PING = 3,
	KUP_PONG = 4,
	KUP_QUERY = 5,
	KUP_RESET = 6,
	KUP_CLOSE = 7,
};

#define KUP_FLAG_ACK_NOW 0x01 /* DATA, PING */
#define KUP_FLAG_DRAIN   0x01 /* ACK: the broker is stopping; send no new pkt_seq */

/* DATA: 32 + batch + padding. */
#define KUP_DATA_SEQ       16 /* u32 pkt_seq; 1, 2, 3.. per session; a retransmission repeats it */
#define KUP_DATA_TX_TS     20 /* u32 client microseconds, fresh on each transmission */
#define KUP_DATA_HANDLE    24 /* u16 */
#define KUP_DATA_FRAG_IDX  26 /* u8, 0 */
#define KUP_DATA_FRAG_CNT  27 /* u8, 1 */
#define KUP_DATA_PARTITION 28 /* i32; -1: the broker chooses, only with producerId -1 */
#define KUP_DATA_BATCH     32

/* ACK: 56 + 8n + 24r. */
#define KUP_ACK_LOG_SEQ    16 /* u32 every pkt_seq <= this is final, no failure among them unreported */
#define KUP_ACK_DISK_SEQ   20 /* u32 same, and fdatasync covered those that succeeded */
#define KUP_ACK_UPLINK_SEQ 24 /* u32, 0 */
#define KUP_ACK_CREDIT     28 /* u32 highest pkt_seq the client may send */
#define KUP_ACK_MAX_SEQ    32 /* u32 highest received */
#define KUP_ACK_ERR_TOTAL  36 /* u32 packets reported so far with error != 0 */
#define KUP_ACK_TS_ECHO    40 /* u32 tx_ts of the DATA received last */
#define KUP_ACK_ECHO_DELAY 44 /* u16 us; 65535: longer */
#define KUP_ACK_CE         46 /* u16 */
#define KUP_ACK_N          48 /* u8 SACK words, 0..16 */
#define KUP_ACK_R          49 /* u8 results, 0..40 */
#define KUP_ACK_THROTTLE   50 /* u16 ms */
#define KUP_ACK_NUM        52 /* u32 1, 2, 3.. per session */
#define KUP_ACK_FIXED      56
#define KUP_SACK_WORD      8  /* u64; bit i of word w: log_seq + 1 + 64 w + i was received */
#define KUP_RESULT         24 /* one result: */
#define KUP_RESULT_SEQ     0  /* u32 first_seq */
#define KUP_RESULT_COUNT   4  /* u16 */
#define KUP_RESULT_ERROR   6  /* i16 */
#define KUP_RESULT_PART    8  /* i32 */
#define KUP_RESULT_HANDLE  12 /* u16, then u16 0 */
#define KUP_RESULT_OFFSET  16 /* i64 base offset, -1 unknown */
#define KUP_SACK_WORDS_MAX 16
#define KUP_RESULTS_MAX    40

/* PING, CLOSE: u32 id at 16, u32 tx_ts at 20. QUERY: u32 first_seq at 16, u16 count at 20. */
#define KUP_PING_ID         16
#define KUP_PING_TX_TS      20
#define KUP_QUERY_FIRST     16
#define KUP_QUERY_COUNT     20
#define KUP_PONG_ID         16 /* u32 id, u32 ts_echo, u16 received_len, 6 zero bytes */
#define KUP_PONG_TS_ECHO    20
#define KUP_PONG_LEN        24
#define KUP_PONG_BYTES      32
#define KUP_RESET_ECHO      16 /* u32 at offset 16 of what it answers */
#define KUP_RESET_REASON    20 /* u16, then u16 0 */
#define KUP_RESET_INCARNATION 24 /* u64 */
#define KUP_RESET_BYTES     32

enum kup_reset_reason {
	KUP_RESET_CLOSED = 1,     /* the client's CLOSE */
	KUP_RESET_LEASE = 2,      /* no TCP anchor for lease_ms */
	KUP_RESET_SILENCE = 3,    /* nothing valid for 3 x keepalive_s */
	KUP_RESET_WITHDRAWN = 4,  /* a right was withdrawn, or the operator ended it */
	KUP_RESET_DISK = 5,       /* a flush failed in a topic it has a handle for */
};

/* Limits (PROTOCOL.md, 11). */
#define KUP_FLOOR         256  /* smallest client datagram: answers never outweigh questions */
#define KUP_DGRAM_BASE    1200 /* goes at once, before the path probe */
#define KUP_DGRAM_MAX     8972
#define KUP_ACK_MAX       1144
#define KUP_WINDOW_MAX    1024
#define KUP_HANDLES_MAX   64
#define KUP_HOLD_MAX      1024 /* early batches per (producer, partition) */
#define KUP_HOLD_MS       2000
#define KUP_PROBES        5
#define KUP_PTO_MIN_US    2000
#define KUP_PTO_MAX_US    1000000
#define KUP_UDP_DEAD_MS   10000
#define KUP_IDLE_CREDIT   2
#define KUP_MARKS         4
#define KUP_PORTS         16   /* P..P+15, P a multiple of 16 */
#define KUP_PORT_DEFAULT  9104
#define KUP_ACK_EVERY     16
#define KUP_ACK_DELAY_US  50
#define KUP_LEASE_MS      10000
#define KUP_CREDIT_LEASE_MS 200
#define KUP_KEEPALIVE_S   10
#define KUP_RESULTS_KEPT  1024 /* per session, for QUERY */

/* OpenSession: Kira's own request on the Kafka port, not listed in ApiVersions. */
#define KUP_OPEN_SESSION_KEY     19273 /* 0x4B49, "KI" */
#define KUP_OPEN_SESSION_VERSION 0     /* flexible; request header v2, response header v1 */

#define KUP_CAP_WANT_OFFSETS 1
#define KUP_CAP_WANT_DISK    2

#endif
