/* SPDX-License-Identifier: MIT
 * bits_ut.c - include/base/bits.h and bytes.h: rounding, serial numbers, byte order. */
#include "base/bits.h"

#include "base/bytes.h"
#include "tests/unit/ut.h"

static void
rounding_keeps_multiples_and_moves_the_rest(void)
{
	CU_ASSERT_EQUAL(round_up(0, 4096), 0);
	CU_ASSERT_EQUAL(round_up(1, 4096), 4096);
	CU_ASSERT_EQUAL(round_up(4096, 4096), 4096);
	CU_ASSERT_EQUAL(round_down(4095, 4096), 0);
	CU_ASSERT_EQUAL(round_down(8192, 4096), 8192);
}

static void
zero_is_no_power_of_two(void)
{
	CU_ASSERT_FALSE(is_pow2(0));
	CU_ASSERT_TRUE(is_pow2(1));
	CU_ASSERT_TRUE(is_pow2((uint64_t)1 << 63));
	CU_ASSERT_FALSE(is_pow2(6));
}

static void
serial_numbers_compare_across_the_wrap(void)
{
	CU_ASSERT_TRUE(serial_newer(1, 0));
	CU_ASSERT_TRUE(serial_newer(0, UINT32_MAX));
	CU_ASSERT_FALSE(serial_newer(UINT32_MAX, 0));
	CU_ASSERT_FALSE(serial_newer(5, 5));
	CU_ASSERT_TRUE(serial_newer(0x7fffffff, 0));
	CU_ASSERT_FALSE(serial_newer(0x80000000, 0));
}

static void
integers_go_out_big_endian_at_any_address(void)
{
	uint8_t b[16] = {0};

	put_be32(b + 1, 0x01020304);
	CU_ASSERT_TRUE(b[1] == 1 && b[2] == 2 && b[3] == 3 && b[4] == 4);
	CU_ASSERT_EQUAL(get_be32(b + 1), 0x01020304);
	put_be16(b + 3, 0xfffe);
	CU_ASSERT_EQUAL(get_be16(b + 3), 0xfffe);
	put_be64(b + 5, 0x0102030405060708);
	CU_ASSERT_EQUAL(b[5], 1);
	CU_ASSERT_EQUAL(b[12], 8);
	CU_ASSERT_EQUAL(get_be64(b + 5), 0x0102030405060708);
}

static const struct ut_test tests[] = {
	UT("bits", rounding_keeps_multiples_and_moves_the_rest),
	UT("bits", zero_is_no_power_of_two),
	UT("bits", serial_numbers_compare_across_the_wrap),
	UT("bytes", integers_go_out_big_endian_at_any_address),
};

UT_MAIN(tests)
