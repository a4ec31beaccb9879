/* SPDX-License-Identifier: MIT
 * client_cc.c - see client_cc.h. Owns: nothing. */
#include "dataplane/client/client_cc.h"

#include "base/bits.h"
#include "base/clock.h"

#define CWND_START    10
#define CWND_MIN      2
#define PACE_BURST    4                 /* GSO_BURST_MIN: fewer save the kernel nothing */
#define PACE_BURST_NS (200 * NS_PER_US) /* or what falls into that: a sleep is not much finer */
#define PACE_LATE_NS  (2 * NS_PER_MS)   /* a sleep that took longer than asked is made up for */

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

void
cc_pace(struct client_cc *c, uint64_t srtt_ns)
{
	c->interval_ns = c->reno ? srtt_ns * 4 / (5 * c->cwnd) : 0;
	/* What was owed at a slower rate is not: a round trip of seconds that was none, a host that stood
	 * still, would be waited for long after it was known to be none. */
	c->paid_ns = MIN(c->paid_ns, c->asked_ns + c->interval_ns);
}

bool
cc_may(struct client_cc *c, uint64_t now_ns)
{
	if (c->interval_ns == 0)
		return true;
	if (now_ns != c->asked_ns) { /* once per turn: within one, what was sent stays to be paid */
		const uint64_t burst_ns = MAX((uint64_t)PACE_BURST_NS, PACE_BURST * c->interval_ns);
		const uint64_t behind_ns = c->waits ? MAX((uint64_t)PACE_LATE_NS, burst_ns) : burst_ns;

		c->asked_ns = now_ns;
		c->paid_ns = MAX(c->paid_ns, now_ns - MIN(now_ns, behind_ns));
	}
	c->waits = now_ns < c->paid_ns;
	return !c->waits;
}
