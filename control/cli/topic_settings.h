/* SPDX-License-Identifier: MIT
 * topic_settings.h - the configurations of a topic, for kira topic. Thread: main. */
#ifndef KIRA_CLI_TOPIC_SETTINGS_H
#define KIRA_CLI_TOPIC_SETTINGS_H

#include "control/cli/cli_kafka.h"
#include "control/cli/cli_options.h"

/* KEY=VALUE apart: false and err where it is none. */
bool topic_setting_split(const char *text, const char *flag, char *key, size_t size, const char **value,
	struct err *err);

/* Print what the topic sets itself, or `all` there is with where it comes from. Negative: err. */
int topic_settings_print(struct cli_kafka *k, const char *topic, bool all, struct err *err);

/* Set and unset some, the others stay. Negative: err. */
int topic_settings_alter(struct cli_kafka *k, const char *topic, const struct cli_list *set,
	const struct cli_list *unset, struct err *err);

#endif
