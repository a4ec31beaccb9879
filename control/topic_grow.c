/* SPDX-License-Identifier: MIT
 * topic_grow.c - more partitions for a topic that is there. Thread: control.
 *
 *   OP_CREATE_TOPIC of the new ones > they are the topic's > RX_SWAP_TOPIC on every rx lcore > the old list
 *   is freed, whoever asked is answered
 *
 * Partitions that are there are not touched. Datagrams by a handle given before reach the new ones once their
 * rx lcore has swapped. A deletion that comes meanwhile waits for the end: topics_delete(). */
#include "control/topic_grow.h"

#include "base/assert.h"
#include "control/control.h"
#include "control/log.h"
#include "control/topic_list.h"

#include <kira/errors.h>

#include <inttypes.h>
#include <stdlib.h>

int16_t
topics_judge_growth(const struct control *ctl, const struct topic *t, int32_t partitions, struct err *err)
{
	if (t->internal) {
		err_set(err, "%s is the broker's own: its partitions are counted once, when it is made", t->name);
		return KIRA_E_INVALID_TOPIC_EXCEPTION;
	}
	if (partitions <= t->partitions) {
		err_set(err, "topic %s has %d partition%s already; %d would not be more", t->name, t->partitions,
			t->partitions == 1 ? "" : "s", partitions);
		return KIRA_E_INVALID_PARTITIONS;
	}
	return topics_judge_room(ctl, (int64_t)partitions - t->partitions, err);
}

void
topics_grow(struct control *ctl, struct topic *t, int32_t partitions)
{
	struct topic_growth *g = calloc(1, sizeof(*g));

	ASSERT(g && t->state == TOPIC_LIVE && !t->growth && partitions > t->partitions);
	g->part = calloc(1, sizeof(*g->part) + (size_t)partitions * sizeof(g->part->part[0]));
	ASSERT(g->part);
	g->part->partitions = partitions;
	memcpy(g->part->part, t->part->part, (size_t)t->partitions * sizeof(g->part->part[0]));
	t->growth = g;
	topic_counted(ctl, partitions - t->partitions);
	g->change = (struct catalogue_op){.change = TOPIC_GROW, .topic = t};
	catalogue_queue(ctl, &g->change);
}

static void
grown_up(struct control *ctl, struct topic *t)
{
	struct topic_growth *g = t->growth;

	t->growth = NULL;
	free(g->part);
	free(g->swap);
	free(g);
	if (t->state == TOPIC_DELETING)
		topics_part_ways(ctl, t);
}

static void
swap(struct control *ctl, struct topic *t)
{
	const unsigned rx = dataplane_rx_lcores(ctl->dp);
	struct topic_growth *g = t->growth;

	g->outstanding = rx;
	g->swap = calloc(rx, sizeof(*g->swap));
	ASSERT(g->swap || rx == 0);
	for (unsigned i = 0; i < rx; i++) {
		g->swap[i] = (struct rx_cmd){.kind = RX_SWAP_TOPIC, .rx = i, .handles = 2,
			.topic = {g->part, t->part}, .owner = t};
		grants_give(ctl, &g->swap[i]);
	}
	if (rx == 0)
		grown_up(ctl, t);
}

void
topics_grown(struct control *ctl, struct topic *t)
{
	struct topic_growth *g = t->growth;
	const struct storage_op *op = &g->change.op;
	const int32_t more = g->part->partitions - t->partitions;
	struct dataplane_topic *old = t->part;

	if (op->rc < 0) {
		t->err = op->err;
		log_error("topic %s: cannot make %d more partitions: %s", t->name, more, op->err.text);
		topic_counted(ctl, -more);
		grown_up(ctl, t);
		return;
	}
	t->said_failed = realloc(t->said_failed, (size_t)g->part->partitions * sizeof(*t->said_failed));
	ASSERT(t->said_failed);
	memset(t->said_failed + t->partitions, 0, (size_t)more * sizeof(*t->said_failed));
	t->part = g->part;
	t->partitions = g->part->partitions;
	g->part = old;
	log_info("topic %s has %d more partition%s, %d in all", t->name, more, more == 1 ? "" : "s", t->partitions);
	swap(ctl, t);
}

void
topics_swapped(struct control *ctl, struct rx_cmd *cmd)
{
	struct topic *t = cmd->owner;

	if (--t->growth->outstanding > 0)
		return;
	grown_up(ctl, t);
	wait_wake(&ctl->topics.waits, ctl->now_ns, false);
}
