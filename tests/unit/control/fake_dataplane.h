/* SPDX-License-Identifier: MIT
 * fake_dataplane.h - what a test may do to the data plane that fake_dataplane.c pretends to be. */
#ifndef KIRA_TESTS_FAKE_DATAPLANE_H
#define KIRA_TESTS_FAKE_DATAPLANE_H

#include "dataplane/dataplane.h"

struct dataplane {
	unsigned room;             /* of the command ring; more is refused */
	unsigned late;             /* so many tries more are refused: room appears between two of them */
	struct store_msg *queue[64];
	unsigned queued;           /* given and not worked off */
	struct store_msg *done[64];
	unsigned finished;
	int16_t append_error;      /* of the next batches */
	struct rx_cmd *rx[64], *rx_done[64];
	unsigned rx_queued, rx_finished;
	int16_t rx_error;          /* of the next commands */
	uint32_t next_session;
	bool unreachable;          /* dataplane_endpoint() says no */
	bool watching;
	unsigned watches;          /* how often the bell was switched on */
};

extern struct dataplane lcores;

void lcores_reset(void);
/* The storage lcore works off what it was given; returns how many. */
unsigned lcores_store_turn(void);
/* The same for the rx lcore. */
unsigned lcores_rx_turn(void);

#endif
