/* SPDX-License-Identifier: MIT
 * topic_rows.c - the configurations of a topic as clients are told of them: value and source.
 * Thread: control. Owns: nothing. */
#include "control/topic_rows.h"

#include "control/control.h"

static bool
is_own(const struct topic *t, unsigned row)
{
	for (uint32_t i = 0; i < t->configs; i++)
		if (strcmp(t->config[2 * i], topic_config_name(row)) == 0)
			return true;
	return false;
}

/* What the broker makes of its own topics is fixed: the latest record of each key is kept, though not by
 * a cleaner, but by writing the log anew. */
static bool
is_compacted(const struct topic *t, unsigned row)
{
	return t->internal && strcmp(topic_config_name(row), "cleanup.policy") == 0;
}

void
topic_row_value(const struct topic *t, unsigned row, char ret[TOPIC_CONFIG_VALUE_MAX + 1])
{
	if (is_compacted(t, row))
		(void)snprintf(ret, TOPIC_CONFIG_VALUE_MAX + 1, "compact");
	else
		topic_config_text(row, &t->cfg, ret);
}

bool
topic_row_default(const struct control *ctl, unsigned row, char ret[TOPIC_CONFIG_VALUE_MAX + 1],
	char built_in[TOPIC_CONFIG_VALUE_MAX + 1])
{
	topic_config_text(row, &ctl->topics.built_in, built_in);
	topic_config_text(row, &ctl->topics.defaults, ret);
	return strcmp(ret, built_in) != 0;
}

enum config_source
topic_row_source(const struct control *ctl, const struct topic *t, unsigned row)
{
	char value[TOPIC_CONFIG_VALUE_MAX + 1], built_in[TOPIC_CONFIG_VALUE_MAX + 1];

	if (is_own(t, row) || is_compacted(t, row))
		return SOURCE_TOPIC;
	return topic_row_default(ctl, row, value, built_in) ? SOURCE_BROKER : SOURCE_DEFAULT;
}
