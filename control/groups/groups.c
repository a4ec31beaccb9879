/* SPDX-License-Identifier: MIT
 * groups.c - the table of groups, and the memory they may take.
 * Thread: control. Owns: struct group, its strings. Never: decides about members; group_*.c do. */
#include "control/groups/groups.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/writer.h"
#include "control/groups/group.h"

#include <kira/errors.h>

#include <stdlib.h>

#define BUCKETS_MIN 64
#define KEY_MAX     (INT16_MAX + 8)

static uint32_t
hash_of(struct view v)
{
	uint32_t h = 2166136261u; /* FNV-1a: group ids are short, and few */

	for (uint32_t i = 0; i < v.len; i++)
		h = (h ^ v.p[i]) * 16777619u;
	return h;
}

bool
groups_memory_take(struct groups *gs, uint64_t bytes)
{
	if (bytes > gs->limits.memory_max || gs->memory_used > gs->limits.memory_max - bytes)
		return false;
	gs->memory_used += bytes;
	return true;
}

void
groups_memory_give(struct groups *gs, uint64_t bytes)
{
	ASSERT(bytes <= gs->memory_used);
	gs->memory_used -= bytes;
}

/* p NULL: no memory. An empty view has a byte, so that it is not null. */
struct view
group_copy(struct groups *gs, struct view v)
{
	uint8_t *p;

	if (!groups_memory_take(gs, v.len + 1))
		return (struct view){NULL, 0};
	p = malloc(v.len + 1);
	if (!p) {
		groups_memory_give(gs, v.len + 1);
		return (struct view){NULL, 0};
	}
	if (v.len > 0)
		memcpy(p, v.p, v.len);
	return (struct view){p, v.len};
}

void
group_uncopy(struct groups *gs, struct view v)
{
	if (!v.p)
		return;
	groups_memory_give(gs, v.len + 1);
	free((void *)(uintptr_t)v.p);
}

struct group *
groups_find(const struct groups *gs, struct view id)
{
	const uint32_t h = hash_of(id);
	struct group *g = gs->buckets ? gs->bucket[h & (gs->buckets - 1)] : NULL;

	while (g && !(g->hash == h && view_same(g->id, id)))
		g = g->hash_next;
	return g;
}

/* Twice the buckets; where there is no memory for them the chains grow. */
static void
grow(struct groups *gs)
{
	const unsigned n = gs->buckets ? gs->buckets * 2 : BUCKETS_MIN;
	struct group **bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		return;
	free(gs->bucket);
	gs->bucket = bucket;
	gs->buckets = n;
	for (struct group *g = gs->first; g; g = g->next) {
		g->hash_next = bucket[g->hash & (n - 1)];
		bucket[g->hash & (n - 1)] = g;
	}
}

void
groups_set_state(struct group *g, enum group_state state, uint64_t now_ns)
{
	g->state = state;
	g->state_since_ms = (int64_t)(now_ns / NS_PER_MS) + g->groups->wall_minus_now_ms;
}

struct group *
groups_obtain(struct groups *gs, struct view id, uint64_t now_ns)
{
	struct group *g = groups_find(gs, id);

	if (g)
		return g;
	if (gs->n >= gs->buckets)
		grow(gs);
	if (!gs->buckets || !groups_memory_take(gs, sizeof(*g)))
		return NULL;
	g = calloc(1, sizeof(*g));
	if (!g)
		goto give;
	g->id = group_copy(gs, id);
	if (!g->id.p)
		goto give;
	g->groups = gs;
	g->hash = hash_of(id);
	g->timer.fire = group_timer;
	g->write.stored = group_assignment_stored;
	g->write.owner = g;
	groups_set_state(g, GROUP_EMPTY, now_ns);
	g->prev = gs->last;
	*(gs->last ? &gs->last->next : &gs->first) = g;
	gs->last = g;
	g->hash_next = gs->bucket[g->hash & (gs->buckets - 1)];
	gs->bucket[g->hash & (gs->buckets - 1)] = g;
	gs->n++;
	return g;
give:
	free(g);
	groups_memory_give(gs, sizeof(*g));
	return NULL;
}

static void
unlink_group(struct group *g)
{
	struct groups *gs = g->groups;
	struct group **at = &gs->bucket[g->hash & (gs->buckets - 1)];

	while (*at != g)
		at = &(*at)->hash_next;
	*at = g->hash_next;
	*(g->prev ? &g->prev->next : &gs->first) = g->next;
	*(g->next ? &g->next->prev : &gs->last) = g->prev;
	gs->n--;
}

static void
free_group(struct group *g)
{
	struct groups *gs = g->groups;

	group_log_cancel(gs->log, &g->write);
	loop_disarm(gs->loop, &g->timer);
	while (g->pending)
		pending_remove(g->pending);
	unlink_group(g);
	group_uncopy(gs, g->id);
	group_uncopy(gs, g->protocol_type);
	group_uncopy(gs, g->protocol);
	groups_memory_give(gs, sizeof(*g));
	free(g);
}

void
groups_tidy(struct group *g)
{
	if (g->state == GROUP_EMPTY && g->generation == 0 && !g->pending && !g->offsets)
		free_group(g);
}

void
groups_remove(struct groups *gs, struct group *g, struct group_write *w)
{
	uint8_t key[KEY_MAX];
	struct writer kw = kw_open(key, sizeof(key), false);
	struct group_record rec;

	ASSERT(g->state == GROUP_EMPTY && g->member_count == 0);
	if (g->offsets)
		gs->offsets_remove(gs, g);
	ASSERT(!g->offsets);
	group_record_key(g, &kw);
	rec = (struct group_record){{key, (uint32_t)kw_length(&kw)}, {NULL, 0}};
	/* A simple group has no record of its own; its tombstone is one that removes nothing. */
	group_log_append(gs->log, g->id, &rec, 1, GROUP_LOG_APPENDED, w);
	free_group(g);
}

void
groups_sweep(struct groups *gs)
{
	struct group *next;

	if (group_log_state(gs->log) != GROUP_LOG_READY)
		return;
	for (struct group *g = gs->first; g; g = next) {
		next = g->next;
		if (g->state == GROUP_EMPTY && !g->offsets && !g->pending)
			groups_remove(gs, g, NULL);
	}
}

/* Nothing is appended: what the log says stays true. */
void
groups_close(struct groups *gs)
{
	while (gs->first) {
		struct group *g = gs->first;

		while (g->members)
			member_remove(g->members, KIRA_E_COORDINATOR_NOT_AVAILABLE);
		free_group(g);
	}
	free(gs->bucket);
	gs->bucket = NULL;
	gs->buckets = 0;
}

const char *
group_state_name(enum group_state state)
{
	static const char *const name[] = {
		[GROUP_EMPTY] = "Empty",
		[GROUP_PREPARING] = "PreparingRebalance",
		[GROUP_COMPLETING] = "CompletingRebalance",
		[GROUP_STABLE] = "Stable",
	};

	return name[state];
}
