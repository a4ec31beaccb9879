/* SPDX-License-Identifier: MIT
 * group_log.c - records of groups and offsets on their way to __consumer_offsets, and back to who waits.
 * Thread: control. Owns: the batches until they are decided. Never: waits; never tells anybody from within the
 * call that appends. */
#include "control/groups/group_log.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/control.h"
#include "control/groups/group_batch.h"
#include "control/groups/group_topic.h"
#include "control/groups/offset_record.h"
#include "control/groups/offsets.h"
#include "control/log.h"

#include <kira/errors.h>

#include <stdlib.h>

#define TOPIC_NAME "__consumer_offsets"

struct topic *
group_log_topic(const struct group_log *log)
{
	return topics_find(log->ctl, view_text(TOPIC_NAME));
}

enum group_log_state
group_log_state(const struct group_log *log)
{
	return log->state;
}

bool
group_log_idle(const struct group_log *log)
{
	return log->under_way == 0 && !log->creating && log->renew.step != RENEW_ROLLING;
}

void
group_log_parts(struct group_log *log)
{
	const struct topic *t = group_log_topic(log);

	log->parts = t->partitions;
	log->part = calloc((size_t)log->parts, sizeof(*log->part));
	ASSERT(log->part);
}

/* ---- Lists ---- */

static void
queue(struct log_batches *list, struct log_batch *b)
{
	b->next = NULL;
	*(list->last ? list->last : &list->first) = b;
	list->last = &b->next;
}

static struct log_batch *
take(struct log_batches *list)
{
	struct log_batch *b = list->first;

	list->first = b->next;
	if (!list->first)
		list->last = NULL;
	return b;
}

static void
decide(struct log_batch *b, int16_t error)
{
	b->error = error;
	queue(&b->log->decided, b);
}

/* ---- The topic ---- */

/* What Kafka's own has, as far as it means something here; nothing of it may go by age or size, and nothing may be
 * rewritten: control reads it without a decompressor. */
static void
create(struct group_log *log)
{
	static const char *const setting[][2] = {
		{"retention.ms", "-1"}, {"retention.bytes", "-1"}, {"compression.type", "producer"},
		{"message.timestamp.type", "CreateTime"}, {"kira.visibility", "disk"},
		{"cleanup.policy", "compact"},
	};
	struct topic_setting config[ARRAY_LENGTH(setting) + 2];
	struct control *ctl = log->ctl;
	struct topic_spec spec = {.name = view_text(TOPIC_NAME), .internal = true, .config = config,
		.partitions = (int32_t)ctl->cfg->offsets_partitions};
	static struct log_limit refused;
	struct err err = {""};

	for (size_t i = 0; i < ARRAY_LENGTH(setting); i++) {
		struct topic_setting *s = &config[spec.configs];
		struct topic_config probe = ctl->topics.defaults;

		s->row = (unsigned)topic_config_row(setting[i][0], (uint32_t)strlen(setting[i][0]));
		(void)snprintf(s->value, sizeof(s->value), "%s", setting[i][1]);
		/* One that this Kira knows by its name alone stays what it is. */
		spec.configs += topic_config_set(&probe, s->row, s->value, &err) == 0;
	}
	config[spec.configs].row = (unsigned)topic_config_row("segment.bytes", 13);
	(void)snprintf(config[spec.configs++].value, sizeof(config[0].value), "%lld",
		(long long)ctl->cfg->offsets_segment_bytes);
	config[spec.configs].row = (unsigned)topic_config_row("max.message.bytes", 17);
	(void)snprintf(config[spec.configs++].value, sizeof(config[0].value), "%lld",
		(long long)group_log_most(log));
	if (topics_create(ctl, &spec, &log->creating, &err) == 0) {
		topic_hold(log->creating);
		return;
	}
	log->creating = NULL;
	log_limited(&refused, ctl->now_ns, LOG_LEVEL_WARN, "no group or offset is kept: topic " TOPIC_NAME
		" cannot be made: %s", err.text);
	while (log->waiting.first)
		decide(take(&log->waiting), KIRA_E_COORDINATOR_NOT_AVAILABLE);
}

/* ---- Appending ---- */

uint32_t
group_log_most(const struct group_log *log)
{
	return (uint32_t)MIN(log->ctl->cfg->offsets_segment_bytes, (int64_t)BATCH_BYTES_MAX);
}

static int16_t
judge(const struct group_log *log, size_t room)
{
	if (log->state != GROUP_LOG_READY)
		return KIRA_E_COORDINATOR_NOT_AVAILABLE;
	if (room > group_log_most(log))
		return KIRA_E_UNKNOWN_SERVER_ERROR;
	return log->bytes_used + room > GROUP_LOG_BYTES_MAX ? KIRA_E_COORDINATOR_NOT_AVAILABLE : 0;
}

static struct log_batch *
batch_make(struct group_log *log, const struct group_record *rec, unsigned n, size_t room)
{
	struct log_batch *b = malloc(sizeof(*b) + room);

	ASSERT(b);
	*b = (struct log_batch){.log = log, .size = (uint32_t)room};
	log->bytes_used += room;
	log->under_way++;
	if (room > 0) {
		b->msg = (struct store_msg){.kind = STORE_PRODUCE, .owner = log, .batch = b->bytes};
		b->msg.length = group_batch_write(b->bytes, rec, n, clock_wall_ms());
	}
	return b;
}

static void
batch_send(struct log_batch *b, const struct topic *t)
{
	b->msg.part = topic_partition(t, b->partition);
	produce_give(b->log->ctl, &b->msg);
}

void
group_log_append(struct group_log *log, struct view group, const struct group_record *rec, unsigned n,
	enum group_log_level level, struct group_write *w)
{
	const struct topic *t = group_log_topic(log);
	const size_t room = group_batch_room(rec, n);
	const int16_t error = judge(log, room);
	struct log_batch *b = batch_make(log, rec, n, error ? 0 : room);

	b->level = level;
	b->w = w;
	if (w) {
		ASSERT(!w->pending);
		w->pending = true;
		w->level = level;
		w->batch = b;
	}
	b->partition = group_partition(group, log->parts ? log->parts : (int32_t)log->ctl->cfg->offsets_partitions);
	if (error) {
		decide(b, error);
	} else if (t && !log->waiting.first) {
		batch_send(b, t);
	} else {
		queue(&log->waiting, b);
		if (!log->creating && !t)
			create(log);
	}
}

bool
group_log_send_state(struct group_log *log, int32_t partition, const struct group_record *rec, unsigned n)
{
	const struct topic *t = group_log_topic(log);
	const size_t room = group_batch_room(rec, n);
	struct log_batch *b;

	if (judge(log, room) != 0 || !t)
		return false;
	b = batch_make(log, rec, n, room);
	b->level = GROUP_LOG_DURABLE;
	b->partition = partition;
	b->renewal = true;
	batch_send(b, t);
	return true;
}

void
group_log_cancel(struct group_log *log, struct group_write *w)
{
	if (!w->pending)
		return;
	((struct log_batch *)w->batch)->w = NULL;
	w->pending = false;
	w->batch = NULL;
}

/* ---- What came of it ---- */

void
group_log_completed(struct group_log *log, struct store_msg *msg)
{
	struct log_batch *b = (struct log_batch *)(void *)msg;

	if (msg->kind == STORE_ROLL) {
		group_log_renew_rolled(log);
		return;
	}
	if (msg->error != 0) {
		decide(b, msg->error == KIRA_E_NOT_ENOUGH_REPLICAS_AFTER_APPEND ? KIRA_E_REQUEST_TIMED_OUT
									  : KIRA_E_COORDINATOR_NOT_AVAILABLE);
		return;
	}
	log->part[b->partition].bytes += msg->length;
	if (b->level == GROUP_LOG_DURABLE) {
		queue(&log->disk, b);
		produce_want_disk(log->ctl, msg->commit);
	} else {
		decide(b, 0);
	}
}

/* The topic came to be, or did not. */
static unsigned
look_at_topic(struct group_log *log)
{
	struct topic *t = log->creating;
	unsigned n = 0;

	if (!t || t->state == TOPIC_CREATING)
		return 0;
	log->creating = NULL;
	if (t->state == TOPIC_LIVE) {
		group_log_parts(log);
		group_log_renew_start(log);
	}
	for (; log->waiting.first; n++) {
		struct log_batch *b = take(&log->waiting);

		if (t->state == TOPIC_LIVE)
			batch_send(b, t);
		else
			decide(b, KIRA_E_COORDINATOR_NOT_AVAILABLE);
	}
	topic_release(log->ctl, t);
	return n;
}

static unsigned
look_at_commits(struct group_log *log)
{
	const uint64_t done = storage_commit_done(log->ctl->storage);
	unsigned n = 0;

	for (; log->disk.first && log->disk.first->msg.commit <= done; n++) {
		struct log_batch *b = take(&log->disk);

		/* The commit is over; whether it covered this partition is the partition's state. */
		decide(b, storage_state(b->msg.part) == PART_OK ? 0 : KIRA_E_REQUEST_TIMED_OUT);
	}
	return n;
}

static unsigned
tell(struct group_log *log, uint64_t now_ns)
{
	struct log_batches list = log->decided;
	unsigned n = 0;

	log->decided = (struct log_batches){NULL, NULL}; /* what stored() appends is told in the next turn */
	for (; list.first; n++) {
		struct log_batch *b = take(&list);
		struct group_write *w = b->w;
		const int16_t error = b->error;

		if (b->renewal)
			group_log_renew_wrote(log, b);
		log->bytes_used -= b->size;
		log->under_way--;
		free(b);
		if (w) {
			w->pending = false;
			w->batch = NULL;
			w->stored(w, error, now_ns);
		}
	}
	return n;
}

unsigned
group_log_turn(struct group_log *log, uint64_t now_ns)
{
	unsigned n = look_at_topic(log);

	n += look_at_commits(log);
	n += tell(log, now_ns);
	return n + group_log_renew(log, now_ns);
}

/* ---- Life ---- */

struct group_log *
group_log_open(struct control *ctl, struct groups *gs, uint64_t now_ns)
{
	struct group_log *log = calloc(1, sizeof(*log));

	ASSERT(log);
	log->ctl = ctl;
	log->groups = gs;
	gs->log = log;
	gs->wall_minus_now_ms = clock_wall_ms() - (int64_t)(now_ns / NS_PER_MS);
	gs->offsets_remove = offsets_remove;
	if (group_log_topic(log)) {
		group_log_parts(log);
		group_log_load(log, now_ns);
		group_log_renew_start(log);
	} else {
		log->state = GROUP_LOG_READY;
	}
	group_expiry_start(log);
	return log;
}

static void
drop(struct log_batches *list)
{
	while (list->first)
		decide(take(list), KIRA_E_COORDINATOR_NOT_AVAILABLE);
}

void
group_log_close(struct group_log *log)
{
	if (!log)
		return;
	log->state = GROUP_LOG_BROKEN;
	log->renew.step = RENEW_IDLE;
	loop_disarm(&log->ctl->loop, &log->renew_timer);
	loop_disarm(&log->ctl->loop, &log->expiry_timer);
	drop(&log->waiting);
	drop(&log->disk);
	while (log->decided.first)
		(void)tell(log, log->ctl->now_ns);
	offsets_close(log->groups);
	free(log->renew.ids);
	free(log->part);
	free(log);
}
