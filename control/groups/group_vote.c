/* SPDX-License-Identifier: MIT
 * group_vote.c - which protocol (assignor) a group uses, and who subscribes to what.
 * Thread: control. Pure: looks at members, changes nothing. */
#include "control/groups/group.h"

static const struct view none;

static bool
supports(const struct group_member *m, struct view protocol)
{
	for (int32_t i = 0; i < m->protocols; i++)
		if (view_same(m->protocol[i].name, protocol))
			return true;
	return false;
}

static bool
all_support(const struct group *g, struct view protocol, const struct group_member *except)
{
	for (const struct group_member *m = g->members; m; m = m->next)
		if (m != except && !supports(m, protocol))
			return false;
	return true;
}

bool
group_agrees(const struct group *g, const struct group_join_request *q,
	const struct group_member *except)
{
	if (q->protocol_type.len == 0 || q->protocols == 0)
		return false;
	if (g->member_count == 0)
		return true;
	if (!view_same(g->protocol_type, q->protocol_type))
		return false;
	for (int32_t i = 0; i < q->protocols; i++)
		if (all_support(g, q->protocol[i].name, except))
			return true;
	return false;
}

/* Index of a candidate among the protocols of `first`. */
static int32_t
vote_of(const struct group_member *m, const struct group_member *first, const bool *candidate)
{
	for (int32_t i = 0; i < m->protocols; i++)
		for (int32_t j = 0; j < first->protocols; j++)
			if (candidate[j] && view_same(m->protocol[i].name, first->protocol[j].name))
				return j;
	return -1;
}

/* Candidates are few, for all must support them: those of the first member. Each member votes for the first
 * in its list that is one; of equals the one that the first member prefers. */
struct view
group_vote(const struct group *g)
{
	const struct group_member *first = g->members;
	unsigned votes[GROUP_PROTOCOLS_MAX] = {0}, best = 0;
	bool candidate[GROUP_PROTOCOLS_MAX];
	struct view ret = none;

	if (!first)
		return none;
	for (int32_t i = 0; i < first->protocols; i++)
		candidate[i] = all_support(g, first->protocol[i].name, first);
	for (const struct group_member *m = first; m; m = m->next) {
		const int32_t i = vote_of(m, first, candidate);

		if (i >= 0)
			votes[i]++;
	}
	for (int32_t i = 0; i < first->protocols; i++) {
		if (votes[i] <= best)
			continue;
		best = votes[i];
		ret = first->protocol[i].name;
	}
	return ret;
}

uint64_t
group_brings(int32_t protocols, const struct group_protocol *protocol)
{
	uint64_t bytes = 0;

	for (int32_t i = 0; i < protocols; i++)
		bytes += (uint64_t)protocol[i].name.len + protocol[i].metadata.len;
	return bytes;
}

uint64_t
group_brought(const struct group *g)
{
	uint64_t bytes = 0;

	for (const struct group_member *m = g->members; m; m = m->next)
		bytes += group_brings(m->protocols, m->protocol);
	return bytes;
}

int32_t
group_rebalance_ms(const struct group *g)
{
	int32_t longest = 0;

	for (const struct group_member *m = g->members; m; m = m->next)
		if (m->rebalance_ms > longest)
			longest = m->rebalance_ms;
	return longest;
}

bool
member_matches(const struct group_member *m, const struct group_join_request *q)
{
	if (m->protocols != q->protocols)
		return false;
	for (int32_t i = 0; i < m->protocols; i++)
		if (!view_same(m->protocol[i].name, q->protocol[i].name) ||
			!view_same(m->protocol[i].metadata, q->protocol[i].metadata))
			return false;
	return true;
}

struct view
member_metadata(const struct group_member *m)
{
	for (int32_t i = 0; i < m->protocols; i++)
		if (m->group->protocol.p && view_same(m->protocol[i].name, m->group->protocol))
			return m->protocol[i].metadata;
	return none;
}

bool
group_is_consumer(const struct group *g)
{
	return view_same(g->protocol_type, view_text("consumer"));
}

/* A subscription: i16 version | []str topics | .. True where it names the topic or cannot be read. */
static bool
subscription_names(struct view metadata, struct view topic)
{
	struct reader r = kr_open(metadata.p, metadata.len, false);
	int32_t n;

	(void)kr_i16(&r);
	n = kr_array(&r, INT32_MAX, 2);
	for (int32_t i = 0; i < n && !r.bad; i++)
		if (view_same(kr_string(&r), topic) && !r.bad)
			return true;
	return r.bad;
}

bool
group_subscribes(const struct group *g, struct view topic)
{
	if (!group_is_consumer(g))
		return false;
	for (const struct group_member *m = g->members; m; m = m->next) {
		/* Before the first round there is no protocol yet: what it would prefer speaks for it. */
		const struct view metadata = g->protocol.p ? member_metadata(m)
			: m->protocols > 0 ? m->protocol[0].metadata : none;

		if (subscription_names(metadata, topic))
			return true;
	}
	return false;
}
