/* SPDX-License-Identifier: MIT
 * topic_alter.h - the configurations of a topic change. Control thread.
 *
 *   judged > kira.topics says so, on disk > STORE_CONFIGURE to every partition > all back: in force */
#ifndef KIRA_CONTROL_TOPIC_ALTER_H
#define KIRA_CONTROL_TOPIC_ALTER_H

#include "base/err.h"
#include "base/reader.h"
#include "control/catalogue.h"
#include "control/topic_config.h"

struct control;
struct topic;
struct store_msg;

enum config_operation { CONFIG_SET, CONFIG_DELETE, CONFIG_APPEND, CONFIG_SUBTRACT }; /* as Kafka numbers them */

struct config_change {
	struct view name, value;
	int8_t operation;
};

struct alteration {
	struct catalogue_op change;
	struct topic_config cfg;     /* what holds from now on; names and values of what the topic sets itself: */
	const char **config;
	uint32_t configs;
	struct store_msg *msg;       /* [partitions] */
	int32_t outstanding;
	bool done, forgotten;        /* whoever asked went away */
	int16_t error;               /* once done; Kafka's code, with */
	struct err err;
};

/* Would these changes be accepted? `replace`: what is not named returns to its default. Kafka's code, err filled
 * where not 0; else *ret is to be begun or forgotten. */
int16_t topics_judge_alteration(const struct control *ctl, const struct topic *t, const struct config_change *change,
	int32_t changes, bool replace, struct alteration **ret, struct err *err);
/* Begin; the topic is live and its `altering` NULL. When done waiters of topics are woken. */
void topics_alter(struct control *ctl, struct topic *t, struct alteration *a);
/* No longer looked at; freed when done. */
void alteration_forget(struct alteration *a);

/* Said by catalogue.c, and by produce_wait.c for a command that is back. */
void topics_altered(struct control *ctl, struct catalogue_op *op);
void topics_configured(struct control *ctl, struct store_msg *msg);

#endif
