/* SPDX-License-Identifier: MIT
 * producer.c - libkira's public calls: options, records into open batches, flush, close.
 * Thread: the application's, any number of them. Owns: open batches, under `lock`.
 * Never: sends, calls back, holds the lock while it waits for anything but a condition. */
#include "dataplane/client/producer_private.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUFFER_MIN     MIB
#define ASK_AGAIN_US   100000

void
kira_producer_options_init(struct kira_producer_options *o)
{
	*o = (struct kira_producer_options){
		.bootstrap = "127.0.0.1:9092",
		.client_id = "libkira",
		.acks = KIRA_ACKS_LOG,
		.linger_us = 1000,
		.buffer_bytes = 64 * MIB,
		.block_ms = 60000,
		.delivery_timeout_ms = 120000,
		.window = KUP_WINDOW_MAX,
	};
}

static int
check_options(const struct kira_producer_options *o, struct err *err)
{
	if (o->acks == KIRA_ACKS_UPLINK) {
		err_set(err, "acks uplink: no uplink to another cluster exists in this version; use "
			     "none, log or disk");
		return -EOPNOTSUPP;
	}
	if (!o->bootstrap || !o->client_id || strlen(o->client_id) > 63 || strlen(o->bootstrap) > 290
			|| (o->udp_address && strlen(o->udp_address) > 120)) {
		err_set(err, "bootstrap or client_id is missing or too long");
		return -EINVAL;
	}
	if ((unsigned)o->acks > KIRA_ACKS_DISK || (unsigned)o->transport > KIRA_TRANSPORT_TCP
			|| (unsigned)o->compression > KIRA_COMPRESSION_LZ4) {
		err_set(err, "acks, transport or compression is none of its values");
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(o->reserved); i++) {
		if (o->reserved[i] != 0) {
			err_set(err, "an option is set that this libkira does not know; "
				     "kira_producer_options_init() first");
			return -EINVAL;
		}
	}
	if ((o->batch_bytes != 0 && (o->batch_bytes < 256 || o->batch_bytes > MIB))
			|| o->linger_us > 10000000 || o->buffer_bytes < BUFFER_MIN
			|| o->delivery_timeout_ms == 0 || o->window < 2 || o->window > KUP_WINDOW_MAX) {
		err_set(err, "batch_bytes 0 or 256..1048576, linger_us 0..10000000, buffer_bytes >= "
			     "1048576, delivery_timeout_ms >= 1, window 2..1024");
		return -EINVAL;
	}
	return 0;
}

/* What we need of a broker, and an identity. */
static int
introduce(struct kira_producer *p, struct err *err)
{
	const uint64_t deadline = clock_now_ns() + CONNECT_MS * NS_PER_MS;
	struct ckafka_producer_id id = {.producer_id = -1, .epoch = -1};
	struct ckafka_versions v;
	struct ckafka *k;
	int rc;

	rc = ckafka_connect(&k, p->bootstrap, p->client_id, deadline, -1, err);
	if (rc < 0) {
		const struct err was = *err;

		err_set(err, "%.400s; is kirad running there?", was.text);
		return rc;
	}
	rc = ckafka_api_versions(k, &v, deadline, err);
	if (rc < 0)
		goto out;
	if (v.error != 0 || v.max[CKAFKA_PRODUCE] < CKAFKA_PRODUCE_VERSION
			|| v.min[CKAFKA_PRODUCE] > CKAFKA_PRODUCE_VERSION
			|| (!p->o.no_idempotence && v.max[CKAFKA_INIT_PRODUCER_ID] < 3)) {
		err_set(err, "%s serves no Produce 7 and InitProducerId 3; Kafka 2.5 or newer has them",
			p->bootstrap);
		rc = -EPROTONOSUPPORT;
		goto out;
	}
	p->producer_id = p->epoch = -1;
	if (p->o.no_idempotence)
		goto out;
	rc = ckafka_init_producer_id(k, &id, deadline, err);
	/* 14..16: a Kafka broker that has just started. */
	while (rc == 0 && id.error >= 14 && id.error <= 16 && clock_now_ns() < deadline - NS_PER_S) {
		(void)usleep(ASK_AGAIN_US);
		id = (struct ckafka_producer_id){.producer_id = -1, .epoch = -1};
		rc = ckafka_init_producer_id(k, &id, deadline, err);
	}
	if (rc == 0 && id.error != 0) {
		err_set(err, "%s gives no producer id: %d %s: %s", p->bootstrap, id.error,
			kira_error_name(id.error), kira_error_meaning(id.error));
		rc = -EACCES;
	}
	p->producer_id = id.producer_id;
	p->epoch = id.epoch;
out:
	ckafka_close(k);
	return rc;
}

static int
start_thread(pthread_t *ret, void *(*run)(void *), struct kira_producer *p)
{
	sigset_t all, was;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	rc = -pthread_create(ret, NULL, run, p);
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
	return rc;
}

void
say_error(const struct err *err, char *error, size_t error_size)
{
	if (error && error_size > 0)
		(void)snprintf(error, error_size, "%s", err->text);
}

static void
copy_options(struct kira_producer *p, const struct kira_producer_options *o)
{
	p->o = *o;
	(void)snprintf(p->bootstrap, sizeof(p->bootstrap), "%s", o->bootstrap);
	(void)snprintf(p->client_id, sizeof(p->client_id), "%s", o->client_id);
	(void)snprintf(p->udp_address, sizeof(p->udp_address), "%s",
		o->udp_address ? o->udp_address : "");
	p->o.bootstrap = p->bootstrap;
	p->o.client_id = p->client_id;
	p->o.udp_address = p->udp_address;
}

static void
init_shared(struct kira_producer *p)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->room, &monotonic);
	(void)pthread_cond_init(&p->job_posted, NULL);
	(void)pthread_condattr_destroy(&monotonic);
	p->transport = "none";
	p->batch_room = KUP_DGRAM_BASE - KUP_DATA_BATCH;
	p->single_max = p->batch_room;
}

int
kira_producer_open(struct kira_producer **ret, const struct kira_producer_options *o, char *error,
	size_t error_size)
{
	struct err err = {""};
	struct kira_producer *p = NULL;
	int rc;

	rc = check_options(o, &err);
	if (rc < 0)
		goto fail;
	p = calloc(1, sizeof(*p));
	if (!p) {
		rc = err_sys(&err, -ENOMEM, "producer");
		goto fail;
	}
	copy_options(p, o);
	init_shared(p);
	rc = introduce(p, &err);
	if (rc < 0)
		goto fail_free;
	p->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->event_fd < 0) {
		rc = err_sys(&err, -errno, "eventfd");
		goto fail_free;
	}
	p->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (p->stop_fd < 0) {
		rc = err_sys(&err, -errno, "eventfd");
		goto fail_close_event;
	}
	rc = start_thread(&p->setup_thread_id, setup_thread, p);
	if (rc < 0) {
		(void)err_sys(&err, rc, "start a thread");
		goto fail_close;
	}
	rc = start_thread(&p->io_thread, io_thread, p);
	if (rc < 0) {
		(void)err_sys(&err, rc, "start a thread");
		goto fail_join;
	}
	*ret = p;
	return 0;
fail_join:
	pthread_mutex_lock(&p->lock);
	p->setup_stopping = true;
	pthread_cond_signal(&p->job_posted);
	pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->setup_thread_id, NULL);
fail_close:
	(void)close(p->stop_fd);
fail_close_event:
	(void)close(p->event_fd);
fail_free:
	free(p);
fail:
	say_error(&err, error, error_size);
	return rc;
}

/* Any thread, lock held. */
void
io_wake(struct kira_producer *p)
{
	const uint64_t one = 1;

	if (p->io_sleeps) {
		p->io_sleeps = false;
		(void)!write(p->event_fd, &one, sizeof(one));
	}
}

/* Lock held. False: the time is over. */
bool
wait_room(struct kira_producer *p, uint64_t deadline_ns)
{
	const struct timespec ts = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S)};

	return pthread_cond_timedwait(&p->room, &p->lock, &ts) != ETIMEDOUT;
}

/* ---- Records ----------------------------------------------------------------------------- */

/* Lock held. An open batch goes to the I/O thread. */
void
batch_close(struct kira_producer *p, struct batch *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		p->open_head = b->next;
	if (b->next)
		b->next->prev = b->prev;
	else
		p->open_tail = b->prev;
	b->next = b->prev = NULL;
	if (p->closed_tail)
		p->closed_tail->next = b;
	else
		p->closed_head = b;
	p->closed_tail = b;
	b->part->open = NULL;
}

/* Lock held. NULL: no memory. */
static struct batch *
new_batch(struct kira_producer *p, uint32_t room)
{
	const uint32_t bytes = MAX(room + KUP_DATA_BATCH, (uint32_t)KUP_FLOOR);
	struct batch *b = p->spare;

	if (b && b->memory_bytes == bytes) {
		p->spare = b->next;
	} else {
		if (b) {
			/* The size changed: those kept are of no use. */
			p->spare = b->next;
			free(b->memory);
			free(b->opaque);
			free(b);
		}
		b = calloc(1, sizeof(*b));
		if (!b)
			return NULL;
		b->memory = malloc(bytes);
		if (!b->memory) {
			free(b);
			return NULL;
		}
		b->memory_bytes = bytes;
	}
	cbatch_open(&b->build, b->memory + KUP_DATA_BATCH, bytes - KUP_DATA_BATCH);
	b->order = p->next_order++;
	b->born_ns = clock_now_ns();
	b->deadline_ns = b->born_ns + p->o.delivery_timeout_ms * NS_PER_MS;
	p->buffered += b->memory_bytes;
	b->untold_prev = p->untold_tail;
	if (p->untold_tail)
		p->untold_tail->untold_next = b;
	else
		p->untold_head = b;
	p->untold_tail = b;
	return b;
}

/* Lock held. The partition's open batch with room for the record's bytes, or -errno. */
static int
make_room(struct kira_producer *p, struct partition *part, uint64_t size)
{
	const uint64_t deadline = clock_now_ns() + p->o.block_ms * NS_PER_MS;
	const bool may_wait = p->o.block_ms > 0 && !pthread_equal(pthread_self(), p->io_thread);
	struct batch *b;
	uint32_t room;

	while (p->buffered > 0
			&& p->buffered + MAX((uint64_t)p->batch_room, size) > p->o.buffer_bytes) {
		io_wake(p);
		if (!may_wait || !wait_room(p, deadline))
			return -EAGAIN;
		if (p->stopping || p->fatal)
			return -EPIPE;
	}
	if (part->open) /* another thread was faster while we waited: use or close that one */
		return 0;
	room = MAX(p->batch_room, (uint32_t)size);
	b = new_batch(p, room);
	if (!b)
		return -ENOMEM;
	b->part = part;
	part->open = b;
	b->prev = p->open_tail;
	b->next = NULL;
	if (p->open_tail)
		p->open_tail->next = b;
	else
		p->open_head = b;
	p->open_tail = b;
	io_wake(p); /* its linger timer starts */
	return 0;
}

/* Lock held. */
static int
add_record(struct kira_producer *p, struct partition *part, const struct kira_record *rec,
	int64_t timestamp_ms)
{
	const uint64_t size = cbatch_one(rec->key ? rec->key_length : 0,
		rec->value ? rec->value_length : 0);

	if (size > p->single_max)
		return -EMSGSIZE;
	for (;;) {
		struct batch *b = part->open;
		int rc;

		if (p->stopping || p->fatal)
			return -EPIPE;
		/* A batch opened for a larger limit than now holds still goes out as it is. */
		if (b && cbatch_add(&b->build, timestamp_ms, rec->key, rec->key_length, rec->value,
				rec->value_length)) {
			if (p->o.on_record) {
				const uint32_t i = (uint32_t)b->build.count - 1;

				if (i == b->opaque_room) {
					const uint32_t n = MAX(64u, 2 * i);
					void **more = realloc(b->opaque, n * sizeof(*more));

					ASSERT(more);
					b->opaque = more;
					b->opaque_room = n;
				}
				b->opaque[i] = rec->opaque;
			}
			return 0;
		}
		if (b) {
			batch_close(p, b);
			io_wake(p);
		}
		rc = make_room(p, part, size);
		if (rc < 0)
			return rc;
	}
}

int
kira_produce(struct kira_topic *t, const struct kira_record *rec)
{
	struct kira_producer *p = t->producer;
	const int64_t when =
		rec->timestamp_ms == KIRA_TIMESTAMP_NOW ? clock_wall_ms() : rec->timestamp_ms;
	int32_t index = rec->partition;
	int rc;

	if (index == KIRA_PARTITION_ANY) {
		if (rec->key)
			index = cbatch_partition(rec->key, rec->key_length, t->partitions);
		else
			index = (int32_t)(atomic_fetch_add_explicit(&t->turn, 1, memory_order_relaxed)
					% (uint32_t)t->partitions);
	}
	if (index < 0 || index >= t->partitions)
		return -ERANGE;
	pthread_mutex_lock(&p->lock);
	rc = add_record(p, &t->part[index], rec, when);
	if (rc == 0)
		p->stats.records++;
	pthread_mutex_unlock(&p->lock);
	return rc;
}

/* ---- Flush, figures, close --------------------------------------------------------------- */

/* Lock held. Batches of a lower order are closed, and awaited until they are told. */
static int
await_told(struct kira_producer *p, uint64_t order, uint64_t deadline_ns)
{
	bool in_time = true;

	while (p->untold_head && p->untold_head->order < order) {
		if (!in_time)
			return -ETIMEDOUT;
		for (; p->open_head && p->open_head->order < order; io_wake(p))
			batch_close(p, p->open_head);
		in_time = wait_room(p, deadline_ns);
	}
	return 0;
}

int
kira_flush(struct kira_producer *p, uint32_t timeout_ms)
{
	const uint64_t deadline = clock_now_ns() + timeout_ms * NS_PER_MS;
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = await_told(p, p->next_order, deadline);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void
kira_producer_stats(struct kira_producer *p, struct kira_producer_stats *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = p->stats;
	ret->buffered_bytes = p->buffered;
	pthread_mutex_unlock(&p->lock);
}

const char *
kira_producer_transport(struct kira_producer *p, char *why, size_t why_size)
{
	const char *name;

	pthread_mutex_lock(&p->lock);
	name = p->transport;
	if (why && why_size > 0)
		(void)snprintf(why, why_size, "%s", p->trouble[0] ? p->trouble : p->why);
	pthread_mutex_unlock(&p->lock);
	return name;
}

int
kira_producer_close(struct kira_producer *p, uint32_t timeout_ms)
{
	const uint64_t by_ns = clock_now_ns() + timeout_ms * NS_PER_MS;
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = await_told(p, UINT64_MAX, by_ns); /* what callbacks produce meanwhile, too */
	p->stopping = true;
	p->stop_by_ns = by_ns;
	io_wake(p);
	pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->io_thread, NULL);
	pthread_mutex_lock(&p->lock);
	p->setup_stopping = true;
	pthread_cond_signal(&p->job_posted);
	pthread_mutex_unlock(&p->lock);
	(void)pthread_join(p->setup_thread_id, NULL);
	while (p->spare) {
		struct batch *b = p->spare;

		p->spare = b->next;
		free(b->memory);
		free(b->opaque);
		free(b);
	}
	for (unsigned i = 0; i < p->topics; i++)
		free(p->topic[i]);
	(void)close(p->event_fd);
	(void)close(p->stop_fd);
	(void)pthread_mutex_destroy(&p->lock);
	(void)pthread_cond_destroy(&p->room);
	(void)pthread_cond_destroy(&p->job_posted);
	free(p);
	return rc;
}
