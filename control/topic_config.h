/* SPDX-License-Identifier: MIT
 * topic_config.h - what a topic may be configured to, from topic_config.def. Pure; any thread. */
#ifndef KIRA_CONTROL_TOPIC_CONFIG_H
#define KIRA_CONTROL_TOPIC_CONFIG_H

#include "base/err.h"
#include "control/config.h"
#include "storage/storage.h"

#define TOPIC_CONFIG_VALUE_MAX 63

enum ack_level { ACK_NONE, ACK_LOG, ACK_DISK };
enum { VALIDATE_HEADER, VALIDATE_DEEP }; /* kira.validate */

struct topic_config {
	struct partition_config log; /* storage's copy */
	unsigned timestamp_type;     /* indexes of the words in topic_config.def */
	unsigned ack_min, ack_all, visibility, compression, validate;
};

unsigned topic_config_count(void);
const char *topic_config_name(unsigned row);
const char *topic_config_broker_name(unsigned row); /* of the broker's default, as Kafka calls it; "": none */
const char *topic_config_help(unsigned row);
int topic_config_row(const char *name, uint32_t length); /* -1 unknown */
enum config_type topic_config_type(unsigned row);
/* The value in force, as text. */
void topic_config_text(unsigned row, const struct topic_config *cfg, char ret[TOPIC_CONFIG_VALUE_MAX + 1]);

/* Kafka's and kirad's defaults. */
void topic_config_defaults(struct topic_config *cfg);

/* Set one by text. -EINVAL: err names it and its bounds. */
int topic_config_set(struct topic_config *cfg, unsigned row, const char *value, struct err *err);

/* Rules between rows; fills what follows from others. `own_max`: max.message.bytes is the topic's
 * own setting. */
int topic_config_settle(struct topic_config *cfg, bool own_max, struct err *err);

/* acks of a Produce request -> the level to wait for. */
enum ack_level topic_config_level(const struct topic_config *cfg, int16_t acks);

#endif
