/* SPDX-License-Identifier: MIT
 * group_log_renew.c - keep __consumer_offsets short without a cleaner: write all that is to be kept behind it, then
 * let it begin there. Thread: control. Owns: struct renew.
 *
 * Why nothing is lost or taken back: the state is written as of what was *appended* last, not of what was answered
 * last, so whatever lies between the beginning of the state and its end is newer than the state of its key, or the
 * same. A group that comes to be meanwhile is appended behind that beginning. The start offset moves when all of the
 * state is on disk. */
#include "control/groups/group_topic.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/control.h"
#include "control/groups/group_batch.h"
#include "control/groups/offset_record.h"
#include "control/groups/offsets.h"
#include "control/log.h"

#include <stdlib.h>

#define LOOK_NS        NS_PER_S
#define AFTER_FAIL_NS  (60 * NS_PER_S)
#define WINDOW         8              /* batches under way: commits go on in between */
#define BATCH_ENOUGH   (256u * 1024)
#define GROUP_KEY_ROOM (40u * 1024)   /* an id is a string of at most 32767 bytes */

static bool
due(const struct group_log *log, const struct topic *t, int32_t i)
{
	const struct log_partition *p = &log->part[i];
	const uint64_t enough = (uint64_t)(2 * t->cfg.log.segment_bytes);
	struct partition_ends ends;

	if (storage_state(topic_partition(t, i)) != PART_OK)
		return false;
	storage_ends(topic_partition(t, i), &ends);
	/* A full disk moves starts, too: then the log lacks what lay there, and control alone still has it. */
	return p->bytes > MAX(enough, 2 * p->state_bytes) || ends.start > p->start;
}

static void
look(struct timer *timer, uint64_t now_ns)
{
	struct group_log *log = (struct group_log *)((char *)timer - offsetof(struct group_log, renew_timer));
	const struct topic *t = group_log_topic(log);
	struct renew *r = &log->renew;

	loop_arm(&log->ctl->loop, timer, now_ns + LOOK_NS);
	if (!t || log->state != GROUP_LOG_READY || log->ctl->stopping || r->step != RENEW_IDLE || now_ns < r->after_ns)
		return;
	for (int32_t i = 0; i < log->parts; i++) {
		if (!due(log, t, i))
			continue;
		*r = (struct renew){.step = RENEW_ROLLING, .partition = i, .begin = -1,
			.part = topic_partition(t, i)};
		r->roll = (struct store_msg){.kind = STORE_ROLL, .part = r->part, .owner = log};
		produce_give(log->ctl, &r->roll);
		return;
	}
}

void
group_log_renew_start(struct group_log *log)
{
	log->renew_timer.fire = look;
	loop_arm(&log->ctl->loop, &log->renew_timer, log->ctl->now_ns + LOOK_NS);
}

/* ---- Writing the state ---- */

/* The names of all groups of the partition: groups may come and go while it is written. */
static void
collect(struct group_log *log)
{
	struct renew *r = &log->renew;
	size_t bytes = 0;

	for (const struct group *g = log->groups->first; g; g = g->next)
		bytes += sizeof(g->id.len) + g->id.len;
	r->ids = malloc(bytes + 1);
	ASSERT(r->ids);
	for (const struct group *g = log->groups->first; g; g = g->next) {
		if (group_partition(g->id, log->parts) != r->partition)
			continue;
		memcpy(r->ids + r->ids_length, &g->id.len, sizeof(g->id.len));
		r->ids_length += sizeof(g->id.len);
		memcpy(r->ids + r->ids_length, g->id.p, g->id.len);
		r->ids_length += g->id.len;
	}
}

static bool
send_state(struct group_log *log, const struct group_record *rec, unsigned n)
{
	if (n == 0)
		return true;
	if (!group_log_send_state(log, log->renew.partition, rec, n))
		return false;
	log->renew.batches++;
	return true;
}

/* The group's own record, then a batch of its offsets per call; *more: there are more. False: it was refused.
 * Offsets may come and go between two calls. Topics are kept in order and do not leave their group, so none is passed
 * over: at worst some are written again, as they are by then. What is committed meanwhile, and all of a group that went
 * and came back, lies behind the beginning of the state anyway. */
static bool
write_group(struct group_log *log, const struct group *g, bool *more)
{
	struct control *ctl = log->ctl;
	struct writer key = kw_open(ctl->scratch, GROUP_KEY_ROOM, false);
	struct writer value = kw_open(ctl->scratch + GROUP_KEY_ROOM, ctl->scratch_size - GROUP_KEY_ROOM, false);
	struct offset_pad *pad = offset_pad();

	if (!log->renew.group_written && group_record(g, &key, &value)) {
		const struct group_record rec = {{key.start, (uint32_t)kw_length(&key)},
			{value.start, (uint32_t)kw_length(&value)}};

		if (key.full || value.full || !send_state(log, &rec, 1))
			return false;
	}
	log->renew.group_written = true;
	*more = offsets_state(g, &log->renew.walk, pad, BATCH_ENOUGH);
	return send_state(log, pad->rec, pad->n);
}

/* As many batches as may be under way: a group may keep more than all appends together may take. */
static unsigned
write_some(struct group_log *log)
{
	struct renew *r = &log->renew;
	unsigned n = 0;

	for (; r->batches < WINDOW && r->ids_at < r->ids_length && !r->failed; n++) {
		const struct group *g;
		struct view id;
		bool more = false;

		memcpy(&id.len, r->ids + r->ids_at, sizeof(id.len));
		id.p = (const uint8_t *)r->ids + r->ids_at + sizeof(id.len);
		g = groups_find(log->groups, id);
		r->failed = g && !write_group(log, g, &more);
		if (more)
			continue;
		r->ids_at += sizeof(id.len) + id.len;
		r->group_written = false;
		r->walk = (struct offset_walk){0, 0};
	}
	return n;
}

void
group_log_renew_rolled(struct group_log *log)
{
	struct renew *r = &log->renew;
	struct partition_ends ends;

	storage_ends(r->part, &ends);
	r->step = RENEW_WRITING;
	r->bytes_before = log->part[r->partition].bytes;
	collect(log);
	/* In one go with the collecting: who comes to be after it is appended behind the first batch. */
	(void)write_some(log);
	if (r->batches == 0)
		r->begin = ends.end; /* there is nothing to keep */
}

void
group_log_renew_wrote(struct group_log *log, const struct log_batch *b)
{
	struct renew *r = &log->renew;

	r->batches--;
	r->failed |= b->error != 0;
	if (b->error == 0 && (r->begin < 0 || b->msg.base_offset < r->begin))
		r->begin = b->msg.base_offset;
	r->bytes += b->msg.length;
}

/* ---- Moving the start ---- */

static void
give_up(struct group_log *log, uint64_t now_ns, const char *why)
{
	log_warn("__consumer_offsets partition %d was not shortened: %s; in a minute again", log->renew.partition, why);
	log->renew.step = RENEW_IDLE;
	log->renew.after_ns = now_ns + AFTER_FAIL_NS;
}

unsigned
group_log_renew(struct group_log *log, uint64_t now_ns)
{
	struct renew *r = &log->renew;
	unsigned n;

	if (r->step != RENEW_WRITING || log->ctl->stopping)
		return 0;
	n = write_some(log);
	if (r->batches > 0 || (r->ids_at < r->ids_length && !r->failed))
		return n;
	free(r->ids);
	r->ids = NULL;
	if (r->failed) {
		give_up(log, now_ns, "its state could not be appended");
		return n + 1;
	}
	r->step = RENEW_TRIMMING;
	r->op = (struct storage_op){.kind = OP_DELETE_RECORDS, .part = &r->part, .offset = r->begin, .owner = log};
	storage_submit(log->ctl->storage, &r->op);
	return n + 1;
}

void
group_log_trimmed(struct group_log *log, struct storage_op *op)
{
	struct renew *r = &log->renew;
	struct log_partition *p = &log->part[r->partition];

	if (op->rc < 0) {
		give_up(log, log->ctl->now_ns, op->err.text);
		return;
	}
	p->start = op->offset;
	p->bytes -= r->bytes_before;
	p->state_bytes = r->bytes;
	r->step = RENEW_IDLE;
	log_info("__consumer_offsets partition %d begins at offset %lld: %llu bytes hold all that is kept", r->partition,
		(long long)op->offset, (unsigned long long)r->bytes);
}
