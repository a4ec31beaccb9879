/* SPDX-License-Identifier: MIT
 * topic_list.h - topics in memory, for topics.c; others find them by topics.h. Control thread. */
#ifndef KIRA_CONTROL_TOPIC_LIST_H
#define KIRA_CONTROL_TOPIC_LIST_H

#include "control/topics.h"

/* CREATING, in no list yet, without an id. */
struct topic *topic_make(const char *name, int32_t partitions);
/* One more setting of its own; `name` lives as long as the topic, `value` is copied. */
void topic_set_config(struct topic *t, const char *name, const char *value);
/* In no list any more. */
void topic_free(struct topic *t);

/* So many partitions more, or fewer, than were counted; those of a topic are with it. */
void topic_counted(struct control *ctl, int32_t more);

/* Whose name collides with this one: in its bucket, not one of all topics; NULL: none. */
const struct topic *topics_colliding(const struct control *ctl, struct view name);

/* With its name and id, which stay. */
void topic_link(struct control *ctl, struct topic *t);
void topic_unlink(struct control *ctl, struct topic *t);

#endif
