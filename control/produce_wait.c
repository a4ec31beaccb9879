/* SPDX-License-Identifier: MIT
 * produce_wait.c - from a produce request to its answer: command ring, completion, commit.
 * Thread: control. Owns: struct produce until its last completion; the batches lie in the body of
 * the request, which the connection keeps as long (conn_hold).
 * Never: waits for a lcore. A full ring keeps the commands here, in order, and with them the
 * connection they came from unread: TCP's flow control does the rest. */
#include "control/produce_wait.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"
#include "control/kafka/serve.h"
#include "control/topic_alter.h"
#include "control/groups/group_topic.h"

#include <kira/errors.h>

#include <stdlib.h>

#define COMPLETIONS_TURN 256
/* After a second it refuses what finds no room (dataplane/store.h); the rest is for a machine so busy that
 * neither it nor control comes to run. */
#define LCORE_ANSWERS_NS (5 * NS_PER_S)
/* Control is the last of the givers that wait for a commit (storage.h). */
#define GIVER (STORAGE_GIVERS_MAX - 1)

void
produce_give(struct control *ctl, struct store_msg *msg)
{
	struct produce_waits *pw = &ctl->produces;

	msg->next = NULL;
	if (!pw->give_first && dataplane_store(ctl->dp, msg))
		return;
	counter_add(&ctl->count->produce_ring_full, 1);
	*(pw->give_last ? &pw->give_last->next : &pw->give_first) = msg;
	pw->give_last = msg;
}

static unsigned
give_more(struct control *ctl)
{
	struct produce_waits *pw = &ctl->produces;
	unsigned n = 0;

	while (pw->give_first) {
		struct store_msg *msg = pw->give_first, *next = msg->next;

		msg->next = NULL;
		if (!dataplane_store(ctl->dp, msg)) {
			msg->next = next;
			break;
		}
		pw->give_first = next;
		if (!next)
			pw->give_last = NULL;
		n++;
	}
	return n;
}

struct produce *
produce_make(struct conn *c, unsigned parts, int16_t acks)
{
	struct produce *pr = calloc(1, sizeof(*pr) + parts * sizeof(pr->part[0]));

	if (!pr)
		return NULL;
	pr->ctl = c->ctl;
	pr->conn = c;
	pr->parts = parts;
	pr->acks = acks;
	for (unsigned i = 0; i < parts; i++) {
		pr->part[i].produce = pr;
		pr->part[i].base_offset = pr->part[i].append_ms = pr->part[i].log_start = -1;
	}
	return pr;
}

static void
produce_free(struct produce *pr)
{
	struct produce_waits *pw = &pr->ctl->produces;

	if (pr->on_disk_list) {
		*(pr->prev ? &pr->prev->next : &pw->disk) = pr->next;
		if (pr->next)
			pr->next->prev = pr->prev;
	}
	free(pr);
}

/* One partition is decided. */
static void
decide(struct produce_part *p, int16_t error)
{
	struct control *ctl = p->produce->ctl;

	p->topic = NULL;
	p->error = error;
	p->produce->undecided--;
	if (error != 0 && error != KIRA_E_DUPLICATE_SEQUENCE_NUMBER)
		counter_add(&ctl->count->produce_errors, 1);
}

bool
produce_start(struct produce *pr, uint64_t now_ns)
{
	struct control *ctl = pr->ctl;

	pr->lcore_until_ns = now_ns + LCORE_ANSWERS_NS;
	for (unsigned i = 0; i < pr->parts; i++) {
		struct produce_part *p = &pr->part[i];

		if (!p->topic)
			continue;
		p->sent = true;
		pr->undecided++;
		pr->at_lcores++;
		conn_hold(pr->conn);
		counter_add(&ctl->count->produce_batches, 1);
		counter_add(&ctl->count->produce_bytes, p->msg.length);
		produce_give(ctl, &p->msg);
	}
	return pr->undecided == 0;
}

void
produce_forget(struct produce *pr)
{
	pr->forgotten = true;
	if (pr->at_lcores == 0)
		produce_free(pr);
}

uint64_t
produce_expire(struct produce *pr, uint64_t now_ns)
{
	bool any = false;

	for (unsigned i = 0; i < pr->parts; i++) {
		struct produce_part *p = &pr->part[i];

		if (!p->topic || (!p->stored && now_ns < pr->lcore_until_ns))
			continue;
		p->late = true;
		decide(p, KIRA_E_REQUEST_TIMED_OUT);
		any = true;
	}
	if (any)
		counter_add(&pr->ctl->count->produce_timeouts, 1);
	return pr->lcore_until_ns;
}

void
produce_want_disk(struct control *ctl, uint64_t commit)
{
	/* W1: the flush daemon begins at once; Z2, if it sleeps: wake it. */
	storage_want_disk(ctl->storage, GIVER, commit);
	if (storage_flush_sleeps(ctl->storage))
		storage_wake_flush(ctl->storage);
}

static void
wait_for_disk(struct produce_part *p)
{
	struct produce *pr = p->produce;
	struct produce_waits *pw = &pr->ctl->produces;

	if (!pr->on_disk_list) {
		pr->on_disk_list = true;
		pr->prev = NULL;
		pr->next = pw->disk;
		if (pw->disk)
			pw->disk->prev = pr;
		pw->disk = pr;
	}
	produce_want_disk(pr->ctl, p->msg.commit);
}

/* Is what waits for commits up to `done` on the disk? */
static void
look_at_disk(struct produce_part *p, uint64_t done)
{
	if (!p->topic || !p->stored || p->msg.commit > done)
		return;
	/* The commit is over; whether it covered this partition is the partition's state. */
	decide(p, storage_state(p->msg.part) == PART_OK ? p->msg.error
						       : KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
}

static void
completed(struct produce_part *p)
{
	struct produce *pr = p->produce;
	struct partition_ends ends;

	p->stored = true;
	pr->at_lcores--;
	if (p->topic) {
		const int16_t error = p->msg.error;
		const bool ok = error == 0 || error == KIRA_E_DUPLICATE_SEQUENCE_NUMBER;

		p->base_offset = p->msg.base_offset;
		p->append_ms = p->topic->cfg.log.log_append_time ? p->msg.append_ms : -1;
		if (p->topic->state != TOPIC_LIVE) {
			decide(p, ok ? KIRA_E_UNKNOWN_TOPIC_OR_PARTITION : error);
		} else {
			storage_ends(p->msg.part, &ends);
			p->log_start = ends.start;
			if (!ok || p->level < ACK_DISK)
				decide(p, error);
			else if (p->msg.commit <= storage_commit_done(pr->ctl->storage))
				look_at_disk(p, UINT64_MAX);
			else
				wait_for_disk(p);
		}
	}
}

/* All decided: answer. */
static void
settle(struct produce *pr)
{
	struct conn *c = pr->conn;
	struct control *ctl = pr->ctl;

	if (pr->undecided == 0 && !pr->forgotten)
		conn_wake(c, ctl->now_ns, false);
}

static void
take_completion(struct control *ctl, struct store_msg *msg)
{
	struct produce_part *p;
	struct produce *pr;
	struct conn *c;

	if (msg->owner && msg->owner == ctl->group_log) {
		group_log_completed(ctl->group_log, msg);
		return;
	}
	if (msg->kind == STORE_DETACH) {
		topics_detached(ctl, msg);
		return;
	}
	if (msg->kind == STORE_PRODUCERS) {
		producers_told(ctl, msg);
		return;
	}
	if (msg->kind == STORE_CONFIGURE) {
		topics_configured(ctl, msg);
		return;
	}
	if (msg->kind == STORE_ROLL) {
		rolls_done(ctl);
		return;
	}
	p = (struct produce_part *)(void *)msg;
	pr = p->produce;
	c = pr->conn;
	completed(p);
	if (pr->forgotten) {
		if (pr->at_lcores == 0)
			produce_free(pr);
	} else {
		settle(pr);
	}
	conn_release(c, ctl->now_ns);
}

static unsigned
look_at_commits(struct control *ctl)
{
	struct produce_waits *pw = &ctl->produces;
	const uint64_t done = storage_commit_done(ctl->storage);
	struct produce *next;
	unsigned n = 0;

	if (!pw->disk || (done == pw->commit_seen && !pw->look))
		return 0;
	pw->commit_seen = done;
	pw->look = false;
	for (struct produce *pr = pw->disk; pr; pr = next) {
		next = pr->next;
		for (unsigned i = 0; i < pr->parts; i++)
			look_at_disk(&pr->part[i], done);
		if (pr->undecided == 0 && !pr->forgotten) {
			settle(pr);
			n++;
		}
	}
	return n;
}

unsigned
produce_turn(struct control *ctl)
{
	struct store_msg *done[COMPLETIONS_TURN];
	const unsigned n = dataplane_stored(ctl->dp, done, COMPLETIONS_TURN);

	for (unsigned i = 0; i < n; i++)
		take_completion(ctl, done[i]);
	return n + give_more(ctl) + look_at_commits(ctl);
}

void
produce_topic_gone(struct control *ctl, struct topic *t)
{
	for (struct produce *pr = ctl->produces.disk; pr; pr = pr->next)
		for (unsigned i = 0; i < pr->parts; i++)
			if (pr->part[i].topic == t && pr->part[i].stored)
				decide(&pr->part[i], KIRA_E_UNKNOWN_TOPIC_OR_PARTITION);
	/* Answered in the next turn: the caller is a request that uses arena and scratch. */
	ctl->produces.look = true;
}

bool
produce_idle(const struct control *ctl)
{
	return !ctl->produces.give_first && !ctl->produces.disk;
}
