/* SPDX-License-Identifier: MIT
 * group_record.c - a group as the log keeps it, out and in. Kafka's GroupMetadataValue, version 3 written,
 * 0 to 3 read: 1 has rebalance timeouts, 2 the time of the state, 3 instance ids.
 * Thread: control. */
#include "control/groups/group.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/writer.h"

#define VERSION     3
#define KEY_VERSION 2 /* of a group; 0 and 1 are offsets: offset_record.h */

static void
write_bytes(struct writer *w, struct view v)
{
	kw_bytes(w, v.p ? (const void *)v.p : "", (int32_t)v.len);
}

static void
write_text(struct writer *w, struct view v)
{
	kw_view(w, v.p ? v : view_text(""));
}

/* Between rounds, and until the leader has said who does what, a start must not take the members for a stable group:
 * nobody would assign anything to who has nothing. Without members in the record they all join again. */
static bool
is_settled(const struct group *g)
{
	return g->state == GROUP_STABLE || (g->state == GROUP_COMPLETING && g->leader->syncing);
}

void
group_record_key(const struct group *g, struct writer *key)
{
	kw_i16(key, KEY_VERSION);
	kw_view(key, g->id);
}

bool
group_record(const struct group *g, struct writer *key, struct writer *value)
{
	const bool settled = is_settled(g);

	if (g->generation == 0)
		return false;
	group_record_key(g, key);
	kw_i16(value, VERSION);
	write_text(value, g->protocol_type);
	kw_i32(value, g->generation);
	kw_view(value, g->protocol);
	kw_view(value, settled ? g->leader->id : (struct view){NULL, 0});
	kw_i64(value, g->state_since_ms);
	kw_array(value, settled ? (int32_t)g->member_count : 0);
	for (const struct group_member *m = settled ? g->members : NULL; m; m = m->next) {
		kw_view(value, m->id);
		kw_view(value, m->instance);
		write_text(value, m->client_id);
		write_text(value, m->client_host);
		kw_i32(value, m->rebalance_ms);
		kw_i32(value, m->session_ms);
		write_bytes(value, member_metadata(m));
		write_bytes(value, m->assignment);
	}
	return true;
}

struct kept {
	int16_t version;
	struct view protocol_type, protocol, leader;
	int32_t generation, members;
	int64_t since_ms;
};

/* A member of the record; true: added to the group. */
static bool
read_member(struct reader *r, struct group *g, const struct kept *k)
{
	const struct view id = kr_string(r);
	struct group_protocol p = {.name = k->protocol};
	struct group_join_request q = {.protocols = 1, .protocol = &p, .protocol_type = k->protocol_type};
	struct group_member *m;
	struct view assignment;

	if (k->version >= 3)
		q.instance = kr_string(r);
	q.client_id = kr_string(r);
	q.client_host = kr_string(r);
	q.rebalance_ms = k->version >= 1 ? kr_i32(r) : -1;
	q.session_ms = kr_i32(r);
	p.metadata = kr_bytes(r);
	assignment = kr_bytes(r);
	if (r->bad || !id.p || q.session_ms < 0)
		return false;
	m = member_add(g, &q, id);
	if (!m)
		return false;
	m->unheard = true;
	if (view_same(id, k->leader))
		g->leader = m;
	return member_assign(m, assignment);
}

static void
drop_members(struct group *g)
{
	while (g->members)
		member_remove(g->members, 0);
	g->state = GROUP_EMPTY;
}

/* The last record of a group counts: what an earlier one said is dropped. */
static bool
read_group(struct group *g, struct view value)
{
	struct groups *gs = g->groups;
	struct reader r = kr_open(value.p, value.len, false);
	struct kept k = {.version = kr_i16(&r)};

	if (k.version < 0 || k.version > VERSION)
		return false;
	k.protocol_type = kr_string(&r);
	k.generation = kr_i32(&r);
	k.protocol = kr_string(&r);
	k.leader = kr_string(&r);
	k.since_ms = k.version >= 2 ? kr_i64(&r) : -1;
	k.members = kr_array(&r, INT32_MAX, 18);
	if (r.bad || k.members < 0 || k.generation < 0 || (k.members > 0 && !k.protocol.p))
		return false;
	drop_members(g);
	group_uncopy(gs, g->protocol_type);
	group_uncopy(gs, g->protocol);
	g->protocol = (struct view){NULL, 0};
	g->protocol_type = group_copy(gs, k.protocol_type);
	if (k.members > 0)
		g->protocol = group_copy(gs, k.protocol);
	/* A generation of 0 is one that Kafka's tools may have written; ours begin at 1. */
	g->generation = MAX(k.generation, 1);
	if (k.since_ms >= 0)
		g->state_since_ms = k.since_ms;
	for (int32_t i = 0; i < k.members; i++)
		if (!read_member(&r, g, &k)) {
			/* Who is left out joins again. */
			drop_members(g);
			return false;
		}
	g->state = k.members > 0 ? GROUP_STABLE : GROUP_EMPTY;
	return true;
}

bool
groups_replay(struct groups *gs, struct view id, struct view value, uint64_t now_ns)
{
	struct group *g = groups_find(gs, id);
	bool read = true;

	if (value.p) {
		g = groups_obtain(gs, id, now_ns);
		read = g && read_group(g, value);
	} else if (g) {
		drop_members(g);
		g->generation = 0;
		groups_tidy(g);
	}
	return read;
}

void
groups_replayed(struct groups *gs, uint64_t now_ns)
{
	struct group *next;

	for (struct group *g = gs->first; g; g = next) {
		next = g->next;
		for (struct group_member *m = g->members; m; m = m->next)
			member_alive(m, now_ns);
		groups_tidy(g);
	}
}
