/* SPDX-License-Identifier: MIT
 * consume.c - kira consume: print records, by librdkafka, with every batch's CRC checked.
 * Thread: main. Consumes by assignment: no group, nothing is committed. */
#include "control/cli/cli.h"
#include "control/cli/cli_kafka.h"
#include "control/cli/cli_options.h"
#include "control/cli/format.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME       "kira consume"
#define BURST      1000 /* records per call of librdkafka */
#define WAIT_MS    200  /* for the first of them: a signal is seen within this */

struct consume_options {
	const char *bootstrap, *topic, *offset, *format;
	int64_t partition, timestamp, count;
	bool exit_at_end;
};

#define AT(field) offsetof(struct consume_options, field)
static const struct cli_row rows[] = {
	CLI_BOOTSTRAP(AT(bootstrap)),
	{"topic", 't', "NAME", CLI_TEXT, AT(topic), 0, 0, NULL, "needed"},
	{"partition", 'p', "N", CLI_WHOLE, AT(partition), -1, INT32_MAX, "-1", "-1: all of them"},
	{"offset", 'o', "beginning|end|N|-N", CLI_TEXT, AT(offset), 0, 0, "beginning",
		"where to start; -N: N before the end"},
	{"timestamp", 0, "MS", CLI_WHOLE, AT(timestamp), -1, 9e15, "-1",
		"start at the first record not older, in ms since 1970"},
	{"count", 'c', "N", CLI_WHOLE, AT(count), 0, 9e15, "0", "stop after so many records; 0: never"},
	{"exit", 'e', NULL, CLI_ON, AT(exit_at_end), 0, 0, NULL, "stop at the end of the topic"},
	{"format", 'f', "TEXT", CLI_TEXT, AT(format), 0, 0, "%s\\n",
		"%s value %S its length %k key %K its length %p partition %o offset %t topic %T time, \\t \\n"},
};
#undef AT

static const struct cli_command command = {
	NAME, "--topic NAME [OPTIONS]", "Print records, in order within each partition.", rows,
	ARRAY_LENGTH(rows), 0,
	"Exit: 0 done or interrupted; 1 failed; 2 wrong usage.\n"
	"Example:\n"
	"  kira consume --topic t --exit\n"
	"  kira consume --topic t --offset -10 --format '%p %o %k %s\\n'\n"};

struct consume {
	struct consume_options o;
	struct cli_kafka kafka;
	struct format format;
	rd_kafka_topic_partition_list_t *parts;
	rd_kafka_queue_t *queue;
	unsigned open;          /* partitions whose end was not met */
	bool *at_end;           /* [partition] */
	int partitions;
	int64_t printed;
};

static atomic_bool interrupted; /* the handler writes, the loop reads */

static void
on_signal(int signal_number)
{
	(void)signal_number;
	atomic_store_explicit(&interrupted, true, memory_order_relaxed);
}

/* --offset as librdkafka's number. */
static bool
read_offset(const char *text, int64_t *ret)
{
	char *end;
	long long v;

	if (strcmp(text, "beginning") == 0) {
		*ret = RD_KAFKA_OFFSET_BEGINNING;
		return true;
	}
	if (strcmp(text, "end") == 0) {
		*ret = RD_KAFKA_OFFSET_END;
		return true;
	}
	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || *end || errno != 0)
		return false;
	/* A record that does not exist yet may be named: consumption starts there. */
	*ret = v < 0 ? RD_KAFKA_OFFSET_TAIL(-v) : v;
	return true;
}

static int
find_partitions(struct consume *co, struct err *err)
{
	const struct rd_kafka_metadata *meta;
	int64_t offset;
	int rc = cli_kafka_metadata(&co->kafka, co->o.topic, &meta, err);

	if (rc < 0)
		return rc;
	co->partitions = meta->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(meta);
	if (co->o.partition >= co->partitions) {
		err_set(err, "--partition %" PRId64 ": %s has partitions 0 to %d", co->o.partition,
			co->o.topic, co->partitions - 1);
		return -EINVAL;
	}
	(void)read_offset(co->o.offset, &offset);
	co->parts = rd_kafka_topic_partition_list_new(co->partitions);
	for (int32_t i = 0; i < co->partitions; i++) {
		if (co->o.partition >= 0 && i != co->o.partition)
			continue;
		rd_kafka_topic_partition_list_add(co->parts, co->o.topic, i)->offset =
			co->o.timestamp >= 0 ? co->o.timestamp : offset;
	}
	co->open = (unsigned)co->parts->cnt;
	co->at_end = calloc((size_t)co->partitions, sizeof(*co->at_end));
	return co->at_end ? 0 : -ENOMEM;
}

static int
find_times(struct consume *co, struct err *err)
{
	const rd_kafka_resp_err_t code =
		rd_kafka_offsets_for_times(co->kafka.rk, co->parts, CLI_KAFKA_MS);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return cli_kafka_failed(&co->kafka, code, NULL, "offsets by time", err);
	for (int i = 0; i < co->parts->cnt; i++) {
		rd_kafka_topic_partition_t *p = &co->parts->elems[i];

		if (p->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			return cli_kafka_failed(&co->kafka, p->err, NULL, "offsets by time", err);
		/* No record so young. */
		if (p->offset < 0)
			p->offset = RD_KAFKA_OFFSET_END;
	}
	return 0;
}

static void
print(struct consume *co, const rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	const struct format_record r = {
		.topic = co->o.topic,
		.partition = m->partition,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &type),
		.key = m->key,
		.value = m->payload,
		.key_length = m->key_len,
		.value_length = m->len,
	};

	format_print(&co->format, &r, stdout);
	co->printed++;
	if (co->at_end[m->partition]) {
		co->at_end[m->partition] = false;
		co->open++;
	}
}

/* 0: go on; else an error that ends it. */
static int
take_error(struct consume *co, const rd_kafka_message_t *m, struct err *err)
{
	switch (m->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		if (!co->at_end[m->partition])
			co->open--;
		co->at_end[m->partition] = true;
		return 0;
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__RESOLVE:
		return 0; /* librdkafka goes on trying */
	default:
		err_set(err, "partition %" PRId32 ": %s", m->partition, rd_kafka_message_errstr(m));
		return -EIO;
	}
}

static bool
enough(const struct consume *co)
{
	return atomic_load_explicit(&interrupted, memory_order_relaxed)
		|| (co->o.count > 0 && co->printed >= co->o.count)
		|| (co->o.exit_at_end && co->open == 0);
}

static int
run(struct consume *co, struct err *err)
{
	rd_kafka_message_t *m[BURST];
	int rc = 0;

	while (rc == 0 && !enough(co)) {
		const size_t room = co->o.count > 0
			? (size_t)MIN(co->o.count - co->printed, (int64_t)BURST) : BURST;
		const ssize_t n = rd_kafka_consume_batch_queue(co->queue, WAIT_MS, m, room);

		for (ssize_t i = 0; i < n; i++) {
			if (m[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR && rc == 0)
				rc = take_error(co, m[i], err);
			else if (rc == 0)
				print(co, m[i]);
			rd_kafka_message_destroy(m[i]);
		}
		/* Quiet now: show what there is. */
		if (n < (ssize_t)room && fflush(stdout) != 0 && rc == 0)
			rc = err_sys(err, -errno, "write to standard output");
		if (ferror(stdout) && rc == 0)
			rc = err_sys(err, -EIO, "write to standard output");
	}
	return rc;
}

static int
consume(struct consume *co, struct err *err)
{
	rd_kafka_resp_err_t code;
	int rc = find_partitions(co, err);

	if (rc < 0)
		return rc;
	if (co->o.timestamp >= 0) {
		rc = find_times(co, err);
		if (rc < 0)
			return rc;
	}
	code = rd_kafka_assign(co->kafka.rk, co->parts);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return cli_kafka_failed(&co->kafka, code, NULL, co->o.topic, err);
	(void)rd_kafka_poll_set_consumer(co->kafka.rk);
	co->queue = rd_kafka_queue_get_consumer(co->kafka.rk);
	rc = run(co, err);
	rd_kafka_queue_destroy(co->queue);
	if (fflush(stdout) != 0 && rc == 0)
		rc = err_sys(err, -errno, "write to standard output");
	return rc;
}

int
cli_consume(int argc, char **argv)
{
	/* librdkafka wants a group to let us assign; it never joins one, nor commits. */
	static const char *const settings[] = {"check.crcs", "true", "enable.partition.eof", "true",
		"group.id", "kira-consume", "enable.auto.commit", "false", "enable.auto.offset.store",
		"false", "auto.offset.reset", "error", NULL};
	struct sigaction act = {.sa_handler = on_signal};
	static struct consume co;
	struct err err = {""};
	const char *word[1];
	unsigned words;
	int64_t offset;
	int status, rc;

	if (!cli_begin(&command, &co.o, sizeof(co.o), argc, argv, word, &words, &status))
		return status;
	if (!co.o.topic)
		return cli_fail(NAME, "--topic NAME is needed", CLI_EXIT_USAGE);
	if (!read_offset(co.o.offset, &offset))
		return cli_fail(NAME, "--offset: beginning, end, N or -N is wanted", CLI_EXIT_USAGE);
	if (format_parse(&co.format, co.o.format, &err) < 0) {
		err_prefix(&err, "--format: ");
		return cli_fail(NAME, err.text, CLI_EXIT_USAGE);
	}
	rc = cli_kafka_open(&co.kafka, RD_KAFKA_CONSUMER, co.o.bootstrap, settings, &err);
	if (rc < 0)
		return cli_fail(NAME, err.text, CLI_EXIT_USAGE);
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	rc = consume(&co, &err);
	if (co.parts)
		rd_kafka_topic_partition_list_destroy(co.parts);
	free(co.at_end);
	cli_kafka_close(&co.kafka);
	if (rc < 0)
		return cli_fail(NAME, err.text, CLI_EXIT_FAILED);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, NAME ": %" PRId64 " records\n", co.printed);
	return CLI_EXIT_OK;
}
