/* SPDX-License-Identifier: MIT
 * group_log_load.c - at start, __consumer_offsets from its start to its end, into groups and offsets.
 * Thread: control, before it serves: reading waits for the disk here, and here alone. Never long: the log is
 * renewed before it grows beyond two segments, or twice what there is to keep (group_log_renew.c). */
#include "control/groups/group_topic.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "control/control.h"
#include "control/groups/group_batch.h"
#include "control/groups/offset_record.h"
#include "control/groups/offsets.h"
#include "control/log.h"

#include <kira/record_batch.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (1024u * 1024)

struct loading {
	struct group_log *log;
	uint64_t now_ns;
	uint8_t *bytes;
	size_t room;
	uint64_t records, skipped; /* not understood, left out */
};

static void
record(struct loading *l, const struct group_record *rec)
{
	struct groups *gs = l->log->groups;
	struct group_key key;
	bool ok = rec->key.p && group_key_read(&key, rec->key);

	l->records++;
	if (ok && key.kind == GROUP_KEY_OFFSET)
		ok = offsets_replay(gs, &key, rec->value, l->now_ns);
	else if (ok && key.kind == GROUP_KEY_GROUP)
		ok = groups_replay(gs, key.group, rec->value, l->now_ns);
	l->skipped += !ok;
}

/* `next`: the offset behind the batch. */
static int
batch(struct loading *l, const uint8_t *b, uint32_t length, int64_t *next, struct err *err)
{
	struct group_record rec;
	struct group_walk w;

	if (crc32c(b + RB_ATTRIBUTES, length - RB_ATTRIBUTES) != rb_crc(b)) {
		err_set(err, "the batch at offset %lld is damaged", (long long)rb_base_offset(b));
		return -EBADMSG;
	}
	*next = rb_base_offset(b) + rb_last_offset_delta(b) + 1;
	switch (group_walk_open(&w, b, length)) {
	case GROUP_WALK_DAMAGED:
		err_set(err, "the batch at offset %lld is none", (long long)rb_base_offset(b));
		return -EBADMSG;
	case GROUP_WALK_OTHER:
		l->skipped += (uint64_t)rb_count(b);
		return 0;
	case GROUP_WALK_RECORDS:
		break;
	}
	while (group_walk_next(&w, &rec))
		record(l, &rec);
	l->skipped += w.r.bad;
	return 0;
}

static int
read_range(struct loading *l, const struct storage_range *range, struct err *err)
{
	size_t have = 0;

	if (range->length > l->room) {
		free(l->bytes);
		l->room = range->length;
		l->bytes = malloc(l->room);
		ASSERT(l->bytes);
	}
	while (have < range->length) {
		const ssize_t n = pread(range->fd, l->bytes + have, range->length - have,
			(off_t)(range->position + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			const int rc = n < 0 ? -errno : -EIO;

			return err_sys(err, rc, "read at offset %lld", (long long)range->first_offset);
		}
		have += (size_t)n;
	}
	return 0;
}

static int
partition(struct loading *l, int32_t index, struct err *err)
{
	struct partition *part = topic_partition(group_log_topic(l->log), index);
	struct log_partition *lp = &l->log->part[index];
	struct partition_ends ends;
	int64_t at;
	int rc = 0;

	if (storage_state(part) != PART_OK) {
		const char *why = storage_halt_reason(part);

		err_set(err, "%s", why ? why : storage_failure(part));
		return -EIO;
	}
	storage_ends(part, &ends);
	lp->start = at = ends.start;
	while (at < ends.end && rc == 0) {
		struct storage_range range;
		const int16_t error = storage_read(part, at, READ_BYTES, true, &range);

		if (error != 0 || range.length == 0) {
			err_set(err, "offset %lld cannot be read, of %lld", (long long)at, (long long)ends.end);
			return -EIO;
		}
		rc = read_range(l, &range, err);
		storage_unpin(range.pinned);
		for (uint32_t i = 0; i < range.length && rc == 0;) {
			const uint8_t *b = l->bytes + i;
			const int64_t total = range.length - i >= RB_HEADER ? rb_total(b) : 0;

			if (total < RB_HEADER || total > range.length - i) {
				err_set(err, "no whole batch behind offset %lld", (long long)at);
				return -EBADMSG;
			}
			rc = batch(l, b, (uint32_t)total, &at, err);
			i += (uint32_t)total;
		}
		lp->bytes += range.length;
	}
	return rc;
}

void
group_log_load(struct group_log *log, uint64_t now_ns)
{
	uint64_t *const memory_max = &log->groups->limits.memory_max, limit = *memory_max;
	struct loading l = {.log = log, .now_ns = now_ns};
	const uint64_t from_ns = clock_now_ns();
	struct err err = {""};
	int rc = 0;

	log->state = GROUP_LOG_LOADING;
	/* What was promised is taken in, whatever the limit is now: what is left out here, a renewal drops. */
	*memory_max = UINT64_MAX;
	for (int32_t i = 0; i < log->parts && rc == 0; i++) {
		rc = partition(&l, i, &err);
		if (rc < 0)
			log_error("consumer groups are not served: topic __consumer_offsets partition %d: %s; "
				"records are served as ever; kira check tells more", i, err.text);
	}
	*memory_max = limit;
	groups_replayed(log->groups, now_ns);
	log->state = rc < 0 ? GROUP_LOG_BROKEN : GROUP_LOG_READY;
	if (l.skipped > 0)
		log_warn("%llu of %llu records of __consumer_offsets are another program's or not understood: left "
			"out", (unsigned long long)l.skipped, (unsigned long long)l.records);
	if (rc == 0)
		log_info("%u consumer groups read in %.3f s, %llu records", log->groups->n,
			(double)(clock_now_ns() - from_ns) / 1e9, (unsigned long long)l.records);
	free(l.bytes);
}
