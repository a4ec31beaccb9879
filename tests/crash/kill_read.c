/* SPDX-License-Identifier: MIT
 * kill_read.c - readers that follow a partition through whatever happens to kirad, and write down each
 * unit they see; and the log as it is at the end. Fetch requests of our own: the leader epoch stands in
 * the batch, where a client library does not show it. Thread: its own; the end: main. */
#include "tests/crash/kill_load.h"

#include "dataplane/client/client_kafka.h"
#include "storage/batch.h"
#include "storage/records.h"

#include "base/bits.h"
#include "base/clock.h"

#include <kira/errors.h>
#include <kira/record_batch.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FETCH_BYTES   (256 * 1024)
#define FRAME_MAX     (8 * 1024 * 1024)
#define FETCH_WAIT_MS 100
#define BACK_MS       1000  /* who reads again does so this often, */
#define MARKS         1024  /* from where a unit began, every */
#define MARK_UNITS    16    /* units, so far back */
#define ASK_ROOM      512
#define ANSWER_MS     20000 /* a stopped process goes on after 5 s */

struct follower {
	struct worker *w;
	FILE *out;
	bool final;           /* `found` lines, not `read` */
	int fd;
	int64_t next;         /* offset */
	int64_t start, high;  /* of the latest answer */
	uint64_t back_ns;
	uint64_t goes_back;   /* 0: it does not; else a random state */
	int64_t mark[MARKS];
	uint64_t units;
	int16_t error;
	uint8_t *in;
	/* The batch and the unit being put together. */
	const uint8_t *batch;
	struct unit_id unit;
	int32_t got;          /* records of it; 0: none */
	int64_t at;
	uint64_t hash;
};

/* ---- Units out of batches ----------------------------------------------------------------- */

static void
unit_ends(struct follower *f)
{
	if (f->got == 0)
		return;
	if (f->final)
		fprintf(f->out, "found %u", f->w->part);
	else
		fprintf(f->out, "read %" PRId64 " %" PRId64, load_ms(), f->w->id);
	fprintf(f->out, " %" PRId64 " %" PRId32 " %" PRId32 " %" PRId64 " %" PRId32 " %" PRId32 " %" PRIx64
		"\n", f->at, f->got, rb_leader_epoch(f->batch), f->unit.id, f->unit.epoch, f->unit.sequence,
		f->hash);
	f->got = 0;
	if (f->goes_back && f->units++ % MARK_UNITS == 0)
		f->mark[f->units / MARK_UNITS % MARKS] = f->at;
	atomic_fetch_add(&load.progress->read, 1);
}

static bool
take_record(void *arg, struct record *r)
{
	struct follower *f = arg;

	if (r->offset < f->next)
		return true; /* a batch that began below what was asked for */
	if (f->got == 0) {
		f->at = r->offset;
		f->hash = 0;
		if (!unit_of(r->value.p, r->value.len, &f->unit))
			f->unit = (struct unit_id){-1, -1, -1, 1};
	}
	f->hash = unit_hash(f->hash, r->value.p, r->value.len);
	if (++f->got == f->unit.count)
		unit_ends(f);
	return true;
}

/* False: these are no batches; then the reader says so by a unit that nobody sent. */
static void
take_batches(struct follower *f, const uint8_t *p, uint32_t length)
{
	while (length > 0) {
		f->batch = p;
		if (batch_check(p, length, 0) != 0 || !batch_crc_right(p) ||
			records_each(p, take_record, f) != RECORDS_WHOLE) {
			load_failed(f->w, "what a fetch at %" PRId64 " gave is no batch", f->next);
			return;
		}
		unit_ends(f); /* cut off by the end of its batch: too few */
		f->next = rb_base_offset(p) + rb_count(p);
		length -= (uint32_t)rb_total(p);
		p += rb_total(p);
	}
}

/* ---- Fetch -------------------------------------------------------------------------------- */

static bool
receive(struct follower *f, uint8_t *p, size_t n, uint64_t deadline_ns)
{
	while (n > 0) {
		const ssize_t got = recv(f->fd, p, n, MSG_DONTWAIT);
		const uint64_t now_ns = clock_now_ns();

		if (got > 0) {
			p += got;
			n -= (size_t)got;
		} else if (got == 0 || (errno != EAGAIN && errno != EINTR) || now_ns >= deadline_ns) {
			return false;
		} else {
			(void)poll(&(struct pollfd){f->fd, POLLIN, 0}, 1, 50);
		}
	}
	return true;
}

static void
begin(struct writer *w, uint8_t *bytes, int16_t key, int16_t version)
{
	*w = kw_open(bytes, ASK_ROOM, false);
	kw_i32(w, 0);
	kw_i16(w, key);
	kw_i16(w, version);
	kw_i32(w, 1);
	kw_string(w, "kill_load");
	kw_i32(w, -1);
}

/* Sends it, and waits: the answer lies in f->in, a reader stands behind the partition's number. */
static bool
exchange(struct follower *f, struct writer *w, bool throttle, struct reader *r)
{
	const uint64_t deadline_ns = clock_now_ns() + ANSWER_MS * NS_PER_MS;
	uint8_t size[4];

	put_be32(w->start, (uint32_t)kw_length(w) - 4);
	if (send(f->fd, w->start, kw_length(w), MSG_NOSIGNAL) != (ssize_t)kw_length(w) ||
		!receive(f, size, 4, deadline_ns) || get_be32(size) > FRAME_MAX ||
		!receive(f, f->in, get_be32(size), deadline_ns))
		return false;
	*r = kr_open(f->in, get_be32(size), false);
	(void)kr_i32(r); /* correlation */
	if (throttle)
		(void)kr_i32(r);
	(void)kr_array(r, 1, 1);
	(void)kr_string(r);
	(void)kr_array(r, 1, 1);
	(void)kr_i32(r);
	f->error = kr_i16(r);
	return true;
}

/* ListOffsets: -2 the first, -1 the visible end. -1: no answer. */
static int64_t
list_offset(struct follower *f, int64_t which)
{
	uint8_t bytes[ASK_ROOM];
	struct writer w;
	struct reader r;
	int64_t offset;

	begin(&w, bytes, 2, 1);
	kw_array(&w, 1);
	kw_string(&w, load.topic);
	kw_array(&w, 1);
	kw_i32(&w, (int32_t)f->w->part);
	kw_i64(&w, which);
	if (!exchange(f, &w, false, &r) || f->error)
		return -1;
	(void)kr_i64(&r);
	offset = kr_i64(&r);
	return r.bad ? -1 : offset;
}

/* One answer to a Fetch of version 5, the first that tells where the log begins. False: the connection
 * is over. */
static bool
fetch(struct follower *f)
{
	uint8_t bytes[ASK_ROOM];
	struct view records;
	struct writer w;
	struct reader r;

	begin(&w, bytes, 1, 5);
	kw_i32(&w, FETCH_WAIT_MS);
	kw_i32(&w, 1);
	kw_i32(&w, FETCH_BYTES);
	kw_i8(&w, 0);
	kw_array(&w, 1);
	kw_string(&w, load.topic);
	kw_array(&w, 1);
	kw_i32(&w, (int32_t)f->w->part);
	kw_i64(&w, f->next);
	kw_i64(&w, -1);
	kw_i32(&w, FETCH_BYTES);
	if (!exchange(f, &w, true, &r))
		return false;
	f->high = kr_i64(&r);
	(void)kr_i64(&r);
	f->start = kr_i64(&r);
	(void)kr_array(&r, 1, 1);
	records = kr_bytes(&r);
	if (r.bad) {
		load_failed(f->w, "an answer to a fetch that is none");
		return false;
	}
	if (!f->error)
		take_batches(f, records.p, records.len);
	return true;
}

static bool
connect_to(struct follower *f)
{
	struct err err = {""};
	struct ckafka *k;

	if (ckafka_connect(&k, load.bootstrap, "kill_load", clock_now_ns() + 2 * NS_PER_S, -1, &err) < 0)
		return false;
	f->fd = ckafka_release(k);
	return true;
}

/* At the end of what there is, some of it is read again: files may have been sealed or rewritten. */
static void
go_back(struct follower *f)
{
	if (!f->goes_back || f->next < f->high || clock_now_ns() < f->back_ns + BACK_MS * NS_PER_MS)
		return;
	f->back_ns = clock_now_ns();
	f->goes_back = f->goes_back * 6364136223846793005u + 1442695040888963407u;
	f->next = MAX(f->start, f->mark[(f->goes_back >> 33) % MARKS]);
	fprintf(f->out, "again %" PRId64 " %" PRId64 "\n", f->w->id, f->next);
}

static void
follow(struct follower *f)
{
	int64_t was_start = -1, was_high = -1;

	fprintf(f->out, "from %" PRId64 " %" PRId64 "\n", f->w->id, f->next);
	while (!load.failed && fetch(f)) {
		if (f->error == KIRA_E_OFFSET_OUT_OF_RANGE) {
			/* What it read is gone: go on where the log is. sim_check says whether that may be. */
			f->start = list_offset(f, -2);
			f->high = list_offset(f, -1);
			if (f->start < 0 || f->high < 0)
				return;
			f->next = f->next < f->start ? f->start : f->high;
			fprintf(f->out, "from %" PRId64 " %" PRId64 "\n", f->w->id, f->next);
			continue;
		}
		if (f->error) {
			load_nap(10);
			continue;
		}
		if (f->high != was_high || f->start != was_start)
			fprintf(f->out, "ends %" PRId64 " %" PRId64 " -1 %" PRId64 " -1\n", f->w->id, f->start,
				f->high);
		was_high = f->high;
		was_start = f->start;
		if (load.stop_reading && f->next >= f->high)
			return;
		go_back(f);
		/* Not each unit alone: what comes within a few ms comes together. */
		load_nap(3);
	}
}

void *
read_run(void *worker)
{
	struct follower f = {.w = worker, .in = malloc(FRAME_MAX)};

	if (!f.in)
		abort();
	f.out = f.w->history;
	if (f.w->id >= load.partitions)
		f.goes_back = load.seed | 1;
	fprintf(f.out, "reader %" PRId64 " %u %s\n", f.w->id, f.w->part, load.visible_at_disk ? "disk" : "log");
	while (!load.failed && !(load.stop_reading && f.high > 0 && f.next >= f.high)) {
		if (!connect_to(&f)) {
			load_nap(20);
			continue;
		}
		follow(&f);
		(void)close(f.fd);
	}
	free(f.in);
	return NULL;
}

int
read_final(FILE *out)
{
	struct worker w = {KIND_READER, 0, 0, out};
	struct follower f = {.w = &w, .out = out, .final = true, .in = malloc(FRAME_MAX)};

	if (!f.in)
		abort();
	for (w.part = 0; w.part < load.partitions && !load.failed; w.part++) {
		if (!connect_to(&f)) {
			load_failed(&w, "no connection to %s", load.bootstrap);
			break;
		}
		f.start = list_offset(&f, -2);
		f.high = list_offset(&f, -1);
		if (f.start < 0 || f.high < 0)
			load_failed(&w, "it does not tell its ends");
		fprintf(out, "final %u %" PRId64 " %" PRId64 "\n", w.part, f.start, f.high);
		for (f.next = f.start; f.next < f.high && !load.failed;)
			if (!fetch(&f) || f.error)
				load_failed(&w, "a fetch at %" PRId64 " ends with error %d", f.next, f.error);
		(void)close(f.fd);
	}
	free(f.in);
	return load.failed ? -EIO : 0;
}
