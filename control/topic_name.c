/* SPDX-License-Identifier: MIT
 * topic_name.c - topic names, as Kafka's Topic.java judges them. Pure. */
#include "control/topic_name.h"

#include "base/bits.h"

#define NAME_MAX_BYTES 249

bool
topic_name_legal(struct view name)
{
	if (!name.p || name.len < 1 || name.len > NAME_MAX_BYTES)
		return false;
	for (uint32_t i = 0; i < name.len; i++) {
		const uint8_t c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '.' || c == '_' || c == '-'))
			return false;
	}
	return !(name.p[0] == '.' && (name.len == 1 || (name.len == 2 && name.p[1] == '.')));
}

bool
topic_name_internal(struct view name)
{
	static const char *const names[] = {"__consumer_offsets", "__transaction_state"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (name.len == strlen(names[i]) && memcmp(name.p, names[i], name.len) == 0)
			return true;
	return false;
}

static uint8_t
folded(uint8_t c)
{
	return c == '.' ? '_' : c;
}

bool
topic_name_collides(struct view a, struct view b)
{
	if (a.len != b.len)
		return false;
	for (uint32_t i = 0; i < a.len; i++)
		if (folded(a.p[i]) != folded(b.p[i]))
			return false;
	return true;
}

uint32_t
topic_name_hash(struct view name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (uint32_t i = 0; i < name.len; i++)
		h = (h ^ folded(name.p[i])) * 16777619u;
	return h;
}
