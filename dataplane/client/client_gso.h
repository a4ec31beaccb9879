/* SPDX-License-Identifier: MIT
 * client_gso.h - does the path carry bursts that the kernel is handed whole, to be cut late (UDP GSO)?
 * A raw socket on the far end of a veth pair is given the burst uncut and shortens it to a frame: of
 * such a burst nothing arrives, or its first datagram alone. So a burst is judged by the datagrams behind
 * its first, one burst at a time; the first one ever, and the first after a doubt, goes by itself.
 *
 *   UNKNOWN --one came--> WORKS --all gone while others came--> DOUBTED --one came--> WORKS
 *      +---- all gone while others came ----------------------->  +----- again -----> OFF
 *
 * A burst that was lost with all else, a link that was down, proves nothing; where the link came back in time
 * for what was sent behind the burst, one proves nothing either: so two in a row. Pure. Thread: one caller. */
#ifndef KIRA_CLIENT_GSO_H
#define KIRA_CLIENT_GSO_H

#include <stdbool.h>
#include <stdint.h>

/* Shorter ones save little, and one loss more would look like a path that swallows them. */
#define GSO_BURST_MIN 4

enum gso_state { GSO_UNKNOWN, GSO_WORKS, GSO_DOUBTED, GSO_OFF };

struct client_gso {
	enum gso_state state;
	bool judging, others;    /* others: a datagram sent later, in no burst, has come */
	uint32_t from, to;       /* transmissions under judgement, and how many of them .. */
	uint32_t waiting;        /* .. may still be reported */
};

/* May the next burst go whole? */
static inline bool
gso_wanted(const struct client_gso *g)
{
	return g->state == GSO_WORKS || (g->state != GSO_OFF && !g->judging);
}

/* Transmissions first .. first + count - 1 went as one burst. */
void gso_sent(struct client_gso *g, uint32_t first, uint32_t count);

/* That transmission is waited for no more: declared lost, or its packet was sent again. */
void gso_gone(struct client_gso *g, uint32_t tx);

/* That very transmission came; `behind`: it was of a burst, and not the first there. */
void gso_came(struct client_gso *g, uint32_t tx, bool behind);

/* After each ACK. True: just now switched off. */
bool gso_judge(struct client_gso *g);

#endif
