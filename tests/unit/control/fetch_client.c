/* SPDX-License-Identifier: MIT
 * fetch_client.c - Fetch in versions 7 and up, by name or by id. */
#include "tests/unit/control/fetch_client.h"

#include "base/clock.h"

#include <unistd.h>

struct world w;
int fd;
int16_t fetch_version;
int32_t fetch_max_bytes;

static void
kw_name(struct writer *q, const char *name)
{
	const struct topic *t = topics_find(w.ctl, view_text(name));

	if (fetch_version < 13)
		kw_string(q, name);
	for (unsigned i = 0; fetch_version >= 13 && i < UUID_BYTES; i++)
		kw_i8(q, t ? (int8_t)t->id[i] : name[0]);
}

struct writer *
begin(int32_t session, int32_t epoch, int32_t topics)
{
	struct writer *q = world_request(&w, API_FETCH, fetch_version);

	if (fetch_version < 15)
		kw_i32(q, -1);
	kw_i32(q, 500);
	kw_i32(q, 1);
	kw_i32(q, fetch_max_bytes);
	kw_i8(q, 0);
	kw_i32(q, session);
	kw_i32(q, epoch);
	kw_array(q, topics);
	return q;
}

void
want(struct writer *q, const char *topic, int32_t n, int64_t offset)
{
	kw_name(q, topic);
	kw_array(q, n);
	for (int32_t i = 0; i < n; i++) {
		kw_i32(q, i);
		kw_i32(q, -1);
		kw_i64(q, offset);
		kw_i32(q, -1);
		kw_i64(q, -1);
		kw_i32(q, 1 << 20);
		kw_tags(q);
	}
	kw_tags(q);
}

void
forget(struct writer *q, const char *topic, int32_t partition)
{
	kw_array(q, topic ? 1 : 0);
	if (topic) {
		kw_name(q, topic);
		kw_array(q, 1);
		kw_i32(q, partition);
		kw_tags(q);
	}
	kw_string(q, "");
	kw_tags(q);
}

void
unchanged(int32_t session, int32_t epoch)
{
	forget(begin(session, epoch, 0), NULL, 0);
}

void
from(int32_t session, int32_t epoch, int64_t offset)
{
	want(begin(session, epoch, 1), "t", 1, offset);
	forget(&w.w, NULL, 0);
}

struct answer
read_answer(struct reader r)
{
	struct answer a = {0};
	int32_t topics, n;

	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	(void)kr_i32(&r);
	a.error = kr_i16(&r);
	a.session = kr_i32(&r);
	topics = kr_array(&r, 10, 1);
	for (int32_t i = 0; i < topics; i++) {
		const struct view name = fetch_version < 13 ? kr_string(&r) :
			(struct view){kr_take(&r, UUID_BYTES), UUID_BYTES};

		n = kr_array(&r, 10, 1);
		for (int32_t j = 0; j < n; j++) {
			struct told *p = &a.told[a.n++];

			CU_ASSERT_FATAL(a.n <= TOLD);
			(void)snprintf(p->topic, sizeof(p->topic), "%.*s", (int)name.len, (const char *)name.p);
			p->partition = kr_i32(&r);
			p->error = kr_i16(&r);
			p->end = kr_i64(&r);
			(void)kr_i64(&r);
			(void)kr_i64(&r);
			(void)kr_array(&r, 1, 1);
			(void)kr_i32(&r);
			p->bytes = kr_bytes(&r).len;
			kr_tags(&r);
		}
		kr_tags(&r);
	}
	kr_tags(&r);
	CU_ASSERT_FALSE(r.bad);
	return a;
}

struct answer
ask(void)
{
	return read_answer(world_ask(&w, fd));
}

struct answer
woken(int at)
{
	bool closed;

	world_pass(&w, 2 * NS_PER_MS);
	return read_answer(world_answer(&w, at, &closed));
}

void
waits(int at)
{
	bool closed;

	world_pass(&w, 2 * NS_PER_MS);
	CU_ASSERT_PTR_NULL(world_answer(&w, at, &closed).p);
	CU_ASSERT_FALSE(closed);
}

struct topic *
open_world(const char *const *options, int32_t partitions)
{
	fetch_version = 12;
	fetch_max_bytes = 1 << 20;
	world_open(&w, options);
	fd = world_connect(&w);
	return world_topic(&w, "t", partitions);
}

void
close_world(void)
{
	(void)close(fd);
	world_close(&w);
}

int32_t
session(const struct topic *t)
{
	struct answer a;

	fake_put(t->part->part[0], 1, BATCH);
	want(begin(0, 0, 1), "t", t->partitions, 0);
	forget(&w.w, NULL, 0);
	a = ask();
	CU_ASSERT_EQUAL(a.error, 0);
	CU_ASSERT_NOT_EQUAL_FATAL(a.session, 0);
	CU_ASSERT_EQUAL(a.n, t->partitions); /* all of them, empty ones too */
	CU_ASSERT_EQUAL(a.told[0].bytes, BATCH);
	return a.session;
}
