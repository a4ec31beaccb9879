/* SPDX-License-Identifier: MIT
 * frontier.c - reads at the frontier: 4 threads read and check every byte at the tail, and keep ranges
 * while the file under them is rolled, sealed, rewritten, deleted, while a storage lcore appends and the real flush
 * daemon with its job threads works behind it, on a real directory.
 *
 *	frontier [--seconds N] [--dir DIR] [--seed N] [--mb-per-second N]
 *
 * What storage.h gives to the control thread alone (reads, pins, operations) is done under one lock, by
 * whoever needs it: the lock is that thread. Bytes are read without it, by pread and by sendfile over a
 * TCP connection. Exit 1: a byte was wrong, an acked batch not there, an end went back; or something that
 * was to happen never did. Built with -Db_sanitize=thread it is the test of the words between threads.
 * Threads: storage lcore (frontier_append.c), readers (frontier_read.c), the engine's own; control: main. */
#include "tests/crash/frontier.h"

#include "storage/batch.h"
#include "storage/inspect.h"
#include "storage/io.h"
#include "tests/unit/storage/make_batch.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/uuid.h"

#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define SEGMENT_BYTES   (1024 * 1024)
#define RETENTION_BYTES (6 * 1024 * 1024)
#define PACKED_BYTES    (24 * 1024 * 1024) /* retention leaves time to rewrite */
#define GONE_MS         700 /* life of the topic that is deleted again and again */

struct frontier_test t = {.control = PTHREAD_MUTEX_INITIALIZER, .seed = 1, .swapping = -1};
uint64_t append_bytes_per_s = 16 * MIB;
static struct storage_counters count;
static char dir[300];
static const char *const topic_name[TOPICS] = {"log", "disk", "gone", "packed"};
static const char *const event_name[EVENTS] = {"runs appended", "acks at disk", "ranges read at the tail",
	"kept ranges read again", "ranges sent", "ranges kept over a roll", "ranges kept over a deletion",
	"batches that waited for room", "rolls by order", "segments sealed", "segments that retention took",
	"topics deleted", "segments rewritten", "rewritten batches read"};

uint64_t
mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

uint64_t
dice(uint64_t *state, uint64_t below)
{
	*state += 0x9e3779b97f4a7c15u;
	return mix(*state) % below;
}

void
happened(enum event e)
{
	atomic_fetch_add_explicit(&t.event[e], 1, memory_order_relaxed);
}

static int
remove_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void
violation(const char *fmt, ...)
{
	static _Atomic bool told;
	va_list ap;

	if (atomic_exchange(&told, true))
		for (;;)
			(void)pause();
	printf("FAILED  ");
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf(" (--seed %" PRIu64 ")\n", t.seed);
	(void)fflush(stdout);
	(void)nftw(dir, remove_path, 16, FTW_DEPTH | FTW_PHYS);
	_exit(1);
}

/* ---- What must be there ------------------------------------------------------------------- */

uint32_t
expected_batch(uint8_t *to, unsigned topic, unsigned generation, int64_t offset)
{
	const uint64_t r = mix(t.seed * 7919 + topic * 104729 + generation * 1299709 + (uint64_t)offset);

	/* Mostly small ones; one in 200 fills pages. */
	const struct batch_of o = {.count = 1 + (int32_t)(r % 5),
		.value = r % 200 == 0 ? 20000 : 20 + (uint32_t)(r >> 40) % 100,
		.seed = r};
	uint8_t *p = to + RB_HEADER;

	if (topic != TOPIC_PACKED)
		return make_batch(to, o);
	put_batch_header(to, &o);
	for (int32_t i = 0; i < o.count; i++) {
		p = put_record(p, 0, i, o.value, r + (uint64_t)i);
		memset(p - 1 - o.value / 2, 'x', o.value / 2); /* something to save */
	}
	return seal_batch(to, (uint32_t)(p - to));
}

/* ---- Records of a packed topic ------------------------------------------------------------ */

/* Both sides go record by record: of what was read, and of the batches as they were appended. */
struct both {
	unsigned topic, generation;
	int64_t offset;                /* next */
	unsigned wanted, at;
	struct { const uint8_t *p; uint32_t n; } want[8];
	const char *how;
	uint8_t batch[BATCH_ROOM];
};

static bool
want_record(void *arg, struct record *r)
{
	struct both *b = arg;

	b->want[b->wanted].p = r->value.p;
	b->want[b->wanted++].n = r->value.len;
	return true;
}

static bool
same_record(void *arg, struct record *r)
{
	struct both *b = arg;

	if (b->at == b->wanted) {
		b->wanted = b->at = 0;
		(void)expected_batch(b->batch, b->topic, b->generation, b->offset);
		(void)records_each(b->batch, want_record, b);
	}
	if (r->offset != b->offset || r->value.len != b->want[b->at].n ||
		memcmp(r->value.p, b->want[b->at].p, r->value.len) != 0)
		violation("%s, %s: another record at offset %" PRId64 ": says %" PRId64, topic_name[b->topic],
			b->how, b->offset, r->offset);
	b->at++;
	b->offset++;
	return true;
}

static int64_t
judge_records(const uint8_t *bytes, uint32_t length, unsigned topic, unsigned generation, int64_t offset,
	const char *how)
{
	static _Thread_local struct both b;

	b.topic = topic;
	b.generation = generation;
	b.how = how;
	b.offset = offset;
	b.wanted = b.at = 0;
	for (uint32_t at = 0; at < length; at += (uint32_t)rb_total(bytes + at)) {
		if (batch_check(bytes + at, length - at, 0) != 0 || !batch_crc_right(bytes + at) ||
			rb_base_offset(bytes + at) != b.offset || rb_leader_epoch(bytes + at) != 0 ||
			records_each(bytes + at, same_record, &b) != RECORDS_WHOLE || b.at != b.wanted)
			violation("%s, %s: no whole batch at offset %" PRId64, topic_name[topic], how, b.offset);
		if ((rb_attributes(bytes + at) & RB_CODEC_MASK) == RB_CODEC_LZ4)
			happened(READ_PACKED);
		atomic_fetch_add_explicit(&t.batches, 1, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&t.bytes, length, memory_order_relaxed);
	return b.offset;
}

int64_t
judge(const uint8_t *bytes, uint32_t length, unsigned topic, unsigned generation, int64_t offset,
	const char *how)
{
	static _Thread_local uint8_t want[BATCH_ROOM];

	if (topic == TOPIC_PACKED)
		return judge_records(bytes, length, topic, generation, offset, how);
	for (uint32_t at = 0; at < length;) {
		const uint32_t n = expected_batch(want, topic, generation, offset);

		if (length - at < n || rb_base_offset(bytes + at) != offset ||
			rb_leader_epoch(bytes + at) != 0 ||
			memcmp(bytes + at + RB_LENGTH, want + RB_LENGTH, RB_LEADER_EPOCH - RB_LENGTH) != 0 ||
			memcmp(bytes + at + RB_MAGIC, want + RB_MAGIC, n - RB_MAGIC) != 0)
			violation("%s, %s: wrong bytes at offset %" PRId64 ": says offset %" PRId64
				", epoch %" PRId32, topic_name[topic], how, offset,
				length - at < RB_HEADER ? -1 : rb_base_offset(bytes + at),
				length - at < RB_HEADER ? -1 : rb_leader_epoch(bytes + at));
		offset += rb_count(want);
		at += n;
		atomic_fetch_add_explicit(&t.batches, 1, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&t.bytes, length, memory_order_relaxed);
	return offset;
}

/* ---- Control ------------------------------------------------------------------------------ */

/* One turn: what the engine hands to control is taken. */
static struct storage_op *
turn(void)
{
	struct storage_op *done;

	(void)pthread_mutex_lock(&t.control);
	done = storage_reap(t.s);
	(void)pthread_mutex_unlock(&t.control);
	return done;
}

static void
run_op(struct storage_op *op)
{
	(void)pthread_mutex_lock(&t.control);
	storage_submit(t.s, op);
	(void)pthread_mutex_unlock(&t.control);
	storage_wake_flush(t.s);
	while (turn() != op)
		(void)poll(NULL, 0, 1);
	if (op->rc < 0)
		violation("an operation failed: %s", op->err.text);
}

static void
put_catalogue(char text[400], unsigned with, unsigned without)
{
	static unsigned version;
	size_t n = (size_t)snprintf(text, 400, "version %u\n", ++version);

	for (unsigned i = 0; i < TOPICS; i++) {
		uint8_t id[16] = {(uint8_t)i, (uint8_t)t.topic[i].generation, 1};
		char word[23];

		if (i == without || (i != with && !t.topic[i].part))
			continue;
		uuid_put(word, id);
		n += (size_t)snprintf(text + n, 400 - n, "t %s %s 1\n", topic_name[i], word);
	}
}

static void
create(unsigned i)
{
	char text[400];
	struct partition *part = NULL;
	struct storage_op op = {
		.kind = OP_CREATE_TOPIC,
		.topic = {.id = {(uint8_t)i, (uint8_t)t.topic[i].generation, 1}, .partitions = 1},
		.config = {.segment_bytes = SEGMENT_BYTES,
			.segment_ms = INT64_MAX,
			.retention_bytes = i == TOPIC_PACKED ? PACKED_BYTES : RETENTION_BYTES,
			.retention_ms = -1,
			.max_message_bytes = BATCH_BYTES_MAX,
			.timestamp_before_max_ms = INT64_MAX,
			.timestamp_after_max_ms = INT64_MAX,
			.flush_ms = 20,
			.flush_messages = INT64_MAX,
			.visible_at_disk = i == TOPIC_DISK,
			.rewrite_lz4 = i == TOPIC_PACKED},
		.part = &part,
		.catalogue = text,
	};

	(void)snprintf(op.topic.name, sizeof(op.topic.name), "%s", topic_name[i]);
	put_catalogue(text, i, TOPICS);
	run_op(&op);
	atomic_store(&t.topic[i].acked, 0);
	(void)pthread_mutex_lock(&t.control);
	t.topic[i].part = part;
	(void)pthread_mutex_unlock(&t.control);
	atomic_store(&t.topic[i].for_lcore, part);
}

static void
delete(unsigned i)
{
	struct topic *topic = &t.topic[i];
	struct partition *part = topic->part;
	char text[400];
	struct storage_op op = {.kind = OP_DELETE_TOPIC,
		.topic = {.id = {(uint8_t)i, (uint8_t)topic->generation, 1}, .partitions = 1},
		.part = &part,
		.catalogue = text};

	(void)snprintf(op.topic.name, sizeof(op.topic.name), "%s", topic_name[i]);
	/* Readers keep the ranges they have; nobody asks for another. */
	(void)pthread_mutex_lock(&t.control);
	topic->part = NULL;
	(void)pthread_mutex_unlock(&t.control);
	atomic_store(&topic->for_lcore, NULL);
	while (atomic_load(&topic->lcore_has))
		(void)poll(NULL, 0, 1);
	put_catalogue(text, TOPICS, i);
	run_op(&op);
	(void)pthread_mutex_lock(&t.control);
	topic->generation++;
	(void)pthread_mutex_unlock(&t.control);
	happened(DELETED);
}

static bool
all_happened(void)
{
	bool all = true;

	t.event[SEALED] = counter_read(&count.segments_sealed);
	t.event[RETAINED] = counter_read(&count.segments_deleted);
	t.event[SWAPPED] = counter_read(&count.rewrite_segments);
	for (unsigned i = 0; i < EVENTS; i++)
		all &= t.event[i] > 0;
	return all;
}

/* On a busy machine until everything has happened, five times as long at most. */
static void
play(uint64_t seconds)
{
	const uint64_t begun_ns = clock_now_ns(), end_ns = begun_ns + seconds * NS_PER_S;
	uint64_t made_ns = begun_ns;

	while (clock_now_ns() < end_ns ||
		(!all_happened() && clock_now_ns() < begun_ns + 5 * seconds * NS_PER_S)) {
		if (clock_now_ns() - made_ns > GONE_MS * NS_PER_MS) {
			if (t.topic[TOPIC_GONE].part)
				delete(TOPIC_GONE);
			else
				create(TOPIC_GONE);
			made_ns = clock_now_ns();
		}
		(void)turn();
		(void)poll(NULL, 0, 1);
	}
}

/* ---- The whole ----------------------------------------------------------------------------- */

/* The rewriting thread would wait for an idle machine. */
static int
not_idle(void)
{
	return 0;
}

/* Names are changed slowly, so that readers come between. */
static int
rename_slowly(int at, const char *from, const char *to)
{
	const int rc = io_posix.renameat(at, from, to);

	if (strstr(from, ".swap")) {
		t.swapping = strtoll(from, NULL, 10);
		(void)poll(NULL, 0, 4);
		t.swapping = -1;
	}
	return rc;
}

static void
open_storage(const char *base)
{
	static struct io io;
	struct storage_options o = {.dir = dir,
		.io = &io,
		.volatile_ok = true,
		.store_lcores = 1,
		.partitions_max = 8,
		.job_threads = 4,
		.flush_ms = 20,
		.rewrite_after_ms = 50,
		.disk_cap = 0.99,
		.count = &count};
	struct err err = {""};

	io = io_posix;
	io.be_idle = not_idle;
	io.renameat = rename_slowly;
	(void)snprintf(dir, sizeof(dir), "%s/kira-frontier-XXXXXX", base);
	if (!mkdtemp(dir)) {
		perror(dir);
		exit(2);
	}
	if (storage_open(&t.s, &o, clock_wall_ms(), &err) < 0 || storage_start(t.s, -1, &err) < 0)
		violation("%s", err.text);
}

static void
damage(void *arg, const struct inspect_finding *f)
{
	if (f->level == INSPECT_DAMAGE)
		violation("%s: position %" PRId64 ": %s", f->file, f->position, f->what);
}

static int
tell(uint64_t seconds)
{
	unsigned never = 0;

	(void)all_happened();
	for (unsigned i = 0; i < EVENTS; i++) {
		printf("%10" PRIu64 " %s\n", t.event[i], event_name[i]);
		never += t.event[i] == 0;
	}
	if (never > 0)
		printf("FAILED  %u kinds of event never happened\n", never);
	printf("result: %" PRIu64 " s, %" PRIu64 " batches and %" PRIu64 " MiB read at the frontier and again, %"
		PRIu64 " segments sealed, %" PRIu64 " rewritten, %" PRIu64 " topics deleted, 0 wrong bytes\n", seconds, t.batches,
		t.bytes / MIB, t.event[SEALED], t.event[SWAPPED], t.event[DELETED]);
	return never > 0;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"seconds", 1, NULL, 's'}, {"dir", 1, NULL, 'd'},
		{"seed", 1, NULL, 'e'}, {"mb-per-second", 1, NULL, 'r'}, {0}};
	pthread_t append, reader[READERS];
	unsigned number[READERS];
	struct inspect in = {.found = damage, .producer_max = -1};
	const char *base = "/var/tmp";
	struct err err = {""};
	uint64_t seconds = 10;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		if (c == 'd')
			base = optarg;
		else
			*(c == 's' ? &seconds : c == 'e' ? &t.seed : &append_bytes_per_s) =
				strtoull(optarg, NULL, 10) * (c == 'r' ? MIB : 1);
	}
	open_storage(base);
	create(TOPIC_LOG);
	create(TOPIC_DISK);
	create(TOPIC_PACKED);
	if (pthread_create(&append, NULL, append_run, NULL) != 0)
		abort();
	for (unsigned i = 0; i < READERS; i++) {
		number[i] = i;
		if (pthread_create(&reader[i], NULL, frontier_reader_run, &number[i]) != 0)
			abort();
	}
	play(seconds);
	t.stop = true;
	(void)pthread_join(append, NULL);
	for (unsigned i = 0; i < READERS; i++)
		(void)pthread_join(reader[i], NULL);
	if (storage_close(t.s, clock_wall_ms(), &err) < 0 || inspect_directory(&in, dir, &err) < 0)
		violation("%s", err.text);
	(void)nftw(dir, remove_path, 16, FTW_DEPTH | FTW_PHYS);
	return tell(seconds);
}
