/* SPDX-License-Identifier: MIT
 * frame_ut.c - what is let in, and the advertised version ranges as a golden table. */
#include "control/kafka/frame.h"

#include "base/bits.h"
#include "base/writer.h"
#include "tests/unit/ut.h"

#define PRODUCE_MAX (100 * 1024 * 1024)

static enum frame_verdict
judge(uint32_t size, int16_t key, int16_t version)
{
	struct frame_head h;
	uint8_t b[FRAME_FIRST];

	put_be32(b, size);
	put_be16(b + 4, (uint16_t)key);
	put_be16(b + 6, (uint16_t)version);
	return frame_judge(b, PRODUCE_MAX, &h);
}

static void
frames_are_judged_by_their_first_eight_bytes(void)
{
	CU_ASSERT_EQUAL(judge(8, API_API_VERSIONS, 0), FRAME_OK);
	CU_ASSERT_EQUAL(judge(7, API_API_VERSIONS, 0), FRAME_TOO_SHORT);
	CU_ASSERT_EQUAL(judge(0, API_API_VERSIONS, 0), FRAME_TOO_SHORT);
	CU_ASSERT_EQUAL(judge(0x80000000u, API_PRODUCE, 3), FRAME_TOO_SHORT);
	CU_ASSERT_EQUAL(judge(PRODUCE_MAX, API_PRODUCE, 3), FRAME_OK);
	CU_ASSERT_EQUAL(judge(PRODUCE_MAX + 1, API_PRODUCE, 3), FRAME_TOO_LONG);
	CU_ASSERT_EQUAL(judge(1024 * 1024, API_FETCH, 4), FRAME_OK);
	CU_ASSERT_EQUAL(judge(1024 * 1024 + 1, API_FETCH, 4), FRAME_TOO_LONG);
	CU_ASSERT_EQUAL(judge(32 * 1024 + 1, API_OPEN_SESSION, 0), FRAME_TOO_LONG);
	CU_ASSERT_EQUAL(judge(100, 4, 0), FRAME_KEY_UNKNOWN);
	CU_ASSERT_EQUAL(judge(100, -1, 0), FRAME_KEY_UNKNOWN);
	CU_ASSERT_EQUAL(judge(100, API_FETCH, 3), FRAME_VERSION);
	CU_ASSERT_EQUAL(judge(100, API_FETCH, 18), FRAME_VERSION);
	CU_ASSERT_EQUAL(judge(100, API_PRODUCE, 2), FRAME_VERSION); /* advertised, not served */
	CU_ASSERT_EQUAL(judge(100, API_PRODUCE, -1), FRAME_VERSION);
	CU_ASSERT_EQUAL(judge(100, API_API_VERSIONS, 5), FRAME_STEP_DOWN);
	CU_ASSERT_EQUAL(judge(100, API_API_VERSIONS, -1), FRAME_STEP_DOWN);
	CU_ASSERT_EQUAL(judge(100, API_OPEN_SESSION, 7), FRAME_OK); /* answered 35 by its handler */
}

static void
tls_and_http_are_called_by_their_name(void)
{
	struct frame_head h;

	CU_ASSERT_EQUAL(frame_judge((const uint8_t *)"\x16\x03\x01\x02\x00\x01\x00\x01", PRODUCE_MAX, &h),
		FRAME_TLS);
	CU_ASSERT_EQUAL(frame_judge((const uint8_t *)"GET / HT", PRODUCE_MAX, &h), FRAME_HTTP);
	CU_ASSERT_EQUAL(frame_judge((const uint8_t *)"POST /x ", PRODUCE_MAX, &h), FRAME_HTTP);
}

/* key, min, max as ApiVersions lists them. Both ends are load-bearing: see kafka/README.md before
 * changing a line. */
static const int16_t golden_range[][3] = {
	{0, 0, 11}, {1, 4, 17}, {2, 1, 7}, {3, 0, 12}, {8, 2, 9}, {9, 1, 9}, {10, 0, 4}, {11, 0, 9},
	{12, 0, 4}, {13, 0, 5}, {14, 0, 5}, {15, 0, 5}, {16, 0, 5}, {18, 0, 4}, {19, 2, 7},
	{20, 1, 6}, {21, 0, 2}, {22, 0, 4}, {23, 2, 4}, {29, 1, 3}, {30, 1, 3}, {31, 1, 3},
	{32, 1, 4}, {33, 0, 2}, {35, 1, 4}, {37, 0, 3}, {42, 0, 2}, {43, 0, 2}, {44, 0, 1},
	{46, 0, 0}, {47, 0, 0}, {60, 0, 1}, {61, 0, 0}, {75, 0, 0},
};

static void
advertised_ranges_are_the_golden_ones(void)
{
	unsigned n, listed = 0;
	const struct api *row = api_rows(&n);

	for (unsigned i = 0; i < n; i++) {
		if (row[i].min < 0)
			continue;
		CU_ASSERT_FATAL(listed < ARRAY_LENGTH(golden_range));
		CU_ASSERT_EQUAL(row[i].key, golden_range[listed][0]);
		CU_ASSERT_EQUAL(row[i].min, golden_range[listed][1]);
		CU_ASSERT_EQUAL(row[i].max, golden_range[listed][2]);
		listed++;
	}
	CU_ASSERT_EQUAL(listed, ARRAY_LENGTH(golden_range));
	CU_ASSERT_EQUAL(api_find(API_OPEN_SESSION)->min, -1);
}

static void
the_header_keeps_its_i16_client_id_in_flexible_versions(void)
{
	static const uint8_t old[] = {0, 1, 0, 4, 0, 0, 0, 9, 0, 2, 'm', 'e', 0xaa},
			     flexible[] = {0, 1, 0, 12, 0, 0, 0, 9, 0, 2, 'm', 'e', 0, 0xaa},
			     null_id[] = {0, 1, 0, 4, 0, 0, 0, 9, 0xff, 0xff, 0xaa};
	struct request rq;

	CU_ASSERT_TRUE(frame_request(&rq, api_find(API_FETCH), old, sizeof(old)));
	CU_ASSERT_EQUAL(rq.correlation, 9);
	CU_ASSERT_EQUAL(rq.client_id.len, 2);
	CU_ASSERT_EQUAL(rq.length, 1);
	CU_ASSERT_FALSE(rq.flexible);
	CU_ASSERT_TRUE(frame_request(&rq, api_find(API_FETCH), flexible, sizeof(flexible)));
	CU_ASSERT_TRUE(rq.flexible);
	CU_ASSERT_EQUAL(rq.length, 1);
	CU_ASSERT_EQUAL(rq.body[0], 0xaa);
	CU_ASSERT_TRUE(frame_request(&rq, api_find(API_FETCH), null_id, sizeof(null_id)));
	CU_ASSERT_PTR_NULL(rq.client_id.p);
	CU_ASSERT_FALSE(frame_request(&rq, api_find(API_FETCH), old, 10));
}

static void
an_api_versions_answer_has_no_tags_in_its_header(void)
{
	struct request rq = {.api = api_find(API_API_VERSIONS), .version = 3, .flexible = true,
		.correlation = 5};
	struct writer w;
	uint8_t b[32];

	w = kw_open(b, sizeof(b), false);
	frame_answer(&w, &rq);
	CU_ASSERT_EQUAL(kw_length(&w), 8);
	rq.api = api_find(API_METADATA);
	w = kw_open(b, sizeof(b), false);
	frame_answer(&w, &rq);
	CU_ASSERT_EQUAL(kw_length(&w), 9);
	CU_ASSERT_EQUAL(get_be32(b + 4), 5);
}

static const struct ut_test tests[] = {
	UT("frame", frames_are_judged_by_their_first_eight_bytes),
	UT("frame", tls_and_http_are_called_by_their_name),
	UT("frame", the_header_keeps_its_i16_client_id_in_flexible_versions),
	UT("frame", an_api_versions_answer_has_no_tags_in_its_header),
	UT("api", advertised_ranges_are_the_golden_ones),
};
UT_MAIN(tests)
