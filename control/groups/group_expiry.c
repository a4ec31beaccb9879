/* SPDX-License-Identifier: MIT
 * group_expiry.c - every few minutes: committed offsets that nobody used for offsets-retention-minutes go, and
 * groups that have none left. Once at the start, offsets of topics that are gone, and those alone: a kill may come
 * between the end of a topic and the end of its offsets, and a new topic of that name must not inherit them; but a
 * host's clock may be days ahead until it has asked others for the time, and would take all that is kept.
 * Thread: control. Owns: the timer. */
#include "control/groups/group_topic.h"

#include "base/clock.h"
#include "control/control.h"
#include "control/groups/offsets.h"
#include "control/log.h"

static bool
exists(void *arg, struct view topic, int32_t partition)
{
	const struct topic *t = topics_find(arg, topic);

	return t && partition < t->partitions;
}

static void
fire(struct timer *timer, uint64_t now_ns)
{
	struct group_log *log = (struct group_log *)((char *)timer - offsetof(struct group_log, expiry_timer));
	struct control *ctl = log->ctl;
	const struct offset_expiry e = {
		.wall_ms = clock_wall_ms(),
		.retention_ms = log->swept ? ctl->cfg->offsets_retention_minutes * 60 * 1000 : INT64_MAX,
		.exists = log->swept ? NULL : exists,
		.arg = ctl,
	};
	unsigned n;

	log->groups->wall_minus_now_ms = e.wall_ms - (int64_t)(now_ns / NS_PER_MS);
	loop_arm(&ctl->loop, timer, now_ns + (uint64_t)ctl->cfg->offsets_check_ms * NS_PER_MS);
	if (log->state != GROUP_LOG_READY || ctl->stopping)
		return;
	n = offsets_expire(log->groups, &e);
	if (n > 0)
		log_info("%u committed offsets %s", n, log->swept ? "have expired" : "were of topics that are gone");
	log->swept = true;
}

void
group_expiry_start(struct group_log *log)
{
	log->expiry_timer.fire = fire;
	loop_arm(&log->ctl->loop, &log->expiry_timer, log->ctl->now_ns);
}
