/* SPDX-License-Identifier: MIT
 * conn_send.c - send an answer: bytes from memory and ranges of segment files, in turn.
 * Thread: control. Owns: a reply from conn_send_take() to conn_send_free(), with the pins of its
 * segments. Never: copies record bytes through user space.
 *
 * Why the bytes cannot change under sendfile: bytes below a published end never change in their
 * inode, and map and sendfile share the page cache. Segment files are unlinked or replaced by new
 * inodes, never written again; the pin keeps the descriptor. */
#include "control/conn.h"

#include "base/bits.h"
#include "control/read_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define SEND_TURN_MAX (1024 * 1024) /* per connection and turn: others want their share */

static uint64_t
reply_charge(const struct reply *rp)
{
	return sizeof(*rp) + rp->pieces * sizeof(struct piece) + rp->length;
}

bool
conn_send_take(struct conn *c)
{
	struct control *ctl = c->ctl;
	struct writer *w = &ctl->answer;
	struct reply *rp = NULL;
	uint64_t file_bytes = 0;

	if (!w->full)
		rp = malloc(sizeof(*rp) + ctl->pieces * sizeof(struct piece) + kw_length(w));
	if (!rp) {
		for (uint32_t i = 0; i < ctl->pieces; i++)
			storage_unpin(ctl->piece[i].range.pinned);
		return false;
	}
	*rp = (struct reply){.length = (uint32_t)kw_length(w), .pieces = ctl->pieces};
	memcpy(rp->piece, ctl->piece, ctl->pieces * sizeof(struct piece));
	for (uint32_t i = 0; i < rp->pieces; i++)
		file_bytes += rp->piece[i].range.length;
	put_be32(w->start, (uint32_t)(rp->length - 4 + file_bytes));
	rp->bytes = (uint8_t *)&rp->piece[rp->pieces];
	memcpy(rp->bytes, w->start, rp->length);
	c->reply = rp;
	ctl->memory_used += reply_charge(rp);
	counter_add(&ctl->count->response_bytes, rp->length + file_bytes);
	return true;
}

void
conn_send_free(struct conn *c)
{
	struct reply *rp = c->reply;

	if (!rp)
		return;
	for (uint32_t i = rp->piece_at; i < rp->pieces; i++)
		storage_unpin(rp->piece[i].range.pinned);
	c->ctl->memory_used -= reply_charge(rp);
	free(rp);
	c->reply = NULL;
	c->corked = false;
}

static void
cork(struct conn *c, bool on)
{
	const int v = on;

	if (c->corked == on)
		return;
	(void)setsockopt(c->src.fd, IPPROTO_TCP, TCP_CORK, &v, sizeof(v));
	c->corked = on;
}

/* The next stretch of memory: > 0 sent, 0 nothing is due here, -errno. */
static ssize_t
send_memory(struct conn *c, size_t room)
{
	struct reply *rp = c->reply;
	const uint32_t end = rp->piece_at < rp->pieces ? rp->piece[rp->piece_at].at : rp->length;
	ssize_t n;

	if (rp->sent == end)
		return 0;
	n = send(c->src.fd, rp->bytes + rp->sent, MIN((size_t)(end - rp->sent), room),
		MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 ? -errno : -EAGAIN;
	rp->sent += (uint32_t)n;
	return n;
}

/* May the next bytes of the range be sent without a wait for the disk? Else they are asked for. */
static bool
is_cached(struct conn *c, uint32_t length)
{
	struct reply *rp = c->reply;
	const struct storage_range *range = &rp->piece[rp->piece_at].range;
	struct storage_cold cold = {.position = range->position + rp->piece_sent, .length = length};

	if (rp->piece_sent + length <= rp->piece_cached || c->cold_failed)
		return true;
	rp->piece_cached = rp->piece_sent + length;
	if (read_ahead_cached(range->fd, cold.position, length))
		return true;
	cold.fd = fcntl(range->fd, F_DUPFD_CLOEXEC, 0);
	c->cold_waits = read_ahead_ask(c->ctl, &cold, c);
	return !c->cold_waits;
}

static ssize_t
send_range(struct conn *c, size_t room)
{
	struct reply *rp = c->reply;
	struct piece *piece = &rp->piece[rp->piece_at];
	off_t at = (off_t)(piece->range.position + rp->piece_sent);
	const uint32_t length = (uint32_t)MIN((size_t)(piece->range.length - rp->piece_sent), room);
	ssize_t n;

	if (!is_cached(c, length))
		return -EINPROGRESS;
	n = sendfile(c->src.fd, piece->range.fd, &at, length);
	if (n < 0 && errno != EIO)
		return -errno;
	if (n <= 0) { /* or the file is shorter than what was promised: beyond repair */
		storage_range_failed(c->ctl->storage, piece->range.pinned, -EIO);
		return -EIO;
	}
	counter_add(&c->ctl->count->sendfile_bytes, (uint64_t)n);
	rp->piece_sent += (uint32_t)n;
	if (rp->piece_sent == piece->range.length) {
		storage_unpin(piece->range.pinned);
		rp->piece_at++;
		rp->piece_sent = rp->piece_cached = 0;
	}
	return n;
}

int
conn_send(struct conn *c)
{
	struct reply *rp = c->reply;
	size_t room = SEND_TURN_MAX;
	ssize_t n;

	/* One packet train for heads and ranges; lifted at the end, which pushes the last bytes. */
	if (rp->pieces > 0)
		cork(c, true);
	while (rp->sent < rp->length || rp->piece_at < rp->pieces) {
		if (room == 0)
			return 1;
		n = send_memory(c, room);
		if (n == 0)
			n = send_range(c, room);
		if (n == -EAGAIN)
			return 1;
		if (n == -EINPROGRESS)
			return 2;
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		room -= (size_t)n;
	}
	cork(c, false);
	return 0;
}
