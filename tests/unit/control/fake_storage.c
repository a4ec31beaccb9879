/* SPDX-License-Identifier: MIT
 * fake_storage.c - the door of storage/ over memory files, for tests of control. Batches are taken as
 * they come: no check, no index, no flush. One thread; operations finish when the test lets them. */
#include "tests/unit/control/fake_storage.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/record_batch.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCHES 4096

struct fake_batch {
	int64_t offset, timestamp;
	uint64_t at;
	uint32_t length;
};

struct partition {
	struct partition *next;
	char topic[TOPIC_NAME_MAX + 1];
	int32_t index;
	unsigned slot;
	int fd;
	enum partition_state state;
	bool roll_due;
	unsigned rolls, configured;
	struct partition_config config;
	int64_t start, end, hidden;
	uint64_t bytes;
	unsigned n;
	struct fake_batch batch[BATCHES];
};

struct segment {
	int unused;
};

struct storage fake;
static struct partition *all;
static struct segment segment;

static struct partition *
make(const char *topic, int32_t index)
{
	struct partition *p = calloc(1, sizeof(*p));

	ASSERT(p);
	(void)snprintf(p->topic, sizeof(p->topic), "%s", topic);
	p->index = index;
	p->slot = fake.slots++;
	p->fd = -1; /* until something is appended: tests make thousands */
	p->next = all;
	all = p;
	fake.partitions++;
	return p;
}

static void
drop(struct partition *p)
{
	struct partition **at = &all;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (p->fd >= 0)
		(void)close(p->fd);
	free(p);
	fake.partitions--;
}

void
fake_reset(void)
{
	while (all)
		drop(all);
	free(fake.catalogue);
	fake = (struct storage){0};
}

void
fake_set_state(struct partition *part, enum partition_state state)
{
	part->state = state;
}

void
fake_move(struct partition *part, int fd)
{
	uint8_t b[4096];
	ssize_t n;

	for (off_t at = 0; (n = pread(part->fd, b, sizeof(b), at)) > 0; at += n)
		ASSERT(pwrite(fd, b, (size_t)n, at) == n);
	(void)close(part->fd);
	part->fd = fd;
}

void
fake_set_start(struct partition *part, int64_t start)
{
	part->start = start;
}

void
storage_nowait(bool on)
{
	fake.nowait = on;
}

static bool
is_cold(void)
{
	if (!fake.nowait || fake.cold == 0)
		return false;
	if (fake.warm > 0) {
		fake.warm--;
		return false;
	}
	fake.cold--;
	fake.gave_up = true;
	return true;
}

bool
storage_cold(struct storage_cold *ret)
{
	if (!fake.gave_up)
		return false;
	fake.gave_up = false;
	*ret = (struct storage_cold){.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), .length = 1};
	return true;
}

/* ---- Life ---- */

int
storage_open(struct storage **ret, const struct storage_options *o, int64_t wall_ms, struct err *err)
{
	*ret = &fake;
	return 0;
}

unsigned
storage_topics(const struct storage *s, const struct storage_topic **ret)
{
	*ret = NULL;
	return 0;
}

int
storage_attach(struct storage *s, const struct storage_topic *topic,
	const struct partition_config *config, struct partition **part, struct err *err)
{
	for (int32_t i = 0; i < topic->partitions; i++)
		part[i] = make(topic->name, i);
	return 0;
}

int
storage_recover(struct storage *s, int64_t wall_ms,
	void (*progress)(void *arg, const struct storage_recovery *p), void *arg, struct err *err)
{
	return 0;
}

int
storage_start(struct storage *s, int cpu, struct err *err)
{
	return 0;
}

int
storage_close(struct storage *s, int64_t wall_ms, struct err *err)
{
	fake_reset();
	return 0;
}

uint64_t
storage_incarnation(const struct storage *s)
{
	return 7;
}

const char *
storage_cluster_id(const struct storage *s)
{
	return "fakeclusteridoffakekira";
}

int64_t
storage_producer_ids_spent(const struct storage *s)
{
	return s->producer_ids;
}

bool
storage_is_volatile(const struct storage *s)
{
	return true;
}

/* ---- Append ---- */

enum append_verdict
storage_append(struct partition *part, uint8_t *batch, uint32_t length, unsigned flags,
	uint64_t now_ns, int64_t wall_ms, struct append_result *result)
{
	const uint64_t offset = htobe64((uint64_t)part->end);

	*result = (struct append_result){.base_offset = -1, .append_ms = -1};
	if (fake.full)
		return APPEND_WAIT;
	if (part->n == BATCHES || part->state != PART_OK) {
		result->error = 56;
		return APPEND_REFUSED;
	}
	memcpy(batch + RB_BASE_OFFSET, &offset, sizeof(offset));
	memset(batch + RB_LEADER_EPOCH, 0, 4);
	if (part->fd < 0)
		part->fd = memfd_create(part->topic, MFD_CLOEXEC);
	ASSERT(part->fd >= 0);
	ASSERT(pwrite(part->fd, batch, length, (off_t)part->bytes) == (ssize_t)length);
	part->batch[part->n++] = (struct fake_batch){part->end, rb_max_timestamp(batch), part->bytes,
		length};
	result->base_offset = part->end;
	part->bytes += length;
	part->end += rb_count(batch);
	return APPEND_STORED;
}

uint64_t
storage_publish(struct partition *part)
{
	fake.commit++;
	if (part->slot < 64)
		fake.moved |= UINT64_C(1) << part->slot;
	if (!fake.hold_commits)
		fake.commit_done = fake.commit;
	return fake.commit;
}

void
fake_put(struct partition *part, int32_t count, uint32_t bytes)
{
	const uint32_t n = htobe32((uint32_t)count), length = htobe32(bytes - RB_LENGTH_FROM);
	struct append_result result;
	uint8_t *batch = calloc(1, bytes);

	ASSERT(batch && bytes >= RB_HEADER);
	memcpy(batch + RB_COUNT, &n, sizeof(n));
	memcpy(batch + RB_LENGTH, &length, sizeof(length));
	ASSERT(storage_append(part, batch, bytes, 0, 0, 0, &result) == APPEND_STORED);
	(void)storage_publish(part);
	free(batch);
}

bool
storage_has_room(const struct partition *part)
{
	return !fake.full;
}

void
storage_roll(struct partition *part, uint64_t now_ns)
{
	part->roll_due = false;
	part->rolls++;
}

void
storage_configure(struct partition *part, const struct partition_config *config)
{
	part->config = *config;
	part->configured++;
	if (!config->visible_at_disk)
		part->hidden = 0;
}

const struct partition_config *
fake_config(const struct partition *part, unsigned *times)
{
	*times = part->configured;
	return &part->config;
}

void
storage_detach_lcore(struct partition *part)
{
}

bool
storage_flush_sleeps(const struct storage *s)
{
	return false;
}

void
storage_wake_flush(struct storage *s)
{
}

/* ---- Published words ---- */

void
storage_ends(const struct partition *part, struct partition_ends *ret)
{
	*ret = (struct partition_ends){.start = part->start, .end = part->end, .durable = part->end,
		.visible = part->end - part->hidden};
	if (fake.asked_ends && fake.ends_until-- == 0) {
		void (*asked)(struct partition *p) = fake.asked_ends;

		fake.asked_ends = NULL;
		asked((struct partition *)(uintptr_t)part);
	}
}

void
fake_hide(struct partition *part, int64_t records)
{
	part->hidden = records;
}

void
fake_set_roll_due(struct partition *part, bool due)
{
	part->roll_due = due;
}

unsigned
fake_rolls(const struct partition *part)
{
	return part->rolls;
}

bool
storage_roll_due(const struct partition *part, uint64_t now_ns)
{
	return part->roll_due;
}

const char *
storage_failure(const struct partition *part)
{
	return "its data could not be synced";
}

const char *
storage_halt_reason(const struct partition *part)
{
	return part->state == PART_HALTED ? "a test says so" : NULL;
}

enum partition_state
storage_state(const struct partition *part)
{
	return part->state;
}

int32_t
storage_leader_epoch(const struct partition *part)
{
	return 0;
}

unsigned
storage_lcore(const struct partition *part)
{
	return 0;
}

unsigned
storage_slot(const struct partition *part)
{
	return part->slot;
}

int32_t
storage_index(const struct partition *part)
{
	return part->index;
}

const char *
storage_topic_name(const struct partition *part)
{
	return part->topic;
}

uint64_t
storage_commit_done(const struct storage *s)
{
	return s->commit_done;
}

const char *
storage_root_failure(const struct storage *s)
{
	return s->root_failure;
}

const char *
storage_read_failure(const struct storage *s)
{
	return s->read_failure;
}

uint64_t
storage_stuck_ns(const struct storage *s, uint64_t now_ns)
{
	return s->stuck_ns;
}

void
storage_range_failed(struct storage *s, const struct segment *seg, int rc)
{
	s->range_failures++;
}

uint64_t
storage_failures(const struct storage *s)
{
	return s->failures;
}

void
storage_want_disk(struct storage *s, unsigned giver, uint64_t commit)
{
	s->wanted_disk++;
}

/* ---- Reads ---- */

int16_t
storage_read(struct partition *part, int64_t offset, uint32_t max_bytes, bool one,
	struct storage_range *ret)
{
	unsigned i = 0;

	*ret = (struct storage_range){.fd = part->fd};
	if (is_cold())
		return 56;
	if (offset < part->start || offset > part->end)
		return 1;
	while (i + 1 < part->n && part->batch[i + 1].offset <= offset)
		i++;
	if (offset == part->end || i == part->n)
		return 0;
	ret->position = part->batch[i].at;
	ret->first_offset = part->batch[i].offset;
	for (; i < part->n; i++) {
		if (ret->length + part->batch[i].length > max_bytes && !(one && ret->length == 0))
			break;
		ret->length += part->batch[i].length;
	}
	if (ret->length > 0) {
		ret->pinned = &segment;
		fake.pinned++;
	}
	return 0;
}

void
storage_unpin(struct segment *seg)
{
	ASSERT(seg == &segment && fake.pinned > 0);
	fake.pinned--;
}

uint64_t
storage_available(struct partition *part, int64_t offset, uint64_t enough)
{
	uint64_t n = 0;

	if (is_cold())
		return 0;
	for (unsigned i = 0; i < part->n; i++)
		if (part->batch[i].offset >= offset)
			n += part->batch[i].length;
	return MIN(n, enough);
}

int16_t
storage_find_time(struct partition *part, int64_t target_ms, int64_t *offset, int64_t *timestamp_ms)
{
	*offset = *timestamp_ms = -1;
	fake.find_times++;
	if (is_cold())
		return 56;
	for (unsigned i = 0; i < part->n; i++)
		if (part->batch[i].timestamp >= target_ms) {
			*offset = part->batch[i].offset;
			*timestamp_ms = part->batch[i].timestamp;
			return 0;
		}
	return 0;
}

void
storage_epoch_end(const struct partition *part, int32_t epoch, int32_t *found, int64_t *end)
{
	*found = epoch == 0 ? 0 : -1;
	*end = epoch == 0 ? part->end : -1;
}

int32_t
storage_epoch_at(const struct partition *part, int64_t offset)
{
	return 0;
}

uint64_t
storage_bytes(const struct partition *part)
{
	return part->bytes;
}

/* ---- Operations ---- */

void
storage_submit(struct storage *s, struct storage_op *op)
{
	op->next = NULL;
	if (s->op_last)
		s->op_last->next = op;
	else
		s->op_first = op;
	s->op_last = op;
	s->ops++;
	if (op->catalogue) {
		free(s->catalogue);
		s->catalogue = strdup(op->catalogue);
	}
}

struct storage_op *
storage_reap(struct storage *s)
{
	struct storage_op *op = s->op_first;

	if (!op || (s->hold_ops && s->give_ops == 0))
		return NULL;
	s->give_ops -= s->hold_ops;
	s->op_first = op->next;
	if (!s->op_first)
		s->op_last = NULL;
	s->ops--;
	op->rc = s->fail_rc;
	s->fail_rc = 0;
	if (op->rc < 0)
		err_set(&op->err, "the fake was told to fail");
	else if (op->kind == OP_PRODUCER_IDS)
		s->producer_ids = op->producer_ids;
	else if (op->kind == OP_DELETE_RECORDS)
		op->offset = op->part[0]->start = MAX(op->offset, op->part[0]->start);
	for (int32_t i = 0; i < op->topic.partitions - op->first; i++) {
		if (op->kind == OP_CREATE_TOPIC && op->rc == 0) {
			op->part[i] = make(op->topic.name, op->first + i);
			op->part[i]->config = op->config;
		} else if (op->kind == OP_DELETE_TOPIC) {
			drop(op->part[i]);
		}
	}
	return op;
}

unsigned
flush_turn(struct storage *s, uint64_t now_ns, int64_t wall_ms)
{
	return 0;
}

/* As many as it has batches, each of its own. */
unsigned
storage_producers(const struct partition *part, struct storage_producer *to, unsigned n, uint64_t now_ns)
{
	unsigned told = 0;

	for (; told < part->n && told < n; told++)
		to[told] = (struct storage_producer){.id = 100 + (int)told, .epoch = 2, .last_sequence = 7, .last_timestamp = 9};
	return told;
}
