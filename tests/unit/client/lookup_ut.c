/* SPDX-License-Identifier: MIT
 * lookup_ut.c - dataplane/client/client_lookup.c: a resolver that does not answer costs no more than the
 * caller's time. The resolver is the test's; addresses go to the real one. */
#include <netdb.h>

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static unsigned asked, answered;
static int hangs; /* under lock: names are not answered */

static int
resolve(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = *hints;

	if (strcmp(host, "somewhere.invalid") != 0)
		return getaddrinfo(host, port, hints, ret);
	if (hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	pthread_mutex_lock(&lock);
	asked++;
	(void)pthread_cond_broadcast(&news);
	while (hangs)
		(void)pthread_cond_wait(&news, &lock);
	answered++;
	(void)pthread_cond_broadcast(&news);
	pthread_mutex_unlock(&lock);
	numeric.ai_flags = AI_NUMERICHOST;
	return getaddrinfo("127.0.0.9", port, &numeric, ret);
}
#define getaddrinfo resolve

#include "dataplane/client/client_lookup.c"

#include "base/clock.h"
#include "tests/unit/ut.h"

#include <arpa/inet.h>

static struct err err;
static struct addrinfo *list;

static void
set_hanging(int on)
{
	pthread_mutex_lock(&lock);
	hangs = on;
	(void)pthread_cond_broadcast(&news);
	while (!on && answered < asked)
		(void)pthread_cond_wait(&news, &lock);
	pthread_mutex_unlock(&lock);
}

static void
an_address_needs_no_resolver_and_a_name_gets_its_answer(void)
{
	char text[32];

	set_hanging(1);
	CU_ASSERT_EQUAL(client_lookup("127.0.0.1", "80", 0, -1, &list, &err), 0);
	freeaddrinfo(list);
	CU_ASSERT_EQUAL(client_lookup("::1", "80", 0, -1, &list, &err), 0);
	freeaddrinfo(list);
	set_hanging(0);
	CU_ASSERT_EQUAL(client_lookup("somewhere.invalid", "80", clock_now_ns() + 20 * NS_PER_S, -1, &list, &err), 0);
	CU_ASSERT_STRING_EQUAL(inet_ntop(AF_INET, &((struct sockaddr_in *)list->ai_addr)->sin_addr, text,
		sizeof(text)), "127.0.0.9");
	freeaddrinfo(list);
}

static void
a_resolver_that_hangs_is_left_behind(void)
{
	const uint64_t begun_ns = clock_now_ns();

	set_hanging(1);
	CU_ASSERT_EQUAL(client_lookup("somewhere.invalid", "80", begun_ns + 20 * NS_PER_MS, -1, &list, &err),
		-ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "look up somewhere.invalid"));
	CU_ASSERT_TRUE(clock_now_ns() - begun_ns >= 20 * NS_PER_MS);
	set_hanging(0); /* its thread frees what it was given: the address sanitizer looks */
}

static void
a_lookup_ends_when_it_is_to_stop(void)
{
	const uint64_t begun_ns = clock_now_ns();
	const int stop = eventfd(1, 0);

	set_hanging(1);
	CU_ASSERT_EQUAL(client_lookup("somewhere.invalid", "80", begun_ns + 100 * NS_PER_S, stop, &list, &err),
		-ECANCELED);
	CU_ASSERT_TRUE(clock_now_ns() - begun_ns < 50 * NS_PER_S);
	set_hanging(0);
	(void)close(stop);
}

static const struct ut_test tests[] = {
	UT("lookup", an_address_needs_no_resolver_and_a_name_gets_its_answer),
	UT("lookup", a_resolver_that_hangs_is_left_behind),
	UT("lookup", a_lookup_ends_when_it_is_to_stop),
};

UT_MAIN(tests)
