/* SPDX-License-Identifier: MIT
 * disk_watch.c - looks once a second at what storage has latched or owes, and says it in the log.
 * Thread: control. Owns: nothing. Never: touches the disk. storage/ does not log; a failed sync or a
 * full disk that shows only in counters would be found too late. */
#include "control/disk_watch.h"

#include "base/bits.h"
#include "base/clock.h"
#include "control/control.h"
#include "control/log.h"

#include <inttypes.h>

#define LOOK_NS      NS_PER_S
#define STUCK_NS     (5 * NS_PER_S)  /* or 10 times flush-ms, whichever is more */
#define READS_SAY_NS (60 * NS_PER_S)

static void
say_failed(struct control *ctl)
{
	for (struct topic *t = ctl->topics.first; t; t = t->next) {
		if (t->state != TOPIC_LIVE)
			continue;
		for (int32_t i = 0; i < t->partitions; i++) {
			if (t->said_failed[i] || storage_state(t->part->part[i]) == PART_OK)
				continue;
			t->said_failed[i] = true;
			if (storage_state(t->part->part[i]) == PART_HALTED) {
				topics_say_halted(t, i);
				continue;
			}
			log_error("topic %s partition %d failed: %s; nothing is appended to it until "
				"kirad restarts and finds out what is on disk: see dmesg first", t->name, i,
				storage_failure(t->part->part[i]));
		}
	}
}

/* `disk` acks stop by construction while this lasts, `log` acks once what is reserved is used up. */
static void
look_for_hang(struct control *ctl, uint64_t now_ns)
{
	struct disk_watch *dw = &ctl->disk_watch;
	const uint64_t stuck_ns = storage_stuck_ns(ctl->storage, now_ns);
	const bool degraded = stuck_ns > MAX(10 * (uint64_t)ctl->cfg->flush_ms * NS_PER_MS, STUCK_NS);

	if (degraded && !dw->degraded)
		log_error("DEGRADED: nothing has become durable for %" PRIu64 " s; the disk, or the flush daemon, "
			"hangs: see dmesg and iostat; if the disk is well, restart kirad", stuck_ns / NS_PER_S);
	else if (!degraded && dw->degraded)
		log_info("no longer degraded: the flush daemon goes on");
	dw->degraded = degraded;
	counter_set(&ctl->count->degraded_s, degraded ? stuck_ns / NS_PER_S : 0);
}

static void
look_at_reads(struct control *ctl, uint64_t now_ns)
{
	struct disk_watch *dw = &ctl->disk_watch;
	const uint64_t reads = counter_read(&ctl->storage_count->read_failures);

	if (reads == dw->reads || (dw->reads_ns && now_ns - dw->reads_ns < READS_SAY_NS))
		return;
	log_error("%" PRIu64 " reads failed, the latest of %s; their consumers were told 56, or cut off: see dmesg, "
		"then `kira check` of a copy", reads - dw->reads, storage_read_failure(ctl->storage));
	dw->reads = reads;
	dw->reads_ns = now_ns;
}

static void
look(struct control *ctl, uint64_t now_ns)
{
	struct disk_watch *dw = &ctl->disk_watch;
	const uint64_t failures = storage_failures(ctl->storage);
	const char *root = storage_root_failure(ctl->storage);
	const uint64_t full = counter_read(&ctl->storage_count->disk_full);

	if (failures != dw->failures) {
		dw->failures = failures;
		say_failed(ctl);
	}
	if (root && !dw->said_root) {
		dw->said_root = true;
		log_error("a file of the data directory failed: %s; it is tried again and records are "
			"taken meanwhile, but while this lasts topics cannot be changed, nothing expires, "
			"and a start after a crash checks more: look at the disk", root);
	}
	if (full != dw->full && dw->full_ns == 0) {
		dw->full_ns = now_ns;
		log_error("the disk is full: producers wait until space returns (free some, lower "
			"retention.bytes or retention.ms, or disk-cap)");
	} else if (full == dw->full && dw->full_ns != 0) {
		log_info("the disk has room again, after %" PRIu64 " s",
			(now_ns - dw->full_ns) / NS_PER_S);
		dw->full_ns = 0;
	}
	dw->full = full;
	look_for_hang(ctl, now_ns);
	look_at_reads(ctl, now_ns);
}

static void
fire(struct timer *t, uint64_t now_ns)
{
	struct disk_watch *dw = (struct disk_watch *)((char *)t - offsetof(struct disk_watch, timer));
	struct control *ctl = (struct control *)((char *)dw - offsetof(struct control, disk_watch));

	look(ctl, now_ns);
	loop_arm(&ctl->loop, t, now_ns + LOOK_NS);
}

void
disk_watch_start(struct control *ctl)
{
	struct disk_watch *dw = &ctl->disk_watch;

	*dw = (struct disk_watch){
		.timer.fire = fire,
		.failures = storage_failures(ctl->storage),
		.full = counter_read(&ctl->storage_count->disk_full),
		.reads = counter_read(&ctl->storage_count->read_failures),
	};
	loop_arm(&ctl->loop, &dw->timer, ctl->now_ns + LOOK_NS);
}
