/* SPDX-License-Identifier: MIT
 * kill_produce.c - a producer of our own over TCP, 5 requests in flight, that goes on through whatever
 * happens to kirad: after each loss it sends again what has no answer, as it was. Idempotent, under one
 * producer id for all of its life, or plain.
 * Thread: its own. */
#include "tests/crash/kill_load.h"

#include "dataplane/client/client_tcp.h"
#include "tests/unit/storage/make_batch.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#define CONNECT_MS 2000
#define ANSWER_MS  20000 /* a stopped process goes on after 5 s */

struct flying {
	struct unit_id unit;
	int16_t acks;
	uint32_t length;
	uint8_t bytes[UNIT_ROOM];
};

struct producer {
	struct worker *w;
	struct ckafka_producer_id who;
	struct flying ring[CTCP_IN_FLIGHT]; /* oldest at `first` */
	unsigned first, count;
	int32_t next;        /* sequence */
	uint64_t due_ns;
	struct ctcp *tcp;
	bool refused;        /* an answer was no success: all that follow on this connection are void */
};

/* Records as they lie in memory: no key, no headers. */
static uint32_t
put_unit(struct producer *p, struct flying *f)
{
	const struct unit_id *u = &f->unit;
	uint8_t value[UNIT_VALUE_MAX], *at = f->bytes + RB_HEADER;
	uint64_t hash = 0;

	/* Producer 0 stands for none there, and is an id like others. */
	put_batch_header(f->bytes, &(struct batch_of){.count = u->count,
					   .producer = p->w->kind == KIND_EXACT,
					   .epoch = p->who.epoch,
					   .sequence = u->sequence,
					   .timestamp = clock_wall_ms()});
	if (p->w->kind == KIND_EXACT)
		put_be64(f->bytes + RB_PRODUCER_ID, (uint64_t)p->who.producer_id);
	for (int32_t i = 0; i < u->count; i++) {
		const uint32_t n = unit_value(u, i, value);

		hash = unit_hash(hash, value, n);
		at = put_record(at, 0, i, n, 0);
		memcpy(at - 1 - n, value, n);
	}
	unit_sent(p->w, u, hash);
	return seal_batch(f->bytes, (uint32_t)(at - f->bytes));
}

static void
hand_over(struct producer *p, struct flying *f)
{
	if (!ctcp_send(p->tcp, f, load.topic, (int32_t)p->w->part, f->acks, 30000, f->bytes, f->length,
		    clock_now_ns()))
		load_failed(p->w, "5 are in flight, and one more was to go");
}

static void
send_next(struct producer *p)
{
	struct flying *f = &p->ring[(p->first + p->count) % CTCP_IN_FLIGHT];

	f->unit = (struct unit_id){p->w->id, p->w->kind == KIND_PLAIN ? -1 : p->who.epoch, p->next,
		unit_count(p->w->id, p->next)};
	/* Most of an even producer at log, of an odd one at disk, or what the topic makes of it. */
	f->acks = (p->w->id + (p->next % 8 == 0)) % 2 ? -1 : 1;
	f->length = put_unit(p, f);
	p->next += f->unit.count;
	p->count++;
	hand_over(p, f);
}

static void
answered(void *arg, void *user, const struct ckafka_produced *got)
{
	struct producer *p = arg;
	struct flying *f = user;

	if (p->refused)
		return;
	if (got->error != 0 && got->error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER) {
		p->refused = true;
		if (got->error == KIRA_E_OUT_OF_ORDER_SEQUENCE_NUMBER ||
			got->error == KIRA_E_INVALID_PRODUCER_EPOCH)
			load_failed(p->w, "sequence %" PRId32 ": error %d: kirad has forgotten what it acked",
				f->unit.sequence, got->error);
		return;
	}
	if (f != &p->ring[p->first])
		load_failed(p->w, "answers out of order");
	unit_acked(p->w, &f->unit, f->acks < 0 && load.all_is_disk,
		got->error ? -1 : got->base_offset);
	p->first = (p->first + 1) % CTCP_IN_FLIGHT;
	p->count--;
}

static bool
connect_to(struct producer *p)
{
	const uint64_t deadline = clock_now_ns() + CONNECT_MS * NS_PER_MS;
	struct err err = {""};
	struct ckafka *k;

	if (ckafka_connect(&k, load.bootstrap, "kill_load", deadline, -1, &err) < 0)
		return false;
	if (p->w->kind == KIND_EXACT && p->who.producer_id < 0 &&
		(ckafka_init_producer_id(k, &p->who, deadline, &err) < 0 || p->who.error != 0)) {
		p->who.producer_id = -1;
		ckafka_close(k);
		return false;
	}
	p->tcp = ctcp_open(ckafka_release(k), "kill_load");
	return p->tcp != NULL;
}

/* Until the connection is over, or all is said. */
static void
serve(struct producer *p)
{
	struct err err = {""};

	p->refused = false;
	for (unsigned i = 0; i < p->count; i++)
		hand_over(p, &p->ring[(p->first + i) % CTCP_IN_FLIGHT]);
	atomic_fetch_add(&load.progress->again, p->count);
	while (!p->refused && !load.failed && !(load.stop && p->count == 0)) {
		const uint64_t now_ns = clock_now_ns();
		struct pollfd fd = {ctcp_fd(p->tcp), POLLIN, 0};

		if (!load.stop && p->count < CTCP_IN_FLIGHT && now_ns >= p->due_ns) {
			p->due_ns = MAX(p->due_ns + load.pace_us * NS_PER_US, now_ns - 20 * NS_PER_MS);
			send_next(p);
		}
		if (ctcp_wants_write(p->tcp))
			fd.events |= POLLOUT;
		(void)poll(&fd, 1, p->count < CTCP_IN_FLIGHT ? 1 : 20);
		if (ctcp_turn(p->tcp, answered, p, &err) < 0)
			return;
		if (p->count > 0 && ctcp_oldest_ns(p->tcp) < now_ns &&
			now_ns - ctcp_oldest_ns(p->tcp) > ANSWER_MS * NS_PER_MS)
			return;
	}
}

void *
produce_run(void *worker)
{
	struct producer *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->w = worker;
	p->who = (struct ckafka_producer_id){-1, -1, 0};
	p->due_ns = clock_now_ns();
	fprintf(p->w->history, "producer %" PRId64 " %s\n", p->w->id,
		p->w->kind == KIND_PLAIN ? "plain" : "exactly");
	while (!load.failed && !(load.stop && p->count == 0)) {
		if (!connect_to(p)) {
			load_nap(20);
			continue;
		}
		serve(p);
		ctcp_close(p->tcp);
		if (p->refused)
			load_nap(10);
	}
	free(p);
	return NULL;
}
