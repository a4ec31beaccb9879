/* SPDX-License-Identifier: MIT
 * frame.c - request frames: what is let in, and the two headers. Pure.
 *   request   i32 size | i16 key | i16 version | i32 correlation | client id: i16 n + bytes | tags
 *   response  i32 size | i32 correlation | tags
 * The client id keeps its i16 length even in flexible versions; an ApiVersions response never has
 * tags in its header, even where its body is flexible. */
#include "control/kafka/frame.h"

#include "base/writer.h"

#define SIZE_MIN 8 /* key, version, correlation */

enum frame_verdict
frame_judge(const uint8_t *first, uint32_t produce_max, struct frame_head *ret)
{
	static const char http[][5] = {"GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN", "DELE"};

	ret->size = get_be32(first);
	ret->key = (int16_t)get_be16(first + 4);
	ret->version = (int16_t)get_be16(first + 6);
	ret->api = api_find(ret->key);
	if (first[0] == 0x16 && first[1] == 0x03)
		return FRAME_TLS;
	for (unsigned i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (memcmp(first, http[i], 4) == 0)
			return FRAME_HTTP;
	if ((int32_t)ret->size < SIZE_MIN)
		return FRAME_TOO_SHORT;
	if (!ret->api)
		return FRAME_KEY_UNKNOWN;
	if (ret->size > (ret->api->size_max ? ret->api->size_max : produce_max))
		return FRAME_TOO_LONG;
	if (ret->version < ret->api->served_min || ret->version > ret->api->max)
		return ret->key == API_API_VERSIONS ? FRAME_STEP_DOWN : FRAME_VERSION;
	return FRAME_OK;
}

const char *
frame_verdict_text(enum frame_verdict v)
{
	switch (v) {
	case FRAME_OK:
		return "well-formed";
	case FRAME_TOO_SHORT:
		return "frame shorter than a request header";
	case FRAME_TOO_LONG:
		return "frame above the size limit of its request (socket-request-max-bytes for Produce)";
	case FRAME_TLS:
		return "this looks like TLS; the port speaks plain Kafka (security.protocol=PLAINTEXT)";
	case FRAME_HTTP:
		return "this looks like HTTP; the port speaks the Kafka protocol";
	case FRAME_KEY_UNKNOWN:
		return "request key not served";
	case FRAME_VERSION:
		return "request version not served";
	case FRAME_STEP_DOWN:
		return "ApiVersions version not served";
	}
	return "";
}

bool
frame_request(struct request *ret, const struct api *api, const uint8_t *frame, uint32_t length)
{
	struct reader r = kr_open(frame, length, false);

	(void)kr_i16(&r);
	ret->api = api;
	ret->version = kr_i16(&r);
	ret->correlation = kr_i32(&r);
	ret->client_id = kr_string(&r);
	ret->flexible = r.flexible = ret->version >= api->flexible;
	kr_tags(&r);
	ret->body = r.p;
	ret->length = (uint32_t)kr_left(&r);
	return !r.bad;
}

void
frame_answer(struct writer *w, const struct request *rq)
{
	w->flexible = rq->flexible;
	kw_i32(w, 0);
	kw_i32(w, rq->correlation);
	if (rq->api->key != API_API_VERSIONS)
		kw_tags(w);
}
