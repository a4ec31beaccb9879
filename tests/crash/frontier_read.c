/* SPDX-License-Identifier: MIT
 * frontier_read.c - the readers. Two follow a tail as close as they can by pread; one gets its ranges by
 * sendfile and takes them from the socket later; one jumps about and keeps ranges, to read them again
 * once their segment was left, sealed, rewritten, deleted. Thread: their own; storage_read() and pins under the lock. */
#include "tests/crash/frontier.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT    24
#define SPIN_NS 200000

/* Where to read from, if not so many offsets before what is acked. */
#define WHERE_IT_IS   (-1)
#define LAST_BATCH    (-2)
#define BEING_SWAPPED (-3)
#define OLDEST        (-4) /* the log's first: rewritten, if anything is */

struct kept {
	struct storage_range r; /* length 0: a free place */
	unsigned topic, generation;
	struct partition *part;
};

struct reader_state {
	unsigned number;
	uint64_t random;
	int64_t next[TOPICS], ends_seen[TOPICS][3];
	unsigned generation[TOPICS];
	struct kept kept[KEPT];
	int out, in; /* of a TCP connection to itself */
	uint8_t bytes[RANGE_BYTES + BATCH_ROOM];
};

/* ---- Asking ------------------------------------------------------------------------------- */

/* Returns the visible one. */
static int64_t
look_at_ends(struct reader_state *rs, unsigned i, struct partition *part, int64_t acked)
{
	struct partition_ends e;
	int64_t *was = rs->ends_seen[i];

	storage_ends(part, &e);
	if (e.end < acked)
		violation("acked up to %" PRId64 ", published up to %" PRId64, acked, e.end);
	if (e.start > e.durable || e.durable > e.visible || e.visible > e.end)
		violation("ends out of order: start %" PRId64 ", durable %" PRId64 ", visible %" PRId64
			", end %" PRId64, e.start, e.durable, e.visible, e.end);
	if (e.visible != (i == TOPIC_DISK ? e.durable : e.end))
		violation("topic %u: visible %" PRId64 ", durable %" PRId64 ", end %" PRId64, i, e.visible,
			e.durable, e.end);
	if (e.start < was[0] || e.durable < was[1] || e.end < was[2])
		violation("an end went back");
	was[0] = e.start;
	was[1] = e.durable;
	was[2] = e.end;
	return e.visible;
}

/* A range, pinned; false: nothing there. */
static bool
ask(struct reader_state *rs, unsigned i, int64_t back, struct kept *ret)
{
	struct topic *topic = &t.topic[i];
	bool some = false;
	int64_t acked, visible, offset;
	int16_t error;

	(void)pthread_mutex_lock(&t.control);
	if (!topic->part)
		goto unlock;
	if (rs->generation[i] != topic->generation) {
		rs->generation[i] = topic->generation;
		rs->next[i] = 0;
		memset(rs->ends_seen[i], 0, sizeof(rs->ends_seen[i]));
	}
	acked = atomic_load_explicit(&topic->acked, memory_order_acquire);
	visible = look_at_ends(rs, i, topic->part, acked);
	offset = back == WHERE_IT_IS ? rs->next[i] : back == LAST_BATCH ? visible - 1 : acked - 1 - back;
	if (back == BEING_SWAPPED)
		offset = t.swapping + (int64_t)dice(&rs->random, 3000);
	if (back == OLDEST)
		offset = rs->ends_seen[i][0];
	offset = CLAMP(offset, (int64_t)0, visible);
	error = storage_read(topic->part, offset, RANGE_BYTES, true, &ret->r);
	if (error == KIRA_E_OFFSET_OUT_OF_RANGE) {
		struct partition_ends e;

		storage_ends(topic->part, &e);
		if (offset >= e.start && offset <= e.end)
			violation("offset %" PRId64 " is said to be out of %" PRId64 " to %" PRId64, offset,
				e.start, e.end);
		rs->next[i] = e.start; /* retention was faster */
	} else if (error != 0) {
		violation("a read at %" PRId64 ": error %d", offset, error);
	} else if (ret->r.length > 0) {
		some = true;
		ret->topic = i;
		ret->generation = topic->generation;
		ret->part = topic->part;
	}
unlock:
	(void)pthread_mutex_unlock(&t.control);
	return some;
}

static void
let_go(struct kept *k)
{
	(void)pthread_mutex_lock(&t.control);
	storage_unpin(k->r.pinned);
	(void)pthread_mutex_unlock(&t.control);
	k->r.length = 0;
}

/* With visibility at disk nothing is shown that is not durable. */
static void
must_be_durable(const struct kept *k, int64_t end)
{
	struct partition_ends e;

	(void)pthread_mutex_lock(&t.control);
	if (k->topic == TOPIC_DISK) {
		storage_ends(k->part, &e);
		if (end > e.durable)
			violation("shown up to %" PRId64 ", durable up to %" PRId64, end, e.durable);
	}
	(void)pthread_mutex_unlock(&t.control);
}

/* ---- Reading ------------------------------------------------------------------------------ */

static int64_t
read_range(struct reader_state *rs, const struct kept *k, const char *how)
{
	const ssize_t n = pread(k->r.fd, rs->bytes, k->r.length, (off_t)k->r.position);

	if (n != (ssize_t)k->r.length)
		violation("%s: %zd of %u bytes at offset %" PRId64 ": %s", how, n, k->r.length,
			k->r.first_offset, n < 0 ? strerror(errno) : "the file is shorter");
	return judge(rs->bytes, k->r.length, k->topic, k->generation, k->r.first_offset, how);
}

/* Of a topic that stays: until there is more, without the lock, so as to be there when it comes. */
static void
spin(const struct reader_state *rs, unsigned i)
{
	const uint64_t end_ns = clock_now_ns() + SPIN_NS;
	struct partition_ends e;

	do
		storage_ends(t.topic[i].part, &e);
	while (e.visible <= rs->next[i] && clock_now_ns() < end_ns);
}

static void
follow(struct reader_state *rs, unsigned i)
{
	struct kept k;

	if (i != TOPIC_GONE)
		spin(rs, i);
	/* The last batch of a run is the one that was there last. */
	if (dice(&rs->random, 2) && ask(rs, i, LAST_BATCH, &k)) {
		(void)read_range(rs, &k, "the last batch");
		let_go(&k);
	}
	if (!ask(rs, i, WHERE_IT_IS, &k))
		return;
	rs->next[i] = read_range(rs, &k, "read at the tail");
	must_be_durable(&k, rs->next[i]);
	let_go(&k);
	happened(READ_AT_TAIL);
}

/* The socket has page-cache pages, no copies, until they are taken: after whatever happened to the file. */
static void
send_and_take(struct reader_state *rs, unsigned i)
{
	struct kept k;
	off_t at;
	size_t left, got = 0;

	if (!ask(rs, i, WHERE_IT_IS, &k))
		return;
	at = (off_t)k.r.position;
	left = k.r.length;
	while (got < k.r.length) {
		ssize_t n;

		while (left > 0 && (n = sendfile(rs->out, k.r.fd, &at, left)) > 0)
			left -= (size_t)n;
		if (dice(&rs->random, 4) == 0)
			(void)poll(NULL, 0, (int)dice(&rs->random, 30));
		while ((n = recv(rs->in, rs->bytes + got, k.r.length - got, MSG_DONTWAIT)) > 0)
			got += (size_t)n;
	}
	rs->next[i] = judge(rs->bytes, k.r.length, i, k.generation, k.r.first_offset, "sent");
	let_go(&k);
	happened(SENT);
}

static void
look_again(struct reader_state *rs, struct kept *k)
{
	bool gone;

	(void)read_range(rs, k, "read again");
	(void)pthread_mutex_lock(&t.control);
	gone = !t.topic[k->topic].part || t.topic[k->topic].generation != k->generation;
	(void)pthread_mutex_unlock(&t.control);
	happened(READ_AGAIN);
	if (gone)
		happened(OVER_DELETE);
	else if (t.topic[k->topic].acked > k->r.first_offset + 20000)
		happened(OVER_ROLL);
	if (dice(&rs->random, gone ? 2 : 6) == 0)
		let_go(k);
}

static void
jump_about(struct reader_state *rs)
{
	const unsigned i = (unsigned)dice(&rs->random, TOPICS);
	struct kept *k = &rs->kept[dice(&rs->random, KEPT)];

	if (t.swapping >= 0) {
		struct kept swapped;

		if (ask(rs, TOPIC_PACKED, BEING_SWAPPED, &swapped)) {
			(void)read_range(rs, &swapped, "read in a swap");
			let_go(&swapped);
		}
		return;
	}
	if (k->r.length > 0)
		look_again(rs, k);
	else if (dice(&rs->random, 4) ? ask(rs, i, (int64_t)dice(&rs->random, dice(&rs->random, 2) ? 4000 : 60000), k) :
		ask(rs, TOPIC_PACKED, OLDEST, k))
		(void)read_range(rs, k, "read to be kept");
	(void)poll(NULL, 0, (int)dice(&rs->random, 3));
}

/* ---- The thread ---------------------------------------------------------------------------- */

static void
connect_to_itself(struct reader_state *rs)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	const int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	rs->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 1) < 0 ||
		getsockname(l, (struct sockaddr *)&a, &n) < 0 ||
		connect(rs->out, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(rs->in = accept4(l, NULL, NULL, SOCK_CLOEXEC)) < 0)
		abort();
	(void)close(l);
	/* sendfile() gives up where the socket is full, not the thread. */
	(void)setsockopt(rs->out, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_usec = 2000},
		sizeof(struct timeval));
}

void *
frontier_reader_run(void *number)
{
	struct reader_state *rs = calloc(1, sizeof(*rs));

	if (!rs)
		abort();
	rs->number = *(unsigned *)number;
	rs->random = t.seed * 131 + rs->number;
	connect_to_itself(rs);
	while (!t.stop) {
		switch (rs->number) {
		case 0:
			follow(rs, TOPIC_LOG);
			break;
		case 1:
			follow(rs, dice(&rs->random, 3) ? TOPIC_DISK : TOPIC_GONE);
			break;
		case 2:
			send_and_take(rs, (unsigned)dice(&rs->random, TOPICS));
			break;
		default:
			jump_about(rs);
		}
	}
	for (unsigned i = 0; i < KEPT; i++)
		if (rs->kept[i].r.length > 0)
			let_go(&rs->kept[i]);
	(void)close(rs->in);
	(void)close(rs->out);
	free(rs);
	return NULL;
}
