/* SPDX-License-Identifier: MIT
 * topic_grow.h - a topic on its way to more partitions. Control thread. */
#ifndef KIRA_CONTROL_TOPIC_GROW_H
#define KIRA_CONTROL_TOPIC_GROW_H

#include "control/topics.h"

struct topic_growth {
	struct catalogue_op change;
	struct dataplane_topic *part; /* all, old and new; once these are the topic's: what it had before */
	struct rx_cmd *swap;          /* [rx lcores] */
	unsigned outstanding;         /* of these */
};

#endif
