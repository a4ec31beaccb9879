/* SPDX-License-Identifier: MIT
 * producer_sim_tcp.c - Produce connections: libkira's client_tcp.h on one end, kirad's control on the
 * other, which serves one request of a connection at a time. See producer_sim.h. */
#include "dataplane/kira_dpdk_compat.h"

#include "tests/sim/producer_sim.h"

#include "base/assert.h"
#include "dataplane/client/client_tcp.h"
#include "tests/unit/dataplane/world.h"

#include <kira/errors.h>
#include <kira/record_batch.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <string.h>

enum request_state {
	ON_ITS_WAY, /* to kirad, until at_ns */
	IN_STORE,   /* with the storage lcore */
	DONE,       /* back, perhaps to wait for the disk */
	ANSWERED,   /* on its way back, until at_ns */
	OVER,
};

struct request {
	struct store_msg msg;
	struct request *next;
	uint8_t *batch;
	uint64_t at_ns;
	enum request_state state;
	bool disk;
};

struct connection {
	struct connection *next;
	struct request *head, *tail;
	bool client_gone, broker_gone;
	bool unread; /* the client has closed it: what is left of it is read no more */
};

struct ctcp {
	struct connection *conn;
	struct {
		struct request *r;
		void *user;
		uint64_t sent_ns;
		int32_t partition;
	} flight[CTCP_IN_FLIGHT];
	unsigned first, count;
};

static struct connection *connections;

static uint64_t
travel(void)
{
	return sim.now_ns + (50 + sim_draw(200)) * NS_PER_US;
}

/* ---- The client's end ---------------------------------------------------------------------- */

struct ctcp *
ctcp_open(int fd, const char *client_id)
{
	struct ctcp *t = calloc(1, sizeof(*t));

	ASSERT(t);
	t->conn = calloc(1, sizeof(*t->conn));
	ASSERT(t->conn);
	t->conn->next = connections;
	connections = t->conn;
	return t;
}

void
ctcp_close(struct ctcp *t)
{
	if (!t)
		return;
	t->conn->client_gone = true;
	free(t);
}

unsigned
ctcp_in_flight(const struct ctcp *t)
{
	return t->count;
}

uint64_t
ctcp_oldest_ns(const struct ctcp *t)
{
	return t->count ? t->flight[t->first].sent_ns : UINT64_MAX;
}

bool
ctcp_send(struct ctcp *t, void *user, const char *topic, int32_t partition, int16_t acks,
	int32_t timeout_ms, const void *batch, uint32_t length, uint64_t now_ns)
{
	const unsigned at = (t->first + t->count) % CTCP_IN_FLIGHT;
	struct request *r;

	if (t->count == CTCP_IN_FLIGHT)
		return false;
	r = calloc(1, sizeof(*r));
	ASSERT(r);
	r->batch = malloc(length);
	ASSERT(r->batch);
	memcpy(r->batch, batch, length);
	sim_note("produce %d of batch %lld", partition, (long long)rb_base_timestamp(r->batch));
	r->msg = (struct store_msg){.part = &world.part[partition], .batch = r->batch,
		.length = length, .kind = STORE_PRODUCE, .base_offset = -1, .owner = r};
	r->disk = acks == -1;
	r->at_ns = travel();
	if (t->conn->tail)
		t->conn->tail->next = r;
	else
		t->conn->head = r;
	t->conn->tail = r;
	t->flight[at].r = r;
	t->flight[at].user = user;
	t->flight[at].sent_ns = now_ns;
	t->flight[at].partition = partition;
	t->count++;
	return true;
}

void *
ctcp_recall(struct ctcp *t)
{
	void *user;

	if (t->count == 0)
		return NULL;
	user = t->flight[t->first].user;
	t->first = (t->first + 1) % CTCP_IN_FLIGHT;
	t->count--;
	return user;
}

int
ctcp_turn(struct ctcp *t, void (*answer)(void *arg, void *user, const struct ckafka_produced *),
	void *arg, struct err *err)
{
	if (t->conn->broker_gone) {
		err_set(err, "the connection is gone");
		return -1;
	}
	while (t->count > 0) {
		struct request *r = t->flight[t->first].r;
		const struct ckafka_produced res = {.partition = t->flight[t->first].partition,
			.error = r->msg.error, .base_offset = r->msg.base_offset};

		if (r->state != ANSWERED || sim.now_ns < r->at_ns)
			break;
		r->state = OVER;
		answer(arg, ctcp_recall(t), &res);
	}
	return 0;
}

/* ---- kirad's end --------------------------------------------------------------------------- */

static void
drop_head(struct connection *c)
{
	struct request *r = c->head;

	c->head = r->next;
	if (!c->head)
		c->tail = NULL;
	free(r->batch);
	free(r);
}

/* The first one without an answer; those behind it wait in the socket. */
static void
serve(struct connection *c)
{
	struct request *r = c->head;

	while (r && r->state >= ANSWERED)
		r = r->next;
	if (!r)
		return;
	if (r->state == DONE) {
		if (r->disk && (!r->msg.error || r->msg.error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER)) {
			if (storage_commit_done(&world.storage) < r->msg.commit)
				return;
			if (storage_state(r->msg.part) != PART_OK)
				r->msg.error = KIRA_E_KAFKA_STORAGE_ERROR;
		}
		r->state = ANSWERED;
		r->at_ns = travel();
	} else if (r->state == ON_ITS_WAY && sim.now_ns >= r->at_ns && !sim.away) {
		/* Of a client that has closed the first ones were read before. */
		c->unread |= c->broker_gone || (c->client_gone && sim_once_in(2));
		if (c->unread)
			r->state = OVER;
		else if (rte_ring_sp_enqueue(world.store.cmd, &r->msg) == 0) {
			r->state = IN_STORE;
			sim.produced++;
		}
	}
}

/* Nobody reads the answers. True: nothing of it is left to happen. */
static bool
closed(struct connection *c)
{
	bool open = false;

	for (struct request *r = c->head; r; r = r->next) {
		c->unread |= r->state == ON_ITS_WAY && sim_once_in(3);
		if (r->state >= DONE || (r->state == ON_ITS_WAY && c->unread))
			r->state = OVER;
		open |= r->state < DONE;
	}
	return !open;
}

void
sim_tcp_turn(void)
{
	struct store_msg *m;

	while (rte_ring_sc_dequeue(world.store.cmd_done, (void **)&m) == 0)
		((struct request *)m->owner)->state = DONE;
	for (struct connection **at = &connections; *at;) {
		struct connection *c = *at;

		while (c->head && c->head->state == OVER)
			drop_head(c);
		serve(c);
		if (c->client_gone && closed(c)) {
			while (c->head)
				drop_head(c);
			*at = c->next;
			free(c);
			continue;
		}
		at = &c->next;
	}
}

bool
sim_tcp_idle(void)
{
	for (const struct connection *c = connections; c; c = c->next)
		for (const struct request *r = c->head; r; r = r->next)
			if (r->state < DONE)
				return false;
	return true;
}

void
sim_tcp_die(void)
{
	for (struct connection *c = connections; c; c = c->next)
		c->broker_gone = true;
}

void
sim_tcp_killed(void)
{
	for (struct connection **at = &connections; *at;) {
		struct connection *c = *at;

		c->broker_gone = true;
		while (c->head)
			drop_head(c);
		if (c->client_gone) {
			*at = c->next;
			free(c);
			continue;
		}
		at = &c->next;
	}
}
