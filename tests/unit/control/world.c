/* SPDX-License-Identifier: MIT
 * world.c - control between fakes; see world.h. The sockets are real, on loopback: their buffers,
 * partial sends and closes are what the connections are about. */
#include "tests/unit/control/world.h"

#include "base/assert.h"
#include "base/bits.h"
#include "control/groups/group_serve.h"
#include "control/groups/group_topic.h"
#include "control/log.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world *the_world;

static uint64_t
world_clock(void)
{
	return the_world->now_ns;
}

void
world_open(struct world *w, const char *const *options)
{
	char *argv[32] = {(char *)(uintptr_t)"kirad", (char *)(uintptr_t)"--listen",
		(char *)(uintptr_t)"127.0.0.1:0"};
	struct err err = {""};
	int argc = 3;

	for (; options && *options; options++)
		argv[argc++] = (char *)(uintptr_t)*options;
	fake_reset();
	lcores_reset();
	*w = (struct world){.now_ns = WORLD_START_NS};
	the_world = w;
	log_set_level(LOG_LEVEL_ERROR);
	CU_ASSERT_EQUAL_FATAL(config_read(&w->cfg, argc, argv, &err), CONFIG_OK);
	w->ctl = control_make(&w->cfg);
	w->ctl->count = &w->count;
	w->ctl->storage_count = &w->storage_count;
	w->ctl->storage = &fake;
	w->ctl->dp = &lcores;
	w->ctl->now_ns = w->now_ns;
	CU_ASSERT_EQUAL_FATAL(topics_defaults(w->ctl, &err), 0);
	CU_ASSERT_EQUAL_FATAL(grants_open(w->ctl, &err), 0);
	CU_ASSERT_EQUAL_FATAL(loop_open(&w->ctl->loop, &err), 0);
	group_serve_open(w->ctl);
	w->ctl->groups.limits.initial_delay_ns = 0;
	w->ctl->group_log = group_log_open(w->ctl, &w->ctl->groups, w->now_ns);
	CU_ASSERT_EQUAL_FATAL(listeners_open(w->ctl, &err), 0);
	CU_ASSERT_EQUAL_FATAL(listeners_start(w->ctl, &err), 0);
}

void
world_close(struct world *w)
{
	w->lazy = false;
	fake.hold_ops = fake.full = false;
	lcores.room = ARRAY_LENGTH(lcores.queue);
	listeners_close(w->ctl);
	while (w->ctl->conns)
		conn_close(w->ctl->conns);
	world_run(w);
	CU_ASSERT_EQUAL(fake.pinned, 0);
	CU_ASSERT_EQUAL(w->ctl->memory_used, 0);
	topics_close(w->ctl);
	group_log_close(w->ctl->group_log);
	groups_close(&w->ctl->groups);
	grants_close(w->ctl);
	loop_close(&w->ctl->loop);
	control_free(w->ctl);
	config_free(&w->cfg);
	fake_reset();
}

unsigned
world_turn(struct world *w)
{
	unsigned work = control_turn(w->ctl, w->now_ns);

	work += loop_poll(&w->ctl->loop, 0, world_clock);
	if (!w->lazy) {
		work += lcores_store_turn();
		work += lcores_rx_turn();
	}
	return work;
}

void
world_run(struct world *w)
{
	/* Bounded: a world that never comes to rest is a bug of its own. */
	for (unsigned i = 0; i < 10000; i++)
		if (world_turn(w) == 0)
			return;
	CU_FAIL_FATAL("control does not come to rest");
}

void
world_pass(struct world *w, uint64_t ns)
{
	w->now_ns += ns;
	world_run(w);
}

int
world_connect(struct world *w)
{
	struct sockaddr_in at;
	socklen_t length = sizeof(at);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ASSERT(fd >= 0);
	ASSERT(getsockname(w->ctl->listeners.one[0].src.fd, (struct sockaddr *)&at, &length) == 0);
	ASSERT(connect(fd, (struct sockaddr *)&at, length) == 0);
	world_run(w);
	return fd;
}

void
world_reset(struct world *w, int fd)
{
	const struct linger linger = {.l_onoff = 1};

	ASSERT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	(void)close(fd);
	world_run(w);
}

struct writer *
world_request(struct world *w, enum api_key key, int16_t version)
{
	const struct api *api = api_find((int16_t)key);

	w->w = kw_open(w->request, sizeof(w->request), false);
	kw_i32(&w->w, 0);
	kw_i16(&w->w, (int16_t)key);
	kw_i16(&w->w, version);
	kw_i32(&w->w, 42);
	kw_string(&w->w, "test");
	w->w.flexible = version >= api->flexible;
	kw_tags(&w->w);
	return &w->w;
}

void
world_put(struct world *w, int fd)
{
	const size_t n = kw_length(&w->w);

	ASSERT(!w->w.full);
	put_be32(w->request, (uint32_t)n - 4);
	ASSERT(send(fd, w->request, n, MSG_NOSIGNAL) == (ssize_t)n);
}

void
world_send(struct world *w, int fd)
{
	world_put(w, fd);
	world_run(w);
}

/* All of `n`, running the world while the bytes come; what did come. */
static size_t
take(struct world *w, int fd, uint8_t *to, size_t n, bool *closed)
{
	size_t have = 0;

	*closed = false;
	while (have < n) {
		const ssize_t got = recv(fd, to + have, n - have, MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno == ECONNRESET)) {
			*closed = true;
			break;
		}
		if (got > 0) {
			have += (size_t)got;
			world_run(w);
		} else if (have == 0) {
			break;
		}
	}
	return have;
}

struct reader
world_answer(struct world *w, int fd, bool *closed)
{
	const struct api *api = api_find((int16_t)get_be16(w->request + 4));
	struct reader r = {0};
	size_t n;

	if (take(w, fd, w->answer, 4, closed) < 4)
		return r;
	n = get_be32(w->answer);
	CU_ASSERT_FATAL(n >= 4 && n <= sizeof(w->answer));
	CU_ASSERT_EQUAL_FATAL(take(w, fd, w->answer, n, closed), n);
	r = kr_open(w->answer, (uint32_t)n, w->w.flexible);
	CU_ASSERT_EQUAL(kr_i32(&r), 42);
	if (api->key != API_API_VERSIONS)
		kr_tags(&r);
	return r;
}

struct reader
world_ask(struct world *w, int fd)
{
	struct reader r;
	bool closed;

	world_send(w, fd);
	r = world_answer(w, fd, &closed);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.p);
	return r;
}

struct topic *
world_topic(struct world *w, const char *name, int32_t partitions)
{
	const struct topic_spec spec = {.name = {(const uint8_t *)name, (uint32_t)strlen(name)},
		.partitions = partitions};
	struct topic *t = NULL;
	struct err err;

	CU_ASSERT_EQUAL_FATAL(topics_create(w->ctl, &spec, &t, &err), 0);
	world_run(w);
	CU_ASSERT_EQUAL(t->state, TOPIC_LIVE);
	return t;
}
