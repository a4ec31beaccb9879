/* SPDX-License-Identifier: MIT
 * uuid.h - Kafka's Uuid: 16 bytes, as 22 characters of url-safe base64 without padding (RFC 4648, 5).
 * Source: apache/kafka, clients/.../common/Uuid.java. Pure; any thread. */
#ifndef KIRA_BASE_UUID_H
#define KIRA_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define UUID_TEXT 23 /* with its 0 */

static const char uuid_digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static inline void
uuid_put(char ret[UUID_TEXT], const uint8_t id[16])
{
	for (unsigned i = 0; i < 22; i++) {
		const unsigned bit = i * 6, at = bit / 8;
		const unsigned two = (unsigned)id[at] << 8 | (at + 1 < 16 ? id[at + 1] : 0);

		ret[i] = uuid_digit[two >> (10 - bit % 8) & 63];
	}
	ret[22] = 0;
}

static inline bool
uuid_parse(const char *text, uint8_t id[16])
{
	char again[UUID_TEXT];

	if (strlen(text) != 22)
		return false;
	memset(id, 0, 16);
	for (unsigned i = 0; i < 22; i++) {
		const char *at = strchr(uuid_digit, text[i]);
		const unsigned bit = i * 6, byte = bit / 8;
		const unsigned v = at ? (unsigned)(at - uuid_digit) << (10 - bit % 8) : 0;

		if (!at)
			return false;
		id[byte] |= (uint8_t)(v >> 8);
		if (byte + 1 < 16)
			id[byte + 1] |= (uint8_t)v;
	}
	uuid_put(again, id);
	return strcmp(again, text) == 0; /* no bits beyond the 128 */
}

#endif
