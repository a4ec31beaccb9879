/* SPDX-License-Identifier: MIT
 * listener.h - the addresses the Kafka port listens on. Control thread. */
#ifndef KIRA_CONTROL_LISTENER_H
#define KIRA_CONTROL_LISTENER_H

#include "control/loop.h"

#define LISTENERS_MAX 32

struct control;

struct listener {
	struct source src;
	struct control *ctl;
	char name[96]; /* HOST:PORT it is bound to */
	bool beyond_loopback;
};

struct listeners {
	unsigned n;
	struct listener one[LISTENERS_MAX];
	struct timer again; /* after running out of descriptors */
};

/* "HOST:PORT", "[V6]:PORT", ":PORT" or "*:PORT" (any address) -> host and port; -EINVAL. */
int listener_split(const char *text, char host[256], uint16_t *port, struct err *err);

/* Bind every address of cfg->listen. Until listeners_start() clients are refused, and try again: in a
 * backlog they would wait for a recovery that may take longer than their patience. */
int listeners_open(struct control *ctl, struct err *err);
/* From now on connections are taken. */
int listeners_start(struct control *ctl, struct err *err);
void listeners_close(struct control *ctl);

#endif
