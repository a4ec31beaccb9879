/* SPDX-License-Identifier: MIT
 * sequences_ut.c - storage/producer_state.c judges each batch of tests/golden/wire/sequences.txt as the
 * vectors say, which another program made from PROTOCOL.md. */
#include "storage/producer_state.h"

#include "base/clock.h"
#include "tests/unit/ut.h"
#include "tests/unit/vectors.h"

#include <inttypes.h>
#include <string.h>

#define ID   4711
#define NOW  (10 * NS_PER_S)
#define LAST(first, count) ((int32_t)(((uint32_t)(first) + (uint32_t)(count) - 1) & INT32_MAX))

static struct vector v;

static void
told(enum producer_verdict verdict, int64_t offset, char text[32])
{
	static const char *const name[] = {[PRODUCER_NEXT] = "append", [PRODUCER_FENCED] = "fenced",
		[PRODUCER_UNPROVEN] = "unproven", [PRODUCER_AHEAD] = "early"};

	if (verdict == PRODUCER_DUPLICATE || verdict == PRODUCER_LONG_AGO)
		(void)snprintf(text, 32, "again %" PRId64, verdict == PRODUCER_DUPLICATE ? offset : -1);
	else
		(void)snprintf(text, 32, "%s", name[verdict]);
}

static void
each_batch_is_judged_as_the_vectors_say(void)
{
	FILE *f = vectors_open("sequences.txt");
	unsigned n = 0;

	for (; vectors_next(f, &v); n++) {
		enum producer_verdict verdict;
		struct producers *p;
		const char *text;
		int32_t first, count;
		int64_t offset = -1;
		int16_t epoch;
		char got[32];

		CU_ASSERT_TRUE_FATAL(producers_open(&p, 16, 1));
		for (unsigned i = 0; (text = vector_text(&v, "stored", i)) != NULL; i++) {
			CU_ASSERT_EQUAL_FATAL(sscanf(text, "%" SCNd16 " %" SCNd32 " %" SCNd32 " %" SCNd64,
				&epoch, &first, &count, &offset), 4);
			producers_stored(p, 0, ID, epoch, first, LAST(first, count), offset, 1000, NOW);
		}
		text = vector_text(&v, "batch", 0);
		CU_ASSERT_EQUAL_FATAL(sscanf(text, "%" SCNd16 " %" SCNd32 " %" SCNd32, &epoch, &first,
			&count), 3);
		verdict = producers_judge(p, 0, ID, epoch, first, LAST(first, count),
			vector_is(&v, "over", "udp"), NOW, &offset);
		told(verdict, offset, got);
		if (!vector_is(&v, "verdict", got)) {
			fprintf(stderr, "%s: judged as %s\n", v.name, got);
			CU_FAIL("judged as something else");
		}
		producers_close(p);
	}
	CU_ASSERT(n >= 30);
	(void)fclose(f);
}

static const struct ut_test tests[] = {
	UT("sequences", each_batch_is_judged_as_the_vectors_say),
};
UT_MAIN(tests)
