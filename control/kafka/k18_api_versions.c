/* SPDX-License-Identifier: MIT
 * k18_api_versions.c - what we speak. Thread: control.
 * A version that we do not serve gets a version 0 body with error 35 and one entry, never a reset:
 * clients step down on it. The response header never has tags. No features are announced. */
#include "control/kafka/serve.h"

#include "base/bits.h"

#include <kira/errors.h>

/* [a-zA-Z0-9]([a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool
software_name_legal(struct view v)
{
	for (uint32_t i = 0; i < v.len; i++) {
		const uint8_t ch = v.p[i];
		const bool word = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			(ch >= '0' && ch <= '9');

		if (!word && (i == 0 || i == v.len - 1 || (ch != '-' && ch != '.')))
			return false;
	}
	return v.len > 0;
}

static enum served
step_down(struct conn *c)
{
	struct writer *w = conn_answer(c);

	w->flexible = false;
	kw_i16(w, KIRA_E_UNSUPPORTED_VERSION);
	kw_array(w, 1);
	kw_i16(w, API_API_VERSIONS);
	kw_i16(w, c->rq.api->min);
	kw_i16(w, c->rq.api->max);
	return SERVED_ANSWER;
}

enum served
k18_api_versions(struct conn *c, uint64_t now_ns)
{
	const int16_t version = c->rq.version;
	int16_t error = 0;
	struct q_api_versions q;
	const struct api *row;
	struct writer *w;
	unsigned rows;
	int32_t n = 0;

	if (version < 0)
		return step_down(c);
	if (!q_api_versions(&q, &c->rq))
		return SERVED_MALFORMED;
	if (version >= 3 && (!software_name_legal(q.software) ||
		!software_name_legal(q.software_version)))
		error = KIRA_E_INVALID_REQUEST;
	row = api_rows(&rows);
	for (unsigned i = 0; i < rows; i++)
		n += row[i].min >= 0;
	w = conn_answer(c);
	kw_i16(w, error);
	kw_array(w, error ? 0 : n);
	for (unsigned i = 0; i < rows && !error; i++) {
		if (row[i].min < 0)
			continue;
		kw_i16(w, row[i].key);
		kw_i16(w, row[i].min);
		kw_i16(w, row[i].max);
		kw_tags(w);
	}
	if (version >= 1)
		kw_i32(w, 0);
	kw_tags(w);
	return SERVED_ANSWER;
}
