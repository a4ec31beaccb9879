/* SPDX-License-Identifier: MIT
 * client_kafka.h - the few requests a producer sends to the Kafka port: ApiVersions, Metadata,
 * InitProducerId, OpenSession, Produce. One request at a time; each call blocks at most until its
 * deadline (clock_now_ns() time) on a nonblocking socket. Encoders and decoders stand alone, for
 * callers that pipeline and for fuzzing.
 * Thread: a connection has one user at a time. Names are resolved by client_lookup.h, within the same deadline.
 * Calls return 0, or -errno with a sentence in err; after an error close the connection. Kafka's
 * error codes are outputs, not return values. */
#ifndef KIRA_CLIENT_KAFKA_H
#define KIRA_CLIENT_KAFKA_H

#include "base/err.h"
#include "base/reader.h"
#include "base/writer.h"
#include "dataplane/client/client_wire.h"

struct ckafka;

/* `address` is HOST:PORT, [IPV6]:PORT or HOST (port 9092). `stop_fd`: once it is readable this call and
 * all later ones on the connection end with -ECANCELED, before their deadlines; -1: never. */
int ckafka_connect(struct ckafka **ret, const char *address, const char *client_id,
	uint64_t deadline_ns, int stop_fd, struct err *err);
void ckafka_close(struct ckafka *k); /* NULL is fine */
int ckafka_fd(const struct ckafka *k); /* to poll for POLLRDHUP: the anchor of a session */
/* The socket alone; the connection is freed. The caller closes the socket. */
int ckafka_release(struct ckafka *k);

/* ---- ApiVersions ------------------------------------------------------------------------- */

#define CKAFKA_KEYS_MAX 128
#define CKAFKA_PRODUCE  0
#define CKAFKA_METADATA 3
#define CKAFKA_API_VERSIONS 18
#define CKAFKA_INIT_PRODUCER_ID 22

struct ckafka_versions {
	int16_t error;
	int16_t min[CKAFKA_KEYS_MAX], max[CKAFKA_KEYS_MAX]; /* max -1: not served */
};
int ckafka_api_versions(struct ckafka *k, struct ckafka_versions *ret, uint64_t deadline_ns,
	struct err *err);
bool ckafka_decode_versions(struct reader *r, struct ckafka_versions *ret);

/* ---- Metadata of one topic --------------------------------------------------------------- */

struct ckafka_metadata {
	int16_t error;      /* of the topic */
	int32_t brokers;
	int32_t partitions;
};
int ckafka_metadata(struct ckafka *k, const char *topic, bool create, struct ckafka_metadata *ret,
	uint64_t deadline_ns, struct err *err);
bool ckafka_decode_metadata(struct reader *r, struct ckafka_metadata *ret);

/* ---- InitProducerId ---------------------------------------------------------------------- */

struct ckafka_producer_id {
	int64_t producer_id; /* in: -1, -1 a fresh one; a pair: raise its epoch. out: what to use */
	int16_t epoch;
	int16_t error;       /* out */
};
int ckafka_init_producer_id(struct ckafka *k, struct ckafka_producer_id *id, uint64_t deadline_ns,
	struct err *err);
bool ckafka_decode_producer_id(struct reader *r, struct ckafka_producer_id *ret);

/* ---- OpenSession ------------------------------------------------------------------------- */

struct ckafka_open_topic {
	const char *name;
	bool create;
	/* out */
	int16_t error;
	uint8_t id[16];
	uint16_t handle;
	int32_t partitions, max_batch_bytes;
	int8_t ack_min;           /* 0..3: none, log, disk, uplink */
};

struct ckafka_open {
	uint32_t session_id;      /* 0, 0: new; else repeat */
	uint64_t secret;
	uint8_t udp_address[16];
	uint8_t udp_address_length; /* 0: the TCP peer's; 4; 16 */
	uint16_t udp_port;        /* host order; 0: any */
	uint16_t max_dgram, want_window;
	uint32_t capabilities;    /* KUP_CAP_ */
	struct ckafka_open_topic *topics;
	unsigned topic_count;     /* <= KUP_HANDLES_MAX */
};

struct ckafka_session {
	uint32_t throttle_ms;
	int16_t error;
	char message[256];
	uint16_t api_max;
	/* The rest if error is 0; also the outputs in the request's topics. */
	struct cwire_session wire;
	char udp_host[256];
	uint16_t udp_port;
	uint16_t max_dgram, window;
	uint32_t credit_limit, capabilities;
	uint16_t ack_every, keepalive_s;
	uint32_t ack_delay_us, lease_ms, credit_lease_ms;
};

/* -ECONNRESET if the peer closed instead of answering: not Kira. Use a connection of its own. */
int ckafka_open_session(struct ckafka *k, struct ckafka_open *o, struct ckafka_session *ret,
	uint64_t deadline_ns, struct err *err);
void ckafka_encode_open(struct writer *w, const struct ckafka_open *o);
bool ckafka_decode_session(struct reader *r, struct ckafka_open *o, struct ckafka_session *ret);

/* ---- Produce, version 7 ------------------------------------------------------------------ */

#define CKAFKA_PRODUCE_VERSION 7

struct ckafka_produced {
	int16_t error;
	int64_t base_offset;
	int32_t partition;
};

/* One batch of one partition. acks 1: at log; -1: at disk (the topic's kira.ack.all). */
int ckafka_produce(struct ckafka *k, const char *topic, int32_t partition, int16_t acks,
	const void *batch, uint32_t length, struct ckafka_produced *ret, uint64_t deadline_ns,
	struct err *err);

/* For pipelining: a whole frame, its size field included, for one batch. Returns its length, 0 if
 * `room` is too small. */
size_t ckafka_produce_frame(uint8_t *p, size_t room, int32_t correlation, const char *client_id,
	const char *topic, int32_t partition, int16_t acks, int32_t timeout_ms, const void *batch,
	uint32_t length);
/* The body of its response: exactly one topic and partition. */
bool ckafka_decode_produced(struct reader *r, struct ckafka_produced *ret);

#endif
