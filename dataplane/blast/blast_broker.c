/* SPDX-License-Identifier: MIT
 * blast_broker.c - InitProducerId and OpenSession for the sessions of a run.
 * Thread: main. Owns: the anchors. Never: touches a packet. */
#include "dataplane/blast/blast_broker.h"

#include "base/clock.h"

#include <kira/errors.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>

#define GREEDY_PORT 40000

static unsigned
anchors(const struct broker *b)
{
	return (b->sessions + BROKER_PER_ANCHOR - 1) / BROKER_PER_ANCHOR;
}

void
broker_disconnect(struct broker *b)
{
	for (unsigned i = 0; i < anchors(b); i++) {
		ckafka_close(b->anchor[i]);
		b->anchor[i] = NULL;
	}
	while (b->greedy_n > 0)
		ckafka_close(b->greedy[--b->greedy_n]);
}

bool
broker_connect(struct broker *b, uint64_t deadline_ns, struct err *err)
{
	broker_disconnect(b);
	for (unsigned i = 0; i < anchors(b); i++)
		if (ckafka_connect(&b->anchor[i], b->bootstrap, "kira-blast", deadline_ns, -1, err) < 0)
			return false;
	return true;
}

bool
broker_gone(const struct broker *b)
{
	struct pollfd pfd[ARRAY_LENGTH(b->anchor)];

	for (unsigned i = 0; i < anchors(b); i++) {
		if (!b->anchor[i])
			return true;
		pfd[i] = (struct pollfd){.fd = ckafka_fd(b->anchor[i]), .events = POLLRDHUP};
	}
	if (poll(pfd, anchors(b), 0) <= 0)
		return false;
	for (unsigned i = 0; i < anchors(b); i++)
		if (pfd[i].revents)
			return true;
	return false;
}

bool
broker_identify(struct broker *b, uint64_t deadline_ns, struct err *err)
{
	for (unsigned i = 0; i < b->sessions; i++) {
		struct ckafka_producer_id id = {.producer_id = -1, .epoch = -1};

		if (ckafka_init_producer_id(b->anchor[i / BROKER_PER_ANCHOR], &id, deadline_ns, err) < 0)
			return false;
		if (id.error != 0) {
			b->error = id.error;
			err_set(err, "InitProducerId: %s: %s", kira_error_name(id.error),
				kira_error_meaning(id.error));
			return false;
		}
		b->session[i].producer_id = id.producer_id;
		b->session[i].epoch = id.epoch;
	}
	return true;
}

static bool
refused(struct broker *b, int16_t error, const char *what, const char *message, struct err *err)
{
	b->error = error;
	err_set(err, "%s: the broker answers %d %s: %s", what, error, kira_error_name(error),
		message && message[0] ? message : kira_error_meaning(error));
	return false;
}

static bool
granted(struct broker *b, struct blast_session *s, const struct ckafka_session *grant,
	const struct ckafka_open_topic *topic, uint64_t now_ns, struct err *err)
{
	const bool kept = grant->wire.id == s->wire.id && grant->wire.secret == s->wire.secret;

	if (topic->error != 0)
		return refused(b, topic->error, b->topic, NULL, err);
	if (inet_pton(AF_INET, grant->udp_host, s->to) != 1) {
		err_set(err, "data address \"%s\" of the broker is not IPv4: kira-blast sends IPv4 only",
			grant->udp_host);
		return false;
	}
	if (grant->max_dgram < s->run->frame->datagram_bytes) {
		err_set(err, "datagrams of %u bytes do not fit the broker's %u: --batch %u",
			s->run->frame->datagram_bytes, grant->max_dgram,
			grant->max_dgram - KUP_DATA_BATCH);
		return false;
	}
	b->max_dgram = b->max_dgram ? MIN(b->max_dgram, grant->max_dgram) : grant->max_dgram;
	s->to_port = grant->udp_port;
	if (!kept)
		session_granted(s, grant, topic->handle, now_ns);
	return true;
}

bool
broker_open_session(struct broker *b, unsigned i, uint64_t now_ns, uint64_t deadline_ns,
	struct err *err)
{
	struct blast_session *s = &b->session[i];
	bool fresh = s->wire.id == 0 || s->lost;

	b->error = 0;
	for (;;) {
		struct ckafka_open_topic topic = {.name = b->topic};
		struct ckafka_session grant;
		struct ckafka_open o = {
			.session_id = fresh ? 0 : s->wire.id,
			.secret = fresh ? 0 : s->wire.secret,
			.udp_address_length = 4,
			.udp_port = s->from_port,
			.max_dgram = KUP_DGRAM_MAX,
			.want_window = KUP_WINDOW_MAX,
			.capabilities = s->run->acks == BLAST_ACKS_DISK ? KUP_CAP_WANT_DISK : 0,
			.topics = &topic,
			.topic_count = 1,
		};

		memcpy(o.udp_address, b->address, 4);
		memset(&grant, 0, sizeof(grant));
		if (ckafka_open_session(b->anchor[i / BROKER_PER_ANCHOR], &o, &grant, deadline_ns, err)
				< 0)
			return false;
		if (grant.error == 0)
			return granted(b, s, &grant, &topic, now_ns, err);
		if (grant.error == KIRA_E_FETCH_SESSION_ID_NOT_FOUND && !fresh) {
			fresh = true; /* it was restarted: what was not acked goes again */
			continue;
		}
		if (grant.error != KIRA_E_THROTTLING_QUOTA_EXCEEDED
				|| clock_now_ns() + grant.throttle_ms * NS_PER_MS >= deadline_ns)
			return refused(b, grant.error, "OpenSession", grant.message, err);
		(void)poll(NULL, 0, (int)MAX(grant.throttle_ms, 1u));
	}
}

/* Sessions of one connection until it gets no more; false: not for a limit (89). */
static bool
grab(struct broker *b, struct ckafka *k, uint8_t last, uint64_t deadline_ns, unsigned *got, struct err *err)
{
	for (*got = 0;; ++*got) {
		struct ckafka_session grant = {.error = 0};
		struct ckafka_open o = {
			.udp_address_length = 4,
			.udp_port = (uint16_t)(GREEDY_PORT + b->greedy_sessions),
			.max_dgram = KUP_DGRAM_MAX,
			.want_window = KUP_WINDOW_MAX,
		};

		memcpy(o.udp_address, b->address, 4);
		o.udp_address[3] = last;
		if (ckafka_open_session(k, &o, &grant, deadline_ns, err) < 0)
			return false;
		if (grant.error == KIRA_E_THROTTLING_QUOTA_EXCEEDED)
			return true;
		if (grant.error != 0)
			return refused(b, grant.error, "OpenSession beside the run", grant.message, err);
		b->greedy_sessions++;
	}
}

bool
broker_exhaust(struct broker *b, uint64_t deadline_ns, struct err *err)
{
	uint8_t last = b->address[3];
	unsigned got;

	b->exhausted = false;
	while (!b->exhausted && b->greedy_n < BROKER_GREEDY_MAX) {
		struct ckafka **k = &b->greedy[b->greedy_n];

		last = last == 250 ? 3 : last + 1; /* few connections each: below the limit per address */
		if (ckafka_connect(k, b->bootstrap, "kira-blast", deadline_ns, -1, err) < 0)
			return false;
		b->greedy_n++;
		if (!grab(b, *k, last, deadline_ns, &got, err))
			return false;
		b->exhausted = got == 0;
	}
	return true;
}
