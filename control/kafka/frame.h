/* SPDX-License-Identifier: MIT
 * frame.h - judge the first bytes of a request and read its header. Pure. */
#ifndef KIRA_CONTROL_KAFKA_FRAME_H
#define KIRA_CONTROL_KAFKA_FRAME_H

#include "base/reader.h"
#include "control/kafka/api.h"

#define FRAME_FIRST 8 /* size, key, version: judged before a buffer is taken for the rest */

enum frame_verdict {
	FRAME_OK,
	FRAME_TOO_SHORT,
	FRAME_TOO_LONG,
	FRAME_TLS,          /* looks like the start of a TLS handshake */
	FRAME_HTTP,
	FRAME_KEY_UNKNOWN,
	FRAME_VERSION,      /* not served */
	FRAME_STEP_DOWN,    /* ApiVersions of a version that we do not speak: answered in version 0 */
};

struct frame_head {
	uint32_t size; /* bytes after the size field */
	int16_t key, version;
	const struct api *api; /* NULL where the key is unknown */
};

/* `first`: FRAME_FIRST bytes. `produce_max`: cap of a Produce frame. */
enum frame_verdict frame_judge(const uint8_t *first, uint32_t produce_max, struct frame_head *ret);
const char *frame_verdict_text(enum frame_verdict v);

struct request {
	const struct api *api;
	int16_t version;
	bool flexible;
	int32_t correlation;
	struct view client_id;
	const uint8_t *body; /* a view into the frame */
	uint32_t length;
};

/* The header of a whole frame (without its size field). False: malformed. */
bool frame_request(struct request *ret, const struct api *api, const uint8_t *frame,
	uint32_t length);

/* Bytes of the answer up to its body: size (0 for now), correlation, tags. */
struct writer;
void frame_answer(struct writer *w, const struct request *rq);

#endif
