/* SPDX-License-Identifier: MIT
 * rdkafka_client.c - librdkafka's C interface against kirad, one step per run; rdkafka.py starts it.
 *
 * rdkafka_client BOOTSTRAP produce TOPIC CODEC N   N records in order over 3 partitions, told every 1,000; CODEC may be
 *                                                  `idempotent`: then 50 a millisecond at most, so that kirad can be killed
 * rdkafka_client BOOTSTRAP read TOPIC N            each of them once, in order, keys and headers as sent
 * rdkafka_client BOOTSTRAP member GROUP TOPIC MS   a consumer with sessions of MS that prints what it gets, and closes on SIGTERM
 * rdkafka_client BOOTSTRAP STEP                    times, commits, transactions; rdkafka_admin.c */
#include "tests/compat/rdkafka_client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARTITIONS 3

static const char *bootstrap;
static unsigned delivered, failed;
static sig_atomic_t stop;

void
check(bool holds, const char *format, ...)
{
	va_list ap;

	if (holds)
		return;
	va_start(ap, format);
	(void)vfprintf(stderr, format, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

void
check_error(const rd_kafka_error_t *e, const char *what)
{
	check(!e, "%s: %s", what, e ? rd_kafka_error_string(e) : "");
}

static void
tell_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	(void)rk;
	(void)arg;
	if (m->err)
		failed++;
	else if (++delivered % 1000 == 0)
		printf("delivered %u\n", delivered);
}

rd_kafka_t *
client_open(rd_kafka_type_t type, const char *const *setting)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[512];
	rd_kafka_t *rk;

	check(!rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof(text)), "%s", text);
	check(!rd_kafka_conf_set(conf, "log_level", "2", text, sizeof(text)), "%s", text);
	for (; *setting; setting += 2)
		check(!rd_kafka_conf_set(conf, setting[0], setting[1], text, sizeof(text)), "%s", text);
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, tell_delivery);
	rk = rd_kafka_new(type, conf, text, sizeof(text));
	check(rk, "%s", text);
	return rk;
}

rd_kafka_topic_partition_list_t *
partitions_of(const char *topic, int n, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);

	for (int p = 0; p < n; p++)
		rd_kafka_topic_partition_list_add(list, topic, p)->offset = offset;
	return list;
}

/* ---- Records ---- */

static void
key_of(unsigned n, char key[16])
{
	(void)snprintf(key, 16, "key %u", n);
}

static void
send_record(rd_kafka_t *rk, const char *topic, unsigned n)
{
	char key[16], value[64];
	rd_kafka_resp_err_t err;

	key_of(n, key);
	(void)snprintf(value, sizeof(value), "record %u of a topic", n);
	while ((err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION((int32_t)(n % PARTITIONS)),
		RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(value, strlen(value)),
		RD_KAFKA_V_HEADER("n", key + 4, strlen(key) - 4), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		(void)rd_kafka_poll(rk, 100);
	check(!err, "produce: %s", rd_kafka_err2str(err));
}

static void
produce(const char *topic, const char *codec, unsigned n)
{
	const bool idempotent = strcmp(codec, "idempotent") == 0;
	const char *const setting[] = {"linger.ms", "5", "message.timeout.ms", "300000", "reconnect.backoff.max.ms", "200",
		"compression.codec", idempotent ? "lz4" : codec, "enable.idempotence", idempotent ? "true" : "false",
		"queue.buffering.max.messages", idempotent ? "2000" : "100000", NULL}; /* few: they do not pile up while it is away */
	rd_kafka_t *rk = client_open(RD_KAFKA_PRODUCER, setting);

	for (unsigned i = 0; i < n; i++) {
		send_record(rk, topic, i);
		if (i % 50 == 0)
			(void)rd_kafka_poll(rk, 0);
		if (idempotent && i % 50 == 0)
			(void)usleep(1000);
	}
	check(!rd_kafka_flush(rk, 120000), "flush: not all in 120 s");
	check(failed == 0 && delivered == n, "%u of %u delivered, %u failed", delivered, n, failed);
	rd_kafka_destroy(rk);
}

static void
check_record(const rd_kafka_message_t *m, unsigned n)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	char key[16];
	size_t length;

	key_of(n, key);
	check(m->key_len == strlen(key) && memcmp(m->key, key, m->key_len) == 0, "offset %lld: key %.*s, expected %s",
		(long long)m->offset, (int)m->key_len, (const char *)m->key, key);
	check(m->len > 7 && strtoul((const char *)m->payload + 7, NULL, 10) == n, "record %u: another value", n);
	check(!rd_kafka_message_headers(m, &headers) && !rd_kafka_header_get_all(headers, 0, &name, &value, &length) &&
		strcmp(name, "n") == 0 && length == strlen(key) - 4 && memcmp(value, key + 4, length) == 0,
		"record %u: another header", n);
}

static void
read_all(const char *topic, unsigned n)
{
	const char *const setting[] = {"group.id", "unused", "check.crcs", "true", "enable.auto.commit", "false",
		"enable.partition.eof", "true", NULL};
	rd_kafka_t *rk = client_open(RD_KAFKA_CONSUMER, setting);
	rd_kafka_topic_partition_list_t *all = partitions_of(topic, PARTITIONS, 0);
	unsigned next[PARTITIONS], found = 0, ended = 0;

	for (unsigned p = 0; p < PARTITIONS; p++)
		next[p] = p;
	check(!rd_kafka_assign(rk, all), "assign");
	while (ended < PARTITIONS) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, WAIT_MS);

		check(m, "nothing for %d s, after %u records", WAIT_MS / 1000, found);
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			ended++;
		} else {
			check(!m->err, "%s", rd_kafka_message_errstr(m));
			check_record(m, next[m->partition]); /* in order, and once */
			next[m->partition] += PARTITIONS;
			found++;
		}
		rd_kafka_message_destroy(m);
	}
	check(found == n, "%u records, %u were sent", found, n);
	rd_kafka_topic_partition_list_destroy(all);
	(void)rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

void
produce_one(const char *topic, int partition, const char *text, int64_t timestamp)
{
	const char *const setting[] = {NULL};
	rd_kafka_t *rk = client_open(RD_KAFKA_PRODUCER, setting);

	check(!rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
		RD_KAFKA_V_VALUE((void *)(uintptr_t)text, strlen(text)), RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_END), "produce");
	check(!rd_kafka_flush(rk, WAIT_MS) && failed == 0, "a record was not delivered");
	rd_kafka_destroy(rk);
}

/* ---- Offsets ---- */

static void
times(void)
{
	const char *const setting[] = {"group.id", "unused", NULL};
	rd_kafka_t *rk = client_open(RD_KAFKA_CONSUMER, setting);
	rd_kafka_topic_partition_list_t *at = partitions_of("c-times", 1, 1700000001500);
	int64_t low, high;

	for (int64_t i = 0; i < 4; i++)
		produce_one("c-times", 0, "x", 1700000000000 + 1000 * i);
	check(!rd_kafka_query_watermark_offsets(rk, "c-times", 0, &low, &high, WAIT_MS) && low == 0 && high == 4,
		"watermarks %lld, %lld", (long long)low, (long long)high);
	check(!rd_kafka_offsets_for_times(rk, at, WAIT_MS) && at->elems[0].offset == 2, "offsets_for_times: %lld",
		(long long)at->elems[0].offset);
	at->elems[0].offset = 1800000000000;
	check(!rd_kafka_offsets_for_times(rk, at, WAIT_MS) && at->elems[0].offset == RD_KAFKA_OFFSET_END, "a later time: %lld",
		(long long)at->elems[0].offset);
	rd_kafka_topic_partition_list_destroy(at);
	rd_kafka_destroy(rk);
}

/* Offset 3 with metadata; who comes next finds both. */
static void
commits(void)
{
	const char *const setting[] = {"group.id", "c-commits", "enable.auto.commit", "false", NULL};
	rd_kafka_topic_partition_list_t *at = partitions_of("c-commits", 1, 3);

	produce_one("c-commits", 0, "x", 1700000000000);
	for (int round = 0; round < 2; round++) {
		rd_kafka_t *rk = client_open(RD_KAFKA_CONSUMER, setting);

		if (round == 0) {
			at->elems[0].metadata = strdup("where I was");
			at->elems[0].metadata_size = strlen("where I was");
			check(!rd_kafka_commit(rk, at, 0), "commit");
		}
		at->elems[0].offset = -1;
		check(!rd_kafka_committed(rk, at, WAIT_MS) && at->elems[0].offset == 3, "committed: %lld",
			(long long)at->elems[0].offset);
		check(at->elems[0].metadata_size == 11 && memcmp(at->elems[0].metadata, "where I was", 11) == 0, "other metadata");
		rd_kafka_destroy(rk);
	}
	rd_kafka_topic_partition_list_destroy(at);
}

static void
transactions(void)
{
	const char *const setting[] = {"transactional.id", "x", NULL};
	rd_kafka_t *rk = client_open(RD_KAFKA_PRODUCER, setting);
	rd_kafka_error_t *e = rd_kafka_init_transactions(rk, WAIT_MS);

	check(e && rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "init_transactions: %s",
		e ? rd_kafka_error_string(e) : "offered");
	rd_kafka_error_destroy(e);
	rd_kafka_destroy(rk);
}

/* ---- A member ---- */

static void
on_term(int number)
{
	(void)number;
	stop = 1;
}

/* Eager: with cooperative-sticky and no callback of its own, librdkafka 2.0.2 closes without leaving its group. */
static void
member(const char *group, const char *topic, const char *session_ms)
{
	const char *const setting[] = {"group.id", group, "auto.offset.reset", "earliest", "session.timeout.ms", session_ms,
		"heartbeat.interval.ms", "500", NULL};
	rd_kafka_t *rk = client_open(RD_KAFKA_CONSUMER, setting);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

	(void)signal(SIGTERM, on_term);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	check(!rd_kafka_poll_set_consumer(rk) && !rd_kafka_subscribe(rk, topics), "subscribe");
	while (!stop) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 200);

		if (m && !m->err)
			printf("%.*s\n", (int)m->len, (const char *)m->payload);
		if (m)
			rd_kafka_message_destroy(m);
	}
	check(!rd_kafka_consumer_close(rk), "close");
	printf("closed\n");
	rd_kafka_topic_partition_list_destroy(topics);
	rd_kafka_destroy(rk);
}

int
main(int argc, char **argv)
{
	const char *const step = argc > 2 ? argv[2] : "";

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	bootstrap = argv[1];
	if (strcmp(step, "produce") == 0 && argc == 6)
		produce(argv[3], argv[4], (unsigned)strtoul(argv[5], NULL, 10));
	else if (strcmp(step, "read") == 0 && argc == 5)
		read_all(argv[3], (unsigned)strtoul(argv[4], NULL, 10));
	else if (strcmp(step, "member") == 0 && argc == 6)
		member(argv[3], argv[4], argv[5]);
	else if (strcmp(step, "times") == 0)
		times();
	else if (strcmp(step, "commits") == 0)
		commits();
	else if (strcmp(step, "transactions") == 0)
		transactions();
	else
		check(admin_step(step), "no step %s: see the head of rdkafka_client.c", step);
	return 0;
}
