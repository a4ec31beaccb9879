/* SPDX-License-Identifier: MIT
 * client_tcp.c - the fallback that carries batches as ordinary Kafka Produce requests.
 * Thread: the producer's I/O thread. Owns: the socket, one frame per request in flight, the frame
 * being read. Never: blocks, retries, keeps a batch's memory. */
#include "dataplane/client/client_tcp.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_ROOM  4096  /* of a request beyond its batch: header, names */
#define ANSWER_MAX  65536 /* one topic, one partition: some 100 bytes */

struct request {
	void *user;
	uint8_t *frame;
	size_t room, length, sent;
	int32_t correlation, partition;
	uint64_t handed_ns;
};

struct ctcp {
	int fd;
	int32_t correlation;
	unsigned first, count;       /* in flight: ring[first .. first + count - 1] */
	unsigned unsent;             /* the last `unsent` of them are not wholly written */
	struct request ring[CTCP_IN_FLIGHT];
	uint32_t got;
	uint8_t in[ANSWER_MAX];
	char client_id[64];
};

struct ctcp *
ctcp_open(int fd, const char *client_id)
{
	struct ctcp *t = calloc(1, sizeof(*t));

	if (!t) {
		(void)close(fd);
		return NULL;
	}
	t->fd = fd;
	(void)snprintf(t->client_id, sizeof(t->client_id), "%s", client_id);
	return t;
}

void
ctcp_close(struct ctcp *t)
{
	if (!t)
		return;
	(void)close(t->fd);
	for (unsigned i = 0; i < CTCP_IN_FLIGHT; i++)
		free(t->ring[i].frame);
	free(t);
}

int
ctcp_fd(const struct ctcp *t)
{
	return t->fd;
}

bool
ctcp_wants_write(const struct ctcp *t)
{
	return t->unsent > 0;
}

unsigned
ctcp_in_flight(const struct ctcp *t)
{
	return t->count;
}

uint64_t
ctcp_oldest_ns(const struct ctcp *t)
{
	return t->count == 0 ? UINT64_MAX : t->ring[t->first].handed_ns;
}

bool
ctcp_send(struct ctcp *t, void *user, const char *topic, int32_t partition, int16_t acks,
	int32_t timeout_ms, const void *batch, uint32_t length, uint64_t now_ns)
{
	struct request *r = &t->ring[(t->first + t->count) % CTCP_IN_FLIGHT];
	const size_t need = (size_t)length + FRAME_ROOM;

	if (t->count == CTCP_IN_FLIGHT)
		return false;
	if (need > r->room) {
		uint8_t *more = realloc(r->frame, need);

		if (!more)
			return false;
		r->frame = more;
		r->room = need;
	}
	r->user = user;
	r->partition = partition;
	r->correlation = ++t->correlation;
	r->sent = 0;
	r->handed_ns = now_ns;
	r->length = ckafka_produce_frame(r->frame, r->room, r->correlation, t->client_id, topic,
		partition, acks, timeout_ms, batch, length);
	if (r->length == 0)
		return false;
	t->count++;
	t->unsent++;
	return true;
}

static int
write_some(struct ctcp *t)
{
	while (t->unsent > 0) {
		struct request *r =
			&t->ring[(t->first + t->count - t->unsent) % CTCP_IN_FLIGHT];
		const ssize_t n = send(t->fd, r->frame + r->sent, r->length - r->sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		r->sent += (size_t)n;
		if (r->sent == r->length)
			t->unsent--;
	}
	return 0;
}

void *
ctcp_recall(struct ctcp *t)
{
	struct request *r = &t->ring[t->first];

	if (t->count == 0)
		return NULL;
	t->first = (t->first + 1) % CTCP_IN_FLIGHT;
	t->count--;
	t->unsent = MIN(t->unsent, t->count);
	return r->user;
}

/* The frames that are whole; -errno on one that is not an answer to our oldest request. */
static int
take_answers(struct ctcp *t, void (*answer)(void *arg, void *user, const struct ckafka_produced *),
	void *arg)
{
	uint32_t at = 0;

	while (t->got - at >= 4) {
		const uint32_t size = get_be32(t->in + at);
		const struct request *r = &t->ring[t->first];
		struct ckafka_produced res;
		struct reader reader;

		if (size > ANSWER_MAX - 4 || t->count == t->unsent)
			return -EPROTO;
		if (t->got - at < 4 + size)
			break;
		reader = kr_open(t->in + at + 4, size, false);
		if (kr_i32(&reader) != r->correlation || !ckafka_decode_produced(&reader, &res)
				|| res.partition != r->partition)
			return -EPROTO;
		at += 4 + size;
		answer(arg, ctcp_recall(t), &res);
	}
	memmove(t->in, t->in + at, t->got - at);
	t->got -= at;
	return 0;
}

int
ctcp_turn(struct ctcp *t, void (*answer)(void *arg, void *user, const struct ckafka_produced *),
	void *arg, struct err *err)
{
	int rc = write_some(t);

	if (rc < 0)
		return err_sys(err, rc, "send a Produce request");
	for (;;) {
		const ssize_t n = recv(t->fd, t->in + t->got, sizeof(t->in) - t->got, MSG_DONTWAIT);

		if (n == 0)
			return err_sys(err, -ECONNRESET, "the broker closed the connection");
		if (n < 0)
			return errno == EAGAIN || errno == EINTR
				? 0 : err_sys(err, -errno, "await a Produce answer");
		t->got += (uint32_t)n;
		rc = take_answers(t, answer, arg);
		if (rc < 0)
			return err_sys(err, rc, "malformed Produce answer");
	}
}
