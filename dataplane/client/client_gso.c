/* SPDX-License-Identifier: MIT
 * client_gso.c - see client_gso.h. Owns: nothing. */
#include "dataplane/client/client_gso.h"

#include "base/bits.h"

void
gso_sent(struct client_gso *g, uint32_t first, uint32_t count)
{
	if (g->judging || g->state == GSO_OFF || count < GSO_BURST_MIN)
		return;
	g->judging = true;
	g->others = false;
	g->from = first + 1;
	g->to = first + count - 1;
	g->waiting = count - 1;
}

void
gso_gone(struct client_gso *g, uint32_t tx)
{
	if (g->judging && tx - g->from <= g->to - g->from)
		g->waiting--;
}

void
gso_came(struct client_gso *g, uint32_t tx, bool behind)
{
	if (g->state == GSO_OFF)
		return;
	if (behind) {
		g->state = GSO_WORKS;
		g->judging = false;
	} else if (g->judging && serial_newer(tx, g->to)) {
		g->others = true;
	}
}

bool
gso_judge(struct client_gso *g)
{
	if (!g->judging || g->waiting > 0 || !g->others)
		return false;
	g->judging = false;
	g->state = g->state == GSO_DOUBTED ? GSO_OFF : GSO_DOUBTED;
	return g->state == GSO_OFF;
}
