/* SPDX-License-Identifier: MIT
 * catalogue.c - the text of kira.topics, and the line of those who change it. Thread: control.
 * One operation runs at a time, and its text says what is true once it is done: so the text on disk is
 * always the newest one, and a topic is in it from the end of its making to the end of its deletion. */
#include "control/catalogue.h"

#include "base/assert.h"
#include "base/uuid.h"
#include "control/control.h"
#include "control/topic_alter.h"
#include "control/topic_grow.h"

#include <inttypes.h>
#include <stdlib.h>

/* Until its own operation a topic that is being deleted stays: its directories are there under their names,
 * and a start after a kill must find whose they are. */
static bool
is_named(const struct topic *t, const struct catalogue_op *running)
{
	const bool mine = running->topic == t;

	switch (t->state) {
	case TOPIC_CREATING:
		return mine;
	case TOPIC_LIVE:
		return true;
	case TOPIC_DELETING:
		return !t->op_done && !(mine && running->change == TOPIC_REMOVE);
	case TOPIC_FAILED:
		break;
	}
	return false;
}

static void
say(FILE *f, const char *name, const char *id, const struct storage_topic *t)
{
	fprintf(f, "t %s %s %d\n", name, id, t->partitions);
	for (uint32_t i = 0; i < t->configs; i++)
		fprintf(f, "c %s %s %s\n", name, t->config[2 * i], t->config[2 * i + 1]);
}

/* kira.topics between its first and last line: what will be true once the operation is done. */
static char *
catalogue_text(struct control *ctl, const struct catalogue_op *running)
{
	char *text = NULL, id[UUID_TEXT];
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	ASSERT(f);
	fprintf(f, "version %" PRIu64 "\n", ++ctl->topics.version);
	for (const struct topic *t = ctl->topics.first; t; t = t->next) {
		if (!is_named(t, running))
			continue;
		uuid_put(id, t->id);
		say(f, t->name, id, running->topic == t ? &running->op.topic
			: &(struct storage_topic){.partitions = t->partitions, .configs = t->configs, .config = t->config});
	}
	ASSERT(fclose(f) == 0);
	return text;
}

static void
run(struct control *ctl, struct catalogue_op *c)
{
	struct topic *t = c->topic;

	c->op = (struct storage_op){
		.kind = c->change == TOPIC_REMOVE ? OP_DELETE_TOPIC : c->change == TOPIC_ALTER ? OP_CATALOGUE
			: OP_CREATE_TOPIC,
		.config = t->cfg.log,
		.part = t->part->part,
		.owner = c,
	};
	memcpy(c->op.topic.name, t->name, sizeof(c->op.topic.name));
	memcpy(c->op.topic.id, t->id, sizeof(c->op.topic.id));
	c->op.topic.partitions = t->partitions;
	c->op.topic.configs = t->configs;
	c->op.topic.config = t->config;
	if (c->change == TOPIC_GROW) {
		c->op.first = t->partitions;
		c->op.topic.partitions = t->growth->part->partitions;
		c->op.part = &t->growth->part->part[c->op.first];
	}
	if (c->change == TOPIC_ALTER) {
		c->op.topic.configs = t->altering->configs;
		c->op.topic.config = t->altering->config;
	}
	c->op.catalogue = catalogue_text(ctl, c);
	storage_submit(ctl->storage, &c->op);
}

static void
next(struct control *ctl)
{
	struct topics *ts = &ctl->topics;

	if (ts->op_running || !ts->op_first)
		return;
	ts->op_running = ts->op_first;
	ts->op_first = ts->op_first->next;
	if (!ts->op_first)
		ts->op_last = NULL;
	run(ctl, ts->op_running);
}

void
catalogue_queue(struct control *ctl, struct catalogue_op *op)
{
	struct topics *ts = &ctl->topics;

	op->next = NULL;
	*(ts->op_last ? &ts->op_last->next : &ts->op_first) = op;
	ts->op_last = op;
	next(ctl);
}

void
catalogue_reaped(struct control *ctl, struct storage_op *op)
{
	struct catalogue_op *c = op->owner;
	struct topic *t = c->topic;

	ASSERT(ctl->topics.op_running == c);
	ctl->topics.op_running = NULL;
	free(op->catalogue);
	op->catalogue = NULL;
	topic_hold(t);
	switch (c->change) { /* it may be freed there */
	case TOPIC_MAKE:
		topics_made(ctl, t);
		break;
	case TOPIC_GROW:
		topics_grown(ctl, t);
		break;
	case TOPIC_ALTER:
		topics_altered(ctl, c);
		break;
	case TOPIC_REMOVE:
		topics_removed(ctl, t);
		break;
	}
	next(ctl);
	wait_wake(&ctl->topics.waits, ctl->now_ns, false);
	topic_release(ctl, t);
}
