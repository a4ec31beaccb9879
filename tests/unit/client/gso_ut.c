/* SPDX-License-Identifier: MIT
 * gso_ut.c - dataplane/client/client_gso.c and client_udp.c: which datagrams leave as one burst, what a
 * kernel or a path that takes none changes. Over loopback sockets; sendmmsg may be the test's. */
#include "tests/unit/ut.h"

#include <errno.h>
#include <sys/socket.h>

static int refuse_with; /* errno of a message with a control part; 0: the kernel's own affair */

static int
send_messages(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	if (refuse_with && m[0].msg_hdr.msg_controllen > 0) {
		errno = refuse_with;
		return -1;
	}
	return sendmmsg(fd, m, refuse_with ? 1 : n, flags);
}
#define sendmmsg send_messages

#include "dataplane/client/client_gso.c"
#include "dataplane/client/client_udp.c"

/* ---- Sockets ------------------------------------------------------------------------------- */

#define BYTE_OF(tx) ((uint8_t)(0x40 + (tx)))

static struct cudp *from;
static int to;
static uint8_t bytes[CUDP_BURST][1472];
static unsigned told, told_count, told_sum;
static uint32_t told_first;

static void
on_burst(void *arg, uint32_t first_tx, uint32_t count)
{
	told++;
	told_first = first_tx;
	told_count = count;
	told_sum += count;
}

static void
open_pair(void)
{
	struct sockaddr_storage at = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&at;
	socklen_t n = sizeof(*in);
	struct err err;

	refuse_with = 0;
	told = told_sum = 0;
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	to = socket(AF_INET, SOCK_DGRAM, 0);
	CU_ASSERT_FATAL(to >= 0 && bind(to, (struct sockaddr *)in, n) == 0);
	CU_ASSERT_FATAL(cudp_open(&from, &at, n, &err) == 0);
	CU_ASSERT_FATAL(getsockname(to, (struct sockaddr *)in, &n) == 0);
	CU_ASSERT_FATAL(cudp_connect(from, &at, n, &err) == 0);
	CU_ASSERT_FATAL(cudp_takes_bursts(from));
	cudp_on_burst(from, on_burst, NULL);
	for (unsigned i = 0; i < CUDP_BURST; i++)
		memset(bytes[i], BYTE_OF(i + 1), sizeof(bytes[i]));
}

static void
close_pair(void)
{
	cudp_close(from);
	(void)close(to);
}

static void
data(uint32_t tx, uint32_t length, unsigned bursts)
{
	cudp_send_data(from, bytes[tx - 1], length, tx, bursts);
}

/* The next datagram that came: its length; it begins with `length` bytes of that one, zeros follow. */
static ssize_t
came(uint32_t tx, uint32_t length)
{
	uint8_t got[2000];
	const ssize_t n = recv(to, got, sizeof(got), MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		if (got[i] != (i < (ssize_t)length ? BYTE_OF(tx) : 0))
			return -1;
	return n;
}

static void
datagrams_of_about_one_size_leave_as_one_burst_and_arrive_as_what_they_are(void)
{
	static const uint32_t length[] = {1400, 1472, 1391, 1460, 1472, 700};

	open_pair();
	for (uint32_t i = 0; i < 6; i++)
		data(i + 1, length[i], 1);
	cudp_flush(from);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_first, 1);
	CU_ASSERT_EQUAL(told_count, 6);
	for (uint32_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(came(i + 1, length[i]), 1472);
	CU_ASSERT_EQUAL(came(6, 700), 700);
	CU_ASSERT_EQUAL(came(7, 0), -1);
	close_pair();
}

static void
what_may_not_be_padded_or_differs_too_much_ends_a_burst(void)
{
	open_pair();
	for (uint32_t i = 1; i <= 4; i++)
		data(i, 1000, CUDP_BURST);
	cudp_send(from, bytes[4], 1000); /* a PING: no number */
	for (uint32_t i = 6; i <= 8; i++)
		data(i, 1000, CUDP_BURST);
	data(9, 1472, CUDP_BURST);
	for (uint32_t i = 10; i <= 13; i++)
		data(i, 1472, CUDP_BURST);
	cudp_flush(from);
	/* 1-4; the PING; 6, 7, 8 are too few; 9-13. */
	CU_ASSERT_EQUAL(told, 2);
	CU_ASSERT_EQUAL(told_sum, 4 + 5);
	CU_ASSERT_EQUAL(told_first, 9);
	CU_ASSERT_EQUAL(told_count, 5);
	for (uint32_t i = 1; i <= 8; i++)
		CU_ASSERT_EQUAL(came(i, 1000), 1000);
	for (uint32_t i = 9; i <= 13; i++)
		CU_ASSERT_EQUAL(came(i, 1472), 1472);
	close_pair();
}

static void
no_more_bursts_than_allowed_and_none_beyond_an_ip_packet(void)
{
	open_pair();
	for (uint32_t i = 1; i < CUDP_BURST; i++)
		data(i, 1472, 1);
	cudp_flush(from);
	CU_ASSERT_EQUAL(told, 1);
	CU_ASSERT_EQUAL(told_count, BURST_BYTES / 1472);
	for (uint32_t i = 1; i < CUDP_BURST; i++)
		CU_ASSERT_EQUAL(came(i, 1472), 1472);
	for (uint32_t i = 1; i <= 8; i++)
		data(i, 1472, 0);
	cudp_flush(from);
	CU_ASSERT_EQUAL(told, 1);
	for (uint32_t i = 1; i <= CUDP_BURST; i++) /* the last one flushes */
		data(i, 256, CUDP_BURST);
	CU_ASSERT_EQUAL(told, 2);
	CU_ASSERT_EQUAL(told_count, CUDP_BURST);
	close_pair();
}

static void
of_a_burst_that_the_kernel_refuses_each_goes_by_itself(void)
{
	static const int error[] = {EMSGSIZE, ENOBUFS, EIO};

	open_pair();
	for (unsigned k = 0; k < ARRAY_LENGTH(error); k++) {
		refuse_with = error[k];
		CU_ASSERT_TRUE(cudp_takes_bursts(from));
		for (uint32_t i = 1; i <= 4; i++)
			data(i, 1400 + i, CUDP_BURST);
		cudp_send(from, bytes[4], 300);
		cudp_flush(from);
		for (uint32_t i = 1; i <= 4; i++)
			CU_ASSERT_EQUAL(came(i, 1400 + i), 1400 + i);
		CU_ASSERT_EQUAL(came(5, 300), 300);
	}
	/* EIO: an interface without checksums; never again. */
	CU_ASSERT_FALSE(cudp_takes_bursts(from));
	for (uint32_t i = 1; i <= 4; i++)
		data(i, 1400, CUDP_BURST);
	cudp_flush(from);
	CU_ASSERT_EQUAL(told, 0);
	CU_ASSERT_EQUAL(came(1, 1400), 1400);
	close_pair();
}

/* Its MTU was lowered, say: that may pass. */
static void
after_one_that_the_kernel_found_invalid_it_is_left_alone_for_a_while(void)
{
	unsigned flushes = 0;

	open_pair();
	refuse_with = EINVAL;
	for (uint32_t i = 1; i <= 4; i++)
		data(i, 1400, CUDP_BURST);
	cudp_flush(from);
	refuse_with = 0;
	for (uint32_t i = 1; i <= 4; i++)
		CU_ASSERT_EQUAL(came(i, 1400), 1400);
	while (told == 0 && flushes < 1000) {
		for (uint32_t i = 1; i <= 4; i++)
			data(i, 1400, CUDP_BURST);
		cudp_flush(from);
		for (uint32_t i = 1; i <= 4; i++)
			CU_ASSERT_EQUAL(came(i, 1400), 1400);
		flushes++;
	}
	CU_ASSERT_TRUE(cudp_takes_bursts(from));
	CU_ASSERT_EQUAL(told_count, 4);
	CU_ASSERT_EQUAL(flushes, REST_FLUSHES + 1);
	close_pair();
}

/* ---- The path ------------------------------------------------------------------------------ */

/* Transmissions from .. to are lost to the sender. */
static void
gone(struct client_gso *g, uint32_t first, uint32_t last)
{
	for (uint32_t tx = first; tx <= last; tx++)
		gso_gone(g, tx);
}

static void
the_second_burst_without_an_answer_is_the_last_one_if_others_came(void)
{
	struct client_gso g = {0};

	CU_ASSERT_TRUE(gso_wanted(&g));
	gso_sent(&g, 1, 8);
	CU_ASSERT_FALSE(gso_wanted(&g)); /* until that one is judged */
	gso_came(&g, 1, false);          /* a frame cut short holds the first */
	gone(&g, 2, 8);
	CU_ASSERT_FALSE(gso_judge(&g));
	gso_came(&g, 9, false);
	CU_ASSERT_FALSE(gso_judge(&g));
	CU_ASSERT_TRUE(gso_wanted(&g));
	gso_sent(&g, 10, 8);
	CU_ASSERT_FALSE(gso_wanted(&g));
	gone(&g, 11, 17);
	gso_came(&g, 18, false);
	CU_ASSERT_TRUE(gso_judge(&g));
	CU_ASSERT_FALSE(gso_wanted(&g));
	gso_came(&g, 15, true); /* too late to matter */
	CU_ASSERT_FALSE(gso_wanted(&g));
}

/* The link was down when the first burst left, and up again for what was sent behind it. */
static void
an_outage_that_took_the_first_burst_alone_is_no_proof(void)
{
	struct client_gso g = {0};

	gso_sent(&g, 1, 8);
	gone(&g, 1, 8);
	gso_came(&g, 9, false);
	CU_ASSERT_FALSE(gso_judge(&g));
	gso_sent(&g, 10, 8);
	gso_came(&g, 11, true);
	CU_ASSERT_FALSE(gso_judge(&g));
	CU_ASSERT_EQUAL(g.state, GSO_WORKS);
}

static void
nothing_is_concluded_while_nothing_comes(void)
{
	struct client_gso g = {0};

	gso_sent(&g, 1, 8);
	gone(&g, 1, 8);
	CU_ASSERT_FALSE(gso_judge(&g)); /* the link is down */
	CU_ASSERT_EQUAL(g.state, GSO_UNKNOWN);
	CU_ASSERT_FALSE(gso_wanted(&g));
}

static void
one_that_came_late_of_many_is_enough(void)
{
	struct client_gso g = {0};

	gso_sent(&g, UINT32_MAX - 3, 8); /* across 2^32 */
	gone(&g, UINT32_MAX - 2, UINT32_MAX - 1);
	gso_came(&g, 10, false);
	CU_ASSERT_FALSE(gso_judge(&g));
	gso_came(&g, 2, true);
	CU_ASSERT_EQUAL(g.state, GSO_WORKS);
	CU_ASSERT_TRUE(gso_wanted(&g));
}

static void
a_path_that_worked_is_doubted_once_before_it_is_given_up(void)
{
	struct client_gso g = {.state = GSO_WORKS};

	gso_sent(&g, 1, 4);
	CU_ASSERT_TRUE(gso_wanted(&g));
	gone(&g, 2, 4);
	gso_came(&g, 20, false);
	CU_ASSERT_FALSE(gso_judge(&g));
	CU_ASSERT_EQUAL(g.state, GSO_DOUBTED);
	gso_sent(&g, 21, 4);
	CU_ASSERT_FALSE(gso_wanted(&g));
	gone(&g, 22, 24);
	gso_came(&g, 25, false);
	CU_ASSERT_TRUE(gso_judge(&g));
	CU_ASSERT_EQUAL(g.state, GSO_OFF);
}

static const struct ut_test tests[] = {
	UT("socket", datagrams_of_about_one_size_leave_as_one_burst_and_arrive_as_what_they_are),
	UT("socket", what_may_not_be_padded_or_differs_too_much_ends_a_burst),
	UT("socket", no_more_bursts_than_allowed_and_none_beyond_an_ip_packet),
	UT("socket", of_a_burst_that_the_kernel_refuses_each_goes_by_itself),
	UT("path", the_second_burst_without_an_answer_is_the_last_one_if_others_came),
	UT("path", an_outage_that_took_the_first_burst_alone_is_no_proof),
	UT("socket", after_one_that_the_kernel_found_invalid_it_is_left_alone_for_a_while),
	UT("path", nothing_is_concluded_while_nothing_comes),
	UT("path", one_that_came_late_of_many_is_enough),
	UT("path", a_path_that_worked_is_doubted_once_before_it_is_given_up),
};

UT_MAIN(tests)
