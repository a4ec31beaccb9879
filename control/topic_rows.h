/* SPDX-License-Identifier: MIT
 * topic_rows.h - the configurations of a topic as clients are told of them. Control thread. */
#ifndef KIRA_CONTROL_TOPIC_ROWS_H
#define KIRA_CONTROL_TOPIC_ROWS_H

#include "control/topic_config.h"

#include <stdbool.h>

struct control;
struct topic;

/* Where a value comes from, as DescribeConfigs numbers it. */
enum config_source { SOURCE_TOPIC = 1, SOURCE_BROKER = 4, SOURCE_DEFAULT = 5 };

enum config_source topic_row_source(const struct control *ctl, const struct topic *t, unsigned row);
/* The value in force. */
void topic_row_value(const struct topic *t, unsigned row, char ret[TOPIC_CONFIG_VALUE_MAX + 1]);
/* The broker's value for topics that set none, and the one built in; true: they differ, by --topic-default. */
bool topic_row_default(const struct control *ctl, unsigned row, char ret[TOPIC_CONFIG_VALUE_MAX + 1],
	char built_in[TOPIC_CONFIG_VALUE_MAX + 1]);

#endif
