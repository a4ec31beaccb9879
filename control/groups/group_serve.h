/* SPDX-License-Identifier: MIT
 * group_serve.h - between the coordinator and connections: who waits in a group, who is to be answered.
 * Control thread. */
#ifndef KIRA_CONTROL_GROUP_SERVE_H
#define KIRA_CONTROL_GROUP_SERVE_H

#include "control/conn.h"
#include "control/groups/group.h"

/* Callbacks and limits of ctl->groups, before its log is read. */
void group_serve_open(struct control *ctl);

/* Send what was written for parked requests since. Returns how many. */
unsigned group_serve_turn(struct control *ctl, uint64_t now_ns);

/* After group_join() or group_sync() for c->group_wait: it is answered, or parked. */
enum served group_served(struct conn *c);

/* As Kafka names a client's host: "/1.2.3.4". */
const char *group_client_host(const struct conn *c, char ret[64]);

/* ---- of the handlers ---- */

void k11_write(struct conn *c, const struct group_joined *a);
void k14_write(struct conn *c, const struct group_synced *a);

#endif
