/* SPDX-License-Identifier: MIT
 * nic_ut.c - device forms, the stale memif socket, and a port on a real EAL without hugepages. */
#include "dataplane/nic.h"

#include "dataplane/eal.h"
#include "tests/unit/ut.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
a_memif_serves_here_and_connects_in_the_load_generator(void)
{
	struct nic_device d;
	struct err err = {""};

	CU_ASSERT_EQUAL(nic_parse(&d, "memif:/tmp/x.sock,id=3", false, 1, 1500, &err), 0);
	CU_ASSERT_STRING_EQUAL(d.devargs, "net_memif0,role=server,id=3,socket=/tmp/x.sock,"
			"socket-abstract=no,rsize=12,bsize=2048");
	CU_ASSERT_EQUAL(nic_parse(&d, "memif:/tmp/x.sock", true, 1, 9000, &err), 0);
	CU_ASSERT_STRING_EQUAL(d.devargs, "net_memif0,role=client,id=0,socket=/tmp/x.sock,"
			"socket-abstract=no,rsize=12,bsize=10240");
	CU_ASSERT_EQUAL(nic_parse(&d, "memif:/tmp/x.sock,client", false, 1, 1500, &err), 0);
	CU_ASSERT_TRUE(d.client);
}

static void
every_other_form_becomes_its_devargs(void)
{
	static const struct {
		const char *text, *devargs;
	} form[] = {
		{"null", "net_null0,size=64,no-rx=1"},
		{"null:1500", "net_null0,size=1500"},
		{"pcap:/tmp/a.pcap,loop", "net_pcap0,rx_pcap=/tmp/a.pcap,infinite_rx=1"},
		{"tap:kira7", "net_tap0,iface=kira7"},
		{"afpacket:lo", "net_af_packet0,iface=lo,qpairs=2,framecnt=4096"},
		{"0000:3b:00.0", "0000:3b:00.0"},
	};
	struct nic_device d;
	struct err err = {""};

	for (unsigned i = 0; i < sizeof(form) / sizeof(form[0]); i++) {
		CU_ASSERT_EQUAL(nic_parse(&d, form[i].text, false, 2, 1500, &err), 0);
		CU_ASSERT_STRING_EQUAL(d.devargs, form[i].devargs);
	}
	CU_ASSERT_EQUAL(nic_parse(&d, "3b:00.0", false, 1, 1500, &err), 0);
	CU_ASSERT_STRING_EQUAL(d.name, "0000:3b:00.0");
}

static void
a_wrong_device_is_refused_with_its_name(void)
{
	static const char *const wrong[] = {"", "memif:", "memif:/a,id=256", "memif:/a,x=1",
		"afpacket:no_such_if0", "tap:", "tap:a-name-that-is-too-long", "pcap:", "pcap:/a,b",
		"null:5", "null:x", "eth:1", "zz:00.0"};
	struct nic_device d;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = {""};

		CU_ASSERT(nic_parse(&d, wrong[i], false, 1, 1500, &err) < 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "device"));
	}
	{
		char path[200] = "memif:/";
		struct err err = {""};

		memset(path + 7, 'a', 107);
		CU_ASSERT(nic_parse(&d, path, false, 1, 1500, &err) < 0);
		path[6 + 107] = '\0'; /* 107 bytes fit */
		CU_ASSERT_EQUAL(nic_parse(&d, path, false, 1, 1500, &err), 0);
	}
}

static void
a_socket_that_nobody_serves_is_removed_and_a_served_one_is_not(void)
{
	char dir[] = "/tmp/kira_nic_XXXXXX", text[64];
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct nic_device d;
	struct err err = {""};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	CU_ASSERT_PTR_NOT_NULL(mkdtemp(dir));
	(void)snprintf(text, sizeof(text), "memif:%s/s", dir);
	CU_ASSERT_EQUAL(nic_parse(&d, text, false, 1, 1500, &err), 0);
	CU_ASSERT_EQUAL(nic_clear_stale(&d, &err), 0); /* nothing there */
	memcpy(sun.sun_path, d.path, strlen(d.path) + 1);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	CU_ASSERT_EQUAL(listen(fd, 1), 0);
	CU_ASSERT_EQUAL(nic_clear_stale(&d, &err), -EADDRINUSE);
	CU_ASSERT_EQUAL(access(d.path, F_OK), 0);
	(void)close(fd);
	CU_ASSERT_EQUAL(nic_clear_stale(&d, &err), 0);
	CU_ASSERT_EQUAL(access(d.path, F_OK), -1);
	(void)rmdir(dir);
}

static unsigned lines;

static void
count_line(void *arg, bool warn, const char *line)
{
	(void)arg;
	(void)warn;
	lines += strstr(line, "EAL line:") != NULL;
}

static void
a_port_opens_on_an_eal_without_hugepages_and_leaks_nothing(void)
{
	struct nic_device d;
	struct nic nic;
	struct err err = {""};
	struct eal_options o = {.dev = &d, .lcores = 1, .log = count_line};
	struct rte_mbuf *pkt[32];
	char dir[] = "/tmp/kira_nic_XXXXXX";

	CU_ASSERT_PTR_NOT_NULL(mkdtemp(dir));
	o.run_dir = dir;
	CU_ASSERT_EQUAL(nic_parse(&d, "null:1000", false, 1, 1500, &err), 0);
	o.memory_mib = nic_memory_mib(&d, 1, 1500, 1);
	CU_ASSERT_EQUAL_FATAL(eal_start(&o, &err), 0);
	CU_ASSERT_EQUAL(lines, 1);
	CU_ASSERT_EQUAL_FATAL(nic_open(&nic, &d, 1, 1500, 1, &err), 0);
	/* End to end: the AF_XDP driver takes n x object bytes for the whole of a pool. */
	CU_ASSERT_EQUAL(nic.pool[0]->nb_mem_chunks, 1);
	CU_ASSERT(STAILQ_FIRST(&nic.pool[0]->mem_list)->len < (uint64_t)nic.pool_n *
			rte_mempool_calc_obj_size(nic.pool[0]->elt_size, nic.pool[0]->flags, NULL) +
			4096);
	CU_ASSERT_EQUAL(rte_eth_rx_burst(nic.port, 0, pkt, 32), 32);
	CU_ASSERT_EQUAL(rte_pktmbuf_priv_size(nic.pool[0]), NIC_PRIVATE_BYTES);
	rte_pktmbuf_free_bulk(pkt, 31);
	CU_ASSERT_EQUAL(nic_close(&nic), 1); /* the one not given back is seen */
	eal_stop();
}

static const struct ut_test tests[] = {
	UT("nic", a_memif_serves_here_and_connects_in_the_load_generator),
	UT("nic", every_other_form_becomes_its_devargs),
	UT("nic", a_wrong_device_is_refused_with_its_name),
	UT("nic", a_socket_that_nobody_serves_is_removed_and_a_served_one_is_not),
	UT("eal", a_port_opens_on_an_eal_without_hugepages_and_leaks_nothing),
};
UT_MAIN(tests)
