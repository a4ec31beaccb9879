/* SPDX-License-Identifier: MIT
 * flush_op.c - control's operations: topics created and deleted, the catalogue and the producer ids
 * replaced. Queues under a lock (control pushes, the flush daemon takes, and back); one operation
 * runs at a time, as a job, in the order it came; records are deleted beside them (flush_trim.c). */
#include "storage/directory.h"
#include "storage/layout.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* ---- Create ------------------------------------------------------------------------------- */

/* `together`: the caller syncs the file system. */
static int
put_partition_files(struct partition *part, bool together, struct err *err)
{
	int (*const put)(const struct io *io, int dir, const char *name, const void *bytes, size_t n) =
		together ? layout_put_unsynced : layout_put;
	const struct io *io = part->storage->io;
	char id[23], text[64], *epochs;
	int rc;

	uuid_put(id, part->topic_id);
	(void)snprintf(text, sizeof(text), "version: 0\ntopic_id: %s", id);
	rc = put(io, part->dirfd, LAYOUT_METADATA, text, strlen(text));
	if (rc < 0)
		return err_sys(err, rc, "write " LAYOUT_METADATA " of %s", part->name);
	epochs_begin(&part->epochs, 0, 0);
	epochs = epochs_text(&part->epochs);
	rc = put(io, part->dirfd, LAYOUT_EPOCHS, epochs, strlen(epochs));
	free(epochs);
	if (rc < 0)
		return err_sys(err, rc, "write " LAYOUT_EPOCHS " of %s", part->name);
	rc = together ? 0 : layout_sync_dir(io, part->dirfd);
	if (rc < 0)
		return err_sys(err, rc, "sync directory %s/%s", part->storage->dir, part->name);
	partition_begin(part, 0, 0);
	return 0;
}

static int
create_partition(struct partition *part, bool together, struct err *err)
{
	struct storage *s = part->storage;
	int rc = s->io->mkdirat(s->dirfd, part->name);

	/* A creation that a crash cut short, before the catalogue named it. */
	if (rc == -EEXIST && directory_remove_blank(s, part->name) == 0)
		rc = s->io->mkdirat(s->dirfd, part->name);
	if (rc == -EEXIST) {
		err_set(err, "%s/%s is there, but no topic of the catalogue: move it away", s->dir,
			part->name);
		return rc;
	}
	if (rc < 0)
		return err_sys(err, rc, "create directory %s/%s", s->dir, part->name);
	rc = s->io->openat(s->dirfd, part->name, O_RDONLY | O_DIRECTORY, 0);
	if (rc < 0) {
		(void)s->io->unlinkat(s->dirfd, part->name, true); /* ours, but undo cannot know */
		return err_sys(err, rc, "open directory %s/%s", s->dir, part->name);
	}
	part->dirfd = rc;
	return put_partition_files(part, together, err);
}

/* How many partitions it makes or deletes. */
static int32_t
parts_of(const struct storage_op *op)
{
	return op->topic.partitions - op->first;
}

static bool
catalogue_is(struct storage *s, const char *text)
{
	char *body;
	bool same;

	if (layout_read_text(s->io, s->dirfd, "topics", &body) < 0)
		return false;
	same = strcmp(body, text) == 0;
	free(body);
	return same;
}

static void
create(struct storage *s, struct storage_op *op)
{
	const bool together = (unsigned)parts_of(op) >= s->o.together_from;
	int32_t n = 0;

	for (; n < parts_of(op); n++) {
		op->rc = create_partition(op->part[n], together, &op->err);
		if (op->rc < 0)
			goto undo;
	}
	op->rc = together ? s->io->sync_all(s->dirfd) : layout_sync_dir(s->io, s->dirfd);
	if (op->rc == 0)
		op->rc = layout_put_text(s->io, s->dirfd, "topics", op->catalogue);
	if (op->rc == 0)
		return;
	(void)err_sys(&op->err, op->rc, "write %s/kira.topics", s->dir);
	if (catalogue_is(s, op->catalogue))
		return; /* renamed, not synced: what it names must be there */
undo:
	/* The one that failed too, unless the directory is somebody else's. */
	for (int32_t i = 0; i <= n && i < parts_of(op); i++)
		if (op->part[i]->dirfd >= 0)
			(void)directory_remove(s, op->part[i]->name);
}

/* ---- Delete ------------------------------------------------------------------------------- */

/* Renamed before the catalogue forgets the topic, and durably: a start goes by the catalogue, and has
 * the name free again, or puts it back. The other way round a crash in between would leave directories
 * full of records that no topic owns, and nobody could create a topic of that name. */
static int
rename_partitions(struct storage *s, struct storage_op *op, bool back)
{
	char gone[DIRECTORY_DELETED];
	int rc = 0;

	for (int32_t i = 0; i < op->topic.partitions; i++) {
		const char *name = op->part[i]->name;
		int one;

		directory_deleted_name(gone, op->topic.name, i, op->topic.id);
		one = s->io->renameat(s->dirfd, back ? gone : name, back ? name : gone);
		if (one < 0 && one != -ENOENT) /* lost before the start that halted it */
			rc = err_sys(&op->err, one, "rename %s/%s", s->dir, name);
	}
	if (rc == 0)
		rc = layout_sync_dir(s->io, s->dirfd);
	return rc;
}

static void
delete(struct storage *s, struct storage_op *op)
{
	char gone[DIRECTORY_DELETED];
	int rc;

	op->rc = rename_partitions(s, op, false);
	if (op->rc == 0) {
		op->rc = layout_put_text(s->io, s->dirfd, "topics", op->catalogue);
		if (op->rc < 0)
			(void)err_sys(&op->err, op->rc, "write %s/kira.topics", s->dir);
	}
	if (op->rc < 0) {
		/* Renamed, not synced, the catalogue may name the topic or not: the next start sees. */
		op->undone = !catalogue_is(s, op->catalogue);
		if (op->undone)
			(void)rename_partitions(s, op, true);
		return;
	}
	for (int32_t i = 0; i < op->topic.partitions; i++) {
		directory_deleted_name(gone, op->topic.name, i, op->topic.id);
		rc = directory_remove(s, gone);
		if (rc < 0 && rc != -ENOENT)
			op->rc = err_sys(&op->err, rc, "remove %s/%s", s->dir, gone);
	}
}

/* A commit that left its last records out would make false `disk` acks: until the catalogue is
 * durable a power cut brings the topic back. Its touched bit stands: a commit takes it. */
static bool
all_durable(const struct partition *part)
{
	return partition_state(part) != PART_OK ||
		frontier_read(&part->durable).end == frontier_read(&part->tail).end;
}

/* Nothing of it may be in flight. True: the flush daemon let go of all its partitions. Without op_lock: what waits
 * on them is answered here. */
static bool
let_go(struct storage *s, const struct storage_op *op)
{
	struct flush *f = &s->flush;

	for (int32_t i = 0; i < op->topic.partitions; i++) {
		if (!flush_rewrite_lets_go(s, op->part[i], INT64_MAX))
			return false;
		(void)flush_take_full(s, op->part[i]); /* a last roll: no list but this knows it */
		f->op_waits |= !all_durable(op->part[i]);
		if (op->part[i]->f.jobs > 0 || op->part[i]->f.in_commit || !all_durable(op->part[i]))
			return false;
	}
	for (int32_t i = 0; i < op->topic.partitions; i++) {
		struct partition *part = op->part[i];

		ASSERT(part->detached);
		flush_trim_forget(s, part);
		flush_cool(s, part);
		f->dirty -= part->f.dirty;
		part->f.dirty = 0;
		f->live[part->slot] = NULL;
	}
	return true;
}

/* ---- Running ------------------------------------------------------------------------------ */

static void
op_run(struct job *job)
{
	struct storage *s = (struct storage *)((char *)job - offsetof(struct storage, flush.op_job));
	struct storage_op *op = s->flush.op;

	if (op->rc < 0)
		return; /* refused when it was submitted */
	switch (op->kind) {
	case OP_CREATE_TOPIC:
		create(s, op);
		break;
	case OP_DELETE_TOPIC:
		delete(s, op);
		break;
	case OP_CATALOGUE:
		op->rc = layout_put_text(s->io, s->dirfd, "topics", op->catalogue);
		if (op->rc < 0)
			(void)err_sys(&op->err, op->rc, "write %s/kira.topics", s->dir);
		break;
	case OP_DELETE_RECORDS:
		break; /* flush_trim.c */
	case OP_PRODUCER_IDS:
		op->rc = directory_put_ids(s, op->producer_ids);
		if (op->rc < 0)
			(void)err_sys(&op->err, op->rc, "write %s/kira.ids", s->dir);
		break;
	}
}

void
flush_op_done(struct storage *s, struct storage_op *op)
{
	op->next = NULL;
	(void)pthread_mutex_lock(&s->op_lock);
	*s->reap_last = op;
	s->reap_last = &op->next;
	(void)pthread_mutex_unlock(&s->op_lock);
	s->flush.granted = true;
}

/* The topic is still in the catalogue. What its producers stored last the lcores have forgotten, so nothing is
 * appended before a start; it is read as far as it is durable, and may be deleted once more. */
static void
take_back(struct storage *s, struct storage_op *op)
{
	for (int32_t i = 0; i < op->topic.partitions; i++) {
		if (partition_state(op->part[i]) == PART_OK)
			partition_fail(op->part[i]);
		flush_adopt(s, op->part[i]);
		flush_failed(s, op->part[i]);
	}
}

/* Files of segments that went with their topic. */
static void
count_deleted(struct storage *s, const struct storage_op *op)
{
	for (int32_t i = 0; i < op->topic.partitions; i++) {
		const struct segments *a = atomic_load_explicit(&op->part[i]->segments, memory_order_relaxed);
		const struct segment *active = op->part[i]->f.active;

		counter_add(&s->count->segments_deleted, (a ? a->n : 0) + (active && !active->blank));
	}
}

static void
op_done(struct job *job)
{
	struct storage *s = (struct storage *)((char *)job - offsetof(struct storage, flush.op_job));
	struct storage_op *op = s->flush.op;

	if (op->rc < 0)
		flush_file_failed(s, op->rc, op->kind == OP_PRODUCER_IDS ? "write kira.ids" :
			op->kind == OP_CATALOGUE ? "write kira.topics" :
			"create or delete a topic's directories and write kira.topics");
	if (op->kind == OP_CREATE_TOPIC && op->rc == 0)
		for (int32_t i = 0; i < parts_of(op); i++)
			flush_adopt(s, op->part[i]);
	if (op->kind == OP_DELETE_TOPIC && op->undone)
		take_back(s, op);
	else if (op->kind == OP_DELETE_TOPIC && op->rc == 0)
		count_deleted(s, op);
	s->flush.state_moved |= op->kind == OP_DELETE_TOPIC; /* from now on without it */
	s->flush.op = NULL;
	flush_op_done(s, op);
}

/* OP_DELETE_RECORDS, wherever in the queue: a deletion in front of it may wait for long, a creation take minutes. */
static unsigned
take_trims(struct storage *s)
{
	unsigned taken = 0;

	(void)pthread_mutex_lock(&s->op_lock);
	s->op_last = &s->op_first;
	for (struct storage_op *op; (op = *s->op_last) != NULL;) {
		if (op->kind != OP_DELETE_RECORDS) {
			s->op_last = &op->next;
			continue;
		}
		*s->op_last = op->next;
		flush_trim_take(s, op);
		taken++;
	}
	(void)pthread_mutex_unlock(&s->op_lock);
	return taken;
}

unsigned
flush_ops(struct storage *s)
{
	const unsigned taken = take_trims(s);
	struct storage_op *op;

	s->flush.op_waits = false;
	if (s->flush.op)
		return taken;
	(void)pthread_mutex_lock(&s->op_lock);
	op = s->op_first; /* only we take from it */
	(void)pthread_mutex_unlock(&s->op_lock);
	if (!op || (op->kind == OP_DELETE_TOPIC && !let_go(s, op)))
		return taken; /* none, or a delete that waits for its jobs: nothing overtakes it */
	(void)pthread_mutex_lock(&s->op_lock);
	s->op_first = op->next;
	if (!s->op_first)
		s->op_last = &s->op_first;
	(void)pthread_mutex_unlock(&s->op_lock);
	s->flush.op = op;
	s->flush.op_job = (struct job){.run = op_run, .done = op_done};
	jobs_submit(s->flush.jobs, &s->flush.op_job);
	return taken + 1;
}

/* ---- Control's side ----------------------------------------------------------------------- */

static int
take_slot(struct storage *s)
{
	for (unsigned i = 0; i < s->o.partitions_max; i++) {
		if (!s->slot_used[i]) {
			s->slot_used[i] = 1;
			return (int)i;
		}
	}
	return -1;
}

int
storage_take_partitions(struct storage *s, const struct storage_topic *t, int32_t first,
	const struct partition_config *config, struct partition **part)
{
	const int32_t n = t->partitions - first;

	/* All of them: who fails drops what is there. */
	for (int32_t i = 0; i < n; i++)
		part[i] = NULL;
	for (int32_t i = 0; i < n; i++) {
		const int slot = take_slot(s);

		if (slot < 0) {
			for (; i >= 0; i--) {
				storage_drop_partition(s, part[i]);
				part[i] = NULL;
			}
			return -ENOSPC;
		}
		part[i] = partition_alloc(s, t->name, t->id, first + i, (unsigned)slot, config);
	}
	return 0;
}

void
storage_drop_partition(struct storage *s, struct partition *part)
{
	if (!part)
		return;
	s->slot_used[part->slot] = 0;
	partition_free(part);
}

void
storage_submit(struct storage *s, struct storage_op *op)
{
	op->next = NULL;
	op->rc = 0;
	op->undone = false;
	op->err.text[0] = 0;
	if (op->kind == OP_CREATE_TOPIC)
		op->rc = storage_take_partitions(s, &op->topic, op->first, &op->config, op->part);
	if (op->rc < 0)
		err_set(&op->err, "no room for %d more partitions of %u: raise max-partitions",
			parts_of(op), s->o.partitions_max);
	(void)pthread_mutex_lock(&s->op_lock);
	*s->op_last = op;
	s->op_last = &op->next;
	(void)pthread_mutex_unlock(&s->op_lock);
	storage_wake_flush(s);
}

struct storage_op *
storage_reap(struct storage *s)
{
	struct storage_op *op;

	storage_take_segments(s);
	(void)pthread_mutex_lock(&s->op_lock);
	op = s->reap_first;
	if (op && !(s->reap_first = op->next))
		s->reap_last = &s->reap_first;
	(void)pthread_mutex_unlock(&s->op_lock);
	if (!op)
		return NULL;
	/* The last stacks came before the operation that ends their partitions. */
	storage_take_segments(s);
	if ((op->kind == OP_DELETE_TOPIC && !op->undone) || (op->kind == OP_CREATE_TOPIC && op->rc < 0)) {
		for (int32_t i = 0; i < parts_of(op); i++) {
			storage_drop_partition(s, op->part[i]);
			op->part[i] = NULL;
		}
	}
	return op;
}
