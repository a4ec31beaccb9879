/* SPDX-License-Identifier: MIT
 * client_cc.c - see client_cc.h. Owns: nothing. */
#include "dataplane/client/client_cc.h"

#include "base/bits.h"

#define CWND_START 10
#define CWND_MIN   2

void
cc_restart(struct client_cc *c)
{
	c->cwnd = c->reno ? MIN((uint32_t)CWND_START, c->window) : c->window;
	c->ssthresh = c->window;
	c->acc = 0;
}

void
cc_init(struct client_cc *c, enum cw_cc cc, uint32_t window)
{
	*c = (struct client_cc){.window = window, .reno = cc == CW_RENO};
	cc_restart(c);
}

void
cc_grow(struct client_cc *c, uint32_t fresh)
{
	if (!c->reno || fresh == 0 || !c->full)
		return;
	c->full = false;
	if (c->cwnd < c->ssthresh) {
		c->cwnd += fresh;
	} else {
		c->acc += fresh;
		if (c->acc >= c->cwnd) {
			c->acc -= c->cwnd;
			c->cwnd++;
		}
	}
	c->cwnd = MIN(c->cwnd, c->window);
}

void
cc_cut(struct client_cc *c)
{
	if (!c->reno)
		return;
	c->cwnd = MAX(c->cwnd / 2, (uint32_t)CWND_MIN);
	c->ssthresh = c->cwnd;
	c->acc = 0;
}

void
cc_collapse(struct client_cc *c)
{
	if (!c->reno)
		return;
	c->cwnd = CWND_MIN;
	c->acc = 0;
}
