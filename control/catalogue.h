/* SPDX-License-Identifier: MIT
 * catalogue.h - kira.topics: what it says, and its changes, one at a time. Control thread. */
#ifndef KIRA_CONTROL_CATALOGUE_H
#define KIRA_CONTROL_CATALOGUE_H

#include "storage/storage.h"

struct control;
struct topic;

/* One change of the catalogue. Its owner keeps it until it is reaped. */
struct catalogue_op {
	enum catalogue_change { TOPIC_MAKE, TOPIC_GROW, TOPIC_ALTER, TOPIC_REMOVE } change;
	struct topic *topic;
	struct catalogue_op *next;   /* in line */
	struct storage_op op;
};

/* In line; several may concern one topic. When done topics_made(), _grown(), _altered() or _removed() is called, then
 * those who wait for topics are woken. */
void catalogue_queue(struct control *ctl, struct catalogue_op *op);
/* Storage has finished one. */
void catalogue_reaped(struct control *ctl, struct storage_op *op);

#endif
