/* SPDX-License-Identifier: MIT
 * crc32c_ut.c - include/base/crc32c.h against the published vectors of RFC 3720, B.4. */
#include "base/crc32c.h"

#include "tests/unit/ut.h"

#include <string.h>

static void
the_check_value_is_the_published_one(void)
{
	CU_ASSERT_EQUAL(crc32c("123456789", 9), 0xE3069283);
	CU_ASSERT_EQUAL(crc32c("", 0), 0);
}

static void
the_vectors_of_rfc_3720_hold(void)
{
	uint8_t b[32];

	memset(b, 0, sizeof(b));
	CU_ASSERT_EQUAL(crc32c(b, sizeof(b)), 0x8A9136AA);
	memset(b, 0xff, sizeof(b));
	CU_ASSERT_EQUAL(crc32c(b, sizeof(b)), 0x62A8AB43);
	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)i;
	CU_ASSERT_EQUAL(crc32c(b, sizeof(b)), 0x46DD794E);
	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(31 - i);
	CU_ASSERT_EQUAL(crc32c(b, sizeof(b)), 0x113FDB5C);
}

static void
a_crc_taken_in_two_steps_is_the_crc_of_the_whole(void)
{
	uint8_t b[300];

	for (unsigned i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 7 + 3);
	for (size_t cut = 0; cut <= sizeof(b); cut++)
		if (crc32c_more(crc32c(b, cut), b + cut, sizeof(b) - cut) != crc32c(b, sizeof(b)))
			CU_FAIL("the two steps differ");
}

static const struct ut_test tests[] = {
	UT("crc32c", the_check_value_is_the_published_one),
	UT("crc32c", the_vectors_of_rfc_3720_hold),
	UT("crc32c", a_crc_taken_in_two_steps_is_the_crc_of_the_whole),
};

UT_MAIN(tests)
