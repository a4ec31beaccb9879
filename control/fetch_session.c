/* SPDX-License-Identifier: MIT
 * fetch_session.c - the cache of fetch sessions: bounded in number and bytes, evicted as Kafka does
 * (FetchSession.scala: the one not used for two minutes; else a smaller one that is older than that).
 * Thread: control. Owns: sessions and their partitions. Never: looks at a log.
 * Two tables over all sessions, keyed by session and topic, and by topic and partition: no session has one
 * of its own that would have to grow. A word that nobody is told goes into both keys, or names could be made
 * that all fall into one bucket. */
#include "control/fetch_session.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/clock.h"
#include "control/conn.h"
#include "control/control.h"

#include <stdlib.h>
#include <sys/random.h>

#define SESSION_BUCKETS   65536
#define SESSION_BYTES_MAX (64 * MIB)         /* of all sessions: some 300,000 partitions */
#define SESSION_EVICT_NS  (120 * NS_PER_S)   /* Kafka's MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS */

const char fetch_session_gone, fetch_session_overtaken;

/* ---- The tables ---------------------------------------------------------------------------- */

static uint32_t
mix(uint32_t h, uint32_t v)
{
	h = (h ^ v) * 0x9e3779b1u;
	return h ^ h >> 15;
}

static uint32_t
topic_hash(const struct fetch_sessions *fs, const struct fetch_session *s, struct view key)
{
	uint32_t h = mix(fs->secret[0], (uint32_t)s->id);

	for (uint32_t i = 0; i < key.len; i++)
		h = (h ^ key.p[i]) * 16777619u; /* FNV-1a */
	return mix(h, key.len);
}

static struct session_topic **
topic_at(const struct fetch_sessions *fs, const struct fetch_session *s, struct view key, uint32_t hash)
{
	struct session_topic **at = &fs->topic[hash % SESSION_BUCKETS];

	while (*at && !((*at)->session == s && (*at)->key.len == key.len &&
		memcmp((*at)->key.p, key.p, key.len) == 0))
		at = &(*at)->chain;
	return at;
}

static struct session_partition **
partition_at(const struct fetch_sessions *fs, const struct session_topic *t, int32_t partition)
{
	struct session_partition **at =
		&fs->partition[mix(mix(t->hash, (uint32_t)partition), fs->secret[1]) % SESSION_BUCKETS];

	while (*at && !((*at)->topic == t && (*at)->q.partition == partition))
		at = &(*at)->chain;
	return at;
}

/* ---- Partitions of a session --------------------------------------------------------------- */

void
session_partition_done(struct session_partition *sp)
{
	struct fetch_session *s = sp->topic->session;

	if (!sp->due)
		return;
	*(sp->due_prev ? &sp->due_prev->due_next : &s->due_first) = sp->due_next;
	*(sp->due_next ? &sp->due_next->due_prev : &s->due_last) = sp->due_prev;
	sp->due = false;
	s->due_n--;
}

void
session_partition_due(struct session_partition *sp)
{
	struct fetch_session *s = sp->topic->session;

	session_partition_done(sp);
	sp->due_prev = s->due_last;
	sp->due_next = NULL;
	*(s->due_last ? &s->due_last->due_next : &s->due_first) = sp;
	s->due_last = sp;
	sp->due = true;
	s->due_n++;
}

struct conn *
fetch_session_moved(struct session_partition *sp)
{
	if (!sp->due)
		session_partition_due(sp);
	return sp->topic->session->parked;
}

static void
drop_topic(struct control *ctl, struct session_topic *t)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;

	if (t->partitions > 0)
		return;
	*topic_at(fs, t->session, t->key, t->hash) = t->chain;
	fs->bytes -= sizeof(*t) + t->key.len;
	free(t);
}

static void
drop(struct control *ctl, struct session_partition *sp)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;
	struct session_topic *t = sp->topic;
	struct fetch_session *s = t->session;

	session_partition_done(sp);
	fetch_unwatch(&sp->watch);
	*partition_at(fs, t, sp->q.partition) = sp->chain;
	*(sp->prev ? &sp->prev->next : &s->first) = sp->next;
	*(sp->next ? &sp->next->prev : &s->last) = sp->prev;
	s->partitions--;
	t->partitions--;
	fs->bytes -= sizeof(*sp);
	free(sp);
	drop_topic(ctl, t);
}

static struct session_topic *
take_topic(struct control *ctl, struct fetch_session *s, struct view key)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;
	const uint32_t hash = topic_hash(fs, s, key);
	struct session_topic **at = topic_at(fs, s, key, hash), *t = *at;

	if (t)
		return t;
	t = malloc(sizeof(*t) + key.len);
	if (!t)
		return NULL;
	*t = (struct session_topic){.session = s, .hash = hash, .key = {(uint8_t *)(t + 1), key.len}};
	memcpy(t + 1, key.p, key.len);
	*at = t;
	fs->bytes += sizeof(*t) + key.len;
	return t;
}

struct session_partition *
fetch_session_want(struct control *ctl, struct fetch_session *s, struct view topic,
	const struct q_fetch_partition *q)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;
	struct session_topic *t = take_topic(ctl, s, topic);
	struct session_partition **at, *sp;

	if (!t)
		return NULL;
	at = partition_at(fs, t, q->partition);
	sp = *at;
	if (!sp) {
		sp = fs->bytes + sizeof(*sp) <= SESSION_BYTES_MAX ? calloc(1, sizeof(*sp)) : NULL;
		if (!sp) {
			drop_topic(ctl, t);
			return NULL;
		}
		*at = sp;
		sp->watch.session = sp;
		sp->topic = t;
		sp->told_end = sp->told_start = -1;
		sp->prev = s->last;
		*(s->last ? &s->last->next : &s->first) = sp;
		s->last = sp;
		s->partitions++;
		t->partitions++;
		fs->bytes += sizeof(*sp);
	}
	sp->q = *q;
	if (!sp->due)
		session_partition_due(sp);
	return sp;
}

void
fetch_session_forget(struct control *ctl, struct fetch_session *s, struct view topic, int32_t partition)
{
	const struct fetch_sessions *fs = &ctl->fetch_sessions;
	struct session_topic *t = *topic_at(fs, s, topic, topic_hash(fs, s, topic));
	struct session_partition *sp = t ? *partition_at(fs, t, partition) : NULL;

	if (sp)
		drop(ctl, sp);
}

/* ---- Sessions ------------------------------------------------------------------------------ */

static void
list_leave(struct fetch_sessions *fs, struct fetch_session *s)
{
	*(s->prev ? &s->prev->next : &fs->first) = s->next;
	*(s->next ? &s->next->prev : &fs->last) = s->prev;
}

static void
list_enter(struct fetch_sessions *fs, struct fetch_session *s)
{
	s->prev = fs->last;
	s->next = NULL;
	*(fs->last ? &fs->last->next : &fs->first) = s;
	fs->last = s;
}

void
fetch_session_touch(struct control *ctl, struct fetch_session *s)
{
	s->used_ns = ctl->now_ns;
	list_leave(&ctl->fetch_sessions, s);
	list_enter(&ctl->fetch_sessions, s);
}

struct fetch_session *
fetch_session_find(const struct control *ctl, int32_t id)
{
	struct fetch_session *s = ctl->fetch_sessions.of_id[(uint32_t)id % SESSION_ID_BUCKETS];

	while (s && s->id != id)
		s = s->chain;
	return s;
}

/* Its parked request ends, in the next turn. */
static void
leave_parked(struct control *ctl, struct fetch_session *s, const char *why)
{
	struct conn *c = s->parked;

	s->parked = NULL;
	if (!c)
		return;
	c->park_data = (void *)(uintptr_t)why;
	fetch_wake(ctl, c);
}

void
fetch_session_overtake(struct control *ctl, struct fetch_session *s)
{
	leave_parked(ctl, s, &fetch_session_overtaken);
}

void
fetch_session_close(struct control *ctl, struct fetch_session *s)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;
	struct fetch_session **at = &fs->of_id[(uint32_t)s->id % SESSION_ID_BUCKETS];

	leave_parked(ctl, s, &fetch_session_gone);
	while (s->first)
		drop(ctl, s->first);
	while (*at != s)
		at = &(*at)->chain;
	*at = s->chain;
	list_leave(fs, s);
	fs->n--;
	fs->bytes -= sizeof(*s);
	counter_set(&ctl->count->fetch_sessions, fs->n);
	free(s);
}

/* Who goes for one of so many partitions: the one not used for long, whatever its size; else the smallest of those
 * that had their two minutes, if it is smaller than what comes. NULL: nobody. */
static struct fetch_session *
victim(const struct control *ctl, uint32_t partitions, int32_t id)
{
	const struct fetch_sessions *fs = &ctl->fetch_sessions;
	struct fetch_session *out = NULL;

	if (fs->first && ctl->now_ns - fs->first->used_ns > SESSION_EVICT_NS)
		return fs->first;
	for (struct fetch_session *s = fs->first; s; s = s->next)
		if (ctl->now_ns - s->created_ns > SESSION_EVICT_NS && (!out || s->partitions < out->partitions ||
			(s->partitions == out->partitions && s->id < out->id)))
			out = s;
	return out && (partitions > out->partitions || (partitions == out->partitions && id > out->id)) ? out : NULL;
}

/* In number and in bytes. One that needs more than all may have makes nobody go. */
static bool
make_room(struct control *ctl, uint32_t partitions, int32_t id)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;
	const uint64_t need = sizeof(struct fetch_session) + partitions * sizeof(struct session_partition);

	while (fs->n >= (uint64_t)ctl->cfg->max_fetch_sessions || fs->bytes + need > SESSION_BYTES_MAX) {
		struct fetch_session *out = need <= SESSION_BYTES_MAX ? victim(ctl, partitions, id) : NULL;

		if (!out)
			return false;
		fetch_session_close(ctl, out);
		counter_add(&ctl->count->fetch_sessions_evicted, 1);
	}
	return true;
}

struct fetch_session *
fetch_session_open(struct control *ctl, int32_t partitions, bool by_id)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;
	struct fetch_session *s;
	int32_t id;

	/* Not to be guessed: who names an id reads with its session. */
	do
		ASSERT(getrandom(&id, sizeof(id), 0) == sizeof(id));
	while ((id &= INT32_MAX) == 0 || fetch_session_find(ctl, id));
	if (!make_room(ctl, (uint32_t)partitions, id))
		return NULL;
	if (!fs->topic) {
		fs->topic = calloc(SESSION_BUCKETS, sizeof(struct session_topic *));
		fs->partition = calloc(SESSION_BUCKETS, sizeof(struct session_partition *));
		ASSERT(fs->topic && fs->partition);
		ASSERT(getrandom(fs->secret, sizeof(fs->secret), 0) == sizeof(fs->secret));
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->id = id;
	s->epoch = 1;
	s->by_id = by_id;
	s->created_ns = s->used_ns = ctl->now_ns;
	s->chain = fs->of_id[(uint32_t)id % SESSION_ID_BUCKETS];
	fs->of_id[(uint32_t)id % SESSION_ID_BUCKETS] = s;
	list_enter(fs, s);
	fs->n++;
	fs->bytes += sizeof(*s);
	counter_set(&ctl->count->fetch_sessions, fs->n);
	return s;
}

void
fetch_sessions_close(struct control *ctl)
{
	struct fetch_sessions *fs = &ctl->fetch_sessions;

	while (fs->first)
		fetch_session_close(ctl, fs->first);
	free(fs->topic);
	free(fs->partition);
	*fs = (struct fetch_sessions){0};
}
