/* SPDX-License-Identifier: MIT
 * world.h - one rx lcore and one storage lcore on one thread, a net_ring port before them, storage in
 * memory behind them. A test puts frames in, calls turns, takes frames out; time is its own. */
#ifndef KIRA_TESTS_WORLD_H
#define KIRA_TESTS_WORLD_H

#include "dataplane/rx.h"
#include "dataplane/store.h"
#include "tests/unit/dataplane/fake_storage.h"

#define WORLD_PARTITIONS 3
#define WORLD_OUT        1200 /* at most one for each that can be put before a turn */
#define WORLD_PORT       9104
#define WORLD_CLIENT     5000
#define FRAME_MAX        1518 /* longer than the MTU holds by more than a byte, for what is too long */
#define PAYLOAD_AT       42 /* of an untagged IPv4 frame */

struct frame {
	uint16_t len, payload, payload_len; /* payload: 0 if it is no UDP */
	uint8_t bytes[FRAME_MAX];
};

struct world {
	struct rx_lcore rx;
	struct store_lcore store;
	struct gifts gifts;
	struct storage storage;
	struct partition part[WORLD_PARTITIONS];
	struct {
		struct dataplane_topic topic;
		struct partition *part[WORLD_PARTITIONS];
	} orders;
	struct rx_counters rx_count;
	struct store_counters store_count;
	struct stall_counters wait_count;
	counter drop[DROPS];
	_Atomic bool draining, new_data;
	uint64_t now;
	unsigned sent;             /* frames put in */
	unsigned out_n;
	struct frame out[WORLD_OUT]; /* answers of the last turns, until world_clear() */
	unsigned bad_answers;      /* that do not parse, or whose sums are wrong */
};
extern struct world world;

/* Once per program. */
void world_eal(void);
/* A fresh one. `credit`: C; `ring`: room between the lcores, in place of C (D6), 0: C. */
void world_begin(unsigned credit, unsigned ring);
/* Everything is given back: no mbuf may be missing. Returns how many are. */
unsigned world_end(void);

/* A session of the client at 10.0.0.2:5000 with one handle on `orders`. */
struct session *world_grant(uint16_t window, uint32_t capabilities);
struct rx_cmd world_grant_cmd(uint16_t window, uint32_t capabilities);

/* A UDP frame from the client, sums right; filled payload of `len` bytes is the caller's. */
uint8_t *world_udp(struct frame *f, uint16_t len);
void world_sums(struct frame *f);
void world_put(const struct frame *f);
void world_lose(void);  /* what was put and no turn has taken */

/* DATA with a batch of 10 records; producer -1: none. */
void world_data(const struct session *s, uint32_t pkt_seq, uint16_t handle, int32_t partition,
	int64_t producer, int32_t sequence);
void world_data_frame(struct frame *f, const struct session *s, uint32_t pkt_seq, uint16_t handle,
	int32_t partition, int64_t producer, int32_t sequence);

void world_rx(void);    /* rx_turn; answers are taken out */
void world_store(void); /* store_turn */
void world_both(void);
static inline void
world_later(uint64_t ns)
{
	world.now += ns;
}
void world_clear(void);

/* The last answer of that type since world_clear(), or NULL. */
const uint8_t *world_answer(uint8_t type);
uint64_t world_drops(void); /* sum over the reasons, but for answers the port did not take */
/* Every frame put in is accounted for, once, and so is every batch that came to its end. */
bool world_adds_up(void);

#endif
