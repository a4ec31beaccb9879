/* SPDX-License-Identifier: MIT
 * listener_ut.c - addresses of the Kafka port: their forms, several at once, what clients are told. */
#include "tests/unit/control/world.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world w;

static void
an_address_is_split_into_host_and_port(void)
{
	static const struct { const char *text, *host; int port; } row[] = {
		{"127.0.0.1:9092", "127.0.0.1", 9092},
		{"[::1]:0", "::1", 0},
		{"[fe80::1]:65535", "fe80::1", 65535},
		{":9092", "", 9092},
		{"*:9092", "", 9092},
		{"host.example:1", "host.example", 1},
		{"PLAINTEXT://host:9092", "host", 9092},
		{"plaintext://:9092", "", 9092},
	};
	struct err err;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char host[256] = "untouched";
		uint16_t port = 7;

		CU_ASSERT_EQUAL(listener_split(row[i].text, host, &port, &err), 0);
		CU_ASSERT_STRING_EQUAL(host, row[i].host);
		CU_ASSERT_EQUAL(port, row[i].port);
	}
}

static void
what_is_no_address_is_refused_and_named(void)
{
	static const char *const bad[] = {"", "localhost", "::1:9092", "host:", "host:x", "host:65536",
		"host:-1", "SSL://host:9092", "host:90 92"};
	char host[256];
	uint16_t port;
	struct err err;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = 0;
		CU_ASSERT_EQUAL(listener_split(bad[i], host, &port, &err), -EINVAL);
		CU_ASSERT_TRUE(strlen(err.text) > 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, bad[i]));
	}
}

static void
each_listener_has_a_port_of_its_own_and_beyond_loopback_is_known(void)
{
	static const char *const options[] = {"--listen", "0.0.0.0:0", "--listen", "127.0.0.2:0", NULL};
	const struct listeners *ls;

	world_open(&w, options);
	ls = &w.ctl->listeners;
	CU_ASSERT_EQUAL_FATAL(ls->n, 3);
	CU_ASSERT_FALSE(ls->one[0].beyond_loopback);
	CU_ASSERT_TRUE(ls->one[1].beyond_loopback);
	CU_ASSERT_FALSE(ls->one[2].beyond_loopback);
	CU_ASSERT_EQUAL(strncmp(ls->one[2].name, "127.0.0.2:", 10), 0);
	CU_ASSERT_STRING_NOT_EQUAL(ls->one[2].name, "127.0.0.2:0");
	world_close(&w);
}

static void
clients_are_told_the_address_they_came_in_on_or_the_advertised_one(void)
{
	char host[256], local[64];
	int fd;

	world_open(&w, NULL);
	fd = world_connect(&w);
	CU_ASSERT_STRING_EQUAL(control_host(w.ctl, w.ctl->conns, host), "127.0.0.1");
	(void)snprintf(local, sizeof(local), "127.0.0.1:%u", control_port(w.ctl, w.ctl->conns));
	CU_ASSERT_STRING_EQUAL(local, w.ctl->listeners.one[0].name);
	(void)snprintf(w.ctl->advertised_host, sizeof(w.ctl->advertised_host), "kira.example");
	w.ctl->advertised_port = 1234;
	CU_ASSERT_STRING_EQUAL(control_host(w.ctl, w.ctl->conns, host), "kira.example");
	CU_ASSERT_EQUAL(control_port(w.ctl, w.ctl->conns), 1234);
	(void)close(fd);
	world_close(&w);
}

static void
a_port_that_is_taken_is_an_error_that_names_it(void)
{
	static struct world other;
	struct err err = {""};
	char text[96];

	world_open(&w, NULL);
	(void)snprintf(text, sizeof(text), "%s", w.ctl->listeners.one[0].name);
	world_open(&other, NULL);
	listeners_close(other.ctl);
	free(other.cfg.listen.item[0]);
	other.cfg.listen.item[0] = strdup(text);
	CU_ASSERT_EQUAL(listeners_open(other.ctl, &err), -EADDRINUSE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, text));
	CU_ASSERT_EQUAL(other.ctl->listeners.n, 0);
	world_close(&other);
	world_close(&w);
}

static const struct ut_test tests[] = {
	UT("split", an_address_is_split_into_host_and_port),
	UT("split", what_is_no_address_is_refused_and_named),
	UT("open", each_listener_has_a_port_of_its_own_and_beyond_loopback_is_known),
	UT("open", clients_are_told_the_address_they_came_in_on_or_the_advertised_one),
	UT("open", a_port_that_is_taken_is_an_error_that_names_it),
};

UT_MAIN(tests)
