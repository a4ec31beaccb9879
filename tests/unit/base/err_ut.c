/* SPDX-License-Identifier: MIT
 * err_ut.c - include/base/err.h: the sentence grows in front, is cut and never overrun. */
#include "base/err.h"

#include "tests/unit/ut.h"

#include <errno.h>

static void
context_is_put_in_front(void)
{
	struct err err = {""};

	CU_ASSERT_EQUAL(err_sys(&err, -ENOSPC, "reserve %d bytes", 5), -ENOSPC);
	err_prefix(&err, "partition %d: ", 3);
	err_prefix(&err, "cannot create topic %s: ", "orders");
	CU_ASSERT_STRING_EQUAL(err.text, "cannot create topic orders: partition 3: reserve 5 bytes: "
			"No space left on device");
}

static void
a_sentence_that_is_too_long_is_cut(void)
{
	struct {
		struct err err;
		char after[8];
	} guard;
	char text[600];

	memset(&guard, 0x55, sizeof(guard));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	err_set(&guard.err, "%s", text);
	CU_ASSERT_EQUAL(strlen(guard.err.text), sizeof(guard.err.text) - 1);
	CU_ASSERT_EQUAL(err_sys(&guard.err, -EIO, "%s", text), -EIO);
	err_prefix(&guard.err, "%s", "front: ");
	CU_ASSERT_EQUAL(strncmp(guard.err.text, "front: xxx", 10), 0);
	CU_ASSERT_EQUAL(strlen(guard.err.text), sizeof(guard.err.text) - 1);
	for (unsigned i = 0; i < sizeof(guard.after); i++)
		CU_ASSERT_EQUAL(guard.after[i], 0x55);
}

static const struct ut_test tests[] = {
	UT("err", context_is_put_in_front),
	UT("err", a_sentence_that_is_too_long_is_cut),
};

UT_MAIN(tests)
