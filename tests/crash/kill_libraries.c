/* SPDX-License-Identifier: MIT
 * kill_libraries.c - producers by libkira and by librdkafka: what they do about a lost broker is their
 * own affair. A unit is one record.
 * Threads: its own, which sends; the library's, which tells what became of a record. stdio locks the
 * history file, a line at a time, and a record is written down before the library has it. */
#include "tests/crash/kill_load.h"

#include "base/clock.h"

#include <kira/producer.h>

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>

#define FLYING_MAX 1000
#define OUTCOME_MS 300000 /* kirads that live for a second each, on a busy machine, are slow to answer */

struct library {
	struct worker *w;
	bool disk;
	struct kira_producer *kira;
	_Atomic unsigned flying;
};

static struct unit_id
unit_at(const struct library *l, int64_t sequence)
{
	return (struct unit_id){l->w->id, 0, (int32_t)sequence, 1};
}

/* `opaque`: the sequence + 1. */
static void
outcome(struct library *l, void *opaque, int error, int64_t offset)
{
	const struct unit_id u = unit_at(l, (int64_t)(uintptr_t)opaque - 1);

	if (error == 0)
		unit_acked(l->w, &u, l->disk, offset);
	else
		load_failed(l->w, "record %" PRId32 " failed with %d", u.sequence, error);
	l->flying--;
}

/* The next value; false: not now. */
static bool
next_value(struct library *l, int64_t sequence, uint8_t value[UNIT_VALUE_MAX], uint32_t *length)
{
	const struct unit_id u = unit_at(l, sequence);

	if (l->flying >= FLYING_MAX)
		return false;
	*length = unit_value(&u, 0, value);
	unit_sent(l->w, &u, unit_hash(0, value, *length));
	l->flying++;
	return true;
}

static void
begin(struct library *l)
{
	fprintf(l->w->history, "producer %" PRId64 " exactly\n", l->w->id);
}

/* ---- libkira ------------------------------------------------------------------------------ */

static void
on_record(void *arg, void *opaque, int16_t error, int64_t offset)
{
	struct library *l = arg;
	char why[256] = "";

	/* What kept it from moving, before the run ends over it. */
	if (error && l->kira)
		fprintf(stderr, "kill_load: libkira, by %s: %s\n",
			kira_producer_transport(l->kira, why, sizeof(why)), why);
	outcome(arg, opaque, error, offset);
}

static void
kira_loop(struct library *l, struct kira_topic *t)
{
	uint8_t value[UNIT_VALUE_MAX];
	uint32_t length;
	int64_t n = 0;
	int rc;

	while (!load.stop && !load.failed) {
		if (next_value(l, n, value, &length)) {
			rc = kira_produce(t, &(struct kira_record){.value = value,
						     .value_length = length,
						     .partition = (int32_t)l->w->part,
						     .timestamp_ms = KIRA_TIMESTAMP_NOW,
						     .opaque = (void *)(uintptr_t)++n});
			if (rc < 0)
				load_failed(l->w, "kira_produce: %s", strerror(-rc));
		}
		if (n % 8 == 0 || l->flying >= FLYING_MAX)
			load_nap(1 + (int)(load.pace_us / 1000));
	}
}

void *
kira_run(void *worker)
{
	struct library l = {.w = worker};
	struct kira_producer_options o;
	struct kira_producer *p;
	struct kira_topic *t;
	char error[512], why[256] = "";

	begin(&l);
	kira_producer_options_init(&o);
	o.bootstrap = load.bootstrap;
	o.udp_address = load.udp_address;
	o.transport = load.udp_address ? KIRA_TRANSPORT_UDP : KIRA_TRANSPORT_TCP;
	/* Over TCP acks=all is what the topic makes of it. */
	o.acks = l.w->id % 2 ? KIRA_ACKS_DISK : KIRA_ACKS_LOG;
	l.disk = o.acks == KIRA_ACKS_DISK && (load.all_is_disk || load.udp_address);
	o.delivery_timeout_ms = OUTCOME_MS;
	o.on_record = on_record;
	o.arg = &l;
	if (kira_producer_open(&p, &o, error, sizeof(error)) < 0) {
		load_failed(l.w, "%s", error);
		return NULL;
	}
	l.kira = p;
	if (kira_topic_open(p, load.topic, false, &t, error, sizeof(error)) < 0)
		load_failed(l.w, "%s", error);
	else
		kira_loop(&l, t);
	fprintf(l.w->history, "# by %s %s\n", kira_producer_transport(p, why, sizeof(why)), why);
	if (kira_producer_close(p, 60000) < 0 && !load.failed)
		load_failed(l.w, "kira_producer_close: %u records without an outcome", l.flying);
	return NULL;
}

/* ---- librdkafka --------------------------------------------------------------------------- */

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	outcome(arg, m->_private, m->err, m->offset);
}

static rd_kafka_t *
rdkafka_open(struct library *l)
{
	static const char *const pair[][2] = {{"enable.idempotence", "true"}, {"linger.ms", "2"},
		{"message.timeout.ms", "300000"}, {"reconnect.backoff.max.ms", "200"},
		{"socket.timeout.ms", "20000"}, {"log_level", "0"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[512];
	rd_kafka_t *rk;

	(void)rd_kafka_conf_set(conf, "bootstrap.servers", load.bootstrap, text, sizeof(text));
	for (unsigned i = 0; i < sizeof(pair) / sizeof(pair[0]); i++)
		if (rd_kafka_conf_set(conf, pair[i][0], pair[i][1], text, sizeof(text)) != 0)
			load_failed(l->w, "%s", text);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_opaque(conf, l);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!rk)
		load_failed(l->w, "%s", text);
	return rk;
}

void *
rdkafka_run(void *worker)
{
	struct library l = {.w = worker, .disk = load.all_is_disk};
	rd_kafka_t *rk = rdkafka_open(&l);
	uint8_t value[UNIT_VALUE_MAX];
	uint32_t length;
	int64_t n = 0;

	if (!rk)
		return NULL;
	begin(&l);
	while (!load.stop && !load.failed) {
		if (next_value(&l, n, value, &length)) {
			const rd_kafka_resp_err_t rc = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(load.topic),
				RD_KAFKA_V_PARTITION((int32_t)l.w->part),
				RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(value, length),
				RD_KAFKA_V_OPAQUE((void *)(uintptr_t)++n), RD_KAFKA_V_END);

			if (rc != 0)
				load_failed(l.w, "rd_kafka_producev: %s", rd_kafka_err2str(rc));
		}
		if (n % 8 == 0 || l.flying >= FLYING_MAX)
			(void)rd_kafka_poll(rk, 1 + (int)(load.pace_us / 1000));
	}
	for (const uint64_t end_ns = clock_now_ns() + 60 * NS_PER_S;
		l.flying > 0 && clock_now_ns() < end_ns && !load.failed;)
		(void)rd_kafka_poll(rk, 50);
	if (l.flying > 0 && !load.failed)
		load_failed(l.w, "%u records without an outcome", l.flying);
	if (load.failed)
		(void)rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_destroy(rk);
	return NULL;
}
