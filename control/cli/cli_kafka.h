/* SPDX-License-Identifier: MIT
 * cli_kafka.h - a librdkafka handle for kira topic, kira group and kira consume, and its complaints as one
 * sentence. Thread: main; librdkafka's own threads only write the last complaint. */
#ifndef KIRA_CLI_KAFKA_H
#define KIRA_CLI_KAFKA_H

#include "base/err.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#define CLI_KAFKA_MS 8000 /* for one request, the connection included */

struct cli_kafka {
	rd_kafka_t *rk;
	const char *bootstrap;
	pthread_mutex_t lock;
	char complaint[256]; /* the newest, under lock: why there is no connection */
};

/* `settings`: name, value, name, value .., NULL. */
int cli_kafka_open(struct cli_kafka *k, rd_kafka_type_t type, const char *bootstrap,
	const char *const *settings, struct err *err);
void cli_kafka_close(struct cli_kafka *k);

/* Sets err: what could not be done, and what the broker or the connection said. Returns -EIO. */
int cli_kafka_failed(struct cli_kafka *k, rd_kafka_resp_err_t code, const char *said,
	const char *what, struct err *err);

/* Metadata of one topic, NULL: all. Free with rd_kafka_metadata_destroy(). */
int cli_kafka_metadata(struct cli_kafka *k, const char *topic, const struct rd_kafka_metadata **ret,
	struct err *err);

/* Patience for an admin request, in ms. */
rd_kafka_AdminOptions_t *cli_admin_options(struct cli_kafka *k, rd_kafka_admin_op_t op, int ms);
/* The event of one that was asked with `ms`, or NULL and err. */
rd_kafka_event_t *cli_admin_await(struct cli_kafka *k, rd_kafka_queue_t *q, int ms, const char *what,
	struct err *err);

#endif
