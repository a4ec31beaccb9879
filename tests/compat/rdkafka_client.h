/* SPDX-License-Identifier: MIT
 * rdkafka_client.h - librdkafka's C interface against kirad, one step per run: what both files need. */
#ifndef KIRA_TESTS_RDKAFKA_CLIENT_H
#define KIRA_TESTS_RDKAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#define WAIT_MS 20000

/* Ends the program with 1 and this text where it does not hold. */
void check(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_error(const rd_kafka_error_t *e, const char *what);

/* A client with settings as pairs of name and value; NULL ends them. */
rd_kafka_t *client_open(rd_kafka_type_t type, const char *const *setting);
/* Partitions 0 .. n-1 of a topic, all at this offset. */
rd_kafka_topic_partition_list_t *partitions_of(const char *topic, int n, int64_t offset);
/* `text` into the partition, and delivered. */
void produce_one(const char *topic, int partition, const char *text, int64_t timestamp);

/* A step of the administration; false: none has this name. */
bool admin_step(const char *name);

#endif
