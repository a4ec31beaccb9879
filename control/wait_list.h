/* SPDX-License-Identifier: MIT
 * wait_list.h - connections that wait for the same thing, first come first served. A connection is
 * in one list at most. Control thread. */
#ifndef KIRA_CONTROL_WAIT_LIST_H
#define KIRA_CONTROL_WAIT_LIST_H

#include <stdbool.h>
#include <stdint.h>

struct conn;

struct wait_list {
	struct conn *first, *last;
	unsigned n;
};

void wait_add(struct wait_list *list, struct conn *c);
/* Out of whatever list it is in; nothing where it is in none. */
void wait_remove(struct conn *c);
/* Take each out and wake it; who must wait on adds itself again (its park's again()). */
void wait_wake(struct wait_list *list, uint64_t now_ns, bool deadline);
/* The first alone. How many there were: 0 or 1. */
unsigned wait_wake_first(struct wait_list *list, uint64_t now_ns);

#endif
