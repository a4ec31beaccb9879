/* SPDX-License-Identifier: MIT
 * group_stage.c - see group_stage.h. */
#include "tests/unit/control/group_stage.h"

#include "base/assert.h"
#include "base/bits.h"

#include <kira/errors.h>

#include <stdio.h>
#include <stdlib.h>

struct stage stage;

static struct view
text(const char *s)
{
	return (struct view){(const uint8_t *)s, s ? (uint32_t)strlen(s) : 0};
}

static void
keep(char *ret, struct view v)
{
	ASSERT(v.len < STAGE_TEXT);
	if (v.len > 0)
		memcpy(ret, v.p, v.len);
	ret[v.len] = '\0';
}

/* ---- The log ---- */

enum group_log_state
group_log_state(const struct group_log *log)
{
	return stage.log.state;
}

void
group_log_append(struct group_log *log, struct view group, const struct group_record *rec, unsigned n,
	enum group_log_level level, struct group_write *w)
{
	struct stage_log *l = &stage.log;

	ASSERT(l->state == GROUP_LOG_READY && n > 0 && rec[0].key.len > 4 && get_be16(rec[0].key.p) == 2);
	l->appends++;
	l->tombstones += !rec[0].value.p;
	l->key_length = rec[0].key.len;
	l->value_length = rec[0].value.len;
	l->value_null = !rec[0].value.p;
	ASSERT(l->key_length <= sizeof(l->key) && l->value_length <= sizeof(l->value));
	memcpy(l->key, rec[0].key.p, l->key_length);
	if (rec[0].value.p)
		memcpy(l->value, rec[0].value.p, l->value_length);
	if (!w)
		return;
	ASSERT(!w->pending && l->waits < ARRAY_LENGTH(l->waiting));
	w->pending = true;
	l->waiting[l->waits++] = w;
}

void
group_log_cancel(struct group_log *log, struct group_write *w)
{
	struct stage_log *l = &stage.log;

	if (!w->pending)
		return;
	w->pending = false;
	for (unsigned i = 0; i < l->waits; i++)
		if (l->waiting[i] == w) {
			memmove(&l->waiting[i], &l->waiting[i + 1], (l->waits - i - 1) * sizeof(w));
			l->waits--;
			return;
		}
	ASSERT(!"a write that is pending is known");
}

void
stage_store(void)
{
	struct stage_log *l = &stage.log;

	while (l->waits > 0) {
		struct group_write *w = l->waiting[0];

		l->waits--;
		memmove(l->waiting, l->waiting + 1, l->waits * sizeof(l->waiting[0]));
		w->pending = false;
		w->stored(w, l->error, stage.now_ns);
	}
}

/* ---- Answers ---- */

static void
joined(struct groups *gs, struct group_wait *w, const struct group_joined *a)
{
	struct asked *q = (struct asked *)w;

	q->answers++;
	q->error = a->error;
	q->generation = a->generation;
	q->skip = a->skip_assignment;
	keep(q->member, a->member);
	keep(q->leader, a->leader);
	keep(q->protocol, a->protocol);
	keep(q->type, a->protocol_type);
	q->protocol_null = !a->protocol.p;
	q->members = a->members_of ? a->members_of->member_count : 0;
}

static void
synced(struct groups *gs, struct group_wait *w, const struct group_synced *a)
{
	struct asked *q = (struct asked *)w;

	q->answers++;
	q->error = a->error;
	keep(q->assignment, a->assignment);
	keep(q->protocol, a->protocol);
	keep(q->type, a->protocol_type);
}

static void
uuid(struct groups *gs, char ret[GROUP_UUID_TEXT])
{
	(void)snprintf(ret, GROUP_UUID_TEXT, "00000000-0000-0000-0000-%012u", ++stage.ids);
}

static void
offsets_remove(struct groups *gs, struct group *g)
{
	stage.offsets_removed++;
	g->offsets = NULL;
}

/* ---- The stage ---- */

void
stage_open(uint64_t initial_delay_ms, unsigned members_max)
{
	stage = (struct stage){.now_ns = STAGE_START, .log = {.state = GROUP_LOG_READY}};
	stage.gs = (struct groups){
		.limits = {
			.initial_delay_ns = initial_delay_ms * NS_PER_MS,
			.session_min_ms = 6000,
			.session_max_ms = 1800000,
			.members_max = members_max,
			.memory_max = 1 << 20,
		},
		.loop = &stage.loop,
		.joined = joined,
		.synced = synced,
		.uuid = uuid,
		.offsets_remove = offsets_remove,
		.wall_minus_now_ms = 1700000000000,
	};
}

void
stage_close(void)
{
	groups_close(&stage.gs);
	ASSERT(stage.gs.memory_used == 0);
	ASSERT(stage.loop.timers == 0 && stage.log.waits == 0);
	free(stage.loop.heap);
}

void
stage_pass(uint64_t ms)
{
	const uint64_t until_ns = stage.now_ns + ms * NS_PER_MS;

	for (;;) {
		const uint64_t next_ns = loop_next_ns(&stage.loop);

		if (!stage.log.hold)
			stage_store();
		if (next_ns > until_ns)
			break;
		stage.now_ns = MAX(stage.now_ns, next_ns);
		(void)loop_fire(&stage.loop, stage.now_ns);
	}
	stage.now_ns = until_ns;
}

/* ---- Clients ---- */

/* `names` and `metadata` are literals: views into them live as long. */
void
stage_protocols(struct group_join_request *q, const char *names, const char *metadata)
{
	static struct group_protocol lists[64][4];
	static unsigned at;
	struct group_protocol *p = lists[at++ % ARRAY_LENGTH(lists)];

	q->protocol = p;
	q->protocols = 0;
	while (*names) {
		const size_t n = strcspn(names, " ");

		p[q->protocols++] = (struct group_protocol){{(const uint8_t *)names, (uint32_t)n}, text(metadata)};
		names += n + (names[n] == ' ');
	}
}

struct group_join_request
stage_join(const char *group, const char *member, const char *instance)
{
	struct group_join_request q = {
		.group = text(group),
		.member = text(member),
		.instance = text(instance),
		.client_id = text("c"),
		.client_host = text("/127.0.0.1"),
		.session_ms = 10000,
		.rebalance_ms = 30000,
		.protocol_type = text("consumer"),
	};

	stage_protocols(&q, "range", "m");
	return q;
}

void
join(const struct group_join_request *q, struct asked *a)
{
	*a = (struct asked){0};
	group_join(&stage.gs, q, &a->w, stage.now_ns);
	if (!stage.log.hold)
		stage_store();
}

void
joins(const char *group, const char *member, struct asked *a)
{
	const struct group_join_request q = stage_join(group, member, NULL);

	join(&q, a);
}

void
sync_as(const char *group, const char *member, const char *instance, int32_t generation, struct asked *a)
{
	struct group_assignment assignment[64];
	char own[64][STAGE_TEXT + 1];
	struct group_sync_request q = {.claim = {text(group), text(member), text(instance), generation},
		.assignment = assignment};
	const struct group *g = stage_group(group);

	*a = (struct asked){0};
	for (struct group_member *m = g ? g->members : NULL; m && g->leader == member_find(g, text(member));
		m = m->next) {
		char *s = own[q.assignments];

		s[0] = 'x';
		memcpy(s + 1, m->id.p, m->id.len);
		assignment[q.assignments++] = (struct group_assignment){m->id, {(uint8_t *)s, m->id.len + 1}};
	}
	group_sync(&stage.gs, &q, &a->w, stage.now_ns);
	if (!stage.log.hold)
		stage_store();
}

void
syncs(const char *group, const struct asked *j, struct asked *a)
{
	sync_as(group, j->member, NULL, j->generation, a);
}

int16_t
beats(const char *group, const char *member, int32_t generation)
{
	const struct group_claim q = {text(group), text(member), text(NULL), generation};

	return group_heartbeat(&stage.gs, &q, stage.now_ns);
}

int16_t
leaves(const char *group, const char *member, const char *instance)
{
	struct group *g = stage_group(group);
	const int16_t error = group_leave(g, text(member), text(instance));

	if (g)
		group_left(g, stage.now_ns);
	if (!stage.log.hold)
		stage_store();
	return error;
}

int16_t
commits(const char *group, const char *member, int32_t generation)
{
	const struct group_claim q = {text(group), text(member), text(NULL), generation};
	struct group *g;

	return groups_may_commit(&stage.gs, &q, stage.now_ns, &g);
}

struct group *
stage_group(const char *id)
{
	return groups_find(&stage.gs, text(id));
}

enum group_state
state_of(const char *id)
{
	const struct group *g = stage_group(id);

	ASSERT(g);
	return g->state;
}

void
stage_stable(const char *group, unsigned n, struct asked *a)
{
	struct asked sync[64];

	for (unsigned i = 0; i < n; i++)
		joins(group, "", &a[i]);
	if (n > 1) {
		char first[STAGE_TEXT];

		memcpy(first, a[0].member, sizeof(first));
		joins(group, first, &a[0]);
	}
	for (unsigned i = 0; i < n; i++) {
		ASSERT(a[i].answers == 1 && a[i].error == 0);
		syncs(group, &a[i], &sync[i]);
	}
	ASSERT(state_of(group) == GROUP_STABLE);
	for (unsigned i = 0; i < n; i++)
		ASSERT(sync[i].answers == 1 && sync[i].error == 0 && sync[i].assignment[0] == 'x');
}

void
stage_static(const char *group, struct asked *a)
{
	struct group_join_request q = stage_join(group, "", "i1");
	struct asked again, sync[2];

	join(&q, &a[0]);
	q = stage_join(group, "", "i2");
	join(&q, &a[1]);
	q = stage_join(group, a[0].member, "i1");
	join(&q, &again);
	sync_as(group, a[0].member, "i1", 2, &sync[0]);
	sync_as(group, a[1].member, "i2", 2, &sync[1]);
	ASSERT(state_of(group) == GROUP_STABLE);
	ASSERT(sync[0].answers == 1 && sync[1].answers == 1);
}

struct group_join_request
stage_given(const char *group, struct asked *a)
{
	struct group_join_request q = stage_join(group, "", NULL);

	q.id_required = true;
	join(&q, a);
	return q;
}

void
stage_absent(const char *group, int32_t rebalance_ms, struct asked *a)
{
	struct group_join_request q = stage_join(group, "", "i1");
	struct asked sync;

	q.session_ms = 100000;
	q.rebalance_ms = rebalance_ms;
	join(&q, &a[0]);
	sync_as(group, a[0].member, "i1", 1, &sync);
	ASSERT(state_of(group) == GROUP_STABLE && sync.answers == 1);
	joins(group, "", &a[1]);
}
