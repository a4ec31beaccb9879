/* SPDX-License-Identifier: MIT
 * limits_ut.c - control/limits.c: what is said, and to whom nothing. */
#include "control/limits.c"

#include "tests/unit/ut.h"

#include <string.h>

static char text[2][LIMITS_TEXT];

static void
the_defaults_fit_a_common_machine(void)
{
	const struct config cfg = {.max_partitions = 1024, .max_connections = 4096};

	CU_ASSERT_EQUAL(limits_judge(&cfg, 524288, 65530, text), 0);
	CU_ASSERT_EQUAL(limits_judge(&cfg, 9216, 8192, text), 0);
}

static void
what_is_too_low_is_named_with_the_command_that_raises_it(void)
{
	const struct config cfg = {.max_partitions = 20000, .max_connections = 4096};

	CU_ASSERT_EQUAL_FATAL(limits_judge(&cfg, 4096, 65530, text), 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(text[0], "limited to 4096"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text[0], "LimitNOFILE=66144"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text[1], "sysctl -w vm.max_map_count=84096"));
	CU_ASSERT_TRUE(strlen(text[0]) < LIMITS_TEXT - 1 && strlen(text[1]) < LIMITS_TEXT - 1);
	CU_ASSERT_EQUAL_FATAL(limits_judge(&cfg, 70000, 65530, text), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text[0], "memory maps"));
}

static const struct ut_test tests[] = {
	UT("limits", the_defaults_fit_a_common_machine),
	UT("limits", what_is_too_low_is_named_with_the_command_that_raises_it),
};

UT_MAIN(tests)
