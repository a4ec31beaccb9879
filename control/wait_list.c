/* SPDX-License-Identifier: MIT
 * wait_list.c - a doubly linked list through struct conn. Thread: control. Owns: nothing. */
#include "control/wait_list.h"

#include "control/conn.h"

void
wait_add(struct wait_list *list, struct conn *c)
{
	wait_remove(c);
	c->wait_in = list;
	c->wait_prev = list->last;
	c->wait_next = NULL;
	*(list->last ? &list->last->wait_next : &list->first) = c;
	list->last = c;
	list->n++;
}

void
wait_remove(struct conn *c)
{
	struct wait_list *list = c->wait_in;

	if (!list)
		return;
	*(c->wait_prev ? &c->wait_prev->wait_next : &list->first) = c->wait_next;
	*(c->wait_next ? &c->wait_next->wait_prev : &list->last) = c->wait_prev;
	c->wait_in = NULL;
	c->wait_next = c->wait_prev = NULL;
	list->n--;
}

void
wait_wake(struct wait_list *list, uint64_t now_ns, bool deadline)
{
	/* As many as there are now: those that come back stand behind them. */
	for (unsigned n = list->n; n > 0 && list->first; n--) {
		struct conn *c = list->first;

		wait_remove(c);
		conn_wake(c, now_ns, deadline);
	}
}

unsigned
wait_wake_first(struct wait_list *list, uint64_t now_ns)
{
	struct conn *c = list->first;

	if (!c)
		return 0;
	wait_remove(c);
	conn_wake(c, now_ns, false);
	return 1;
}
