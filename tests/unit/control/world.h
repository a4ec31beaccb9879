/* SPDX-License-Identifier: MIT
 * world.h - a control thread between a fake storage, fake lcores and real sockets, whose turns the
 * test calls and whose clock it sets. */
#ifndef KIRA_TESTS_WORLD_H
#define KIRA_TESTS_WORLD_H

#include "base/reader.h"
#include "base/writer.h"
#include "control/conn.h"
#include "control/control.h"
#include "tests/unit/control/fake_dataplane.h"
#include "tests/unit/control/fake_storage.h"
#include "tests/unit/ut.h"

#define WORLD_START_NS 1000000000000ull

struct world {
	struct config cfg;
	struct control *ctl;
	struct control_counters count;
	struct storage_counters storage_count;
	uint64_t now_ns;
	bool lazy;                 /* lcores work only when the test calls their turns */
	uint8_t request[64 * 1024], answer[4 * 1024 * 1024];
	struct writer w;           /* of the request being built */
};

/* Options as on the command line, after --data-dir; NULL ends them. One listener on [127.0.0.1]:0. */
void world_open(struct world *w, const char *const *options);
void world_close(struct world *w);

/* One turn of control, sockets and lcores; how much happened. */
unsigned world_turn(struct world *w);
/* Those, until nothing happens any more. */
void world_run(struct world *w);
/* Time passes; then world_run(). */
void world_pass(struct world *w, uint64_t ns);

/* A client's socket, accepted on the other side. */
int world_connect(struct world *w);
/* Close with a reset, as a killed client's kernel does when data comes for it. */
void world_reset(struct world *w, int fd);
/* Begin a request: header in the right encoding; then kw_..() into the result. */
struct writer *world_request(struct world *w, enum api_key key, int16_t version);
/* Send what was built, in one piece. */
void world_put(struct world *w, int fd);
/* The same, and run. */
void world_send(struct world *w, int fd);
/* The next whole answer, without size and correlation id; r.p == NULL: none yet; *closed: the other
 * side has closed. A flexible header's tags are read too. */
struct reader world_answer(struct world *w, int fd, bool *closed);
/* Send, and the answer must come at once. */
struct reader world_ask(struct world *w, int fd);

/* A topic, made through CreateTopics' own path. */
struct topic *world_topic(struct world *w, const char *name, int32_t partitions);

#endif
