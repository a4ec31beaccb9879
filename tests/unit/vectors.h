/* SPDX-License-Identifier: MIT
 * vectors.h - the test vectors of tests/golden/wire/, whose README.md has the format. Thread: main.
 * A file that cannot be read, or is none, ends the program. */
#ifndef KIRA_TESTS_VECTORS_H
#define KIRA_TESTS_VECTORS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct vector {
	char name[64];
	uint32_t len;
	unsigned fields;
	struct {
		char key[32], value[280];
	} field[80];
	uint8_t bytes[9100];
};

/* By the name of the file. The caller closes it. */
FILE *vectors_open(const char *file);
/* The next one; false: there is no other. */
bool vectors_next(FILE *f, struct vector *ret);

/* Line number `nth` (from 0) of that key; NULL: there are not as many. */
const char *vector_text(const struct vector *v, const char *key, unsigned nth);
/* A number that must be there; of unsigned 64 bits the same bits. */
int64_t vector_int(const struct vector *v, const char *key);
static inline uint8_t
vector_u8(const struct vector *v, const char *key)
{
	return (uint8_t)vector_int(v, key);
}
static inline uint16_t
vector_u16(const struct vector *v, const char *key)
{
	return (uint16_t)vector_int(v, key);
}
static inline uint32_t
vector_u32(const struct vector *v, const char *key)
{
	return (uint32_t)vector_int(v, key);
}
bool vector_is(const struct vector *v, const char *key, const char *value);

#endif
