/* SPDX-License-Identifier: MIT
 * faults_ut.c - each datagram of tests/golden/wire/faults.txt is counted as what it is, and answered
 * as it says. */
#include "tests/unit/dataplane/turn_ut.h"

#include "tests/unit/vectors.h"

#include <string.h>

static const char *const drop_name[DROPS] = {
#define DROP(name, counter, text) [DROP_##name] = counter,
#include "dataplane/drop.def"
#undef DROP
};
static struct vector v;

/* The vectors' session is the one that was granted here. */
static void
put_vector(const struct session *s)
{
	static struct frame f;
	uint8_t *p;

	if (vector_is(&v, "layer", "frame")) {
		f.len = (uint16_t)v.len;
		memcpy(f.bytes, v.bytes, v.len);
		world_put(&f);
		return;
	}
	p = world_udp(&f, (uint16_t)v.len);
	memcpy(p, v.bytes, v.len);
	if (get_be32(p + KUP_OFF_SESSION) == 0x0100002a)
		put_be32(p + KUP_OFF_SESSION, s->who.session_id);
	put_be16(f.bytes + 34, vector_u16(&v, "source"));
	world_sums(&f);
	world_put(&f);
}

/* What happened before. */
static struct session *
given(void)
{
	const bool full = vector_is(&v, "given", "full");
	struct session *s;
	struct frame f;

	world_begin(64, full ? 8 : 0);
	s = world_grant(32, KUP_CAP_WANT_OFFSETS);
	CU_ASSERT_EQUAL_FATAL(s->window.credit_limit, 16); /* D1's vector is one beyond it */
	if (full) {
		for (uint32_t i = 1; i <= 8; i++)
			world_data(s, i, 1, 0, -1, -1);
		world_rx();
	} else if (vector_is(&v, "given", "received")) {
		world_data(s, 1, 1, 0, PRODUCER, 0);
		settle();
	} else if (vector_is(&v, "given", "ended")) {
		const struct cwire_session who = {.id = s->who.session_id, .secret = s->who.secret};

		(void)cwire_close(world_udp(&f, KUP_FLOOR), &who, 1);
		world_sums(&f);
		world_put(&f);
		world_rx();
	} else if (vector_is(&v, "given", "draining")) {
		world.draining = true;
		settle();
	} else {
		CU_ASSERT_TRUE(vector_is(&v, "given", "-"));
	}
	world_clear();
	return s;
}

static bool
is_answered(const char *want)
{
	static const struct {
		const char *name;
		uint8_t type;
	} kind[] = {{"ACK", KUP_ACK}, {"PONG", KUP_PONG}, {"RESET", KUP_RESET}};

	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++)
		if ((world_answer(kind[i].type) != NULL) != (strcmp(want, kind[i].name) == 0))
			return false;
	return true;
}

static int64_t
error_told(void)
{
	const uint8_t *ack = world_answer(KUP_ACK);

	if (!ack || ack[KUP_ACK_R] == 0)
		return 0;
	ack += ack_length(ack[KUP_ACK_N], 0);
	return (int16_t)get_be16(ack + KUP_RESULT_ERROR);
}

static void
each_fault_is_counted_and_answered_as_the_vectors_say(void)
{
	FILE *file = vectors_open("faults.txt");
	unsigned n = 0, counted = 0;

	for (; vectors_next(file, &v); n++) {
		struct session *s = given();
		uint64_t before[DROPS];

		for (unsigned i = 0; i < DROPS; i++)
			before[i] = counter_read(&world.drop[i]);
		put_vector(s);
		world_rx();
		if (!vector_is(&v, "given", "full"))
			settle();
		for (unsigned i = 0; i < DROPS; i++) {
			const bool its = vector_is(&v, "counts", drop_name[i]);

			counted += its;
			if (counter_read(&world.drop[i]) - before[i] == its)
				continue;
			fprintf(stderr, "%s: %s rose by %u\n", v.name, drop_name[i],
				(unsigned)(counter_read(&world.drop[i]) - before[i]));
			CU_FAIL("counted as something else");
		}
		if (!is_answered(vector_text(&v, "answer", 0)) ||
			error_told() != vector_int(&v, "error")) {
			fprintf(stderr, "%s: another answer; error %d\n", v.name, (int)error_told());
			CU_FAIL("answered with something else");
		}
		world_store();
		end();
	}
	CU_ASSERT(n >= 30 && counted >= 19);
	(void)fclose(file);
}

static const struct ut_test tests[] = {
	UT("faults", each_fault_is_counted_and_answered_as_the_vectors_say),
};
UT_MAIN(tests)
