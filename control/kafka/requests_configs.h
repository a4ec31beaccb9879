/* SPDX-License-Identifier: MIT
 * requests_configs.h - the requests on configurations, decoded. Rules: requests.h. Pure. */
#ifndef KIRA_CONTROL_KAFKA_REQUESTS_CONFIGS_H
#define KIRA_CONTROL_KAFKA_REQUESTS_CONFIGS_H

#include "control/kafka/requests.h"
#include "control/topic_alter.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };

struct q_described {
	struct view name;
	int8_t type;
	int32_t keys; /* -1: all */
	struct view *key;
};

struct q_describe_configs {
	int32_t resources;
	struct q_described *resource;
	bool synonyms, documentation;
};

struct q_altered {
	struct view name;
	int8_t type;
	int32_t changes;
	struct config_change *change;
};

struct q_alter_configs {
	int32_t resources;
	struct q_altered *resource;
	bool validate_only;
};

bool q_describe_configs(struct q_describe_configs *ret, const struct request *rq, struct arena *a);
/* All changes are SET. */
bool q_alter_configs(struct q_alter_configs *ret, const struct request *rq, struct arena *a);
bool q_incremental_alter_configs(struct q_alter_configs *ret, const struct request *rq, struct arena *a);

#endif
