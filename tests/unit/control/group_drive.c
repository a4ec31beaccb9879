/* SPDX-License-Identifier: MIT
 * group_drive.c - see group_drive.h. Two bytes a step: what, and by whom or how long. In the end all is left alone:
 * whoever still waits must be answered by timers, and the groups must come to rest. */
#include "tests/unit/control/group_drive.h"

#include "base/bits.h"
#include "tests/unit/control/group_stage.h"

#include <kira/errors.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 8
#define GROUPS  2
#define MUST(x) must(x, #x, __LINE__)

struct client {
	struct asked join, sync;
	bool join_open, sync_open;       /* asked, and neither answered nor its connection dead */
	const char *group, *instance;    /* that it joined as */
	int32_t generation;
	char member[STAGE_TEXT];
};

struct seen {
	const struct group *g;
	int32_t generation;
	enum group_state state;
};

static struct client client[CLIENTS];
static struct seen seen[GROUPS];
static struct group_drive_counts *count;
static const char *const group_id[GROUPS] = {"g0", "g1"};
static const char *const instance_id[4] = {"i0", "i1", NULL, NULL};

uint64_t group_drive_seed;

/* ---- What must be true ---- */

static void
must(bool is, const char *what, int line)
{
	if (is)
		return;
	fprintf(stderr, "seed %" PRIu64 ": line %d: must be true: %s\n", group_drive_seed, line, what);
	abort();
}

static void
judge_members(const struct group *g)
{
	bool leads = !g->leader;
	unsigned n = 0;

	for (const struct group_member *m = g->members; m; m = m->next, n++) {
		leads |= m == g->leader;
		MUST(!m->join || (m->joining && m->join->member == m));
		MUST(!m->sync || (m->syncing && m->sync->member == m));
		MUST(!m->joining || g->state == GROUP_PREPARING);
		MUST(!m->syncing || g->state == GROUP_COMPLETING);
		MUST(m->joining || m->syncing || m->timer.slot > 0);
		MUST(m->deadline_ns < stage.now_ns + 1801 * NS_PER_S);
	}
	MUST(n == g->member_count && leads);
	MUST(n <= 2 * stage.gs.limits.members_max);
	MUST(g->pending_count <= stage.gs.limits.members_max);
}

static void
judge_group(struct seen *s, const struct group *g)
{
	judge_members(g);
	if (s->g == g)
		MUST(g->generation >= s->generation);
	switch (g->state) {
	case GROUP_EMPTY:
		MUST(!g->members && !g->write.pending);
		break;
	case GROUP_PREPARING:
		MUST(g->members && g->timer.slot > 0 && !g->write.pending);
		break;
	case GROUP_COMPLETING:
		MUST(g->leader && g->protocol.p && g->generation > 0);
		MUST(g->timer.slot > 0 || g->write.pending);
		break;
	case GROUP_STABLE:
		MUST(g->leader && g->protocol.p && !g->write.pending);
		break;
	}
	if (s->g == g && s->state != g->state) {
		count->rounds += g->state == GROUP_COMPLETING;
		count->stable += g->state == GROUP_STABLE;
		count->emptied += g->state == GROUP_EMPTY;
	}
	*s = (struct seen){g, g->generation, g->state};
}

/* Of a group that is there: nobody waits with a member that is gone. */
static bool
waits(const struct group_wait *w)
{
	for (const struct group *g = stage.gs.first; g; g = g->next)
		for (const struct group_member *m = g->members; m; m = m->next)
			if (m == w->member)
				return m->join == w || m->sync == w;
	return false;
}

static void
judge_client(struct client *c)
{
	MUST(c->join.answers <= 1 && c->sync.answers <= 1);
	/* Not answered and not parked: lost. */
	if (c->join_open)
		MUST((c->join.answers == 1) != waits(&c->join.w));
	if (c->sync_open)
		MUST((c->sync.answers == 1) != waits(&c->sync.w));
	if (c->join_open && c->join.answers == 1) {
		c->join_open = false;
		if (c->join.error == KIRA_E_MEMBER_ID_REQUIRED || !c->join.error)
			memcpy(c->member, c->join.member, sizeof(c->member));
		if (!c->join.error) {
			MUST(c->join.generation > 0);
			MUST(c->join.members == 0 || strcmp(c->join.member, c->join.leader) == 0);
			c->generation = c->join.generation;
		}
		count->fenced += c->join.error == KIRA_E_FENCED_INSTANCE_ID;
		count->required += c->join.error == KIRA_E_MEMBER_ID_REQUIRED;
		count->full += c->join.error == KIRA_E_GROUP_MAX_SIZE_REACHED;
		count->no_memory += c->join.error == KIRA_E_COORDINATOR_NOT_AVAILABLE;
	}
	if (c->sync_open && c->sync.answers == 1)
		c->sync_open = false;
}

static void
judge(void)
{
	MUST(stage.gs.memory_used <= (1 << 20));
	for (unsigned i = 0; i < CLIENTS; i++)
		judge_client(&client[i]);
	for (unsigned i = 0; i < GROUPS; i++) {
		const struct group *g = stage_group(group_id[i]);

		if (g)
			judge_group(&seen[i], g);
		else
			seen[i].g = NULL;
	}
}

/* ---- What may happen ---- */

/* Whoever was waiting on this connection hangs up first. */
static void
hang_up(struct client *c)
{
	count->connections_died += c->join_open || c->sync_open;
	group_forget(&c->join.w);
	group_forget(&c->sync.w);
	c->join_open = c->sync_open = false;
}

static void
do_join(struct client *c, const char *group, uint8_t how)
{
	struct group_join_request q = stage_join(group, how & 1 ? c->member : "", instance_id[how >> 1 & 3]);

	if (how & 8)
		stage_protocols(&q, "range sticky", how & 16 ? "m" : "other");
	q.id_required = how & 32;
	q.skip_offered = how & 64;
	if (how & 128)
		q.rebalance_ms = 0;
	hang_up(c);
	c->group = group;
	c->instance = instance_id[how >> 1 & 3];
	join(&q, &c->join);
	c->join_open = true;
	count->joins++;
	count->parked += c->join.answers == 0;
}

static void
do_sync(struct client *c, const char *group, uint8_t how)
{
	hang_up(c);
	if (how < 192 && c->group) /* as it should be */
		sync_as(c->group, c->member, c->instance, c->generation, &c->sync);
	else
		sync_as(group, c->member, instance_id[how >> 1 & 3], c->generation - (how & 1), &c->sync);
	c->sync_open = true;
	count->syncs++;
	count->parked += c->sync.answers == 0;
}

static void
do_delete(const char *group)
{
	struct group *g = stage_group(group);

	if (!g || g->state != GROUP_EMPTY || stage.log.state != GROUP_LOG_READY)
		return;
	groups_remove(&stage.gs, g, NULL);
	count->deletes++;
}

/* What was kept last, read into a coordinator that knows nothing: connections are gone. */
static void
do_restart(void)
{
	struct stage_log log = stage.log;

	for (unsigned i = 0; i < CLIENTS; i++)
		hang_up(&client[i]);
	groups_close(&stage.gs);
	stage.gs.first = stage.gs.last = NULL;
	if (log.key_length > 4)
		(void)groups_replay(&stage.gs, (struct view){log.key + 4, log.key_length - 4},
			(struct view){log.value_null ? NULL : log.value, log.value_length}, stage.now_ns);
	groups_replayed(&stage.gs, stage.now_ns);
	memset(seen, 0, sizeof(seen));
	count->restarts++;
}

static void
leap(uint64_t ms)
{
	const unsigned before = stage.gs.first ? stage.gs.first->member_count : 0;

	stage_pass(ms);
	count->leaps++;
	count->expired += stage.gs.first && stage.gs.first->member_count < before;
}

static void
log_state(uint8_t how)
{
	stage.log.hold = how & 1;
	stage.log.error = how & 2 ? KIRA_E_COORDINATOR_NOT_AVAILABLE : 0;
	stage.log.state = (how & 28) == 28 ? GROUP_LOG_BROKEN : GROUP_LOG_READY;
	stage.gs.limits.memory_max = (how & 224) == 224 ? stage.gs.memory_used + 200 : 1 << 20;
	count->log_late += stage.log.hold;
	count->log_failed += stage.log.error != 0;
	if (!stage.log.hold)
		stage_store();
}

static void
step(uint8_t what, uint8_t how)
{
	struct client *c = &client[what >> 4 & (CLIENTS - 1)];
	const char *group = group_id[what >> 7];

	switch (what & 15) {
	case 0: case 1: case 2: case 3:
		do_join(c, group, how);
		break;
	case 4: case 5: case 6:
		do_sync(c, group, how);
		break;
	case 7:
		(void)beats(c->group ? c->group : group, c->member, c->generation);
		count->beats++;
		break;
	case 8:
		(void)leaves(group, how & 1 ? c->member : "", instance_id[how >> 1 & 3]);
		count->leaves++;
		break;
	case 9:
		(void)commits(group, how & 1 ? c->member : "", how & 2 ? c->generation : -1);
		count->commits++;
		break;
	case 10:
		leap(how * 20);
		break;
	case 11:
		leap(how < 240 ? how * 100 : how * 5000);
		break;
	case 12:
		hang_up(c);
		break;
	case 13:
		log_state(how);
		break;
	case 14:
		do_delete(group);
		break;
	case 15:
		if (how > 250)
			do_restart();
		else if (how > 200)
			groups_sweep(&stage.gs);
		else
			stage_store();
		break;
	}
}

void
group_drive(const uint8_t *data, size_t size, struct group_drive_counts *n)
{
	count = n;
	memset(client, 0, sizeof(client));
	memset(seen, 0, sizeof(seen));
	stage_open(size > 0 && data[0] & 1 ? 3000 : 0, 4);
	for (size_t i = 0; i + 1 < size; i += 2) {
		step(data[i], data[i + 1]);
		judge();
	}
	/* Left alone. The longest wait: a first join of 5 min, then a session; static members hold rounds up. */
	log_state(0);
	for (unsigned i = 0; i < 240; i++) {
		stage_pass(10000);
		judge();
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		MUST(!client[i].join_open && !client[i].sync_open);
	for (const struct group *g = stage.gs.first; g; g = g->next)
		MUST(g->state == GROUP_EMPTY);
	stage_close();
}
