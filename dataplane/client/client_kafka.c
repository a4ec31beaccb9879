/* SPDX-License-Identifier: MIT
 * client_kafka.c - requests to the Kafka port, one at a time, each with a deadline.
 * Thread: the connection's user. Owns: the socket and two buffers.
 * Never: retries; keeps a view into a response after the next request. */
#include "dataplane/client/client_kafka.h"

#include "base/bits.h"
#include "dataplane/client/client_address.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAME_MAX        (16 * MIB) /* largest response taken: Metadata of 100,000s of partitions */
#define HEAD_ROOM        (32 * KIB) /* any request here but Produce; OpenSession's cap at the broker */
#define BROKERS_MAX      10000
#define PARTITIONS_MAX   1000000
#define METADATA_VERSION 4          /* highest of those without compact encodings */
#define PRODUCER_ID_VERSION 3       /* first one that raises an epoch */
#define PRODUCE_TIMEOUT_MS 30000

struct ckafka {
	int fd, stop_fd;
	int32_t correlation;
	char client_id[64];
	char peer[128];        /* as given, for messages */
	uint8_t *out, *in;
	size_t out_room, in_room;
};

/* ---- Connecting -------------------------------------------------------------------------- */

int
ckafka_connect(struct ckafka **ret, const char *address, const char *client_id,
	uint64_t deadline_ns, int stop_fd, struct err *err)
{
	struct ckafka *k;
	const int fd = client_connect(address, 9092, deadline_ns, stop_fd, err);

	if (fd < 0)
		return fd;
	k = calloc(1, sizeof(*k));
	if (k) {
		k->fd = fd;
		k->stop_fd = stop_fd;
		k->out_room = HEAD_ROOM;
		k->in_room = HEAD_ROOM;
		k->out = malloc(k->out_room);
		k->in = malloc(k->in_room);
		(void)snprintf(k->client_id, sizeof(k->client_id), "%s", client_id);
		(void)snprintf(k->peer, sizeof(k->peer), "%s", address);
	}
	if (!k || !k->out || !k->in) {
		(void)close(fd);
		if (k)
			k->fd = -1;
		ckafka_close(k);
		return err_sys(err, -ENOMEM, "connect to %s", address);
	}
	*ret = k;
	return 0;
}

void
ckafka_close(struct ckafka *k)
{
	if (!k)
		return;
	if (k->fd >= 0)
		(void)close(k->fd);
	free(k->out);
	free(k->in);
	free(k);
}

int
ckafka_fd(const struct ckafka *k)
{
	return k->fd;
}

int
ckafka_release(struct ckafka *k)
{
	const int fd = k->fd;

	k->fd = -1;
	ckafka_close(k);
	return fd;
}

/* ---- One request and its response -------------------------------------------------------- */

static int
send_all(struct ckafka *k, const uint8_t *p, size_t n, uint64_t deadline_ns)
{
	while (n > 0) {
		const ssize_t sent = send(k->fd, p, n, MSG_NOSIGNAL);
		int rc;

		if (sent >= 0) {
			p += sent;
			n -= (size_t)sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = client_wait(k->fd, POLLOUT, deadline_ns, k->stop_fd);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
receive_all(struct ckafka *k, uint8_t *p, size_t n, uint64_t deadline_ns)
{
	while (n > 0) {
		const ssize_t got = recv(k->fd, p, n, 0);
		int rc;

		if (got > 0) {
			p += got;
			n -= (size_t)got;
			continue;
		}
		if (got == 0)
			return -ECONNRESET;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		rc = client_wait(k->fd, POLLIN, deadline_ns, k->stop_fd);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void
write_header(struct writer *w, int16_t key, int16_t version, int32_t correlation,
	const char *client_id)
{
	const bool flexible = w->flexible;

	kw_i32(w, 0); /* the size, when it is known */
	kw_i16(w, key);
	kw_i16(w, version);
	kw_i32(w, correlation);
	w->flexible = false; /* the client id keeps its i16 length */
	kw_string(w, client_id);
	w->flexible = flexible;
	kw_tags(w);
}

static struct writer
begin(struct ckafka *k, int16_t key, int16_t version, bool flexible)
{
	struct writer w = kw_open(k->out, k->out_room, flexible);

	write_header(&w, key, version, ++k->correlation, k->client_id);
	return w;
}

/* Send what `w` holds; a reader on the response's body. `tags`: the response header has them. */
static int
finish(struct ckafka *k, struct writer *w, const char *what, bool tags, uint64_t deadline_ns,
	struct reader *ret, struct err *err)
{
	uint8_t size_field[4];
	uint32_t size;
	int rc;

	if (w->full)
		return err_sys(err, -EMSGSIZE, "%s to %s: build the request", what, k->peer);
	put_be32(k->out, (uint32_t)kw_length(w) - 4);
	rc = send_all(k, k->out, kw_length(w), deadline_ns);
	if (rc < 0)
		return err_sys(err, rc, "%s: send to %s", what, k->peer);
	rc = receive_all(k, size_field, sizeof(size_field), deadline_ns);
	if (rc < 0)
		return err_sys(err, rc, "%s: await the answer of %s", what, k->peer);
	size = get_be32(size_field);
	if (size < 4 || size > FRAME_MAX)
		return err_sys(err, -EPROTO, "%s: %s answers with a frame of %u bytes; is it a Kafka "
					     "port?", what, k->peer, size);
	if (size > k->in_room) {
		uint8_t *more = realloc(k->in, size);

		if (!more)
			return err_sys(err, -ENOMEM, "%s: answer of %u bytes", what, size);
		k->in = more;
		k->in_room = size;
	}
	rc = receive_all(k, k->in, size, deadline_ns);
	if (rc < 0)
		return err_sys(err, rc, "%s: await the answer of %s", what, k->peer);
	*ret = kr_open(k->in, size, w->flexible);
	if (kr_i32(ret) != k->correlation)
		return err_sys(err, -EPROTO, "%s: %s answers another request", what, k->peer);
	if (tags)
		kr_tags(ret);
	return 0;
}

static int
malformed(struct ckafka *k, const char *what, struct err *err)
{
	return err_sys(err, -EPROTO, "%s: malformed answer of %s", what, k->peer);
}

/* ---- ApiVersions ------------------------------------------------------------------------- */

bool
ckafka_decode_versions(struct reader *r, struct ckafka_versions *ret)
{
	int32_t n;

	for (unsigned i = 0; i < CKAFKA_KEYS_MAX; i++)
		ret->min[i] = ret->max[i] = -1;
	ret->error = kr_i16(r);
	n = kr_array(r, 1000, 6);
	for (int32_t i = 0; i < n && !r->bad; i++) {
		const int16_t key = kr_i16(r), min = kr_i16(r), max = kr_i16(r);

		if (key >= 0 && key < CKAFKA_KEYS_MAX) {
			ret->min[key] = min;
			ret->max[key] = max;
		}
	}
	return !r->bad;
}

int
ckafka_api_versions(struct ckafka *k, struct ckafka_versions *ret, uint64_t deadline_ns,
	struct err *err)
{
	struct writer w = begin(k, CKAFKA_API_VERSIONS, 0, false);
	struct reader r;
	int rc;

	rc = finish(k, &w, "ApiVersions", false, deadline_ns, &r, err);
	if (rc < 0)
		return rc;
	return ckafka_decode_versions(&r, ret) ? 0 : malformed(k, "ApiVersions", err);
}

/* ---- Metadata ---------------------------------------------------------------------------- */

bool
ckafka_decode_metadata(struct reader *r, struct ckafka_metadata *ret)
{
	int32_t n;

	(void)kr_i32(r); /* throttle */
	ret->brokers = kr_array(r, BROKERS_MAX, 12);
	for (int32_t i = 0; i < ret->brokers && !r->bad; i++) {
		(void)kr_i32(r);    /* node id */
		(void)kr_string(r); /* host */
		(void)kr_i32(r);    /* port */
		(void)kr_string(r); /* rack */
	}
	(void)kr_string(r); /* cluster id */
	(void)kr_i32(r);    /* controller */
	n = kr_array(r, 1, 9);
	if (n != 1)
		return false;
	ret->error = kr_i16(r);
	(void)kr_string(r); /* name */
	(void)kr_bool(r);   /* internal */
	ret->partitions = kr_array(r, PARTITIONS_MAX, 18);
	for (int32_t i = 0; i < ret->partitions && !r->bad; i++) {
		(void)kr_i16(r);
		(void)kr_i32(r);
		(void)kr_i32(r);
		for (unsigned list = 0; list < 2; list++) { /* replicas, in sync replicas */
			n = kr_array(r, BROKERS_MAX, 4);
			if (n > 0)
				(void)kr_take(r, (size_t)n * 4);
		}
	}
	return !r->bad && ret->partitions >= 0 && ret->brokers >= 0;
}

int
ckafka_metadata(struct ckafka *k, const char *topic, bool create, struct ckafka_metadata *ret,
	uint64_t deadline_ns, struct err *err)
{
	struct writer w = begin(k, CKAFKA_METADATA, METADATA_VERSION, false);
	struct reader r;
	int rc;

	kw_array(&w, 1);
	kw_string(&w, topic);
	kw_bool(&w, create);
	rc = finish(k, &w, "Metadata", false, deadline_ns, &r, err);
	if (rc < 0)
		return rc;
	return ckafka_decode_metadata(&r, ret) ? 0 : malformed(k, "Metadata", err);
}

/* ---- InitProducerId ---------------------------------------------------------------------- */

bool
ckafka_decode_producer_id(struct reader *r, struct ckafka_producer_id *ret)
{
	(void)kr_i32(r); /* throttle */
	ret->error = kr_i16(r);
	ret->producer_id = kr_i64(r);
	ret->epoch = kr_i16(r);
	return !r->bad;
}

int
ckafka_init_producer_id(struct ckafka *k, struct ckafka_producer_id *id, uint64_t deadline_ns,
	struct err *err)
{
	struct writer w = begin(k, CKAFKA_INIT_PRODUCER_ID, PRODUCER_ID_VERSION, true);
	struct reader r;
	int rc;

	kw_string(&w, NULL); /* no transactional id */
	kw_i32(&w, 0);
	kw_i64(&w, id->producer_id);
	kw_i16(&w, id->epoch);
	kw_tags(&w);
	rc = finish(k, &w, "InitProducerId", true, deadline_ns, &r, err);
	if (rc < 0)
		return rc;
	return ckafka_decode_producer_id(&r, id) ? 0 : malformed(k, "InitProducerId", err);
}

/* ---- OpenSession ------------------------------------------------------------------------- */

void
ckafka_encode_open(struct writer *w, const struct ckafka_open *o)
{
	kw_i32(w, (int32_t)o->session_id);
	kw_i64(w, (int64_t)o->secret);
	kw_bytes(w, o->udp_address, o->udp_address_length);
	kw_i16(w, (int16_t)o->udp_port);
	kw_i16(w, (int16_t)o->max_dgram);
	kw_i16(w, (int16_t)o->want_window);
	kw_i32(w, (int32_t)o->capabilities);
	kw_array(w, (int32_t)o->topic_count);
	for (unsigned i = 0; i < o->topic_count; i++) {
		kw_string(w, o->topics[i].name);
		kw_bool(w, o->topics[i].create);
		kw_tags(w);
	}
	kw_tags(w);
}

static void
copy_text(char *to, size_t size, struct view v)
{
	const size_t n = MIN((size_t)v.len, size - 1);

	if (n > 0)
		memcpy(to, v.p, n);
	to[n] = '\0';
}

/* A field that must be there if the session was granted: a broker that breaks its own limits is
 * as good as a malformed frame. */
static bool
session_is_sane(const struct ckafka_session *s)
{
	return s->wire.id != 0 && s->udp_port != 0 && s->udp_host[0] != '\0'
		&& s->max_dgram >= KUP_DGRAM_BASE && s->window >= 2 && s->window <= KUP_WINDOW_MAX
		&& s->keepalive_s >= 1 && s->credit_lease_ms >= 1;
}

bool
ckafka_decode_session(struct reader *r, struct ckafka_open *o, struct ckafka_session *ret)
{
	int32_t n;

	ret->throttle_ms = (uint32_t)kr_i32(r);
	ret->error = kr_i16(r);
	copy_text(ret->message, sizeof(ret->message), kr_string(r));
	ret->api_max = (uint16_t)kr_i16(r);
	ret->wire.id = (uint32_t)kr_i32(r);
	ret->wire.secret = (uint64_t)kr_i64(r);
	ret->wire.incarnation = (uint64_t)kr_i64(r);
	copy_text(ret->udp_host, sizeof(ret->udp_host), kr_string(r));
	ret->udp_port = (uint16_t)kr_i16(r);
	ret->max_dgram = (uint16_t)kr_i16(r);
	ret->max_dgram = MIN(ret->max_dgram, (uint16_t)KUP_DGRAM_MAX);
	ret->window = (uint16_t)kr_i16(r);
	ret->credit_limit = (uint32_t)kr_i32(r);
	ret->capabilities = (uint32_t)kr_i32(r);
	ret->ack_every = (uint16_t)kr_i16(r);
	ret->ack_delay_us = (uint32_t)kr_i32(r);
	ret->lease_ms = (uint32_t)kr_i32(r);
	ret->credit_lease_ms = (uint32_t)kr_i32(r);
	ret->keepalive_s = (uint16_t)kr_i16(r);
	n = kr_array(r, KUP_HANDLES_MAX, 31);
	if (r->bad)
		return false;
	if (ret->error != 0)
		return true;
	if (!session_is_sane(ret) || n != (int32_t)o->topic_count)
		return false;
	for (int32_t i = 0; i < n; i++) {
		struct ckafka_open_topic *topic = &o->topics[i];
		const uint8_t *id;

		topic->error = kr_i16(r);
		(void)kr_string(r); /* in the order of the request */
		id = kr_take(r, sizeof(topic->id));
		if (id)
			memcpy(topic->id, id, sizeof(topic->id));
		topic->handle = (uint16_t)kr_i16(r);
		topic->partitions = kr_i32(r);
		topic->max_batch_bytes = kr_i32(r);
		topic->ack_min = kr_i8(r);
		kr_tags(r);
		if (!r->bad && topic->error == 0 && (topic->partitions < 1 || topic->handle == 0))
			return false;
	}
	kr_tags(r);
	return !r->bad;
}

int
ckafka_open_session(struct ckafka *k, struct ckafka_open *o, struct ckafka_session *ret,
	uint64_t deadline_ns, struct err *err)
{
	struct writer w = begin(k, KUP_OPEN_SESSION_KEY, KUP_OPEN_SESSION_VERSION, true);
	struct reader r;
	int rc;

	memset(ret, 0, sizeof(*ret));
	ckafka_encode_open(&w, o);
	rc = finish(k, &w, "OpenSession", true, deadline_ns, &r, err);
	if (rc < 0)
		return rc;
	return ckafka_decode_session(&r, o, ret) ? 0 : malformed(k, "OpenSession", err);
}

/* ---- Produce ----------------------------------------------------------------------------- */

size_t
ckafka_produce_frame(uint8_t *p, size_t room, int32_t correlation, const char *client_id,
	const char *topic, int32_t partition, int16_t acks, int32_t timeout_ms, const void *batch,
	uint32_t length)
{
	struct writer w = kw_open(p, room, false);

	write_header(&w, CKAFKA_PRODUCE, CKAFKA_PRODUCE_VERSION, correlation, client_id);
	kw_string(&w, NULL); /* no transactional id */
	kw_i16(&w, acks);
	kw_i32(&w, timeout_ms);
	kw_array(&w, 1);
	kw_string(&w, topic);
	kw_array(&w, 1);
	kw_i32(&w, partition);
	kw_bytes(&w, batch, (int32_t)length);
	if (w.full)
		return 0;
	put_be32(p, (uint32_t)kw_length(&w) - 4);
	return kw_length(&w);
}

bool
ckafka_decode_produced(struct reader *r, struct ckafka_produced *ret)
{
	if (kr_array(r, 1, 36) != 1)
		return false;
	(void)kr_string(r); /* topic */
	if (kr_array(r, 1, 30) != 1)
		return false;
	ret->partition = kr_i32(r);
	ret->error = kr_i16(r);
	ret->base_offset = kr_i64(r);
	(void)kr_i64(r); /* append time */
	(void)kr_i64(r); /* start offset */
	(void)kr_i32(r); /* throttle */
	return !r->bad;
}

int
ckafka_produce(struct ckafka *k, const char *topic, int32_t partition, int16_t acks,
	const void *batch, uint32_t length, struct ckafka_produced *ret, uint64_t deadline_ns,
	struct err *err)
{
	const size_t need = (size_t)length + HEAD_ROOM;
	struct reader r;
	struct writer w;
	int rc;

	if (need > k->out_room) {
		uint8_t *more = realloc(k->out, need);

		if (!more)
			return err_sys(err, -ENOMEM, "Produce of %u bytes", length);
		k->out = more;
		k->out_room = need;
	}
	w = kw_open(k->out, k->out_room, false);
	w.p += ckafka_produce_frame(k->out, k->out_room, ++k->correlation, k->client_id, topic,
		partition, acks, PRODUCE_TIMEOUT_MS, batch, length);
	w.full = w.p == w.start;
	rc = finish(k, &w, "Produce", false, deadline_ns, &r, err);
	if (rc < 0)
		return rc;
	if (!ckafka_decode_produced(&r, ret) || ret->partition != partition)
		return malformed(k, "Produce", err);
	return 0;
}
