/* SPDX-License-Identifier: MIT
 * blast_frame_ut.c - tests of dataplane/blast/blast_frame.c. */
#include "dataplane/blast/blast_frame.c"

#include "base/reader.h"
#include "dataplane/client/client_batch.h"
#include "tests/unit/ut.h"

static struct frame_template t;
static uint8_t frame[FRAME_MAX];
static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t ip_a[4] = {127, 18, 0, 2}, ip_b[4] = {127, 18, 0, 1};

static void
make(uint32_t value, uint32_t batch, const struct frame_batch *b)
{
	struct frame_link link;
	const struct cwire_session s = {.id = 5, .secret = 6};
	struct err err;

	CU_ASSERT_EQUAL_FATAL(frame_template_build(&t, value, batch, &err), 0);
	memcpy(frame, t.bytes, t.frame_bytes);
	frame_link_build(&link, mac_a, mac_b, ip_a, ip_b, 20000, 9104);
	frame_patch(&t, frame, b);
	cwire_data(frame + FRAME_LINK, &s, 1, 2, 3, b->partition, 0, 0);
	frame_seal(frame, t.datagram_bytes, &link);
}

static void
a_patched_frame_holds_a_batch_that_a_broker_takes(void)
{
	const struct frame_batch b = {.producer_id = 77, .partition = 4, .number = 1000,
		.sched_ns = 123456789, .wall_ms = 1700000000000};
	const uint8_t *batch = frame + FRAME_BATCH;
	struct reader r;

	make(100, 1408, &b);
	CU_ASSERT(t.records >= 12 && t.batch_bytes <= 1408);
	CU_ASSERT_EQUAL(rb_total(batch), t.batch_bytes);
	CU_ASSERT_EQUAL(rb_count(batch), (int32_t)t.records);
	CU_ASSERT_EQUAL(rb_last_offset_delta(batch), (int32_t)t.records - 1);
	CU_ASSERT_EQUAL(rb_producer_id(batch), 77);
	CU_ASSERT_EQUAL(rb_base_sequence(batch), 1000);
	CU_ASSERT_EQUAL(rb_crc(batch), crc32c(batch + RB_ATTRIBUTES, t.batch_bytes - RB_ATTRIBUTES));
	r = kr_open(batch + RB_HEADER, t.batch_bytes - RB_HEADER, false);
	for (uint32_t i = 0; i < t.records; i++) {
		const int32_t length = kr_varint(&r);
		const uint8_t *end = r.p + length;
		const uint8_t *value;

		CU_ASSERT_EQUAL(kr_u8(&r), 0);
		CU_ASSERT_EQUAL(kr_varlong(&r), 0);
		CU_ASSERT_EQUAL(kr_varint(&r), (int32_t)i);
		CU_ASSERT_EQUAL(kr_varint(&r), -1);
		CU_ASSERT_EQUAL(kr_varint(&r), 100);
		value = kr_take(&r, 100);
		CU_ASSERT_EQUAL_FATAL(r.bad, false);
		CU_ASSERT_EQUAL(get_be64(value), frame_number(77, 1000 + i));
		CU_ASSERT_EQUAL(get_be64(value + 8), 123456789);
		CU_ASSERT_EQUAL(kr_varint(&r), 0);
		CU_ASSERT_PTR_EQUAL(r.p, end);
	}
	CU_ASSERT_EQUAL(kr_left(&r), 0);
}

static void
patching_again_for_the_same_batch_makes_the_same_bytes(void)
{
	const struct frame_batch b = {.producer_id = 77, .number = 1000, .sched_ns = 5, .wall_ms = 6};
	const struct frame_batch other = {.producer_id = 78, .number = 99999, .sched_ns = 50,
		.wall_ms = 60, .epoch = 3};
	static uint8_t first[FRAME_MAX];

	make(64, 1408, &b);
	memcpy(first, frame + FRAME_BATCH, t.batch_bytes);
	frame_patch(&t, frame, &other);
	CU_ASSERT_NOT_EQUAL(memcmp(first, frame + FRAME_BATCH, t.batch_bytes), 0);
	frame_patch(&t, frame, &b);
	CU_ASSERT_EQUAL(memcmp(first, frame + FRAME_BATCH, t.batch_bytes), 0);
}

static void
what_was_sealed_parses_and_a_flipped_bit_does_not(void)
{
	const struct frame_batch b = {.producer_id = 1};
	struct frame_datagram d;

	for (uint32_t value = 16; value < 40; value++) {
		make(value, 61 + 2 * (value + 10), &b);
		CU_ASSERT_EQUAL_FATAL(frame_parse(frame, t.frame_bytes, ip_b, &d), true);
		CU_ASSERT_EQUAL(d.length, t.datagram_bytes);
		CU_ASSERT_EQUAL(d.from_port, 20000);
		CU_ASSERT_EQUAL(d.to_port, 9104);
		CU_ASSERT_FALSE(frame_parse(frame, t.frame_bytes, ip_a, &d));
		CU_ASSERT_FALSE(frame_parse(frame, t.frame_bytes - 1, ip_b, &d));
		for (uint32_t at = FRAME_ETHER + FRAME_IP; at < t.frame_bytes; at += 7) {
			frame[at] ^= 0x10;
			CU_ASSERT_FALSE(frame_parse(frame, t.frame_bytes, ip_b, &d));
			frame[at] ^= 0x10;
		}
	}
}

static void
the_sum_is_that_of_rfc_1071(void)
{
	static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint8_t bytes[103];
	uint32_t want = 0;

	CU_ASSERT_EQUAL(frame_sum(example, 8), htobe16(0xddf2));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (unsigned i = 0; i + 1 < sizeof(bytes); i += 2)
		want += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	want += (uint32_t)bytes[102] << 8;
	while (want >> 16)
		want = (want & 0xffff) + (want >> 16);
	CU_ASSERT_EQUAL(frame_sum(bytes, sizeof(bytes)), htobe16((uint16_t)want));
}

static void
a_record_that_fits_no_batch_is_refused_with_the_size_it_needs(void)
{
	struct err err = {""};

	CU_ASSERT(frame_template_build(&t, 2000, 1408, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--batch"));
	CU_ASSERT(frame_template_build(&t, 8, 1408, &err) < 0);
	CU_ASSERT_EQUAL(frame_template_build(&t, 8800, 8940, &err), 0);
}

static void
a_small_batch_is_padded_to_the_floor_with_zeros(void)
{
	const struct frame_batch b = {.producer_id = 1};

	make(16, 96, &b);
	CU_ASSERT_EQUAL(t.records, 1);
	CU_ASSERT_EQUAL(t.datagram_bytes, KUP_FLOOR);
	for (uint32_t i = FRAME_BATCH + t.batch_bytes; i < t.frame_bytes; i++)
		CU_ASSERT_EQUAL(frame[i], 0);
}

static const struct ut_test tests[] = {
	UT("frame", a_patched_frame_holds_a_batch_that_a_broker_takes),
	UT("frame", patching_again_for_the_same_batch_makes_the_same_bytes),
	UT("frame", what_was_sealed_parses_and_a_flipped_bit_does_not),
	UT("frame", the_sum_is_that_of_rfc_1071),
	UT("frame", a_record_that_fits_no_batch_is_refused_with_the_size_it_needs),
	UT("frame", a_small_batch_is_padded_to_the_floor_with_zeros),
};
UT_MAIN(tests)
